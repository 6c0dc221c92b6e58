"""What finer dirty bits would save: rows that a sweep visits with one bit per eight rows, and per row.

A model in NumPy of `neurogen.rtl.sweep`: a row of the state memory has to be swept if any of its states is
not zero, or if an event has touched it in this step. States and spikes are those of the golden model.

*Saved* is the difference, as a share of the bound of the layer (``events * groups + rows swept``).
"""

import argparse

import numpy as np

from benchmarks.common import report
from benchmarks.layer import layer, recording
from benchmarks.real_cases import CASES, cut
from neurogen.flow.data import DataError
from neurogen.golden.network import run
from neurogen.spec.events import Events
from neurogen.spec.mega import BLOCK
from neurogen.spec.network import Network


__all__ = ["main", "measure", "swept_rows"]


DENSITIES = (0.001, 0.002, 0.005, 0.01, 0.05)
LANES = 32  # output channels of a row
_COLUMNS = {"case": "case", "layer": "layer", "density": "density %", "rows": "rows",
            "by_blocks": "swept, a bit per eight rows", "by_rows": "swept, a bit per row",
            "saved": "saved, % of the bound"}


def swept_rows(states: np.ndarray, counts: np.ndarray, lanes: int = LANES) -> tuple[float, float]:
    """Return the rows that an average step sweeps behind a 3x3 convolution with padding 1.

    Parameters
    ----------
    states
        Potentials after each step, ``int[steps, C, H, W]``; they start at zero.
    counts
        Events of each step, ``int[steps, Ci, H, W]``.
    lanes
        Channels of a row.

    Returns
    -------
    by_blocks, by_rows
        With one dirty bit per `BLOCK` rows, and per row.
    """
    before = np.concatenate([np.zeros_like(states[:1]), states[:-1]]) != 0
    touched = np.pad(counts.any(1), ((0, 0), (1, 1), (1, 1)))
    height, width = counts.shape[2:]
    reached = np.any([touched[:, y:y + height, x:x + width] for y in range(3) for x in range(3)], axis=0)
    blocks = rows = 0
    for first in range(0, states.shape[1], lanes):
        live = _tiles(before[:, first:first + lanes].any(1) | reached)
        rows += int(live.sum())
        for start in range(0, live.shape[1], BLOCK):
            block = live[:, start:start + BLOCK]
            blocks += block.shape[1] * int(block.any(1).sum())
    return blocks / len(states), rows / len(states)


def _tiles(maps: np.ndarray) -> np.ndarray:
    """Return whether any of the 3x3 pixels of a tile is set, ``bool[steps, tiles]``."""
    steps, height, width = maps.shape
    padded = np.pad(maps, ((0, 0), (0, -height % 3), (0, -width % 3)))
    return padded.reshape(steps, -(-height // 3), 3, -(-width // 3), 3).any((2, 4)).reshape(steps, -1)


def measure(case: str, network: Network, events: Events) -> list[dict]:
    """Return a row of the table for each population of a chain of 3x3 convolutions, and one for all."""
    (source,) = network.inputs
    result, counts, rows = run(network, {source: events}), events.counts(), []
    bound = saved = 0.0
    for name in network.populations:
        channels, height, width = network.nodes[name].shape
        groups = -(-channels // LANES)
        by_blocks, by_rows = swept_rows(result.potentials[name], counts)
        cycles = np.count_nonzero(counts) / events.steps * groups + by_blocks
        bound, saved = bound + cycles, saved + by_blocks - by_rows
        rows.append({"case": case, "layer": name, "density": 100 * float((counts > 0).mean()),
                     "rows": groups * -(-height // 3) * -(-width // 3), "by_blocks": by_blocks,
                     "by_rows": by_rows, "saved": 100 * (by_blocks - by_rows) / cycles})
        counts = result.spikes[name].counts()
    if len(rows) > 1:
        rows.append({"case": case, "layer": "all", "saved": 100 * saved / bound})
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write the table as JSON")
    parser.add_argument("--steps", type=int, default=12, help="steps of each recording (default 12)")
    options = parser.parse_args()
    rows = []
    for density in DENSITIES:
        events = recording(density, options.steps)
        rows += measure("random events", layer(events), events)
    try:
        case = CASES["dvs"]["dvs"](options.steps)
        rows += measure("dvs", case.network, cut(case.events[0], options.steps))
    except DataError as error:
        print(error)
    report("Rows swept in an average step", _COLUMNS, rows, path=options.json, packages=("numpy",))


if __name__ == "__main__":
    main()

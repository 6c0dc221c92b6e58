"""Measure energy of SRAM per synaptic operation, of a cluster of 32 lanes on IHP's macros.

Accesses are counted in the order in which events come, as the gateware makes them (`tests/rtl/test_frugal.py`
holds the count against it): without and with `MegaSpec.frugal`. Energies per access are Liberty's, of as many
two-port macros of 32 bits side by side as a word needs. The layer is that of `benchmarks.energy`.
"""

import argparse
from collections.abc import Iterable

import numpy as np

from asic.energy_work import layer, recording
from asic.memories import MacroData, macro_data
from asic.pdk import Pdk, load_pdk
from benchmarks.common import report
from benchmarks.energy import DENSITIES, MAP, specification
from neurogen.mapping.compile import compile_network
from neurogen.mapping.plan import stream_for
from neurogen.spec.events import CONTROL, X_BITS, Y_BITS
from neurogen.spec.mega import BANKS, MegaSpec


__all__ = ["accesses", "macro", "main", "measure"]


_LANES = 32
_COLUMNS = {"density": "density %", "banks": "banks", "words": "words of a macro", "reads": "states read",
            "writes": "written", "fetches": "weights read", "sops": "SOPs", "states": "states pJ/SOP",
            "sweep": "sweep pJ/SOP", "weights": "weights pJ/SOP", "total": "all pJ/SOP"}


def accesses(words: Iterable[int], height: int, width: int, *, frugal: bool) -> tuple[int, int, int]:
    """Return words of states that operations of a 3x3 layer read and write, and pairs of tap and event.

    Parameters
    ----------
    words
        Event words of one output group, one operation each, back to back; control words end a run.
    height, width
        Of the output map, padded by 1.
    frugal
        Of `MegaSpec`; else each event reads all banks and writes those inside the map.
    """
    reads = writes = taps = 0
    before: list[tuple[int, int] | None] = [None] * BANKS
    for word in words:
        now: list[tuple[int, int] | None] = [None] * BANKS
        if not word & CONTROL:
            y, x = word >> X_BITS & (1 << Y_BITS) - 1, word & (1 << X_BITS) - 1
            for v in range(max(0, y - 1), min(height, y + 2)):
                for u in range(max(0, x - 1), min(width, x + 2)):
                    now[v % 3 * 3 + u % 3] = v // 3, u // 3
            inside = sum(place is not None for place in now)
            fresh = sum(place is not None and place != old for place, old in zip(now, before, strict=True))
            reads, writes = (reads + fresh, writes + fresh) if frugal else (reads + BANKS, writes + inside)
            taps += inside
        before = now
    return reads, writes, taps


def macro(pdk: Pdk, words: int) -> MacroData:
    """Return the kit's two-port macro of 32 bits and that many words."""
    (found,) = (macro for macro in pdk.macros if (macro.words, macro.bits, macro.ports) == (words, 32, 2))
    return macro_data(pdk, found)


def measure(pdk: Pdk, density: float, *, frugal: bool, depth: int) -> dict:
    """Return a row of the table: all steps but the first.

    Parameters
    ----------
    depth
        Words of the macros.
    """
    spec: MegaSpec = specification(_LANES, frugal=frugal)
    steps = 1 + max(1, round(0.02 / density))
    events = recording(density, steps, MAP)
    (part,) = compile_network(layer(events, spec), spec).passes
    stream = stream_for(part, {"input": events})
    stream = stream[int(np.flatnonzero(stream & CONTROL)[0]) + 1:].tolist()
    reads, writes, taps = accesses(stream, *MAP[1:], frugal=frugal)
    fetches = BANKS * sum(not word & CONTROL for word in stream)
    rows = BANKS * -(-MAP[1] // 3) * -(-MAP[2] // 3) * (steps - 1)  # of the map: all are swept
    data, sops = macro(pdk, depth), taps * _LANES
    tiles = {bits: -(-_LANES * bits // data.bits) * 1e12 / sops
             for bits in (spec.state_bits, spec.weight_bits)}
    states = (reads * data.read + writes * data.write) * tiles[spec.state_bits]
    sweep = rows * (data.read + data.write) * tiles[spec.state_bits]
    weights = fetches * data.read * tiles[spec.weight_bits]
    return {"density": 100 * density, "banks": "frugal" if frugal else "plain", "words": depth,
            "reads": reads, "writes": writes, "fetches": fetches, "sops": sops, "states": states,
            "sweep": sweep, "weights": weights, "total": states + sweep + weights}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--density", action="append", type=float, help="this density only (0.05: 5 %%)")
    parser.add_argument("--json", metavar="FILE", help="write the table as JSON")
    options = parser.parse_args()
    pdk = load_pdk("sg13g2")
    rows = [measure(pdk, density, frugal=frugal, depth=depth)
            for density in options.density or DENSITIES
            for frugal, depth in ((False, 512), (True, 512), (True, 64))]
    report("SRAM of 32 lanes on SG13G2: accesses of all steps but the first, and energy", _COLUMNS, rows,
           path=options.json, packages=("amaranth",))


if __name__ == "__main__":
    main()

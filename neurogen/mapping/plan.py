"""What the compiler returns: passes, each a program with its images and its streams."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurogen.mapping.passes import (
    ConfigurationError,
    Emission,
    Instruction,
    Pass,
    Placement,
    StreamSource,
    Window,
)
from neurogen.spec.events import X_BITS, Y_BITS, Events, pack_words, unpack_words
from neurogen.spec.mega import COUNTERS, MegaSpec, Op


__all__ = ["ConfigurationError", "Emission", "Instruction", "Pass", "Placement", "Plan", "StreamSource",
           "Window", "gather_potentials", "merge_events", "read_stream", "stream_for"]


@dataclass(frozen=True, eq=False)
class Plan:
    """A network on a configuration.

    Parameters
    ----------
    spec
        Configuration.
    config
        Its name; may be empty.
    network
        Digest of the network.
    strategy
        How the work was split: "resident", "passes", or words like "channels", "tiles", "external".
    passes
        In the order in which they run; the events of emitted populations of one are streams of later ones.
    observed
        Names of the populations whose events leave.
    """

    spec: MegaSpec
    config: str
    network: str
    strategy: str
    passes: tuple[Pass, ...]
    observed: tuple[str, ...]

    def to_dict(self) -> dict:
        """Return a summary of plain values, for reports."""
        return {"config": self.config, "spec": self.spec.to_dict(), "network": self.network,
                "strategy": self.strategy, "observed": list(self.observed),
                "passes": [p.to_dict() for p in self.passes]}

    def totals(self, counters: list[np.ndarray]) -> dict[str, dict[str, int]]:
        """Return the counters per population and per synapse, summed over instructions and passes.

        Parameters
        ----------
        counters
            For each pass ``int[instructions, len(COUNTERS)]``.

        ``events`` and ``sops`` of a synapse are ``events_in`` and ``sops`` of the golden model, whatever
        the split; those of a population are of all its synapses. ``spikes`` are of populations.
        """
        result: dict[str, dict[str, int]] = {}
        owner: dict[str, str] = {}
        for part, values in zip(self.passes, counters, strict=True):
            for ins, row in zip(part.instructions, np.asarray(values), strict=True):
                if not ins.population:
                    continue
                # A synapse that feeds several populations receives its events once.
                mine = owner.setdefault(ins.synapse, ins.population) == ins.population
                for node, once in ((ins.population, True), (ins.synapse, mine)):
                    if node:
                        _count(result.setdefault(node, dict.fromkeys(COUNTERS, 0)), ins, row, once)
        return result


def _count(total, ins, row, once):
    for name, value in zip(COUNTERS, row, strict=True):
        counted = {"events": ins.counts_events and once, "sops": ins.op is Op.INTEGRATE,
                   "spikes": ins.op is Op.SWEEP, "rows": ins.op is Op.SWEEP}
        total[name] += int(value) if counted.get(name, True) else 0


def stream_for(part: Pass, events: Mapping[str, Events]) -> np.ndarray:
    """Return the input words of a pass, ``uint32[n]``.

    The events of a step come by lines of 3x3 tiles, and in a line by columns: in this order they can follow
    the sweep of the step before most closely. Where banks are frugal they come down one column and up the
    next, so that from one pixel to the next only three of nine banks get to another word. (Any other order
    gives the same results, but where additions are clipped: there it is the raster order.)

    Parameters
    ----------
    part
        The pass.
    events
        Events of every source, by name, all over the same number of steps.
    """
    missing = sorted({source.name for source in part.sources} - set(events))
    if missing:
        raise ValueError(f"Events must hold the sources of the pass; {missing[0]!r} is missing")
    steps = {events[source.name].steps for source in part.sources}
    if len(steps) > 1:
        raise ValueError(f"Events must have the same number of steps, not {sorted(steps)}")
    words, step, order, place = [], [], [], []
    for number, source in enumerate(part.sources):
        mine = pack_words(_transform(events[source.name], source, part.spec.saturate))
        end = (mine >> 31).astype(np.int64)
        words.append(mine)
        step.append(np.cumsum(end) - end)
        order.append(np.full(len(mine), number))
        y, x = ((mine >> shift & mask).astype(np.int64)
                for shift, mask in ((X_BITS, (1 << Y_BITS) - 1), (0, (1 << X_BITS) - 1)))
        turn = np.where(x % 2, 2 - y % 3, y % 3) if part.spec.frugal else 0
        tile = np.zeros_like(y) if part.spec.saturate else (y // 3 << X_BITS | x) << 2 | turn
        place.append(np.where(end, 1 << X_BITS + Y_BITS + 2, tile))
    if not words:
        return np.zeros(0, np.uint32)
    sort = np.lexsort([np.concatenate(key) for key in (place, order, step)])  # stable
    return np.concatenate(words)[sort]


def _transform(events, source, raster):
    """Return the events as the source sends them: later, of some channels only, in raster order if asked."""
    t, index, shape = events.t + source.delay, events.index, events.shape
    if raster:  # where additions are clipped, the order matters
        channel, pixel = np.divmod(index, int(np.prod(shape[1:])))
        order = np.lexsort((channel, pixel, t))
        t, index = t[order], index[order]
    keep = t < events.steps
    if source.channels:
        first, last = source.channels
        inner = int(np.prod(shape[1:]))
        keep &= (index >= first * inner) & (index < last * inner)
        index, shape = index - first * inner, (last - first, *shape[1:])
    return Events(shape, events.steps, t[keep], index[keep])


def read_stream(part: Pass, words: np.ndarray, steps: int) -> dict[str, Events]:
    """Return the events of each emitted population from the output words of a pass."""
    found = unpack_words(words, {n: e.shape for n, e in part.emissions.items()}, steps)
    return {part.emissions[number].name: events for number, events in found.items()}


def merge_events(parts: list[Events]) -> Events:
    """Return the union of recordings of parts of one population."""
    first = parts[0]
    t = np.concatenate([p.t for p in parts])
    sort = np.argsort(t, kind="stable")
    return Events(first.shape, first.steps, t[sort], np.concatenate([p.index for p in parts])[sort])


def gather_potentials(part: Pass, state_rows: np.ndarray, *, currents: bool = False) -> dict[str, np.ndarray]:
    """Return the potentials of each population of a pass, ``int64`` of its shape.

    Only the window of the pass (`Placement.window`) is filled; the rest is 0.

    Parameters
    ----------
    state_rows
        The state memory, ``int[rows, 9, total_lanes]``.
    currents
        Return ``I`` instead, of the populations that have one.
    """
    result = {}
    for place in part.placements:
        base = place.current_base if currents else place.membrane_base
        if base < 0:
            continue
        window = place.window
        channels, height, width = window.size
        if len(place.shape) == 1:
            values = np.asarray(state_rows[base:base + place.rows]).reshape(-1)[:channels]
        else:
            c, y, x = np.ogrid[:channels, :height, :width]
            total = part.spec.total_lanes
            row = base + c // total * place.group_rows + y // 3 * place.tiles_x + x // 3
            values = np.asarray(state_rows)[row, y % 3 * 3 + x % 3, c % total]
        whole = result.setdefault(place.population, np.zeros(place.shape, np.int64))
        whole[window.slices(place.shape)] = values
    return result

"""One run of the accelerator, a pass: its program, its images, its streams, and where its states are."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurogen.spec.mega import BANKS, COUNTERS, MegaSpec, Op


__all__ = ["ConfigurationError", "Emission", "Instruction", "Pass", "Placement", "StreamSource", "Window"]


class ConfigurationError(ValueError):
    """A network that the configuration cannot run; the message has the numbers and what would fit."""


@dataclass(frozen=True)
class Window:
    """A part of a population: channels ``c0`` to ``c1 - 1`` (neurons of a vector), lines, columns."""

    c0: int
    c1: int
    y0: int = 0
    y1: int = 1
    x0: int = 0
    x1: int = 1

    @property
    def size(self) -> tuple[int, int, int]:
        """Channels, lines and columns."""
        return self.c1 - self.c0, self.y1 - self.y0, self.x1 - self.x0

    def slices(self, shape: tuple[int, ...]) -> tuple[slice, ...]:
        """Return the index of the window in an array of the population's shape."""
        all_axes = slice(self.c0, self.c1), slice(self.y0, self.y1), slice(self.x0, self.x1)
        return all_axes[:len(shape)]


@dataclass(frozen=True)
class Instruction:
    """One instruction, and what it is for.

    Parameters
    ----------
    fields
        Fields of `MegaSpec.instruction_fields` that are not 0.
    population
        Name of the population that it serves; empty for those that serve the whole pass.
    synapse, source
        Names of the synapse and of the source of the events (INTEGRATE).
    group
        First output group or state row, relative to the population.
    window
        Part of the population that it works on.
    counts_events
        The ``events`` counter of this instruction counts events that no other one counts: the same
        events also reach other groups, tiles and passes. (SOPs and spikes are disjoint.)
    """

    fields: Mapping[str, int]
    population: str = ""
    synapse: str = ""
    source: str = ""
    group: int = 0
    window: Window | None = None
    counts_events: bool = False

    @property
    def op(self) -> Op:
        """Operation."""
        return Op(self.fields["op"])

    @property
    def label(self) -> str:
        """Short text for listings."""
        middle = f" {self.source} -> {self.synapse} ->" if self.synapse else ""
        return f"{self.op.name}{middle} {self.population or 'all'}[{self.group}]"


@dataclass(frozen=True)
class StreamSource:
    """Events that the host sends in every step, followed by an end of step.

    Parameters
    ----------
    name
        Input or population of an earlier pass.
    delay
        Steps by which they are sent later.
    channels
        First channel (neuron) and the one after the last; they are sent counted from the first.
        Empty for all.
    """

    name: str
    delay: int = 0
    channels: tuple[int, ...] = ()


@dataclass(frozen=True)
class Emission:
    """A population that leaves through the output stream, in coordinates of the whole population."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Placement:
    """Where the states of a part of a population are.

    Parameters
    ----------
    population
        Name.
    shape
        Shape of the whole population.
    window
        Part that this pass computes.
    membrane_base
        First state row of ``V``.
    current_base
        First state row of ``I``, for a CuBa-LIF, else -1.
    group_rows
        State rows from channel group to channel group (maps).
    tiles_x
        3x3 tiles per line (maps).
    rows
        State rows that are reserved, for each of ``V`` and ``I``.
    spike_base, spike_rows
        Spike rows, all slots of the ring.
    slots
        Slots of the ring.
    """

    population: str
    shape: tuple[int, ...]
    window: Window
    membrane_base: int
    current_base: int
    group_rows: int
    tiles_x: int
    rows: int
    spike_base: int
    spike_rows: int
    slots: int


@dataclass(frozen=True, eq=False)
class Pass:
    """One run of the accelerator over all steps.

    Parameters
    ----------
    spec
        Configuration.
    instructions
        In the order of the program; index ``i`` owns the counters ``COUNTER_WORDS * i`` on.
    program
        ``uint32[instructions * spec.instruction_words]``.
    weights
        Image of the weight memory, ``int8[rows, 9, total_lanes]``, from row 0.
    external
        Image of the external memory, ``uint32[words]``.
    sources
        What the host streams in each step, in this order, each ended by an end of step.
    emissions
        Populations in the output stream by their number. (A read-out never spikes and is never sent.)
    placements
        Of the populations of this pass.
    usage
        Memory -> (used, available).
    """

    spec: MegaSpec
    instructions: tuple[Instruction, ...]
    program: np.ndarray
    weights: np.ndarray
    external: np.ndarray
    sources: tuple[StreamSource, ...]
    emissions: dict[int, Emission]
    placements: tuple[Placement, ...]
    usage: dict[str, tuple[int, int]]

    @property
    def populations(self) -> tuple[str, ...]:
        """Names of the populations that this pass computes, or computes parts of."""
        return tuple(place.population for place in self.placements)

    @property
    def counters(self) -> dict[int, tuple[str, str]]:
        """Instruction index -> (population, synapse; empty if it is none)."""
        return {i: (ins.population, ins.synapse) for i, ins in enumerate(self.instructions)
                if ins.population}

    def to_dict(self) -> dict:
        """Return a summary of plain values."""
        rows = [{"population": p.population, "shape": list(p.shape), "channels": [p.window.c0, p.window.c1],
                 "lines": [p.window.y0, p.window.y1], "columns": [p.window.x0, p.window.x1],
                 "state_rows": p.rows * (2 if p.current_base >= 0 else 1), "spike_rows": p.spike_rows,
                 "slots": p.slots,
                 "utilisation": round(int(np.prod(p.window.size))
                                      / (p.rows * BANKS * self.spec.total_lanes), 4)}
                for p in self.placements]
        memory = {name: {"used": used, "available": available}
                  for name, (used, available) in self.usage.items()}
        return {"populations": rows, "memory": memory, "instructions": len(self.instructions),
                "program": [ins.label for ins in self.instructions],
                "sources": [{"name": s.name, "delay": s.delay, "channels": list(s.channels)}
                            for s in self.sources],
                "emissions": {str(n): e.name for n, e in self.emissions.items()}}

    def lower_bound(self, counters: np.ndarray) -> int:
        """Return the fewest cycles for the work that was counted: events times groups, and swept rows.

        An event takes a cycle per output group (state row of a vector) and 3x3 sub-window, a row one.

        Parameters
        ----------
        counters
            ``int[instructions, len(COUNTERS)]``.
        """
        events, rows = (np.asarray(counters)[:, COUNTERS.index(n)] for n in ("events", "rows"))
        return sum(int(events[i]) * ins.fields["ops"] if ins.op is Op.INTEGRATE else int(rows[i])
                   for i, ins in enumerate(self.instructions) if ins.op in (Op.INTEGRATE, Op.SWEEP))

"""What Liberty files say about cells, in SI units: tables, arcs, leakage, internal energy, pins."""

from dataclasses import dataclass, field

import numpy as np

from asic.expressions import Expression


__all__ = ["Arc", "Cell", "InternalPower", "Leakage", "Pin", "Table"]


@dataclass(frozen=True)
class Table:
    """A lookup table over (input slew, load), in s and F; a scalar has one point.

    Between points it is bilinear; outside it goes on with the slope of the nearest cell of the grid, as
    OpenSTA does.
    """

    slews: np.ndarray
    loads: np.ndarray
    values: np.ndarray

    def __call__(self, slew: float, load: float) -> float:
        """Return the value at a slew and a load."""
        row, a = _place(self.slews, slew)
        column, b = _place(self.loads, load)
        part = self.values[row : row + 2, column : column + 2]
        if part.shape[0] == 2:
            part = part[0] * (1 - a) + part[1] * a
        else:
            part = part[0]
        return float(part[0] * (1 - b) + part[1] * b) if len(part) == 2 else float(part[0])


def _place(axis, x):
    """Return the segment of ``axis`` for ``x``, and where in it, as a fraction."""
    if len(axis) < 2:
        return 0, 0.0
    index = min(max(int(np.searchsorted(axis, x, side="right")) - 1, 0), len(axis) - 2)
    return index, float((x - axis[index]) / (axis[index + 1] - axis[index]))


@dataclass(frozen=True)
class Leakage:
    """Leakage in W of one state; ``when`` is None for all states, ``supply`` the related pin, if any."""

    watts: float
    when: Expression | None
    supply: str


@dataclass(frozen=True)
class InternalPower:
    """Energy in J inside the cell of one edge of a pin; None where there is no table for an edge."""

    related: tuple[str, ...]
    when: Expression | None
    supply: str
    rise: Table | None
    fall: Table | None


@dataclass(frozen=True)
class Arc:
    """A delay from ``related`` to the pin; ``sense`` and ``kind`` as Liberty calls them."""

    related: tuple[str, ...]
    sense: str
    kind: str
    when: Expression | None
    delay: tuple[Table | None, Table | None]  # to the rising and to the falling edge
    slew: tuple[Table | None, Table | None]


@dataclass(frozen=True)
class Pin:
    """A pin: direction, capacitance in F (mean, and largest named), function, energy, arcs."""

    name: str
    direction: str
    capacitance: float
    capacitance_max: float
    clock: bool
    function: Expression | None
    internal: tuple[InternalPower, ...] = ()
    arcs: tuple[Arc, ...] = ()


@dataclass(frozen=True)
class Cell:
    """A cell: area in the library's unit (µm²), pins (buses by base name), leakage, and what it stores."""

    name: str
    area: float
    pins: dict[str, Pin]
    leakage: tuple[Leakage, ...]
    default_leakage: float
    storage: dict[str, str] = field(
        default_factory=dict
    )  # `kind` (ff, latch), variables, and its expressions
    clock_gate: str = ""
    memory: bool = False

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input pins."""
        return tuple(name for name, pin in self.pins.items() if pin.direction == "input")

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the output pins."""
        return tuple(name for name, pin in self.pins.items() if pin.direction == "output")

    def causing_edges(self, pin: str, cause: str, edge: int) -> tuple[int, ...]:
        """Return which edges of ``cause`` (0 rises, 1 falls) make that edge of the output ``pin``."""
        if self.storage or self.clock_gate:
            return (0,)
        senses = {arc.sense for arc in self.pins[pin].arcs if cause in arc.related}
        if senses == {"positive_unate"}:
            return (edge,)
        if senses == {"negative_unate"}:
            return (1 - edge,)
        return 0, 1

"""Energy of large netlists over long windows: the sums of `asic.power`, many cells of a type at once.

`asic.power.estimate` looks at the waves of one cell after the other. Here the same rules of Liberty
(semantics ``liberty``) are applied to how often cells passed from one state to another
(`asic.gatesim.Passages`). Where delays part an edge of an output from its cause, both take the pins by how
often they move.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asic.cells import Cell, Table
from asic.gatesim import Passages
from asic.netlist import Netlist
from asic.power import Power
from asic.slews import Timing


__all__ = ["CellEnergies", "cell_energies", "passage_power"]


@dataclass(frozen=True)
class CellEnergies:
    """Of each cell, J in a window: by its clock pin (or as a gating cell), by its other pins, by leakage."""

    clock: np.ndarray
    moving: np.ndarray
    leakage: np.ndarray
    switching: np.ndarray


def passage_power(netlist: Netlist, passages: Passages, *, timing: Timing | None = None,
                  memories: Sequence[tuple[float, float, float]] = ()) -> Power:
    """Return what `asic.power.estimate` returns for the same window, without ``cells`` and ``inputs``.

    Parameters
    ----------
    timing
        Loads and slews; computed if not given.
    memories
        By macro of the netlist: energy of a read and of a write in J, leakage in W.
    """
    found, seconds = cell_energies(netlist, passages, timing or Timing(netlist)), passages.seconds
    power = Power(seconds=seconds, clock=float(found.clock.sum()) / seconds,
                  leakage=float(found.leakage.sum()) / seconds,
                  switching=float(found.switching.sum()) / seconds)
    storage = np.array([bool(netlist.library[i.kind].storage) for i in netlist.cells], bool)
    power.registers = float(found.moving[storage].sum()) / seconds
    power.logic = float(found.moving[~storage].sum()) / seconds
    power.internal = power.clock + power.registers + power.logic - power.switching
    for (read, write, leakage), accesses in zip(memories, passages.accesses, strict=True):
        kinds = accesses.sum(0)
        power.sram += (kinds[0] * read + (kinds[1] + kinds[2]) * write) / seconds
        power.leakage += leakage
    power.internal += power.sram
    return power


def cell_energies(netlist: Netlist, passages: Passages, timing: Timing) -> CellEnergies:
    """Return where the energy of a window goes, cell by cell."""
    count = len(netlist.cells)
    result = CellEnergies(*(np.zeros(count) for _ in range(4)))
    groups: dict[tuple, list[int]] = {}
    for number, instance in enumerate(netlist.cells):
        groups.setdefault((instance.kind, passages.pins[number]), []).append(number)
    group_of = np.zeros(count, np.int64)
    for number, members in enumerate(groups.values()):
        group_of[members] = number
    order = np.lexsort((passages.after, passages.before, group_of[passages.cell]))
    bounds = np.searchsorted(group_of[passages.cell][order], np.arange(len(groups) + 1))
    for number, ((kind, pins), members) in enumerate(groups.items()):
        mine = order[bounds[number]:bounds[number + 1]]
        group = _Group(netlist, netlist.library[kind], pins, np.array(members), timing)
        group.leak(passages.held, result)
        group.move(passages.cell[mine], passages.before[mine], passages.after[mine], passages.count[mine],
                   result)
    return result


class _Group:
    """All cells of one type with the same pins connected."""

    def __init__(self, netlist: Netlist, cell: Cell, pins: tuple[str, ...], members: np.ndarray,
                 timing: Timing):
        self.cell, self.pins, self.members, self.timing = cell, pins, members, timing
        self.nets = np.array([[netlist.cells[number].pins[pin][0] for pin in pins] for number in members])
        self.voltage = netlist.library.voltage
        self._slews: dict[int, np.ndarray] = {}
        self._energies: dict[tuple, np.ndarray] = {}

    def leak(self, held: list[np.ndarray], result: CellEnergies) -> None:
        times = np.array([held[number] for number in self.members])
        watts = [_leakage(self.cell, self._values(state)) for state in range(1 << len(self.pins))]
        result.leakage[self.members] = times @ np.array(watts)

    def move(self, cell, before, after, count, result: CellEnergies) -> None:
        """Add the energy of passages, in order of ``before`` and ``after``."""
        if not len(cell):
            return
        place = np.searchsorted(self.members, cell)  # members ascend
        moved = before ^ after
        edges = np.stack([np.bincount(place, count * (moved >> bit & 1), len(self.members))
                          for bit in range(len(self.pins))], 1)
        starts = np.flatnonzero(np.concatenate([[True], (np.diff(before) != 0) | (np.diff(after) != 0)]))
        for first, last in zip(starts, [*starts[1:], len(cell)], strict=True):
            at, times = place[first:last], count[first:last]
            for bit, pin in enumerate(self.pins):
                if not moved[first] >> bit & 1:
                    continue
                states = int(before[first]), int(after[first])
                edge = 0 if states[1] >> bit & 1 else 1
                what = self.cell.pins[pin]
                if what.direction == "output":
                    inner = self._output(pin, edge, states, at, edges)
                    outer = 0.5 * self._loads(bit)[at] * self.voltage**2
                else:
                    inner, outer = self._input(pin, edge, states, at), 0.0
                kind = result.clock if self.cell.clock_gate or what.clock else result.moving
                kind[self.members[at]] += times * (inner + outer)
                result.switching[self.members[at]] += times * outer

    def _values(self, state: int) -> dict[str, int]:
        return {pin: state >> bit & 1 for bit, pin in enumerate(self.pins)}

    def _loads(self, bit: int) -> np.ndarray:
        return np.asarray(self.timing.load)[self.nets[:, bit]] if bit >= 0 else np.zeros(len(self.members))

    def _slew(self, bit: int) -> np.ndarray:
        """Slews of both edges of a pin, by member."""
        if bit not in self._slews:
            self._slews[bit] = np.array([self.timing.slew(int(net)) for net in self.nets[:, bit]])
        return self._slews[bit]

    def _input(self, pin, edge, states, at):
        # A register looks at its pins before the rising edge of its clock; others are seen after the edge.
        bit, what = self.pins.index(pin), self.cell.pins[pin]
        values = self._values(states[0] if what.clock and edge == 0 else states[1])
        total = np.zeros(len(at))
        for supply in dict.fromkeys(power.supply for power in what.internal):
            group = [power for power in what.internal if power.supply == supply]
            for power in sorted(group, key=lambda power: power.when is None):
                if power.when is None or _holds(power.when, values):
                    table = (power.rise, power.fall)[edge]
                    if table is not None:
                        total += self._energy(table, self._slew(bit)[:, edge], -1, (pin, edge, id(power)))[at]
                    break
        return total

    def _output(self, pin, edge, states, at, edges):
        """Share an edge among the groups whose pin has caused it."""
        what, values = self.cell.pins[pin], self._values(states[1])
        total = np.zeros(len(at))
        moved = states[0] ^ states[1]
        for supply in dict.fromkeys(power.supply for power in what.internal):
            weights, energies, fallback = [], [], []
            for power in (power for power in what.internal if power.supply == supply):
                holds = power.when is None or _holds(power.when, values)
                table = (power.rise, power.fall)[edge]
                related = [name for name in power.related if name in self.pins]
                fallback.append(power.when is None or not holds)
                if table is None or not related:
                    weights.append(np.zeros(len(at)))
                    energies.append(np.zeros(len(at)))
                    continue
                cause = self.pins.index(related[0])
                weights.append(holds * ((moved >> cause & 1) + 1e-6 * (edges[at, cause] + 1e-3)))
                slew = self._slew(cause)[:, self.cell.causing_edges(pin, related[0], edge)].max(1)
                energies.append(self._energy(table, slew, self.pins.index(pin), (pin, edge, id(power)))[at])
            if not weights:
                continue
            weight = np.array(weights)
            if not weight.sum(0).all():
                weight[:, weight.sum(0) == 0] = np.array(fallback if any(fallback) else [1] * len(fallback)
                                                         )[:, None]
            total += (weight * np.array(energies)).sum(0) / weight.sum(0)
        return total

    def _energy(self, table: Table, slews: np.ndarray, load: int, key: tuple) -> np.ndarray:
        """Return a table's values of all members, kept by ``key``."""
        if key not in self._energies:
            self._energies[key] = _look_up(table, slews, self._loads(load))
        return self._energies[key]


def _holds(when, values) -> bool:
    return set(when.pins) <= set(values) and bool(when(values, 0, 1) & 1)


def _leakage(cell: Cell, values: dict[str, int]) -> float:
    """Return the leakage of one state, in W."""
    if not cell.leakage:
        return cell.default_leakage
    total = 0.0
    for number, supply in enumerate(dict.fromkeys(state.supply for state in cell.leakage)):
        mine = [state for state in cell.leakage if state.supply == supply]
        rest = [state.watts for state in mine if state.when is None]
        rest = rest[0] if rest else (cell.default_leakage if number == 0 else 0.0)
        total += next((state.watts for state in mine
                       if state.when is not None and _holds(state.when, values)), rest)
    return total


def _look_up(table: Table, slews: np.ndarray, loads: np.ndarray) -> np.ndarray:
    """Return what `Table` returns, for many points."""
    (row, a), (column, b) = _place(table.slews, slews), _place(table.loads, loads)
    values = np.atleast_2d(table.values)
    below, right = np.minimum(row + 1, values.shape[0] - 1), np.minimum(column + 1, values.shape[1] - 1)
    upper = values[row, column] * (1 - b) + values[row, right] * b
    lower = values[below, column] * (1 - b) + values[below, right] * b
    return upper * (1 - a) + lower * a


def _place(axis, x):
    if len(axis) < 2:
        return np.zeros(len(x), np.int64), np.zeros(len(x))
    index = np.clip(np.searchsorted(axis, x, side="right") - 1, 0, len(axis) - 2)
    return index, (x - axis[index]) / (axis[index + 1] - axis[index])

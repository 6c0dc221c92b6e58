"""Energy of a netlist from what its nets did: Liberty's tables, one cell at a time.

Two semantics:

``liberty``
    What the format says. Conditions (``when``) are evaluated at each transition and over the true joint
    states; a group without a condition counts where no other one holds; pins have their mean capacitance.
``opensta``
    The rules of OpenSTA 3.1 on the same activity, for comparisons: conditions by their probability, as if
    pins were independent; groups without a condition are *added* to the others, rise and fall are averaged;
    pins have the largest capacitance that the library names. On SG13G2 this counts the clock energy of
    flip-flops twice.

Energies are of the netlist before placement, without wires unless `Timing` is given some, and without a clock
tree.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from asic.activity import Activity, Wave
from asic.cells import Cell, InternalPower
from asic.netlist import Instance, Netlist
from asic.slews import Timing
from neurogen.spec.checks import check_choice


__all__ = ["SEMANTICS", "Power", "estimate"]

SEMANTICS = ("liberty", "opensta")


@dataclass
class Power:
    """Mean power in W, by where it goes.

    Parameters
    ----------
    logic, registers, clock
        Switching and internal power of combinational cells; of registers without their clock pins; of clock
        pins, gating cells, and the nets these drive.
    inputs
        Switching of nets that ports drive; not in `total` (the driver is elsewhere), as in OpenSTA.
    sram
        Accesses of memories.
    leakage
        Of all cells and memories.
    switching, internal
        The same total, divided by cause: charge of nets, and inside of cells. SRAM counts as internal.
    seconds
        Length of the window.
    cells
        Power without leakage by type of the cell.
    """

    logic: float = 0.0
    registers: float = 0.0
    clock: float = 0.0
    inputs: float = 0.0
    sram: float = 0.0
    leakage: float = 0.0
    switching: float = 0.0
    internal: float = 0.0
    seconds: float = 0.0
    cells: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """All but ``inputs``."""
        return self.logic + self.registers + self.clock + self.sram + self.leakage

    def energy(self, operations: int) -> dict[str, float]:
        """Return J per operation, by part."""
        parts = ("logic", "registers", "clock", "sram", "leakage", "total")
        return {name: getattr(self, name) * self.seconds / operations for name in parts}


def estimate(
    netlist: Netlist,
    activity: Activity,
    *,
    semantics: str = "liberty",
    timing: Timing | None = None,
    memories: Sequence[tuple[float, float, float]] = (),
) -> Power:
    """Return the power of a netlist in a window of activity.

    Parameters
    ----------
    semantics
        See the module.
    timing
        Loads and slews; computed if not given. Its loads must be of the same semantics.
    memories
        By macro of the netlist: energy of a read and of a write in J, leakage in W.
    """
    check_choice("Semantics", semantics, SEMANTICS)
    timing = timing or Timing(netlist, largest=semantics == "opensta")
    rule = _liberty_internal if semantics == "liberty" else _opensta_internal
    leak = _liberty_leakage if semantics == "liberty" else _opensta_leakage
    power = Power(seconds=activity.seconds)
    voltage = netlist.library.voltage
    for instance in netlist.cells:
        cell = netlist.library[instance.kind]
        states = _States(instance, cell, activity)
        power.leakage += leak(cell, states)
        spent = 0.0
        for pin, wave in states.waves.items():
            what = cell.pins[pin]
            inner = rule(cell, pin, what.internal, states, instance, timing) / activity.seconds
            outer = 0.0
            if what.direction == "output":
                load = timing.load[instance.pins[pin][0]]
                outer = len(wave.times) * 0.5 * load * voltage**2 / activity.seconds
            power.internal += inner
            power.switching += outer
            spent += inner + outer
            if cell.clock_gate or what.clock:
                power.clock += inner + outer
            elif cell.storage:
                power.registers += inner + outer
            else:
                power.logic += inner + outer
        power.cells[instance.kind] = power.cells.get(instance.kind, 0.0) + spent
    for direction, nets in netlist.ports.values():
        if direction == "input":
            power.inputs += (
                sum(len(activity.wave(net).times) * 0.5 * timing.load[net] * voltage**2 for net in nets)
                / activity.seconds
            )
    for number, (read, write, leakage) in enumerate(memories):
        kinds = activity.accesses[number].sum(0)
        power.sram += (kinds[0] * read + (kinds[1] + kinds[2]) * write) / activity.seconds
        power.leakage += leakage
    power.internal += power.sram
    return power


class _States:
    """The states that one cell went through: values of its pins between all changes at any of them."""

    def __init__(self, instance: Instance, cell: Cell, activity: Activity):
        self.waves: dict[str, Wave] = {
            pin: activity.wave(nets[0]) for pin, nets in instance.pins.items() if pin in cell.pins
        }
        self.duration = activity.duration
        times = [wave.times for wave in self.waves.values()]
        self.times = np.unique(np.concatenate(times)) if times else np.zeros(0, np.int64)
        self.lengths = np.diff(np.concatenate([[0], self.times, [self.duration]])) / self.duration
        self.values: dict[str, np.ndarray] = {}
        for pin, wave in self.waves.items():
            counts = np.searchsorted(wave.times, self.times, side="right")
            self.values[pin] = np.concatenate([[bool(wave.first)], ((wave.first + counts) & 1).astype(bool)])
        self.ones = {pin: float(self.lengths[values].sum()) for pin, values in self.values.items()}

    def holds(self, when) -> np.ndarray:
        """Return in which states a condition holds."""
        if when is None or not set(when.pins) <= set(self.values):
            return np.full(len(self.lengths), when is None)
        result = when(self.values, False, True)
        return np.broadcast_to(np.asarray(result, bool), len(self.lengths))

    def edges(self, pin: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the states that begin with a rising, and with a falling edge of a pin."""
        values = self.values[pin]
        changed = np.flatnonzero(values[1:] != values[:-1]) + 1
        return changed[values[changed]], changed[~values[changed]]


# -- What Liberty says --------------------------------------------------------------------------------


def _liberty_leakage(cell: Cell, states: _States) -> float:
    if not cell.leakage:
        return cell.default_leakage
    total, supplies = 0.0, dict.fromkeys(state.supply for state in cell.leakage)
    for number, supply in enumerate(supplies):
        known = np.zeros(len(states.lengths), bool)
        plain = [state.watts for state in cell.leakage if state.supply == supply and state.when is None]
        for state in cell.leakage:
            if state.supply == supply and state.when is not None:
                holds = states.holds(state.when) & ~known
                total += state.watts * states.lengths[holds].sum()
                known |= holds
        rest = plain[0] if plain else (cell.default_leakage if number == 0 else 0.0)
        total += rest * states.lengths[~known].sum()
    return total


def _liberty_internal(cell, pin, powers, states, instance, timing) -> float:
    """Return the energy in J of all edges of a pin."""
    if not powers:
        return 0.0
    rising, falling = states.edges(pin)
    total = 0.0
    for supply in dict.fromkeys(power.supply for power in powers):
        group = [power for power in powers if power.supply == supply]
        for edge, at in enumerate((rising, falling)):
            if len(at):
                if cell.pins[pin].direction == "output":
                    total += _output_energy(cell, pin, group, edge, at, states, instance, timing)
                else:
                    total += _input_energy(cell, pin, group, edge, at, states, instance, timing)
    return total


def _input_energy(cell, pin, group, edge, at, states, instance, timing):
    # A register looks at its pins before the rising edge of its clock; all others are seen after the edge.
    seen = at - 1 if cell.pins[pin].clock and edge == 0 else at
    slew = timing.slew(instance.pins[pin][0])[edge]
    left = np.ones(len(at), bool)
    total = 0.0
    for power in sorted(group, key=lambda power: power.when is None):
        table = (power.rise, power.fall)[edge]
        if power.when is None:
            chosen = left
        else:
            # The pin itself has its new value in conditions that name it.
            chosen = states.holds(power.when)[seen] & left
        if table is not None and chosen.any():
            total += float(chosen.sum()) * table(slew, 0.0)
        left = left & ~chosen
    return total


def _output_energy(cell, pin, group, edge, at, states, instance, timing):
    """Share every edge among the groups whose pin has caused it: the one that changed at that moment."""
    load = timing.load[instance.pins[pin][0]]
    weights = np.zeros((len(group), len(at)))
    energies = np.zeros(len(group))
    for row, power in enumerate(group):
        table = (power.rise, power.fall)[edge]
        related = [name for name in power.related if name in states.values]
        if table is None or not related:
            continue
        holds = states.holds(power.when)[at]
        cause = related[0]
        values = states.values[cause]
        moved = values[at] != values[at - 1]
        # Where delays part cause and effect, pins count by how often they move.
        weights[row] = holds * (moved + 1e-6 * (len(states.waves[cause].times) + 1e-3))
        slews = timing.slew(instance.pins[cause][0])
        energies[row] = table(max(slews[n] for n in cell.causing_edges(pin, cause, edge)), load)
    sums = weights.sum(0)
    fallback = np.array([power.when is None or not states.holds(power.when)[at].any() for power in group])
    if (sums == 0).any():
        weights[:, sums == 0] = (fallback if fallback.any() else np.ones(len(group)))[:, None]
        sums = weights.sum(0)
    return float((energies @ (weights / sums)).sum())


# -- What OpenSTA does --------------------------------------------------------------------------------


def _opensta_leakage(cell: Cell, states: _States) -> float:
    if not cell.leakage:
        return cell.default_leakage
    total, covered = 0.0, 0.0
    supplies = list(dict.fromkeys(state.supply for state in cell.leakage))
    for state in cell.leakage:
        if state.when is not None and set(state.when.pins) <= set(states.ones):
            duty = state.when.probability(states.ones)
            total += state.watts * duty
            covered += duty / len(supplies)
    plain = [state.watts for state in cell.leakage if state.when is None]
    return total + max(0.0, 1 - covered) * (sum(plain) if plain else cell.default_leakage)


def _opensta_internal(cell, pin, powers: Sequence[InternalPower], states, instance, timing) -> float:
    if not powers:
        return 0.0
    edges = len(states.waves[pin].times)
    output = cell.pins[pin].direction == "output"
    load = timing.load[instance.pins[pin][0]] if output else 0.0
    total, sums = 0.0, {}
    shares = []
    for power in powers:
        duty = _duty(cell, pin, power, states)
        if not output:
            shares.append(duty)
            continue
        density = sum(len(states.waves[name].times) for name in power.related[:1] if name in states.waves)
        shares.append(density * duty)
        sums[power.supply] = sums.get(power.supply, 0.0) + density * duty
    for power, share in zip(powers, shares, strict=True):
        weight = share if not output else (share / sums[power.supply] if sums[power.supply] else 0.0)
        related = power.related[0] if output and power.related else pin
        if related not in instance.pins:
            continue
        slews = timing.slew(instance.pins[related][0])
        found = [
            table(_opensta_slew(cell, pin, related, edge, slews) if output else slews[edge], load)
            for edge, table in enumerate((power.rise, power.fall))
            if table is not None
        ]
        if found:
            total += weight * sum(found) / len(found) * edges
    return total


def _opensta_slew(cell, pin, related, edge, slews):
    senses = {arc.sense for arc in cell.pins[pin].arcs if related in arc.related}
    if cell.storage or cell.clock_gate:
        return slews[0]
    return slews[1 - edge] if senses == {"negative_unate"} else slews[edge]


def _duty(cell, pin, power, states):
    """Return how likely a group's condition is; without one, how likely its pin decides the output."""
    if power.when is not None:
        return power.when.probability({name: states.ones.get(name, 0.0) for name in power.when.pins})
    function = cell.pins[pin].function
    if cell.pins[pin].direction != "output" or not power.related:
        return 1.0
    related = power.related[0]
    if function is None or related not in function.pins:
        return 1.0 if related in cell.pins and cell.pins[related].clock else 0.5
    others, rows = function.sensitive(related)
    total = 0.0
    for bits in rows:
        part = 1.0
        for name, bit in zip(others, bits, strict=True):
            part *= states.ones.get(name, 0.0) if bit else 1 - states.ones.get(name, 0.0)
        total += part
    return total

"""Loads, slews and delays of a netlist by Liberty's tables: for energy and glitches, not for sign-off.

Slews are the worst of all arcs, as OpenSTA takes them; clocks and inputs are ideal (slew 0).
"""

from functools import cached_property

from asic.netlist import Netlist


__all__ = ["Timing"]


class Timing:
    """Electrical state of a netlist.

    Parameters
    ----------
    netlist
        The netlist.
    wire
        Capacitance of the wire of each net, in F.
    largest
        Take the largest capacitance that the library names for a pin, as OpenSTA does, instead of the mean.
    """

    def __init__(self, netlist: Netlist, *, wire: float = 0.0, largest: bool = False):
        self.netlist = netlist
        library = netlist.library
        self.load = [wire] * len(netlist.names)
        for instance in netlist.cells:
            cell = library[instance.kind]
            for pin in cell.inputs:
                for net in instance.pins.get(pin, ()):
                    self.load[net] += (
                        cell.pins[pin].capacitance_max if largest else cell.pins[pin].capacitance
                    )
        self._propagate()

    def slew(self, net: int) -> tuple[float, float]:
        """Return the slews of a net's rising and falling edge, in s."""
        return self._slews.get(net, (0.0, 0.0))

    @cached_property
    def _order(self) -> list[int]:
        """Numbers of cells, each after those that feed it; storage starts paths."""
        netlist, library = self.netlist, self.netlist.library
        missing, order = {}, []
        for number, instance in enumerate(netlist.cells):
            cell = library[instance.kind]
            nets = (
                []
                if cell.storage or cell.clock_gate
                else [
                    net for pin in cell.inputs for net in instance.pins.get(pin, ()) if net in netlist.drivers
                ]
            )
            missing[number] = len(nets)
            if not nets:
                order.append(number)
        for number in order:
            instance = netlist.cells[number]
            for pin in library[instance.kind].outputs:
                for net in instance.pins.get(pin, ()):
                    for user, _ in netlist.loads.get(net, ()):
                        cell = library[netlist.cells[user].kind]
                        if not (cell.storage or cell.clock_gate):
                            missing[user] -= 1
                            if not missing[user]:
                                order.append(user)
        return order

    def _propagate(self):
        netlist, library = self.netlist, self.netlist.library
        self._slews: dict[int, tuple[float, float]] = {}
        self._delays: dict[tuple[int, str, int], tuple[float, float]] = {}
        for number in self._order:
            instance = netlist.cells[number]
            cell = library[instance.kind]
            if cell.clock_gate:
                continue  # clocks are ideal
            for pin in cell.outputs:
                for net in instance.pins.get(pin, ()):
                    worst = [0.0, 0.0]
                    for arc in cell.pins[pin].arcs:
                        if arc.kind in ("clear", "preset"):
                            continue
                        for related in arc.related:
                            source = instance.pins[related][0]
                            self._arc(number, pin, arc, source, net, worst)
                    self._slews[net] = (worst[0], worst[1])

    def _arc(self, number, pin, arc, source, net, worst):
        """Take an arc into account: slews of both edges, and delays from ``source``."""
        slews, load = self.slew(source), self.load[net]
        known = self._delays.get((number, pin, source), (0.0, 0.0))
        delays = list(known)
        for edge in (0, 1):
            if arc.kind in ("rising_edge", "falling_edge"):
                causes = [slews[0 if arc.kind == "rising_edge" else 1]]
            elif arc.sense == "positive_unate":
                causes = [slews[edge]]
            elif arc.sense == "negative_unate":
                causes = [slews[1 - edge]]
            else:
                causes = list(slews)
            for slew in causes:
                if arc.slew[edge] is not None:
                    worst[edge] = max(worst[edge], arc.slew[edge](slew, load))
                if arc.delay[edge] is not None:
                    delays[edge] = max(delays[edge], arc.delay[edge](slew, load))
        self._delays[number, pin, source] = (delays[0], delays[1])

    def delay(self, number: int, pin: str, source: int) -> tuple[float, float]:
        """Return the delays from a net to the rising and falling edge of a cell's output, in s.

        Nets that feed no arc (the state inside a register) stand for the clock.
        """
        found = self._delays.get((number, pin, source))
        if found is None:
            found = max(
                (value for (cell, out, _), value in self._own(number) if out == pin), default=(0.0, 0.0)
            )
        return found

    def _own(self, number):
        instance = self.netlist.cells[number]
        return [
            ((number, pin, source), self._delays[number, pin, source])
            for pin in self.netlist.library[instance.kind].outputs
            for source in {net for nets in instance.pins.values() for net in nets}
            if (number, pin, source) in self._delays
        ]

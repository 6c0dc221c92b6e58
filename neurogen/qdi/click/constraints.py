"""SDC of a Click circuit: data is there before its request, whoever places and routes it.

Each controller that waits for logic has a pair of constraints: the data's way, from where it was valid to
where it must have settled, takes at most a time, and the chain of delay cells beside it at least the same
time. That is the estimate for the chain over the square root of its margin, so that both sides have the same
room. There is no clock: ways begin at the clock pins of flip-flops, at other pins inside the circuit, or at
inputs. The gates from which clicks come are cut, which leaves no loop; a chain that ends in a click is
constrained without its last cell. Controllers and chains are to be kept as they are, while data logic may be
made anew.
"""

from collections.abc import Iterable, Sequence
from math import sqrt

from neurogen.qdi.click.build import ClickDesign
from neurogen.qdi.click.delays import credit_of, delay_cell
from neurogen.qdi.gates.netlist import Gate
from neurogen.qdi.gates.timing import delays_of
from neurogen.qdi.gates.verilog import port_name


__all__ = ["click_sdc"]


def click_sdc(design: ClickDesign) -> str:
    """Return the constraints of a circuit; times in ns."""
    return _Constraints(design).text()


class _Constraints:
    def __init__(self, design: ClickDesign):
        self.design, self.n, self.kit = design, design.mapped.netlist, design.mapped.kit
        self.drivers = {gate.output: gate for gate in self.n.gates}
        self.ports = {net: name for name, net in reversed(self.n.wires.items())}
        self.flops = [gate for gate in self.n.gates if not self.n.cells[gate.cell].table]
        delays = delays_of(design.mapped)
        self.most = {gate.output: max(delays.rise[k], delays.fall[k]) for k, gate in enumerate(self.n.gates)}
        self.clocked = min((min(delays.rise[k], delays.fall[k]) for k, gate in enumerate(self.n.gates)
                            if self._flop(gate.output)), default=0.0)

    def text(self) -> str:
        """Return the file."""
        design, clicks = self.design, self._clicks()
        lines = [f"# {self.n.name}: matched delays in ns, before layout ({self.kit.title})"]
        for gate in clicks:
            pins, output = self.kit.pins[gate.cell]
            lines += [f"set_disable_timing -from {pin} -to {output} [get_cells {port_name(gate.name)}]"
                      for pin in pins]
        cell = delay_cell(design.mapped)
        for name, (ends, starts) in sorted(design.paths.items()):
            count, first = design.chains[name], set(starts)
            ends = [net for net in ends if net not in first]
            if not count:
                continue
            credit = credit_of(design.mapped, design.credits.get(name, ()))
            time = (count * cell + credit) / sqrt(design.margin)
            lines.append(f"# {name}: {count} delay cells")
            latched = [net for net in ends if self._latch(net)]
            lines += self._limits("max", time, starts, self._out(net for net in ends if net not in latched))
            opened = time - max((self.most[net] for net in latched), default=0.0)
            lines += self._limits("max", opened, starts, self._in(latched))
            before, after = design.spans[name]
            last, chain = self.drivers[after], time - credit
            if last in clicks:  # that one is cut: the others take the rest
                after, chain = last.inputs[0], chain - cell
            if chain > 0:
                lines += self._limits("min", chain, [before], self._out([after]))
        lines += [f"set_dont_touch [get_cells {port_name(gate.name)}]" for gate in self.n.gates
                  if gate.name not in self.n.timed]
        return "\n".join([*lines, ""])

    def _clicks(self) -> list[Gate]:
        """Return the gates that flip-flops are clocked by."""
        gates = [self.drivers[flop.inputs[1]] for flop in self.flops if flop.inputs[1] in self.drivers]
        return list({gate.name: gate for gate in gates if self.n.cells[gate.cell].table}.values())

    def _flop(self, net: int) -> bool:
        return net in self.drivers and not self.n.cells[self.drivers[net].cell].table

    def _latch(self, net: int) -> bool:
        return net in self.drivers and self.n.cells[self.drivers[net].cell].name == "NG_LATCH"

    def _out(self, nets: Iterable[int]) -> list[str]:
        """Return the pins that drive nets."""
        gates = [self.drivers[net] for net in dict.fromkeys(nets) if net in self.drivers]
        return [f"{port_name(gate.name)}/{self.kit.pins[gate.cell][1]}" for gate in gates]

    def _in(self, nets: Iterable[int]) -> list[str]:
        """Return data and gate of the latches that drive nets: timing analysis ends there."""
        return [f"{port_name(gate.name)}/{pin}" for gate in (self.drivers[net] for net in dict.fromkeys(nets))
                for pin in self.kit.pins[gate.cell][0][:2]]

    def _limits(self, kind: str, time: float, starts: Iterable[int], to: Sequence[str]) -> list[str]:
        """Return the constraints from nets to pins: from clock pins, from other pins and ports."""
        clocks, pins, ports = [], [], []
        for net in dict.fromkeys(starts):
            if self._flop(net):
                gate = self.drivers[net]
                clocks.append(f"{port_name(gate.name)}/{self.kit.pins[gate.cell][0][1]}")
            elif net in self.drivers:
                pins += self._out([net])
            elif net in self.ports:
                ports.append(port_name(self.ports[net]))
        lines = []
        for found, command, more in ((clocks, "get_pins", self.clocked), (pins, "get_pins", 0.0),
                                     (ports, "get_ports", 0.0)):
            if found and to:
                lines.append(f"set_{kind}_delay {time + more:.3f} -from [{command} {{{' '.join(found)}}}] "
                             f"-to [get_pins {{{' '.join(to)}}}]")
        return lines

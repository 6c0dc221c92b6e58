"""Netlists as structural Verilog: generic cells or those of a PDK, a test bench, and constraints.

Instances keep the ids of their nodes and carry the source line of the Python function in ``src``. Rails come
as vectors: ``x_f``, ``x_t`` and ``x_a`` for a channel x of bits, ``x_r`` for one without data, ``x_h`` for a
one-hot word.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from neurogen.qdi.gates.cells import CELLS
from neurogen.qdi.gates.mapping import Mapped
from neurogen.qdi.gates.netlist import ZERO, Channel, Gate, Netlist
from neurogen.qdi.gates.simulate import Delays


__all__ = ["cells_verilog", "isochronic_forks", "port_name", "sdc", "bench_verilog", "verilog"]

_EQUATIONS = {
    "NG_DELAY": "a", "NG_INV": "~a", "NG_AND2": "a & b", "NG_OR2": "a | b", "NG_OR3": "a | b | c",
    "NG_OR4": "a | b | c | d",
    "NG_NOR2": "~(a | b)", "NG_NOR3": "~(a | b | c)", "NG_AO22": "a & b | c & d", "NG_XOR2": "a ^ b",
    "NG_XNOR2": "~(a ^ b)", "NG_MUX2": "s ? b : a", "NG_MUTEX": "r & ~o",
    "NG_LATCH": "~rst & (en & d | ~en & y)",
    "NG_C2": "a & b | y & (a | b)", "NG_C3": "a & b & c | y & (a | b | c)",
    "NG_C4": "a & b & c & d | y & (a | b | c | d)",
    "NG_C2R": "~rst & (a & b | y & (a | b))", "NG_C2S": "rst | a & b | y & (a | b)",
    "NG_TH23": "a & b | a & c | b & c | y & (a | b | c)",
    "NG_TH34W2": "a & (b | c | d) | b & c & d | y & (a | b | c | d)",
    "NG_THXOR": "a & b | c & d | y & (a | b | c | d)",
    "NG_THAND": "a & b | b & c | a & d | y & (a | b | c | d)",
}


def port_name(name: str) -> str:
    """Return the name of a port, wire or instance as Verilog takes it."""
    text = re.sub(r"\W", "_", name.replace(".", "__"))
    return text if re.match(r"[A-Za-z_]", text) else f"n{text}"


def cells_verilog() -> str:
    """Return models of the generic cells for simulation; ``DELAY`` is in the unit of the time scale."""
    parts = []
    for name, cell in CELLS.items():
        ports = ", ".join(f"input {pin}" for pin in cell.pins)
        if name in _EQUATIONS:
            body = f"  assign #DELAY y = {_EQUATIONS[name]};\n"
            parts.append(f"module {name} #(parameter DELAY = 1) ({ports}, output y);\n{body}endmodule\n")
        elif not cell.table:
            one = int(name == "NG_DFFS")
            body = f"  always @(posedge clk or posedge rst) y <= #DELAY rst ? 1'b{one} : d;\n"
            parts.append(f"module {name} #(parameter DELAY = 1) ({ports}, output reg y);\n{body}endmodule\n")
        else:
            raise ValueError(f"Model of {name} must be known")
    return "\n".join(parts)


def _ports(name: str, c: Channel) -> list[tuple[str, list[int]]]:
    """Return the vectors of rails of a channel: (port, nets from the lowest bit)."""
    name = port_name(name)
    if c.hot:
        return [(f"{name}_h", list(c.digits[0]))]
    if not c.width:
        return [(f"{name}_r", [c.digits[0][0]])]
    return [(f"{name}_{side}", [digit[k] for digit in c.digits]) for k, side in enumerate("ft")]


def verilog(design: Netlist | Mapped, *, delays: Sequence[int] | Delays | None = None) -> str:
    """Return a module.

    Parameters
    ----------
    design
        Generic cells (`cells_verilog` has their models), or cells of a PDK.
    delays
        ``DELAY`` of each instance of a generic cell, in the order of the netlist, or ``RISE`` and ``FALL`` in
        ns of each instance of a PDK's (`neurogen.qdi.click.verilog.models_verilog` has their models).
    """
    n = design.netlist if isinstance(design, Mapped) else design
    names = _Names(n)
    ports, assigns = [], []
    for side, channels in (("input", n.inputs), ("output", n.outputs)):
        other = "output" if side == "input" else "input"
        for name, c in channels.items():
            for port, nets in [*_ports(name, c), (f"{port_name(name)}_a", [c.a])]:
                kind = other if port.endswith("_a") else side
                ports.append(f"{kind} [{len(nets) - 1}:0] {port}")
                for k, net in enumerate(nets):
                    if kind == "input":
                        names.take(net, f"{port}[{k}]")
                    else:
                        assigns.append((f"{port}[{k}]", net))
    driven = {gate.output for gate in n.gates}
    for name, net in n.wires.items():
        incoming = net not in driven and names.of(net) is None
        ports.append(f"{'input' if incoming else 'output'} {port_name(name)}")
        if incoming:
            names.take(net, port_name(name))
        else:
            assigns.append((port_name(name), net))
    for pin, net in (("clk", n.clk), ("rst", n.rst)):
        if net:
            ports.insert(0, f"input {pin}")
            names.take(net, pin)
    lines = [f"module {port_name(n.name)} (", *(f"  {p}{',' if k + 1 < len(ports) else ''}"
                                           for k, p in enumerate(ports)), ");"]
    inner = [net for gate in n.gates for net in (*gate.inputs, gate.output) if names.of(net) is None]
    for net in dict.fromkeys(inner):
        names.make(net)
        lines.append(f"  wire {names.of(net)};")
    for k, gate in enumerate(n.gates):
        pins, output = _pins(design, gate)
        wiring = ", ".join([*(f".{pin}({names.of(net)})" for pin, net in zip(pins, gate.inputs, strict=True)),
                            f".{output}({names.of(gate.output)})"])
        where = n.blocks.get(gate.block, ("", ""))[1]
        source = f', src = "{where}"' if where else ""
        delay = ""
        if isinstance(delays, Delays):
            delay = f" #(.RISE({delays.rise[k]:.4f}), .FALL({delays.fall[k]:.4f}))"
        elif delays is not None:
            delay = f" #(.DELAY({delays[k]}))"
        lines.append(f"  (* keep{source} *) {gate.cell}{delay} {port_name(gate.name)} ({wiring});")
    lines += [f"  assign {port} = {names.of(net)};" for port, net in assigns]
    return "\n".join([*lines, "endmodule", ""])


def _pins(design: Netlist | Mapped, gate: Gate) -> tuple[Sequence[str], str]:
    if isinstance(design, Mapped):
        return design.kit.pins[gate.cell]
    return CELLS[gate.cell].pins, "y"


class _Names:
    """Verilog names of nets, unique."""

    def __init__(self, n: Netlist):
        self.n, self.names, self.taken = n, {ZERO: "1'b0"}, set()

    def of(self, net: int) -> str | None:
        return self.names.get(net)

    def take(self, net: int, name: str) -> None:
        self.names.setdefault(net, name)
        self.taken.add(name)

    def make(self, net: int) -> None:
        name = port_name(self.n.nets[net]) + "_w"
        while name in self.taken:
            name += f"_{net}"
        self.take(net, name)


def bench_verilog(n: Netlist, tokens: Mapping[str, Sequence[int]], expected: Mapping[str, int], *,
                  reset: int = 5000, limit: int = 10_000_000) -> str:
    """Return a test bench that sends tokens and writes ``name value`` for each result, then ``done``.

    Reset lasts ``reset`` time units; it stops at ``limit`` with ``timeout``. Channels only: no clocked or
    bundled borders.
    """
    lines = ["`timescale 1ns/1ps", "module bench;", "  reg rst = 1;",
             f"  integer left = {sum(expected.values())};",
             *(f"  integer due_{port_name(name)} = {expected.get(name, 0)};" for name in n.outputs)]
    wiring = [".rst(rst)"] if n.rst else []
    for side, channels in ((0, n.inputs), (1, n.outputs)):
        for name, c in channels.items():
            for port, nets in _ports(name, c):
                kind, start = ("wire", "") if side else ("reg", " = 0")
                lines.append(f"  {kind} [{len(nets) - 1}:0] {port}{start};")
                wiring.append(f".{port}({port})")
            ack = f"{port_name(name)}_a"
            lines.append(f"  {'reg' if side else 'wire'} {ack}{' = 0' if side else ''};")
            wiring.append(f".{ack}({ack})")
    lines += [f"  {port_name(n.name)} dut ({', '.join(wiring)});", f"  initial #{reset} rst = 0;",
              f"  initial begin #{limit} $display(\"timeout\"); $finish; end"]
    for name, c in n.inputs.items():
        lines += ["  initial begin", f"    #{2 * reset};"]
        ports = _ports(name, c)
        for token in tokens.get(name, ()):
            up = set(c.rails_of(token))
            sets = " ".join(f"{port} = {len(nets)}'b{''.join(str(int(x in up)) for x in reversed(nets))};"
                            for port, nets in ports)
            clear = " ".join(f"{port} = 0;" for port, _ in ports)
            ack = f"{port_name(name)}_a"
            lines.append(f"    #1 {sets} wait ({ack} === 1); #1 {clear} wait ({ack} === 0);")
        lines.append("  end")
    for name, c in n.outputs.items():
        ports, ack = _ports(name, c), f"{port_name(name)}_a"
        valid, neutral, value = _conditions(ports, c)
        due = f"due_{port_name(name)}"
        lines += ["  always begin", f"    wait ({valid}); $display(\"{name} %0d\", {value});",
                  f"    if ({due} > 0) begin {due} = {due} - 1; left = left - 1; end",
                  f"    #1 {ack} = 1; wait ({neutral}); #1 {ack} = 0;",
                  f"    if (left == 0) begin #{reset} $display(\"done\"); $finish; end", "  end"]
    return "\n".join([*lines, "endmodule", ""])


def _conditions(ports: list[tuple[str, list[int]]], c: Channel) -> tuple[str, str, str]:
    first = ports[0][0]
    if len(ports) == 1:
        return f"(|{first}) === 1", f"(|{first}) === 0", first if c.hot else "0"
    t = ports[1][0]
    return f"(&({first} | {t})) === 1", f"(|({first} | {t})) === 0", t


def _arcs(n: Netlist) -> Iterator[tuple[Gate, int, int]]:
    """Yield (gate, number of its input, net) for each timing arc."""
    for gate in n.gates:
        for k, net in enumerate(gate.inputs):
            yield gate, k, net


def sdc(mapped: Mapped) -> str:
    """Return constraints for synthesis and timing analysis.

    Feedback arcs of cells with hysteresis are cut, then one arc of each handshake cycle that is left, so that
    no loop remains; every cell is kept as it is.
    """
    n = mapped.netlist
    numbers = {gate.name: gate for gate in n.gates}
    feedback = [(numbers[name], k) for name, k in mapped.feedback]
    cut = feedback + _cuts(n, {(gate.name, k) for gate, k in feedback})
    lines = [f"# {n.name}: loops cut for timing analysis, cells to be kept ({mapped.kit.title})"]
    for gate, k in cut:
        pins, output = mapped.kit.pins[gate.cell]
        lines.append(f"set_disable_timing [get_cells {port_name(gate.name)}] -from {pins[k]} -to {output}")
    lines += [f"set_dont_touch [get_cells {port_name(gate.name)}]" for gate in n.gates]
    return "\n".join([*lines, ""])


def _cuts(n: Netlist, without: set[tuple[str, int]]) -> list[tuple[Gate, int]]:
    """Return arcs (gate, input) without which the gates form no cycle: the back edges of a walk."""
    readers: dict[int, list[tuple[int, int]]] = {}
    for number, gate in enumerate(n.gates):
        for k, net in enumerate(gate.inputs):
            if (gate.name, k) not in without:
                readers.setdefault(net, []).append((number, k))
    state = [0] * len(n.gates)  # 1: on the path, 2: done
    cut = []
    for root in range(len(n.gates)):
        if state[root]:
            continue
        state[root] = 1
        stack = [(root, iter(readers.get(n.gates[root].output, ())))]
        while stack:
            at, more = stack[-1]
            for number, k in more:
                if state[number] == 1:
                    cut.append((n.gates[number], k))
                elif not state[number]:
                    state[number] = 1
                    stack.append((number, iter(readers.get(n.gates[number].output, ()))))
                    break
            else:
                state[at] = 2
                stack.pop()
    return cut


def isochronic_forks(n: Netlist) -> list[str]:
    """Return a line for each net that forks: its branches must arrive at about the same time."""
    readers: dict[int, list[str]] = {}
    for gate, _, net in _arcs(n):
        readers.setdefault(net, []).append(port_name(gate.name))
    fixed = {ZERO, n.rst, n.clk}
    return [f"{port_name(n.nets[net])}: {' '.join(sorted(set(names)))}"
            for net, names in sorted(readers.items())
            if net not in fixed and len(set(names)) > 1]

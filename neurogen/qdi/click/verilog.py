"""The emitted Click netlist in a simulator of Verilog: models of the library's cells, and a test bench.

The models are written from the tables of the kit, with the delays of each instance as parameters in ns: so
the netlist that a user gets is run as it is, by a program that shares nothing with the simulator here but
those figures.
"""

from collections.abc import Mapping, Sequence

from neurogen.qdi.click.build import ClickDesign
from neurogen.qdi.gates.cells import HOLD, Cell
from neurogen.qdi.gates.mapping import Kit
from neurogen.qdi.gates.verilog import port_name


__all__ = ["HELD", "bench_verilog", "models_verilog"]

HELD = 0.5
"""ns for which data stays after its acknowledge, and after which a result is acknowledged."""
_BUNDLED = 0.02  # ns from data to its request


def models_verilog(kit: Kit) -> str:
    """Return a module for each cell of a kit, with parameters ``RISE`` and ``FALL`` in ns."""
    parts = ["`timescale 1ns/1ps"]
    for name, cell in kit.cells.items():
        pins, output = kit.pins[name]
        ports = ", ".join([*(f"input {pin}" for pin in pins), f"output {output}"])
        rise, fall = (ps / 1000 for ps in kit.delay[name])
        delays = f"parameter real RISE = {rise:.4f}, parameter real FALL = {fall:.4f}"
        head = f"module {name} #({delays}) ({ports});"
        parts.append("\n".join([head, *_body(cell, pins, output), "endmodule"]))
    return "\n\n".join(parts) + "\n"


def _body(cell: Cell, pins: Sequence[str], output: str) -> list[str]:
    if cell.table:
        up, hold = (_terms(cell, pins, value) for value in (1, HOLD))
        equation = f"({up}) | {output} & ({hold})" if hold else up
        return [f"  assign #(RISE, FALL) {output} = {equation};"]
    data, clock, reset = pins  # active low
    one = int(cell.name == "NG_DFFS")
    return ["  reg held;",
            f"  always @(posedge {clock} or negedge {reset}) held <= {reset} ? {data} : 1'b{one};",
            f"  assign #(RISE, FALL) {output} = held;"]


def _terms(cell: Cell, pins: Sequence[str], value: int) -> str:
    """Return the inputs at which a cell's table has a value, as a sum of products."""
    terms = []
    for number in range(1 << len(pins)):
        high = [number >> k & 1 for k in range(len(pins))]
        if cell.table[sum(w for w, x in zip(cell.weights, high, strict=True) if x)] == value:
            terms.append(" & ".join(pin if x else f"~{pin}" for pin, x in zip(pins, high, strict=True)))
    return " | ".join(terms)


def bench_verilog(design: ClickDesign, tokens: Mapping[str, Sequence[int]], expected: Mapping[str, int], *,
                  reset: float = 100.0, limit: float = 1e8) -> str:
    """Return a test bench that sends tokens and writes ``name value`` for each result, then ``done``.

    Times are in ns: reset lasts ``reset``, and it stops at ``limit`` with ``timeout``. Data stays `HELD`
    after its acknowledge, and a result is acknowledged as long after its request.
    """
    n = design.mapped.netlist
    widths: dict[str, int] = {}
    for wire in n.wires:
        port, _, kind = wire.rpartition(".")
        widths[port] = widths.get(port, 0) + kind.startswith("data")
    inputs = [port for port in widths if f"{port}.treq" in n.wires]
    outputs = [port for port in widths if f"{port}.xreq" in n.wires]
    lines = ["`timescale 1ns/1ps", "module bench;", "  reg live = 0;",
             f"  integer left = {sum(expected.values())};"]
    wiring = []
    if n.rst:
        lines.append("  reg rst = 1;")
        wiring.append(".rst(rst)")
    for wire in n.wires:
        port, _, kind = wire.rpartition(".")
        name = port_name(wire)
        given = kind == "xack" or (port in inputs and kind != "tack")
        lines.append(f"  reg {name} = 0;" if given else f"  wire {name};")
        wiring.append(f".{name}({name})")
    lines += [f"  {port_name(n.name)} dut ({', '.join(wiring)});",
              f"  initial begin #{reset:g} live = 1;{' rst = 0;' if n.rst else ''} end",
              f"  initial begin #{limit:.0f} $display(\"timeout\"); $finish; end"]
    for port in inputs:
        bits = _bits(port, widths[port])
        request, answer = (port_name(f"{port}.{kind}") for kind in ("treq", "tack"))
        lines += ["  initial begin", f"    #{2 * reset:g};"]
        for token in tokens.get(port, ()):
            data = f"{bits} = {widths[port]}'d{token}; " if bits else ""
            lines.append(f"    {data}#{_BUNDLED} {request} = ~{request}; @({answer}) #{HELD};")
        lines.append("  end")
    for port in outputs:
        bits = _bits(port, widths[port])
        request, answer = (port_name(f"{port}.{kind}") for kind in ("xreq", "xack"))
        due = f"due_{port_name(port)}"
        lines += [f"  integer {due} = {expected.get(port, 0)};",
                  f"  always @({request}) if (live) begin",
                  f"    $display(\"{port} %0d\", {bits or '0'});",
                  f"    if ({due} > 0) begin {due} = {due} - 1; left = left - 1; end",
                  "    if (left == 0) begin $display(\"done\"); $finish; end",
                  f"    #{HELD} {answer} = ~{answer};", "  end"]
    return "\n".join([*lines, "endmodule", ""])


def _bits(port: str, width: int) -> str:
    """Return the data of a port, or nothing."""
    names = ", ".join(port_name(f"{port}.data{k}") for k in reversed(range(width)))
    return f"{{{names}}}" if width else ""

"""A test bench in Verilog for any netlist of a design, with what its RTL saw and did."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from neurogen.spec.checks import check_int


__all__ = ["read_ports", "write_bench"]


_BENCH = """// Drives {top} with what its RTL saw, and compares all outputs cycle by cycle.
// A line of stimulus.txt: cycles, inputs, expected outputs, mask of the outputs that count (all hexadecimal).
`timescale 1ns/1ps
module tb;
  reg clk = 1'b0;
  always #({half}) clk = ~clk;
{declarations}
  {top} dut ({connections});
  reg [{inputs_top}:0] drive;
  reg [{outputs_top}:0] want, mask;
  wire [{outputs_top}:0] got = {{{outputs}}};
  integer file, read, cycles, line, errors, compared;
  assign {{{inputs}}} = drive;
  initial begin
    errors = 0; compared = 0; line = 0; drive = 0;
`ifdef VCD
    $dumpfile("gates.vcd"); $dumpvars(0, tb.dut);
`endif
    file = $fopen("stimulus.txt", "r");
    if (file == 0) begin $display("FAIL: stimulus.txt is not there"); $finish; end
    @(posedge clk); #({after});
    while (!$feof(file)) begin
      read = $fscanf(file, "%h %h %h %h\\n", cycles, drive, want, mask);
      line = line + 1;
      if (read != 4) begin $display("FAIL: line %0d of stimulus.txt", line); $finish; end
      while (cycles > 0) begin
        cycles = cycles - 1;
        // Just before the next edge everything has settled.
        #({before});
        if ((got & mask) !== (want & mask)) begin
          errors = errors + 1;
          if (errors <= 10)
            $display("line %0d at %0t: outputs %h, not %h (mask %h)", line, $time, got, want, mask);
        end
        compared = compared + 1;
        @(posedge clk); #({after});
      end
    end
    if (errors == 0 && compared == {total}) $display("PASS: %0d cycles", compared);
    else $display("FAIL: %0d of %0d cycles differ", errors, compared);
    $finish;
  end
endmodule
"""


def write_bench(
    folder: Path,
    top: str,
    inputs: Mapping[str, tuple[int, Sequence[int]]],
    outputs: Mapping[str, tuple[int, Sequence[int]]],
    *,
    period: float = 10e-9,
    skip: int = 0,
    valid: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """Write ``tb.v`` and ``stimulus.txt``; return how many cycles and lines there are.

    Parameters
    ----------
    folder
        An existing folder.
    top
        Name of the module; its clock is ``clk``.
    inputs, outputs
        By port: its width, and its value in each cycle (inputs from the rising edge on, outputs at the end).
    period
        Clock period, in s.
    skip
        Cycles at the beginning whose outputs do not count (before and in the reset).
    valid
        Outputs that mean something only where another output is 1: by name, that other one.

    Raises
    ------
    ValueError
        If ports do not have one length.
    """
    lengths = {len(values) for _, values in [*inputs.values(), *outputs.values()]}
    if len(lengths) != 1:
        raise ValueError(f"Ports must have values for one number of cycles, not for {sorted(lengths)}")
    (cycles,) = lengths
    check_int("Cycles to skip", skip, minimum=0, maximum=cycles)
    lines: list[list] = []
    for cycle in range(cycles):
        drive = _joined((width, values[cycle]) for width, values in inputs.values())
        want = _joined((width, values[cycle]) for width, values in outputs.values())
        counts = [
            cycle >= skip and (name not in (valid or {}) or outputs[valid[name]][1][cycle] != 0)
            for name in outputs
        ]
        mask = _joined(
            (width, (1 << width) - 1 if counted else 0)
            for (width, _), counted in zip(outputs.values(), counts, strict=True)
        )
        row = [drive, want & mask, mask]
        if lines and lines[-1][1:] == row:
            lines[-1][0] += 1
        else:
            lines.append([1, *row])
    with (folder / "stimulus.txt").open("w", encoding="utf-8") as stream:
        stream.writelines(" ".join(f"{word:x}" for word in row) + "\n" for row in lines)
    declarations = [f"  wire [{width - 1}:0] {name};" for name, (width, _) in {**inputs, **outputs}.items()]
    connections = ", ".join([".clk(clk)", *(f".{name}({name})" for name in [*inputs, *outputs])])
    ns = period * 1e9
    text = _BENCH.format(
        top=top,
        half=f"{ns / 2:g}",
        before=f"{ns * 0.85:g}",
        after=f"{ns * 0.05:g}",
        total=cycles,
        declarations="\n".join(declarations),
        connections=connections,
        inputs=", ".join(reversed(inputs)),
        outputs=", ".join(reversed(outputs)),
        inputs_top=sum(width for width, _ in inputs.values()) - 1,
        outputs_top=sum(width for width, _ in outputs.values()) - 1,
    )
    (folder / "tb.v").write_text(text, encoding="utf-8")
    return {"cycles": cycles, "lines": len(lines)}


_VAR = re.compile(r"\$var\s+\S+\s+(\d+)\s+(\S+)\s+(\S+)")


def read_ports(
    path: Path, names: Sequence[str], *, period: int, edge: int, cycles: int | None = None
) -> dict[str, list[int]]:
    """Return the values of ports just before each rising edge of the clock, from a VCD file.

    Parameters
    ----------
    names
        Of the ports; the first scope that has one counts.
    period, edge
        Ticks of a cycle, and from its beginning to its rising edge.
    cycles
        How many cycles; default: all.

    Raises
    ------
    ValueError
        If a port is not in the file.
    """
    codes: dict[str, str] = {}
    now: dict[str, int] = {}
    rows: dict[str, list[int]] = {name: [] for name in names}
    first, sampled = None, 0
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if line.startswith("$enddefinitions"):
                break
            if (found := _VAR.search(line)) and found[3] in rows:
                codes.setdefault(found[3], found[2])
        if missing := [name for name in names if name not in codes]:
            raise ValueError(f"VCD file must have all ports, and {path} lacks {', '.join(missing)}")

        def sample(until: int) -> None:
            nonlocal sampled
            while (first + sampled * period + edge <= until) and (cycles is None or sampled < cycles):
                for name, code in codes.items():
                    rows[name].append(now.get(code, 0))
                sampled += 1

        for line in stream:
            if line[0] == "#":
                time = int(line[1:])
                first = time if first is None else first
                sample(time)
                if sampled == cycles:
                    break
            elif line[0] in "01xz":
                now[line[1:].strip()] = int(line[0] == "1")
            elif line[0] in "bB":
                value, _, code = line[1:].partition(" ")
                now[code.strip()] = int(re.sub("[xz]", "0", value), 2)
    return rows


def _joined(parts) -> int:
    """Return the values of ports as one word, the first lowest."""
    word, shift = 0, 0
    for width, value in parts:
        word |= (int(value) & ((1 << width) - 1)) << shift
        shift += width
    return word

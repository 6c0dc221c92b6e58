"""Which scripts Yosys gets, and what happens when it fails, with a stand-in for it."""

from pathlib import Path

import pytest

import fpga.synth
from fpga.synth import read_cells, synthesise
from neurogen.flow.tools import ToolError


FAKE = r"""
import sys
lines = open(sys.argv[1]).read()
print("Generating RTLIL representation for module `\\learner.error$159'.")
if "map_luts:check" in lines:
    print({message!r})
    print("\n".join("more about it" for _ in range(40)))
    sys.exit(1)
open("top.json", "w").write("{{}}")
print("abc" if "abc -lut" in lines else "other")
"""
ASSERT = "ERROR: Assert `it != map_autoidx.end()' failed in passes/techmap/abc9_ops.cc:1570."


VERILOG = r"""
module top(input clk, input [7:0] a, output [7:0] x, output [7:0] y);
  wire [3:0] \x[0] = a[3:0] + a[7:4];
  reg \x[1][2] ;
  reg [7:0] q;
  assign x = q;
  assign y = q ^ {{7{1'b0}}, \x[1][2] };
  always @(posedge clk) begin \x[1][2] <= \x[0] [3]; q <= a[3] ? a : q + \x[0] ; end
endmodule
"""


@pytest.fixture
def yosys(monkeypatch, tmp_path):
    """Return a function that says what abc9 fails with."""
    (tmp_path / "top.v").write_text("module top; endmodule\n")
    monkeypatch.setattr(fpga.synth, "_package", lambda: "pyosys")
    return lambda message: monkeypatch.setattr(fpga.synth, "_NATIVE", FAKE.format(message=message))


@pytest.mark.parametrize("message", [ASSERT, ASSERT.removeprefix("ERROR: "), "Assertion `x' failed"])
def test_a_failed_assertion_of_abc9_is_answered_by_abc(yosys, tmp_path, message):
    yosys(message)
    log = synthesise(tmp_path, "ecp5")
    assert log.startswith("Synthesis failed: ") and message in log
    assert log.endswith("abc\n") and (tmp_path / "top.json").exists()


def test_other_errors_are_not_answered_by_abc(yosys, tmp_path):
    yosys("ERROR: Module `top' not found!")
    with pytest.raises(ToolError, match=r"status 1\nERROR: Module `top' not found!$") as error:
        synthesise(tmp_path, "ecp5")
    assert error.value.output.count("more about it") == 40
    assert not (tmp_path / "top.json").exists()


def test_names_with_error_in_them_are_no_errors(yosys, tmp_path):
    yosys("learner.error$159 is used")
    with pytest.raises(ToolError) as error:
        synthesise(tmp_path, "ecp5")
    assert "$159" not in str(error.value) and str(error.value).endswith("more about it")


def test_elements_of_arrays_get_names_that_no_bit_has(monkeypatch, tmp_path):
    monkeypatch.setattr(fpga.synth, "_run", lambda folder, script, lines: "\n".join(lines))
    (tmp_path / "top.v").write_text(VERILOG)
    script = synthesise(tmp_path, "ecp5", outside=["top.weights"])
    text = (tmp_path / "top.v").read_text()
    assert r"wire [3:0] \x.0 = a[3:0] + a[7:4];" in text and r"{{7{1'b0}}, \x.1.2 };" in text
    assert r"begin \x.1.2 <= \x.0 [3]; q <= a[3] ? a : q + \x.0 ; end" in text
    assert "read_verilog top.v\nhierarchy -top top\nblackbox top.weights\nproc" in script


def test_cells_of_the_last_statistics_in_both_forms():
    log = "Printing statistics.\n 9 LUT4\nPrinting statistics.\n   12   LUT4\n  CCU2C    3\n 7 wires a\n"
    assert read_cells(log) == {"LUT4": 12, "CCU2C": 3}


def test_an_array_of_amaranth_is_mapped_by_abc9(tmp_path):
    """Names of its elements were those of bits, which an assertion of Yosys did not survive."""
    (tmp_path / "top.v").write_text(VERILOG)
    log = synthesise(tmp_path, "ecp5")
    assert not log.startswith("Synthesis failed") and "abc9" in log
    assert read_cells(log)["TRELLIS_FF"] == 9 and Path(tmp_path / "top.json").exists()


def test_modules_outside_are_ports_only(tmp_path):
    """Names with a dot, as Amaranth has them; what they hold is not counted, what is around them is."""
    inner = ("module \\top.m (input clk, input [7:0] a, output reg [7:0] q);\n"
             "always @(posedge clk) q <= a; endmodule")
    outer = ("module top(input clk, input [7:0] a, output [7:0] y); wire [7:0] q;\n"
             "\\top.m  m (.clk(clk), .a(a), .q(q)); assign y = q ^ {8{a[0]}}; endmodule")
    found = {}
    for outside in ((), ("top.m",)):
        (tmp_path / "top.v").write_text(f"{inner}\n{outer}\n")
        found[outside] = read_cells(synthesise(tmp_path, "ecp5", outside=outside))
    assert found[()]["TRELLIS_FF"] == 8 and "TRELLIS_FF" not in found[("top.m",)]
    assert found[()]["LUT4"] == found[("top.m",)]["LUT4"] == 8


DEEP = r"""
module top(input clk, input [12:0] r, w, input re, we, input [15:0] d, output reg [15:0] q);
  (* no_rw_check *) reg [15:0] words [0:%d];
  always @(posedge clk) begin if (we) words[w] <= d; if (re) q <= words[r]; end
endmodule
"""


@pytest.mark.parametrize(("words", "rams", "luts"), [(512, 1, False), (4096, 4, False), (4097, 8, False)])
def test_deep_memories_have_no_multiplexers(tmp_path, words, rams, luts):
    """4,097 words of 16 bits would be five block RAMs of 18 bits each, and 53 LUTs that choose among them."""
    (tmp_path / "top.v").write_text(DEEP % (words - 1))
    found = read_cells(synthesise(tmp_path, "ecp5"))
    assert (found["DP16KD"], "LUT4" in found) == (rams, luts)

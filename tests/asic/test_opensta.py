import shutil

import pytest

from asic.opensta import run_timing, sta_version
from asic.pdk import load_pdk
from neurogen.flow.tools import ToolError
from tests.asic.toy import needs_pdk, require, toy_pdk


require("libparse")

REPORT = """== setup
   2.50   slack (MET)
== hold
  -0.25   slack (VIOLATED)
== registers
a path
   4.00   slack (MET)
== end"""


@pytest.fixture
def says(tmp_path, monkeypatch):
    """Put a program `sta` on the path that prints a text, whatever it is asked."""
    def write(text):
        (tmp_path / "said").write_text(text)
        program = tmp_path / "sta"
        program.write_text(f"#!/bin/sh\ncat {tmp_path}/said\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return write


def test_slacks_are_those_of_the_report(says, tmp_path):
    says(REPORT)
    found = run_timing(tmp_path, "top", toy_pdk(), period=10e-9)
    assert found["status"] == "run" and set(found["corners"]) == {"only"}
    corner = found["corners"]["only"]
    assert corner["setup"] == pytest.approx(2.5e-9) and corner["hold"] == pytest.approx(-0.25e-9)
    assert corner["shortest_period"] == pytest.approx(6e-9) and "a path" in corner["path"]
    assert "read_verilog timing.v" in (tmp_path / "timing_only.tcl").read_text()


@pytest.mark.parametrize("half, full, period, shortest", [
    (6.2, 9.0, 20, 12.4),    # a memory that answers at the falling edge limits
    (6.2, 14.0, 20, 14.0),
    (6.2, 14.0, 50, 14.0),
    (9.0, 12.0, 10, 18.0),   # a path that is longer than the period hides the one that limits
    (0.1, 9.0, 20, 9.0),
])
def test_paths_of_half_a_period(tmp_path, monkeypatch, half, full, period, shortest):
    program = tmp_path / "sta"
    program.write_text(f"""#!/bin/sh
period=$(sed -n 's/.*-period \\([0-9.]*\\) .*/\\1/p' "$2")
awk -v p="$period" 'BEGIN {{ h = p / 2 - {half}; f = p - {full}
  e = h < f ? "fall" : "rise"; s = h < f ? h : f
  r = " clock clk (" e " edge)\\n clock clk (rise edge)\\n"; t = s " slack (MET)\\n"
  print "== setup\\n" t "== hold\\n" t "== registers\\n" r t "== end" }}'
""")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = run_timing(tmp_path, "top", toy_pdk(), period=period * 1e-9)["corners"]["only"]
    assert found["shortest_period"] == pytest.approx(shortest * 1e-9, rel=5e-3)
    assert found["registers"] == pytest.approx(1e-9 * min(period / 2 - half, period - full), rel=1e-3)


CELLS = {
    "sg13g2": ("sg13g2_dfrbpq_1", "CLK", "D", "Q", ".RESET_B(1'b1)", "sg13g2_inv_1"),
    "sky130": ("sky130_fd_sc_hd__dfxtp_1", "CLK", "D", "Q", "", "sky130_fd_sc_hd__inv_1"),
    "asap7": ("DFFHQNx1_ASAP7_75t_R", "CLK", "D", "QN", "", "INVx1_ASAP7_75t_R"),
}


@needs_pdk
@pytest.mark.skipif(shutil.which("sta") is None, reason="OpenSTA (`sta`) is not installed")
@pytest.mark.parametrize("name, low, high", [
    ("sg13g2", 0.2, 0.6), ("sky130", 0.3, 0.6), ("asap7", 0.03, 0.2)])
def test_periods_are_in_seconds_for_libraries_of_any_unit(tmp_path, name, low, high):
    flop, clock, data, out, more, inverter = CELLS[name]
    flops = "".join(f"{flop} f{n} (.{clock}(clk), .{data}({d}), .{out}({q}){', ' + more if more else ''});\n"
                    for n, d, q in ((0, "a", "b"), (1, "c", "y")))
    (tmp_path / "timing.v").write_text("module top (clk, a, y);\ninput clk, a;\noutput y;\nwire b, c;\n"
                                       f"{flops}{inverter} i (.A(b), .Y(c));\nendmodule\n")
    found = run_timing(tmp_path, "top", load_pdk(name), period=2e-9)
    shortest = next(iter(found["corners"].values()))["shortest_period"]
    assert low * 1e-9 < shortest < high * 1e-9


def test_lines_that_opensta_skips_are_errors(says, tmp_path):
    says("Error: timing.v, line 7 syntax error, unexpected '{', expecting ID.\n" + REPORT)
    with pytest.raises(ToolError, match=r"^Timing at corner only failed: OpenSTA says Error: timing"):
        run_timing(tmp_path, "top", toy_pdk())


def test_no_slack_is_an_error(says, tmp_path):
    says(REPORT.replace("   2.50   slack (MET)\n", ""))
    with pytest.raises(ToolError, match=r"OpenSTA does not say the slack \(setup\)"):
        run_timing(tmp_path, "top", toy_pdk())


def test_without_opensta_nothing_is_guessed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_timing(tmp_path, "top", toy_pdk()) == {
        "status": "not run", "reason": "OpenSTA (`sta`) is not on PATH"}
    assert sta_version() is None

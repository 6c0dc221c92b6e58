import pytest

from asic.opensta import run_timing, sta_version
from neurogen.flow.tools import ToolError
from tests.asic.toy import require, toy_pdk


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

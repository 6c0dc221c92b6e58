"""Which scripts Yosys gets, and what happens when it fails, with a stand-in for it."""

import pytest

import fpga.synth
from fpga.synth import synthesise
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


@pytest.fixture
def yosys(monkeypatch):
    """Return a function that says what abc9 fails with."""
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

import shutil

import pytest

from neurogen.flow.cocotb_run import run_cocotb
from neurogen.flow.tools import SimulationError, ToolError
from neurogen.flow.verilator import to_verilog
from neurogen.rtl.streams import Queue


BENCH = "tests.flow.queue_bench"


@pytest.fixture(scope="module")
def text():
    return to_verilog(Queue(8, 4), "queue")


def test_bench_in_verilator_passes_and_fails(text, tmp_path):
    arguments = {"verilog": text, "top": "queue", "test_module": BENCH, "build_dir": tmp_path}
    assert run_cocotb(**arguments) == 1
    with pytest.raises(SimulationError, match=r": 1 of 1 tests failed\nwords_pass"):
        run_cocotb(**arguments, env={"BREAK_BENCH": "1"})


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
def test_bench_in_icarus(text, tmp_path):
    assert run_cocotb(text, "queue", BENCH, simulator="icarus", build_dir=tmp_path) == 1


def test_missing_icarus_is_named(text, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"^iverilog is not on PATH: .*apt install iverilog"):
        run_cocotb(text, "queue", BENCH, simulator="icarus", build_dir=tmp_path)

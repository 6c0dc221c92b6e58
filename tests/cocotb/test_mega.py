# amaranth: UnusedElaboratable=no

import shutil

import numpy as np
import pytest

from neurogen.flow.cocotb_run import run_cocotb
from neurogen.flow.verilator import to_verilog
from neurogen.mapping.compile import compile_network
from neurogen.rtl.mega import Mega
from neurogen.spec.conv import Conv
from neurogen.spec.dense import Dense
from neurogen.spec.events import Events
from neurogen.spec.mega import MegaSpec
from neurogen.spec.pool import Flatten, SumPool
from sim.mega_bench import JOB, write_job
from tests.mapping.networks import chain


SPEC = MegaSpec(lanes=2, weight_bits=4, state_bits=14, state_depth=48, weight_depth=128, spike_depth=48)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    rng = np.random.default_rng(3)
    conv = Conv(weight=rng.integers(-3, 5, (4, 2, 3, 3)), padding=1)
    network = chain((2, 6, 6), conv, SumPool(size=2),
                    Flatten(), Dense(weight=rng.integers(-3, 5, (5, 36))), state_bits=14,
                    outputs=("lif0", "lif3"))
    counts = (np.random.default_rng(4).random((4, 2, 6, 6)) < 0.3).astype(int)
    plan = compile_network(network, SPEC, observe="all")
    path = tmp_path_factory.mktemp("job") / "job.npz"
    write_job(path, network, plan, {"input": Events.from_counts(counts)})
    return path


@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_exported_verilog_equals_golden(simulator, job, tmp_path):
    if simulator == "icarus" and shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog is not installed")
    text = to_verilog(Mega(SPEC), "mega")
    arguments = {"verilog": text, "top": "mega", "test_module": "sim.mega_bench", "simulator": simulator,
                 "build_dir": tmp_path}
    assert run_cocotb(**arguments, env={JOB: str(job)}) == 1

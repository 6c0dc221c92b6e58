import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from examples.axi_conv import SPEC, AxiConv
from neurogen.flow.cocotb_run import run_cocotb
from neurogen.spec.mega import MegaSpec


ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def text():
    run = subprocess.run([sys.executable, "-m", "examples.axi_conv"], cwd=ROOT, check=True,
                         capture_output=True, text=True)
    return run.stdout


def test_ports_are_stable(text):
    start = text.index("module axi_conv(")
    module = text[start:text.index("endmodule", start)]
    ports = {line.split()[-1].rstrip(";"): " ".join(line.split()[:-1]) for line in module.splitlines()
             if line.strip().startswith(("input ", "output "))}
    assert ports == {
        "clk": "input", "rst": "input", "idle": "output",
        "s_axil__awaddr": "input [9:0]", "s_axil__awprot": "input [2:0]", "s_axil__awvalid": "input",
        "s_axil__awready": "output", "s_axil__wdata": "input [31:0]", "s_axil__wstrb": "input [3:0]",
        "s_axil__wvalid": "input", "s_axil__wready": "output", "s_axil__bresp": "output [1:0]",
        "s_axil__bvalid": "output", "s_axil__bready": "input", "s_axil__araddr": "input [9:0]",
        "s_axil__arprot": "input [2:0]", "s_axil__arvalid": "input", "s_axil__arready": "output",
        "s_axil__rdata": "output [31:0]", "s_axil__rresp": "output [1:0]", "s_axil__rvalid": "output",
        "s_axil__rready": "input", "s_axis__tdata": "input [31:0]", "s_axis__tvalid": "input",
        "s_axis__tready": "output", "m_axis__tdata": "output [31:0]", "m_axis__tvalid": "output",
        "m_axis__tready": "input", "m_axis__tlast": "output",
    }


@pytest.mark.parametrize("simulator", ["verilator", pytest.param("icarus", marks=pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus Verilog is not installed"))])
def test_cocotb_on_the_verilog(text, tmp_path, simulator):
    assert run_cocotb(text, "axi_conv", "tests.examples.axi_conv_bench", simulator=simulator,
                      build_dir=tmp_path) == 3


def test_wrong_parameters():
    with pytest.raises(TypeError, match=r"^Engine parameters must be a MegaSpec, not 4$"):
        AxiConv(4)
    external = MegaSpec(**SPEC.to_dict() | {"external": True})
    with pytest.raises(ValueError, match=r"^Engine parameters must be without external memory, which nobody "
                                         "would answer$"):
        AxiConv(external)

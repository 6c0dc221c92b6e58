import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from examples.wishbone_conv import WishboneConv
from neurogen.flow.cocotb_run import run_cocotb


ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def text():
    run = subprocess.run([sys.executable, "-m", "examples.wishbone_conv"], cwd=ROOT, check=True,
                         capture_output=True, text=True)
    return run.stdout


def test_ports_are_stable(text):
    start = text.index("module wishbone_conv(")
    module = text[start:text.index("endmodule", start)]
    ports = {line.split()[-1].rstrip(";"): " ".join(line.split()[:-1]) for line in module.splitlines()
             if line.strip().startswith(("input ", "output "))}
    assert ports == {
        "clk": "input", "rst": "input", "interrupt": "output", "bus__cyc": "input", "bus__stb": "input",
        "bus__we": "input", "bus__adr": "input [5:0]", "bus__dat_w": "input [31:0]",
        "bus__dat_r": "output [31:0]", "bus__ack": "output",
    }


def test_cocotb_on_the_verilog(text, tmp_path):
    # The same engine as of `axi_conv`, which runs in both: here in the one that has less to compile.
    simulator = "icarus" if shutil.which("iverilog") else "verilator"
    assert run_cocotb(text, "wishbone_conv", "tests.examples.wishbone_conv_bench", simulator=simulator,
                      build_dir=tmp_path) == 2


def test_wrong_parameters():
    with pytest.raises(TypeError, match=r"^Engine parameters must be a MegaSpec, not 4$"):
        WishboneConv(4)

"""The estimator against figures that OpenSTA 3.1 gave for a netlist of the same description."""

import pytest

from asic.gatesim import GateModel
from asic.netlist import read_netlist
from asic.pdk import load_pdk
from asic.power import estimate
from asic.yosys import quoted, run_yosys
from neurogen.flow.verilator import to_verilog
from tests.asic.lif8_port import PUBLISHED, SCRIPT, Lif8Port, inputs
from tests.asic.toy import needs_pdk, require


require("libparse", "pyosys")


@needs_pdk
@pytest.mark.slow
@pytest.mark.parametrize("kit", list(PUBLISHED))
def test_power_is_that_of_opensta(tmp_path, kit):
    pdk, wanted = load_pdk(kit), PUBLISHED[kit]
    (tmp_path / "lif8.v").write_text(to_verilog(Lif8Port(), "lif8"))
    cells = pdk.data["cells"]
    names = {"lib": quoted(pdk.liberty_files()[0]), "high": " ".join(cells["tie_high"]),
             "low": " ".join(cells["tie_low"])}
    run_yosys(tmp_path, "synth", ["read_verilog lif8.v", *(line.format(**names) for line in SCRIPT)])
    netlist = read_netlist(tmp_path / "netlist.json", "lif8", pdk.library)
    area = sum(pdk.library[instance.kind].area for instance in netlist.cells)
    other = abs(area / wanted["area"] - 1)  # versions of Yosys make other netlists
    assert other < 0.05
    activity = GateModel(netlist).run(inputs()).activity
    ours = {name: estimate(netlist, activity, semantics=name).total * 1e6 for name in ("liberty", "opensta")}
    assert ours["opensta"] == pytest.approx(wanted["opensta31"], rel=0.02 + other)
    assert ours["opensta"] / ours["liberty"] == pytest.approx(wanted["opensta"] / wanted["liberty"], rel=0.02)

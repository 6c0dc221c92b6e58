import itertools
from importlib.util import find_spec

import pytest

from asic.__main__ import main
from asic.drc import check_rules, count_violations
from asic.flexcells import FUNCTIONS, switch_level, write_functions
from asic.layout import _routed, kit_of, make_layout
from asic.liberty import read_liberty
from asic.route import pin_sides
from neurogen.flow.errors import UserError
from neurogen.flow.tools import ToolError
from tests.asic.toy import require


INVERTER = [("n", "i", "vss", "nq"), ("p", "i", "vdd", "nq")]
NAND = [("n", "i0", "vss", "m"), ("n", "i1", "m", "nq"), ("p", "i0", "nq", "vdd"), ("p", "i1", "vdd", "nq")]
XOR = """module parity(input clk, input [3:0] d, output reg q, output reg [1:0] n);
  always @(posedge clk) begin q <= ^d; n <= d[1:0] + d[3:2]; end
endmodule"""


def test_transistors_compute():
    assert [switch_level(INVERTER, {"i": i})["nq"] for i in (0, 1)] == [1, 0]
    for a, b in itertools.product((0, 1), repeat=2):
        assert switch_level(NAND, {"i0": a, "i1": b})["nq"] == 1 - (a & b)
    assert "nq" not in switch_level(INVERTER[:1], {"i": 0})  # nothing drives it


def test_functions_are_a_library(tmp_path):
    require("libparse")
    write_functions(tmp_path / "flex.lib", {**dict.fromkeys(FUNCTIONS, 2.5), "dff_x1": 10.0})
    cells = read_liberty(tmp_path / "flex.lib")
    assert set(cells) == {*FUNCTIONS, "dff_x1"} and cells["nand3_x0"].area == 2.5
    assert cells["dff_x1"].storage["kind"] == "ff"
    assert cells["and21nor_x0"].inputs == ("i0", "i1", "i2") and "nexor2_x0" not in cells


def test_pins_have_sides():
    ins, outs = pin_sides(["clk", "rst", "w(1)", "w(0)", "w(10)"], ["q", "s(0)"])
    assert ins == {"rst": 1, "w({})": [0, 1, 10]} and outs == {"q": 1, "s({})": [0]}


def test_all_wires_must_be_routed():
    good = ("  - Track Segment Completion Ratio ......... 100% [1265+0]\n"
            "  - Wire Length Completion Ratio ......... 100% [4477um+0]\n")
    assert _routed(good) == (1265, 4477)
    for bad in ("", good.replace("100% [1265+0]", "99.98% [1263+2]"), good.replace("+0]", "+4]")):
        with pytest.raises(ToolError, match=r"^Place and route failed: Coriolis does not say"):
            _routed(bad)


def test_violations_are_counted(tmp_path):
    path = tmp_path / "rules.xml"
    path.write_text("<report-database><items><item><category>'m1 space'</category></item>"
                    "<item><category>via</category></item><item><category>'m1 space'</category></item>"
                    "</items></report-database>")
    assert count_violations(path) == {"m1 space": 2, "via": 1}
    path.write_text("<report-database><items/></report-database>")
    assert count_violations(path) == {}
    path.write_text("<report-data")
    with pytest.raises(ToolError, match=r"^Design rules failed: KLayout's report cannot be read"):
        count_violations(path)


def test_rules_are_not_run_without_klayout(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check_rules(tmp_path / "a.gds", "a", tmp_path / "b", tmp_path)["status"] == "not run"


def test_bad_requests_are_refused(tmp_path, capsys):
    with pytest.raises(UserError, match=r"^Kit of a layout must be one of sky130, .*, not 'asap7'$"):
        kit_of("asap7")
    if find_spec("coriolis") is None:
        with pytest.raises(UserError, match=r"^Layouts need coriolis, .*pip install 'neurogen\[layout\]'"):
            kit_of("sky130")
    with pytest.raises(SystemExit):
        main(["layout", "--out", str(tmp_path), "--pdk", "sky130"])
    assert "Folder of a layout must be new" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("kit", ["sky130hd", "sg13g2"])
def test_a_small_block_is_laid_out(kit, tmp_path):
    if find_spec("coriolis") is None:
        pytest.skip("pip install 'neurogen[layout]'")
    made = make_layout(XOR, "parity", kit, tmp_path)
    assert made["cells"] > 5 and made["segments"] > 10 and made["width_um"] > 10
    assert (tmp_path / "parity.gds").stat().st_size > 10_000
    for name in ("parity.png", "parity_zoom.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")

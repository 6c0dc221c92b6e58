"""OpenSTA, where it is installed, reads the constraints of a Click circuit and finds them met by Liberty."""

import re
import subprocess

import pytest

from asic.opensta import clean_liberty, find_sta
from asic.pdk import load_pdk
from neurogen.qdi import compile
from neurogen.qdi.click import build, click_sdc
from neurogen.qdi.gates.mapping import load_kit
from neurogen.qdi.gates.verilog import verilog
from tests.asic.toy import needs_pdk
from tests.qdi.functions import loop_test


def slacks(folder, pdk, design, sdc):
    """Return the slack at each endpoint by kind, in ns."""
    library = load_pdk(pdk).liberty_files()[0].read_text(encoding="latin-1")
    (folder / "cells.lib").write_text(clean_liberty(library), encoding="latin-1")
    (folder / "netlist.v").write_text(verilog(design.mapped))
    (folder / "design.sdc").write_text(sdc)
    report = "report_checks -group_count 1000 -format summary -digits 3 -path_delay"
    (folder / "run.tcl").write_text("\n".join([
        "read_liberty cells.lib", "read_verilog netlist.v", f"link_design {design.mapped.netlist.name}",
        "proc set_dont_touch args {}", "source design.sdc", 'puts "== loops"', "check_setup -loops",
        *(f'puts "== {kind}"\n{report} {kind}' for kind in ("max", "min")), ""]))
    log = subprocess.run([find_sta(), "-exit", "run.tcl"], cwd=folder, capture_output=True, text=True,
                         check=True)
    assert "Warning" not in log.stdout + log.stderr and "Error" not in log.stdout + log.stderr
    loops, most, least = (part.partition("\n")[2] for part in log.stdout.split("== ")[1:])
    assert loops.strip() == ""
    return [[float(x) for x in re.findall(r"\s(-?\d+\.\d+)$", part, re.M)] for part in (most, least)]


@needs_pdk
@pytest.mark.skipif(find_sta() is None, reason="OpenSTA is not installed")
@pytest.mark.parametrize("kit, pdk", [("sky130", "sky130hd"), ("sg13g2", "sg13g2")])
def test_chains_are_longer_than_their_logic_by_liberty(tmp_path, kit, pdk):
    design = build(compile(loop_test), load_kit(kit))
    sdc = click_sdc(design)
    most, least = slacks(tmp_path, pdk, design, sdc)
    assert len(least) == sdc.count("set_min_delay") and len(most) > 10
    assert min(least) >= 0 and min(most) > -0.02
    wanted = re.sub(r"set_min_delay ([\d.]+)", lambda m: f"set_min_delay {2 * float(m[1]):.3f}", sdc)
    assert max(slacks(tmp_path, pdk, design, wanted)[1]) < 0  # as if the chains were half as long

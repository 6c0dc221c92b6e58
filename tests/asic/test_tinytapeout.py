import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from asic.__main__ import main
from asic.handover import HandoverError
from asic.tinytapeout import TILES, ByteArray, choose_tiles, write_tinytapeout
from neurogen.spec.lif import Lif
from tests.asic.toy import require, toy_pdk


require("libparse", "pyosys", "cocotb")
NEURONS = Lif(shape=(5,), threshold=90, decay=3840, state_bits=12, v_lo=-1024, v_hi=1023, bias=3)


def shuttle(side=1000.0):
    pdk = toy_pdk()
    flows = {**pdk.data["flows"], "tinytapeout": {"tile": [side, side], "utilisation": 0.5}}
    return replace(pdk, data={**pdk.data, "flows": flows})


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tt") / "project"
    return folder, write_tinytapeout(folder, NEURONS, shuttle(), name="five", author="N. N.")


def make(folder):
    """Run the project's test as its users do; return the outcome."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("PYTHONPATH", "MAKEFLAGS")}
    subprocess.run(["make"], cwd=folder / "test", capture_output=True, env={**environment, "PATH": path},
                   check=False, timeout=120)
    cases = ElementTree.parse(folder / "test" / "results.xml").findall(".//testcase")
    return [case.find("failure") is None and case.find("error") is None for case in cases]


def test_project_has_what_the_shuttle_asks_for(project):
    folder, found = project
    info = yaml.safe_load((folder / "info.yaml").read_text())
    assert info["yaml_version"] == 6 and info["project"]["top_module"] == "tt_um_five"
    assert info["project"]["tiles"] == found["tiles"] == "1x1" and info["project"]["author"] == "N. N."
    assert [(folder / "src" / name).is_file() for name in info["project"]["source_files"]] == [True]
    assert len(info["pinout"]) == 24 and info["pinout"]["uio[3]"] == "out_ready"
    text = (folder / "src" / "tt_um_five.v").read_text()
    for port in ("ui_in", "uo_out", "uio_in", "uio_out", "uio_oe", "ena", "clk", "rst_n"):
        assert f"wire [7:0] {port}" in text or f"wire {port}" in text
    assert "11:4 | weight" in (folder / "docs" / "info.md").read_text()
    assert json.loads((folder / "src" / "config.json").read_text())["CLOCK_PERIOD"] == 100
    assert found["events"] == 30 * 16 and found["spikes"] > 20
    assert not (folder / "work").exists()


def test_its_own_test_passes_and_sees_a_wrong_spike(project):
    folder, _ = project
    assert make(folder) == [True]
    path = folder / "test" / "vectors.json"
    vectors = json.loads(path.read_text())
    path.write_text(json.dumps({**vectors, "spikes": [*vectors["spikes"][:-1], vectors["spikes"][-1] ^ 1]}))
    assert make(folder) == [False]
    path.write_text(json.dumps(vectors))


def test_tiles_are_the_smallest_that_hold_the_cells():
    pdk = shuttle(10.0)
    assert [choose_tiles(area, pdk) for area in (50, 51, 100, 101, 301, 800)] == [
        "1x1", "1x2", "1x2", "2x2", "4x2", "8x2"]
    assert TILES[-1] == "8x2"
    with pytest.raises(HandoverError, match=r"^Cells of a Tiny Tapeout project must fit into 8x2 tiles "):
        choose_tiles(801, pdk)
    with pytest.raises(HandoverError, match=r"^Tiny Tapeout has no shuttle of Toy: use sky130$"):
        choose_tiles(1, toy_pdk())


def test_too_many_neurons_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^Neuron count must be between 2 and 256, not 300$"):
        ByteArray(Lif(shape=(300,), threshold=5))
    with pytest.raises(HandoverError, match=r"^Tiny Tapeout has no shuttle of Toy"):
        write_tinytapeout(tmp_path / "x", NEURONS, toy_pdk())
    assert not (tmp_path / "x").exists()


def test_command_line_keeps_what_is_there(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    with pytest.raises(SystemExit) as stop:
        main(["tinytapeout", "--out", str(tmp_path / "mine")])
    assert stop.value.code == 1
    assert "Folder of a project must be new" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["tinytapeout", "--out", str(tmp_path / "new"), "--decay", "5000"])
    assert stop.value.code == 1 and not (tmp_path / "new").exists()

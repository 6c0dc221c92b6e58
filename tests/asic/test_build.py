import json
import shutil

import numpy as np
import pytest

from asic.build import build_asic, compare, record
from asic.handover import HandoverError
from asic.synth import synthesise
from neurogen.flow.tools import ToolError
from neurogen.flow.verilator import to_verilog
from neurogen.rtl.lif import LifArray
from neurogen.spec.lif import Lif
from tests.asic.toy import require, toy_pdk


require("libparse", "pyosys", "verilator")
NEURONS = Lif(shape=(64,), threshold=20, decay=3686, state_bits=8, v_lo=-100, v_hi=100)


@pytest.fixture(scope="module")
def verilog():
    return to_verilog(LifArray(NEURONS), "lif")


@pytest.fixture(scope="module")
def recording(verilog, tmp_path_factory):
    """Weights and ticks through the compiled RTL; its spikes are compared with golden in tests/rtl."""
    draw = np.random.default_rng(5)
    events = [
        (1 if n % 40 == 39 else 0) | int(draw.integers(64)) << 1 | int(draw.integers(256)) << 7
        for n in range(400)
    ]

    def drive(model):
        model.run(20_000, inputs={"i_events": events}, outputs={"o_spikes": None}, backpressure=0.2, seed=1)

    return record(verilog, "lif", drive, tmp_path_factory.mktemp("waves"), cycles=1500)


def test_recording_has_all_ports_and_something_to_see(recording):
    inputs, outputs = recording
    assert set(inputs) == {"rst", "i_events__payload", "i_events__valid", "o_spikes__ready", "r_neuron"}
    assert inputs["rst"][1][:5] == [1, 1, 1, 1, 0] and not any(inputs["rst"][1][4:])
    assert inputs["i_events__payload"][0] == 15
    spikes = [
        valid and ready
        for valid, ready in zip(outputs["o_spikes__valid"][1], inputs["o_spikes__ready"][1], strict=True)
    ]
    assert sum(spikes) > 20 and 0 in inputs["o_spikes__ready"][1][100:]
    assert len(outputs["busy"][1]) == 1504


def test_hand_over_of_a_component(verilog, recording, tmp_path):
    steps = []
    found = build_asic(
        verilog, "lif", toy_pdk(), tmp_path / "asic", recording=recording, flow="orfs", skip=70,
        on_step=steps.append
    )
    assert found["gates"]["mismatches"] == 0 and found["gates"]["cycles"] == 1504
    assert found["gates"]["values"] > 4000
    proof = found["equivalence"]
    assert proof["status"] == "proved" and proof["pins"] > 100
    assert proof["registers"] == found["area"]["registers"]
    assert found["area"]["memories"][0]["chosen"] == {"TOY_2P_64x8_bm_bist": 2}
    assert steps == list(found["seconds"])
    names = {
        path.relative_to(tmp_path / "asic").as_posix()
        for path in (tmp_path / "asic").rglob("*")
        if path.is_file()
    }
    assert {
        "README.md",
        "report.html",
        "report.json",
        "config.yaml",
        "bench/tb.v",
        "bench/stimulus.txt",
        "netlist/netlist.v",
        "netlist/area.json",
        "orfs/toy/lif/config.mk",
        "src/lif.v",
        "src/lif.sdc",
    } <= names
    assert found["bench"]["cycles"] == 1504
    energy = found["energy"]["rows"][0]["parts"]
    assert all(energy[part] > 0 for part in ("logic", "registers", "clock", "sram", "leakage"))
    assert found["energy"]["unit"] == "pJ/cycle"  # nobody said how many operations there were
    assert found["components"]["areas"]["lif"] > sum(found["components"]["macros"].values()) > 0
    if shutil.which("sta") is None:
        assert found["timing"] == {"status": "not run", "reason": "OpenSTA (`sta`) is not on PATH"}
    else:
        assert found["timing"]["corners"]["only"]["shortest_period"] > 0


def test_a_wrong_netlist_is_seen(verilog, recording, tmp_path):
    synthesise(verilog, "lif", toy_pdk(), tmp_path)
    path = tmp_path / "netlist.json"
    text = path.read_text()
    cells = json.loads(text)["modules"]["lif"]["cells"]
    inverters = [name for name, cell in cells.items() if cell["type"] == "INV"]
    seen = 0
    for name in inverters[::len(inverters) // 10]:
        netlist = json.loads(text)
        netlist["modules"]["lif"]["cells"][name]["type"] = "BUF"
        path.write_text(json.dumps(netlist))
        seen += compare(path, "lif", toy_pdk(), recording, 70)["mismatches"] > 0
    assert seen >= 8


def test_a_recording_of_another_design_is_no_match(verilog, recording, tmp_path):
    inputs, outputs = recording
    wrong = {**outputs, "busy": (1, [1 - value for value in outputs["busy"][1]])}
    with pytest.raises(
        ToolError, match=r"^Netlist must do what the RTL does, and differs in \d+ of \d+ values"
    ):
        build_asic(verilog, "lif", toy_pdk(), tmp_path / "asic", recording=(inputs, wrong))


def test_unknown_flows_are_refused_first(tmp_path):
    with pytest.raises(HandoverError, match=r"^Flow for toy must be one of librelane, orfs, not 'vivado'$"):
        build_asic("", "x", toy_pdk(), tmp_path / "asic", flow="vivado")
    assert not (tmp_path / "asic").exists()

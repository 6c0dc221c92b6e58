import json

import numpy as np
import pytest
from typer.testing import CliRunner

from designs.learner.cli import app
from designs.learner.configs import BOARD_CONFIG, CONFIGS
from designs.learner.work import Work, cells
from neurogen.frontend.export import read_exported
from neurogen.golden.learning import infer
from neurogen.spec.learning_bus import Status


def call(*arguments):
    return CliRunner().invoke(app, arguments)


def test_build_writes_verilog_and_its_memories(tmp_path):
    result = call("build", "--config", "tiny", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "learner.json").read_text())
    assert found["weight_words"] == CONFIGS["tiny"].weight_words == 4 * 24
    assert "module learner(" in (tmp_path / "out" / "learner.v").read_text()
    # 16 bytes of traces, 16 of pre-traces, 4 of windows, 64 of prototypes, 4 similarities of 14 bits
    overhead = CONFIGS["tiny"].learning_overhead
    assert found["learning_overhead"] == overhead and overhead["bytes"] == 16 + 16 + 4 + 64 + 7
    assert overhead["per_neuron"] == 107 / 16 and overhead["per_synapse"] == 0
    assert overhead["share"] == 107 / (256 + 32 + 64)
    assert ("learning adds 107 bytes, 6.7 per neuron, to those of inference: 30.4 %, or 12.2 % without "
            "prototypes (ReckOn: 0.8 %)") in result.stdout
    page = (tmp_path / "out" / "report.html").read_text()
    assert "learner-tiny" in page and "6.7 bytes per neuron, 0 per synapse" in page
    assert call("build", "--config", "tiny", "--out", str(tmp_path / "out")).exit_code == 0  # replaces it


def test_adapt_raises_the_accuracy_and_can_be_undone(tmp_path):
    path, again = tmp_path / "weights.npz", tmp_path / "again.npz"
    nir, page = tmp_path / "learnt.nir", tmp_path / "page"
    result = call("adapt", "--samples", "300", "--out", str(path), "--nir", str(nir), "--report", str(page))
    assert result.exit_code == 0, result.output
    assert read_exported(nir).nodes["lif0"].neurons == 128
    tests = Work.digits("test")
    with np.load(path) as archive:
        before, after = archive["before_0"], archive["after_0"]

    def correct(weights):
        return (infer(CONFIGS["digits"], [weights], tests.rasters)[0].argmax(1) == tests.labels).mean()
    assert correct(before) < 0.3 and correct(after) > 0.7
    assert f"   300 samples: {100 * correct(after):.1f} % of the test digits" in result.stdout.splitlines()
    report = json.loads((page / "report.json").read_text())
    curve = report["learning"]["accuracy"]["test digits"]
    assert [place for place, _ in curve] == list(range(0, 301, 30))
    assert curve[0][1] == pytest.approx(100 * correct(before))
    assert curve[-1][1] == pytest.approx(100 * correct(after))
    html = (page / "report.html").read_text()
    assert '<svg class="curves"' in html and f"test digits: {100 * correct(after):.1f} % after 300" in html
    for options, expected in (((), after), (("--undo",), before)):
        result = call("adapt", "--samples", "1", "--weights", str(path), *options, "--out", str(again))
        assert result.exit_code == 0, result.output
        with np.load(again) as archive:
            assert (archive["before_0"] == expected).all()


def test_sticky_bits_are_told(tmp_path, monkeypatch):
    import designs.learner.cli as cli
    before = cli.starting_weights(CONFIGS["digits"], 1)
    monkeypatch.setattr(cli, "adapt", lambda *_, rtl: (before, {Status.SILENT, Status.SATURATED}))
    result = call("adapt", "--samples", "1", "--out", str(tmp_path / "w.npz"))
    assert result.stdout.splitlines()[:2] == ["a weight has reached its limit",
                                              "in some sample, no neuron of a layer fired"]
    assert set(cli._FLAGS) == set(Status) - {Status.BUSY}


def test_a_last_sample_without_a_spike_is_found(monkeypatch):
    import designs.learner.work as work
    nothing = Work(np.zeros((3, 2, 64)), np.zeros(3, int))
    monkeypatch.setattr(work.Work, "digits", lambda split="train": nothing)
    spec, curve = CONFIGS["digits"], []
    weights = work.starting_weights(spec, 1)
    after, flags = work.adapt(spec, weights, 1, 1, lambda *point: curve.append(point))
    assert flags == {Status.SILENT} and (after[0] == weights[0]).all() and len(curve) == 2


@pytest.mark.parametrize("arguments, message", [
    (("build", "--config", "huge"),
     "Configuration must be one of tiny, digits, digits-hinge, speech, large, not 'huge'"),
    (("adapt", "--out", "w.txt"), "Weights must go to a .npz file, not w.txt"),
    (("adapt", "--out", "."), "Weights must go to a .npz file, not ."),
    (("adapt", "--out", "w.npz", "--report", __file__), "Report must go to a folder, and "),
    (("adapt", "--out", "w.npz", "--nir", "w.txt"), "Network must go to a .nir file, not w.txt"),
    (("adapt", "--out", "w.npz", "--undo"), "Undo needs --weights: a file that `adapt` wrote"),
    (("adapt", "--out", "w.npz", "--config", "tiny"),
     "Configuration must take digits, such as 'digits', not 'tiny'"),
    (("adapt", "--out", "w.npz", "--weights", "none.npz"),
     "Weights must be a file of `adapt` for this configuration, not none.npz"),
])
def test_mistakes_are_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr and "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_cells_are_read_from_yosys_log(monkeypatch):
    import fpga.synth
    seen = {}

    def synthesise(folder, family, outside):
        seen["verilog"], seen["outside"] = (folder / "top.v").read_text(), outside
        return "Printing statistics.\n   1 LUT4\nPrinting statistics.\n    120 LUT4\n     16 MULT18X18D\n"
    monkeypatch.setattr(fpga.synth, "synthesise", synthesise)
    found = cells(CONFIGS["tiny"])
    assert (found["LUT4"], found["MULT18X18D"], found["DP16KD"]) == (120, 16, 0)
    assert "module top(" in seen["verilog"] and seen["outside"] == []
    assert "initial begin\n    \\memory[0] = " not in seen["verilog"]
    cells(CONFIGS["tiny"], memories=False)
    memories = {"weights", "potentials", "neurons", "pre_traces", "similarity", "scores", "active", "events",
                "open"}
    assert set(seen["outside"]) == {f"top.{name}" for name in memories}


@pytest.mark.parametrize("arguments, message", [
    (("--target", "asic"), "--target asic needs --pdk, such as sky130 or ihp-sg13g2"),
    (("--target", "fpga", "--board", "zedboard"), "Board must be one of ulx3s-85f"),
    (("--target", "asic", "--pdk", "sky99"), "sky99"),
])
def test_wrong_targets_are_one_line(arguments, message, tmp_path):
    result = call("build", "--config", "tiny", *arguments, "--out", str(tmp_path / "out"))
    assert result.exit_code == 1 and message in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_bitstream_and_its_figures(tmp_path, monkeypatch):
    import designs.learner.cli as cli
    import fpga.build
    resources = {"cells": {"TRELLIS_COMB": {"used": 7, "available": 83640}}, "fmax": 40.0, "target": 30.0,
                 "slack": 1.0}
    seen = {}

    def build(spec, board, folder, on_step):
        folder.mkdir()
        (folder / "top.bit").write_bytes(b"bits")
        seen["spec"] = spec
        return {"board": board, "resources": resources, "versions": {"nextpnr": "1"}}
    monkeypatch.setattr(cli, "to_verilog", lambda *_: "")  # of a large learner: seconds
    monkeypatch.setattr(fpga.build, "check_buildable", lambda spec, board: None)
    monkeypatch.setattr(fpga.build, "build_fpga", build)
    result = call("build", "--target", "fpga", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert seen["spec"] == CONFIGS[BOARD_CONFIG]
    assert "ulx3s-85f: 7 of 83,640 TRELLIS_COMB." in result.stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["board"] == "ulx3s-85f" and report["resources"]["fmax"] == 40.0
    assert (tmp_path / "out" / "fpga" / "top.bit").read_bytes() == b"bits"


def test_a_hand_over_and_its_sentences(tmp_path, monkeypatch):
    import asic.build
    import designs.learner.cli as cli
    seen = {}

    def record(verilog, top, drive, folder, cycles):
        seen["recorded"] = folder
        return "recording"

    def build(verilog, top, kit, folder, **options):
        folder.mkdir()
        seen.update(options, kit=kit, verilog=verilog)
        area = {"cell_count": 4321, "logic_um2": 5.0, "sequential_um2": 6.0, "sram_um2": 0.0}
        loader = {"status": "checked", "warnings": []}
        return {"pdk": "SKY130", "area": area, "macros": [], "librelane": loader,
                "equivalence": {"status": "proved", "reason": "by hand"},
                "gates": {"values": 12, "cycles": 3, "undefined": 0}, "commands": {"orfs": "make"},
                "timing": {"status": "not run", "reason": "no OpenSTA"},
                "energy": {"status": "not run", "reason": "no recording"}}
    monkeypatch.setattr(cli, "find_kit", lambda name, root, flow: (name, flow))
    monkeypatch.setattr(asic.build, "record", record)
    monkeypatch.setattr(asic.build, "build_asic", build)
    out = tmp_path / "out"
    result = call("build", "--config", "tiny", "--target", "asic", "--pdk", "sky130", "--flow", "orfs",
                  "--period", "12.5", "--out", str(out))
    assert result.exit_code == 0, result.output
    assert seen["kit"] == ("sky130", "orfs") and seen["recording"] == "recording"
    assert seen["flow"] == "orfs" and seen["period"] == pytest.approx(12.5e-9)
    assert seen["verilog"] == (out / "learner.v").read_text() and (out / "asic").is_dir()
    assert "SKY130, after synthesis: 4,321 cells" in result.stdout
    assert "Netlist = RTL in 12 values of outputs over 3 cycles" in result.stdout
    assert "Formal equivalence: proved (by hand)." in result.stdout
    assert "4,321 cells" in (out / "report.html").read_text()


@pytest.mark.slow
def test_gateware_learns_what_golden_learns():
    result = call("verify", "--config", "tiny", "--samples", "50", "--every", "10", "--every-step")
    assert result.exit_code == 0, result.output
    assert "PASS  0 differences in 50 samples" in result.output

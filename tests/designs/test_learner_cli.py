import json

import numpy as np
import pytest
from typer.testing import CliRunner

from designs.learner.cli import app
from designs.learner.configs import CONFIGS
from designs.learner.work import Work, cells
from neurogen.frontend.export import read_exported
from neurogen.golden.learning import infer


def call(*arguments):
    return CliRunner().invoke(app, arguments)


def test_build_writes_verilog_and_its_memories(tmp_path):
    result = call("build", "--config", "tiny", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["weight_words"] == CONFIGS["tiny"].weight_words == 4 * 24
    assert "module learner(" in (tmp_path / "out" / "learner.v").read_text()


def test_adapt_raises_the_accuracy_and_can_be_undone(tmp_path):
    path, again = tmp_path / "weights.npz", tmp_path / "again.npz"
    nir = tmp_path / "learnt.nir"
    result = call("adapt", "--samples", "300", "--out", str(path), "--nir", str(nir))
    assert result.exit_code == 0, result.output
    assert read_exported(nir).nodes["lif0"].neurons == 128
    tests = Work.digits("test")
    with np.load(path) as archive:
        before, after = archive["before_0"], archive["after_0"]

    def correct(weights):
        return (infer(CONFIGS["digits"], [weights], tests.rasters)[0].argmax(1) == tests.labels).mean()
    assert correct(before) < 0.3 and correct(after) > 0.7
    assert f"{100 * correct(after):.1f} %" in result.stdout.strip().splitlines()[-3]
    for options, expected in (((), after), (("--undo",), before)):
        result = call("adapt", "--samples", "1", "--weights", str(path), *options, "--out", str(again))
        assert result.exit_code == 0, result.output
        with np.load(again) as archive:
            assert (archive["before_0"] == expected).all()


@pytest.mark.parametrize("arguments, message", [
    (("build", "--config", "huge"), "Configuration must be one of tiny, digits, speech, large, not 'huge'"),
    (("adapt", "--out", "w.txt"), "Weights must go to a .npz file, not w.txt"),
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

    def synthesise(folder, family):
        seen["verilog"] = (folder / "top.v").read_text()
        return "Printing statistics.\n   1 LUT4\nPrinting statistics.\n    120 LUT4\n     16 MULT18X18D\n"
    monkeypatch.setattr(fpga.synth, "synthesise", synthesise)
    assert cells("module learner(clk);\nendmodule\n") == {"LUT4": 120, "MULT18X18D": 16}
    assert seen["verilog"].startswith("module top(clk)")


@pytest.mark.slow
def test_gateware_learns_what_golden_learns():
    result = call("verify", "--config", "tiny", "--samples", "50", "--every", "10", "--every-step")
    assert result.exit_code == 0, result.output
    assert "PASS  0 differences in 50 samples" in result.output

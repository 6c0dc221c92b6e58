import json

import numpy as np
import pytest

from benchmarks import adaptation
from benchmarks.learning import CASES, measure, refresh, spread, target_traces
from benchmarks.learning_task import slower
from neurogen.golden.learning import Simulator, random_weights


def test_digits_are_learnt_within_an_epoch():
    row = measure(CASES["code"], 1, (0,))
    assert row["z"] > 85 and row["o"] > 85
    assert 1 < row["spikes"] < 40 and 0 < row["updates"] < 1
    assert row["z_sd"] is row["o_sd"] is None  # of one seed


def test_spread_is_that_of_a_sample():
    assert spread(np.array([1.0, 2.0, 4.5])) == pytest.approx((6.5 / 2) ** 0.5)


def test_prototypes_of_a_target_network_are_its_traces_and_train_two_layers():
    spec = CASES["snet two layers"]
    weights = random_weights(spec, 0)
    weights[0][64:] = np.random.RandomState(1).randint(-120, 121, weights[0][64:].shape)
    simulator = Simulator(spec, weights)
    first, second = target_traces(simulator)
    assert len(np.unique(first, axis=0)) == len(np.unique(second, axis=0)) == 10 and second.any()
    refresh(simulator)
    prototypes = simulator.layers[1].weights[spec.rows(1):spec.rows(1) + 10]
    assert (np.sign(prototypes) == np.sign(second - second.mean(0)))[np.abs(prototypes) > 0].all()
    assert (simulator.layers[0].weights[:spec.rows(0)] == weights[0][:spec.rows(0)]).all()
    row = measure(spec, 1, (0,))
    assert row["z"] > 85


def test_rates_are_lowered_up_to_their_limit():
    spec = slower(CASES["code"], 5)
    assert (spec.rate_w, spec.rate_q) == (CASES["code"].rate_w + 5, 16)


def run(speaker, seed, value):
    return {"speaker": speaker, "seed": seed} | dict.fromkeys(adaptation._FIGURES, value)


def test_summary_is_the_mean_of_seeds_and_of_speakers():
    table = adaptation.summary([run("theo", 0, 80.0), run("theo", 1, 90.0), run("george", 0, 65.0)])
    assert [(row["speaker"], row["before"], row["seeds"]) for row in table] == [
        ("george", 65.0, 1), ("theo", 85.0, 2), ("mean", 75.0, 1)]
    assert table[1]["old_sd"] == pytest.approx(50 ** 0.5)
    assert "old_sd" not in table[0] and "old_sd" not in table[2]


def test_spread_of_the_mean_is_that_of_the_means_of_seeds():
    table = adaptation.summary([run("theo", 0, 80.0), run("theo", 1, 90.0), run("george", 0, 70.0),
                                run("george", 1, 60.0), run("george", 2, 20.0)])
    mean = table[-1]
    assert (mean["speaker"], mean["seeds"], mean["after_3"]) == ("mean", 2, 67.5)
    assert mean["after_3_sd"] == 0.0  # 75 and 75


def test_resume_shows_what_the_file_holds_and_runs_nothing_again(tmp_path, monkeypatch, capsys):
    path = tmp_path / "adaptation.json"
    rows = [run("theo", 0, 77.5) | {"updates": 0.5}, run("theo", 1, 78.5) | {"updates": 0.25}]
    path.write_text(json.dumps({"rows": rows}))
    monkeypatch.setattr(adaptation, "load_fsdd", list)
    monkeypatch.setattr(adaptation.np, "stack", lambda rasters: np.zeros(0))
    assert adaptation.main(["--speakers", "theo", "--seeds", "2", "--json", str(path), "--resume"]) == 0
    out = capsys.readouterr().out
    assert "78.0 ± 0.7" in out and "0.38 ± 0.18" in out
    with pytest.raises(SystemExit):
        adaptation.main(["--speakers", "nobody"])


def test_no_recordings_is_one_line(monkeypatch, capsys):
    monkeypatch.delenv("NEUROGEN_DATA", raising=False)
    assert adaptation.main([]) == 1
    assert "set NEUROGEN_DATA" in capsys.readouterr().err

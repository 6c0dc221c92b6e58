import json

import numpy as np
import pytest

from benchmarks import adaptation
from benchmarks.learning import CASES, measure
from benchmarks.learning_task import slower


def test_digits_are_learnt_within_an_epoch():
    row = measure(CASES["code"], 1, (0,))
    assert row["z"] > 85 and row["o"] > 85
    assert 1 < row["spikes"] < 40 and 0 < row["updates"] < 1


def test_rates_are_lowered_up_to_their_limit():
    spec = slower(CASES["code"], 5)
    assert (spec.rate_w, spec.rate_q) == (CASES["code"].rate_w + 5, 16)


def test_summary_is_the_mean_of_seeds_and_of_speakers():
    def row(speaker, seed, value):
        keys = [key for key in adaptation._COLUMNS if key not in ("speaker", "seeds")]
        return {"speaker": speaker, "seed": seed} | dict.fromkeys(keys, value)
    table = adaptation.summary([row("theo", 0, 80.0), row("theo", 1, 90.0), row("george", 0, 65.0)])
    assert [(r["speaker"], r["before"]) for r in table] == [("george", 65.0), ("theo", 85.0), ("mean", 75.0)]


def test_resume_shows_what_the_file_holds_and_runs_nothing_again(tmp_path, monkeypatch, capsys):
    keys = [key for key in adaptation._COLUMNS if key not in ("speaker", "seeds")]
    rows = [{"speaker": "theo", "seed": 0} | dict.fromkeys(keys, 77.5)]
    path = tmp_path / "adaptation.json"
    path.write_text(json.dumps({"rows": rows}))
    monkeypatch.setattr(adaptation, "load_fsdd", list)
    monkeypatch.setattr(adaptation.np, "stack", lambda rasters: np.zeros(0))
    assert adaptation.main(["--speakers", "theo", "--seeds", "1", "--json", str(path), "--resume"]) == 0
    assert "77.5" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        adaptation.main(["--speakers", "nobody"])


def test_no_recordings_is_one_line(monkeypatch, capsys):
    monkeypatch.delenv("NEUROGEN_DATA", raising=False)
    assert adaptation.main([]) == 1
    assert "set NEUROGEN_DATA" in capsys.readouterr().err

import json

from benchmarks.qdi_fuzz import main, summary
from neurogen.flow.synth import levels


def test_campaign_goes_on_after_the_last_line_of_its_log(tmp_path, capsys):
    log = tmp_path / "log.jsonl"
    assert main(["--count", "2", "--first", "3", "--levels", "tokens", "--log", str(log)]) == 0
    first = log.read_text()
    assert main(["--count", "3", "--first", "3", "--levels", "tokens", "--log", str(log)]) == 0
    assert log.read_text().startswith(first)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["seed"] for line in lines] == [3, 4, 5]
    assert all(line["deadlock"] == "proved" and line["blocks"] for line in lines)
    assert "3 programs: 3 agree, 0 wrong or dead" in capsys.readouterr().out


def test_program_that_does_not_agree_is_told(tmp_path, capsys, monkeypatch):
    def broken(stimulus, runs, seed):
        raise RuntimeError("no token")

    monkeypatch.setitem(levels.LEVELS, "clocked", broken)
    assert main(["--count", "1", "--first", "3", "--levels", "clocked"]) == 1
    out = capsys.readouterr().out
    assert "seed 3: RuntimeError: no token\ndef fuzz(" in out and "0 agree, 1 wrong or dead" in out


def test_rejected_programs_are_counted_apart():
    line = {"seed": 1, "levels": "tokens", "result": "rejected", "seconds": 0.1}
    assert summary([line]).startswith("1 programs: 0 agree, 0 wrong or dead, 1 rightly rejected (QDI004)")

import argparse
import json

import pytest

from benchmarks.common import chosen, kept, machine, peak_memory, report, save, stopwatch


COLUMNS = {"name": "layer", "rate": "SOP/cycle", "cycles": "cycles"}


def test_table_and_file_hold_the_same(tmp_path, capsys):
    rows = [{"name": "a", "rate": 270.125, "cycles": 123_456}, {"name": "b", "rate": 12_345.6}]
    report("Dense events", COLUMNS, rows, path=tmp_path / "out" / "dense.json")
    text = capsys.readouterr().out
    for part in ("Dense events", "SOP/cycle", "270.1", "123,456", "12,346", "–"):
        assert part in text
    found = json.loads((tmp_path / "out" / "dense.json").read_text())
    assert found["rows"] == rows
    assert found["machine"] == machine()
    assert list(found) == sorted(found)


def test_a_key_without_a_column():
    with pytest.raises(ValueError, match=r"^Rows of 'x' must have the keys name, rate, cycles, not 'speed'$"):
        report("x", COLUMNS, [{"name": "a", "speed": 1}])


def test_versions_of_packages():
    assert machine("numpy", "no-such-package")["no-such-package"] == "not installed"


def test_time_and_memory():
    with stopwatch() as watch:
        sum(range(200_000))
    assert watch.wall > 0
    assert watch.cpu >= 0
    block = bytearray(64 << 20)
    block[::4096] = b"x" * len(block[::4096])  # touch every page
    assert peak_memory() > len(block)


def test_names_of_an_option(capsys):
    parser = argparse.ArgumentParser(prog="it")
    assert chosen(parser, "Case", " b, a,", ("a", "b", "c")) == ["b", "a"]
    assert chosen(parser, "Case", "", ("a", "b")) == ["a", "b"]
    with pytest.raises(SystemExit):
        chosen(parser, "Case", "a,x", ("a", "b"))
    assert "it: error: Case must be one of a, b, not 'x'\n" in capsys.readouterr().err


def test_rows_are_kept_to_resume_from(tmp_path):
    path, rows = tmp_path / "new" / "runs.json", [{"key": "a", "rate": 1.5}]
    save(path, "Runs", rows)
    assert kept(path, ("key", "rate"), resume=True) == rows
    assert kept(path, ("key",), resume=False) == kept(tmp_path / "none.json", (), resume=True) == []
    wrong = r"^File to resume from must be one of this benchmark, not .*runs\.json: "
    with pytest.raises(ValueError, match=wrong + r"a row has no 'seed'$"):
        kept(path, ("key", "seed"), resume=True)
    for text in ("{", "[]", '{"rows": 3}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=wrong):
            kept(path, ("key",), resume=True)

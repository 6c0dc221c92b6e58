import errno

import pytest

from neurogen.flow.files import staged
from neurogen.flow.tools import ToolError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("exchange", [True, False])
def test_results_are_replaced_as_a_whole(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr("neurogen.flow.files._exchange", lambda one, other: False)
    target = tmp_path / "deep" / "out"
    for name in ("first", "second"):
        with staged(target) as part:
            (part / name).write_text(name)
        assert names(target) == [name]
        assert names(target.parent) == ["out"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError(errno.EACCES, "no")])
def test_earlier_results_survive(tmp_path, error):
    with staged(tmp_path / "out") as part:
        (part / "good").write_text("good")
    with pytest.raises(error if isinstance(error, type) else OSError), staged(tmp_path / "out") as part:
        (part / "bad").write_text("half")
        raise error
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == ["good"]


def test_a_full_disk_is_named_and_keeps_earlier_results(tmp_path):
    with staged(tmp_path / "out") as part:
        (part / "good").write_text("good")
    with pytest.raises(ToolError, match="out: the disk is full; earlier results are untouched"):
        with staged(tmp_path / "out"):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path / "out") == ["good"]


def test_kept_results_and_files_in_the_way(tmp_path):
    for name in ("first", "second"):
        with staged(tmp_path / "out", keep=True) as part:
            (part / name).write_text(name)
    assert names(tmp_path / "out") == ["first"] and names(tmp_path) == ["out"]
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolError, match=r"file: it is a file, not a folder$"), staged(tmp_path / "file"):
        pass

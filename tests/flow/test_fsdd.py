import os

import pytest

from neurogen.flow.data import DataError
from neurogen.flow.fsdd import SPEAKERS, load_fsdd


@pytest.mark.data
def test_recordings_are_the_published_ones():
    if not os.path.isdir(os.path.join(os.environ.get("NEUROGEN_DATA", ""), "fsdd")):
        pytest.skip("NEUROGEN_DATA names no folder with fsdd")
    recordings = load_fsdd()
    assert len(recordings) == 1200
    assert {(r.speaker, r.digit, r.number) for r in recordings} == {
        (s, d, n) for s in SPEAKERS for d in range(10) for n in range(20)}
    assert {r.rate for r in recordings} == {8000}


def test_missing_recordings(tmp_path, monkeypatch):
    monkeypatch.delenv("NEUROGEN_DATA", raising=False)
    with pytest.raises(DataError, match="set NEUROGEN_DATA to that folder"):
        load_fsdd()
    with pytest.raises(DataError, match=r"Recording .*0_george_0\.wav must be a readable \.wav file"):
        load_fsdd(tmp_path)
    (tmp_path / "0_george_0.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match="must be a readable"):
        load_fsdd(tmp_path)

import hashlib
import http.server
import re
import threading
from functools import partial

import numpy as np
import pytest

from neurogen.flow import data
from neurogen.flow.data import (
    DataError,
    dataset,
    datasets,
    load_braille_sample0,
    load_dvs,
    load_nmnist,
)


TRACE = "nir/lif_traces/lif_norse.csv"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def upstream(tmp_path, monkeypatch):
    """A web server in the place of the upstream of one file, and an empty cache."""
    folder, content = tmp_path / "www", b"input, voltage, spike\n"
    (folder / "01_lif").mkdir(parents=True)
    (folder / "01_lif" / "lif_norse.csv").write_bytes(content)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    catalogue = {"sources": {"nir": {"base": f"http://127.0.0.1:{server.server_port}/"}},
                 "files": {TRACE: {"source": "nir", "path": "01_lif/lif_norse.csv",
                                   "sha256": hashlib.sha256(content).hexdigest()}}}
    monkeypatch.delenv("NEUROGEN_DATA", raising=False)
    monkeypatch.setattr(data, "_catalogue", lambda: catalogue)
    monkeypatch.setattr(data.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    yield folder / "01_lif" / "lif_norse.csv"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_is_fetched_once(upstream):
    path = dataset(TRACE)
    assert path.read_bytes() == b"input, voltage, spike\n"
    upstream.unlink()
    assert dataset(TRACE) == path  # from the cache


def test_a_file_with_other_bytes_is_refused_and_not_kept(upstream, tmp_path):
    upstream.write_bytes(b"something else")
    with pytest.raises(DataError, match=f"^Data file '{TRACE}' must be at http.*(?s:.*)hash"):
        dataset(TRACE)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_file_that_is_gone_upstream(upstream):
    upstream.unlink()
    with pytest.raises(DataError, match=r"^Data file .* 404 .*set NEUROGEN_DATA to a folder"):
        dataset(TRACE)


def test_unknown_name():
    with pytest.raises(DataError, match=r"^Data file must be one of nir/01_lif__.*, not 'nir/x'$"):
        dataset("nir/x")


def test_what_cannot_be_fetched_says_why(monkeypatch):
    monkeypatch.delenv("NEUROGEN_DATA", raising=False)
    with pytest.raises(DataError, match=r"^Data file 'dvs/.*' cannot be fetched: decoded \(EVT3\) from .*"
                                        r"; set NEUROGEN_DATA to a folder that holds it$"):
        dataset("dvs/evk_640x480_walk.npz")


def test_local_folder_is_checked(monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROGEN_DATA", str(tmp_path))
    path = tmp_path / TRACE
    with pytest.raises(DataError, match=rf"^Data file {re.escape(str(path))} must be readable \(No such"):
        dataset(TRACE)
    path.parent.mkdir(parents=True)
    path.write_text("wrong")
    with pytest.raises(DataError, match=rf"^Data file {re.escape(str(path))} must have the SHA-256 300d80dc"):
        dataset(TRACE)


def test_every_file_has_a_source_and_a_hash():
    catalogue = data._catalogue()
    for entry in catalogue["files"].values():
        assert re.fullmatch("[0-9a-f]{64}", entry["sha256"])
        source = catalogue["sources"][entry["source"]]
        assert ("base" in source) == ("path" in entry)
        assert ("base" in source) != ("reason" in source)
        assert source["licence"]


@pytest.mark.data
def test_local_folder_holds_every_file(data_dir):
    for name in datasets():
        assert dataset(name) == data_dir / name


def write_nmnist(path, **change):
    arrays = {"x": [1, 1, 33, 5], "y": [2, 2, 0, 5], "p": [1, 1, 0, 1], "t_us": [999, 0, 1000, 300_000],
              "offsets": [0, 3, 4], "labels": [7, 3]}
    np.savez(path, **{name: np.array(value) for name, value in (arrays | change).items()})


def test_nmnist_bins_by_hand(tmp_path):
    write_nmnist(tmp_path / "n.npz")
    (first, second), labels = load_nmnist(tmp_path / "n.npz")
    assert labels.tolist() == [7, 3]
    one = (1 * 34 + 2) * 34 + 1
    assert (first.t.tolist(), first.index.tolist()) == ([0, 0, 1], [one, one, 33])
    assert (len(second), second.steps, second.shape) == (0, 300, (2, 34, 34))  # after the last step
    (once,), _ = load_nmnist(tmp_path / "n.npz", 1, binary=True)
    assert (once.t.tolist(), once.index.tolist()) == ([0, 1], [one, 33])


def test_nmnist_outside_the_sensor(tmp_path):
    write_nmnist(tmp_path / "n.npz", x=[1, 34, 0, 0])
    with pytest.raises(DataError, match=r"^Recording 0 of .*n\.npz must lie within \(2, 34, 34\)"):
        load_nmnist(tmp_path / "n.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04truncated", b"\x93NUMPY garbage"])
def test_unreadable_recordings(tmp_path, content):
    (tmp_path / "bad.npz").write_bytes(content)
    np.save(tmp_path / "array.npy", np.zeros(3))
    for load in (load_nmnist, load_dvs, load_braille_sample0):
        with pytest.raises(DataError, match=r"^Recording must be a readable \.npz file with .*bad\.npz"):
            load(tmp_path / "bad.npz")
        with pytest.raises(DataError, match=r"^Recording must be a readable .*array\.npy"):
            load(tmp_path / "array.npy")


def write_dvs(path, **change):
    arrays = {"x": [0, 639, 639], "y": [0, 479, 479], "p": [0, 1, 1], "dt_us": [0, 10, 5000],
              "width": 640, "height": 480}
    np.savez(path, **{name: np.array(value) for name, value in (arrays | change).items()})


def test_dvs_scales_by_hand(tmp_path):
    write_dvs(tmp_path / "d.npz")
    events = load_dvs(tmp_path / "d.npz", steps=2)
    assert events.shape == (2, 48, 96)
    assert events.t.tolist() == [0, 0, 1]
    assert events.index.tolist() == [0, 2 * 48 * 96 - 1, 2 * 48 * 96 - 1]


def test_dvs_keeps_repeats_on_request(tmp_path):
    write_dvs(tmp_path / "d.npz", dt_us=[0, 10, 10])
    assert len(load_dvs(tmp_path / "d.npz", steps=1)) == 2
    assert len(load_dvs(tmp_path / "d.npz", steps=1, binary=False)) == 3


def test_dvs_too_short_or_outside(tmp_path):
    write_dvs(tmp_path / "d.npz")
    with pytest.raises(DataError, match=r"must last 3 steps of 5000 us, not 5010 us$"):
        load_dvs(tmp_path / "d.npz", steps=3)
    write_dvs(tmp_path / "d.npz", x=[0, 640, 0])
    with pytest.raises(DataError, match=r"must lie within 640x480 pixels"):
        load_dvs(tmp_path / "d.npz", steps=2)


@pytest.mark.data
def test_real_nmnist(data_dir):
    recordings, labels = load_nmnist(data_dir / "nmnist" / "nmnist_test100.npz")
    assert labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert sum(map(len, recordings)) == 385_596 - 2_257  # those from 300 ms on
    assert max(recording.counts().max() for recording in recordings[:3]) <= 3


@pytest.mark.data
def test_real_dvs(data_dir):
    events = load_dvs(data_dir / "dvs" / "evk_640x480_walk.npz", step_us=10_000, steps=207, binary=False)
    assert 342_000 < len(events) <= 343_474
    c, _, _ = events.address()
    assert abs((c == 1).mean() - 125_183 / 343_474) < 0.001  # ON events of the upstream's own check


@pytest.mark.data
def test_real_braille(data_dir):
    events, label, published = load_braille_sample0(data_dir / "nir" / "braille_sample0.npz")
    assert (events.shape, events.steps, label) == ((12,), 256, 1)
    assert len(published) == 13
    assert published["noDelay_bias_zero__norse"].shape == (256, 38)

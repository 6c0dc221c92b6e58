"""Real recordings and reference traces: fetched once with pinned hashes, or taken from a local folder.

Where the environment variable ``NEUROGEN_DATA`` names a folder, files come from there and nothing is
downloaded; else they are fetched into the user's cache. Either way only the bytes whose SHA-256 stands in
``data.yaml`` are accepted. The readers turn recordings into `Events`.
"""

import hashlib
import logging
import os
import zipfile
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import platformdirs
import pooch
import yaml

from neurogen.spec.checks import check_int
from neurogen.spec.events import Events


__all__ = ["NMNIST_SHAPE", "DataError", "dataset", "datasets", "load_braille_sample0", "load_dvs",
           "load_nmnist"]


NMNIST_SHAPE = (2, 34, 34)


class DataError(Exception):
    """A recording that is not there, is not what it should be, or cannot be read."""


@cache
def _catalogue() -> dict:
    return yaml.safe_load(files("neurogen.flow").joinpath("data.yaml").read_text(encoding="utf-8"))


def datasets() -> tuple[str, ...]:
    """Return the names of all files that `dataset` knows."""
    return tuple(_catalogue()["files"])


def dataset(name: str) -> Path:
    """Return the path of a file, after fetching it if need be.

    Parameters
    ----------
    name
        One of `datasets`, such as ``nir/02_cnn__cnn_sinabs.nir``.

    Raises
    ------
    DataError
        If the file is unknown, missing, or has other bytes than it should.
    """
    entry = _catalogue()["files"].get(name)
    if entry is None:
        raise DataError(f"Data file must be one of {', '.join(datasets())}, not {name!r}")
    if folder := os.environ.get("NEUROGEN_DATA"):
        return _local(Path(folder) / name, entry["sha256"])
    source = _catalogue()["sources"][entry["source"]]
    if "base" not in source:
        raise DataError(f"Data file {name!r} cannot be fetched: {source['reason']}; "
                        f"set NEUROGEN_DATA to a folder that holds it")
    return _fetch(name, source["base"] + entry["path"], entry["sha256"])


def _local(path: Path, sha256: str) -> Path:
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"Data file {path} must be readable ({error.strerror}); it is looked for there "
                        f"because NEUROGEN_DATA is set") from None
    if found != sha256:
        raise DataError(f"Data file {path} must have the SHA-256 {sha256}, not {found}")
    return path


def _fetch(name: str, url: str, sha256: str) -> Path:
    folder = Path(platformdirs.user_cache_dir("neurogen")) / "data"
    pooch.get_logger().setLevel(logging.WARNING)
    try:  # pooch downloads beside the file and renames: an interrupted download leaves nothing behind
        return Path(pooch.retrieve(url, f"sha256:{sha256}", fname=Path(name).name,
                                   path=folder / Path(name).parent))
    except (OSError, ValueError) as error:  # requests' errors are OSErrors, a wrong hash is a ValueError
        raise DataError(f"Data file {name!r} must be at {url}: {error}; set NEUROGEN_DATA to a folder "
                        f"that holds it to work without a network") from None


def _arrays(path: str | Path, *names: str) -> list[np.ndarray]:
    """Return arrays of an ``.npz`` file."""
    try:
        # NumPy leaves a file open that it cannot read, unless it was opened for it.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return [archive[name] for name in names]
    except (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"Recording must be a readable .npz file with {', '.join(names)}, not {path}: "
                        f"{error}") from None


def _bin(shape: tuple[int, int, int], steps: int, t: np.ndarray, c: np.ndarray, y: np.ndarray,
         x: np.ndarray, binary: bool) -> Events:
    """Return the events of the first ``steps`` steps, sorted by step; each address once if ``binary``."""
    index = np.ravel_multi_index((c, y, x), shape).astype(np.int64)
    size = int(np.prod(shape))
    keys = np.sort((t * size + index)[t < steps])  # sorted: the same bits whatever the sensor's order
    if binary:
        keys = np.unique(keys)
    return Events(shape, steps, keys // size, keys % size)


def load_nmnist(path: str | Path, limit: int | None = None, *, steps: int = 300, step_us: int = 1000,
                binary: bool = False) -> tuple[list[Events], np.ndarray]:
    """Return recordings of N-MNIST, ``(2, 34, 34)`` each, and their labels, ``int64[recordings]``.

    Events after the last step are dropped. Polarity 1 is channel 1, the order in which the network of the
    NIR paper was trained.

    Parameters
    ----------
    path
        ``.npz`` file with ``x, y, p, t_us, offsets, labels``; recording ``k`` is the events from
        ``offsets[k]`` to ``offsets[k + 1]``.
    limit
        Number of recordings, from the first; all if ``None``.
    steps
        Time steps of a recording.
    step_us
        Length of a step in microseconds.
    binary
        Whether repeats of an address within a step are dropped. Up to 3 occur in steps of 1 ms.
    """
    check_int("Number of steps", steps, minimum=1)
    check_int("Step length", step_us, minimum=1, unit="us")
    x, y, p, t_us, offsets, labels = _arrays(path, "x", "y", "p", "t_us", "offsets", "labels")
    count = len(labels)
    if limit is not None:
        count = min(count, check_int("Number of recordings", limit, minimum=1))
    recordings = []
    for k in range(count):
        part = slice(offsets[k], offsets[k + 1])
        t = t_us[part].astype(np.int64) // step_us
        try:
            recordings.append(_bin(NMNIST_SHAPE, steps, t, p[part], y[part], x[part], binary))
        except ValueError as error:
            raise DataError(f"Recording {k} of {path} must lie within {NMNIST_SHAPE}: {error}") from None
    return recordings, labels[:count].astype(np.int64)


def load_dvs(path: str | Path, height: int = 48, width: int = 96, *, step_us: int = 5000, steps: int = 100,
             binary: bool = True) -> Events:
    """Return the start of an event-camera recording, scaled to ``(2, height, width)``.

    Pixel ``(y, x)`` of the sensor becomes ``(y * height // sensor_height, x * width // sensor_width)``;
    channel 1 holds the ON events. Time counts from the first event.

    Parameters
    ----------
    path
        ``.npz`` file with ``x, y, p, dt_us, width, height``; ``dt_us`` is the time since the event before.
    height, width
        Size of the map, at most the sensor's.
    step_us
        Length of a step in microseconds.
    steps
        Time steps to read; the recording must be as long.
    binary
        Whether an address spikes at most once in a step.
    """
    check_int("Step length", step_us, minimum=1, unit="us")
    check_int("Number of steps", steps, minimum=1)
    x, y, p, dt_us, sensor_w, sensor_h = _arrays(path, "x", "y", "p", "dt_us", "width", "height")
    check_int("Map height", height, minimum=1, maximum=int(sensor_h))
    check_int("Map width", width, minimum=1, maximum=int(sensor_w))
    t_us = np.cumsum(dt_us.astype(np.int64))
    if not len(t_us) or t_us[-1] < (steps - 1) * step_us:
        length = int(t_us[-1]) if len(t_us) else 0
        raise DataError(f"Recording {path} must last {steps} steps of {step_us} us, not {length} us")
    rows = y.astype(np.int64) * height // int(sensor_h)
    columns = x.astype(np.int64) * width // int(sensor_w)
    try:
        return _bin((2, height, width), steps, t_us // step_us, p, rows, columns, binary)
    except ValueError as error:
        raise DataError(f"Recording {path} must lie within {int(sensor_w)}x{int(sensor_h)} pixels: "
                        f"{error}") from None


def load_braille_sample0(path: str | Path) -> tuple[Events, int, dict[str, np.ndarray]]:
    """Return the input of the NIR paper's Braille task, its label, and the published hidden spikes.

    The input has 12 taxels and 256 steps. The spikes are ``uint8[256, hidden]`` by
    ``<graph>__<platform>``, such as ``noDelay_bias_zero__norse``.
    """
    raster, label = _arrays(path, "input", "label")
    with np.load(path, allow_pickle=False) as archive:
        published = {name: archive[name] for name in archive.files if "__" in name}
    return Events.from_counts(raster), int(label), published

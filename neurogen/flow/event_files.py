"""Recordings in files: a strict reader and a writer of ``.npz``, and a writer of CSV.

An ``.npz`` file holds, for each recording:

===================  ===============================================================================
``t``                time step of each event, not decreasing
``c``, ``y``, ``x``  its address in a map; or
``index``            its flat address in C order (maps and vectors)
``shape``            of the population: ``(C, H, W)`` or ``(N,)``
``steps``            number of time steps
===================  ===============================================================================

all of them integers. In a file of several recordings each name has the population's in front (``left.t``).
"""

import ast
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from neurogen.spec.events import EventError, Events
from neurogen.spec.network import Network


__all__ = ["load_events", "save_events"]


MAX_STEPS = 1 << 20
_MAX_ARRAY_BYTES = 1 << 28
_MAX_VALUES = 1 << 28  # steps times neurons: what a verification keeps of potentials, 8 bytes each
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, SyntaxError, OverflowError, RuntimeError,
               MemoryError, struct.error, zipfile.BadZipFile, zlib.error)


def load_events(path: str | Path, network: Network) -> dict[str, Events]:
    """Return the recording of each input of a network.

    Raises
    ------
    EventError
        If the file is unreadable or of another shape, or an event is out of range, out of order or after
        the end; with the number of the first bad event, counted from 0.
    """
    path = Path(path)
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not"
        raise EventError(f"Event file must exist, and {path} {found}")
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            recordings = {name: _recording(archive, name, network) for name in network.inputs}
    except EventError as error:
        raise EventError(f"{path}: {error}") from None
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise EventError(f"Event file must be a readable .npz file, not {path}: {reason}") from None
    lengths = {events.steps for events in recordings.values()}
    if len(lengths) > 1:
        raise EventError(f"{path}: recordings must have the same number of steps, not {sorted(lengths)}")
    values = max(lengths) * sum(int(np.prod(network.shapes[name])) for name in network.populations)
    if values > _MAX_VALUES:
        raise EventError(f"{path}: steps times neurons must be at most {_MAX_VALUES}, not {values}; "
                         f"cut the recording")
    return recordings


def _recording(archive, name, network):
    names = {item.removesuffix(".npy") for item in archive.namelist()}
    prefix = f"{name}." if f"{name}.t" in names or len(network.inputs) > 1 else ""

    def array(key):
        if prefix + key not in names:
            raise EventError(f"file must have the array {prefix + key!r}; it has "
                             f"{', '.join(sorted(names)) or 'none'}")
        return _read(archive, prefix + key)

    wanted = network.shapes[name]
    shape, steps = array("shape"), array("steps")
    if tuple(shape.ravel().tolist()) != wanted:
        raise EventError(f"shape must be {wanted}, the shape of input {name!r}, not "
                         f"{tuple(shape.ravel()[:8].tolist())}")
    if steps.size != 1 or not 1 <= int(steps.ravel()[0]) <= MAX_STEPS:
        raise EventError(f"steps must be one number from 1 to {MAX_STEPS}, not {steps.ravel()[:8].tolist()}")
    t = array("t")
    index = array("index") if prefix + "index" in names else _flat(wanted, *map(array, "cyx"))
    events = Events(wanted, int(steps.ravel()[0]), t, index)
    _check_multiplicity(events, network.nodes[name].max_multiplicity)
    return events


def _flat(shape, *axes):
    """Return flat addresses; each coordinate is checked by itself, so that the message can name it."""
    sizes = shape if len(shape) == 3 else (*shape, 1, 1)
    for label, values, size in zip("cyx", axes, sizes, strict=True):
        if values.ndim != 1 or len(values) != len(axes[0]):
            raise EventError(f"c, y and x must be vectors of one length, not {[list(a.shape) for a in axes]}")
        bad = np.flatnonzero((values < 0) | (values >= size))
        if len(bad):
            raise EventError(f"Event {bad[0]} must have {label} from 0 to {size - 1}, not {values[bad[0]]}")
    return np.ravel_multi_index([a.astype(np.int64) for a in axes], sizes).astype(np.int64)


def _check_multiplicity(events, limit):
    key = events.t * int(np.prod(events.shape)) + events.index
    order = np.argsort(key, kind="stable")
    again = np.flatnonzero(key[order][limit:] == key[order][:max(0, len(key) - limit)])
    if len(again):
        bad = int(order[again + limit].min())
        times = "once" if limit == 1 else f"{limit} times"
        raise EventError(f"Event {bad} must have an address that occurs at most {times} in a step, as the "
                         f"input says, and {events.index[bad]} occurs again in step {events.t[bad]}")


def _read(archive, key):
    """Return an array of integers; its size is checked before anything of that size is allocated."""
    info = archive.getinfo(f"{key}.npy")
    if info.file_size > _MAX_ARRAY_BYTES:
        raise EventError(f"array {key!r} must have at most {_MAX_ARRAY_BYTES} bytes, not {info.file_size}")
    data = archive.read(info)
    if data[:6] != b"\x93NUMPY" or data[6:7] not in (b"\x01", b"\x02", b"\x03"):
        raise EventError(f"array {key!r} must be in the .npy format")
    wide = data[6] > 1
    start = 8 + (4 if wide else 2)
    end = start + int.from_bytes(data[8:start], "little")
    if end - start > 10_000:
        raise EventError(f"array {key!r} must have a header of at most 10000 bytes")
    layout = ast.literal_eval(data[start:end].decode("latin1").strip())
    kind = np.dtype(layout["descr"])
    if kind.kind not in "iu" or kind.subdtype is not None:
        raise EventError(f"array {key!r} must hold integers, not {kind}")
    values = np.frombuffer(data, kind, offset=end).reshape(layout["shape"])
    if kind.kind == "u" and values.size and values.max() > np.iinfo(np.int64).max:
        raise EventError(f"array {key!r} must be below 2**63, not {values.max()}")
    return values.astype(np.int64)


def save_events(path: str | Path, recordings: Mapping[str, Events]) -> None:
    """Write recordings as ``.npz`` (which `load_events` reads) or ``.csv``, whole or not at all.

    The columns of a CSV file are ``population, t, c, y, x``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "wb") as file:
            file.write(_csv(recordings) if path.suffix == ".csv" else _npz(recordings))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _npz(recordings):
    arrays = {}
    for name, events in recordings.items():
        prefix = f"{name}." if len(recordings) > 1 else ""
        arrays |= {f"{prefix}t": events.t, f"{prefix}index": events.index,
                   f"{prefix}shape": np.array(events.shape), f"{prefix}steps": np.array(events.steps)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _csv(recordings):
    lines = ["population,t,c,y,x\n"]
    for name, events in recordings.items():
        columns = (events.t, *events.address())
        lines += [f"{name},{t},{c},{y},{x}\n" for t, c, y, x in zip(*columns, strict=True)]
    return "".join(lines).encode()

"""One file of a JSON header and arrays of integers, read with distrust."""

import ast
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


__all__ = ["UNREADABLE", "open_archive", "write_archive"]


# What a damaged or hostile file may raise on its way through zipfile, zlib, json and the checks of the specs.
# (Recursion and unknown compression are `RuntimeError`.)
UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, SyntaxError, OverflowError, RuntimeError,
               MemoryError, zipfile.BadZipFile, zlib.error, struct.error)
# Largest array of a file: a few kilobytes of deflated zeros must not fill the memory.
_MAX_ARRAY_BYTES = 1 << 28
_ARRAY_TYPES = ("|u1", "|i1", "<i2", "<i4", "<i8")


def write_archive(path: Path, header: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an ``.npz`` file, whole or not at all; the same bytes for the same contents."""
    part = path.with_name(path.name + ".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, array in {"header": np.frombuffer(header.encode(), np.uint8),
                           **{k: _narrow(a) for k, a in arrays.items()}}.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            info = zipfile.ZipInfo(f"{key}.npy", (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, buffer.getvalue())
    os.replace(part, path)


@contextmanager
def open_archive(path: str | Path) -> Iterator[tuple[Any, Callable[[str], np.ndarray]]]:
    """Give the header, which may be any JSON value, and a function that returns an array by its key.

    Raises
    ------
    Exception
        One of `UNREADABLE`, if the file is damaged; the function, too.
    """
    with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        yield (json.loads(_read_array(archive, "header").tobytes()),
               lambda key: _read_array(archive, key))


def _read_array(archive, key):
    """Return an array of a file; its size is checked before anything of that size is allocated."""
    info = archive.getinfo(f"{key}.npy")
    if info.file_size > _MAX_ARRAY_BYTES:
        raise ValueError(f"array {key!r} must be at most {_MAX_ARRAY_BYTES} bytes, not {info.file_size}")
    data = archive.read(info)
    if data[:8] != b"\x93NUMPY\x01\x00":
        raise ValueError(f"array {key!r} must be in the .npy format, version 1.0")
    start = 10 + int.from_bytes(data[8:10], "little")
    layout = ast.literal_eval(data[10:start].decode("latin1").strip())
    if layout["descr"] not in _ARRAY_TYPES or layout["fortran_order"]:
        raise ValueError(f"array {key!r} must hold integers in C order, not {layout}")
    return np.frombuffer(data, layout["descr"], offset=start).reshape(layout["shape"])


def _narrow(array):
    """Return the array in the smallest integer type that holds it."""
    for kind in (np.int8, np.int16, np.int32):
        limits = np.iinfo(kind)
        if not array.size or (array.min() >= limits.min and array.max() <= limits.max):
            return array.astype(kind)
    return array

"""The Free Spoken Digit Dataset in a local folder: 1200 recordings of ten digits by six speakers."""

import hashlib
import os
import re
import wave
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neurogen.flow.data import DataError


__all__ = ["SPEAKERS", "Recording", "load_fsdd"]


SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
# SHA-256 over the lines `<name> <SHA-256>` of recordings 0 to 19 of each digit and speaker, sorted by name.
_SHA256 = "718a922d7e9fc79f11ad0003f6951aaf3a988010f4860120230652be03de6040"
_NAME = re.compile(r"(\d)_(\w+)_(\d+)\.wav")


class Recording(NamedTuple):
    """A spoken digit.

    Parameters
    ----------
    digit, speaker, number
        From the name of the file; numbers 0 to 4 are the test set of the data set's authors.
    rate
        Samples per second.
    samples
        ``int16[n]``.
    """

    digit: int
    speaker: str
    number: int
    rate: int
    samples: np.ndarray


def load_fsdd(folder: str | Path | None = None) -> list[Recording]:
    """Return recordings 0 to 19 of each digit and speaker, sorted by the names of their files.

    Parameters
    ----------
    folder
        Folder of the ``.wav`` files; else ``fsdd/wav`` in the folder that ``NEUROGEN_DATA`` names.

    Raises
    ------
    DataError
        If the folder is not named, or files are missing or not the ones they should be.
    """
    if folder is None:
        if not os.environ.get("NEUROGEN_DATA"):
            raise DataError("Spoken digits must be in fsdd/wav of a folder; set NEUROGEN_DATA to that folder "
                            "(recordings: github.com/Jakobovski/free-spoken-digit-dataset)")
        folder = Path(os.environ["NEUROGEN_DATA"]) / "fsdd" / "wav"
    names = sorted(f"{digit}_{speaker}_{number}.wav" for digit in range(10) for speaker in SPEAKERS
                   for number in range(20))
    total, result = hashlib.sha256(), []
    for name in names:
        path = Path(folder) / name
        try:
            total.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
            with wave.open(str(path)) as file:
                samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
                rate = file.getframerate()
        except (OSError, EOFError, wave.Error) as error:
            raise DataError(f"Recording {path} must be a readable .wav file: {error}") from None
        digit, speaker, number = _NAME.fullmatch(name).groups()
        result.append(Recording(int(digit), speaker, int(number), rate, samples))
    if total.hexdigest() != _SHA256:
        raise DataError(f"Recordings in {folder} must have the SHA-256 {_SHA256}, not {total.hexdigest()}")
    return result

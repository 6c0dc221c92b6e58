"""Real digits as events: the 8x8 images inside the scikit-learn wheel, rate-coded in integers.

The data are `sklearn.datasets.load_digits`: 1797 handwritten digits, 8x8 pixels of intensity 0 to 16.
Both the split and the code are integer arithmetic on them, so every machine sees the same events.

=====  =========================================================================================
code   a pixel of intensity ``k`` gives ``k`` events in 16 steps, as evenly as integers can: one in
       step ``t`` if ``floor((k * (t + 1) + 8) / 16) > floor((k * t + 8) / 16)``
split  of each class, a fifth (rounded to nearest, ties to even), drawn without replacement with
       seed 0, is held out as ``"test"``; the others are ``"train"``
=====  =========================================================================================

The writers of the images are not known to scikit-learn: a writer may be in both parts.
"""

from functools import cache

import numpy as np

from neurogen.spec.checks import check_choice, check_int
from neurogen.spec.events import Events


__all__ = ["CLASSES", "SHAPE", "STEPS", "encode", "load_digits_counts", "load_digits_events"]


STEPS = 16
SHAPE = (1, 8, 8)
CLASSES = 10
_LEVELS = 16  # the highest intensity


def encode(images: np.ndarray) -> np.ndarray:
    """Return the events of images as multiplicities of 0 or 1.

    Parameters
    ----------
    images
        Intensities from 0 to 16, ``int[n, 8, 8]``.

    Returns
    -------
    ``uint8[n, 16, 1, 8, 8]``: image, step, channel, row, column.
    """
    images = np.asarray(images)
    if images.ndim != 3 or images.shape[1:] != SHAPE[1:] or images.dtype.kind not in "iu":
        raise ValueError(f"Digits must be integers of shape (n, 8, 8), not {images.dtype} of "
                         f"shape {images.shape}")
    if images.size and not 0 <= images.min() <= images.max() <= _LEVELS:
        raise ValueError(f"Intensities must be between 0 and {_LEVELS}, not from {images.min()} to "
                         f"{images.max()}")
    t = np.arange(STEPS + 1)[:, None, None]
    # Half a level of phase puts the events of faint pixels in the middle of the recording.
    emitted = (images[:, None].astype(np.int64) * t + _LEVELS // 2) // _LEVELS
    return np.diff(emitted, axis=1).astype(np.uint8)[:, :, None]


@cache
def _data() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ImportError("The digits need scikit-learn: pip install scikit-learn") from None
    data = load_digits()
    return data.images.astype(np.int64), data.target.astype(np.int64)


def _indices(split: str, labels: np.ndarray) -> np.ndarray:
    check_choice("Split", split, ("train", "test"))
    # RandomState's stream is frozen by NumPy's policy; that of default_rng is not.
    random = np.random.RandomState(0)
    chosen = []
    for label in range(CLASSES):
        members = random.permutation(np.flatnonzero(labels == label))
        held_out = round(len(members) / 5)
        chosen.append(members[:held_out] if split == "test" else members[held_out:])
    # Shuffled once more, so that the first few already hold every class.
    return random.permutation(np.concatenate(chosen))


def load_digits_counts(split: str, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the multiplicities of one part of the data and its labels.

    Parameters
    ----------
    split
        ``"train"`` or ``"test"``.
    limit
        Number of images to return, from the first; all, if ``None``.

    Returns
    -------
    ``uint8[n, 16, 1, 8, 8]`` and ``int64[n]``.
    """
    images, labels = _data()
    chosen = _indices(split, labels)
    if limit is not None:
        chosen = chosen[:check_int("Number of digits", limit, minimum=1)]
    return encode(images[chosen]), labels[chosen]


def load_digits_events(split: str, limit: int | None = None) -> tuple[list[Events], np.ndarray]:
    """Return the recordings of one part of the data and its labels.

    Parameters
    ----------
    split
        ``"train"`` or ``"test"``.
    limit
        Number of images to return, from the first; all, if ``None``.

    Returns
    -------
    A list of `Events` of shape ``(1, 8, 8)`` and 16 steps, and ``int64[n]`` labels 0 to 9.
    """
    counts, labels = load_digits_counts(split, limit)
    return [Events.from_counts(image) for image in counts], labels

"""Parameter checks shared by all specs: one wording for every error."""

import numpy as np


__all__ = ["check_array", "check_choice", "check_int", "check_name"]


def check_int(name: str, value: object, *, minimum: int | None = None,
              maximum: int | None = None, unit: str = "") -> int:
    """Return ``value`` as an ``int`` if it is an integer in ``[minimum, maximum]``.

    Raises
    ------
    TypeError
        If ``value`` is not an integer (``bool`` does not count as one).
    ValueError
        If ``value`` is out of range.
    """
    unit = f" {unit}" if unit else ""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    value = int(value)
    if minimum is not None and maximum is not None and not minimum <= value <= maximum:
        raise ValueError(f"{name} must be between {minimum} and {maximum}{unit}, not {value!r}")
    if minimum is not None and value < minimum:
        raise ValueError(f"{name} must be at least {minimum}{unit}, not {value!r}")
    if maximum is not None and value > maximum:
        raise ValueError(f"{name} must be at most {maximum}{unit}, not {value!r}")
    return value


def check_choice(name: str, value: object, choices: tuple) -> object:
    """Return ``value`` if it is one of ``choices``."""
    if value not in choices:
        wanted = ", ".join(map(repr, choices))
        raise ValueError(f"{name} must be one of {wanted}, not {value!r}")
    return value


def check_name(name: str, value: object) -> str:
    """Return ``value`` if it is a non-empty string."""
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name} must be a non-empty string, not {value!r}")
    return value


def check_array(name: str, value: object, *, shapes: tuple[tuple[int, ...], ...] | None = None,
                ndim: int | None = None, minimum: int | None = None,
                maximum: int | None = None) -> np.ndarray:
    """Return ``value`` as a read-only ``int64`` array.

    Parameters
    ----------
    shapes
        Accepted shapes, if restricted.
    ndim
        Accepted number of dimensions, if restricted.
    minimum, maximum
        Inclusive range of every element.

    Raises
    ------
    TypeError
        If the elements are not integers.
    ValueError
        If the shape or an element is not accepted.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be an array of integers, not of {array.dtype}")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, not {array.ndim}")
    if shapes is not None and array.shape not in shapes:
        wanted = " or ".join(map(str, shapes))
        raise ValueError(f"{name} must have shape {wanted}, not {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty")
    low, high = int(array.min()), int(array.max())
    if minimum is not None and low < minimum:
        raise ValueError(f"{name} must be at least {minimum}, not {low}")
    if maximum is not None and high > maximum:
        raise ValueError(f"{name} must be at most {maximum}, not {high}")
    array = array.astype(np.int64)  # a copy: nobody else can write to it
    array.flags.writeable = False
    return array

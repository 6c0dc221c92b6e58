"""Bit-exact model of fully connected synapses."""

from functools import lru_cache

import numpy as np

from neurogen.spec.dense import Dense


__all__ = ["currents"]


# Below this share of active inputs, adding their weight rows is faster than a product of matrices.
_SPARSE = 1 / 16


def currents(dense: Dense, shape: tuple[int], index: np.ndarray) -> tuple[np.ndarray, int, np.ndarray]:
    """Return what the events of one step bring to each target.

    Parameters
    ----------
    dense
        The synapses.
    shape
        Shape of the source, ``(Ni,)``.
    index
        Addresses of the events, repeats included; ``int64[events]``.

    Returns
    -------
    currents, sops, touched
        Weighted sums without bias, ``int64[No]``; number of synaptic operations; which targets
        received at least one, ``bool[No]``.
    """
    (targets,) = dense.output_shape(shape)
    if len(index) <= _SPARSE * shape[0]:
        total = _rows(dense)[index].sum(0)
    else:
        total = dense.weight @ np.bincount(index, minlength=shape[0])
    return total, len(index) * targets, np.full(targets, len(index) > 0)


@lru_cache(maxsize=64)
def _rows(dense):
    """Return the weights with those of one source side by side."""
    return np.ascontiguousarray(dense.weight.T)

"""Bit-exact model of operations on event streams: multisets of flat addresses of one step."""

import numpy as np

from neurogen.spec.pool import Concat, Flatten, MaxPool, SumPool


__all__ = ["concat", "flatten", "max_pool", "sum_pool", "transform"]


def sum_pool(pool: SumPool, shape: tuple[int, int, int], index: np.ndarray) -> np.ndarray:
    """Return the addresses of events after a sum pool of a map of ``shape``; ``int64[events]``."""
    channels, height, width = pool.output_shape(shape)
    c, y, x = np.unravel_index(index, shape)
    y, x = y // pool.size, x // pool.size
    inside = (y < height) & (x < width)
    return np.ravel_multi_index((c[inside], y[inside], x[inside]), (channels, height, width))


def max_pool(pool: MaxPool, shape: tuple[int, int, int], index: np.ndarray) -> np.ndarray:
    """Return the addresses of events after a max pool: each address once, where it occurs first."""
    pooled = sum_pool(pool, shape, index)
    return pooled[np.sort(np.unique(pooled, return_index=True)[1])]


def flatten(node: Flatten, shape: tuple[int, ...], index: np.ndarray) -> np.ndarray:
    """Return the addresses of events in the vector; flat addresses do not change."""
    return index


def concat(shapes: list[tuple[int, ...]], indices: list[np.ndarray]) -> np.ndarray:
    """Return the addresses of the events of several streams, put side by side along the first axis."""
    offsets = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
    return np.concatenate([index + offset for index, offset in zip(indices, offsets[:-1], strict=True)])


def transform(node: SumPool | MaxPool | Flatten | Concat, shapes: list[tuple[int, ...]],
              indices: list[np.ndarray]) -> np.ndarray:
    """Return the events that leave a node.

    Parameters
    ----------
    node
        The operation.
    shapes, indices
        Shape and flat addresses of each stream that arrives. All but `Concat` take their union.
    """
    if isinstance(node, Concat):
        return concat(shapes, indices)
    index = np.concatenate(indices)
    operation = {MaxPool: max_pool, SumPool: sum_pool, Flatten: flatten}[type(node)]
    return operation(node, shapes[0], index)

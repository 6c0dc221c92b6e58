"""Convolutions as the contract has them: one square kernel of odd size, one stride, no groups."""

import numpy as np


__all__ = ["dense_kernel", "pooled_kernel", "square_axes"]

MAX_WEIGHTS = 1 << 25  # of one layer, after groups, dilation and embedding


def dense_kernel(weight: np.ndarray, groups: int, dilation: tuple[int, int]) -> np.ndarray:
    """Return the kernel ``(Co, Ci, kh, kw)`` with groups and dilation filled up with zeros.

    Parameters
    ----------
    weight
        Shape ``(Co, Ci / groups, k)`` or ``(Co, Ci / groups, kh, kw)``.
    """
    if weight.ndim == 3:
        weight = weight[:, :, np.newaxis]
    outputs, inputs, kh, kw = weight.shape
    size = ((kh - 1) * dilation[0] + 1, (kw - 1) * dilation[1] + 1)
    if outputs * inputs * groups * size[0] * size[1] > MAX_WEIGHTS:
        raise ValueError(f"weights must be at most {MAX_WEIGHTS} after groups and dilation are expanded")
    result = np.zeros((outputs, inputs * groups, *size))
    for group in range(groups):
        rows = slice(group * outputs // groups, (group + 1) * outputs // groups)
        columns = slice(group * inputs, (group + 1) * inputs)
        result[rows, columns, ::dilation[0], ::dilation[1]] = weight[rows]
    return result


def pooled_kernel(weight: np.ndarray, stride: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Return the kernel of a convolution followed by a sum over windows of ``size`` of its outputs."""
    outputs, inputs, kh, kw = weight.shape
    result = np.zeros((outputs, inputs, kh + (size[0] - 1) * stride[0], kw + (size[1] - 1) * stride[1]))
    for y in range(size[0]):
        for x in range(size[1]):
            top, left = y * stride[0], x * stride[1]
            result[:, :, top:top + kh, left:left + kw] += weight
    return result


def square_axes(weight: np.ndarray, stride: tuple[int, int], start: tuple[int, int],
                in_size: tuple[int, int], out_size: tuple[int, int],
                ) -> tuple[np.ndarray, int, tuple[int, int]]:
    """Return a square kernel of odd size, one stride and symmetric padding that compute the same.

    Parameters
    ----------
    weight
        Shape ``(Co, Ci, kh, kw)``.
    start
        Zero rows above and zero columns left of the map.
    in_size, out_size
        Height and width of the maps.
    """
    strides = [s for s, n in zip(stride, out_size, strict=True) if n > 1] or [min(stride)]
    if len(set(strides)) > 1:
        raise ValueError(f"stride must be the same on both axes, not {tuple(stride)}")
    kernel = weight.shape[2:]
    smallest = max(kernel) + 1 - max(kernel) % 2
    for size in range(smallest, smallest + 5, 2):
        offsets = [next((o for o in range(size - k + 1)
                         if (n + 2 * (p + o) - size) // strides[0] + 1 == m), None)
                   for k, p, n, m in zip(kernel, start, in_size, out_size, strict=True)]
        if None not in offsets:
            break
    else:
        raise ValueError(f"kernel {kernel} with its padding must fit a square kernel of odd size with "
                         f"the same padding on both sides")
    result = np.zeros((*weight.shape[:2], size, size))
    if result.size > MAX_WEIGHTS:
        raise ValueError(f"weights must be at most {MAX_WEIGHTS} after the kernel is made square")
    top, left = offsets
    result[:, :, top:top + kernel[0], left:left + kernel[1]] = weight
    return result, strides[0], (start[0] + top, start[1] + left)

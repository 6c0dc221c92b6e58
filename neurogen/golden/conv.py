"""Bit-exact model of convolution over event streams."""

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from neurogen.spec.conv import Conv


__all__ = ["currents"]


# Types in which sums are formed, and the integers that hold them.
_INTEGERS = {np.float32: np.int32, np.float64: np.int64, np.int64: np.int64}
# Above this share of active pixels, whole maps are multiplied instead of the active pixels alone.
_DENSE = 0.5
# Bytes of input that are multiplied at once: they stay in a processor's cache.
_BLOCK = 1 << 19


def currents(conv: Conv, shape: tuple[int, int, int],
             index: np.ndarray) -> tuple[np.ndarray, int, np.ndarray]:
    """Return what the events of one step bring to each target.

    Parameters
    ----------
    conv
        The synapses.
    shape
        Shape of the source, ``(Ci, H, W)``.
    index
        Flat addresses of the events, repeats included; ``int64[events]``.

    Returns
    -------
    currents, sops, touched
        Weighted sums without bias, ``[Co, Ho, Wo]``, exact, of ``int32`` or ``int64``; number of synaptic
        operations (taps outside the map are none); which targets received at least one,
        ``bool[Co, Ho, Wo]``.
    """
    plan = _plan(conv, shape)
    targets = plan.output
    if not len(index):
        return np.zeros(targets, np.int64), 0, np.zeros(targets, bool)
    channel, pixel = np.divmod(index, shape[1] * shape[2])
    seen = np.zeros(shape[1:], np.float32)
    y, x = np.divmod(pixel, shape[2])
    seen[y, x] = 1
    sops = int((plan.down.sum(0)[y] * plan.across.sum(0)[x]).sum()) * targets[0]
    touched = np.broadcast_to(plan.down @ seen @ plan.across.T > 0, targets)
    active = np.flatnonzero(seen)
    if len(active) > _DENSE * seen.size:
        total = _multiply_maps(plan, shape, index)
    else:
        total = _multiply_pixels(plan, shape, channel, pixel, active)
    return total, sops, touched


class _Plan:
    """What does not depend on the events, for one convolution of one shape."""

    def __init__(self, conv, shape):
        self.output, self.padding, self.stride = conv.output_shape(shape), conv.padding, conv.stride
        self.kernel = conv.kernel
        self.heavy = int(np.abs(conv.weight).sum((1, 2, 3)).max())  # largest |sum| of single events
        self.weights = {kind: conv.weight.reshape(self.output[0], -1).astype(kind) for kind in _INTEGERS}
        self.tap_weights = {kind: np.ascontiguousarray(conv.weight.transpose(2, 3, 1, 0).astype(kind))
                            for kind in _INTEGERS}
        self.taps = [[_tap(n, m, k, p, conv.stride) for k in range(conv.kernel)]
                     for n, m, p in zip(shape[1:], self.output[1:], conv.padding, strict=True)]
        # down[oy, y]: whether an event in row y reaches outputs in row oy; across alike, of columns.
        self.down, self.across = (_reach(n, m, taps) for n, m, taps in zip(
            shape[1:], self.output[1:], self.taps, strict=True))

    def exact(self, multiplicity):
        """Return the fastest type in which every sum is exact."""
        largest = self.heavy * int(multiplicity)
        return np.float32 if largest < 1 << 24 else np.float64 if largest < 1 << 53 else np.int64


@lru_cache(maxsize=64)
def _plan(conv, shape):
    return _Plan(conv, shape)


def _tap(size, outputs, k, padding, stride):
    """Return the outputs that a tap reaches inside the map, and their sources, as slices."""
    first = max(0, -((k - padding) // stride))  # ceil((padding - k) / stride)
    stop = min(outputs, (size - 1 + padding - k) // stride + 1)
    start = first * stride + k - padding
    count = max(0, stop - first)
    return slice(first, first + count), slice(start, start + count * stride, stride)


def _reach(size, outputs, taps):
    reach = np.zeros((outputs, size), np.float32)
    for targets, sources in taps:
        reach[np.arange(outputs)[targets], np.arange(size)[sources]] = 1
    return reach


def _multiply_maps(plan, shape, index):
    """Return the sums of all outputs: one product of matrices for each few rows."""
    counts = np.bincount(index, minlength=int(np.prod(shape))).reshape(shape)
    kind = plan.exact(counts.max())
    channels, height, width = plan.output
    (top, left), stride, kernel = plan.padding, plan.stride, plan.kernel
    padded = np.zeros((shape[0], shape[1] + 2 * top, shape[2] + 2 * left), kind)
    padded[:, top:top + shape[1], left:left + shape[2]] = counts
    # (Ci, K, K, Ho, Wo): what each tap sees.
    windows = sliding_window_view(padded, (kernel, kernel), (1, 2))
    windows = windows[:, ::stride, ::stride].transpose(0, 3, 4, 1, 2)
    weights = plan.weights[kind]
    rows = max(1, _BLOCK // (weights.shape[1] * width * padded.itemsize))
    total = np.empty((channels, height * width), _INTEGERS[kind])
    for first in range(0, height, rows):
        part = windows[..., first:first + rows, :].reshape(weights.shape[1], -1)
        total[:, first * width:(first + rows) * width] = weights @ part
    return total.reshape(plan.output)


def _multiply_pixels(plan, shape, channel, pixel, active):
    place = np.zeros(shape[1] * shape[2], np.int64)
    place[active] = np.arange(len(active))
    counts = np.bincount(place[pixel] * shape[0] + channel, minlength=len(active) * shape[0])
    kind = plan.exact(counts.max())
    counts = counts.reshape(len(active), shape[0]).astype(kind)
    y, x = np.divmod(active, shape[2])
    height, width = plan.output[1:]
    total = np.zeros((height * width, plan.output[0]), kind)
    targets = [[_targets(size, slices) for slices in taps]
               for size, taps in zip(shape[1:], plan.taps, strict=True)]
    for ky, down in enumerate(targets[0]):
        for kx, across in enumerate(targets[1]):
            oy, ox = down[y], across[x]
            inside = np.flatnonzero((oy >= 0) & (ox >= 0))
            # One tap brings no two pixels to the same output, so that nothing is added twice or lost.
            total[oy[inside] * width + ox[inside]] += counts[inside] @ plan.tap_weights[kind][ky, kx]
    return total.T.astype(_INTEGERS[kind], order="C").reshape(plan.output)


def _targets(size, slices):
    """Return the output coordinate that each source coordinate reaches through a tap, or -1."""
    targets, sources = slices
    table = np.full(size, -1)
    table[sources] = np.arange(targets.start, targets.stop)
    return table

"""Bit-exact model of convolution over event streams."""

from functools import lru_cache

import numpy as np

from neurogen.spec.conv import Conv


__all__ = ["currents"]


# Above this share of active pixels, whole maps are multiplied instead of the active pixels alone.
_DENSE = 0.5


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
        Weighted sums without bias, ``int64[Co, Ho, Wo]``; number of synaptic operations (taps outside
        the map are none); which targets received at least one, ``bool[Co, Ho, Wo]``.
    """
    plan = _plan(conv, shape)
    targets = plan.output
    if not len(index):
        return np.zeros(targets, np.int64), 0, np.zeros(targets, bool)
    channel, pixel = np.divmod(index, shape[1] * shape[2])
    seen = np.zeros(shape[1:], np.float32)
    y, x = np.divmod(pixel, shape[2])
    seen[y, x] = 1
    sops = int((plan.rows.sum(0)[y] * plan.columns.sum(0)[x]).sum()) * targets[0]
    touched = np.broadcast_to(plan.rows @ seen @ plan.columns.T > 0, targets)
    active = np.flatnonzero(seen)
    if len(active) > _DENSE * seen.size:
        total = _multiply_maps(plan, shape, index)
    else:
        total = _multiply_pixels(plan, shape, channel, pixel, active)
    return total.transpose(2, 0, 1).astype(np.int64, order="C"), sops, touched


class _Plan:
    """What does not depend on the events, for one convolution of one shape."""

    def __init__(self, conv, shape):
        self.output = conv.output_shape(shape)
        self.heavy = int(np.abs(conv.weight).sum((1, 2, 3)).max())  # largest |sum| of single events
        self.weights = {kind: np.ascontiguousarray(conv.weight.transpose(2, 3, 1, 0).astype(kind))
                        for kind in (np.float32, np.float64, np.int64)}
        self.taps = [[_tap(n, m, k, p, conv.stride) for k in range(conv.kernel)]
                     for n, m, p in zip(shape[1:], self.output[1:], conv.padding, strict=True)]
        # rows[oy, y]: whether an event in row y reaches outputs in row oy; columns alike.
        self.rows, self.columns = (_reach(n, m, taps) for n, m, taps in zip(
            shape[1:], self.output[1:], self.taps, strict=True))

    def kind(self, multiplicity):
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
    counts = np.bincount(index, minlength=int(np.prod(shape))).reshape(shape)
    kind = plan.kind(counts.max())
    counts = np.ascontiguousarray(counts.transpose(1, 2, 0).astype(kind))
    total = np.zeros((*plan.output[1:], plan.output[0]), kind)
    for ky, (oy, iy) in enumerate(plan.taps[0]):
        for kx, (ox, ix) in enumerate(plan.taps[1]):
            part = counts[iy, ix]
            product = part.reshape(-1, shape[0]) @ plan.weights[kind][ky, kx]
            total[oy, ox] += product.reshape(*part.shape[:2], plan.output[0])
    return total


def _multiply_pixels(plan, shape, channel, pixel, active):
    place = np.zeros(shape[1] * shape[2], np.int64)
    place[active] = np.arange(len(active))
    counts = np.bincount(place[pixel] * shape[0] + channel, minlength=len(active) * shape[0])
    kind = plan.kind(counts.max())
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
            total[oy[inside] * width + ox[inside]] += counts[inside] @ plan.weights[kind][ky, kx]
    return total.reshape(height, width, plan.output[0])


def _targets(size, slices):
    """Return the output coordinate that each source coordinate reaches through a tap, or -1."""
    targets, sources = slices
    table = np.full(size, -1)
    table[sources] = np.arange(targets.start, targets.stop)
    return table

"""Bit-exact model of populations whose additions are clipped: an event at a time, in order."""

from collections.abc import Iterable

import numpy as np

from neurogen.golden.lif import LifState, finish
from neurogen.spec.conv import Conv
from neurogen.spec.dense import Dense
from neurogen.spec.lif import Lif


__all__ = ["Stream", "raster", "step"]


# A synapse, the shape of what reaches it, and the flat addresses of its events in order.
Stream = tuple[Conv | Dense, tuple[int, ...], np.ndarray]


def raster(shape: tuple[int, ...], index: np.ndarray) -> np.ndarray:
    """Return flat addresses in raster order ``(y, x, c)``."""
    channel, pixel = np.divmod(index, int(np.prod(shape[1:])))
    return index[np.lexsort((channel, pixel))]


def step(lif: Lif, state: LifState, streams: Iterable[Stream],
         bias: np.ndarray) -> tuple[LifState, np.ndarray]:
    """Return what `neurogen.golden.lif.step` returns, with every addition clipped to ``state_bits``.

    Parameters
    ----------
    lif
        The population.
    state
        State before the step.
    streams
        What arrives, in order.
    bias
        Of the population and its synapses, ``int64[*shape]``, in units of ``V``.
    """
    value = (state.i if lif.cuba else state.v).copy()
    for synapse, shape, index in streams:
        for address in index.tolist():
            if isinstance(synapse, Dense):
                value = _clip(lif, value + (synapse.weight[:, address] << lif.fraction_bits))
            else:
                _convolve(lif, value, synapse, shape, address)
    value = _clip(lif, value + bias)
    return finish(lif, _clip(lif, state.v + value), value) if lif.cuba else finish(lif, value, None)


def _convolve(lif, value, conv, shape, address):
    """Add the weights of one event, which meets every neuron once at most."""
    c, y, x = (int(n) for n in np.unravel_index(address, shape))
    (rows, ky), (columns, kx) = (_reach(conv, n + pad, size) for n, pad, size in zip(
        (y, x), conv.padding, value.shape[1:], strict=True))
    weights = conv.weight[:, c][:, ky][:, :, kx] << lif.fraction_bits
    value[:, rows, columns] = _clip(lif, value[:, rows, columns] + weights)


def _reach(conv, position, size):
    """Return the outputs that a padded coordinate reaches, as a slice, and the taps by which it does."""
    first = max(0, -((conv.kernel - 1 - position) // conv.stride))  # ceil((position - kernel + 1) / stride)
    last = min(size - 1, position // conv.stride)
    taps = position - conv.stride * np.arange(first, last + 1)
    return slice(first, max(first, last + 1)), taps


def _clip(lif, value):
    limit = 1 << lif.state_bits - 1
    return np.clip(value, -limit, limit - 1)

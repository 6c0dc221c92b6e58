"""Bit-exact model of leaky integrate-and-fire neurons."""

from typing import NamedTuple

import numpy as np

from neurogen.spec.lif import DECAY_ONE, Lif, Reset


__all__ = ["LifState", "finish", "initial_state", "step"]


# Neurons that are updated at once: what is computed in between stays in a processor's cache.
_BLOCK = 1 << 15


class LifState(NamedTuple):
    """State of a population between two steps.

    Parameters
    ----------
    v
        Membrane potentials, ``int64[*shape]``.
    i
        Synaptic currents of a CuBa-LIF, ``int64[*shape]``; else ``None``.
    """

    v: np.ndarray
    i: np.ndarray | None = None


def initial_state(lif: Lif) -> LifState:
    """Return the state before the first step."""
    initial = lif.per_neuron("initial").copy()
    return LifState(np.zeros_like(initial), initial) if lif.cuba else LifState(initial)


def step(lif: Lif, state: LifState, total_input: np.ndarray) -> tuple[LifState, np.ndarray]:
    """Return the state after one step, and how often each neuron fired in it.

    Parameters
    ----------
    lif
        The population.
    state
        State before the step.
    total_input
        ``2**f * S + b`` of each neuron, in units of ``V``, biases of the connections included;
        ``int64[*shape]``.

    Returns
    -------
    state, spikes
        `LifState`, and integers of any type, ``[*shape]``: 0 or 1, or more with ``multi_spike``.

    Raises
    ------
    OverflowError
        If a sum does not fit ``state_bits``: the hardware would wrap.
    """
    kind = _kind(lif)
    v = np.empty(lif.shape, np.int64)
    i = np.empty(lif.shape, np.int64) if lif.cuba else None
    spikes = np.empty(lif.shape, kind if lif.multi_spike else np.int8)
    rows = max(1, _BLOCK * lif.shape[0] // lif.neurons)
    for first in range(0, lif.shape[0], rows):
        part = slice(first, first + rows)
        total = total_input[part]
        if lif.cuba:
            total = total + state.i[part]
            _check_width(lif, "current", total)
            i[part] = _decay_and_clip(lif, part, "synapse_decay", total.astype(kind), lif.i_lo, lif.i_hi)
        total = state.v[part] + total
        _check_width(lif, "potential", total)
        total = total.astype(kind, copy=False)
        spikes[part] = _fire(lif, part, total)
        v[part] = _decay_and_clip(lif, part, "decay", total, lif.v_lo, lif.v_hi)
    return LifState(v, i), spikes


def finish(lif: Lif, v: np.ndarray, i: np.ndarray | None) -> tuple[LifState, np.ndarray]:
    """Return what `step` returns, from what is integrated already: ``V``, and ``I`` of a CuBa-LIF."""
    kind, whole = _kind(lif), slice(None)
    v = v.astype(kind)
    spikes = np.broadcast_to(_fire(lif, whole, v), lif.shape)
    v = _decay_and_clip(lif, whole, "decay", v, lif.v_lo, lif.v_hi).astype(np.int64)
    if lif.cuba:
        i = _decay_and_clip(lif, whole, "synapse_decay", i.astype(kind), lif.i_lo, lif.i_hi).astype(np.int64)
    return LifState(v, i), spikes


def _kind(lif):
    """Return the narrowest type that holds the product of a state and a decay factor: it is the fastest."""
    return np.int32 if lif.state_bits + DECAY_ONE.bit_length() <= 32 else np.int64


def _parameter(lif, part, name, kind):
    """Return a parameter in a shape that broadcasts to that of a part of the population."""
    value = getattr(lif, name)
    if value.ndim:
        value = value[part]
    return value.reshape(value.shape + (1,) * (len(lif.shape) - 1) * value.ndim).astype(kind)


def _fire(lif, part, v):
    """Reset ``v`` in place where neurons fire; return the spikes."""
    if lif.reset is Reset.NONE:
        return 0
    threshold = _parameter(lif, part, "threshold", v.dtype)
    spikes = v >= threshold
    if lif.reset is Reset.ZERO:
        np.copyto(v, _parameter(lif, part, "reset_value", v.dtype), where=spikes)
        return spikes
    if lif.multi_spike:
        spikes = np.where(spikes, v // threshold, 0)
    v -= spikes * threshold
    return spikes


def _decay_and_clip(lif, part, name, value, low, high):
    """Return ``clip(trunc(value * factor / 4096), low, high)``, rounded toward zero; overwrites ``value``."""
    if not (getattr(lif, name) == DECAY_ONE).all():
        value *= _parameter(lif, part, name, value.dtype)
        # A shift rounds down; what it would take from a negative product is added first.
        away = value >> (8 * value.itemsize - 1)
        away &= DECAY_ONE - 1
        value += away
        value >>= DECAY_ONE.bit_length() - 1
    return np.clip(value, low, high, out=value)


def _check_width(lif, what, value):
    limit = 1 << (lif.state_bits - 1)
    low, high = int(value.min()), int(value.max())
    if low < -limit or high >= limit:
        raise OverflowError(f"Sum of a {what} must fit {lif.state_bits} bits, from {-limit} to {limit - 1}, "
                            f"not {low if low < -limit else high}")

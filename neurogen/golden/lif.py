"""Bit-exact model of leaky integrate-and-fire neurons."""

from typing import NamedTuple

import numpy as np

from neurogen.spec.lif import DECAY_ONE, Lif, Reset


__all__ = ["LifState", "initial_state", "step"]


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
        `LifState`, and ``int64[*shape]``: 0 or 1, or more with ``multi_spike``.

    Raises
    ------
    OverflowError
        If a sum does not fit ``state_bits``: the hardware would wrap.
    """
    v, i = state.v, state.i
    if lif.cuba:
        i = i + total_input
        _check_width(lif, "current", i)
        v = v + i
    else:
        v = v + total_input
    _check_width(lif, "potential", v)
    kind = _kind(lif)
    v, spikes = _fire(lif, v.astype(kind, copy=False))
    v = _decay_and_clip(lif, "decay", v, lif.v_lo, lif.v_hi)
    if lif.cuba:
        i = _decay_and_clip(lif, "synapse_decay", i.astype(kind, copy=False), lif.i_lo, lif.i_hi)
    return LifState(v, i), spikes


def _kind(lif):
    """Return the narrowest type that holds the product of a state and a decay factor: it is the fastest."""
    return np.int32 if lif.state_bits + DECAY_ONE.bit_length() <= 32 else np.int64


def _parameter(lif, name, kind):
    """Return an array parameter in a shape that broadcasts to that of the population."""
    value = getattr(lif, name)
    return value.reshape(value.shape + (1,) * (len(lif.shape) - 1) * value.ndim).astype(kind)


def _fire(lif, v):
    """Return what is left of ``v``, which may be overwritten, and the spikes."""
    if lif.reset is Reset.NONE:
        return v, np.zeros(v.shape, np.int64)
    threshold = _parameter(lif, "threshold", v.dtype)
    fired = v >= threshold
    if lif.reset is Reset.ZERO:
        np.copyto(v, _parameter(lif, "reset_value", v.dtype), where=fired)
        return v, fired.astype(np.int64)
    spikes = np.where(fired, v // threshold, 0) if lif.multi_spike else fired
    v -= spikes * threshold
    return v, spikes.astype(np.int64)


def _decay_and_clip(lif, name, value, low, high):
    """Return ``clip(trunc(value * factor / 4096), low, high)``, rounded toward zero; overwrites ``value``."""
    if not (getattr(lif, name) == DECAY_ONE).all():
        value *= _parameter(lif, name, value.dtype)
        # A shift rounds down; what it would take from a negative product is added first.
        away = value >> (8 * value.itemsize - 1)
        away &= DECAY_ONE - 1
        value += away
        value >>= DECAY_ONE.bit_length() - 1
    return np.clip(value, low, high, out=value).astype(np.int64, copy=False)


def _check_width(lif, what, value):
    limit = 1 << (lif.state_bits - 1)
    low, high = int(value.min()), int(value.max())
    if low < -limit or high >= limit:
        raise OverflowError(f"Sum of a {what} must fit {lif.state_bits} bits, from {-limit} to {limit - 1}, "
                            f"not {low if low < -limit else high}")

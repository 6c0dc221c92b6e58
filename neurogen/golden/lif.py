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
    v, spikes = _fire(lif, v)
    v = np.clip(_decay(lif, "decay", v), lif.v_lo, lif.v_hi)
    if lif.cuba:
        i = np.clip(_decay(lif, "synapse_decay", i), lif.i_lo, lif.i_hi)
    return LifState(v, i), spikes


def _fire(lif, v):
    if lif.reset is Reset.NONE:
        return v, np.zeros_like(v)
    threshold = lif.per_neuron("threshold")
    fired = v >= threshold
    if lif.reset is Reset.ZERO:
        return np.where(fired, lif.per_neuron("reset_value"), v), fired.astype(np.int64)
    spikes = np.where(fired, v // threshold, 0) if lif.multi_spike else fired.astype(np.int64)
    return v - spikes * threshold, spikes


def _decay(lif, name, value):
    """Return ``trunc(value * factor / 4096)``, rounding toward zero."""
    if (getattr(lif, name) == DECAY_ONE).all():
        return value
    product = value * lif.per_neuron(name)
    # A shift rounds down; what it would take from a negative product is added first.
    return product + ((product >> 63) & (DECAY_ONE - 1)) >> 12


def _check_width(lif, what, value):
    limit = 1 << (lif.state_bits - 1)
    low, high = int(value.min()), int(value.max())
    if low < -limit or high >= limit:
        raise OverflowError(f"Sum of a {what} must fit {lif.state_bits} bits, from {-limit} to {limit - 1}, "
                            f"not {low if low < -limit else high}")

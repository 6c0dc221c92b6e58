import re
from fractions import Fraction
from math import trunc

import numpy as np
import pytest

from neurogen.golden.lif import LifState, initial_state, step
from neurogen.spec.lif import Lif


def once(lif, v, total_input, i=None):
    """Return V, I and spikes of the first neuron after one step."""
    zero = np.zeros(lif.shape, np.int64)
    state, spikes = step(lif, LifState(zero + v, None if i is None else zero + i), zero + total_input)
    return state.v.flat[0], None if state.i is None else state.i.flat[0], spikes.flat[0]


@pytest.mark.parametrize("v, after", [
    (0, 0), (1, 0), (2, 1), (3, 1), (4, 2),
    (-1, 0), (-2, -1), (-3, -1), (-4, -2),  # toward zero: both signs die out
])
def test_decay_rounds_toward_zero(v, after):
    assert once(Lif(shape=(1,), threshold=100, decay=2048), v, 0)[0] == after


@pytest.mark.parametrize("factor", [0, 1, 1000, 2048, 4095, 4096])
def test_decay_against_exact_rationals(factor):
    lif = Lif(shape=(4096,), threshold=(1 << 31) - 1, decay=factor, state_bits=32,
              v_lo=-(1 << 31), v_hi=(1 << 31) - 1)
    ends = np.array([-(1 << 31), (1 << 31) - 2])
    v = np.concatenate([np.arange(-2047, 2047), ends])
    state, _ = step(lif, LifState(v), np.zeros_like(v))
    assert state.v.tolist() == [trunc(Fraction(n * factor, 4096)) for n in v.tolist()]


@pytest.mark.parametrize("reset, v, after, spikes", [
    ("subtract", 4, 4, 0),
    ("subtract", 5, 0, 1),   # exactly the threshold fires
    ("subtract", 12, 7, 1),  # once, however far above
    ("zero", 4, 4, 0),
    ("zero", 5, -2, 1),
    ("zero", 12, -2, 1),
    ("none", 12, 12, 0),
])
def test_fire_and_reset_by_hand(reset, v, after, spikes):
    lif = Lif(shape=(1,), threshold=5, reset=reset, reset_value=-2)
    assert once(lif, 0, v) == (after, None, spikes)


@pytest.mark.parametrize("v, after, spikes", [
    (-7, -7, 0), (4, 4, 0), (5, 0, 1), (9, 4, 1), (10, 0, 2), (24, 4, 4),
])
def test_multi_spike_by_hand(v, after, spikes):
    assert once(Lif(shape=(1,), threshold=5, multi_spike=True), 0, v) == (after, None, spikes)


@pytest.mark.parametrize("v, total, after, spikes", [
    (0, 14, 4, 1),      # fires, (14 - 5) / 2 = 4.5
    (0, 40, 10, 1),     # 17.5 is clipped after the decay
    (0, -40, -10, 0),
    (0, 20, 7, 1),      # not clipped before it fires
    (0, 25, 10, 1),
    (-10, 16, 0, 1),    # the threshold is compared before the decay
    (10, -5, 0, 1),
])
def test_order_of_fire_reset_decay_and_clip(v, total, after, spikes):
    lif = Lif(shape=(1,), threshold=5, decay=2048, v_lo=-10, v_hi=10)
    assert once(lif, v, total) == (after, None, spikes)


@pytest.mark.parametrize("v, i, total, wanted", [
    (0, 0, 4, (2, 2, 0)),     # I = 4 acts on V in the same step; both halve
    (2, 2, 0, (2, 1, 0)),     # V = 2 + 2
    (0, 7, 4, (3, 5, 1)),     # V = 11 fires: (11 - 5) / 2; I = 11 is not reset
    (0, -7, 0, (-3, -3, 0)),  # both toward zero
    (0, 30, 0, (10, 6, 1)),   # I is clipped after it decayed and acted: V = (30 - 5) / 2 -> 10
    (0, -30, 0, (-10, -6, 0)),
])
def test_synaptic_current_by_hand(v, i, total, wanted):
    lif = Lif(shape=(1,), threshold=5, decay=2048, synapse_decay=2048, v_lo=-10, v_hi=10, i_lo=-6, i_hi=6)
    assert once(lif, v, total, i) == wanted


def test_initial_state_is_of_the_current_where_there_is_one():
    lif = Lif(shape=(2,), threshold=5, initial=[3, -4])
    assert initial_state(lif).v.tolist() == [3, -4]
    assert initial_state(lif).i is None
    cuba = Lif(shape=(2,), threshold=5, initial=[3, -4], synapse_decay=0)
    assert initial_state(cuba).v.tolist() == [0, 0]
    assert initial_state(cuba).i.tolist() == [3, -4]


def test_parameters_per_channel():
    lif = Lif(shape=(2, 1, 2), threshold=[3, 5], decay=[4096, 0], reset="zero", reset_value=[1, 2])
    state, spikes = step(lif, initial_state(lif), np.array([[[3, 2]], [[4, 5]]]))
    assert spikes.tolist() == [[[1, 0]], [[0, 1]]]
    assert state.v.tolist() == [[[1, 2]], [[0, 0]]]


def test_step_does_not_change_its_input():
    for lif in (Lif(shape=(4,), threshold=2, decay=9), Lif(shape=(4,), threshold=2, synapse_decay=9)):
        state, total = initial_state(lif), np.arange(4)
        for array in (state.v, state.i, total):
            if array is not None:
                array.flags.writeable = False
        after, _ = step(lif, state, total)
        assert not state.v.any()
        assert not np.shares_memory(after.v, state.v)


@pytest.mark.parametrize("cuba", [False, True])
@pytest.mark.parametrize("total, fits", [(127, True), (128, False), (-128, True), (-129, False)])
def test_a_sum_that_does_not_fit(cuba, total, fits):
    lif = Lif(shape=(3,), threshold=100, state_bits=8, v_lo=0, v_hi=0, synapse_decay=0 if cuba else None)
    if fits:
        step(lif, initial_state(lif), np.array([0, total, 0]))
        return
    what = "current" if cuba else "potential"
    message = f"Sum of a {what} must fit 8 bits, from -128 to 127, not {total}"
    with pytest.raises(OverflowError, match=f"^{re.escape(message)}$"):
        step(lif, initial_state(lif), np.array([0, total, 0]))


def test_potential_and_current_together_do_not_fit():
    lif = Lif(shape=(1,), threshold=100, state_bits=8, v_lo=0, v_hi=100, synapse_decay=0)
    message = "Sum of a potential must fit 8 bits, from -128 to 127, not 150"
    with pytest.raises(OverflowError, match=f"^{re.escape(message)}$"):
        step(lif, LifState(np.array([90]), np.array([60])), np.array([0]))

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogen.spec.events import (
    END_OF_STEP,
    POPULATION,
    EventError,
    Events,
    control_word,
    pack_words,
    unpack_words,
)


MAP = {"shape": (2, 3, 4), "steps": 3}


@pytest.mark.parametrize("t, index, message", [
    ([0, 3], [0, 0], "Event 1 must be in a step from 0 to 2, not 3"),
    ([-1, 0], [0, 0], "Event 0 must be in a step from 0 to 2, not -1"),
    ([1, 2, 0], [0, 0, 0], "Event 2 must not be earlier than the one before it (step 2), not in step 0"),
    ([0], [24], "Event 0 must have an address from 0 to 23, not 24"),
    ([0], [-1], "Event 0 must have an address from 0 to 23, not -1"),
    ([0, 1], [0], "Events must have as many addresses as times, not 1 and 2"),
    ([0.0], [0], "Events' t must be a vector of integers, not float64[1]"),
    ([0], [[0]], "Events' index must be a vector of integers, not int64[1, 1]"),
])
def test_events_that_cannot_be(t, index, message):
    with pytest.raises(EventError, match=f"^{re.escape(message)}$"):
        Events(**MAP, t=t, index=index)


def test_number_of_steps():
    with pytest.raises(ValueError, match=r"^Number of steps must be at least 0, not -1$"):
        Events((1,), -1, [], [])


@given(st.integers(0, 10**6), st.sampled_from([(2, 3, 4), (5,), (1, 1, 1)]))
def test_counts_and_words_round_trip(seed, shape):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, (3, *shape)) * (rng.random((3, *shape)) < 0.4)
    events = Events.from_counts(counts)
    assert (events.counts() == counts).all()
    assert len(events) == counts.sum()
    words = pack_words(events)
    assert len(words) == len(events) + 3
    head = np.array([control_word(POPULATION, 7)], np.uint32)
    back = unpack_words(np.concatenate([head, words]), {7: shape}, 3)[7]
    assert (back.t == events.t).all() and (back.index == events.index).all()


def test_events_are_in_raster_order():
    c, y, x = Events.from_counts(np.ones((1, 2, 2, 2), int)).address()
    assert list(zip(y.tolist(), x.tolist(), c.tolist(), strict=True)) == sorted(zip(y, x, c, strict=True))


def test_steps_and_addresses():
    events = Events((2, 3, 4), 3, [0, 2, 2], [23, 5, 5])
    assert [events.step(t).tolist() for t in range(3)] == [[23], [], [5, 5]]
    assert [axis.tolist() for axis in events.address()] == [[1, 0, 0], [2, 1, 1], [3, 1, 1]]
    assert [axis.tolist() for axis in Events((9,), 1, [0], [7]).address()] == [[7], [0], [0]]


def test_words_by_hand():
    words = pack_words(Events((2, 3, 4), 2, [0, 1], [23, 0]))
    assert words.tolist() == [1 << 18 | 2 << 9 | 3, 0x8000_0000, 0, 0x8000_0001]
    assert control_word(POPULATION, 5) == 0x9000_0005
    assert control_word(END_OF_STEP, (1 << 24) + 3) == 0x8000_0003


def test_addresses_that_fit_no_word():
    with pytest.raises(EventError, match=r"^Coordinate x must be below 512, not 512$"):
        pack_words(Events((1, 1, 600), 1, [0], [512]))


@pytest.mark.parametrize("counts", [[[0.5]], [[-1]]])
def test_multiplicities_that_cannot_be(counts):
    with pytest.raises(EventError, match=r"^Multiplicities must be non-negative integers$"):
        Events.from_counts(np.array(counts))


END = control_word(END_OF_STEP)
OF_0 = control_word(POPULATION, 0)


@pytest.mark.parametrize("words, message", [
    ([], "Stream must hold 1 end-of-step words, not 0"),
    ([END, END], "Stream must hold 1 end-of-step words, not 2"),
    ([0, END], "Stream must hold events of populations [0], not -1"),
    ([control_word(POPULATION, 3), 0, END], "Stream must hold events of populations [0], not 3"),
    ([OF_0, 3 << 9, END], "Stream must hold events inside (2, 3, 4) for population 0"),
    ([OF_0, 4, END], "Stream must hold events inside (2, 3, 4) for population 0"),
    ([OF_0, 2 << 18, END], "Event 0 must have an address from 0 to 23, not 24"),
    ([OF_0, END, 0], "Event 0 must be in a step from 0 to 0, not 1"),
])
def test_streams_that_cannot_be(words, message):
    with pytest.raises(EventError, match=f"^{re.escape(message)}$"):
        unpack_words(np.array(words, np.uint32), {0: (2, 3, 4)}, 1)


@given(st.lists(st.integers(0, 2**32 - 1) | st.sampled_from([END, OF_0, 0, 1 << 9]), max_size=12))
def test_any_words_give_events_or_an_event_error(words):
    try:
        events = unpack_words(np.array(words, np.uint32), {0: (2, 3, 4), 1: (9,)}, 1)
    except EventError:
        return
    assert events[0].steps == 1


def test_a_vector_has_no_rows():
    """A stray y or x in the word of a vector's event is no address of that vector."""
    with pytest.raises(EventError, match=r"^Stream must hold events inside \(9,\) for population 0$"):
        unpack_words(np.array([OF_0, 1 << 9, END], np.uint32), {0: (9,)}, 1)

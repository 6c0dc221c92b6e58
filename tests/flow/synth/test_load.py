"""Random calls end: loops over wide numbers are drawn with smaller ones."""

import pytest

from neurogen.flow.errors import UserError
from neurogen.flow.synth.load import random_stimuli
from neurogen.qdi import U, process
from neurogen.qdi.python.errors import OverrunError


@process(width=40)
def counts(a: U[40]) -> U[40]:
    i = 0
    while i < a:
        i = i + 1
    return i


@process(width=8, mode="wrap")
def spins(a: U[8]) -> U[8]:
    b = a & 2
    while b != 1:
        b = b & 2
    return b


def test_calls_are_drawn_so_that_they_end():
    rows = random_stimuli(counts, 4)
    assert len(rows) == 4 and all(a < 20_000 for (a,) in rows)
    assert counts.expected(rows) == {"o": [a for (a,) in rows]}


def test_a_function_that_does_not_end_is_an_error():
    with pytest.raises(UserError, match=r"^No random arguments fit .* of spins; .* loops that end sooner$"):
        random_stimuli(spins, 2)


def test_an_overrun_leaves_the_process_as_it_was():
    with pytest.raises(OverrunError, match=r"^A run must end within the operations that it may take$"):
        counts.expected([(5,), (1000,)], budget=500)
    assert counts(7) == 7 and counts.expected([(5,), (1000,)]) == {"o": [5, 1000]}
    assert counts.expected([(100,)], budget=500) == {"o": [100]}

"""Operators of a few bits that go into one table, and those that must not."""

from neurogen.qdi import S, check, process
from neurogen.qdi import compile as compile_graph


@process(width=4, mode="wrap")
def looks_back(b: S[4], c: S[4]) -> S[4]:
    c += c - (3 & (15, 11)[b & 1])
    if (c & 1) and (b & 1):  # c depends on the table of b & 1: one table of both would wait for itself
        b = c
    return b


def test_a_table_is_not_a_source_of_itself():
    check(looks_back, [(b, c) for b in range(-8, 8) for c in range(-8, 8)])


@process(width=4, mode="wrap")
def looks_ahead(b: S[4], c: S[4]) -> S[4]:
    if (c & 1) and (b & 1):
        c = c - (3 & (15, 11)[b & 1])
    return c


def test_operators_without_such_a_cycle_become_tables():
    check(looks_ahead, [(b, c) for b in range(-8, 8) for c in range(-8, 8)])
    assert "lut" in {node.kind for node in compile_graph(looks_ahead, budget=0).blocks}

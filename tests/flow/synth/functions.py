"""Functions for tests of the command line."""

from neurogen.qdi import Bit, Mem, State, Stream, U, process


@process(width=8)
def loop_test(a: U[8]) -> U[8]:
    for i in range(7):
        a = a + i + 1
    return a


@process
def add_test(a: U[8], b: U[8]) -> U[8]:
    return a + b


@process(width=8)
def neuron(spike: Bit, v: State[U[8]] = 0) -> Bit:
    v = v + 3 if spike else v
    fire = v >= 20
    v = 0 if fire else v
    return fire


@process(mode="wrap")
def running(x: Stream[U[8]]):
    total = 0
    while True:
        total = total + next(x)
        yield total


@process(mode="wrap")
def histogram(a: U[2], m: Mem[U[8], 4] = (0,) * 4) -> U[8]:
    m[a] += 1
    return m[a]


def plain(a, b):
    return a if a < b else b


def spins(a):
    return a / 2


NUMBER = 3

from itertools import islice

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from neurogen.rtl.streams import Queue
from neurogen.testing.streams import bursts, collect, drive, monitor, random_pauses, simulate


class Rude(wiring.Component):
    """Offers a word, and breaks its promise in the next cycle."""

    def __init__(self, keep_valid):
        self._keep_valid = keep_valid
        super().__init__({"o": Out(stream.Signature(8)), "dummy": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.valid.eq(1 if self._keep_valid else ~self.o.payload[0])
        m.d.sync += self.o.payload.eq(self.o.payload + 1)
        return m


@pytest.mark.parametrize("pauses", [None, lambda: random_pauses(3, 0.6), lambda: bursts(2, 3)])
def test_words_pass_with_any_pauses(pauses):
    dut, received, seen = Queue(8, 3), [], []
    words = list(range(50))
    make = pauses or (lambda: None)
    simulate(dut, drive(dut.i, words, make()), collect(dut.o, received, make(), count=50),
             background=[monitor(dut.i, seen)], cycles=2000)
    assert received == words and seen == words


@pytest.mark.parametrize("keep_valid, message", [(True, "payload changed from 0 to 1"),
                                                 (False, "payload 0 was withdrawn before it was accepted")])
def test_broken_promises_are_found(keep_valid, message):
    dut = Rude(keep_valid)
    with pytest.raises(AssertionError, match=message):
        simulate(dut, collect(
            dut.o, [], iter([True, True, False]), count=5), cycles=20)


def test_the_watchdog_bites():
    dut = Queue(8, 2)
    with pytest.raises(AssertionError, match="test bench did not finish in 30 cycles"):
        simulate(dut, drive(dut.i, range(5)), cycles=30)


def test_pauses_repeat_and_refuse_nonsense():
    assert list(islice(bursts(1, 2), 6)) == [False, True, True] * 2
    assert list(islice(random_pauses(1, 0.5), 50)) == list(islice(random_pauses(1, 0.5), 50))
    with pytest.raises(ValueError, match=r"^Probability must be from 0 to below 1, not 1$"):
        random_pauses(0, 1)
    with pytest.raises(ValueError, match=r"^Bursts must have active cycles, not 0 and 1 paused ones$"):
        bursts(0, 1)

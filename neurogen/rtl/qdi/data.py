"""Clocked blocks that handle data: sources, storage, forks, wires."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring

from neurogen.rtl.qdi.block import ClockedBlock, Paths, channel, join, spread
from neurogen.rtl.streams import Queue, pipe


__all__ = ["Buffer", "Const", "Fifo", "Fork", "Init", "Pack", "SinkData", "Slice", "Source", "TwoSlots",
           "Unpack"]

_NO_PATHS = Paths(frozenset(), frozenset())


class TwoSlots(wiring.Component):
    """Two slots that cut every combinational path, and hold a token at first if there is a value.

    One token per cycle; a token leaves one cycle after it entered at the earliest.

    Parameters
    ----------
    width
        Bits of a token.
    value
        Token that is inside after reset; None for no token.

    Members
    -------
    i, o : streams of `channel`
    """

    def __init__(self, width: int, value: int | None = None):
        self._value = value
        super().__init__({"i": wiring.In(channel(width)), "o": wiring.Out(channel(width))})

    def elaborate(self, platform):
        m = Module()
        front = Signal.like(self.o.payload, init=self._value or 0)
        spare = Signal.like(self.o.payload)
        valid = Signal(init=self._value is not None)
        taken = Signal()  # `spare` holds the token that came while `front` was stuck

        m.d.comb += [self.i.ready.eq(~taken), self.o.valid.eq(valid), self.o.payload.eq(front)]
        with m.If(self.o.ready | ~valid):
            m.d.sync += taken.eq(0)
            with m.If(taken):
                m.d.sync += front.eq(spare)
            with m.Else():
                m.d.sync += [front.eq(self.i.payload), valid.eq(self.i.valid)]
        with m.Elif(self.i.valid & ~taken):
            m.d.sync += [spare.eq(self.i.payload), taken.eq(1)]
        return m


class Source(ClockedBlock):
    """A token in every cycle."""

    kind = "source"

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(self._parameters["value"])]
        return m


class Const(ClockedBlock):
    """A constant for each token of ``i``; no cycle of latency."""

    kind = "const"

    def elaborate(self, platform):
        m = Module()
        join(m, [self.i], self.o)
        m.d.comb += self.o.payload.eq(self._parameters["value"])
        return m


class Buffer(ClockedBlock):
    """One slot: a register for ``valid`` and ``payload``. One token per cycle.

    ``i.ready`` depends on ``o.ready``, so that a full slot can be emptied and filled in one cycle.
    """

    kind = "buffer"

    @classmethod
    def paths(cls, **parameters: Any) -> Paths:
        """From ``o`` back to ``i``."""
        return Paths(frozenset(), frozenset({("o", "i")}))

    def elaborate(self, platform):
        m = Module()
        valid = Signal()
        word = Signal.like(self.o.payload)
        m.d.comb += [self.i.ready.eq(~valid | self.o.ready), self.o.valid.eq(valid),
                     self.o.payload.eq(word)]
        with m.If(self.i.ready):
            m.d.sync += [valid.eq(self.i.valid), word.eq(self.i.payload)]
        return m


class Fifo(ClockedBlock):
    """``depth`` slots. One token per cycle; latency of one cycle up to a depth of 2, of two beyond.

    From a depth of 2 on there are no combinational paths.
    """

    kind = "fifo"

    @classmethod
    def paths(cls, **parameters: Any) -> Paths:
        """From ``o`` back to ``i`` if the depth is 1."""
        return Paths(frozenset(), frozenset({("o", "i")} if parameters["depth"] == 1 else ()))

    def elaborate(self, platform):
        m = Module()
        width, depth = self._parameters["width"], self._parameters["depth"]
        stage = Buffer(width=width) if depth == 1 else \
            TwoSlots(width) if depth == 2 else Queue(self.i.payload.shape(), depth - 1)
        m.submodules.stage = stage
        pipe(m, wiring.flipped(self.i), stage.i)
        pipe(m, stage.o, wiring.flipped(self.o))
        return m


class Init(ClockedBlock):
    """Two slots, one of which holds ``value`` after reset. One token per cycle, no combinational paths.

    One slot would not do: a ring of one token and no free slot never moves.
    """

    kind = "init"

    @classmethod
    def paths(cls, **parameters: Any) -> Paths:
        """None."""
        return _NO_PATHS

    def elaborate(self, platform):
        m = Module()
        m.submodules.slots = slots = TwoSlots(self._parameters["width"], self._parameters["value"])
        pipe(m, wiring.flipped(self.i), slots.i)
        pipe(m, slots.o, wiring.flipped(self.o))
        return m


class Fork(ClockedBlock):
    """A copy to each output, as soon as each takes it. No cycle of latency."""

    kind = "fork"

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.i.ready.eq(spread(m, self.i.valid, self.outs)),
                     *(o.payload.eq(self.i.payload) for o in self.outs)]
        return m


class Pack(ClockedBlock):
    """One token of all inputs' bits. No cycle of latency."""

    kind = "pack"

    def elaborate(self, platform):
        m = Module()
        join(m, self.ins, self.o)
        m.d.comb += self.o.payload.eq(Cat(self.data(name) for name in self._inputs))
        return m


class Unpack(ClockedBlock):
    """The bits of a token to several outputs, as soon as each takes them. No cycle of latency."""

    kind = "unpack"

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.i.ready.eq(spread(m, self.i.valid, self.outs))
        low = 0
        for name, o in zip(self._outputs, self.outs, strict=True):
            m.d.comb += o.payload.eq(self.i.payload[low:low + self._widths[name]])
            low += self._widths[name]
        return m


class SinkData(ClockedBlock):
    """Takes a token in every cycle."""

    kind = "sink_data"

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.i.ready.eq(1)
        return m


class Slice(ClockedBlock):
    """Some bits of a token, shifted left and extended. Wires only."""

    kind = "slice"

    def elaborate(self, platform):
        m = Module()
        low, shift = self._parameters["low"], self._parameters["shift"]
        join(m, [self.i], self.o)
        word = self.data("i")
        if self._parameters["signed"] and self._widths["i"]:
            word = word.as_signed()
        if self._widths["o"]:
            m.d.comb += self.o.payload.eq((word >> low) << shift)
        return m

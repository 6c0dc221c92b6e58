"""Borders between clocked streams, asynchronous channels and address-event representation (AER)."""

from typing import Any

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from neurogen.rtl.qdi.block import ClockedBlock, Paths, channel
from neurogen.rtl.qdi.data import TwoSlots
from neurogen.rtl.streams import pipe
from neurogen.spec.checks import check_int


__all__ = ["AerPort", "AerSender", "QdiToStream", "StreamToQdi", "aer"]


def aer(width: int) -> wiring.Signature:
    """Return the signature of a four-phase bundled-data AER link, as its sender sees it.

    The sender sets ``data``, then raises ``req``; the receiver takes ``data`` and raises ``ack``; ``req``
    falls, then ``ack`` falls. ``data`` is stable while ``req`` is high.
    """
    return wiring.Signature({"data": Out(unsigned(max(1, width))), "req": Out(1), "ack": In(1)})


class _Border(ClockedBlock):
    """Two slots: in the clocked circuit, both sides are streams of one clock."""

    @classmethod
    def paths(cls, **parameters: Any) -> Paths:
        """None."""
        return Paths(frozenset(), frozenset())

    def elaborate(self, platform):
        m = Module()
        m.submodules.slots = slots = TwoSlots(self._parameters["width"])
        pipe(m, wiring.flipped(self.i), slots.i)
        pipe(m, slots.o, wiring.flipped(self.o))
        return m


class StreamToQdi(_Border):
    """The place where a stream enters the asynchronous circuit. One cycle of latency."""

    kind = "stream_to_qdi"


class QdiToStream(_Border):
    """The place where a stream leaves the asynchronous circuit. One cycle of latency."""

    kind = "qdi_to_stream"


class AerPort(ClockedBlock):
    """Receiver of a four-phase AER link of another clock, or of none.

    ``req`` passes a synchroniser of two registers; ``data`` is stable by then. An event from an `AerSender`
    of the same clock takes fourteen cycles.

    Members
    -------
    i : ``In(aer(width))``
    o : stream of `channel`
    """

    kind = "aer_port"

    @classmethod
    def paths(cls, **parameters: Any) -> Paths:
        """None."""
        return Paths(frozenset(), frozenset())

    @staticmethod
    def _member(direction: Any, port: Any) -> Any:
        return In(aer(port.width)) if port.name == "i" else Out(channel(port.width))

    def elaborate(self, platform):
        m = Module()
        requested = Signal()
        valid, word = Signal(), Signal.like(self.o.payload)
        m.submodules.synchroniser = FFSynchronizer(self.i.req, requested)
        m.d.comb += [self.o.valid.eq(valid), self.o.payload.eq(word)]
        with m.If(self.o.ready):
            m.d.sync += valid.eq(0)
        with m.If(~requested):
            m.d.sync += self.i.ack.eq(0)
        with m.Elif(~self.i.ack & ~valid):
            m.d.sync += [self.i.ack.eq(1), valid.eq(1), word.eq(self.i.data)]
        return m


class AerSender(wiring.Component):
    """Sender of a four-phase AER link; the other end of `AerPort`.

    ``data`` is set one cycle before ``req`` rises. ``ack`` passes a synchroniser of two registers.

    Parameters
    ----------
    width
        Bits of an event, at least 1.

    Members
    -------
    i : stream of `channel`
    o : ``Out(aer(width))``
    """

    def __init__(self, width: int):
        check_int("Event width", width, minimum=1, unit="bits")
        super().__init__({"i": In(channel(width)), "o": Out(aer(width))})

    def elaborate(self, platform):
        m = Module()
        acknowledged = Signal()
        m.submodules.synchroniser = FFSynchronizer(self.o.ack, acknowledged)
        with m.FSM():
            with m.State("Take"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += self.o.data.eq(self.i.payload)
                with m.If(self.i.valid):
                    m.next = "Raise"
            with m.State("Raise"):
                m.d.sync += self.o.req.eq(1)
                m.next = "Fall"
            with m.State("Fall"):
                with m.If(acknowledged):
                    m.d.sync += self.o.req.eq(0)
                    m.next = "Rest"
            with m.State("Rest"):
                with m.If(~acknowledged):
                    m.next = "Take"
        return m

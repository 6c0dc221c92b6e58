"""Weights from external memory, and a bus that stays in order when their transfer is aborted."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neurogen.rtl.bus import WishboneSignature
from neurogen.spec.mega import BANKS, MegaSpec


__all__ = ["Loader", "ReadGuard"]


class Loader(wiring.Component):
    """Reads weight rows from the external memory, a byte each, and hands them on one at a time.

    A word takes its access and four cycles.

    Parameters
    ----------
    spec
        Parameters of the accelerator.

    Members
    -------
    start, address, rows : ``In``
        Begin at this word of the memory; as many weight rows (``BANKS * total_lanes`` bytes each,
        rounded up to whole words).
    busy : ``Out(1)``
        High from the cycle after ``start`` until the last weight has been pushed and written.
    mem : ``Out(WishboneSignature(30))``
        Master.
    push, weight : ``Out``
        The next weight.
    """

    def __init__(self, spec: MegaSpec):
        self._spec = spec
        super().__init__({
            "start": In(1), "address": In(30), "rows": In(16), "busy": Out(1),
            "mem": Out(WishboneSignature(30)),
            "push": Out(1), "weight": Out(spec.weight_bits),
        })

    @property
    def spec(self) -> MegaSpec:
        """Parameters of the accelerator."""
        return self._spec

    def elaborate(self, platform):
        m = Module()
        size = BANKS * self._spec.total_lanes
        rows = Signal(16)
        left = Signal(range(size + 1))  # in this row
        byte = Signal(2)
        word = Signal(32)
        m.d.comb += self.weight.eq(word)
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("Idle"))
            with m.State("Idle"):
                m.d.sync += [self.mem.adr.eq(self.address), rows.eq(self.rows), left.eq(size)]
                with m.If(self.start):
                    m.next = "Row"
            with m.State("Row"):
                m.d.sync += [rows.eq(rows - 1), left.eq(size)]
                m.next = "Read"
                with m.If(rows == 0):
                    m.next = "Settle"
            with m.State("Read"):
                m.d.comb += [self.mem.cyc.eq(1), self.mem.stb.eq(1)]
                with m.If(self.mem.ack):
                    m.d.sync += [word.eq(self.mem.dat_r), self.mem.adr.eq(self.mem.adr + 1),
                                 byte.eq(0)]
                    m.next = "Push"
            with m.State("Push"):
                m.d.comb += self.push.eq(1)
                m.d.sync += [word.eq(word >> 8), byte.eq(byte + 1), left.eq(left - 1)]
                with m.If(left == 1):
                    m.next = "Row"
                with m.Elif(byte == 3):
                    m.next = "Read"
            with m.State("Settle"):  # the last tap is being written
                m.next = "Idle"
        return m


class ReadGuard(wiring.Component):
    """Finishes the reads of an initiator that is reset in the middle of one.

    A classic Wishbone cycle ends with its acknowledge; a target may not have to cope with one that ends
    before. After ``cut`` the access that is under way stays on the bus, with its address, until the target
    answers; that answer is dropped, and what the initiator asks for meanwhile waits. Adds no cycles.

    Parameters
    ----------
    addr_bits
        Width of a word address.

    Members
    -------
    initiator : ``In(WishboneSignature(addr_bits))``
        Whoever only reads, and may forget.
    bus : ``Out(WishboneSignature(addr_bits))``
    cut : ``In(1)``
        ``initiator`` is reset in this cycle.
    """

    def __init__(self, addr_bits: int):
        super().__init__({"initiator": In(WishboneSignature(addr_bits)),
                          "bus": Out(WishboneSignature(addr_bits)), "cut": In(1)})

    def elaborate(self, platform):
        m = Module()
        inner, outer = self.initiator, self.bus
        orphan = Signal()  # the access on the bus is nobody's any more
        held = Signal.like(outer.adr, reset_less=True)
        m.d.comb += [
            outer.cyc.eq(inner.cyc | orphan), outer.stb.eq(inner.stb | orphan),
            outer.adr.eq(Mux(orphan, held, inner.adr)),
            inner.dat_r.eq(outer.dat_r), inner.ack.eq(outer.ack & ~orphan),
        ]
        m.d.sync += held.eq(outer.adr)
        with m.If(outer.ack):
            m.d.sync += orphan.eq(0)
        with m.Elif(self.cut & outer.cyc & outer.stb):
            m.d.sync += orphan.eq(1)
        return m

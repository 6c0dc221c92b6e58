"""Frames of the host link: found in bytes, kept, and made into bytes again (`neurogen.spec.hostlink`)."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from neurogen.spec.hostlink import CRC_START, END, ESCAPE, ESCAPE_XOR, HEADER_BYTES, HostLinkSpec


__all__ = ["FrameReceiver", "FrameSender"]


def _crc_step(crc: Value, byte: Value) -> Value:
    """Return the CRC after one more byte: a bytewise form of ``x^16 + x^12 + x^5 + 1``."""
    x = crc[8:] ^ byte
    x = (x ^ x[4:])[:8]
    return Cat(Const(0, 8), crc[:8]) ^ Cat(Const(0, 12), x[:4]) ^ Cat(Const(0, 5), x) ^ x


class FrameReceiver(wiring.Component):
    """Undo the framing, check the CRC, keep whole frames; drop and count everything else.

    Two slots: one frame is executed while the next comes in, and waits there if need be. What comes while
    both are full is dropped; an honest host has no more than `WINDOW` requests under way.

    Members
    -------
    i : ``In(stream.Signature(8))``
        Always ready.
    damaged : ``In(1)``
        A byte was lost: drop the frame.
    pending : ``Out(1)``
        A frame waits in the slot; ``length`` is its size in bytes, without the CRC.
    addr : ``In(slot_log2)``
        Byte of the waiting frame that will be on ``data`` in the next cycle.
    release : ``In(1)``
        Forget the waiting frame.
    dropped : ``Out(1)``
        High for one cycle for each frame that was dropped.
    """

    def __init__(self, spec: HostLinkSpec):
        self._slot_log2 = spec.slot_log2
        super().__init__({
            "i": In(stream.Signature(8)), "damaged": In(1),
            "pending": Out(1), "length": Out(spec.slot_log2 + 1), "dropped": Out(1), "release": In(1),
            "addr": In(spec.slot_log2), "data": Out(8),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.slots = slots = Memory(shape=8, depth=2 << self._slot_log2, init=[])
        w_port, r_port = slots.write_port(), slots.read_port()
        slot    = Signal()
        size    = Signal(self._slot_log2 + 1)
        crc     = Signal(16, init=CRC_START)
        escaped = Signal()
        spoilt  = Signal()
        held    = Signal()  # the slot that receives holds a whole frame

        received = self.i.payload
        byte = Mux(escaped, received ^ ESCAPE_XOR, received)
        m.d.comb += [
            self.i.ready.eq(1),
            w_port.addr.eq(Cat(size[:-1], slot)),
            w_port.data.eq(byte),
            r_port.addr.eq(Cat(self.addr, ~slot)),
            self.data.eq(r_port.data),
        ]
        with m.If(self.release):
            m.d.sync += self.pending.eq(0)
        with m.If(held & ~self.pending):
            m.d.sync += [self.pending.eq(1), self.length.eq(size - 2), slot.eq(~slot), held.eq(0), size.eq(0)]
        with m.If(self.damaged):
            m.d.sync += spoilt.eq(1)
        with m.If(self.i.valid):
            m.d.sync += escaped.eq(received == ESCAPE)
            with m.If(received == END):
                m.d.sync += [crc.eq(CRC_START), spoilt.eq(0)]
                with m.If(held):
                    m.d.comb += self.dropped.eq(spoilt)
                with m.Elif((crc == 0) & ~spoilt & (size >= HEADER_BYTES + 2)):
                    m.d.sync += held.eq(1)
                with m.Else():
                    m.d.comb += self.dropped.eq((size != 0) | spoilt)
                    m.d.sync += size.eq(0)
            with m.Elif(held):
                m.d.sync += spoilt.eq(1)  # nowhere to put it
            with m.Elif(received != ESCAPE):
                m.d.comb += w_port.en.eq(1)
                m.d.sync += crc.eq(_crc_step(crc, byte))
                with m.If(size[-1]):
                    m.d.sync += spoilt.eq(1)  # longer than a slot; it has overwritten its own start only
                with m.Else():
                    m.d.sync += size.eq(size + 1)
        return m


class FrameSender(wiring.Component):
    """Memory of two replies, and the framing of what is in it.

    Members
    -------
    w_en, w_addr, w_data : ``In(...)``
        Write port of the memory.
    start : ``In(1)``
        Send the bytes from ``first`` up to, but not including, ``stop``; at least one; only while not
        ``busy``. ``stop`` must not change while ``busy``.
    o : ``Out(stream.Signature(8))``
    """

    def __init__(self, spec: HostLinkSpec):
        self._addr_bits = spec.slot_log2 + 1
        super().__init__({
            "w_en": In(1), "w_addr": In(self._addr_bits), "w_data": In(8),
            "start": In(1), "busy": Out(1), "first": In(self._addr_bits), "stop": In(self._addr_bits),
            "o": Out(stream.Signature(8)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.slots = slots = Memory(shape=8, depth=1 << self._addr_bits, init=[])
        w_port, r_port = slots.write_port(), slots.read_port()
        position  = Signal(self._addr_bits)
        following = Signal(self._addr_bits)
        crc       = Signal(16)
        raw       = Signal(8)
        stuffed   = Signal()  # this byte may not appear inside a frame
        escaped   = Signal()
        moving    = Signal()  # `raw` goes out in this cycle

        # The memory is always asked for the byte that comes next, so its answer is always at `position`.
        m.d.comb += [
            w_port.en.eq(self.w_en), w_port.addr.eq(self.w_addr), w_port.data.eq(self.w_data),
            following.eq(position + moving),
            r_port.addr.eq(following),
            r_port.en.eq(~self.w_en),  # never both: block RAMs then need no logic for collisions
            stuffed.eq((raw == END) | (raw == ESCAPE)),
        ]
        m.d.sync += position.eq(following)

        def send():
            m.d.comb += self.o.valid.eq(1)
            m.d.comb += self.o.payload.eq(
                Mux(stuffed, Mux(escaped, raw ^ ESCAPE_XOR, ESCAPE), raw))
            with m.If(self.o.ready):
                m.d.sync += escaped.eq(stuffed & ~escaped)
                with m.If(~stuffed | escaped):
                    m.d.comb += moving.eq(1)
                    # A byte that is the CRC's own upper half shifts it up, ready for the lower half.
                    m.d.sync += crc.eq(_crc_step(crc, raw))

        def delimit(state):
            m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(END)]
            with m.If(self.o.ready):
                m.next = state

        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("Idle"))
            with m.State("Idle"):
                with m.If(self.start):
                    m.d.sync += [position.eq(self.first), crc.eq(CRC_START)]
                    m.next = "Open"
            with m.State("Open"):
                delimit("Body")
            with m.State("Body"):
                m.d.comb += raw.eq(r_port.data)
                send()
                with m.If(moving & (following == self.stop)):
                    m.next = "CheckHigh"
            with m.State("CheckHigh"):
                m.d.comb += raw.eq(crc[8:])
                send()
                with m.If(moving):
                    m.next = "CheckLow"
            with m.State("CheckLow"):
                m.d.comb += raw.eq(crc[8:])
                send()
                with m.If(moving):
                    m.next = "Close"
            with m.State("Close"):
                delimit("Idle")
        return m

"""The device's end of the host link: UART, frames, and the commands in them (`neurogen.spec.hostlink`)."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from neurogen.rtl.bus import WishboneSignature
from neurogen.rtl.streams import Queue, pipe
from neurogen.spec.checks import check_int
from neurogen.spec.hostlink import (
    CRC_START,
    END,
    ESCAPE,
    ESCAPE_XOR,
    HEADER_BYTES,
    SEQUENCES,
    VERSION,
    WINDOW,
    Command,
    HostLinkSpec,
    Status,
)


__all__ = ["FrameReceiver", "FrameSender", "HostLink", "LinkCore", "UartRx", "UartTx"]


class UartRx(wiring.Component):
    """UART receiver: 8 data bits, no parity, 1 stop bit, sampled in the middle of each bit.

    ``valid`` is high for one cycle per byte, half a bit before its stop bit ends; this is no stream, as
    nobody can make a UART wait. A byte without a stop bit makes ``damaged`` high for one cycle instead.
    A reset abandons the byte that is coming in.

    Parameters
    ----------
    divisor
        Cycles of a bit, 4 to 65535.

    Members
    -------
    rx : ``In(1)``
        The pin; may be asynchronous.
    data : ``Out(8)``
    valid, damaged : ``Out(1)``
    """

    def __init__(self, divisor: int):
        self._divisor = check_int("UART divisor", divisor, minimum=4, maximum=65535, unit="cycles")
        super().__init__({"rx": In(1, init=1), "data": Out(8), "valid": Out(1), "damaged": Out(1)})

    def elaborate(self, platform):
        m = Module()
        level = Signal(init=1)
        m.submodules.pin = FFSynchronizer(self.rx, level, init=1)
        wait = Signal(range(self._divisor))
        left = Signal(range(10))  # bits after the one that is sampled next; 9 in the start bit
        busy = Signal()

        with m.If(~busy):
            m.d.sync += [busy.eq(~level), wait.eq(self._divisor // 2 - 1), left.eq(9)]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [wait.eq(self._divisor - 1), left.eq(left - 1)]
            with m.If(left == 0):
                m.d.sync += busy.eq(0)
                m.d.comb += [self.valid.eq(level), self.damaged.eq(~level)]
            with m.Elif(left == 9):
                m.d.sync += busy.eq(~level)  # a glitch is no start bit
            with m.Else():
                m.d.sync += self.data.eq(Cat(self.data[1:], level))
        return m


class UartTx(wiring.Component):
    """UART transmitter: 8 data bits, no parity, 1 stop bit; a byte takes ``10 * divisor`` cycles.

    Parameters
    ----------
    divisor
        Cycles of a bit, 1 to 65535.

    Members
    -------
    i : ``In(stream.Signature(8))``
    tx : ``Out(1)``
    """

    def __init__(self, divisor: int):
        self._divisor = check_int("UART divisor", divisor, minimum=1, maximum=65535, unit="cycles")
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        wait = Signal(range(self._divisor))
        left = Signal(range(10))  # bits after the one that is on the line
        bits = Signal(9, init=~0)
        last = Signal()  # cycle of a bit

        m.d.comb += [self.tx.eq(bits[0]), last.eq(wait == 0), self.i.ready.eq(last & (left == 0))]
        m.d.sync += wait.eq(Mux(last, self._divisor - 1, wait - 1))
        with m.If(last):
            m.d.sync += bits.eq(Cat(bits[1:], Const(1, 1)))
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)
            with m.Elif(self.i.valid):
                m.d.sync += [bits.eq(Cat(Const(0, 1), self.i.payload)), left.eq(9)]
        return m


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


class LinkCore(wiring.Component):
    """The host link over any byte channel.

    Requests are executed one after the other, one byte per cycle, and each reply is sent before the next
    request is looked at; meanwhile that one may come in. No input can make it wait for ever: the bus has a
    time-out, event words that find no room are refused. A reset ends the session (the host must say HELLO
    again) and empties the queues.

    Members
    -------
    i_bytes : ``In(stream.Signature(8))``
        Always ready.
    damaged : ``In(1)``
        A byte of ``i_bytes`` was lost.
    o_bytes : ``Out(stream.Signature(8))``
    bus : ``Out(WishboneSignature(spec.addr_bits))``
    o_events : ``Out(stream.Signature(32))``
        Words from the host, through a queue of ``spec.in_words``.
    i_events : ``In(stream.Signature(32))``
        Words to the host, through a queue of ``spec.out_words``.
    """

    def __init__(self, spec: HostLinkSpec):
        _check_spec(spec)
        self._spec = spec
        super().__init__({
            "i_bytes": In(stream.Signature(8)), "damaged": In(1),
            "o_bytes": Out(stream.Signature(8)), **_device_ports(spec),
        })

    @property
    def spec(self) -> HostLinkSpec:
        """Parameters of the link."""
        return self._spec

    def elaborate(self, platform):
        spec = self._spec
        m = Module()
        m.submodules.receiver = rx = FrameReceiver(spec)
        m.submodules.sender   = tx = FrameSender(spec)
        m.submodules.inwards  = inwards = Queue(32, spec.in_words)
        m.submodules.outwards = outwards = Queue(32, spec.out_words)
        pipe(m, wiring.flipped(self.i_bytes), rx.i)
        pipe(m, tx.o, wiring.flipped(self.o_bytes))
        pipe(m, inwards.o, wiring.flipped(self.o_events))
        pipe(m, wiring.flipped(self.i_events), outwards.i)

        # The session.
        expected, in_session = Signal(range(SEQUENCES)), Signal()
        stops   = Array([Signal(spec.slot_log2, name=f"stop_{slot}") for slot in range(WINDOW)])
        errors  = Signal(8)
        unknown = Signal()  # a frame was dropped and the host has not been told

        # The request, and how far its execution is. "Close" restores the initial values.
        command, seq  = Signal(4), Signal(range(SEQUENCES))
        increment     = Signal()
        address       = Signal(spec.addr_bits)
        count         = Signal(8)
        word          = Signal(32)
        last          = Signal(2, init=3)                         # index of an element's last byte
        index         = Signal(3)                                 # of a byte in `word` or a reply's header
        position      = Signal(spec.slot_log2 + 1)                # of a byte in the request
        filled        = Signal(spec.slot_log2, init=HEADER_BYTES)  # bytes of the reply
        dispatched    = Signal()
        aside         = Signal()  # the reply must not replace one that is kept: it has a place of its own
        done          = Signal(8)
        status        = Signal(4)
        waited        = Signal(spec.timeout_log2)

        moving, incoming, age, free = Signal(), Signal(8), Signal(4), Signal(16)
        place = Cat(Const(0, 3), aside.replicate(spec.slot_log2 - 3))  # of the reply, in its slot
        m.d.comb += [
            rx.damaged.eq(self.damaged),
            rx.addr.eq(position + moving),  # as in the sender: what it answers is always at `position`
            age.eq(expected - seq),
            free.eq(spec.in_words - inwards.level),
            tx.w_addr.eq(Cat(filled, seq[0])), tx.w_data.eq(word[:8]),
            tx.first.eq(Cat(place, seq[0])), tx.stop.eq(Cat(stops[seq[0]], seq[0])),
            inwards.i.payload.eq(word),
            self.bus.adr.eq(address), self.bus.dat_w.eq(word),
            self.bus.we.eq(command == Command.WRITE), self.bus.stb.eq(self.bus.cyc),
        ]
        m.d.sync += position.eq(position + moving)
        with m.If(rx.dropped):
            m.d.sync += [errors.eq(errors + 1), unknown.eq(1)]

        def answer(code):
            m.d.sync += [status.eq(code), index.eq(0)]
            m.next = "Header"

        with m.FSM():
            with m.State("Idle"):
                with m.If(rx.pending):
                    m.next = "Begin"
                with m.Elif(unknown):
                    m.d.sync += [seq.eq(expected), aside.eq(1), unknown.eq(rx.dropped)]
                    answer(Status.NACK)

            with m.State("Begin"):
                m.d.sync += [seq.eq(rx.data[:4]), command.eq(rx.data[4:])]
                m.d.comb += moving.eq(1)
                m.next = "Load"

            # Four bytes into `word`: those of the element, then copies of its sign.
            with m.State("Load"):
                with m.If(index[:2] > last):
                    m.d.comb += incoming.eq(word[-1].replicate(8))
                with m.Else():
                    m.d.comb += [incoming.eq(rx.data), moving.eq(1)]
                m.d.sync += [word.eq(Cat(word[8:], incoming)), index[:2].eq(index[:2] + 1)]
                with m.If(moving & (position == rx.length)):
                    answer(Status.BAD)
                with m.Elif(index[:2] == 3):
                    with m.If(~dispatched):
                        m.next = "Dispatch"
                    with m.Elif(command == Command.WRITE):
                        m.next = "Bus"
                    with m.Else():
                        m.next = "Offer"

            with m.State("Dispatch"):
                m.d.sync += [last.eq(Cat(word[0] | word[1], word[1])), increment.eq(word[2]),
                             address.eq(word[8:24]), count.eq(word[24:]), dispatched.eq(1)]
                with m.If(command == Command.HELLO):
                    m.d.sync += [in_session.eq(1), expected.eq(seq + 1),
                                 done.eq(VERSION << 4 | spec.slot_log2)]
                    answer(Status.OK)
                with m.Elif(~in_session | (age > WINDOW)):
                    m.d.sync += aside.eq(1)
                    answer(Status.ORDER)
                with m.Elif(age != 0):
                    m.next = "Send"
                with m.Else():
                    m.d.sync += expected.eq(seq + 1)
                    with m.Switch(command):
                        with m.Case(Command.WRITE, Command.EVENTS):
                            m.next = "Next"
                        with m.Case(Command.READ):
                            m.next = "Fetch"
                        with m.Default():
                            answer(Status.BAD)

            with m.State("Next"):
                with m.If(position != rx.length):
                    m.next = "Load"
                with m.Elif(command == Command.EVENTS):
                    m.next = "Fetch"
                with m.Else():
                    answer(Status.OK)

            with m.State("Offer"):
                m.d.comb += inwards.i.valid.eq(1)
                m.next = "Fetch"
                with m.If(inwards.i.ready):
                    m.d.sync += done.eq(done + 1)
                    m.next = "Next"

            with m.State("Bus"):
                m.d.comb += self.bus.cyc.eq(1)
                m.d.sync += waited.eq(waited + 1)
                with m.If(self.bus.ack):
                    m.d.sync += [address.eq(address + increment), done.eq(done + 1), waited.eq(0)]
                    with m.If(self.bus.we):
                        m.next = "Next"
                    with m.Else():
                        m.d.sync += word.eq(self.bus.dat_r)
                        m.next = "Store"
                with m.Elif(waited.all()):
                    m.d.sync += waited.eq(0)
                    answer(Status.BUS)

            with m.State("Fetch"):
                with m.If(count == 0):
                    answer(Status.OK)
                with m.Elif(command == Command.READ):
                    m.next = "Bus"
                with m.Elif(outwards.o.valid):
                    m.d.comb += outwards.o.ready.eq(1)
                    m.d.sync += word.eq(outwards.o.payload)
                    m.next = "Store"
                with m.Else():
                    answer(Status.OK)

            with m.State("Store"):
                m.d.comb += tx.w_en.eq(1)
                m.d.sync += [word.eq(Cat(word[8:], incoming)), filled.eq(filled + 1), index.eq(index + 1)]
                with m.If(index[:2] == last):
                    m.d.sync += [index.eq(0), count.eq(count - 1)]
                    m.next = "Fetch"

            with m.State("Header"):
                m.d.comb += tx.w_en.eq(1)
                m.d.comb += tx.w_addr.eq(Cat(index | place, seq[0]))
                with m.Switch(index):
                    for byte, value in enumerate([Cat(seq, status), errors, done, free[:8], free[8:]]):
                        with m.Case(byte):
                            m.d.comb += tx.w_data.eq(value)
                m.d.sync += index.eq(index + 1)
                with m.If(index == HEADER_BYTES - 1):
                    with m.If(~aside):
                        m.d.sync += stops[seq[0]].eq(filled)
                    m.next = "Send"

            with m.State("Send"):
                m.d.comb += [tx.start.eq(1), rx.release.eq(status != Status.NACK)]
                m.next = "Close"

            with m.State("Close"):
                with m.If(aside):
                    m.d.comb += tx.stop.eq(Cat(place | HEADER_BYTES, seq[0]))
                with m.If(~tx.busy):
                    m.d.sync += [signal.eq(signal.init) for signal in (
                        last, index, position, filled, dispatched, aside, done, status)]
                    m.next = "Idle"
        return m


class HostLink(wiring.Component):
    """The host link on two pins: `UartRx`, `LinkCore`, `UartTx`.

    A byte takes ``10 * spec.divisor`` cycles on each line. Reset and behaviour: see `LinkCore`; the
    protocol: see `neurogen.spec.hostlink`.

    Members
    -------
    rx : ``In(1)``
        Pin from the host; may be asynchronous.
    tx : ``Out(1)``
        Pin to the host.
    bus : ``Out(WishboneSignature(spec.addr_bits))``
    o_events : ``Out(stream.Signature(32))``
        Words from the host to the accelerator.
    i_events : ``In(stream.Signature(32))``
        Words from the accelerator to the host.
    """

    def __init__(self, spec: HostLinkSpec):
        _check_spec(spec)
        self._spec = spec
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), **_device_ports(spec)})

    @property
    def spec(self) -> HostLinkSpec:
        """Parameters of the link."""
        return self._spec

    def elaborate(self, platform):
        m = Module()
        m.submodules.uart_rx = uart_rx = UartRx(self._spec.divisor)
        m.submodules.uart_tx = uart_tx = UartTx(self._spec.divisor)
        m.submodules.core    = core = LinkCore(self._spec)
        m.d.comb += [uart_rx.rx.eq(self.rx), self.tx.eq(uart_tx.tx), core.damaged.eq(uart_rx.damaged)]
        m.d.comb += [core.i_bytes.payload.eq(uart_rx.data), core.i_bytes.valid.eq(uart_rx.valid)]
        pipe(m, core.o_bytes, uart_tx.i)
        pipe(m, core.o_events, wiring.flipped(self.o_events))
        pipe(m, wiring.flipped(self.i_events), core.i_events)
        wiring.connect(m, core.bus, wiring.flipped(self.bus))
        return m


def _check_spec(spec: HostLinkSpec) -> None:
    if not isinstance(spec, HostLinkSpec):
        raise TypeError(f"Host link parameters must be a HostLinkSpec, not {spec!r}")


def _device_ports(spec: HostLinkSpec) -> dict:
    return {
        "bus": Out(WishboneSignature(spec.addr_bits)),
        "o_events": Out(stream.Signature(32)),
        "i_events": In(stream.Signature(32)),
    }

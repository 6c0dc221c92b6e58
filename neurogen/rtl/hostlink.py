"""The device's end of the host link: the commands in its frames (`neurogen.spec.hostlink`)."""

from amaranth.hdl import Array, Cat, Const, Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from neurogen.rtl.bus import WishboneSignature
from neurogen.rtl.frames import FrameReceiver, FrameSender
from neurogen.rtl.streams import Queue, pipe
from neurogen.rtl.uart import UartRx, UartTx
from neurogen.spec.hostlink import (
    HEADER_BYTES,
    SEQUENCES,
    VERSION,
    WINDOW,
    Command,
    HostLinkSpec,
    Status,
)


__all__ = ["HostLink", "LinkCore"]


class LinkCore(wiring.Component):
    """The host link over any byte channel.

    Requests are executed one after the other, one byte per cycle, and each reply is sent before the next
    request is looked at; meanwhile that one may come in. No input can make it wait for ever: the bus has a
    time-out, event words that find no room are refused. A HELLO and ``flush`` empty the queues. A reset does
    too, and ends the session (the host must say HELLO again).

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
    flush : ``In(1)``
        The accelerator forgets its run: empty both queues.
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
        inwards, outwards = Queue(32, spec.in_words), Queue(32, spec.out_words)
        empty = Signal()  # a register, as it goes to every register of the queues
        m.submodules.inwards  = ResetInserter({"sync": empty})(inwards)
        m.submodules.outwards = ResetInserter({"sync": empty})(outwards)
        m.d.sync += empty.eq(self.flush)
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
                    m.d.sync += [in_session.eq(1), expected.eq(seq + 1), empty.eq(1),
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
    flush : ``In(1)``
        The accelerator forgets its run: empty the queues of both streams.
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
        m.d.comb += [uart_rx.rx.eq(self.rx), self.tx.eq(uart_tx.tx), core.damaged.eq(uart_rx.damaged),
                     core.flush.eq(self.flush)]
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
        "flush": In(1),
    }

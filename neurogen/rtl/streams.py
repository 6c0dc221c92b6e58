"""Stream plumbing: checked connections, queues and register stages."""

from contextlib import AbstractContextManager

from amaranth.hdl import Module, Shape, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from neurogen.spec.checks import check_int


__all__ = ["Queue", "SkidBuffer", "pipe", "while_valid"]


def pipe(m: Module, source: wiring.PureInterface, sink: wiring.PureInterface) -> None:
    """Connect two streams of the same payload shape.

    ``wiring.connect`` compares widths only, and would swap the fields of two layouts of one width.
    """
    if source.payload.shape() != sink.payload.shape():
        raise TypeError(f"Cannot connect a stream of {source.payload.shape()!r} "
                        f"to a stream of {sink.payload.shape()!r}")
    wiring.connect(m, source, sink)


def while_valid(m: Module, valid: Value, *, frugal: bool) -> AbstractContextManager:
    """Return the block for registers of a stage that mean something only where ``valid``.

    Frugal ones stand still otherwise, so that their clocks can be gated; others need no enable.
    """
    return m.If(valid if frugal else 1)


class SkidBuffer(wiring.Component):
    """Two registers that cut every combinational path of a stream.

    One word per cycle; a word leaves one cycle after it entered at the earliest. ``i.ready`` and
    ``o.valid`` are functions of registers alone. A reset empties it.

    Parameters
    ----------
    shape
        Shape of the payload, of at least one bit.
    frugal
        The output changes only with a word, so that its clock can be gated.

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape))``
    """

    def __init__(self, shape: ShapeLike, *, frugal: bool = False):
        _check_shape(shape)
        self._frugal = bool(frugal)
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        front = Signal.like(Value.cast(self.o.payload))
        spare = Signal.like(front)
        taken = Signal()  # `spare` holds the word that came while `front` was stuck
        valid = Signal()

        m.d.comb += [
            self.i.ready.eq(~taken),
            self.o.valid.eq(valid),
            Value.cast(self.o.payload).eq(front),
        ]
        with m.If(self.o.ready | ~valid):
            with m.If(taken):
                m.d.sync += [front.eq(spare), taken.eq(0)]
            with m.Else():
                m.d.sync += valid.eq(self.i.valid)
                with while_valid(m, self.i.valid, frugal=self._frugal):
                    m.d.sync += front.eq(Value.cast(self.i.payload))
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += [spare.eq(Value.cast(self.i.payload)), taken.eq(1)]
        return m


class Queue(wiring.Component):
    """First in, first out queue: a memory and an output register.

    One word per cycle in and out, at any level. A word can leave two cycles after it entered an empty
    queue, or one for a depth of one. ``i.ready`` and ``o.valid`` depend on registers alone. A reset empties
    it.

    Parameters
    ----------
    shape
        Shape of the payload, of at least one bit.
    depth
        Words that it holds besides the one at its output, at least 1.

    Members
    -------
    i : ``In(stream.Signature(shape))``
        Ready whenever ``level`` is below ``depth``.
    o : ``Out(stream.Signature(shape))``
    level : ``Out(range(depth + 1))``
        Words inside, without the one at the output.
    """

    def __init__(self, shape: ShapeLike, depth: int):
        _check_shape(shape)
        self._shape = shape
        self._depth = check_int("Queue depth", depth, minimum=1, unit="words")
        super().__init__({
            "i": In(stream.Signature(shape)),
            "o": Out(stream.Signature(shape)),
            "level": Out(range(self._depth + 1)),
        })

    @property
    def depth(self) -> int:
        """Words that the queue holds besides the one at its output."""
        return self._depth

    def elaborate(self, platform):
        m = Module()
        if self._depth == 1:
            m.submodules.buffer = buffer = SkidBuffer(self._shape)
            pipe(m, wiring.flipped(self.i), buffer.i)
            pipe(m, buffer.o, wiring.flipped(self.o))
            m.d.comb += self.level.eq(~self.i.ready)
            return m

        addr_bits = (self._depth - 1).bit_length()
        m.submodules.memory = memory = Memory(shape=self._shape, depth=1 << addr_bits, init=[])
        w_port, r_port = memory.write_port(), memory.read_port()
        # One bit more than an address tells full from empty. Synthesis can prove from these conditions
        # that no word is read while it is written, and adds no logic to block RAMs that could not do it.
        written, read, inside = (Signal(addr_bits + 1, name=name) for name in ("written", "read", "inside"))
        m.d.comb += [
            inside.eq(written - read),
            self.level.eq(inside),
            self.i.ready.eq(inside < self._depth),
            w_port.addr.eq(written), w_port.data.eq(self.i.payload),
            w_port.en.eq(self.i.valid & self.i.ready),
            r_port.addr.eq(read), self.o.payload.eq(r_port.data),
            r_port.en.eq((inside != 0) & (~self.o.valid | self.o.ready)),
        ]
        m.d.sync += [written.eq(written + w_port.en), read.eq(read + r_port.en)]
        with m.If(r_port.en):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m


def _check_shape(shape: ShapeLike) -> None:
    # Verilog has no ports without bits.
    check_int("Payload width", Shape.cast(shape).width, minimum=1, unit="bits")

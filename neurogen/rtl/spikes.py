"""Spikes as bitmaps, and their extraction as events."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from neurogen.rtl.address import EVENT
from neurogen.rtl.memory import Ram
from neurogen.rtl.streams import SkidBuffer, while_valid
from neurogen.spec.events import C_BITS, X_BITS, Y_BITS
from neurogen.spec.mega import BANKS, BLOCK, MegaSpec


__all__ = ["Extractor", "SpikeMemory"]


# Widest word of which one bit is found in a cycle.
WORD_BITS = 32


class SpikeMemory(wiring.Component):
    """Rows of spikes, bank-major, and summary words: one bit per row, whether it holds a spike.

    Both are memories of their own with one synchronous read port each: data follow their address by
    one cycle. Reading what is written in the same cycle is undefined, as are the contents at power-on; a
    reset changes nothing.

    Parameters
    ----------
    spec
        Parameters of the accelerator.

    Members
    -------
    w_en, w_row, w_data : ``In``
        Writes a row of ``9 * total_lanes`` bits.
    s_en, s_block, s_flags : ``In``
        Writes the summary of the rows ``8 * s_block`` to ``8 * s_block + 7``, lowest bit first. Rows
        with a 0 are empty, whatever they hold.
    r_en, r_row : ``In``
        Read a row; without ``r_en``, ``r_data`` stays.
    r_data : ``Out(9 * total_lanes)``
    sr_block : ``In``
        Block to read the summary of.
    sr_flags : ``Out(8)``
    """

    def __init__(self, spec: MegaSpec):
        _check_spec("Spike memory", spec)
        self._spec = spec
        row, block, bits = _row_bits(spec), _block_bits(spec), BANKS * spec.total_lanes
        super().__init__({
            "w_en": In(1), "w_row": In(row), "w_data": In(bits),
            "s_en": In(1), "s_block": In(block), "s_flags": In(BLOCK),
            "r_en": In(1), "r_row": In(row), "r_data": Out(bits),
            "sr_block": In(block), "sr_flags": Out(BLOCK),
        })

    @property
    def spec(self) -> MegaSpec:
        """Parameters of the accelerator."""
        return self._spec

    def elaborate(self, platform):
        spec = self._spec
        m = Module()
        m.submodules.rows = rows = Ram(BANKS * spec.total_lanes, spec.spike_depth, collisions=False)
        m.submodules.summary = summary = Ram(BLOCK, max(2, spec.spike_depth // BLOCK), collisions=False)
        m.d.comb += [
            rows.w_port.en.eq(self.w_en),
            rows.w_port.addr.eq(self.w_row),
            rows.w_port.data.eq(self.w_data),
            rows.r_port.en.eq(self.r_en),
            rows.r_port.addr.eq(self.r_row),
            self.r_data.eq(rows.r_port.data),
            summary.w_port.en.eq(self.s_en),
            summary.w_port.addr.eq(self.s_block),
            summary.w_port.data.eq(self.s_flags),
            summary.r_port.en.eq(1),
            summary.r_port.addr.eq(self.sr_block),
            self.sr_flags.eq(summary.r_port.data),
        ]
        return m


class Extractor(wiring.Component):
    """Turns a region of the spike memory into events.

    Rows come in ascending order, in a row the banks, in a bank the lanes. Row ``i`` of a map holds
    channels ``i // tiles * total_lanes + lane`` of the tile ``k = i % tiles``: bank ``b`` is the pixel
    ``y = 3 * (k // tiles_x) + b // 3``, ``x = 3 * (k % tiles_x) + b % 3``. In a vector, it is neuron
    ``c = (9 * i + b) * total_lanes + lane``, with ``y = x = 0``.

    Timing. Five stages with registers between them: the scanner looks at the summaries (8 empty rows, or
    one row with spikes, a cycle); the locator follows it with the coordinates (one row a cycle; passing over
    the end of a line of tiles, or over the rest of a channel group, costs one cycle, which the scan
    mostly hides); a row is read; one word of up to 32 lanes a cycle is picked; one bit a cycle.
    So a row costs a cycle per word with spikes or per spike, whichever is more. The first event is there
    10 cycles after ``start`` at the earliest. ``o_events.ready`` reaches registers of the last stage
    only, and no memory port.

    A reset abandons the extraction.

    Parameters
    ----------
    spec
        Parameters of the accelerator.

    Members
    -------
    start : ``In(1)``
        Starts; only while ``busy`` is low.
    base, rows : ``In``
        First row, a multiple of 8, and number of rows. These and the next are stable while busy.
    tiles, tiles_x : ``In``
        Rows per channel group, and per line; no meaning for vectors.
    vector : ``In(1)``
    busy : ``Out(1)``
        High from the cycle after ``start`` until the last event has been accepted; never for
        ``rows == 0``.
    done : ``Out(1)``
        High for the one cycle in which ``busy`` is low again, two cycles after the last event was
        accepted, or (for ``rows == 0``) the one after ``start``. ``start`` may come in it.
    r_en, r_row, r_data, sr_block, sr_flags
        To the ports of `SpikeMemory`.
    guarded, guard_low, guard_high : ``In``
        With ``spec.overlap``. Blocks from ``guard_low`` up to (not with) ``guard_high`` are not looked at
        while ``guarded``: their summaries are yet to be written, or were in the cycle before.
    o_events : ``Out(stream.Signature(EVENT))``
    """

    def __init__(self, spec: MegaSpec):
        _check_spec("Extractor", spec)
        self._spec = spec
        self._row_bits, self._block_bits = _row_bits(spec), _block_bits(spec)
        self._count_bits = spec.instruction_fields()["rows"][0]
        ports = {
            "start": In(1),
            "base": In(self._row_bits),
            "rows": In(self._count_bits),
            "tiles": In(self._count_bits),
            "tiles_x": In(X_BITS),
            "vector": In(1),
            "busy": Out(1),
            "done": Out(1),
            "r_en": Out(1),
            "r_row": Out(self._row_bits),
            "r_data": In(BANKS * spec.total_lanes),
            "sr_block": Out(self._block_bits),
            "sr_flags": In(BLOCK),
            "o_events": Out(stream.Signature(EVENT)),
        }
        if spec.overlap:
            ports |= {"guarded": In(1), "guard_low": In(self._block_bits + 1),
                      "guard_high": In(self._block_bits + 1)}
        super().__init__(ports)
        # Where a row, or a word of it, is: `high` counts words of total lanes.
        self._place = data.StructLayout({"high": C_BITS, "y": Y_BITS, "x": X_BITS})

    @property
    def spec(self) -> MegaSpec:
        """Parameters of the accelerator."""
        return self._spec

    def elaborate(self, platform):
        m = Module()
        active = []  # what shows that a stage holds work
        scanned = self._scan(m, active)
        located = self._locate(m, scanned, active)
        fetched = self._fetch(m, located, active)
        words = self._pick_word(m, fetched, active)
        self._pick_bit(m, words, active)

        m.d.sync += self.done.eq(0)
        with m.If(self.start):
            m.d.sync += [self.busy.eq(self.rows != 0), self.done.eq(self.rows == 0)]
        with m.Elif(self.busy & ~Cat(active).any()):
            m.d.sync += [self.busy.eq(0), self.done.eq(1)]
        return m

    def _scan(self, m, active):
        """Stage 1: addresses of the rows with spikes."""
        left = Signal(self._count_bits)        # rows whose flags are not loaded
        block = Signal(self._block_bits)       # that comes next
        fresh = Signal()                       # its flags are on `sr_flags`
        flags, here = Signal(BLOCK), Signal(self._block_bits)
        o = Signal(data.StructLayout({"valid": 1, "row": self._row_bits}))
        take, load = Signal(), Signal()
        rest = flags & (flags - 1)
        ready = Const(1)
        if self._spec.overlap:
            ready = ~self.guarded | (block < self.guard_low) | (block >= self.guard_high)
        m.d.comb += [
            load.eq(fresh & ready & (left != 0) & (rest == 0) & (take | (flags == 0))),
            # Flags that cannot be loaded are read again.
            self.sr_block.eq(Mux(load, block + 1, block)),
        ]
        m.d.sync += fresh.eq(1)
        with m.If(take):
            m.d.sync += [o.valid.eq(flags.any()), flags.eq(rest)]
            with while_valid(m, flags.any(), frugal=self._spec.frugal):
                m.d.sync += o.row.eq(Cat(_encode(_first(flags)), here))
        with m.If(load):
            inside = Cat(i < left for i in range(BLOCK))
            m.d.sync += [flags.eq(self.sr_flags & inside), here.eq(block), block.eq(block + 1),
                         left.eq(Mux(left < BLOCK, 0, left - BLOCK))]
        with m.If(self.start):
            m.d.sync += [left.eq(self.rows), block.eq(self.base >> _log2(BLOCK)), fresh.eq(0)]
        active += [left.any(), flags.any(), o.valid]
        return o, take

    def _locate(self, m, scanned, active):
        """Stage 2: walk to the next row, whole groups and whole lines at a time."""
        found, taken = scanned
        row, place = Signal(self._row_bits), Signal(self._place)
        line_left, group_left = Signal(self._count_bits), Signal(self._count_bits)
        distance = Signal(self._row_bits)
        o = Signal(data.StructLayout({"valid": 1, "row": self._row_bits, "place": self._place}))
        arrived, take = Signal(), Signal()
        x = place.x + 3 * distance
        m.d.comb += [
            distance.eq(found.row - row),
            arrived.eq(self.vector | ((distance < line_left) & (distance < group_left))),
            taken.eq(~found.valid | (arrived & take)),
        ]
        with m.If(take):
            m.d.sync += o.valid.eq(found.valid & arrived)
            with while_valid(m, found.valid, frugal=self._spec.frugal):
                m.d.sync += [o.row.eq(found.row), o.place.y.eq(place.y),
                             o.place.high.eq(Mux(self.vector, BANKS * distance, place.high)),
                             o.place.x.eq(Mux(self.vector, 0, x))]
        with m.If(self.start):
            m.d.sync += [row.eq(self.base), place.eq(0), line_left.eq(self.tiles_x),
                         group_left.eq(self.tiles)]
        with m.Elif(found.valid & ~self.vector):  # in vectors, `row` stays at the base
            with m.If(distance >= group_left):
                m.d.sync += [row.eq(row + group_left), group_left.eq(self.tiles),
                             line_left.eq(self.tiles_x), place.high.eq(place.high + 1),
                             place.y.eq(0), place.x.eq(0)]
            with m.Elif(distance >= line_left):
                m.d.sync += [row.eq(row + line_left), group_left.eq(group_left - line_left),
                             line_left.eq(self.tiles_x), place.y.eq(place.y + 3), place.x.eq(0)]
            with m.Elif(take):
                m.d.sync += [row.eq(found.row), group_left.eq(group_left - distance),
                             line_left.eq(line_left - distance), place.x.eq(x)]
        active += [o.valid]
        return o, take

    def _fetch(self, m, located, active):
        """Stage 3: the row is in the memory's output register."""
        wanted, taken = located
        o, take = Signal(data.StructLayout({"valid": 1, "place": self._place})), Signal()
        m.d.comb += [taken.eq(~o.valid | take), self.r_row.eq(wanted.row),
                     self.r_en.eq(wanted.valid & taken)]
        with m.If(taken):
            m.d.sync += o.valid.eq(wanted.valid)
            with while_valid(m, wanted.valid, frugal=self._spec.frugal):
                m.d.sync += o.place.eq(wanted.place)
        active += [o.valid]
        return o, take

    def _pick_word(self, m, fetched, active):
        """Stage 4: the first word with spikes; then a queue, so that stalls stop here."""
        spec = self._spec
        width = min(spec.total_lanes, WORD_BITS)
        parts = spec.total_lanes // width  # words per bank
        row, taken = fetched
        bits, place = Signal(BANKS * spec.total_lanes), Signal(self._place)
        flags, fresh = Signal(BANKS * parts), Signal(BANKS * parts)
        m.d.comb += fresh.eq(Cat(self.r_data.word_select(k, width).any() for k in range(len(flags))))

        m.submodules.words = words = SkidBuffer(data.StructLayout(
            {"bits": width, "high": C_BITS, "y": Y_BITS, "x": X_BITS}), frugal=spec.frugal)
        first = Signal(len(flags))
        rest = flags & (flags - 1)
        word = words.i.p
        # Word k is part k % parts of bank k // parts.
        bank = self._choose(first, [k // parts for k in range(len(flags))])
        high = Mux(self.vector, place.high + bank, place.high)
        m.d.comb += [
            first.eq(_first(flags)),
            words.i.valid.eq(flags.any()),
            word.bits.eq(_or(bits.word_select(k, width) & first[k].replicate(width)
                             for k in range(len(flags)))),
            word.high.eq(Cat(self._choose(first, [k % parts for k in range(len(flags))]), high)),
            word.y.eq(place.y + Mux(self.vector, 0, self._choose(
                first, [k // parts // 3 for k in range(len(flags))]))),
            word.x.eq(place.x + Mux(self.vector, 0, self._choose(
                first, [k // parts % 3 for k in range(len(flags))]))),
            taken.eq((rest == 0) & (words.i.ready | (flags == 0))),
        ]
        with m.If(taken):
            m.d.sync += flags.eq(fresh & row.valid.replicate(len(flags)))
            with while_valid(m, row.valid, frugal=self._spec.frugal):
                m.d.sync += [bits.eq(self.r_data), place.eq(row.place)]
        with m.Elif(words.i.ready):
            m.d.sync += flags.eq(rest)
        active += [flags.any(), words.o.valid]
        return words.o

    def _choose(self, first, values):
        """Return the one of ``values`` that the one-hot ``first`` selects; no bits if all are 0."""
        return Cat(_or(bit for bit, value in zip(first, values, strict=True) if value >> i & 1)
                   for i in range(max(values).bit_length()))

    def _pick_bit(self, m, words, active):
        """Stage 5: the first spike of the word."""
        width = len(words.p.bits)
        bits, place = Signal(width), Signal(self._place)
        rest, room = Signal(width), Signal()
        event = self.o_events.p
        m.d.comb += [
            rest.eq(bits & (bits - 1)),
            room.eq(~self.o_events.valid | self.o_events.ready),
            words.ready.eq((rest == 0) & (room | (bits == 0))),
        ]
        with m.If(room):
            m.d.sync += [self.o_events.valid.eq(bits.any()), bits.eq(rest)]
            with while_valid(m, bits.any(), frugal=self._spec.frugal):
                m.d.sync += [event.c.eq(Cat(_encode(_first(bits)), place.high)), event.y.eq(place.y),
                             event.x.eq(place.x)]
        with m.If(words.ready):
            m.d.sync += bits.eq(words.p.bits & words.valid.replicate(width))
            with while_valid(m, words.valid, frugal=self._spec.frugal):
                m.d.sync += [place.high.eq(words.p.high), place.y.eq(words.p.y), place.x.eq(words.p.x)]
        active += [bits.any(), self.o_events.valid]


def _check_spec(name, spec):
    if not isinstance(spec, MegaSpec):
        raise TypeError(f"{name} parameters must be a MegaSpec, not {spec!r}")


def _log2(count):
    """Exponent of a power of two."""
    return count.bit_length() - 1


def _row_bits(spec):
    return max(spec.spike_address_bits, _log2(BLOCK) + _block_bits(spec))


def _block_bits(spec):
    """Width of a block's address; there is no port without bits."""
    return max(1, spec.spike_address_bits - _log2(BLOCK))


def _or(values):
    """Return the bitwise OR of values of one width; 0 of none."""
    result = None
    for value in values:
        result = value if result is None else result | value
    return Const(0, 1) if result is None else result


def _first(bits):
    """Return the lowest of the bits that are set, alone."""
    return (bits & -bits)[:len(bits)]


def _encode(onehot):
    """Return the index of the one bit that is set."""
    count = len(onehot)
    return Cat(Cat(onehot[i] for i in range(count) if i >> j & 1).any()
               for j in range((count - 1).bit_length()))

"""From events to operations: which weights go to which states."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from neurogen.rtl.streams import while_valid
from neurogen.spec.events import C_BITS, X_BITS, Y_BITS
from neurogen.spec.mega import BANKS, MegaSpec


__all__ = ["AddressGenerator", "EVENT", "OPERATION_LATENCY", "instruction_layout",
           "operation_layout"]


EVENT = data.StructLayout({"c": C_BITS, "y": Y_BITS, "x": X_BITS})
# Cycles from an event's transfer to its first operation, without the gate of `MegaSpec.overlap`.
OPERATION_LATENCY = 6


def instruction_layout(spec: MegaSpec) -> data.StructLayout:
    """Return the layout of a decoded instruction."""
    return data.StructLayout({name: signed(width) if is_signed else width for name, (width, is_signed)
                              in spec.instruction_fields().items()})


def operation_layout(spec: MegaSpec) -> data.StructLayout:
    """Return the layout of an operation: one row of weights added to one word of each bank."""
    return data.StructLayout({
        "weight_row": spec.weight_address_bits,
        "rows": data.ArrayLayout(spec.state_address_bits, BANKS),
        "write": data.ArrayLayout(1, BANKS),
        "turn_y": range(3),
        "turn_x": range(3),
    })


class AddressGenerator(wiring.Component):
    """Turns the events of one INTEGRATE into operations of the clusters.

    One operation a cycle leaves, `OPERATION_LATENCY` cycles after its event;
    ``instruction.ops`` operations per event. ``i_events`` is ready whenever the last
    operation of the event before it is under way, so that events with one operation pass at one
    a cycle. Events outside the pooled map are dropped at one a cycle.

    With ``spec.overlap`` an operation waits, one cycle later, at a gate: for as long as it may touch rows
    that a sweep has yet to write, and while the sweep needs the ports of the state memory. Who waits holds
    up everything behind it.

    Parameters
    ----------
    spec
        Parameters of the accelerator.

    Members
    -------
    instruction : ``In(instruction_layout(spec))``
        Stable while ``busy`` or while events arrive.
    i_events : ``In(stream.Signature(EVENT))``
        Events, before pooling if ``pooled`` is low.
    pooled : ``In(1)``
        The coordinates have been shifted already.
    o_valid, o : ``Out``
        Operation. It may have no bit of ``write`` set.
    sops : ``Out``
        Synaptic operations of ``o``; 0 without ``o_valid``.
    accepted : ``Out(1)``
        An event inside the map has entered the pipeline.
    busy : ``Out(1)``
        An event is in the pipeline.
    guarded, guard_low, guard_high : ``In``
        With ``spec.overlap``. Rows from ``guard_low`` up to (not with) ``guard_high`` must not be touched
        while ``guarded``. The range may only shrink while an event is in the pipeline.
    taken : ``In(1)``
        With ``spec.overlap``. No operation may leave in the next cycle.
    held : ``Out(1)``
        With ``spec.overlap``. An operation waits at the gate.
    """

    def __init__(self, spec: MegaSpec):
        if not isinstance(spec, MegaSpec):
            raise TypeError(f"Address generator parameters must be a MegaSpec, not {spec!r}")
        self._spec = spec
        ports = {
            "instruction": In(instruction_layout(spec)),
            "i_events": In(stream.Signature(EVENT)),
            "pooled": In(1),
            "o_valid": Out(1),
            "o": Out(operation_layout(spec)),
            "sops": Out(range(BANKS * spec.total_lanes + 1)),
            "accepted": Out(1),
            "busy": Out(1),
        }
        if spec.overlap:
            row = spec.state_address_bits
            ports |= {"guarded": In(1), "guard_low": In(row + 1), "guard_high": In(row + 1),
                      "taken": In(1), "held": Out(1)}
        super().__init__(ports)

    @property
    def spec(self) -> MegaSpec:
        """Parameters of the accelerator."""
        return self._spec

    def elaborate(self, platform):
        m = Module()
        taken, last = Signal(), Signal()
        move = Signal()  # stages 3 to 5 (and the gate) pass on what they hold
        pooled = self._pool(m, taken)
        anchored = self._anchor(m, pooled, taken, last)
        with m.If(move):
            window = self._loop(m, anchored, last)
            tile = self._divide(m, window)
            place = self._locate(m, tile)
        stages = [pooled, anchored, window, tile, place]
        if self._spec.overlap:
            leaving, passed = self._gate(m, place, move)
            stages.append(leaving)
        else:
            leaving, passed = place, place.valid
            m.d.comb += move.eq(1)
        self._spread(m, leaving, passed)
        m.d.comb += self.busy.eq(Cat(*(stage.valid for stage in stages), self.o_valid).any())
        return m

    def _pool(self, m, taken):
        """Stage 1: pooled coordinates; events outside the map end here."""
        i, p = self.instruction, self.i_events.p
        event = Signal(data.StructLayout({"valid": 1, **EVENT.members}))
        shift = Mux(self.pooled, 0, i.pool_log2)
        y, x = Signal(Y_BITS), Signal(X_BITS)
        inside = Signal()
        m.d.comb += [
            y.eq(p.y >> shift),
            x.eq(p.x >> shift),
            inside.eq((y < i.in_h) & (x < i.in_w)),
            self.i_events.ready.eq(~event.valid | taken),
            self.accepted.eq(self.i_events.valid & self.i_events.ready & inside),
        ]
        with m.If(self.i_events.ready):
            m.d.sync += event.valid.eq(self.i_events.valid & inside)
            with while_valid(m, self.i_events.valid, frugal=self._spec.frugal):
                m.d.sync += [event.c.eq(p.c), event.y.eq(y), event.x.eq(x)]
        return event

    def _anchor(self, m, event, taken, last):
        """Stage 2: anchor and parity of the window, products of the weight address."""
        bits, i = self._spec.weight_address_bits, self.instruction
        pad_y, pad_x = event.y + i.pad_y, event.x + i.pad_x
        result = Signal(data.StructLayout({
            "valid": 1, "y": signed(Y_BITS + 3), "x": signed(X_BITS + 3), "odd_y": 1, "odd_x": 1,
            "row_c": bits, "row_y": bits, "row_x": bits,
        }))
        m.d.comb += taken.eq(~result.valid | last)
        with m.If(taken):
            m.d.sync += result.valid.eq(event.valid)
        with m.If(taken), while_valid(m, event.valid, frugal=self._spec.frugal):
            m.d.sync += [
                result.y.eq(Mux(i.stride2, pad_y >> 1, pad_y) - i.off_y),
                result.x.eq(Mux(i.stride2, pad_x >> 1, pad_x) - i.off_x),
                result.odd_y.eq(i.stride2 & pad_y[0]),
                result.odd_x.eq(i.stride2 & pad_x[0]),
                # Modulo the depth, so high bits of the operands do not matter.
                result.row_c.eq(event.c[:bits] * i.words_per_channel[:bits] + i.weight_base),
                result.row_y.eq(event.y[:bits] * i.weight_y[:bits]),
                result.row_x.eq(event.x[:bits] * i.weight_x[:bits]),
            ]
        return result

    def _loop(self, m, event, last):
        """Stage 3: one window per sub-window and output group."""
        spec, i = self._spec, self.instruction
        bits = spec.weight_address_bits
        window = Signal(data.StructLayout({
            "valid": 1, "y": signed(Y_BITS + 4), "x": signed(X_BITS + 4),
            "taps_y": 3, "taps_x": 3,  # taps that the kernel has
            "weight_row": bits, "base": spec.state_address_bits,
            "lanes": range(BANKS * spec.total_lanes + 1),
        }))
        number = Signal.like(i.ops)
        group = Signal.like(i.groups)
        base = Signal(spec.state_address_bits)
        sub_y, sub_x = Signal(2), Signal(2)
        last_group = group + 1 == i.groups
        m.d.comb += last.eq(event.valid & (number + 1 == i.ops))
        with m.If(event.valid):
            m.d.sync += [number.eq(number + 1), group.eq(group + 1),
                         base.eq(base + Mux(i.dense, 1, i.group_rows))]
            with m.If(last_group):
                m.d.sync += [group.eq(0), base.eq(0), sub_x.eq(sub_x + 1)]
                with m.If(sub_x + 1 == i.subs):
                    m.d.sync += [sub_x.eq(0), sub_y.eq(sub_y + 1)]
        with m.If(last):
            m.d.sync += [number.eq(0), group.eq(0), base.eq(0), sub_y.eq(0), sub_x.eq(0)]

        def axis(anchor, odd, sub):
            """Return the first output of the window and the taps that the kernel has there."""
            count = Mux(i.stride2, (i.kernel - odd + 1)[1:], i.kernel)  # J of the contract
            first = Mux(sub == 0, 2, Mux(sub == 1, 5, 8))  # j of tap 0
            taps = Cat(first - tap < count for tap in range(3))
            return Mux(i.dense, 0, anchor - first), Mux(i.dense, 0b111, taps)

        y, taps_y = axis(event.y, event.odd_y, sub_y)
        x, taps_x = axis(event.x, event.odd_x, sub_x)
        ops = i.ops[:bits]
        full = Mux(i.dense, BANKS * spec.total_lanes, spec.total_lanes)
        m.d.sync += window.valid.eq(event.valid)
        with while_valid(m, event.valid, frugal=self._spec.frugal):
            m.d.sync += [
                window.y.eq(y), window.x.eq(x), window.taps_y.eq(taps_y), window.taps_x.eq(taps_x),
                window.weight_row.eq(event.row_c + event.row_y + event.row_x + number[:bits]
                                     + Mux(event.odd_x, ops, 0) + Mux(event.odd_y, ops << 1, 0)),
                window.base.eq(i.state_base + base),
                window.lanes.eq(Mux(last_group, i.last_lanes, full)),
            ]
        return window

    def _divide(self, m, window):
        """Stage 4: tile and residue of the window's corner; taps inside the map."""
        i = self.instruction
        tile = Signal(data.StructLayout({
            "valid": 1, "tile_y": Y_BITS, "tile_x": X_BITS, "turn_y": 2, "turn_x": 2,
            "taps_y": 3, "taps_x": 3,
            "weight_row": window.weight_row.shape(), "base": window.base.shape(),
            "lanes": window.lanes.shape(),
        }))
        m.d.sync += tile.valid.eq(window.valid)
        with while_valid(m, window.valid, frugal=self._spec.frugal):
            m.d.sync += [tile.weight_row.eq(window.weight_row), tile.base.eq(window.base),
                         tile.lanes.eq(window.lanes)]
        for axis, taps, size, bits in (("y", window.taps_y, i.out_h, Y_BITS),
                                       ("x", window.taps_x, i.out_w, X_BITS)):
            first = window[axis]
            # A window with any tap inside the map starts at -2 or later; three more makes it
            # positive, and its tile one too large.
            quotient, remainder = _divide_by_3((first + 3).as_unsigned()[:bits + 1])
            with while_valid(m, window.valid, frugal=self._spec.frugal):
                m.d.sync += [
                    tile[f"tile_{axis}"].eq(quotient),
                    tile[f"turn_{axis}"].eq(remainder),
                    tile[f"taps_{axis}"].eq(taps & Mux(i.dense, 0b111, Cat(
                        (first + tap >= 0) & (first + tap < size) for tap in range(3)))),
                ]
        return tile

    def _locate(self, m, tile):
        """Stage 5: row of the window's first tile."""
        i = self.instruction
        bits = len(tile.base)
        fields = {
            "valid": 1, "turn_y": 2, "turn_x": 2, "taps_y": 3, "taps_x": 3,
            "weight_row": tile.weight_row.shape(), "row": bits, "lanes": tile.lanes.shape(),
        }
        # Of its last tile: at most a line of tiles and one beyond the map, so below twice the depth and two.
        final = tile.base + tile.tile_y[:bits] * i.out_tiles_x[:bits] + tile.tile_x
        if self._spec.overlap:
            fields["final"] = bits + 2
        place = Signal(data.StructLayout(fields))
        m.d.sync += place.valid.eq(tile.valid)
        with while_valid(m, tile.valid, frugal=self._spec.frugal):
            m.d.sync += [place[name].eq(tile[name]) for name in
                         ("turn_y", "turn_x", "taps_y", "taps_x", "weight_row", "lanes")]
            # Without the line and the column of tiles that `_divide` added.
            m.d.sync += place.row.eq(final - i.out_tiles_x - 1)
            if self._spec.overlap:
                m.d.sync += place.final.eq(final)
        return place

    def _gate(self, m, place, move):
        """Wait until the window's rows and the ports are free; return what leaves, and when."""
        i = self.instruction
        gate = Signal.like(place)
        clear, passed = Signal(), Signal()
        # A conservative range of rows: the window may lie outside the map in part, or in one tile.
        final = Mux(move, place.final, gate.final)
        first = Signal(signed(len(final) + 2))
        m.d.comb += [
            first.eq(final - i.out_tiles_x - 1),
            passed.eq(gate.valid & clear & ~self.taken),
            move.eq(~gate.valid | passed),
            self.held.eq(~move),
        ]
        # The range that is guarded has not grown until the register is looked at.
        m.d.sync += clear.eq(~self.guarded | (final < self.guard_low)
                             | (first >= self.guard_high))
        with m.If(move):
            with while_valid(m, place.valid, frugal=self._spec.frugal):
                m.d.sync += gate.eq(place)
            m.d.sync += gate.valid.eq(place.valid)
        return gate, passed

    def _spread(self, m, place, valid):
        """Stage 6: row and tap of each bank."""
        i, o = self.instruction, self.o
        m.d.sync += self.o_valid.eq(valid)
        with while_valid(m, valid, frugal=self._spec.frugal):
            m.d.sync += [o.weight_row.eq(place.weight_row), o.turn_y.eq(place.turn_y),
                         o.turn_x.eq(place.turn_x)]
        count = {"y": sum(place.taps_y[tap] for tap in range(3)),
                 "x": sum(place.taps_x[tap] for tap in range(3))}
        taps = Mux(i.dense, 1, count["y"] * count["x"])
        m.d.sync += self.sops.eq(Mux(valid, taps * place.lanes, 0))

        def of_banks(taps, turn):
            """Return, for each bank line, whether its tap is set."""
            return [Mux(turn == 0, taps[b], Mux(turn == 1, taps[(b - 1) % 3], taps[(b - 2) % 3]))
                    for b in range(3)]

        rows = of_banks(place.taps_y, place.turn_y)
        columns = of_banks(place.taps_x, place.turn_x)
        for y in range(3):
            down = Mux(place.turn_y > y, i.out_tiles_x, 0)
            for x in range(3):
                with while_valid(m, valid, frugal=self._spec.frugal):
                    m.d.sync += [
                        o.rows[3 * y + x].eq(place.row + down + (place.turn_x > x)),
                        o.write[3 * y + x].eq(valid & rows[y] & columns[x]),
                    ]


def _divide_by_3(value):
    """Return quotient and remainder of an unsigned value of at most 10 bits."""
    if len(value) > 10:
        raise ValueError(f"Dividend must have at most 10 bits, not {len(value)}")
    # 683 / 2048 is a third, closely enough below 2**10.
    quotient = (value * 683) >> 11
    return quotient, (value - quotient * 3).as_unsigned()[:2]

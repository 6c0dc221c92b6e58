"""Max pooling of event streams: repeats within a time step are dropped."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from neurogen.rtl.address import EVENT
from neurogen.rtl.memory import Ram
from neurogen.rtl.streams import SkidBuffer, pipe
from neurogen.spec.events import C_BITS, X_BITS, Y_BITS
from neurogen.spec.mega import MegaSpec


__all__ = ["MaxPoolFilter"]


class MaxPoolFilter(wiring.Component):
    """Passes each event once since ``start``; coordinates are those after pooling.

    A memory of ``max_pool_rows`` words remembers what passed: one bit per lane in the word
    ``(group * in_h + y) * in_w + x``, with ``group = c // total_lanes``. ``start`` clears the words
    in use, in ``groups * in_h * in_w`` cycles.

    One event per cycle, back to back on one word too. An event appears 4 cycles after it was taken; an
    event that is dropped takes its cycle. ``i_events.ready`` does not depend on ``o_events.ready``
    combinationally. A reset empties the pipeline; the memory is undefined until the first ``start``.

    Parameters
    ----------
    spec
        Parameters of the accelerator, with ``max_pool_rows`` of at least 1.

    Members
    -------
    start : ``In(1)``
        Forgets all events. Only while ``busy`` and ``pending`` are low; an event that is offered in
        this cycle is not taken.
    in_h, in_w, groups : ``In``
        Size of the map, at least 1 each; stable from ``start`` on.
        ``groups * in_h * in_w <= spec.max_pool_rows``.
    busy : ``Out(1)``
        Clearing: no event is taken.
    pending : ``Out(1)``
        Events are inside.
    i_events, o_events : ``stream.Signature(EVENT)``
        Events, ``y < in_h``, ``x < in_w``, ``c < groups * total_lanes``.
    """

    def __init__(self, spec: MegaSpec):
        if not isinstance(spec, MegaSpec):
            raise TypeError(f"Max-pool filter parameters must be a MegaSpec, not {spec!r}")
        if not spec.max_pool_rows:
            raise ValueError("MaxPool depth of a max-pool filter must be at least 1 rows, not 0")
        self._spec = spec
        self._lane_bits = spec.total_lanes.bit_length() - 1
        self._address_bits = max(1, (spec.max_pool_rows - 1).bit_length())
        super().__init__({
            "start": In(1),
            "in_h": In(Y_BITS + 1),
            "in_w": In(X_BITS + 1),
            "groups": In(C_BITS),
            "busy": Out(1),
            "pending": Out(1),
            "i_events": In(stream.Signature(EVENT)),
            "o_events": Out(stream.Signature(EVENT)),
        })

    @property
    def spec(self) -> MegaSpec:
        """Parameters of the accelerator."""
        return self._spec

    def elaborate(self, platform):
        m = Module()
        m.submodules.seen = seen = Ram(self._spec.total_lanes, max(2, self._spec.max_pool_rows),
                                       collisions=False)
        m.submodules.output = output = SkidBuffer(EVENT)
        pipe(m, output.o, wiring.flipped(self.o_events))

        move = output.i.ready  # everything moves, or nothing
        line, word = self._find(m, move)
        self._filter(m, move, word, seen, output.i)
        clearing = self._clear(m, seen.w_port)
        m.d.comb += [
            self.busy.eq(clearing),
            self.i_events.ready.eq(move & ~clearing & ~self.start),
            seen.r_port.en.eq(move),
            seen.r_port.addr.eq(word.address),
            self.pending.eq(line.valid | word.valid | self._checked.valid | output.o.valid),
        ]
        return m

    def _find(self, m, move):
        """Stages 1 and 2: the line ``group * in_h + y``, then the word ``line * in_w + x``."""
        event, bits = self.i_events.p, self._address_bits
        line, word = (Signal(data.StructLayout({"valid": 1, "address": bits, "event": EVENT}), name=name)
                      for name in ("line", "word"))
        # Modulo the depth, so the operands' high bits do not matter.
        group = (event.c >> self._lane_bits)[:bits]
        with m.If(move):
            m.d.sync += [
                line.valid.eq(self.i_events.valid & self.i_events.ready),
                line.address.eq(group * self.in_h[:bits] + event.y),
                line.event.eq(event),
                word.valid.eq(line.valid),
                word.address.eq(line.address * self.in_w[:bits] + line.event.x),
                word.event.eq(line.event),
            ]
        return line, word

    def _filter(self, m, move, word, seen, output):
        """Stage 3: look at the bit, set it, and pass the event if it was not set."""
        checked = self._checked = Signal.like(word, name="checked")
        known, current = Signal(self._spec.total_lanes), Signal(self._spec.total_lanes)
        lane = Signal(self._spec.total_lanes)
        latest = Signal(self._address_bits)
        written = Signal()  # `known` is what was written to the word `latest`
        m.d.comb += [
            # The read of this word may have met the write of the event before.
            current.eq(Mux(written & (latest == checked.address), known, seen.r_port.data)),
            lane.eq(1 << checked.event.c[:self._lane_bits]),
            output.valid.eq(checked.valid & ~(current & lane).any()),
            output.payload.eq(checked.event),
            seen.w_port.en.eq(checked.valid & move),
            seen.w_port.addr.eq(checked.address),
            seen.w_port.data.eq(current | lane),
        ]
        with m.If(move):
            m.d.sync += checked.eq(word)
            with m.If(checked.valid):
                m.d.sync += [known.eq(current | lane), latest.eq(checked.address), written.eq(1)]
        with m.If(self.start):
            m.d.sync += written.eq(0)

    def _clear(self, m, w_port):
        """Clear the words in use; return whether it does."""
        clearing, address = Signal(), Signal(self._address_bits)
        x, y, group = Signal.like(self.in_w), Signal.like(self.in_h), Signal.like(self.groups)
        with m.If(clearing):
            m.d.comb += [w_port.en.eq(1), w_port.addr.eq(address), w_port.data.eq(0)]
            m.d.sync += [address.eq(address + 1), x.eq(x + 1)]
            with m.If(x == self.in_w - 1):
                m.d.sync += [x.eq(0), y.eq(y + 1)]
                with m.If(y == self.in_h - 1):
                    m.d.sync += [y.eq(0), group.eq(group + 1)]
                    with m.If(group == self.groups - 1):
                        m.d.sync += clearing.eq(0)
        with m.If(self.start):
            m.d.sync += [clearing.eq(1), address.eq(0), x.eq(0), y.eq(0), group.eq(0)]
        return clearing

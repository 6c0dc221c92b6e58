"""Events on their way in and out: from stream words or spikes, and to stream words."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from neurogen.rtl.address import EVENT, instruction_layout
from neurogen.spec.events import C_BITS, END_OF_STEP, POPULATION, X_BITS, Y_BITS
from neurogen.spec.mega import MegaSpec, Source


__all__ = ["Emitter", "Feeder"]


class Feeder(wiring.Component):
    """Brings the events of one INTEGRATE, from the input stream or from the extractor.

    One event a cycle, without latency. There is a combinational path from ``o_events.ready`` to
    ``i_words.ready`` and ``i_events.ready``.

    Parameters
    ----------
    spec
        Parameters of the accelerator.

    Members
    -------
    instruction : ``In(instruction_layout(spec))``
        Stable from ``start`` until ``done``.
    start, done : ``In(1)``, ``Out(1)``
        ``done`` is low from the cycle after ``start`` until all events have left.
    i_words : ``In(stream.Signature(32))``
        Words of the input stream; taken up to and with an end of step.
    i_events : ``In(stream.Signature(EVENT))``, extracted : ``In(1)``
        Events of the extractor, and whether it has finished.
    o_events : ``Out(stream.Signature(EVENT))``
        Events for the synapse.
    held : ``In(1)``
        Something after this still holds events.
    inside : ``In(1)``
        The event that is offered lies inside the pooled map.
    bad_event : ``Out(1)``
        A word of the input stream is no event of the input. (It is dropped.)
    stalled, starved : ``Out(1)``
        The input stream is empty, or an event has to wait, in this cycle; the former.
    """

    def __init__(self, spec: MegaSpec):
        self._spec = spec
        super().__init__({
            "instruction": In(instruction_layout(spec)),
            "start": In(1), "done": Out(1),
            "i_words": In(stream.Signature(32)),
            "i_events": In(stream.Signature(EVENT)), "extracted": In(1),
            "o_events": Out(stream.Signature(EVENT)),
            "held": In(1), "inside": In(1), "bad_event": Out(1), "stalled": Out(1),
            "starved": Out(1),
        })

    @property
    def spec(self) -> MegaSpec:
        """Parameters of the accelerator."""
        return self._spec

    def elaborate(self, platform):
        i, words = self.instruction, self.i_words
        m = Module()
        control = words.payload[31]
        known = Signal()
        event = Signal(EVENT)
        m.d.comb += [
            event.x.eq(words.payload), event.y.eq(words.payload >> X_BITS),
            event.c.eq(words.payload >> (X_BITS + Y_BITS)),
            known.eq(event.c < i.in_channels),
            self.stalled.eq(self.o_events.valid & ~self.o_events.ready),
        ]
        with m.FSM() as fsm:
            m.d.comb += self.done.eq(fsm.ongoing("Idle"))
            with m.State("Idle"):
                with m.If(self.start):
                    with m.If(i.source == Source.STREAM):
                        m.next = "Stream"
                    with m.Else():
                        m.next = "Spikes"
            with m.State("Stream"):
                m.d.comb += [
                    self.o_events.payload.eq(event),
                    self.o_events.valid.eq(words.valid & ~control & known),
                    words.ready.eq(control | ~known | self.o_events.ready),
                    self.bad_event.eq(words.valid & words.ready & ~control & (
                        ~known | (~self.inside & (i.pool_log2 == 0)))),
                ]
                with m.If(~words.valid):
                    m.d.comb += [self.stalled.eq(1), self.starved.eq(1)]
                with m.If(words.valid & control & (words.payload[28:31] == END_OF_STEP)):
                    m.next = "Wait"
            with m.State("Spikes"):
                m.d.comb += [
                    self.o_events.payload.eq(self.i_events.payload),
                    self.o_events.valid.eq(self.i_events.valid),
                    self.i_events.ready.eq(self.o_events.ready),
                ]
                with m.If(self.extracted & ~self.i_events.valid):
                    m.next = "Wait"
            with m.State("Wait"):
                with m.If(~self.held):
                    m.next = "Idle"
        return m


class Emitter(wiring.Component):
    """Sends the events of one EMIT as words: population, events, and an end of step if asked for.

    One word a cycle, without latency. There is a combinational path from ``o_words.ready`` to
    ``i_events.ready``.

    Members
    -------
    instruction : ``In``
        Fields population, off_c, off_y, off_x and tick; stable from ``start`` until ``done``.
    step : ``In(24)``
        Argument of the end-of-step word.
    start, done : ``In(1)``, ``Out(1)``
        ``done`` is low from the cycle after ``start`` until the last word has left.
    i_events : ``In(stream.Signature(EVENT))``, extracted : ``In(1)``
        Events of the extractor, and whether it has finished.
    o_words : ``Out(stream.Signature(32))``
        Words of the output stream.
    stalled : ``Out(1)``
        A word has to wait in this cycle.
    """

    def __init__(self, spec: MegaSpec):
        self._spec = spec
        super().__init__({
            "instruction": In(instruction_layout(spec)), "step": In(24),
            "start": In(1), "done": Out(1),
            "i_events": In(stream.Signature(EVENT)), "extracted": In(1),
            "o_words": Out(stream.Signature(32)), "stalled": Out(1),
        })

    @property
    def spec(self) -> MegaSpec:
        """Parameters of the accelerator."""
        return self._spec

    def elaborate(self, platform):
        i, p, o = self.instruction, self.i_events.p, self.o_words
        m = Module()
        c, y, x = Signal(C_BITS), Signal(Y_BITS), Signal(X_BITS)
        m.d.comb += [c.eq(p.c + i.off_c), y.eq(p.y + i.off_y), x.eq(p.x + i.off_x),
                     self.stalled.eq(o.valid & ~o.ready)]

        def control(kind, argument):
            return Cat(argument, Const(0, 24 - len(argument)), Const(0, 4), Const(kind, 3),
                       Const(1, 1))

        with m.FSM() as fsm:
            m.d.comb += self.done.eq(fsm.ongoing("Idle"))
            with m.State("Idle"):
                with m.If(self.start):
                    m.next = "Population"
            with m.State("Population"):
                m.d.comb += [o.valid.eq(i.rows != 0), o.payload.eq(control(POPULATION, i.population))]
                with m.If(o.ready | ~o.valid):
                    m.next = "Events"
            with m.State("Events"):
                m.d.comb += [o.valid.eq(self.i_events.valid), o.payload.eq(Cat(x, y, c)),
                             self.i_events.ready.eq(o.ready)]
                with m.If(self.extracted & ~self.i_events.valid):
                    m.next = "Idle"
                    with m.If(i.tick):
                        m.next = "Tick"
            with m.State("Tick"):
                m.d.comb += [o.valid.eq(1), o.payload.eq(control(END_OF_STEP, self.step))]
                with m.If(o.ready):
                    m.next = "Idle"
        return m

"""The learning engine: a spiking network that learns while it runs (`neurogen.spec.learning`)."""

from amaranth.hdl import Module, Mux, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from neurogen.rtl.bus import WishboneSignature
from neurogen.rtl.learning_parts import Parts
from neurogen.rtl.learning_states import (
    integrate_states,
    judge_states,
    scan_states,
    similar_states,
    update_states,
)
from neurogen.spec.learning import Learner
from neurogen.spec.learning_bus import LABELLED, Kind, Region


__all__ = ["EVENT", "LearnEngine"]


EVENT = data.StructLayout({"value": 16, "kind": 2})


class LearnEngine(wiring.Component):
    """Runs a `Learner`: spikes in, weights, scores and state readable at any time between steps.

    The words of neurons of a layer are taken one after the other. Weights of a word lie in one column, in
    which each weight is read and written at most once per step, so that no update waits for another.

    **Timing.** A step of a layer that does not learn takes

    ``R + A + N (E + 7) + (S + 2) (G + 4) + 2`` cycles

    with ``R`` words of rows, ``A`` the sum over them of their spikes, or 1 where there are none, ``E`` rows
    that spike (-2 if none does), ``N`` words of neurons, ``S`` of them with spikes, and ``G`` rows of ``P``
    and ``Q``; in layers that are not the last, ``N - G - 3`` more. Learning adds ``3 C + 11`` for each kind
    of error (``2 C + 8`` with ``Loss.HINGE``), ``C + 9`` for each word with an open window (5 if the hinge
    has none, of ``z`` and of ``o``), and a cycle for each word of weights that is updated, with about five
    more for each run of them.

    **Reset.** Stops at once; memories keep their contents. After a reset, or power-on, state is cleared by
    the first ``Kind.BEGIN``; weights are whatever the memory holds.

    Parameters
    ----------
    spec
        The network. Sizes, windows and shifts are fixed here; period, rates, frozen layers and seed are
        registers.

    Members
    -------
    bus : ``In(WishboneSignature(5))``
        Registers: `neurogen.spec.learning_bus.Csr`.
    i_events : ``In(stream.Signature(EVENT))``
        `neurogen.spec.learning_bus.Kind` and value. Not ready while a step is computed.
    idle : ``Out(1)``
        Nothing is computed, and no event waits.
    """

    def __init__(self, spec: Learner):
        self._spec = spec
        super().__init__({"bus": In(WishboneSignature(5)), "i_events": In(stream.Signature(EVENT)),
                          "idle": Out(1)})

    @property
    def spec(self) -> Learner:
        """The network."""
        return self._spec

    def elaborate(self, platform):
        spec = self._spec
        m = Module()
        parts = Parts(m, spec, self.i_events.valid)
        with m.FSM():
            _idle(m, spec, parts, self.i_events)
            scan_states(m, spec, parts)
            integrate_states(m, spec, parts)
            similar_states(m, spec, parts)
            judge_states(m, spec, parts)
            update_states(m, spec, parts)
        wiring.connect(m, wiring.flipped(self.bus), parts.control.bus)
        m.d.comb += self.idle.eq(parts.idle & ~self.i_events.valid)
        return m


def _idle(m: Module, spec: Learner, parts: Parts, i_events: stream.Interface) -> None:
    control, log2 = parts.control, (spec.lanes - 1).bit_length()
    value, kind = i_events.payload.value, i_events.payload.kind
    with m.State("Idle"):
        m.d.comb += [parts.idle.eq(1), i_events.ready.eq(1)]
        for region, ram in parts.memory.items():
            m.d.comb += ram.r_port.addr.eq(control.address)
            # The address changes in the cycle before `ack`.
            parts.read(m, ram, when=~parts.settled | control.bus.ack)
            with m.If(control.write & (control.region == region)):
                m.d.comb += [ram.w_port.addr.eq(control.address), ram.w_port.en.eq(1),
                             Value.cast(ram.w_port.data).eq(control.written)]
        with m.If(i_events.valid & (kind == Kind.SPIKE)):
            with m.If(value < spec.inputs):
                m.d.comb += [parts.active.w_port.addr.eq(value >> log2), parts.active.w_port.data.eq(-1),
                             parts.active.w_port.en.eq(1 << value[:log2])]
            with m.Else():
                m.d.comb += control.address_wrong.eq(1)
        with m.Elif(i_events.valid & (kind == Kind.STEP)):
            m.d.sync += [parts.layer.eq(0), parts.word.eq(0), parts.events_n.eq(0), parts.open_n.eq(0),
                         parts.phase.eq(Mux(parts.phase + 1 >= control.period, 0, parts.phase + 1)),
                         parts.learning.eq(parts.learn & (parts.phase + 1 >= control.period))]
            parts.count(m, "steps", 1)
            parts.begin_loop(m)
            m.next = "Scan"
        with m.Elif(i_events.valid & (kind == Kind.BEGIN)):
            labelled = value[LABELLED.bit_length() - 1]
            known = value[:LABELLED.bit_length() - 1] < spec.classes
            m.d.comb += control.label_wrong.eq(labelled & ~known)
            m.d.comb += control.silent.eq(parts.begun & ~parts.fired.all())
            m.d.sync += [parts.label.eq(value), parts.learn.eq(labelled & known), parts.phase.eq(0),
                         parts.begun.eq(1), parts.fired.eq(0)]
            parts.begin_loop(m)
            m.next = "Clear"

    with m.State("Clear"):
        cleared = [ram for region, ram in parts.memory.items()
                   if region not in (Region.WEIGHTS, Region.MEANS)]
        m.d.sync += parts.n.eq(parts.n + 1)
        for ram in (*cleared, parts.active):
            m.d.comb += [ram.w_port.addr.eq(parts.n), Value.cast(ram.w_port.data).eq(0),
                         ram.w_port.en.eq(Mux(parts.n < ram.depth, -1, 0))]
        with m.If(parts.n == max(ram.depth for ram in cleared) - 1):
            m.next = "Idle"

"""The event-driven accelerator."""

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neurogen.rtl.bus import WishboneSignature
from neurogen.rtl.control import BUS_ADDRESS_BITS, Control, control_ports
from neurogen.rtl.conv import ConvEngine
from neurogen.rtl.loader import ReadGuard
from neurogen.rtl.sequencer import Sequencer
from neurogen.spec.mega import MegaSpec


__all__ = ["Mega"]


class Mega(wiring.Component):
    """Runs the layer program of `neurogen.spec.mega` on streams of events.

    Parameters
    ----------
    spec
        Parameters of the accelerator.

    Members
    -------
    bus : ``In(WishboneSignature(16))``
        Registers and memories; see `neurogen.spec.mega.Csr`.
    i_events : ``In(stream.Signature(32))``
        Event and end-of-step words for the INTEGRATEs that read the stream; see `neurogen.spec.events`.
    o_events : ``Out(stream.Signature(32))``
        What the EMITs send.
    mem : ``Out(WishboneSignature(30))``
        Master for the external memory, where ``spec.external``; an abort lets an access finish first.
    idle : ``Out(1)``
        No program runs.
    flush : ``Out(1)``
        An abort resets program and engine in the cycle after. What still waits before and after the streams
        belongs to the run that ends: queues there should forget it, too.
    """

    def __init__(self, spec: MegaSpec):
        if not isinstance(spec, MegaSpec):
            raise TypeError(f"Mega parameters must be a MegaSpec, not {spec!r}")
        self._spec = spec
        ports = {
            "bus": In(WishboneSignature(BUS_ADDRESS_BITS)),
            "i_events": In(stream.Signature(32)),
            "o_events": Out(stream.Signature(32)),
            "idle": Out(1),
            "flush": Out(1),
        }
        if spec.external:
            ports["mem"] = Out(WishboneSignature(30))
        super().__init__(ports)

    @property
    def spec(self) -> MegaSpec:
        """Parameters of the accelerator."""
        return self._spec

    def elaborate(self, platform):
        m = Module()
        m.submodules.control = control = Control(self._spec)
        core = _Core(self._spec)
        reset = Signal()  # a register, as it goes to every register of the core
        m.d.sync += reset.eq(control.abort)
        m.submodules.core = ResetInserter({"sync": reset})(core)
        connect(m, flipped(self.bus), control.bus)
        connect(m, flipped(self.i_events), core.i_events)
        connect(m, core.o_events, flipped(self.o_events))
        if self._spec.external:
            m.submodules.guard = guard = ReadGuard(self.mem.signature.addr_bits)
            connect(m, core.mem, guard.initiator)
            connect(m, guard.bus, flipped(self.mem))
            m.d.comb += guard.cut.eq(reset)
        for name, port in control_ports(self._spec).items():
            if name != "abort":
                inner, outer = getattr(core, name), getattr(control, name)
                m.d.comb += inner.eq(outer) if port.flow is Out else outer.eq(inner)
        m.d.comb += [self.idle.eq(~core.busy), self.flush.eq(control.abort)]
        return m


class _Core(wiring.Component):
    """Program and engine: everything that an abort resets."""

    def __init__(self, spec):
        self._spec = spec
        ports = {name: port.flip() for name, port in control_ports(spec).items() if name != "abort"}
        ports |= {"i_events": In(stream.Signature(32)), "o_events": Out(stream.Signature(32))}
        if spec.external:
            ports["mem"] = Out(WishboneSignature(30))
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        m.submodules.sequencer = sequencer = Sequencer(self._spec)
        m.submodules.engine = engine = ConvEngine(self._spec)
        connect(m, flipped(self.i_events), engine.i_events)
        connect(m, engine.o_events, flipped(self.o_events))
        connect(m, engine.counts, sequencer.counts)
        if self._spec.external:
            connect(m, engine.mem, flipped(self.mem))
        m.d.comb += [
            sequencer.start.eq(self.start), sequencer.proceed.eq(self.proceed),
            sequencer.steps.eq(self.steps), self.step.eq(sequencer.step),
            self.busy.eq(sequencer.busy), self.unknown.eq(sequencer.unknown),
            sequencer.w_en.eq(self.program_en), sequencer.w_addr.eq(self.program_addr),
            sequencer.w_data.eq(self.program_data),
            sequencer.r_en.eq(self.counter_en), sequencer.r_addr.eq(self.counter_addr),
            self.counter_data.eq(sequencer.r_data),
            engine.instruction.eq(sequencer.instruction), engine.tag.eq(sequencer.tag),
            engine.step.eq(sequencer.step), engine.execute.eq(sequencer.execute),
            sequencer.done.eq(engine.done), sequencer.idle.eq(engine.idle),
            self.bad_event.eq(engine.bad_event), self.state_data.eq(engine.state_data),
            *(getattr(engine, name).eq(getattr(self, name)) for name in _WINDOW),
        ]
        return m


# Ports of the memory window that pass from the control bus to the engine.
_WINDOW = ("place", "cluster", "bank", "row", "weight_en", "weight", "state_read", "state_lane")

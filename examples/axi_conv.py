"""A convolution engine behind AXI: AXI4-Stream for events, AXI4-Lite for everything else.

``python -m examples.axi_conv > axi_conv.v`` writes the Verilog.
"""

import sys
from enum import IntEnum

from amaranth.back import verilog
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from examples.window import access, check_resident, connect_window
from neurogen.rtl.bus import (
    AxiLiteSignature,
    AxiLiteToWishbone,
    AxiStreamSignature,
    AxiStreamToStream,
    StreamToAxiStream,
)
from neurogen.rtl.conv import ConvEngine
from neurogen.rtl.memory import Ram
from neurogen.spec.events import END_OF_STEP
from neurogen.spec.mega import COUNTERS, MegaSpec


__all__ = ["SPEC", "AxiConv", "Register"]


# 36 SOP/cycle; holds a layer of 2 to 8 channels on a map of 9x12, for example.
SPEC = MegaSpec(lanes=4, weight_bits=4, state_bits=12, state_depth=32, weight_depth=32, spike_depth=32,
                sweep_cycles=4)
_ADDRESS_BITS = 8  # of words
_SLOTS = 8         # instructions
_SLOT_BITS = 4     # of the words of an instruction: the widest one has 16


class Register(IntEnum):
    """Byte addresses on AXI4-Lite. Words are written whole; what is not listed reads as 0.

    ============== ================================================================================
    CONTROL (w)    bit 0: run from step 0; bit 1: run on from where the last run ended
    STATUS (r)     bit 0: busy; bit 1: an event outside the input was dropped since step 0
    STEPS (rw)     steps of a run, at least 1
    STEP (r)       steps finished since step 0
    WINDOW (w)     see `examples.window.connect_window`
    DATA (rw)      next weight (w), next state (r); only between runs
    COUNTERS (r)   sum of each of `neurogen.spec.mega.COUNTERS` since step 0, modulo 2**32
    PROGRAM (w)    8 instructions, of which the one with ``end_of_step`` is the last to be executed;
                   word ``w`` of number ``i`` is at ``PROGRAM + 64 * i + 4 * w``; only between runs
    ============== ================================================================================
    """

    CONTROL = 0x00
    STATUS = 0x04
    STEPS = 0x08
    STEP = 0x0C
    WINDOW = 0x10
    DATA = 0x14
    COUNTERS = 0x20
    PROGRAM = 0x200


class AxiConv(wiring.Component):
    """One spiking layer that waits for events, and answers each step with its spikes.

    A host writes the compiler's weights and its few instructions, and starts a run. From then on no host
    is needed: each step executes the instructions in their order, which takes events up to the next
    end of step from ``s_axis`` and sends spikes and an end of step to ``m_axis``.

    Parameters
    ----------
    spec
        Parameters of the engine, without external memory.

    Members
    -------
    s_axil : ``In(AxiLiteSignature(10))``
        Registers; see `Register`.
    s_axis : ``In(AxiStreamSignature(32))``
        Words of `neurogen.spec.events`. Nothing is taken between runs.
    m_axis : ``Out(AxiStreamSignature(32, last=True))``
        Likewise. Each packet is one step.
    idle : ``Out(1)``
        Between runs; for an interrupt.
    """

    def __init__(self, spec: MegaSpec):
        self._spec = check_resident(spec)
        super().__init__({
            "s_axil": In(AxiLiteSignature(_ADDRESS_BITS + 2)),
            "s_axis": In(AxiStreamSignature(32)),
            "m_axis": Out(AxiStreamSignature(32, last=True)),
            "idle": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = ConvEngine(self._spec)
        m.submodules.inwards = inwards = AxiStreamToStream(32)
        m.submodules.outwards = outwards = StreamToAxiStream(32, last=True)
        connect(m, flipped(self.s_axis), inwards.s_axis)
        connect(m, inwards.o, engine.i_events)
        connect(m, outwards.m_axis, flipped(self.m_axis))
        spikes = engine.o_events
        m.d.comb += [
            outwards.i.payload.data.eq(spikes.payload),
            outwards.i.payload.last.eq(spikes.payload[31] & (spikes.payload[28:31] == END_OF_STEP)),
            outwards.i.valid.eq(spikes.valid), spikes.ready.eq(outwards.i.ready),
        ]
        self._run(m, engine, *self._registers(m, engine))
        return m

    def _registers(self, m, engine):
        """AXI4-Lite; return the memory of the instructions, and what `_run` needs to know."""
        m.submodules.bridge = bridge = AxiLiteToWishbone(_ADDRESS_BITS)
        m.submodules.program = program = Ram(32 * self._spec.instruction_words, _SLOTS, granularity=32)
        connect(m, flipped(self.s_axil), bridge.s_axil)
        bus = bridge.bus
        begin, write, read = access(m, bus)

        def at(register):
            return bus.adr == register // 4

        steps, bad_event = Signal(32, init=1), Signal()
        control = Signal(2)
        m.d.comb += [
            control.eq(bus.dat_w & (write & at(Register.CONTROL) & self.idle).replicate(2)),
            program.w_port.addr.eq(bus.adr >> _SLOT_BITS),  # without the top bit of the address
            program.w_port.data.eq(bus.dat_w.replicate(self._spec.instruction_words)),
            program.w_port.en.eq((write & self.idle & bus.adr[-1]) << bus.adr[:_SLOT_BITS]),
        ]
        with m.If(write & at(Register.STEPS)):
            m.d.sync += steps.eq(bus.dat_w)
        with m.If(control[0]):
            m.d.sync += bad_event.eq(0)
        with m.Elif(engine.bad_event):
            m.d.sync += bad_event.eq(1)
        data = at(Register.DATA) & self.idle
        connect_window(m, engine, bus.dat_w, place=write & at(Register.WINDOW), write=write & data,
                       fetch=begin & ~bus.we & data, read=read & data)
        totals = [Signal(32, name=f"total_{name}") for name in COUNTERS]
        values = {Register.STATUS: Cat(~self.idle, bad_event), Register.STEPS: steps,
                  Register.STEP: engine.step, Register.DATA: engine.state_data,
                  **{Register.COUNTERS + 4 * k: total for k, total in enumerate(totals)}}
        with m.Switch(bus.adr):
            for register, value in values.items():
                with m.Case(register // 4):
                    m.d.comb += bus.dat_r.eq(value)
        return program, control, steps, totals

    def _run(self, m, engine, program, control, steps, totals):
        """Execute the instructions, one after the other, for some steps."""
        i = engine.instruction
        slot, left = Signal(range(_SLOTS)), Signal(32)
        m.d.comb += [program.r_port.addr.eq(slot), i.eq(program.r_port.data)]
        with m.FSM() as fsm:
            m.d.comb += [self.idle.eq(fsm.ongoing("Idle")), program.r_port.en.eq(fsm.ongoing("Fetch"))]
            with m.State("Idle"):
                m.d.sync += [slot.eq(0), left.eq(steps)]
                with m.If(control.any()):
                    m.next = "Fetch"
                with m.If(control[0]):
                    m.d.sync += [engine.step.eq(0), *(total.eq(0) for total in totals)]
            with m.State("Fetch"):
                m.next = "Execute"
            with m.State("Execute"):
                m.next = "Next"
                with m.If(~i.once | (engine.step == 0)):
                    m.d.comb += engine.execute.eq(1)
                    m.next = "Begin"
            with m.State("Begin"):  # `done` is not yet low
                m.next = "Wait"
            with m.State("Wait"):
                with m.If(engine.done):
                    m.next = "Next"
            with m.State("Next"):
                m.d.sync += slot.eq(slot + 1)
                m.next = "Fetch"
                with m.If(i.end_of_step):
                    m.d.sync += [slot.eq(0), engine.step.eq(engine.step + 1), left.eq(left - 1)]
                    with m.If(left == 1):
                        m.next = "Drain"
            with m.State("Drain"):  # sweeps and spikes may go on while the next instruction is executed
                with m.If(engine.idle):
                    m.next = "Idle"
        m.d.comb += engine.counts.ready.eq(1)
        with m.If(engine.counts.valid):
            m.d.sync += [total.eq(total + engine.counts.p.values[k]) for k, total in enumerate(totals)]


if __name__ == "__main__":
    sys.stdout.write(verilog.convert(AxiConv(SPEC), name="axi_conv", emit_src=False))

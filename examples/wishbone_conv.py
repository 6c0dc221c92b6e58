"""A convolution engine behind Wishbone, events included: a peripheral for a small processor.

``python -m examples.wishbone_conv > wishbone_conv.v`` writes the Verilog.
"""

import sys
from enum import IntEnum

from amaranth.back import verilog
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from examples.window import access, check_resident, connect_window
from neurogen.rtl.bus import WishboneSignature
from neurogen.rtl.conv import ConvEngine
from neurogen.rtl.streams import Queue
from neurogen.spec.mega import COUNTERS, MegaSpec


__all__ = ["NO_EVENT", "SPEC", "Register", "WishboneConv"]


# 18 SOP/cycle and a single LIF data path; holds a layer of 2 to 8 channels on a map of 9x12, for example.
SPEC = MegaSpec(lanes=2, weight_bits=4, state_bits=12, state_depth=64, weight_depth=32, spike_depth=64,
                sweep_cycles=18)
_ADDRESS_BITS = 6
NO_EVENT = 0xFFFFFFFF  # no word of `neurogen.spec.events`


class Register(IntEnum):
    """Word addresses. What is not listed reads as 0.

    ================ ==============================================================================
    STATUS (rw)      bit 0: busy; bit 1: an event outside the input was dropped; bit 2: an event was
                     lost, because it came when there was no room; bit 3: room for an event; bit 4: an
                     event waits. Writing clears bits 1 and 2
    EXECUTE (w)      execute the instruction
    STEP (rw)        time step, for the engine's end-of-step words
    EVENT (rw)       event words in (w) and out (r); `NO_EVENT` if none waits
    WINDOW (w)       see `examples.window.connect_window`
    DATA (rw)        next weight (w), next state (r); only while not busy
    COUNTERS (r)     each of `neurogen.spec.mega.COUNTERS`, of the last instruction
    INSTRUCTION (w)  words of the instruction; only while not busy
    ================ ==============================================================================
    """

    STATUS = 0
    EXECUTE = 1
    STEP = 2
    EVENT = 3
    WINDOW = 4
    DATA = 5
    COUNTERS = 8
    INSTRUCTION = 32


class WishboneConv(wiring.Component):
    """An engine whose host writes each instruction, then feeds and drains it through two queues.

    An INTEGRATE that reads the stream is busy until an end of step has come through `Register.EVENT`, and
    an EMIT until its words have gone into the queue: the host has to make room by reading.

    Parameters
    ----------
    spec
        Parameters of the engine, without external memory.
    depth
        Words that each queue holds, at least 2.

    Members
    -------
    bus : ``In(WishboneSignature(6))``
        Registers; see `Register`. An access takes four cycles.
    interrupt : ``Out(1)``
        An event waits, or nothing is under way.
    """

    def __init__(self, spec: MegaSpec, *, depth: int = 16):
        self._spec = check_resident(spec)
        self._depth = depth
        super().__init__({"bus": In(WishboneSignature(_ADDRESS_BITS)), "interrupt": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = ConvEngine(self._spec)
        m.submodules.inwards = inwards = Queue(32, self._depth)
        m.submodules.outwards = outwards = Queue(32, self._depth)
        connect(m, inwards.o, engine.i_events)
        connect(m, engine.o_events, outwards.i)
        bus = self.bus
        begin, write, read = access(m, bus)

        def at(register):
            return bus.adr == register

        busy, bad_event, lost = Signal(), Signal(), Signal()
        self._execute(m, engine, busy, write)
        m.d.comb += [
            inwards.i.payload.eq(bus.dat_w), inwards.i.valid.eq(write & at(Register.EVENT)),
            outwards.o.ready.eq(read & at(Register.EVENT)),
            self.interrupt.eq(outwards.o.valid | ~busy),
        ]
        with m.If(write & at(Register.STATUS)):
            m.d.sync += [bad_event.eq(0), lost.eq(0)]
        with m.If(engine.bad_event):
            m.d.sync += bad_event.eq(1)
        with m.If(inwards.i.valid & ~inwards.i.ready):
            m.d.sync += lost.eq(1)
        with m.If(write & at(Register.STEP)):
            m.d.sync += engine.step.eq(bus.dat_w)
        data = at(Register.DATA) & ~busy
        connect_window(m, engine, bus.dat_w, place=write & at(Register.WINDOW), write=write & data,
                       fetch=begin & ~bus.we & data, read=read & data)
        counts = Signal.like(engine.counts.p)
        m.d.comb += engine.counts.ready.eq(1)
        with m.If(engine.counts.valid):
            m.d.sync += counts.eq(engine.counts.p)
        values = {
            Register.STATUS: Cat(busy, bad_event, lost, inwards.i.ready, outwards.o.valid),
            Register.STEP: engine.step, Register.DATA: engine.state_data,
            Register.EVENT: Mux(outwards.o.valid, outwards.o.payload, NO_EVENT),
            **{Register.COUNTERS + k: counts.values[k] for k in range(len(COUNTERS))},
        }
        with m.Switch(bus.adr):
            for register, value in values.items():
                with m.Case(register):
                    m.d.comb += bus.dat_r.eq(value)
        return m

    def _execute(self, m, engine, busy, write):
        """Hold the words of an instruction, and execute it."""
        bus, words = self.bus, Signal(32 * self._spec.instruction_words)
        m.d.comb += engine.instruction.eq(words)
        for k in range(self._spec.instruction_words):
            with m.If(write & ~busy & (bus.adr == Register.INSTRUCTION + k)):
                m.d.sync += words.word_select(k, 32).eq(bus.dat_w)
        with m.FSM() as fsm:
            m.d.comb += busy.eq(~fsm.ongoing("Idle"))
            with m.State("Idle"):
                with m.If(write & (bus.adr == Register.EXECUTE)):
                    m.d.comb += engine.execute.eq(1)
                    m.next = "Begin"
            with m.State("Begin"):  # `done` is not yet low
                m.next = "Wait"
            with m.State("Wait"):
                with m.If(engine.idle):
                    m.next = "Idle"


if __name__ == "__main__":
    sys.stdout.write(verilog.convert(WishboneConv(SPEC), name="wishbone_conv", emit_src=False))

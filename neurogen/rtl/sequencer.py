"""Reads the layer program and runs it, step by step."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neurogen.rtl.address import instruction_layout
from neurogen.rtl.memory import Ram
from neurogen.spec.mega import (
    COUNTER_BITS,
    COUNTER_WORDS,
    COUNTERS,
    INCREMENT_BITS,
    MegaSpec,
    Op,
)


__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Fetches instructions, starts the units that execute them, and keeps the counters.

    An instruction costs ``instruction_words + 4`` cycles beside its work. Its counters are added
    to the counter memory while the next one is fetched.

    Parameters
    ----------
    spec
        Parameters of the accelerator.

    Members
    -------
    start, proceed : ``In(1)``
        Begin at step 0, or go on after the last step; for ``steps`` steps. Ignored while busy.
    steps : ``In(32)``
        Steps to run; with 0, nothing starts.
    step : ``Out(32)``
        Steps finished since the start.
    busy, unknown : ``Out(1)``
        Running; stopped at an unknown instruction, or at a LOAD where there is no external memory (cleared
        by ``start`` and ``proceed``).
    instruction : ``Out(instruction_layout(spec))``
        The instruction that is executed.
    execute : ``Out(1)``
        High for one cycle: begin.
    done : ``In(1)``
        The unit has finished; looked at from the second cycle after ``execute`` on.
    increments : ``In(INCREMENT_BITS).array(len(COUNTERS))``
        What the instruction adds to its counters; stable from ``done`` until the next ``execute``.
    w_en, w_addr, w_data : ``In``
        Write a word of the program.
    r_en, r_addr, r_data : ``In``, ``Out``
        Read a counter, while not busy: ``r_data`` follows one cycle after ``r_en``.
    """

    def __init__(self, spec: MegaSpec):
        if not isinstance(spec, MegaSpec):
            raise TypeError(f"Sequencer parameters must be a MegaSpec, not {spec!r}")
        self._spec = spec
        self._counters = spec.max_instructions * COUNTER_WORDS
        super().__init__({
            "start": In(1), "proceed": In(1), "steps": In(32), "step": Out(32),
            "busy": Out(1), "unknown": Out(1),
            "instruction": Out(instruction_layout(spec)),
            "execute": Out(1), "done": In(1),
            "increments": In(INCREMENT_BITS).array(len(COUNTERS)),
            "w_en": In(1), "w_addr": In(range(spec.program_depth)), "w_data": In(32),
            "r_en": In(1), "r_addr": In(range(self._counters)), "r_data": Out(COUNTER_BITS),
        })

    @property
    def spec(self) -> MegaSpec:
        """Parameters of the accelerator."""
        return self._spec

    def elaborate(self, platform):
        spec, i = self._spec, self.instruction
        words = spec.instruction_words
        m = Module()
        m.submodules.program = program = Ram(32, spec.program_depth, collisions=False)
        address = Signal(range(spec.program_depth + 1))
        word = Signal(range(words + 1))
        number = Signal(range(spec.max_instructions + 1))
        known = Op.LOAD if spec.external else Op.INIT  # the last one; LOAD is the highest
        final = Signal(32)
        finish = Signal()
        flushing = self._flush(m, number, finish)
        running = Signal()
        m.d.comb += self.busy.eq(running | flushing)  # the last counters may be read when it is over

        # The words shift in from the top; the first one ends up lowest.
        shifted = Signal(32 * words)
        m.d.comb += [
            program.w_port.en.eq(self.w_en), program.w_port.addr.eq(self.w_addr),
            program.w_port.data.eq(self.w_data), program.r_port.addr.eq(address),
            i.eq(shifted),
        ]
        with m.FSM():
            with m.State("Idle"):
                with m.If((self.start | self.proceed) & ~flushing & (self.steps != 0)):
                    m.d.sync += [address.eq(0), word.eq(0), number.eq(0), running.eq(1),
                                 self.unknown.eq(0)]
                    with m.If(self.start):
                        m.d.sync += [self.step.eq(0), final.eq(self.steps)]
                    with m.Else():
                        # A run that stopped at an unknown instruction has not done all of its steps.
                        m.d.sync += final.eq(self.step + self.steps)
                    m.next = "Fetch"
            with m.State("Fetch"):
                m.d.comb += program.r_port.en.eq(1)
                m.d.sync += word.eq(word + 1)
                with m.If(word != words):
                    m.d.sync += address.eq(address + 1)
                with m.Else():
                    m.d.sync += word.eq(0)
                    m.next = "Decode"
                with m.If(word != 0):
                    m.d.sync += shifted.eq(shifted[32:] | (program.r_port.data << 32 * (words - 1)))
            with m.State("Decode"):
                with m.If(~flushing):
                    with m.If(i.op > known):
                        m.d.sync += [self.unknown.eq(1), running.eq(0)]
                        m.next = "Idle"
                    with m.Elif(i.once & (self.step != 0)):
                        m.next = "Next"
                    with m.Else():
                        m.d.comb += self.execute.eq(1)
                        m.next = "Begin"
            with m.State("Begin"):
                m.next = "Run"
            with m.State("Run"):
                with m.If(self.done):
                    m.d.comb += finish.eq(1)
                    m.next = "Next"
            with m.State("Next"):
                m.d.sync += number.eq(number + 1)
                m.next = "Fetch"
                with m.If(i.end_of_step):
                    m.d.sync += [address.eq(0), number.eq(0), self.step.eq(self.step + 1)]
                    with m.If(self.step + 1 == final):
                        m.d.sync += running.eq(0)
                        m.next = "Idle"
        return m

    def _flush(self, m, number, finish):
        """Add the increments to the counters of an instruction, two cycles each."""
        m.submodules.counters = counters = Ram(COUNTER_BITS, self._counters, collisions=False)
        flushing = Signal()
        writing = Signal()
        index = Signal(range(len(COUNTERS)))
        place = Signal(range(self._counters))  # of the instruction's first counter
        held = Signal.like(self.increments[0])
        fresh = Signal()
        m.d.comb += self.r_data.eq(counters.r_port.data)
        with m.If(finish):
            m.d.sync += [flushing.eq(1), index.eq(0), writing.eq(0), fresh.eq(self.step == 0),
                         place.eq(number * COUNTER_WORDS)]
        with m.Elif(flushing):
            m.d.sync += writing.eq(~writing)
            with m.If(writing):
                m.d.sync += index.eq(index + 1)
                with m.If(index == len(COUNTERS) - 1):
                    m.d.sync += flushing.eq(0)
        with m.Switch(index):
            for k in range(len(COUNTERS)):
                with m.Case(k):
                    m.d.comb += held.eq(self.increments[k])
        m.d.comb += [
            counters.r_port.en.eq(Mux(flushing, ~writing, self.r_en)),
            counters.r_port.addr.eq(Mux(flushing, place + index, self.r_addr)),
            counters.w_port.en.eq(writing & flushing),
            counters.w_port.addr.eq(place + index),
            counters.w_port.data.eq(Mux(fresh, 0, counters.r_port.data) + held),
        ]
        return flushing

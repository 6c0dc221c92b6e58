"""Reads the layer program and runs it, step by step."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from neurogen.rtl.address import instruction_layout
from neurogen.rtl.dispatch import counts_layout
from neurogen.rtl.memory import Ram
from neurogen.spec.mega import COUNTER_BITS, COUNTER_WORDS, COUNTERS, MegaSpec, Op


__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Fetches instructions, hands them to the units that execute them, and keeps the counters.

    An instruction costs ``instruction_words + 4`` cycles beside its work. With ``spec.overlap`` it is
    fetched while the one before is executed, and costs two cycles where that takes ``instruction_words + 4``
    or more; those that are executed once, at the beginning of the program, cost nothing in later steps.
    Counts are added to the counter memory meanwhile, in ``len(COUNTERS) + 2`` cycles.

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
        Steps since the start of which all instructions have begun, and, while not busy, ended.
    busy, unknown : ``Out(1)``
        Running; stopped at an unknown instruction, or at a LOAD where there is no external memory (cleared
        by ``start`` and ``proceed``).
    instruction, tag : ``Out``
        The instruction that is executed, and its tag; stable from ``execute`` until ``done``, like ``step``.
    execute : ``Out(1)``
        High for one cycle, while ``done``.
    done : ``In(1)``
        The next instruction may come; low from the cycle after ``execute`` on.
    idle : ``In(1)``
        Nothing is under way, and all counts have been taken.
    counts : ``In(stream.Signature(counts_layout(spec)))``
        What an instruction adds to its counters.
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
            "instruction": Out(instruction_layout(spec)), "tag": Out(spec.tag_bits),
            "execute": Out(1), "done": In(1), "idle": In(1),
            "counts": In(stream.Signature(counts_layout(spec))),
            "w_en": In(1), "w_addr": In(range(spec.program_depth)), "w_data": In(32),
            "r_en": In(1), "r_addr": In(range(self._counters)), "r_data": Out(COUNTER_BITS),
        })

    @property
    def spec(self) -> MegaSpec:
        """Parameters of the accelerator."""
        return self._spec

    def elaborate(self, platform):
        i = self.instruction
        m = Module()
        begin, take, leave = Signal(), Signal(), Signal()
        overlap = self._spec.overlap
        fetched, words, number = self._fetch(m, begin, take if overlap else leave)
        known = Op.LOAD if self._spec.external else Op.INIT  # the last one; LOAD is the highest
        first = Signal()  # what is taken now belongs to step 0
        tag = Cat(number, first)
        m.d.comb += first.eq(self.step == 0)
        if overlap:
            with m.If(take):
                m.d.sync += [i.eq(words), self.tag.eq(tag)]
        else:
            m.d.comb += [i.eq(words), self.tag.eq(tag)]
        final = Signal(32)
        running = Signal()
        m.d.comb += self.busy.eq(running)
        with m.FSM():
            with m.State("Idle"):
                with m.If((self.start | self.proceed) & (self.steps != 0)):
                    m.d.comb += begin.eq(1)
                    m.d.sync += [running.eq(1), self.unknown.eq(0)]
                    with m.If(self.start):
                        m.d.sync += [self.step.eq(0), final.eq(self.steps)]
                    with m.Else():
                        # A run that stopped at an unknown instruction has not done all of its steps.
                        m.d.sync += final.eq(self.step + self.steps)
                    m.next = "Take"
            with m.State("Take"):
                with m.If(fetched):
                    m.d.comb += take.eq(1)
                    m.next = "Execute"
            with m.State("Execute"):
                m.next = "Begin"
                with m.If(i.op > known):
                    m.d.sync += self.unknown.eq(1)
                    m.next = "Drain"
                with m.Elif(~i.once | (self.step == 0)):
                    m.d.comb += self.execute.eq(1)
            with m.State("Begin"):  # `done` is not low yet
                m.next = "Run"
            with m.State("Run"):
                with m.If(self.done):
                    m.d.comb += leave.eq(1)
                    m.next = "Take"
                    if overlap:
                        m.d.comb += take.eq(fetched)
                        with m.If(fetched):
                            m.next = "Execute"
                    with m.If(i.end_of_step):
                        m.d.comb += first.eq(0)
                        m.d.sync += self.step.eq(self.step + 1)
                        with m.If(self.step + 1 == final):
                            m.next = "Drain"
            with m.State("Drain"):  # the last counters may be read when it is over
                with m.If(self.idle):
                    m.d.sync += running.eq(0)
                    m.next = "Idle"
        self._flush(m)
        return m

    def _fetch(self, m, begin, leave):
        """Fetch the next instruction; return whether it is there, the instruction and its number."""
        spec = self._spec
        count = spec.instruction_words
        m.submodules.program = program = Ram(32, spec.program_depth, collisions=False)
        address = Signal(range(spec.program_depth + 1))
        word = Signal(range(count + 1))
        number = Signal(range(spec.max_instructions))
        fetching, fetched = Signal(), Signal()
        # The words shift in from the top; the first one ends up lowest.
        shifted = Signal(32 * count)
        i = Signal(instruction_layout(spec))
        m.d.comb += [
            program.w_port.en.eq(self.w_en), program.w_port.addr.eq(self.w_addr),
            program.w_port.data.eq(self.w_data), program.r_port.addr.eq(address),
            program.r_port.en.eq(fetching), i.eq(shifted),
        ]
        # Where later steps begin: behind what is executed once.
        first_address, first_number, first = Signal.like(address), Signal.like(number), Signal()
        with m.If(begin):
            m.d.sync += [fetching.eq(1), fetched.eq(0), word.eq(0), address.eq(0), number.eq(0),
                         first.eq(1), first_address.eq(0), first_number.eq(0)]
        with m.Elif(fetching):
            m.d.sync += word.eq(word + 1)
            with m.If(word != count):
                m.d.sync += address.eq(address + 1)
            with m.Else():
                m.d.sync += [word.eq(0), fetching.eq(0), fetched.eq(1)]
            with m.If(word != 0):
                m.d.sync += shifted.eq(shifted[32:] | (program.r_port.data << 32 * (count - 1)))
        with m.Elif(fetched):
            if spec.overlap:
                with m.If(first & ~i.once):
                    m.d.sync += [first.eq(0), first_address.eq(address - count), first_number.eq(number)]
            with m.If(leave):
                m.d.sync += [fetching.eq(1), fetched.eq(0), number.eq(number + 1)]
                with m.If(i.end_of_step):
                    m.d.sync += [address.eq(first_address), number.eq(first_number)]
        return fetched, i, number

    def _flush(self, m):
        """Add counts to the counters of their instruction: one is read while the one before is written."""
        m.submodules.counters = counters = Ram(COUNTER_BITS, self._counters, collisions=False)
        flushing = Signal()
        index = Signal(range(len(COUNTERS) + 1))  # of the counter that is read
        place = Signal(range(self._counters))     # of the instruction's first counter
        counts = self.counts.p
        held = Signal.like(counts.values[0])
        last = index == len(COUNTERS)
        with m.If(flushing):
            m.d.sync += index.eq(index + 1)
            with m.If(last):
                m.d.comb += self.counts.ready.eq(1)
                m.d.sync += flushing.eq(0)
        with m.Elif(self.counts.valid):
            m.d.sync += [flushing.eq(1), index.eq(0)]
        with m.Switch(index):
            for k in range(len(COUNTERS)):
                with m.Case(k + 1):
                    m.d.comb += held.eq(counts.values[k])
        m.d.comb += [
            place.eq(counts.tag[:-1] * COUNTER_WORDS),
            counters.r_port.en.eq(Mux(flushing, ~last, self.r_en)),
            counters.r_port.addr.eq(Mux(flushing, place + index, self.r_addr)),
            counters.w_port.en.eq(flushing & (index != 0)),
            counters.w_port.addr.eq(place + index - 1),
            # Those of step 0 are the first.
            counters.w_port.data.eq(Mux(counts.tag[-1], 0, counters.r_port.data) + held),
            self.r_data.eq(counters.r_port.data),
        ]

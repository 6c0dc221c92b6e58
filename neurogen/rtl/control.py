"""Registers and memory windows of the accelerator on its control bus."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neurogen.rtl.bus import WishboneSignature
from neurogen.spec.mega import (
    COUNTER_BITS,
    COUNTER_WORDS,
    DEVICE_ID,
    ControlBit,
    Csr,
    MegaSpec,
    MemorySelect,
)


__all__ = ["BUS_ADDRESS_BITS", "Control", "control_ports"]


BUS_ADDRESS_BITS = 16


def control_ports(spec: MegaSpec) -> dict[str, wiring.Member]:
    """Return the ports of `Control` other than its bus."""
    counters = spec.max_instructions * COUNTER_WORDS
    return {
        "start": Out(1), "proceed": Out(1), "abort": Out(1), "steps": Out(32, init=1),
        "busy": In(1), "step": In(32), "unknown": In(1), "bad_event": In(1),
        "program_en": Out(1), "program_addr": Out(range(spec.program_depth)),
        "program_data": Out(32),
        "counter_en": Out(1), "counter_addr": Out(range(counters)),
        "counter_data": In(COUNTER_BITS),
        "place": Out(1), "cluster": Out(4), "bank": Out(4), "row": Out(20),
        "weight_en": Out(1), "weight": Out(spec.weight_bits),
        "state_read": Out(1), "state_lane": Out(range(max(2, spec.lanes))),
        "state_data": In(signed(spec.state_bits)),
    }


class Control(wiring.Component):
    """Control bus of the accelerator: the registers of `neurogen.spec.mega.Csr`.

    Accesses take two cycles, reads of COUNTER three and of STATE five (a row is fetched at its first lane).

    Parameters
    ----------
    spec
        Parameters of the accelerator.

    Members
    -------
    bus : ``In(WishboneSignature(BUS_ADDRESS_BITS))``
        The bus.
    start, proceed, abort, steps : ``Out``
        To the sequencer; ``abort`` resets everything but this component.
    busy, step, unknown, bad_event : ``In``
        ``bad_event`` is remembered until it is cleared.
    program_en, program_addr, program_data : ``Out``
        Write the program.
    counter_en, counter_addr, counter_data : ``Out``, ``In``
        Read a counter; data follow one cycle after.
    place, cluster, bank, row : ``Out``
        Position of the memory window; ``place`` when it is set.
    weight_en, weight : ``Out``
        Next weight at the window.
    state_read : ``Out(1)``
        Read the states of ``row``; load them into the clusters' registers in the next cycle.
    state_lane : ``Out``
        Lane of the window.
    state_data : ``In(signed(state_bits))``
        State of ``state_lane`` of ``bank`` of ``cluster`` in the row loaded last.
    """

    def __init__(self, spec: MegaSpec):
        self._spec = spec
        super().__init__({"bus": In(WishboneSignature(BUS_ADDRESS_BITS)), **control_ports(spec)})

    @property
    def spec(self) -> MegaSpec:
        """Parameters of the accelerator."""
        return self._spec

    def elaborate(self, platform):
        spec, bus = self._spec, self.bus
        m = Module()
        select = Signal(4)
        row, lane = Signal(20), self.state_lane
        bad_event = Signal()
        cycles = Signal(32)
        with m.If(self.busy):
            m.d.sync += cycles.eq(cycles + 1)
        with m.If(self.bad_event):
            m.d.sync += bad_event.eq(1)
        m.d.comb += [
            self.row.eq(row),
            self.program_addr.eq(row), self.program_data.eq(bus.dat_w),
            self.counter_addr.eq(row >> 1), self.weight.eq(bus.dat_w),
        ]

        def advance(lanes):
            """Go to the next word of the memory."""
            if lanes == 1:  # one word a row
                m.d.sync += row.eq(row + 1)
            else:
                m.d.sync += lane.eq(lane + 1)
                with m.If(lane == lanes - 1):
                    m.d.sync += [lane.eq(0), row.eq(row + 1)]

        def answer(value):
            m.d.sync += [bus.dat_r.eq(value), bus.ack.eq(1)]
            m.next = "Answer"

        with m.FSM():
            with m.State("Idle"):
                with m.If(bus.cyc & bus.stb & bus.we):
                    answer(0)
                    with m.Switch(bus.adr):
                        with m.Case(Csr.CONTROL):
                            start, proceed, abort, clear = (bus.dat_w & bit != 0 for bit in ControlBit)
                            m.d.comb += [self.start.eq(start), self.proceed.eq(proceed),
                                         self.abort.eq(abort)]
                            with m.If(start & ~self.busy):
                                m.d.sync += cycles.eq(0)
                            with m.If(clear):
                                m.d.sync += bad_event.eq(0)
                        with m.Case(Csr.STEPS):
                            m.d.sync += self.steps.eq(bus.dat_w)
                        with m.Case(Csr.MEM_ADDRESS):
                            m.d.sync += [row.eq(bus.dat_w), self.bank.eq(bus.dat_w >> 20),
                                         self.cluster.eq(bus.dat_w >> 24),
                                         select.eq(bus.dat_w >> 28), lane.eq(0)]
                            m.next = "Place"
                        with m.Case(Csr.MEM_DATA):
                            with m.If(select == MemorySelect.PROGRAM):
                                m.d.comb += self.program_en.eq(~self.busy)
                                advance(1)
                            with m.Elif(select == MemorySelect.WEIGHT):
                                m.d.comb += self.weight_en.eq(~self.busy)
                                advance(spec.lanes)
                with m.Elif(bus.cyc & bus.stb):
                    with m.Switch(bus.adr):
                        with m.Case(Csr.ID):
                            answer(DEVICE_ID)
                        with m.Case(Csr.CONFIG):
                            answer(spec.config_word)
                        with m.Case(Csr.DEPTH):
                            answer(spec.state_depth | spec.weight_depth << 16)
                        with m.Case(Csr.STATUS):
                            answer(Cat(self.busy, bad_event, self.unknown))
                        with m.Case(Csr.STEPS):
                            answer(self.steps)
                        with m.Case(Csr.STEP):
                            answer(self.step)
                        with m.Case(Csr.CYCLES):
                            answer(cycles)
                        with m.Case(Csr.MEM_ADDRESS):
                            answer(row | self.bank << 20 | self.cluster << 24 | select << 28)
                        with m.Case(Csr.MEM_DATA):
                            with m.If(self.busy):
                                answer(0)
                            with m.Elif(select == MemorySelect.COUNTER):
                                m.d.comb += self.counter_en.eq(1)
                                m.next = "Counter"
                            with m.Elif(select == MemorySelect.STATE):
                                m.d.comb += self.state_read.eq(lane == 0)
                                m.next = "Fetch"
                            with m.Else():
                                answer(0)
                        with m.Default():
                            answer(0)
            with m.State("Place"):
                m.d.comb += self.place.eq(1)
                m.d.sync += bus.ack.eq(0)
                m.next = "Idle"
            with m.State("Counter"):
                answer(Mux(row[0], self.counter_data >> 32, self.counter_data[:32]))
                advance(1)
            with m.State("Fetch"):  # the row is read, arrives, and is loaded
                m.next = "Arrive"
            with m.State("Arrive"):
                m.next = "Second line" if spec.staggered else "Load"
            if spec.staggered:
                with m.State("Second line"):
                    m.next = "Third line"
                with m.State("Third line"):
                    m.next = "Load"
            with m.State("Load"):
                m.next = "Lane"
            with m.State("Lane"):
                answer(self.state_data)
                advance(spec.lanes)
            with m.State("Answer"):
                m.d.sync += bus.ack.eq(0)
                m.next = "Idle"
        return m

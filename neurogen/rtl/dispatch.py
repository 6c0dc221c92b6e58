"""Which instruction may begin beside those that are under way, and what each of them has done."""

from amaranth.hdl import Array, Cat, Module, Signal, Value
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from neurogen.rtl.address import instruction_layout
from neurogen.spec.mega import BANKS, BLOCK, COUNTERS, INCREMENT_BITS, MegaSpec, Op, Source


__all__ = ["Dispatcher", "Unit", "counts_layout", "happenings"]


class Unit(enum.Enum, shape=2):
    """What executes an instruction."""

    WORK = 0   # INTEGRATE, LOAD
    SWEEP = 1  # SWEEP, INIT
    EMIT = 2


def happenings(spec: MegaSpec) -> data.StructLayout:
    """Return the layout of what units count in a cycle: for each unit, counters and how much each grows."""
    most, words = range(BANKS * spec.total_lanes + 1), range(BANKS + 1)
    units = {"work": {"events": 1, "sops": most, "stalls": 1}, "sweep": {"spikes": most, "rows": 1},
             "emit": {"stalls": 1}}
    if spec.traffic:
        units["work"] |= {"starved": 1, "waiting": 1, "state_reads": words, "state_writes": words,
                          "weight_reads": words, "spike_reads": 1}
        units["sweep"] |= {"state_reads": words, "state_writes": words, "weight_reads": words,
                           "spike_writes": 1}
        units["emit"] |= {"spike_reads": 1}
        if spec.external:
            units["work"] |= {"weight_writes": 1}
    return data.StructLayout({name: data.StructLayout(fields) for name, fields in units.items()})


def counts_layout(spec: MegaSpec) -> data.StructLayout:
    """Return the layout of what an instruction has counted: its tag, and values as in `COUNTERS`."""
    return data.StructLayout({"tag": spec.tag_bits,
                              "values": data.ArrayLayout(INCREMENT_BITS, len(COUNTERS))})


class Dispatcher(wiring.Component):
    """Begins instructions in their order, and keeps the books.

    With ``spec.overlap`` a SWEEP or an EMIT goes on in the background, and the next instruction begins as
    soon as nothing forbids it:

    - its unit is free, and the counts of what was there have been taken;
    - an INTEGRATE or a LOAD waits until a SWEEP has read its parameters, an INTEGRATE of spikes also for the
      end of an EMIT, which has the extractor;
    - an EMIT waits for the parameters of a SWEEP likewise;
    - a SWEEP waits for the end of an EMIT that reads any of the blocks of spikes that it will write;
    - an INIT waits for everybody.

    Events and spikes follow a SWEEP at a distance, of which the gates of `AddressGenerator` and
    `Extractor` take care. Without ``spec.overlap`` there is one instruction at a time.

    Parameters
    ----------
    spec
        Parameters of the accelerator.

    Members
    -------
    instruction, tag : ``In``
        Stable from ``execute`` until ``done``.
    spike_row : ``In``
        First spike row of the instruction; known one cycle after ``execute``.
    execute : ``In(1)``
        An instruction is there; one cycle, while ``done``.
    done : ``Out(1)``
        The next instruction may come; low from the cycle after ``execute`` on.
    idle : ``Out(1)``
        Nothing is under way, and all counts have been taken.
    begin, start : ``Out(3)``
        One cycle: the unit of this bit takes the instruction; it starts. With ``spec.overlap``, ``start``
        comes one cycle after ``begin``, else with it.
    busy : ``Out(3)``
        The unit of this bit is under way: from the cycle after ``begin`` on.
    ended : ``In(3)``
        The unit of this bit has nothing to do: low from the cycle after ``start`` until the instruction has
        ended.
    settled : ``In(1)``
        Others may begin beside the SWEEP.
    happens : ``In(happenings(spec))``
        What happens in this cycle, in units that are under way. Cycles are counted here.
    counts : ``Out(stream.Signature(counts_layout(spec)))``
        What an instruction has counted, once for each.
    """

    def __init__(self, spec: MegaSpec):
        if not isinstance(spec, MegaSpec):
            raise TypeError(f"Dispatcher parameters must be a MegaSpec, not {spec!r}")
        self._spec = spec
        super().__init__({
            "instruction": In(instruction_layout(spec)), "tag": In(spec.tag_bits),
            "spike_row": In(spec.spike_address_bits),
            "execute": In(1), "done": Out(1), "idle": Out(1),
            "begin": Out(len(Unit)), "start": Out(len(Unit)), "busy": Out(len(Unit)),
            "ended": In(len(Unit)), "settled": In(1),
            "happens": In(happenings(spec)),
            "counts": Out(stream.Signature(counts_layout(spec))),
        })

    @property
    def spec(self) -> MegaSpec:
        """Parameters of the accelerator."""
        return self._spec

    def elaborate(self, platform):
        i, overlap = self.instruction, self._spec.overlap
        m = Module()
        unit = Signal(Unit)
        with m.Switch(i.op):
            with m.Case(Op.SWEEP, Op.INIT):
                m.d.comb += unit.eq(Unit.SWEEP)
            with m.Case(Op.EMIT):
                m.d.comb += unit.eq(Unit.EMIT)
        ending = Signal(len(Unit))
        full = self._tally(m, ending)
        free = Signal()
        if overlap:
            m.d.sync += self.start.eq(self.begin)
            m.d.comb += ending.eq(self.busy & self.ended & ~self.start)
        else:
            m.d.comb += [self.start.eq(self.begin), ending.eq(self.busy & self.ended)]
        m.d.sync += self.busy.eq((self.busy & ~ending) | self.begin)

        with m.FSM() as fsm:
            m.d.comb += [self.done.eq(fsm.ongoing("Idle")),
                         self.idle.eq(self.done & ~(self.busy | full).any())]
            with m.State("Idle"):
                with m.If(self.execute):
                    m.next = "Wait"
            with m.State("Wait"):
                m.d.comb += free.eq(self._free(m, unit, full) if overlap else ~(self.busy | full).any())
                with m.If(free):
                    m.d.comb += self.begin.eq(1 << unit.as_value())
                    m.next = "Run"
            with m.State("Run"):
                background = (i.op == Op.SWEEP) | (i.op == Op.EMIT) if overlap else 0
                with m.If(background | ~self.busy.bit_select(unit.as_value(), 1)):
                    m.next = "Idle"
        return m

    def _free(self, m, unit, full):
        """Return whether the instruction may begin beside what is under way."""
        i = self.instruction
        work, sweep, emit = self.busy
        block = self.spike_row >> 3
        after = block + ((i.rows + BLOCK - 1) >> 3)
        low, high = Signal.like(block), Signal.like(after)  # blocks that the EMIT reads
        with m.If(self.begin[Unit.EMIT.value]):
            m.d.sync += [low.eq(block), high.eq(after)]
        apart = (block >= high) | (after <= low)
        settled = ~sweep | self.settled
        spikes = (i.op == Op.INTEGRATE) & (i.source == Source.SPIKES)
        free = Signal()
        with m.Switch(unit):
            with m.Case(Unit.WORK):
                m.d.comb += free.eq(~work & settled & ~(spikes & emit) & ~full[Unit.WORK.value])
            with m.Case(Unit.SWEEP):
                m.d.comb += free.eq(~work & ~sweep & ~full[Unit.SWEEP.value]
                                    & (~emit | (apart & (i.op != Op.INIT))))
            with m.Case(Unit.EMIT):
                m.d.comb += free.eq(~work & settled & ~emit & ~full[Unit.EMIT.value])
        return free

    def _happens(self, unit):
        """Return, by name, how much the counters of a unit grow in this cycle."""
        fields = self.happens[unit.name.lower()]
        values = {name: fields[name] for name, _ in fields.shape()}
        # Words that wait may be those of the next instruction.
        return values | ({"stalls": values["stalls"] & self.busy[unit.value]} if "stalls" in values else {})

    def _grow(self, m, count, growth):
        """Let a counter grow; a frugal one clocks its high half only with a carry."""
        if not self._spec.frugal:
            m.d.sync += count.eq(count + growth)
            return
        growth = Value.cast(growth)
        half = max(8, len(growth))
        low = Signal(half + 1, name=f"{count.name}_low")
        m.d.comb += low.eq(count[:half] + growth)
        with m.If(growth.any()):
            m.d.sync += count[:half].eq(low)
        with m.If(low[half]):
            m.d.sync += count[half:].eq(count[half:] + 1)

    def _tally(self, m, ending):
        """Count, and hand the counts out; return which units hold counts that nobody has taken."""
        full = Signal(len(Unit))
        sets = [[u] for u in Unit] if self._spec.overlap else [list(Unit)]
        cycles = [self.busy[u.value] & ~self.busy[:u.value].any() for u in Unit]
        results, ends = [], []
        for number, units in enumerate(sets):
            grows = {"cycles": [cycles[u.value] for u in units]}
            for u in units:
                for name, value in self._happens(u).items():
                    grows.setdefault(name, []).append(value)
            begin, end = (Cat(bits[u.value] for u in units).any() for bits in (self.begin, ending))
            tag = Signal(self._spec.tag_bits, name=f"tag{number}")
            values = []
            for name in COUNTERS:
                if name not in grows:
                    values.append(0)
                    continue
                values.append(Signal(INCREMENT_BITS, name=f"count{number}_{name}"))
                with m.If(begin):
                    m.d.sync += values[-1].eq(0)
                with m.Else():
                    self._grow(m, values[-1], sum(grows[name]))
            with m.If(begin):
                m.d.sync += tag.eq(self.tag)
            ends.append(end)
            results.append((tag, values))

        # The choice is kept until it has been taken.
        chosen, valid = Signal(range(max(2, len(sets)))), Signal()
        m.d.comb += [self.counts.valid.eq(valid),
                     self.counts.p.tag.eq(Array(tag for tag, _ in results)[chosen])]
        for k in range(len(COUNTERS)):
            m.d.comb += self.counts.p.values[k].eq(Array(values[k] for _, values in results)[chosen])
        taken = Signal.like(full)
        with m.If(~valid):
            m.d.sync += valid.eq(full.any())
            for number in reversed(range(len(sets))):
                with m.If(full[number]):
                    m.d.sync += chosen.eq(number)
        with m.Elif(self.counts.ready):
            m.d.sync += valid.eq(0)
            m.d.comb += taken.eq(1 << chosen)
        m.d.sync += full.eq((full & ~taken) | Cat(ends))
        return full

"""Control of the fire sweep: which rows pass through the LIF data paths, and when."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neurogen.rtl.address import instruction_layout
from neurogen.rtl.streams import while_valid
from neurogen.rtl.sweep_datapath import lif_latency, lif_layout
from neurogen.spec.mega import BANKS, BLOCK, MegaSpec, Op, ResetMode


__all__ = ["NOTICE", "SweepControl"]


# Cycles from the decision to read a row to the read, where ports are shared: others have to give way first.
NOTICE = 3


class SweepControl(wiring.Component):
    """Runs a SWEEP, or the INIT of states, on all clusters.

    Rows with one set of parameters are read every ``sweep_cycles`` cycles (every ``sweep_cycles +
    8`` where that is 9 or more, and `NOTICE` more with ``spec.overlap``); their spikes and states are
    written ``sweep_cycles + 3 + lif_latency(spec)`` cycles after; of staggered banks, states
    ``4 + lif_latency(spec)`` cycles after for the first line. With parameters per neuron, each bank of each
    row takes its own turn; a CuBa-LIF takes two. Blocks of eight rows that are zero and that no event has
    touched since are skipped at one block a cycle, unless the population has a bias.

    With ``spec.overlap`` others may use the state memory meanwhile: ``taken`` asks for the ports, `NOTICE`
    cycles before the read and before the cycle whose read would collide with the write.

    Parameters
    ----------
    spec
        Parameters of the accelerator.

    Members
    -------
    instruction : ``In(instruction_layout(spec))``
        Stable from ``start`` until ``done``.
    spike_row : ``In``
        First spike row of the slot that is written.
    start : ``In(1)``
        Begin; one cycle.
    done : ``Out(1)``
        Nothing is under way; low from the cycle after ``start``.
    settled : ``Out(1)``
        With ``spec.overlap``. Parameters are not read any more, and ``front`` is what the rest needs to know.
    front : ``Out``
        With ``spec.overlap``. Blocks of this sweep before this one (counted from its first) are complete:
        states, dirty bits, spikes and summaries have been written.
    taken : ``Out(1)``
        With ``spec.overlap``. Nobody else may read states in the second cycle from here.
    touch, touched : ``In``
        Mark the rows' blocks as dirty (blocks before ``front``, while a sweep runs).
    weight_en, weight_row : ``Out``
        Read parameters.
    read, read_row : ``Out``
        Read states.
    write, write_row : ``Out``
        Banks to write with ``Forward.SWEPT``, and their row.
    finishing : ``Out(1)``
        There is a ``write`` in the next cycle.
    lif : ``Out(lif_layout(spec))``
        Controls of the clusters' data paths.
    spikes : ``In(9 * total_lanes)``
        Spikes of the row collected last, bank-major.
    nonzero : ``In(1)``
        Any state of that row is not zero.
    w_en, w_row, w_data, s_en, s_block, s_flags : ``Out``
        Write ports of the spike memory.
    swept : ``Out(1)``
        A row has been read, for the counters.
    """

    def __init__(self, spec: MegaSpec):
        if not isinstance(spec, MegaSpec):
            raise TypeError(f"Sweep parameters must be a MegaSpec, not {spec!r}")
        self._spec = spec
        state, spike = spec.state_address_bits, spec.spike_address_bits
        ports = {
            "instruction": In(instruction_layout(spec)),
            "spike_row": In(spike),
            "start": In(1),
            "done": Out(1, init=1),
            "touch": In(1),
            "touched": In(state).array(4),
            "weight_en": Out(1),
            "weight_row": Out(spec.weight_address_bits),
            "read": Out(1),
            "read_row": Out(state),
            "write": Out(BANKS),
            "write_row": Out(state),
            "finishing": Out(1),
            "lif": Out(lif_layout(spec)),
            "spikes": In(BANKS * spec.total_lanes),
            "nonzero": In(1),
            "w_en": Out(1),
            "w_row": Out(spike),
            "w_data": Out(BANKS * spec.total_lanes),
            "s_en": Out(1),
            "s_block": Out(range(max(2, spec.spike_depth // BLOCK))),
            "s_flags": Out(BLOCK),
            "swept": Out(1),
        }
        if spec.overlap:
            ports |= {"settled": Out(1), "taken": Out(1),
                      "front": Out(range(spec.state_depth // BLOCK + 1))}
        super().__init__(ports)

    @property
    def spec(self) -> MegaSpec:
        """Parameters of the accelerator."""
        return self._spec

    def elaborate(self, platform):
        spec, i = self._spec, self.instruction
        m = Module()
        cycles = spec.sweep_cycles
        pipelined = cycles < BANKS
        lead = NOTICE if spec.overlap else 0
        finish_at = lead + cycles + 3 + lif_latency(spec)
        write_at = lead + 4 + lif_latency(spec) if spec.staggered else finish_at

        # The pulse of a row on its way: `read` at `lead`, loaded 2 later, shifted from 3 on, collected
        # `lif_latency` later, written when the last chunk has been collected.
        issue = Signal()
        line = Signal(finish_at + 1)
        m.d.comb += line[0].eq(issue)
        m.d.sync += line[1:].eq(line)
        index = Signal(range(spec.state_depth))  # of the row in the population
        read, written, finished = (Signal.like(index) for _ in range(3))
        if pipelined:
            trail = [index]
            for age in range(finish_at):
                trail.append(Signal.like(index, name=f"index{age + 1}"))
                with while_valid(m, line[age], frugal=spec.frugal):
                    m.d.sync += trail[-1].eq(trail[-2])
            m.d.comb += [read.eq(trail[lead]), written.eq(trail[write_at]), finished.eq(trail[-1])]
            coming = trail[-2]  # what `finished` is in the next cycle
        else:
            m.d.comb += [read.eq(index), written.eq(index), finished.eq(index)]
            coming = index
        closing = Signal()  # `finished` is the last row of its block: registered, since much hangs on it
        m.d.sync += closing.eq((coming[:3] == BLOCK - 1) | (coming + 1 == i.rows))
        finish = line[finish_at]

        synapse = Signal()  # first pass of a CuBa-LIF
        bank = Signal(range(BANKS))
        clearing = Signal()
        m.d.comb += clearing.eq(i.op == Op.INIT)
        self._controls(m, line[lead + 1:], cycles, synapse, clearing)

        # Banks that keep the result: a register, settled long before the first row is finished.
        own = Signal(BANKS)
        per_neuron = Signal()
        m.d.sync += own.eq(Mux(per_neuron, 1 << bank, (1 << BANKS) - 1))
        m.d.comb += [
            per_neuron.eq(i.per_neuron | (clearing & i.fill)),
            self.swept.eq(line[lead] & ~synapse),
            self.read.eq(line[lead]),
            self.write.eq(Mux(line[write_at], own, 0)),
            self.finishing.eq(line[write_at - 1]),
        ]
        base = Signal(spec.state_address_bits)
        m.d.comb += [base.eq(i.state_base), self.read_row.eq(base + read),
                     self.write_row.eq(base + written)]
        if spec.cuba:
            m.d.comb += base.eq(Mux(i.cuba & ~synapse, i.membrane_base, i.state_base))

        complete = Signal()  # with finish: all banks of the row had their turn
        m.d.comb += complete.eq(~per_neuron | (bank == BANKS - 1))
        flags_busy = self._spikes(m, finish & ~synapse & ~clearing, finished, own, complete, closing)
        dirty = self._dirty(m, finish, finished, base, complete & closing)
        parameters_read = self._rows(m, issue, line, index, bank, synapse, per_neuron, clearing, dirty,
                                     flags_busy, pipelined)
        if spec.overlap:
            self._share(m, line, write_at, finish & complete & closing, finished, index)
            m.d.comb += self.settled.eq(self.done | (parameters_read & ~per_neuron & ~i.cuba))
        return m

    def _share(self, m, line, write_at, finish, finished, index):
        """Tell others when the ports are needed, and how far the sweep is."""
        # An operation that leaves its generator now is at `read` two cycles later, and writes two after that.
        m.d.comb += self.taken.eq(line[NOTICE - 2] | line[write_at - 4])
        with m.If(finish):
            m.d.sync += self.front.eq((finished >> 3) + 1)
        with m.Elif(~line.any()):
            m.d.sync += self.front.eq(index >> 3)

    def _controls(self, m, line, cycles, synapse, clearing):
        spec, i, lif = self._spec, self.instruction, self.lif
        first = 2 + lif_latency(spec)
        zero = clearing & ~i.fill
        low, high = -(1 << spec.state_bits - 1), (1 << spec.state_bits - 1) - 1
        # Staggered, each chunk is loaded in turn, which its number shows.
        loads, numbered = (cycles, 0) if spec.staggered else (1, 1)
        m.d.comb += [
            lif.load.eq(line[1:1 + loads].any()),
            lif.shift.eq(line[2:2 + cycles].any()),
            lif.collect.eq(line[first:first + cycles].any()),
            lif.first.eq(line[first]),
            lif.reset.eq(Mux(clearing, ResetMode.ZERO, i.reset)),
            lif.leaky.eq(i.leaky & ~clearing),
            lif.fire.eq(Mux(clearing, i.fill, ~synapse)),
            lif.lo.eq(Mux(zero, 0, Mux(clearing, low, i.v_lo))),
            lif.hi.eq(Mux(zero, 0, Mux(clearing, high, i.v_hi))),
        ]
        if cycles > 1:
            with m.If(line[numbered]):
                m.d.sync += lif.chunk.eq(0)
            with m.Elif(line[numbered + 1:numbered + 1 + cycles].any()):
                m.d.sync += lif.chunk.eq(lif.chunk + 1)
        if spec.cuba:
            m.d.comb += [lif.synapse.eq(synapse), lif.membrane.eq(i.cuba & ~synapse & ~clearing)]
            with m.If(synapse):
                m.d.comb += [lif.lo.eq(i.i_lo), lif.hi.eq(i.i_hi), lif.leaky.eq(1)]

    def _spikes(self, m, finish, finished, own, complete, closing):
        """Write spike rows and summaries; return whether the summary port is taken."""
        spec, i = self._spec, self.instruction
        total = spec.total_lanes
        # Neurons outside the map have no input, but with a bias they would fire.
        line, column = Signal.like(i.out_h), Signal.like(i.out_w)  # left of the map from here
        mask = Signal(BANKS)
        inside = Cat((line > b // 3) & (column > b % 3) for b in range(BANKS))
        m.d.comb += mask.eq(Mux(i.always & ~i.vector, inside, (1 << BANKS) - 1) & own)
        with m.If(self.start):
            m.d.sync += [line.eq(i.out_h), column.eq(i.out_w)]
        with m.Elif(finish & complete):
            m.d.sync += column.eq(column - 3)
            with m.If(column <= 3):
                m.d.sync += [column.eq(i.out_w), line.eq(line - 3)]

        masked = Signal(BANKS * total)
        m.d.comb += masked.eq(Cat(Mux(mask[b], self.spikes[b * total:(b + 1) * total], 0)
                                  for b in range(BANKS)))
        row_done = Signal()
        before = Signal(BANKS * total)  # of the banks that had their turn
        m.d.comb += [
            row_done.eq(finish & complete),
            self.w_data.eq(masked | before),
            self.w_en.eq(row_done),
            self.w_row.eq(self.spike_row + finished),
        ]
        with m.If(finish):
            m.d.sync += before.eq(Mux(row_done, 0, masked | before))

        flags = Signal(BLOCK)
        now = Signal(BLOCK)
        m.d.comb += now.eq(flags | (self.w_data.any() << finished[:3]))
        taken = Signal()
        m.d.comb += taken.eq(row_done & closing)
        with m.If(row_done):
            m.d.sync += flags.eq(Mux(taken, 0, now))
        with m.If(taken):
            m.d.comb += [self.s_en.eq(1), self.s_flags.eq(now),
                         self.s_block.eq(self.w_row >> 3)]
        return taken

    def _dirty(self, m, finish, finished, base, end):
        """Keep one bit per block of rows; return them."""
        spec, i = self._spec, self.instruction
        blocks = spec.state_depth // BLOCK
        dirty = Signal(blocks)
        live = Signal()  # a row of this block has kept a state
        block = (base + finished) >> 3
        with m.If(self.touch):  # bits other than that of the block that ends now
            hits = [Cat(row >> 3 == number for number in range(blocks)) for row in self.touched]
            m.d.sync += dirty.eq(dirty | hits[0] | hits[1] | hits[2] | hits[3])
        with m.If(finish):
            m.d.sync += live.eq((live | self.nonzero) & ~end)
            with m.If(end & ~i.cuba):
                m.d.sync += dirty.bit_select(block, 1).eq(live | self.nonzero)
        with m.If(self.start):
            m.d.sync += live.eq(0)
        return dirty

    def _rows(self, m, issue, line, index, bank, synapse, per_neuron, clearing, dirty, flags_busy,
              pipelined):
        spec, i = self._spec, self.instruction
        part = Signal(range(max(2, spec.parameter_rows)))
        parameter_row = Signal(spec.weight_address_bits)
        wait = Signal(range(max(2, spec.sweep_cycles)))
        first_of_block = index[:3] == 0
        whole = Signal()
        m.d.comb += whole.eq(i.always | i.vector | i.cuba | clearing)
        loaded = Signal(spec.parameter_rows)
        m.d.sync += loaded.eq(0)
        m.d.comb += [self.lif.parameters.eq(loaded), self.weight_row.eq(parameter_row)]
        block = (i.state_base + index) >> 3
        under_way = line[1:].any()
        last = Signal()
        m.d.comb += last.eq(index + 1 == i.rows)

        def following():
            """Go to the next row."""
            m.d.sync += index.eq(index + 1)
            with m.If(last):
                m.next = "Drain"

        with m.FSM() as fsm:
            with m.State("Idle"):
                m.d.sync += [index.eq(0), bank.eq(0), part.eq(0), parameter_row.eq(i.weight_base)]
                with m.If(self.start):
                    m.d.sync += self.done.eq(0)
                    if spec.cuba:
                        m.d.sync += synapse.eq(i.cuba & ~clearing)
                    with m.If(i.rows == 0):
                        m.next = "Drain"
                    with m.Else():
                        m.next = "Parameters"
            with m.State("Parameters"):
                m.d.comb += self.weight_en.eq(1)
                m.d.sync += [loaded.eq(1 << part), parameter_row.eq(parameter_row + 1),
                             part.eq(part + 1)]
                with m.If(part == spec.parameter_rows - 1):
                    m.d.sync += part.eq(0)
                    m.next = "Turn"
            with m.State("Turn"):
                m.d.sync += wait.eq(0)
                m.next = "Rows"
            with m.State("Rows"):
                with m.If(per_neuron | i.cuba):  # a bank, or a pass, at a time
                    m.d.comb += issue.eq(1)
                    m.next = "Finish"
                with m.Elif(~whole & first_of_block & ~dirty.bit_select(block, 1) & (wait == 0)):
                    with m.If(~flags_busy):
                        m.d.comb += [self.s_en.eq(1), self.s_flags.eq(0),
                                     self.s_block.eq((self.spike_row + index) >> 3)]
                        m.d.sync += index.eq(index + BLOCK)
                        with m.If(index + BLOCK >= i.rows):
                            m.next = "Drain"
                with m.Elif(wait != 0):
                    m.d.sync += wait.eq(wait - 1)
                with m.Else():
                    m.d.comb += issue.eq(1)
                    if pipelined:
                        m.d.sync += wait.eq(spec.sweep_cycles - 1)
                        following()
                    else:
                        m.next = "Finish"
            with m.State("Finish"):
                with m.If(line[-1]):
                    m.next = "Turn"
                    with m.If(synapse):
                        m.d.sync += synapse.eq(0)
                    with m.Elif(per_neuron):
                        m.d.sync += [bank.eq(bank + 1), synapse.eq(i.cuba & ~clearing)]
                        m.next = "Parameters"
                        with m.If(bank == BANKS - 1):
                            m.d.sync += bank.eq(0)
                            following()
                    with m.Else():
                        m.d.sync += synapse.eq(i.cuba & ~clearing)
                        following()
            with m.State("Drain"):
                # The last sums reach the banks two cycles after the last row's pulse.
                with m.If(~under_way):
                    m.next = "Done"
            with m.State("Done"):
                m.next = "Idle"
                m.d.sync += self.done.eq(1)
        return fsm.ongoing("Rows") | fsm.ongoing("Finish") | fsm.ongoing("Drain") | fsm.ongoing("Done")

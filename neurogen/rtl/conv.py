"""The event-driven convolution engine: one instruction of the layer program at a time."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from neurogen.rtl.address import AddressGenerator, instruction_layout
from neurogen.rtl.bus import WishboneSignature
from neurogen.rtl.cluster import Cluster
from neurogen.rtl.counters import connect_counters
from neurogen.rtl.dispatch import Dispatcher, Unit, counts_layout
from neurogen.rtl.loader import Loader
from neurogen.rtl.pipeline import connect_clusters, drained
from neurogen.rtl.pool import MaxPoolFilter
from neurogen.rtl.spikes import Extractor, SpikeMemory
from neurogen.rtl.streams import SkidBuffer
from neurogen.rtl.sweep import SweepControl
from neurogen.rtl.transfer import Emitter, Feeder
from neurogen.rtl.weights import WeightWriter
from neurogen.spec.mega import BANKS, BLOCK, MegaSpec, Op, Source


__all__ = ["ConvEngine", "engine_ports"]


def engine_ports(spec: MegaSpec) -> dict[str, wiring.Member]:
    """Return the ports by which weights are written and states are read, seen from the engine."""
    return {
        "place": In(1), "cluster": In(4), "bank": In(4), "row": In(20),
        "weight_en": In(1), "weight": In(spec.weight_bits),
        "state_read": In(1), "state_lane": In(range(max(2, spec.lanes))),
        "state_data": Out(signed(spec.state_bits)),
    }


class ConvEngine(wiring.Component):
    """Clusters, spike memory and everything that executes an instruction, without the program.

    Use it alone where something else decides what happens next; `neurogen.rtl.mega.Mega` adds the
    program and the control bus. An instruction (see `neurogen.spec.mega`) comes with ``execute``; the
    next one may come with ``done``, which for a SWEEP or an EMIT is not its end (see
    `neurogen.rtl.dispatch.Dispatcher`), where ``spec.overlap``.

    Cycles from ``execute`` to ``idle`` while nothing stalls (without ``spec.overlap``):

    - INTEGRATE: one per operation, of which an event has ``ops``, and 14 (12); of spikes 23 (21);
    - SWEEP: ``sweep_cycles`` per row and ``parameter_rows + lif_latency(spec) + 16`` (12); where
      ``sweep_cycles`` is 9 or more, ``sweep_cycles + 11`` (8) per row and ``parameter_rows + 8`` (7);
    - EMIT: one per word, those of population and step included, and 16 (15).

    ``done`` of an INTEGRATE comes two cycles before that; of a SWEEP or an EMIT, with ``spec.overlap``, three
    after ``execute``. Counters are lower by 5 for an INTEGRATE and by 4 for the others. Beside a SWEEP an
    operation waits where the ports of the states are taken: in one cycle per row as long as ``sweep_cycles``
    divides ``1 + lif_latency(spec)``, as 1 to 6 do, else in two.

    Memories are undefined at power-on and keep their contents over a reset; INIT gives them values.

    Parameters
    ----------
    spec
        Parameters of the accelerator.

    Members
    -------
    instruction : ``In(instruction_layout(spec))``
        Stable from ``execute`` until ``done``.
    tag : ``In``
        Names the instruction in ``counts``.
    step : ``In(32)``
        Time step, for rings of spike buffers and end-of-step words; stable like ``instruction``.
    execute : ``In(1)``
        One cycle, while ``done``.
    done : ``Out(1)``
        The next instruction may come; low from the cycle after ``execute`` on.
    idle : ``Out(1)``
        Nothing is under way, and ``counts`` have been taken.
    counts : ``Out(stream.Signature(counts_layout(spec)))``
        What an instruction has counted; once for each, when it has ended.
    i_events, o_events : ``In``, ``Out(stream.Signature(32))``
        Words in and out; see `neurogen.spec.events`.
    bad_event : ``Out(1)``
        An event outside the input has been dropped.
    mem : ``Out(WishboneSignature(30))``
        Master for the external memory, where ``spec.external``.
    place, cluster, bank, row : ``In``
        Where weights go and states come from. ``place`` sets the position of the next weight: lane 0
        of tap ``bank``; the row advances after its last lane.
    weight_en, weight : ``In``
        Write the next weight; only between instructions.
    state_read : ``In(1)``
        Read ``row``; only between instructions. Four cycles after, ``state_data`` is lane ``state_lane`` of
        ``bank`` of ``cluster``, and follows these, three cycles late, until the next ``execute``. (Where
        banks are staggered: five cycles for their second line, six for the third.)
    state_lane, state_data : ``In``, ``Out``
        See ``state_read``.
    """

    def __init__(self, spec: MegaSpec):
        if not isinstance(spec, MegaSpec):
            raise TypeError(f"Engine parameters must be a MegaSpec, not {spec!r}")
        self._spec = spec
        ports = {
            "instruction": In(instruction_layout(spec)), "tag": In(spec.tag_bits), "step": In(32),
            "execute": In(1), "done": Out(1), "idle": Out(1),
            "counts": Out(stream.Signature(counts_layout(spec))),
            "i_events": In(stream.Signature(32)), "o_events": Out(stream.Signature(32)),
            "bad_event": Out(1), **engine_ports(spec),
        }
        if spec.external:
            ports["mem"] = Out(WishboneSignature(30))
        super().__init__(ports)

    @property
    def spec(self) -> MegaSpec:
        """Parameters of the accelerator."""
        return self._spec

    def elaborate(self, platform):
        spec = self._spec
        m = Module()
        m.submodules.address = address = AddressGenerator(spec)
        m.submodules.sweep = sweep = SweepControl(spec)
        m.submodules.spikes = spikes = SpikeMemory(spec)
        m.submodules.extractor = extractor = Extractor(spec)
        m.submodules.feeder = feeder = Feeder(spec)
        m.submodules.emitter = emitter = Emitter(spec)
        clusters = [Cluster(spec) for _ in range(spec.clusters)]
        for number, cluster in enumerate(clusters):
            m.submodules[f"cluster{number}"] = cluster
        m.submodules.dispatcher = dispatcher = Dispatcher(spec)
        i = self.instruction
        start = {unit: dispatcher.start[unit.value] for unit in Unit}
        spike_row = Signal(spec.spike_address_bits)
        slot = Signal(8)
        m.d.comb += slot.eq((self.step + i.ring_phase) & i.ring_mask)
        m.d.sync += spike_row.eq(i.spike_base + slot * i.ring_stride)

        self._sources(m, i, start, spike_row, extractor, spikes, feeder, emitter, address, dispatcher)
        self._sweeping(m, start[Unit.SWEEP], spike_row, sweep, spikes, address, clusters, dispatcher)
        reads = connect_clusters(m, address, sweep, clusters, fraction=i.fraction, state_read=self.state_read,
                                 row=self.row, execute=self.execute)
        loading = self._weights(m, i, start, clusters)
        self._host(m, clusters)
        clear = self._clear(m, i, start, spikes, sweep)
        m.d.comb += [
            dispatcher.instruction.eq(i), dispatcher.tag.eq(self.tag), dispatcher.spike_row.eq(spike_row),
            dispatcher.execute.eq(self.execute), self.done.eq(dispatcher.done),
            self.idle.eq(dispatcher.idle & drained(m, address)),
            # The last operation may still be on its way to the banks: whatever follows it is farther behind.
            dispatcher.ended[Unit.WORK.value].eq(feeder.done & ~address.busy & ~loading),
            dispatcher.ended[Unit.SWEEP.value].eq(sweep.done & ~clear),
            dispatcher.ended[Unit.EMIT.value].eq(emitter.done),
        ]
        connect(m, dispatcher.counts, flipped(self.counts))
        connect_counters(m, dispatcher, clusters[0], address=address, sweep=sweep, feeder=feeder,
                         emitter=emitter, extractor=extractor, state_words=reads)
        if spec.overlap:
            self._guard(m, sweep, address, extractor, dispatcher)
        return m

    def _background(self, m, name, begin, spike_row):
        """Return instruction, first spike row and step for a unit that goes on while others come."""
        now = self.instruction, spike_row, self.step
        if not self._spec.overlap:
            return now
        kept = Signal.like(self.instruction, name=f"{name}_instruction"), Signal.like(
            spike_row, name=f"{name}_row"), Signal(24, name=f"{name}_step")
        with m.If(begin):
            m.d.sync += [register.eq(value) for register, value in zip(kept, now, strict=True)]
        return kept

    def _sources(self, m, i, start, spike_row, extractor, spikes, feeder, emitter, address, dispatcher):
        """Events from the stream and from spikes, to the address generator and the output."""
        spec = self._spec
        m.submodules.i_buffer = i_buffer = SkidBuffer(32, frugal=spec.frugal)
        m.submodules.o_buffer = o_buffer = SkidBuffer(32, frugal=spec.frugal)
        connect(m, flipped(self.i_events), i_buffer.i)
        connect(m, i_buffer.o, feeder.i_words)
        connect(m, emitter.o_words, o_buffer.i)
        connect(m, o_buffer.o, flipped(self.o_events))
        integrate = start[Unit.WORK] & (i.op == Op.INTEGRATE)
        emit = dispatcher.busy[Unit.EMIT.value]
        # One that reads spikes at a time.
        scans = (i.op == Op.EMIT) | ((i.op == Op.INTEGRATE) & (i.source == Source.SPIKES))
        scan, first_row, step = self._background(m, "scan", dispatcher.begin.any() & scans, spike_row)
        m.d.comb += [
            extractor.start.eq(start[Unit.EMIT] | (integrate & (i.source == Source.SPIKES))),
            extractor.base.eq(first_row), extractor.rows.eq(scan.rows),
            extractor.tiles.eq(scan.tiles), extractor.tiles_x.eq(scan.tiles_x),
            extractor.vector.eq(scan.vector),
            spikes.r_en.eq(extractor.r_en), spikes.r_row.eq(extractor.r_row),
            extractor.r_data.eq(spikes.r_data),
            spikes.sr_block.eq(extractor.sr_block), extractor.sr_flags.eq(spikes.sr_flags),
            feeder.instruction.eq(i), feeder.start.eq(integrate),
            emitter.instruction.eq(scan), emitter.step.eq(step), emitter.start.eq(start[Unit.EMIT]),
            feeder.extracted.eq(~extractor.busy), emitter.extracted.eq(~extractor.busy),
            feeder.inside.eq(address.accepted | ~address.i_events.valid),
            self.bad_event.eq(feeder.bad_event),
            address.instruction.eq(i),
        ]
        for unit, active in ((feeder, ~emit), (emitter, emit)):
            m.d.comb += [unit.i_events.payload.eq(extractor.o_events.payload),
                         unit.i_events.valid.eq(extractor.o_events.valid & active)]
        m.d.comb += extractor.o_events.ready.eq(
            Mux(emit, emitter.i_events.ready, feeder.i_events.ready))
        if spec.max_pool_rows:
            m.submodules.pool = pool = MaxPoolFilter(spec)
            # The filter wants pooled coordinates inside the map.
            p = feeder.o_events.p
            y, x = p.y >> i.pool_log2, p.x >> i.pool_log2
            inside = (y < i.in_h) & (x < i.in_w)
            m.d.comb += [
                pool.start.eq(integrate & i.max_pool),
                pool.in_h.eq(i.in_h), pool.in_w.eq(i.in_w),
                pool.groups.eq((i.in_channels + spec.total_lanes - 1) // spec.total_lanes),
                address.pooled.eq(i.max_pool),
                pool.i_events.p.c.eq(p.c), pool.i_events.p.y.eq(y), pool.i_events.p.x.eq(x),
                feeder.held.eq(pool.busy | pool.pending),
            ]
            with m.If(i.max_pool):
                m.d.comb += [
                    feeder.inside.eq(inside),
                    pool.i_events.valid.eq(feeder.o_events.valid & inside),
                    feeder.o_events.ready.eq(pool.i_events.ready | ~inside),
                ]
                connect(m, pool.o_events, address.i_events)
            with m.Else():
                connect(m, feeder.o_events, address.i_events)
        else:
            connect(m, feeder.o_events, address.i_events)

    def _sweeping(self, m, start, spike_row, sweep, spikes, address, clusters, dispatcher):
        spec = self._spec
        lanes = spec.lanes
        i, first_row, _ = self._background(m, "sweep", dispatcher.begin[Unit.SWEEP.value], spike_row)
        m.d.comb += [
            sweep.instruction.eq(i), sweep.spike_row.eq(first_row),
            sweep.start.eq(start & ((i.op == Op.SWEEP) | ((i.op == Op.INIT) & ~i.spikes))),
            # Lines 0 and 2 of the banks hold both rows of tiles, columns alike.
            sweep.touch.eq(address.o_valid & address.o.write.as_value().any()),
            *(sweep.touched[n].eq(address.o.rows[b]) for n, b in enumerate((0, 2, 6, 8))),
            sweep.spikes.eq(Cat(cluster.spikes[b * lanes:(b + 1) * lanes]
                                for b in range(BANKS) for cluster in clusters)),
            sweep.nonzero.eq(Cat(cluster.nonzero for cluster in clusters).any()),
            spikes.w_en.eq(sweep.w_en), spikes.w_row.eq(sweep.w_row),
            spikes.w_data.eq(sweep.w_data),
        ]

    def _guard(self, m, sweep, address, extractor, dispatcher):
        """Events and spikes follow a sweep at a distance."""
        i, first = sweep.instruction, sweep.spike_row >> 3
        states, spikes = i.state_base >> 3, first + sweep.front
        busy = dispatcher.busy[Unit.SWEEP.value]
        m.d.comb += dispatcher.settled.eq(sweep.settled)
        m.d.sync += [
            address.guarded.eq(busy), address.guard_low.eq((states + sweep.front) << 3),
            address.guard_high.eq(i.state_base + i.rows),
            # One cycle late, so that the extractor reads no summary that is being written.
            extractor.guarded.eq(busy), extractor.guard_low.eq(spikes),
            extractor.guard_high.eq(first + ((i.rows + BLOCK - 1) >> 3)),
        ]
        m.d.comb += address.taken.eq(sweep.taken)

    def _weights(self, m, i, start, clusters):
        """Weights from the control bus or from the external memory; return whether a LOAD runs."""
        spec = self._spec
        m.submodules.writer = writer = WeightWriter(spec)
        for number, cluster in enumerate(clusters):
            m.d.comb += [cluster.w_tap.eq(writer.w_tap[number]), cluster.w_row.eq(writer.w_row),
                         cluster.w_data.eq(writer.w_data)]
        m.d.comb += [
            writer.place.eq(self.place), writer.cluster.eq(self.cluster),
            writer.tap.eq(self.bank), writer.row.eq(self.row),
            writer.push.eq(self.weight_en), writer.weight.eq(self.weight),
        ]
        if not spec.external:
            return 0
        m.submodules.loader = loader = Loader(spec)
        connect(m, loader.mem, flipped(self.mem))
        m.d.comb += [loader.start.eq(start[Unit.WORK] & (i.op == Op.LOAD)), loader.address.eq(i.external),
                     loader.rows.eq(i.rows)]
        with m.If(loader.busy | loader.start):
            m.d.comb += [writer.place.eq(loader.start), writer.cluster.eq(0), writer.tap.eq(0),
                         writer.row.eq(i.weight_base), writer.walk.eq(1),
                         writer.push.eq(loader.push), writer.weight.eq(loader.weight)]
        return loader.busy

    def _host(self, m, clusters):
        """States, read through the register that feeds the LIF data paths."""
        index = self.bank * self._spec.lanes + self.state_lane
        for number, cluster in enumerate(clusters):
            m.d.comb += cluster.r_index.eq(index)
            with m.If(self.cluster == number):
                m.d.comb += self.state_data.eq(cluster.r_data)

    def _clear(self, m, i, start, spikes, sweep):
        """INIT of spikes: zero summaries, a block a cycle. Return whether it runs."""
        left = Signal.like(i.rows)
        block = Signal.like(sweep.s_block)
        clearing = Signal()
        m.d.comb += clearing.eq(left != 0)
        with m.If(start[Unit.SWEEP] & (i.op == Op.INIT) & i.spikes):
            m.d.sync += [left.eq((i.rows + BLOCK - 1) >> 3), block.eq(i.spike_base >> 3)]
        with m.Elif(clearing):
            m.d.sync += [left.eq(left - 1), block.eq(block + 1)]
        m.d.comb += [
            spikes.s_en.eq(sweep.s_en | clearing),
            spikes.s_block.eq(Mux(clearing, block, sweep.s_block)),
            spikes.s_flags.eq(Mux(clearing, 0, sweep.s_flags)),
        ]
        return clearing

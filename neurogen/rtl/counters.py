"""What the units of an engine do in a cycle, for the counters of their instructions."""

from amaranth.hdl import Module, Mux, Signal, Value

from neurogen.rtl.address import AddressGenerator
from neurogen.rtl.cluster import Cluster
from neurogen.rtl.dispatch import Dispatcher, Unit
from neurogen.rtl.spikes import Extractor
from neurogen.rtl.sweep import SweepControl
from neurogen.rtl.transfer import Emitter, Feeder
from neurogen.spec.mega import BANKS


__all__ = ["connect_counters"]


def connect_counters(m: Module, dispatcher: Dispatcher, cluster: Cluster, *, address: AddressGenerator,
                     sweep: SweepControl, feeder: Feeder, emitter: Emitter, extractor: Extractor,
                     state_words: Value | None = None) -> None:
    """Drive ``dispatcher.happens`` from the units of an engine; words are those of one cluster.

    ``state_words`` is how many of them an operation reads, if banks are frugal: it writes as many.
    """
    spec, now = dispatcher.spec, dispatcher.happens
    lanes = spec.total_lanes
    # The count of a row's spikes, in two stages: a bank, then all.
    banks = [Signal(range(lanes + 1), name=f"fired{b}") for b in range(BANKS)]
    counted = Signal(init=1)  # frugal registers stand still when they are zero
    if spec.frugal:
        m.d.sync += counted.eq(sweep.w_en)
    for b in range(BANKS):
        with m.If(sweep.w_en):
            m.d.sync += banks[b].eq(sum(sweep.w_data[b * lanes:(b + 1) * lanes]))
        with m.Elif(counted):
            m.d.sync += banks[b].eq(0)
    held = address.held if spec.overlap else 0
    m.d.comb += [
        now.work.events.eq(address.accepted), now.work.sops.eq(address.sops),
        now.work.stalls.eq(feeder.stalled | held), now.emit.stalls.eq(emitter.stalled),
        now.sweep.spikes.eq(sum(banks)), now.sweep.rows.eq(sweep.swept),
    ]
    if not spec.traffic:
        return

    def total(bits):
        return sum(bits[b] for b in range(BANKS))

    reads, emits = extractor.r_en, dispatcher.busy[Unit.EMIT.value]
    m.d.comb += [now.work.starved.eq(feeder.starved), now.work.waiting.eq(held)]
    m.d.sync += [  # a cycle late: no unit has ended by then
        now.work.weight_reads.eq(Mux(address.o_valid, BANKS, 0)),
        now.work.spike_reads.eq(reads & ~emits),
        now.sweep.state_reads.eq(Mux(sweep.read, BANKS, 0)),
        now.sweep.state_writes.eq(total(sweep.write)),
        now.sweep.weight_reads.eq(Mux(sweep.weight_en, BANKS, 0)),
        now.sweep.spike_writes.eq(sweep.w_en),
        now.emit.spike_reads.eq(reads & emits),
    ]
    if state_words is None:
        m.d.sync += [now.work.state_reads.eq(Mux(address.o_valid, BANKS, 0)),
                     now.work.state_writes.eq(Mux(address.o_valid, total(address.o.write), 0))]
    else:
        m.d.comb += [now.work.state_reads.eq(state_words), now.work.state_writes.eq(state_words)]
    if spec.external:
        m.d.sync += now.work.weight_writes.eq(cluster.w_tap.any())

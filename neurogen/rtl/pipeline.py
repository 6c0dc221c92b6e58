"""The pipeline of operations, from the address generator to the banks of all clusters."""

from collections.abc import Sequence
from itertools import pairwise

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data

from neurogen.rtl.address import AddressGenerator, operation_layout
from neurogen.rtl.cluster import Cluster, Forward
from neurogen.rtl.streams import while_valid
from neurogen.rtl.sweep import SweepControl
from neurogen.spec.mega import BANKS


__all__ = ["connect_clusters", "drained"]


def connect_clusters(m: Module, address: AddressGenerator, sweep: SweepControl, clusters: Sequence[Cluster],
                     *, fraction: Value, state_read: Value, row: Value, execute: Value) -> Value | None:
    """Drive ``clusters``, which work in lock step, with operations and sweeps: weights, turn, states, sum.

    Parameters
    ----------
    fraction
        Index into the configuration's ``fraction_bits``.
    state_read, row, execute
        A host reads the row of states, and looks at it until the next ``execute``.

    Returns
    -------
    How many words an operation reads, if banks are frugal.
    """
    spec = address.spec
    layout = data.StructLayout({"valid": 1, "op": operation_layout(spec)})
    stages = [Signal(layout, name=f"operation{n}") for n in range(4)]
    m.d.comb += [stages[0].valid.eq(address.o_valid), stages[0].op.eq(address.o)]
    for before, after in pairwise(stages):
        m.d.sync += after.valid.eq(before.valid)
        with while_valid(m, before.valid, frugal=spec.frugal):
            m.d.sync += after.op.eq(before.op)
    _, read, turn, add = stages
    # When the states are read, the memory takes the sum of the operation just before.
    forward = Signal(data.ArrayLayout(Forward, BANKS))
    # Of the operation at `read`, and a cycle later: banks that find that sum, banks that it adds to.
    finds, adds, same, adding = (Signal(BANKS, name=name) for name in ("finds", "adds", "same", "adding"))
    m.d.sync += [same.eq(finds), adding.eq(adds)]
    for b in range(BANKS):
        m.d.comb += [
            finds[b].eq(turn.valid & turn.op.write[b] & (turn.op.rows[b] == read.op.rows[b])),
            adds[b].eq(read.valid & read.op.write[b]),
        ]
        # Registers, as they go to every bit of every state. Frugal banks that add nothing look at a sum
        # that stands still, whatever the memory shows.
        kept = same[b] | ~adding[b] if spec.frugal else same[b]
        m.d.sync += forward[b].eq(Mux(sweep.finishing, Forward.KEPT if spec.frugal else Forward.SWEPT,
                                      Mux(kept, Forward.ADDED, Forward.MEMORY)))
    swept = Signal()
    m.d.sync += swept.eq(sweep.finishing)
    single = sweep.read | state_read
    row = Mux(sweep.read, sweep.read_row, row)
    window = Signal()  # a host has read a row, and looks at it
    with m.If(state_read):
        m.d.sync += window.eq(1)
    with m.Elif(execute):
        m.d.sync += window.eq(0)
    weighed = read if spec.frugal else stages[0]  # whose weights are read
    for cluster in clusters:
        m.d.comb += [
            cluster.weight_en.eq(weighed.valid | sweep.weight_en),
            cluster.weight_row.eq(Mux(sweep.weight_en, sweep.weight_row, weighed.op.weight_row)),
            cluster.read.weights.eq(read.valid),
            cluster.read.turn_y.eq(read.op.turn_y), cluster.read.turn_x.eq(read.op.turn_x),
            cluster.read.fraction.eq(fraction),
            cluster.read.states.eq(read.valid | single),
            cluster.lif.eq(sweep.lif), cluster.r_load.eq(window),
        ]
        if spec.frugal:  # the operation that takes a sum writes its own to the same place
            m.d.comb += [
                cluster.read.banks.as_value().eq((adds & ~finds) | single.replicate(BANKS)),
                cluster.read.adding.as_value().eq(adds),
                cluster.add.store.as_value().eq(cluster.add.write.as_value() & ~(adding & same)),
            ]
        for b in range(BANKS):
            m.d.comb += [
                cluster.read.rows[b].eq(Mux(single, row, read.op.rows[b])),
                cluster.add.write[b].eq(Mux(swept, sweep.write[b],
                                            add.valid & add.op.write[b])),
                cluster.add.rows[b].eq(Mux(swept, sweep.write_row, add.op.rows[b])),
                cluster.add.forward[b].eq(forward[b]),
            ]
    return sum(adds[b] & ~finds[b] for b in range(BANKS)) if spec.frugal else None


def drained(m: Module, address: AddressGenerator) -> Value:
    """Return whether the last operation has been written."""
    quiet = Signal(range(8))
    with m.If(address.busy | address.o_valid):
        m.d.sync += quiet.eq(0)
    with m.Elif(quiet != 4):
        m.d.sync += quiet.eq(quiet + 1)
    return quiet == 4

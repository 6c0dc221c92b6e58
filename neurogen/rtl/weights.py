"""Writes weights to the tap memories, a lane at a time."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neurogen.spec.mega import BANKS, MegaSpec


__all__ = ["WeightWriter"]


class WeightWriter(wiring.Component):
    """Collects weights, one lane at a time, and writes them to a tap when it has all lanes.

    Parameters
    ----------
    spec
        Parameters of the accelerator.

    Members
    -------
    place, cluster, tap, row : ``In``
        With ``place``, the next weight is lane 0 of this tap.
    walk : ``In(1)``
        After a tap: the next cluster, then the next tap, then the next row; else the next row.
    push, weight : ``In``
        Take one weight.
    w_tap, w_row, w_data : ``Out``
        Write port of the clusters' tap memories, ``BANKS`` bits of ``w_tap`` per cluster. The write comes one
        cycle after the last lane.
    """

    def __init__(self, spec: MegaSpec):
        self._spec = spec
        super().__init__({
            "place": In(1), "cluster": In(4), "tap": In(4), "row": In(spec.weight_address_bits),
            "walk": In(1), "push": In(1), "weight": In(spec.weight_bits),
            "w_tap": Out(BANKS).array(spec.clusters),
            "w_row": Out(spec.weight_address_bits),
            "w_data": Out(spec.lanes * spec.weight_bits),
        })

    @property
    def spec(self) -> MegaSpec:
        """Parameters of the accelerator."""
        return self._spec

    def elaborate(self, platform):
        spec = self._spec
        m = Module()
        lane = Signal(range(max(2, spec.lanes)))
        cluster, tap = Signal(4), Signal(4)
        row = Signal(spec.weight_address_bits)
        write = Signal()
        m.d.comb += self.w_row.eq(row)
        for c in range(spec.clusters):
            m.d.comb += self.w_tap[c].eq(Mux(write & (cluster == c), 1 << tap, 0))
        m.d.sync += write.eq(self.push & (lane == spec.lanes - 1))
        with m.If(self.push):
            m.d.sync += [lane.eq(Mux(lane == spec.lanes - 1, 0, lane + 1)),
                         self.w_data.eq(Cat(self.w_data[spec.weight_bits:], self.weight))]
        with m.If(write):
            with m.If(~self.walk):
                m.d.sync += row.eq(row + 1)
            with m.Elif(cluster != spec.clusters - 1):
                m.d.sync += cluster.eq(cluster + 1)
            with m.Else():
                m.d.sync += [cluster.eq(0), tap.eq(tap + 1)]
                with m.If(tap == BANKS - 1):
                    m.d.sync += [tap.eq(0), row.eq(row + 1)]
        with m.If(self.place):
            m.d.sync += [lane.eq(0), cluster.eq(self.cluster), tap.eq(self.tap), row.eq(self.row)]
        return m

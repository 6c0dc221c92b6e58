"""Registers, counters and memory windows of the learning engine on its bus."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from neurogen.rtl.bus import WishboneSignature
from neurogen.spec.learning import SCORE_BITS, Learner, Rule
from neurogen.spec.learning_bus import COUNTERS, Csr, Region, Status


__all__ = ["LearnControl", "region_layouts"]


_HALF = 13  # bits of the most that a counter grows by, and of its lower half: the other is clocked by carries


def region_layouts(spec: Learner) -> dict[Region, tuple[object, int]]:
    """Return the shape of a word, and the number of words, of each memory behind ``Csr.DATA``."""
    lanes = spec.lanes
    words = sum(spec.words(layer.neurons) for layer in spec.layers)
    rows = sum(sum(spec.row_words(index)) for index in range(len(spec.layers)))
    neuron = data.StructLayout({"e": data.ArrayLayout(8, lanes), "psi": data.ArrayLayout(2, lanes),
                                "spikes": lanes})
    weights = data.ArrayLayout(signed(spec.weight_bits), lanes), max(2, spec.weight_words)
    means = {Region.MEANS: weights} if spec.rule is Rule.FPTT else {}
    return means | {
        Region.WEIGHTS: weights,
        Region.POTENTIALS: (data.ArrayLayout(signed(spec.state_bits), lanes), max(2, words)),
        Region.NEURONS: (neuron, max(2, words)),
        Region.PRE_TRACES: (data.ArrayLayout(8, lanes), max(2, rows)),
        Region.SIMILARITY: (signed(spec.similarity_bits), (len(spec.layers) + 1) * spec.classes),
        Region.SCORES: (signed(SCORE_BITS), 2 * spec.classes),
    }


class LearnControl(wiring.Component):
    """Control bus of the learning engine: `neurogen.spec.learning_bus.Csr`.

    An access takes two cycles. ``Csr.DATA`` moves words of memories in parts of 32 bits: a word is written
    with its last part. While the engine is busy it does nothing but set ``Status.LOADING``.

    Parameters
    ----------
    spec
        The network; its period and rates are those after a reset.

    Members
    -------
    bus : ``In(WishboneSignature(5))``
        The bus.
    busy : ``In(1)``
        The engine is not idle, an event waits, or its memories do not yet show the word of ``address``.
    label_wrong, saturated, address_wrong, silent, firing : ``In(1)``
        Set sticky bits.
    amounts : ``In``
        By how much each counter of `COUNTERS` grows in this cycle.
    period, freeze, rates : ``Out``
        Settings; rates of W, R, P and Q.
    seed_en, seed, random : ``Out``, ``Out``, ``In``
        Sets the random register, and its state.
    region, address : ``Out``
        Word that the memories show.
    read : ``In``
        That word of each region; 0 of one that is not there.
    write, written : ``Out``
        Write it; the word.
    """

    def __init__(self, spec: Learner):
        self._spec = spec
        self._layouts = region_layouts(spec)
        self._widths = {region: Value.cast(Signal(shape)).shape().width
                        for region, (shape, _) in self._layouts.items()}
        self._parts = max(-(-width // 32) for width in self._widths.values())
        depth = max(words for _, words in self._layouts.values())
        super().__init__({
            "bus": In(WishboneSignature(5)), "busy": In(1), "label_wrong": In(1), "saturated": In(1),
            "address_wrong": In(1), "silent": In(1), "firing": In(1),
            "amounts": In(data.ArrayLayout(_HALF, len(COUNTERS))),
            "period": Out(9, init=spec.period), "freeze": Out(len(spec.layers)),
            "rates": Out(data.ArrayLayout(5, 4), init=[spec.rate_w, spec.rate_r, spec.rate_p, spec.rate_q]),
            "seed_en": Out(1), "seed": Out(32), "random": In(32), "region": Out(3),
            "address": Out(range(depth)), "read": In(32 * self._parts).array(len(Region)),
            "write": Out(1), "written": Out(32 * self._parts),
        })

    @property
    def spec(self) -> Learner:
        """The network."""
        return self._spec

    def elaborate(self, platform):
        bus = self.bus
        m = Module()
        sticky = Signal(max(Status) + 1)
        counters = [(Signal(_HALF, name=name), Signal(32 - _HALF, name=f"{name}_high")) for name in COUNTERS]
        clear = Signal()
        part = Signal(range(max(2, self._parts)))
        kept = Signal(32 * self._parts)  # parts of the word that is being written
        lengths = [Const(-(-self._widths.get(region, 32) // 32) - 1, part.shape()) for region in Region]
        last = Array(lengths)[self.region]
        for (low, high), amount in zip(counters, self.amounts, strict=True):
            total = Signal(_HALF + 1, name=f"{low.name}_sum")
            m.d.comb += total.eq(low + amount)
            with m.If(amount.any() | clear):
                m.d.sync += low.eq(Mux(clear, 0, total))
            with m.If(total[_HALF] | clear):
                m.d.sync += high.eq(Mux(clear, 0, high + 1))
        for bit, happened in ((Status.LABEL, self.label_wrong), (Status.SATURATED, self.saturated),
                              (Status.ADDRESS, self.address_wrong), (Status.SILENT, self.silent),
                              (Status.FIRING, self.firing)):
            with m.If(happened):
                m.d.sync += sticky[bit].eq(1)
        m.d.comb += [self.seed.eq(bus.dat_w), self.written.eq(kept)]
        for k in range(self._parts):
            with m.If(part == k):
                m.d.comb += self.written[32 * k:32 * k + 32].eq(bus.dat_w)

        def advance():
            m.d.sync += part.eq(part + 1)
            with m.If(part == last):
                m.d.sync += [part.eq(0), self.address.eq(self.address + 1)]

        access = bus.cyc & bus.stb & ~bus.ack
        m.d.sync += bus.ack.eq(access)
        with m.If(access & (bus.adr == Csr.DATA)):
            with m.If(self.busy):
                m.d.sync += sticky[Status.LOADING].eq(1)
            with m.Else():
                m.d.comb += self.write.eq(bus.we & (part == last))
                m.d.sync += kept.eq(self.written)
                advance()
        with m.If(access & bus.we):
            with m.Switch(bus.adr):
                with m.Case(Csr.STATUS):
                    for bit in range(1, len(sticky)):
                        with m.If(bus.dat_w[bit]):
                            m.d.sync += sticky[bit].eq(0)
                with m.Case(Csr.SEED):
                    m.d.comb += self.seed_en.eq(bus.dat_w != 0)  # the register would stay at 0
                with m.Case(Csr.PERIOD):
                    m.d.sync += self.period.eq(bus.dat_w)
                with m.Case(Csr.FREEZE):
                    m.d.sync += self.freeze.eq(bus.dat_w)
                for k in range(4):
                    with m.Case(Csr.RATE_W + k):
                        m.d.sync += self.rates[k].eq(bus.dat_w)
                with m.Case(Csr.SELECT):
                    m.d.sync += [self.region.eq(bus.dat_w[24:]), self.address.eq(bus.dat_w), part.eq(0)]
            m.d.comb += clear.eq(bus.adr >= Csr.COUNTER)
        with m.Elif(access):
            with m.Switch(bus.adr):
                with m.Case(Csr.STATUS):
                    m.d.sync += bus.dat_r.eq(Cat(self.busy, sticky[1:]))
                with m.Case(Csr.SEED):
                    m.d.sync += bus.dat_r.eq(self.random)
                with m.Case(Csr.PERIOD):
                    m.d.sync += bus.dat_r.eq(self.period)
                with m.Case(Csr.FREEZE):
                    m.d.sync += bus.dat_r.eq(self.freeze)
                for k in range(4):
                    with m.Case(Csr.RATE_W + k):
                        m.d.sync += bus.dat_r.eq(self.rates[k])
                with m.Case(Csr.SELECT):
                    m.d.sync += bus.dat_r.eq(Cat(self.address, Const(0, 24 - len(self.address)), self.region))
                with m.Case(Csr.DATA):
                    word = Array(self.read)[self.region]
                    m.d.sync += bus.dat_r.eq(Mux(self.busy, 0, word.word_select(part, 32)))
                for k, counter in enumerate(counters):
                    with m.Case(Csr.COUNTER + k):
                        m.d.sync += bus.dat_r.eq(Cat(*counter))
        return m

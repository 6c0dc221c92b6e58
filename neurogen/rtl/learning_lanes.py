"""The lanes of the learning engine: firing, similarity, modulation and update of a word of neurons."""

from functools import reduce

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from neurogen.spec.learning import LFSR_MASK, TRACE_MAX, TRACE_STEP, Learner, Rule, lfsr_next


__all__ = ["Modulator", "NeuronLanes", "UpdateLanes", "per_layer", "trace"]


RATE_BITS = 5  # a learning rate of 1 to 16
MODULATION_BITS = 9  # m, or a trace: what a lane multiplies


def per_layer(values: list, layer: Value) -> Value:
    """Return the value of a layer; a constant if it is the same in all."""
    return Const(values[0]) if len(set(values)) == 1 else Array(values)[layer]


def trace(value: Value, spike: Value, shift: int) -> Value:
    """Return a trace after a step, 8 bits: it fades, and a spike raises it up to its maximum."""
    faded = (value - ((value + ((1 << shift) - 1)) >> shift))[:8]  # cannot be negative
    raised = faded + Mux(spike, TRACE_STEP, 0)
    return Mux(raised > TRACE_MAX, TRACE_MAX, raised)[:8]


def _clip(value: Value, limit: int, low: int | None = None) -> Value:
    low = -limit if low is None else low
    return Mux(value > limit, limit, Mux(value < low, low, value))


class NeuronLanes(wiring.Component):
    """Threshold, reset, decay, window and trace of a word of neurons.

    Outputs follow their inputs by one cycle, and keep their values while ``en`` is low.

    Parameters
    ----------
    spec
        The network.

    Members
    -------
    en : ``In(1, init=1)``
        Take the inputs.
    layer : ``In``
        The layer; steady.
    u : ``In``
        Integrated potentials, signed, ``sum_bits`` each.
    e : ``In``
        Traces before the step; steady for two cycles.
    v, e_next, psi, spikes : ``Out``
        Potentials to keep, traces, windows and spikes.
    """

    def __init__(self, spec: Learner):
        self._spec = spec
        lanes = spec.lanes
        super().__init__({
            "en": In(1, init=1), "layer": In(range(max(2, len(spec.layers)))),
            "u": In(data.ArrayLayout(signed(spec.sum_bits), lanes)),
            "e": In(data.ArrayLayout(8, lanes)),
            "v": Out(data.ArrayLayout(signed(spec.state_bits), lanes)),
            "e_next": Out(data.ArrayLayout(8, lanes)),
            "psi": Out(data.ArrayLayout(2, lanes)), "spikes": Out(lanes),
        })

    @property
    def spec(self) -> Learner:
        """The network."""
        return self._spec

    def elaborate(self, platform):
        spec = self._spec
        m = Module()
        threshold = per_layer([layer.threshold for layer in spec.layers], self.layer)
        for lane in range(spec.lanes):
            above = Signal(signed(spec.sum_bits + 1), name=f"above_{lane}")
            left = Signal(signed(spec.sum_bits + 1), name=f"left_{lane}")
            spike = Signal(name=f"spike_{lane}")
            m.d.comb += above.eq(self.u[lane] - threshold)
            far = Mux(above < 0, -above, above)
            with m.If(self.en):
                m.d.sync += [
                    spike.eq(above >= 0),
                    left.eq(Mux(above >= 0, above, self.u[lane])),
                    self.psi[lane].eq((far < spec.window_full) + (far < spec.window_half)),
                ]
            decayed = []
            for shift in [layer.leak_shift for layer in spec.layers]:
                up = Mux(left < 0, 0, (1 << shift) - 1)
                decayed.append(left - ((left + up) >> shift))
            same = len({layer.leak_shift for layer in spec.layers}) == 1
            kept = Signal(signed(spec.sum_bits + 1), name=f"kept_{lane}")
            m.d.comb += [
                kept.eq(decayed[0] if same else Array(decayed)[self.layer]),
                self.v[lane].eq(_clip(kept, spec.v_max, -spec.v_max - 1)),
                self.e_next[lane].eq(trace(self.e[lane], spike, spec.trace_shift)),
                self.spikes[lane].eq(spike),
            ]
        return m


class Modulator(wiring.Component):
    """Turns the drive of a word of neurons into modulations. Outputs follow by one cycle, if ``en`` is high.

    This is where rules differ: ``tp`` takes the sums of errors times prototypes, ``rstdp`` the reward.

    Parameters
    ----------
    spec
        The network.

    Members
    -------
    en : ``In(1, init=1)``
        Take the inputs.
    sums : ``In``
        ``sum d_c P[c][j]`` of each lane, signed.
    right : ``In(1)``
        Whether the class that is ahead is the label.
    e, psi, spikes : ``In``
        Traces, windows and spikes.
    m : ``Out``
        Modulations, signed, 8 bits each.
    """

    def __init__(self, spec: Learner):
        self._spec = spec
        self._bits = 1 + (spec.classes * 255 * spec.weight_max).bit_length()
        lanes = spec.lanes
        super().__init__({
            "en": In(1, init=1), "sums": In(data.ArrayLayout(signed(self._bits), lanes)), "right": In(1),
            "e": In(data.ArrayLayout(8, lanes)), "psi": In(data.ArrayLayout(2, lanes)), "spikes": In(lanes),
            "m": Out(data.ArrayLayout(signed(8), lanes)),
        })

    @property
    def spec(self) -> Learner:
        """The network."""
        return self._spec

    def _drive(self, lane):
        if self._spec.rule is Rule.RSTDP:
            size = Mux(self.spikes[lane], self.e[lane], self.e[lane] >> 2)
            return Mux(self.spikes[lane] == self.right, size, -size)
        return self.sums[lane] >> self._spec.modulation_shift

    def _window(self, lane, full):
        if self._spec.rule is Rule.RSTDP:
            return full
        # psi / 2 is 1, a half (rounded down) or nothing.
        psi = self.psi[lane]
        return Mux(psi[1], full, Mux(psi[0], full >> 1, 0))

    def elaborate(self, platform):
        spec = self._spec
        m = Module()
        for lane in range(spec.lanes):
            drive = self._drive(lane)
            if spec.calm_shift is not None:
                e = self.e[lane]
                excess = Mux(e > spec.calm_from, e - spec.calm_from, 0)[:8]
                drive = drive - (excess << spec.calm_shift)
            full = Signal(signed(max(self._bits, 17) + 1), name=f"full_{lane}")
            m.d.comb += full.eq(drive)
            with m.If(self.en):
                m.d.sync += self.m[lane].eq(_clip(self._window(lane, full), 127))
        return m


class UpdateLanes(wiring.Component):
    """Multiplies, sums, and updates words of weights with stochastic rounding.

    A word enters with its factor in one cycle, and its weights come from the memory one cycle later. With
    ``valid``, what is to be written leaves three cycles after the factor, and the random register steps; with
    ``gather`` instead, weights times factor are added to ``sums`` two cycles after it. A word of which
    no weight changes is not written, unless the rule has averages, which follow their weights.

    Parameters
    ----------
    spec
        The network.

    Members
    -------
    valid, gather, address, factor, rate : ``In``
        One word each cycle, or none.
    clear : ``In(1)``
        Set the sums to zero.
    lanes : ``In``
        What the factor is multiplied with, signed; steady while words are under way.
    word, means : ``In``
        Weights, and their averages where the rule has some, one cycle after ``address``.
    w_en, w_address, w_data, w_means, saturated : ``Out``
        To the memories, and whether a weight of the word was clipped.
    sums : ``Out``
        Of ``gather``.
    busy : ``Out(1)``
        Words are under way.
    random : ``Out(32)``
        State of the random register.
    seed_en, seed : ``In``
        Set it.
    """

    def __init__(self, spec: Learner):
        self._spec = spec
        self._weights = data.ArrayLayout(signed(spec.weight_bits), spec.lanes)
        bits = 1 + (spec.classes * 255 * spec.weight_max).bit_length()
        self._sums = data.ArrayLayout(signed(bits), spec.lanes)
        address = unsigned((spec.weight_words - 1).bit_length())
        super().__init__({
            "valid": In(1), "gather": In(1), "address": In(address), "factor": In(signed(9)),
            "rate": In(RATE_BITS), "clear": In(1),
            "lanes": In(data.ArrayLayout(signed(MODULATION_BITS), spec.lanes)), "word": In(self._weights),
            "means": In(self._weights), "w_means": Out(self._weights),
            "w_en": Out(1), "w_address": Out(address), "w_data": Out(self._weights), "saturated": Out(1),
            "sums": Out(self._sums), "busy": Out(1),
            "random": Out(32, init=1), "seed_en": In(1), "seed": In(32),
        })

    @property
    def spec(self) -> Learner:
        """The network."""
        return self._spec

    def elaborate(self, platform):
        spec = self._spec
        m = Module()
        stages = [{name: Signal.like(getattr(self, name), name=f"{name}_{stage}")
                   for name in ("valid", "gather", "address", "factor", "rate")} for stage in (1, 2)]
        first, second = stages
        for stage, before in ((first, {name: getattr(self, name) for name in first}), (second, first)):
            m.d.sync += [stage[name].eq(before[name]) for name in ("valid", "gather")]
            with m.If(before["valid"] | before["gather"]):  # what is not needed stands still
                m.d.sync += [stage[name].eq(before[name]) for name in ("address", "factor", "rate")]
        third = Signal()
        m.d.sync += third.eq(second["valid"])
        with m.If(second["valid"]):
            m.d.sync += self.w_address.eq(second["address"])
        m.d.comb += self.busy.eq(Cat(first["valid"], first["gather"], second["valid"], second["gather"],
                                     third).any())
        mask = Signal(16)
        m.d.comb += mask.eq((1 << second["rate"]) - 1)
        clipped, changed = Signal(spec.lanes), Signal(spec.lanes)
        thrice = Cat(self.random, self.random, self.random)
        for lane in range(spec.lanes):
            operand = Signal(signed(MODULATION_BITS), name=f"operand_{lane}")
            product = Signal(signed(9 + MODULATION_BITS), name=f"product_{lane}")
            weight = Signal(signed(spec.weight_bits), name=f"weight_{lane}")
            change = Signal(signed(10 + MODULATION_BITS), name=f"change_{lane}")
            wanted = Signal(signed(11 + MODULATION_BITS), name=f"wanted_{lane}")
            m.d.comb += operand.eq(Mux(first["gather"], self.word[lane], self.lanes[lane]))
            with m.If(first["valid"] | first["gather"]):
                m.d.sync += product.eq(operand * first["factor"])
            with m.If(first["valid"]):
                m.d.sync += weight.eq(self.word[lane])
            noise = thrice[2 * lane:2 * lane + 16] & mask
            pull, mean = self._pull(m, lane, weight, first["valid"], thrice)
            m.d.comb += [
                change.eq((product + noise) >> second["rate"]),
                wanted.eq(weight + change - pull),
                changed[lane].eq(1 if spec.rule is Rule.FPTT else change != 0),
                clipped[lane].eq((wanted > spec.weight_max) | (wanted < -spec.weight_max)),
            ]
            kept = Signal(signed(spec.weight_bits), name=f"kept_{lane}")
            m.d.comb += kept.eq(_clip(wanted, spec.weight_max))
            with m.If(second["valid"]):
                m.d.sync += self.w_data[lane].eq(kept)
                self._follow(m, lane, kept, mean, thrice)
            with m.If(self.clear):
                m.d.sync += self.sums[lane].eq(0)
            with m.Elif(second["gather"]):
                m.d.sync += self.sums[lane].eq(self.sums[lane] + product)
        m.d.sync += [self.w_en.eq(second["valid"] & changed.any()),
                     self.saturated.eq(second["valid"] & clipped.any())]
        with m.If(self.seed_en):
            m.d.sync += self.random.eq(self.seed)
        with m.Elif(second["valid"]):
            m.d.sync += self.random.eq(next_random(self.random))
        return m

    def _pull(self, m, lane, weight, valid, noise):
        """Return what the rule takes off a weight besides its change, and the average of the weight."""
        if self._spec.rule is not Rule.FPTT:
            return 0, None
        shift, first = self._spec.anchor_shift, 2 * lane + 16
        mean = Signal(signed(self._spec.weight_bits), name=f"mean_{lane}")
        with m.If(valid):
            m.d.sync += mean.eq(self.means[lane])
        return (weight - mean + noise[first:first + shift]) >> shift, mean

    def _follow(self, m, lane, kept, mean, noise):
        """Let the average follow its weight."""
        if self._spec.rule is not Rule.FPTT:
            return
        shift, first = self._spec.average_shift, 2 * lane + 8
        m.d.sync += self.w_means[lane].eq(mean + ((kept - mean + noise[first:first + shift]) >> shift))


def next_random(state: Value) -> Value:
    """Return `neurogen.spec.learning.lfsr_next` of a signal of 32 bits."""
    # The function is linear: bit k of the result is the sum of the bits whose images have bit k.
    images = [lfsr_next(1 << bit) for bit in range(LFSR_MASK.bit_length())]
    return Cat(reduce(lambda a, b: a ^ b, [state[bit] for bit, image in enumerate(images) if image >> k & 1])
               for k in range(len(images)))

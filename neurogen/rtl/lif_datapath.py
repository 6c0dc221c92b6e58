"""The data path of leaky integrate-and-fire neurons: fire, reset, decay and clip of many lanes."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from neurogen.spec.checks import check_int
from neurogen.spec.lif import DECAY_ONE
from neurogen.spec.mega import ResetMode


__all__ = ["LEAK_BITS", "LifDatapath", "clipped"]


LEAK_BITS = DECAY_ONE.bit_length()  # of a leak of 0 to 4096


class LifDatapath(wiring.Component):
    """Fire, reset, decay and clip of one vector of neurons per cycle.

    With ``s = v + addend``, clipped to ``state_bits`` if it ``saturate``s (else ``s`` must fit, and so must
    ``s - threshold`` where ``s >= threshold``, as it does for the positive thresholds of the contract):

    ==========  ==================================================================================
    fire        ``spike = fire and reset != NONE and s >= threshold``
    reset       if ``spike``: subtract: ``u = s - threshold``, zero: ``u = reset_value``; else ``u = s``
    decay       ``d = trunc(u * (4096 - leak) / 4096)`` toward zero if ``leaky``, else ``d = u``
    clip        ``v_next = clip(d, lo, hi)``
    ==========  ==================================================================================

    A pipeline without handshake: outputs belong to the last inputs with ``valid`` that are ``latency``
    cycles old or older, controls included. Registers of a stage change only with such inputs, so that
    an idle data path takes little energy. It has no state besides, and a reset does not clear it.

    Area is what counts here: the comparison with the threshold and the subtraction share an adder,
    so do decay and rounding (``u - away_from_zero(u * leak / 4096)``), and the sign chooses the one
    guard to compare with. A multiplier of ``state_bits`` x 13 bits per lane remains: one MULT18X18D
    of an ECP5 for up to 18 bits.

    Parameters
    ----------
    lanes
        Neurons per cycle, at least 1.
    state_bits
        Width of potentials and parameters, 4 to 32 bits.
    saturate
        Clip ``s`` to that width.
    registers
        More of them, each a cycle of latency: 1 behind the last stage, 2 also before the first.
    frugal
        For ASICs: what follows a spike is chosen before the first registers, of which there are fewer then.

    Members
    -------
    valid : ``In(1)``
        The inputs count; high if left alone.
    v, addend, threshold, reset_value : ``In(signed(state_bits)).array(lanes)``
        Potentials and parameters of each lane.
    leak : ``In(state_bits).array(lanes)``
        ``4096 - a``, 0 to 4096, modulo ``2 ** state_bits``.
    reset : ``In(ResetMode)``
    leaky, fire : ``In(1)``
        Low: no decay, no spikes.
    lo, hi : ``In(signed(state_bits))``
        Guard band, ``lo <= 0 <= hi``.
    v_next : ``Out(signed(state_bits)).array(lanes)``
        Potentials after the step.
    spike : ``Out(lanes)``
        Whether each lane fired.
    integrated : ``Out(signed(state_bits)).array(lanes)``
        ``v + addend``.
    """

    LATENCY = 3

    def __init__(self, lanes: int, state_bits: int, *, saturate: bool = False, registers: int = 0,
                 frugal: bool = False):
        self._lanes = check_int("Lane count", lanes, minimum=1)
        self._bits = check_int("State width", state_bits, minimum=4, maximum=32, unit="bits")
        self._saturate = bool(saturate)
        self._registers = check_int("Register count", registers, minimum=0, maximum=2)
        self._frugal = bool(frugal)
        vector = signed(state_bits)
        super().__init__({
            "valid": In(1, init=1),
            "v": In(vector).array(lanes),
            "addend": In(vector).array(lanes),
            "threshold": In(vector).array(lanes),
            "leak": In(state_bits).array(lanes),
            "reset_value": In(vector).array(lanes),
            "reset": In(2),
            "leaky": In(1),
            "fire": In(1),
            "lo": In(signed(state_bits)),
            "hi": In(signed(state_bits)),
            "v_next": Out(vector).array(lanes),
            "spike": Out(lanes),
            "integrated": Out(vector).array(lanes),
        })

    @property
    def lanes(self) -> int:
        """Neurons per cycle."""
        return self._lanes

    @property
    def state_bits(self) -> int:
        """Width of potentials and parameters."""
        return self._bits

    @property
    def latency(self) -> int:
        """Cycles from inputs to outputs."""
        return self.LATENCY + self._registers

    def elaborate(self, platform):
        m = Module()
        if self._registers:
            m.submodules.path = path = LifDatapath(self._lanes, self._bits, saturate=self._saturate,
                                                     frugal=self._frugal)
            for name, member in self.signature.members.items():
                ours, theirs = getattr(self, name), getattr(path, name)
                source, target = (ours, theirs) if member.flow == In else (theirs, ours)
                for a, b in zip(_elements(source), _elements(target), strict=True):
                    if member.flow == In and self._registers == 1:
                        m.d.comb += b.eq(a)
                        continue
                    held = Signal.like(a, name=f"{name}_held", reset_less=True)
                    m.d.sync += held.eq(a)
                    m.d.comb += b.eq(held)
            return m
        self._valid = [self.valid]  # of each stage
        for stage in range(1, self.LATENCY):
            self._valid.append(Signal(name=f"valid_{stage}", reset_less=True))
            m.d.sync += self._valid[stage].eq(self._valid[stage - 1])
        self._guards = self._delay(m, range(2), lo=self.lo, hi=self.hi)
        fires, zero = Signal(), Signal()
        m.d.comb += [fires.eq(self.fire & (self.reset != ResetMode.NONE)),
                     zero.eq(self.reset == ResetMode.ZERO)]
        for lane in range(self._lanes):
            s, other, spike, leak = self._compare(m, lane, fires, zero)
            u, excess = self._multiply(m, other if self._frugal else Mux(spike, other, s), leak)
            self._finish(m, lane, u, excess)
            late = self._delay(m, range(1, 3), s=s, spike=spike)
            m.d.comb += [self.integrated[lane].eq(late["s"]), self.spike[lane].eq(late["spike"])]
        return m

    def _delay(self, m, stages, **values):
        """Return ``values`` after the registers of ``stages``."""
        for stage in stages:
            for name, value in values.items():
                values[name] = Signal.like(value, name=f"{name}_{stage + 1}", reset_less=True)
                with m.If(self._valid[stage]):
                    m.d.sync += values[name].eq(value)
        return values

    def _compare(self, m, lane, fires, zero):
        """Stage 1: the sum, what replaces it after a spike, and whether there is one.

        In a frugal data path the second is what remains, after a spike or without one.
        """
        bits = self._bits
        threshold = self.threshold[lane]
        total, difference = Signal(signed(bits)), Signal(signed(bits))
        fired = Signal()
        wide = self.v[lane] + self.addend[lane]
        m.d.comb += [
            total.eq(clipped(wide, bits) if self._saturate else wide),
            difference.eq(total - threshold),
            # Of numbers of one sign the difference cannot wrap; else the signs tell.
            fired.eq(fires & Mux((total < 0) == (threshold < 0), difference >= 0, total >= 0)),
        ]
        s = Signal(signed(bits), reset_less=True)
        other = Signal(signed(bits), reset_less=True)
        spike = Signal(reset_less=True)
        leak = Signal(min(bits, LEAK_BITS), reset_less=True)
        fallen = Mux(zero, self.reset_value[lane], difference)
        with m.If(self.valid):
            m.d.sync += [
                s.eq(total),
                other.eq(Mux(fired, fallen, total) if self._frugal else fallen),
                spike.eq(fired),
                leak.eq(self.leak[lane]),
            ]
            with m.If(~self.leaky):  # becomes the synchronous reset of the register: no logic
                m.d.sync += leak.eq(0)
        return s, other, spike, leak

    def _multiply(self, m, left, leak):
        """Stage 2: ``u``, and what leaks, rounded away from zero: ``floor + round``."""
        bits, fraction = self._bits, DECAY_ONE.bit_length() - 1
        after = Signal(signed(bits))
        product = Signal(signed(bits + LEAK_BITS))
        m.d.comb += [after.eq(left), product.eq(after * leak)]
        u = Signal(signed(bits), reset_less=True)
        # |floor(u * leak / 4096)| <= |u| as leak <= 4096, so that it fits.
        excess = Signal(data.StructLayout({"floor": signed(bits), "round": 1}), reset_less=True)
        with m.If(self._valid[1]):
            m.d.sync += [
                u.eq(after),
                excess.floor.eq(product >> fraction),
                excess.round.eq(~(product < 0) & product[:fraction].any()),
            ]
        return u, excess

    def _finish(self, m, lane, u, excess):
        """Stage 3: subtract what leaks, and clip."""
        bits = self._bits
        lo, hi = self._guards["lo"], self._guards["hi"]
        # u - floor - round with one adder: a bit below borrows for `round`.
        chain = Signal(bits + 1)
        d, guard, distance = (Signal(signed(bits)) for _ in range(3))
        m.d.comb += [
            chain.eq(Cat(Const(0, 1), u) - Cat(excess.round, excess.floor)),
            d.eq(chain[1:]),
            guard.eq(Mux(d < 0, lo, hi)),
            distance.eq(d - guard),  # of numbers of one sign (or zero): does not wrap
        ]
        # A distance of 0 counts as outside for d >= 0; the guard is as good as d then.
        outside = (d < 0) == (distance < 0)
        v_next = Signal(signed(bits), reset_less=True)
        with m.If(self._valid[2]):
            m.d.sync += v_next.eq(Mux(outside, guard, d))
        m.d.comb += self.v_next[lane].eq(v_next)


def _elements(member):
    """Return the signals of a member, which is one or an array of them."""
    return [member] if isinstance(member, Signal) else list(member)


def clipped(value: Value, bits: int) -> Value:
    """Return a signed value clipped to ``bits`` bits; a shorter one as it is."""
    if len(value) <= bits:
        return value
    sign, above = value[-1], value[bits - 1:-1]
    limit = Cat((~sign).replicate(bits - 1), sign)
    return Mux(above == sign.replicate(len(above)), value[:bits], limit).as_signed()

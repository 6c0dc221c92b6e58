"""The integer contract of learning on chip: a spiking network with a local, forward-only rule.

One sample at a time: `begin` clears the state, then steps follow; a step takes the input spikes of one time
step through all layers. Weights change within a step, right after the layer has fired. Everything is an
integer, ``>>`` rounds down, and every random bit comes from one shift register (`lfsr_next`). With ``H``
neurons, ``C`` classes and ``L`` lanes, a layer has these rows of weights, each of ``ceil(H / L)`` words of
``L`` weights:

=========  ===========================================================================================
``W[i]``   one for each input ``i``, padded to a multiple of ``L``
``R[k]``   if recurrent, one for each neuron ``k``, padded likewise; its input is the spike of the step before
``P[c]``   the prototype of class ``c``: the trace that the layer should have for this class
``Q[c]``   the read-out of class ``c``; the last layer only
=========  ===========================================================================================

A step of a layer
-----------------
``a_i`` is 1 where row ``i`` has a spike (an input that spikes twice in a step counts once). Neurons are
those of `neurogen.spec.lif` with ``Reset.SUBTRACT`` and the decay ``4096 - (4096 >> leak_shift)``: the
network that was learnt runs unchanged on an accelerator of this contract.

==============  ========================================================================================
integrate       ``u_j = V_j + sum a_i W[i][j] + sum a_k R[k][j]``          (exact, any order)
fire            ``s_j = u_j >= theta``
window          ``psi_j = 2`` if ``|u_j - theta| < window_full``, else 1 if ``< window_half``, else 0
reset, decay    ``V_j = clip(decay(u_j - theta s_j, leak_shift))``, to ``state_bits`` bits
pre-trace       ``x_i = min(255, fade(x_i, pre_shift) + 16 a_i)``          (before integrating)
trace           ``e_j = min(255, fade(e_j, trace_shift) + 16 s_j)``
similarity      ``z_c = z_c - (z_c >> trace_shift) + sum s_j P[c][j]``               (exact)
read-out        ``o_c = o_c - (o_c >> trace_shift) + sum s_j Q[c][j]``               (exact)
scores          ``Z_c = sat(Z_c + z_c)``, ``O_c = sat(O_c + o_c)``; last layer only; the class is the arg-max
==============  ========================================================================================

``fade(x, k) = x - ((x + 2^k - 1) >> k)``, so that it reaches zero. ``decay`` is the same for ``u >= 0``,
and ``u - (u >> k)`` below zero (rounding toward zero both ways). ``sat`` saturates to `SCORE_BITS` bits,
signed.

Learning (rule ``tp``: trace propagation)
-----------------------------------------
In every ``period``-th step of a sample that has a label ``y``, in layers that are not frozen:

==============  ========================================================================================
error           ``d_c = 255 [c = y] - softmax255(z, similarity_shift)_c``; ``g_c`` likewise of ``o``
drive           ``b_j = (sum d_c P[c][j]) >> modulation_shift``
calm            ``f_j = max(0, e_j - calm_from) << calm_shift``            (0 if ``calm_shift`` is ``None``)
modulation      ``m_j = clip(((b_j - f_j) psi_j) >> 1, -127, 127)``
hidden          ``W[i][j] += (m_j x_i + r) >> rate_w``; ``R[k][j] += (m_j x_k + r) >> rate_r``
prototypes      ``P[c][j] += (d_c e_j + r) >> rate_p``                     (``prototypes = "learn"`` only)
read-out        ``Q[c][j] += (g_c e_j + r) >> rate_q``
==============  ========================================================================================

All errors and modulations use the weights before this step's updates. Results are clipped to ``weight_max``
both ways. Rule ``rstdp`` (reward-modulated STDP) replaces the drive: the reward is what the error says
about the winner, ``+1`` where the class with the largest ``z`` (the first of equals) is ``y``, else ``-1``,
and ``b_j = reward * (e_j if s_j else -(e_j >> 2))``, with ``psi_j`` taken as 2 for all neurons. The rest is
the same.

Rule ``fptt`` (forward propagation through time) keeps a running average ``A`` of every weight ``w`` in a
memory beside it, and pulls the weight towards it. Where ``tp`` adds a change to a weight of any row,
``fptt`` does

==============  ========================================================================================
weight          ``w' = clip(w + change - ((w - A + r1) >> anchor_shift))``
average         ``A' = A + ((w' - A + r2) >> average_shift)``
==============  ========================================================================================

(``r1`` and ``r2``: below.) The losses are those of ``tp``, instantaneous and local to each layer; ``x_i``
is the derivative of the potential by the weight, but for resets. The exact rule has a memory for the last
gradient as well, which the integer rule leaves out. Averages start equal to the weights.

Order of updates, and random bits
---------------------------------
Layers in order; in a layer, words ``w`` ascending; in a word first the rows ``i`` of ``W`` and ``R`` with
``x_i != 0``, ascending, if any ``m_j`` of the word is not 0; then, if any ``e_j`` of the word is not 0, the
``P[c]`` with ``d_c != 0`` and the ``Q[c]`` with ``g_c != 0``, ascending. Each word that is updated takes
the register's state ``q`` and then steps it once (`lfsr_next`); lane ``l`` has the random number ``r =
rotate_right(q, 2 l) mod 2^rate``. ``r1`` and ``r2`` of ``fptt`` are ``rotate_right(q, 2 l + 16) mod
2^anchor_shift`` and ``rotate_right(q, 2 l + 8) mod 2^average_shift``. Words that are left out do not step
it.

``hinge`` is the other ``loss``: ``d`` is 0 but for the label and its rival ``c``, the class with the largest
``z`` of the others (the first of equals). Where ``(z_y >> similarity_shift) - (z_c >> similarity_shift)`` is
less than ``margin``, ``d_y = 127`` and ``d_c = -127``. ``g`` likewise of ``o``, with ``readout_shift``.

softmax255
----------
``softmax255(z, shift)``: base 2, eight steps an octave. With ``v_c = z_c >> shift`` and
``n_c = max(v) - v_c``: ``p_c = EXP2[n_c & 7] >> (n_c >> 3)``, ``S = sum p_c``, ``k = bit_length(S)``,
and ``result_c = min(255, (p_c RECIPROCAL[(S >> (k - 5)) & 15]) >> (k - 1))``.

Sources: FPTT, Yin, Corradi and Bohte, Nature Machine Intelligence 2023; trace propagation, Pes, Yin, Stuijk
and Corradi, arXiv 2509.13053 (the float rule in batch form stands in `neurogen.golden.learning_float`);
contrast against class prototypes instead of a batch, and all integers, are this project's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from neurogen.spec.checks import check_int


__all__ = ["EXP2", "HINGE_ERROR", "LFSR_MASK", "RECIPROCAL", "SCORE_BITS", "TRACE_MAX", "TRACE_STEP",
           "LearnLayer", "Learner", "Loss", "Prototypes", "Rule", "lfsr_next"]


TRACE_STEP, TRACE_MAX = 16, 255
SCORE_BITS = 32
HINGE_ERROR = 127
EXP2 = tuple(round(255 * 2 ** (-n / 8)) for n in range(8))
RECIPROCAL = tuple(round(255 * 16 / (16.5 + n)) for n in range(16))
LFSR_MASK = (1 << 31) | (1 << 29) | (1 << 25) | (1 << 24)  # taps 32, 30, 26, 25


def lfsr_next(state: int) -> int:
    """Return the state of the random register for the next word: 16 steps of a 32-bit Galois LFSR.

    One step is ``(q >> 1) ^ (LFSR_MASK if q & 1 else 0)``. The lowest tap is bit 24, so that 16 steps shift
    out 16 bits that no tap has touched, and all of them are done by four shifted copies of those.
    """
    low = state & 0xFFFF
    return (state >> 16) ^ (low << 16) ^ (low << 14) ^ (low << 10) ^ (low << 9)


class Rule(StrEnum):
    """How a layer turns its error into modulations."""

    TP = "tp"
    RSTDP = "rstdp"
    FPTT = "fptt"


class Loss(StrEnum):
    """What makes an error of similarities."""

    SOFTMAX = "softmax"
    HINGE = "hinge"


class Prototypes(StrEnum):
    """Where class prototypes come from."""

    CODE = "code"
    LEARN = "learn"


@dataclass(frozen=True, kw_only=True)
class LearnLayer:
    """A layer of neurons that learns.

    Parameters
    ----------
    neurons
        ``H``, 1 to 4096.
    recurrent
        Whether the layer has the rows ``R``.
    threshold
        ``theta``, at least 1, in units of a weight LSB.
    leak_shift
        The potential loses ``2**-leak_shift`` of itself in a step, 1 to 8.
    """

    neurons: int
    recurrent: bool = False
    threshold: int = 256
    leak_shift: int = 3

    def __post_init__(self):
        check_int("Number of neurons", self.neurons, minimum=1, maximum=4096)
        if not isinstance(self.recurrent, bool):
            raise TypeError(f"Recurrent must be a bool, not {self.recurrent!r}")
        check_int("Threshold", self.threshold, minimum=1, maximum=(1 << 22) - 1)
        check_int("Leak shift", self.leak_shift, minimum=1, maximum=8)


_SHIFTS = {  # field -> (name in errors, minimum, maximum)
    "pre_shift": ("Shift of the pre-traces", 1, 6), "trace_shift": ("Shift of the traces", 1, 6),
    "similarity_shift": ("Shift of the similarity", 0, 15), "readout_shift": ("Shift of the read-out", 0, 15),
    "modulation_shift": ("Shift of the modulation", 0, 15),
    "anchor_shift": ("Anchor shift", 1, 8), "average_shift": ("Average shift", 1, 8),
    "rate_w": ("Learning rate of W", 1, 16), "rate_r": ("Learning rate of R", 1, 16),
    "rate_p": ("Learning rate of P", 1, 16), "rate_q": ("Learning rate of Q", 1, 16),
}


@dataclass(frozen=True, kw_only=True)
class Learner:
    """A network that learns: sizes, shifts and windows. The module's page has the arithmetic.

    Parameters
    ----------
    inputs
        Number of inputs, 1 to 4096.
    layers
        `LearnLayer` of each layer; the spikes of one are the inputs of the next, in the same step.
    classes
        ``C``, 2 to 64.
    lanes
        ``L``, weights in a word: 2, 4, 8 or 16.
    weight_bits
        4 to 8 bits; weights are symmetric, ``-weight_max`` to ``weight_max``.
    state_bits
        Width of a stored potential, 8 to 24 bits.
    period
        A step in ``period`` learns, 1 to 256: the last of each group since `begin`.
    pre_shift, trace_shift
        Time constants of ``x`` and of ``e``, ``z`` and ``o``, as shifts, 1 to 6.
    window_full, window_half
        The surrogate derivative: 2 within ``window_full`` of the threshold, 1 within ``window_half``.
    similarity_shift, readout_shift, modulation_shift
        0 to 15; ``ZS`` and its like for ``o``, ``MS``.
    calm_from, calm_shift
        Traces above ``calm_from`` push their neuron down, by the excess times ``2**calm_shift`` (0 to 7);
        ``None`` switches it off.
    rate_w, rate_r, rate_p, rate_q
        Learning rates, 1 to 16: a change is ``2**-rate`` of the product.
    anchor_shift, average_shift
        Of ``fptt``: how strongly averages pull, and how fast they follow, as shifts, 1 to 8.
    rule
        A `Rule`.
    loss, margin
        A `Loss`; ``hinge`` learns until the label is ahead by ``margin``, 1 to 255 shifted units.
    prototypes
        A `Prototypes`: ``code`` keeps the random code that they start with, ``learn`` adapts it.
    """

    inputs: int
    layers: Sequence[LearnLayer]
    classes: int
    lanes: int = 16
    weight_bits: int = 8
    state_bits: int = 16
    period: int = 4
    pre_shift: int = 2
    trace_shift: int = 2
    window_full: int = 128
    window_half: int = 256
    similarity_shift: int = 4
    readout_shift: int = 4
    modulation_shift: int = 7
    calm_from: int = 48
    calm_shift: int | None = 0
    rate_w: int = 10
    rate_r: int = 10
    rate_p: int = 12
    rate_q: int = 12
    anchor_shift: int = 4
    average_shift: int = 3
    rule: Rule = Rule.TP
    loss: Loss = Loss.SOFTMAX
    margin: int = 8
    prototypes: Prototypes = Prototypes.CODE

    def __post_init__(self):
        check_int("Number of inputs", self.inputs, minimum=1, maximum=4096)
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers or not all(isinstance(layer, LearnLayer) for layer in self.layers):
            raise TypeError(f"Layers must be LearnLayers, at least one, not {self.layers!r}")
        check_int("Number of classes", self.classes, minimum=2, maximum=64)
        check_int("Number of lanes", self.lanes)
        if self.lanes not in (2, 4, 8, 16):
            raise ValueError(f"Number of lanes must be 2, 4, 8 or 16, not {self.lanes!r}")
        check_int("Weight width", self.weight_bits, minimum=4, maximum=8, unit="bits")
        check_int("State width", self.state_bits, minimum=8, maximum=24, unit="bits")
        check_int("Learning period", self.period, minimum=1, maximum=256, unit="steps")
        for field, (name, low, high) in _SHIFTS.items():
            check_int(name, getattr(self, field), minimum=low, maximum=high)
        check_int("Half window", self.window_half, minimum=1, maximum=1 << 22)
        check_int("Full window", self.window_full, minimum=0, maximum=self.window_half)
        check_int("Calm level", self.calm_from, minimum=0, maximum=TRACE_MAX)
        if self.calm_shift is not None:
            check_int("Calm shift", self.calm_shift, minimum=0, maximum=7)
        check_int("Margin", self.margin, minimum=1, maximum=255)
        object.__setattr__(self, "rule", Rule(self.rule))
        object.__setattr__(self, "loss", Loss(self.loss))
        object.__setattr__(self, "prototypes", Prototypes(self.prototypes))
        for layer in self.layers:
            if layer.threshold > self.v_max:
                raise ValueError(f"Threshold must be at most {self.v_max} in {self.state_bits} bits, "
                                 f"not {layer.threshold}")

    @property
    def weight_max(self) -> int:
        """Largest weight; the smallest is its negative."""
        return (1 << (self.weight_bits - 1)) - 1

    @property
    def v_max(self) -> int:
        """Largest potential that is stored; the smallest is ``-v_max - 1``."""
        return (1 << (self.state_bits - 1)) - 1

    def words(self, neurons: int) -> int:
        """Return the number of words of so many lanes."""
        return -(-neurons // self.lanes)

    def row_words(self, index: int) -> tuple[int, int]:
        """Return how many words of rows a layer has for its inputs, and for itself (0 if not recurrent)."""
        layer = self.layers[index]
        before = self.layers[index - 1].neurons if index else self.inputs
        return self.words(before), self.words(layer.neurons) if layer.recurrent else 0

    def rows(self, index: int) -> int:
        """Return the number of rows of ``W`` and ``R`` of a layer, padding included."""
        return self.lanes * sum(self.row_words(index))

    def class_rows(self, index: int) -> int:
        """Return the number of rows of ``P`` and ``Q`` of a layer."""
        return self.classes * (2 if index == len(self.layers) - 1 else 1)

    def column(self, index: int) -> int:
        """Return the number of weight words that share a word of neurons: a column of all rows."""
        return self.rows(index) + self.class_rows(index)

    @property
    def similarity_bits(self) -> int:
        """Width of ``z`` and ``o``: they settle where the shifted value equals the largest sum of a step."""
        largest = max(layer.neurons for layer in self.layers) * self.weight_max
        return 1 + ((largest + 1) << self.trace_shift).bit_length()

    @property
    def sum_bits(self) -> int:
        """Width of ``u``, which holds every sum of a step."""
        rows = max(self.rows(index) for index in range(len(self.layers)))
        return 1 + (self.v_max + 1 + rows * self.weight_max).bit_length()

    @property
    def weight_words(self) -> int:
        """Words in the weight memory: the columns of each word of each layer, one after the other."""
        return sum(self.words(layer.neurons) * self.column(index) for index, layer in enumerate(self.layers))

    @property
    def state_bytes(self) -> dict[str, int]:
        """Bytes that learning adds to inference, and those of inference, by what they hold."""
        rows = sum(self.rows(index) for index in range(len(self.layers)))
        neurons = sum(layer.neurons for layer in self.layers)
        words = [self.words(layer.neurons) * self.lanes for layer in self.layers]
        prototypes = sum(self.classes * n for n in words) * self.weight_bits // 8
        similarities = -(-self.similarity_bits * self.classes * len(self.layers) // 8)
        return {"weights": sum(self.rows(i) * n for i, n in enumerate(words)) * self.weight_bits // 8,
                "averages": self.weight_words * self.lanes * self.weight_bits // 8
                if self.rule is Rule.FPTT else 0,
                "potentials": -(-neurons * self.state_bits // 8), "read-out": self.classes * words[-1],
                "traces": neurons, "pre-traces": rows, "windows": -(-2 * neurons // 8),
                "prototypes": prototypes, "similarities": similarities}

    @property
    def learning_overhead(self) -> dict[str, float]:
        """What learning adds in memory: ``bytes`` in all, ``per_neuron`` and ``per_synapse`` of them, and in
        relation to those of inference ``share``, and ``share_without_prototypes``.
        """
        sizes = self.state_bytes
        inference = sizes["weights"] + sizes["potentials"] + sizes["read-out"]
        synapses = 8 * sizes["weights"] // self.weight_bits
        total = sum(sizes.values()) - inference
        return {"bytes": total, "share": total / inference,
                "share_without_prototypes": (total - sizes["prototypes"]) / inference,
                "per_neuron": (total - sizes["averages"]) / sum(layer.neurons for layer in self.layers),
                "per_synapse": sizes["averages"] / synapses}

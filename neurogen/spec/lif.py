"""The integer contract of leaky integrate-and-fire (LIF) neurons."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from neurogen.spec.checks import check_array, check_int


__all__ = ["DECAY_ONE", "Lif", "Population", "Reset"]


# A decay factor of 1.0: factors are integers in units of 2**-12, as on Loihi.
DECAY_ONE = 4096


class Reset(StrEnum):
    """What a spike does to the membrane potential of its neuron."""

    SUBTRACT = "subtract"
    ZERO = "zero"
    NONE = "none"


class Population:
    """Neurons with a ``shape`` and array parameters, whatever their numbers are."""

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape))

    @property
    def cuba(self) -> bool:
        """Whether the neurons have a synaptic current."""
        return self.synapse_decay is not None

    def per_neuron(self, name: str) -> np.ndarray:
        """Return the array parameter ``name`` broadcast to the shape of the population."""
        value = getattr(self, name)
        if value.ndim == 1:
            value = value.reshape(value.shape + (1,) * (len(self.shape) - 1))
        return np.broadcast_to(value, self.shape)


@dataclass(frozen=True, kw_only=True, eq=False)
class Lif(Population):
    """A population of spiking neurons, or of read-out integrators.

    ``V`` is the membrane potential, a signed integer in units of ``2**-fraction_bits`` of a weight
    LSB. With ``S`` the weighted sum of the events that reach a neuron in this step, one step is

    ==========  ==================================================================================
    integrate   ``V <- V + 2**f * S + b``                  (``b`` includes the connections' biases)
    fire        ``z <- V >= theta``                        (never, for ``Reset.NONE``)
    reset       subtract: ``V <- V - theta`` if ``z``; zero: ``V <- v_reset`` if ``z``
    decay       ``V <- trunc(V * a / 4096)``               (toward zero; ``a = 4096`` is an IF neuron)
    clip        ``V <- clip(V, v_lo, v_hi)``               (the guard band)
    ==========  ==================================================================================

    With ``synapse_decay`` the neuron is a CuBa-LIF: a synaptic current ``I`` takes the input.

    =========== ==================================================================================
    integrate   ``I <- I + 2**f * S + b``, then ``V <- V + I``
    ``V``       fire, reset, decay and clip as above
    decay, clip ``I <- clip(trunc(I * a_s / 4096), i_lo, i_hi)``
    =========== ==================================================================================

    (Decaying at the end of step ``t`` is decaying at the start of step ``t + 1``.) With
    ``multi_spike``, fire and subtract repeat while ``V >= theta``; the neuron then emits several
    events in one step.

    No sum may leave the range of ``state_bits``: `Network.check_widths` proves it. With ``saturate`` there
    is no such proof, and each addition is clipped to that range instead: of every weight, then of
    ``b``, then ``V + I``. What comes out then depends on the order of the weights. It is that of the events
    where they arise, in the raster order ``(y, x, c)`` of an input or population; pools, `Flatten` and
    `Concat` keep it, and a `MaxPool` passes the first of several; several edges into one node come one after
    the other.

    All parameters that are arrays may have the shape ``()`` (one value for the layer), ``(C,)``
    (one per channel of a map) or, for vectors, ``(N,)`` (one per neuron).

    Parameters
    ----------
    shape
        ``(C, H, W)`` for a map, ``(N,)`` for a vector.
    threshold
        ``theta``, at least 1, in units of ``V``.
    decay
        ``a``, 0 to 4096, in units of 2**-12.
    bias
        ``b``, added in every step, in units of ``V``.
    reset
        A `Reset`.
    reset_value
        ``v_reset`` of ``Reset.ZERO``, in units of ``V``; below the threshold.
    synapse_decay
        ``a_s`` of a CuBa-LIF, 0 to 4096; ``None`` for a neuron without synaptic current.
    initial
        State before the first step, in units of ``V``: of ``I`` where there is one, else of ``V``.
        (``-b`` here makes a bias act from the second step on, as Norse's recurrent bias does.)
    fraction_bits
        ``f``, 0 to 8.
    state_bits
        Width ``B`` of ``V`` and ``I`` in two's complement, 4 to 32 bits.
    v_lo, v_hi
        Guard band of ``V``, inclusive.
    i_lo, i_hi
        Guard band of ``I``, inclusive; no meaning without ``synapse_decay``.
    multi_spike
        Whether a neuron may emit more than one event a step; only with ``Reset.SUBTRACT``.
    saturate
        Whether additions are clipped to ``state_bits``.
    """

    shape: tuple[int, ...]
    threshold: np.ndarray
    decay: np.ndarray = DECAY_ONE
    bias: np.ndarray = 0
    reset: Reset = Reset.SUBTRACT
    reset_value: np.ndarray = 0
    synapse_decay: np.ndarray | None = None
    initial: np.ndarray = 0
    fraction_bits: int = 0
    state_bits: int = 16
    v_lo: int = -(1 << 14)
    v_hi: int = (1 << 14) - 1
    i_lo: int = 0
    i_hi: int = 0
    multi_spike: bool = False
    saturate: bool = False

    def __post_init__(self):
        shape = tuple(int(check_int("Population size", n, minimum=1)) for n in self.shape)
        if len(shape) not in (1, 3):
            raise ValueError(f"Population shape must be (N,) or (C, H, W), not {shape!r}")
        self._set("shape", shape)
        self._set("reset", Reset(self.reset))
        check_int("Fraction bits", self.fraction_bits, minimum=0, maximum=8)
        check_int("State width", self.state_bits, minimum=4, maximum=32, unit="bits")
        low, high = -(1 << (self.state_bits - 1)), (1 << (self.state_bits - 1)) - 1
        check_int("Lower guard", self.v_lo, minimum=low, maximum=0)
        check_int("Upper guard", self.v_hi, minimum=0, maximum=high)
        check_int("Lower current guard", self.i_lo, minimum=low, maximum=0)
        check_int("Upper current guard", self.i_hi, minimum=0, maximum=high)
        self._set_array("Threshold", "threshold", minimum=1, maximum=high)
        self._set_array("Decay", "decay", minimum=0, maximum=DECAY_ONE)
        self._set_array("Bias", "bias", minimum=low, maximum=high)
        self._set_array("Reset value", "reset_value", minimum=low, maximum=high)
        self._set_array("Initial state", "initial", minimum=low, maximum=high)
        if self.synapse_decay is not None:
            self._set_array("Synapse decay", "synapse_decay", minimum=0, maximum=DECAY_ONE)
        if (self.reset_value >= self.threshold).any():
            raise ValueError("Reset value must be below the threshold")
        if self.multi_spike and self.reset is not Reset.SUBTRACT:
            raise ValueError(f"Reset of a multi-spike population must be 'subtract', "
                             f"not {self.reset.value!r}")

    def _set(self, name, value):
        object.__setattr__(self, name, value)

    def _set_array(self, title, name, **limits):
        value = check_array(title, getattr(self, name), shapes=((), (self.shape[0],)), **limits)
        self._set(name, value)

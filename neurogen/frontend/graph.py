"""The float network: the structure of `neurogen.spec.network.Network` with float64 parameters.

It says everything that reproduces a simulator; the quantiser maps it node by node to the integer spec.
"""

from dataclasses import dataclass

import numpy as np

from neurogen.spec.conv import ConvShape
from neurogen.spec.dense import DenseShape
from neurogen.spec.graph import Edge, Graph, Input
from neurogen.spec.lif import Population, Reset
from neurogen.spec.pool import Concat, Flatten, MaxPool, SumPool


__all__ = ["Concat", "Edge", "Flatten", "FloatConv", "FloatDense", "FloatLif", "FloatNetwork", "FloatNode",
           "Input", "MaxPool", "NirError", "Reset", "SumPool"]

ROUNDINGS = ("none", "trunc", "floor")


class NirError(ValueError):
    """A graph or a file that cannot be imported; the message names the file and the node."""


def _float_array(name, value, shapes=None):
    array = np.array(value, np.float64)  # a copy: nobody else can write to it
    if shapes is not None and array.shape not in shapes:
        raise ValueError(f"{name} must have shape {' or '.join(map(str, shapes))}, not {array.shape}")
    if np.isnan(array).any():
        raise ValueError(f"{name} must be numbers, not NaN")
    array.flags.writeable = False
    return array


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatConv(ConvShape):
    """A convolution, PyTorch's convention; groups, dilation and oblong kernels already expanded.

    Parameters
    ----------
    weight
        Shape ``(Co, Ci, K, K)``, ``K`` odd.
    stride
        At least 1, for both axes.
    padding
        Zero padding ``(vertical, horizontal)``, the same on both sides.
    bias
        Added to the target's neurons in every step; shape ``()`` or ``(Co,)``.
    """

    weight: np.ndarray
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    bias: np.ndarray = 0.0

    def __post_init__(self):
        weight = _float_array("Convolution weight", self.weight)
        if weight.ndim != 4 or weight.shape[2] != weight.shape[3]:
            raise ValueError(f"Convolution weight must have shape (Co, Ci, K, K), not {weight.shape}")
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "bias", _float_array(
            "Convolution bias", self.bias, ((), (weight.shape[0],))))


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatDense(DenseShape):
    """All-to-all synapses.

    Parameters
    ----------
    weight
        Shape ``(No, Ni)``.
    bias
        Added to the target's neurons in every step; shape ``()`` or ``(No,)``.
    """

    weight: np.ndarray
    bias: np.ndarray = 0.0

    def __post_init__(self):
        weight = _float_array("Dense weight", self.weight)
        if weight.ndim != 2:
            raise ValueError(f"Dense weight must have shape (No, Ni), not {weight.shape}")
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "bias", _float_array("Dense bias", self.bias, ((), (weight.shape[0],))))


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatLif(Population):
    """A population: LIF, IF, read-out (``Reset.NONE``) or CuBa-LIF (with ``synapse_decay``).

    One step, with ``S`` the weighted sum of this step's events and ``b`` all biases (defaults):

    =========  =====================================================================================
    integrate  ``V <- decay * V + S + b``; CuBa: ``I <- synapse_decay * I + S + b``, then
               ``V <- decay * V + I`` (``old_current``: ``V`` takes ``I`` as it was before)
    clamp      ``V <- max(V, v_lo)``
    fire       ``z <- V > threshold`` (``>=`` when not ``strict``; never, for ``Reset.NONE``)
    reset      subtract: ``V <- V - z * threshold``; zero: ``V <- reset_value`` where ``z``
    =========  =====================================================================================

    In the first step nothing decays, so ``initial`` means the same as in `neurogen.spec.lif.Lif`, and
    the state of that spec at the end of a step is ``decay`` times the ``V`` of this table.
    Arrays have the shape ``()``, ``(C,)`` (per channel or neuron) or that of the population.

    Parameters
    ----------
    shape
        ``(C, H, W)`` or ``(N,)``.
    threshold
        In units of ``V``; infinite for ``Reset.NONE``.
    decay, synapse_decay
        Factors from 0 to 1 per step. ``synapse_decay`` is ``None`` without a synaptic current.
    bias
        Added in every step to ``V``, or to ``I`` where there is one, besides the biases of synapses.
    reset, reset_value
        What a spike does to ``V``.
    initial
        State before the first step: of ``I`` where there is one, else of ``V``. (Minus a bias here
        makes it act from the second step on.)
    strict
        Whether a neuron fires only above its threshold (``>``), or also at it.
    reset_delayed
        The subtraction happens in the next step, after the decay: ``V <- decay * V + S + b - z' *
        threshold`` with ``z'`` the spike of the step before (Spyx). Only with ``Reset.SUBTRACT``.
    double_threshold
        snnTorch's variant of ``subtract``: a neuron whose ``V`` was still above the threshold after
        its last reset fires only above twice the threshold.
    old_current
        ``V`` integrates the current of the step before.
    multi_spike
        Fire and subtract repeat within the step.
    v_lo
        Lower clamp of ``V``, or ``None``.
    decay_rounding
        Rounding of ``decay * V`` and ``synapse_decay * I`` to an integer: 'none', 'trunc' or 'floor'.
    latency
        Steps by which the spikes leave the population later. The edges' delays already hold it;
        whoever reads an *output* shifts it by this many steps.
    unit
        NIR's units of potential per unit of ``V`` (not 1 where a gain was folded into the threshold).
    """

    shape: tuple[int, ...]
    threshold: np.ndarray
    decay: np.ndarray = 1.0
    synapse_decay: np.ndarray | None = None
    bias: np.ndarray = 0.0
    reset: Reset = Reset.SUBTRACT
    reset_value: np.ndarray = 0.0
    initial: np.ndarray = 0.0
    strict: bool = True
    reset_delayed: bool = False
    double_threshold: bool = False
    old_current: bool = False
    multi_spike: bool = False
    v_lo: np.ndarray | None = None
    decay_rounding: str = "none"
    latency: int = 0
    unit: np.ndarray = 1.0

    def __post_init__(self):
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "reset", Reset(self.reset))
        shapes = ((), self.shape[:1], self.shape)
        for name in ("threshold", "decay", "synapse_decay", "bias", "reset_value", "initial", "v_lo", "unit"):
            value = getattr(self, name)
            if value is not None:
                title = f"Population's {name.replace('_', ' ')}"
                object.__setattr__(self, name, _float_array(title, value, shapes))
        for name in ("decay", "synapse_decay"):
            value = getattr(self, name)
            if value is not None and not ((value >= 0) & (value <= 1)).all():
                raise ValueError(f"Population's {name.replace('_', ' ')} must be between 0 and 1, not from "
                                 f"{value.min():g} to {value.max():g}")
        if self.reset is not Reset.NONE and not (self.threshold > 0).all():
            raise ValueError(f"Threshold must be above 0, not {self.threshold.min():g}")
        if self.decay_rounding not in ROUNDINGS:
            raise ValueError(f"Decay rounding must be one of {ROUNDINGS}, not {self.decay_rounding!r}")
        for name in ("reset_delayed", "double_threshold", "multi_spike"):
            if getattr(self, name) and self.reset is not Reset.SUBTRACT:
                raise ValueError(f"Reset of a population with {name} must be 'subtract', "
                                 f"not {self.reset.value!r}")
        if self.reset_delayed + self.double_threshold + self.multi_spike > 1:
            raise ValueError("Population must have at most one of reset_delayed, double_threshold "
                             "and multi_spike")


FloatNode = Input | FloatLif | FloatConv | FloatDense | SumPool | MaxPool | Flatten | Concat


@dataclass(frozen=True, eq=False)
class FloatNetwork(Graph):
    """A directed graph with the rules of `neurogen.spec.network.Network`, in float64.

    Events flow from `Input` and `FloatLif` through pools, `Flatten` and `Concat` into synapses
    (`FloatConv`, `FloatDense`), whose currents flow into `FloatLif`. Only edges out of nodes that
    carry events have delays; every cycle holds one.

    Parameters
    ----------
    nodes
        Node by name.
    edges
        In the order in which a `Concat` takes them.
    outputs
        Names of the populations that leave the network.
    metadata
        ``rule``, ``dt`` (seconds or None), ``source`` and ``notes`` (a list of sentences: what the
        importer changed or had to decide); JSON values.
    """

    _population = FloatLif
    _synapses = (FloatConv, FloatDense)

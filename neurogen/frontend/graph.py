"""The float network: the structure of `neurogen.spec.network.Network` with float64 parameters.

It says everything that reproduces a simulator; the quantiser maps it node by node to the integer spec.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from neurogen.spec.lif import Reset
from neurogen.spec.network import Edge, Input
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
class FloatConv:
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

    @property
    def kernel(self) -> int:
        """Kernel size ``K``."""
        return self.weight.shape[2]

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Return ``(Co, Ho, Wo)`` for a map of shape ``(Ci, H, W)``."""
        if len(shape) != 3 or shape[0] != self.weight.shape[1]:
            raise ValueError(f"Input of the convolution must have {self.weight.shape[1]} channels, "
                             f"not shape {shape!r}")
        size = [(n + 2 * p - self.kernel) // self.stride + 1
                for n, p in zip(shape[1:], self.padding, strict=True)]
        if min(size) < 1:
            raise ValueError(f"Input of a {self.kernel}x{self.kernel} convolution must be at least "
                             f"as large as its kernel, not {shape!r}")
        return (self.weight.shape[0], *size)


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatDense:
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

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int]:
        """Return ``(No,)`` for a vector of shape ``(Ni,)``."""
        if shape != (self.weight.shape[1],):
            raise ValueError(f"Input of the dense layer must have shape ({self.weight.shape[1]},), "
                             f"not {shape!r}")
        return (self.weight.shape[0],)


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatLif:
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


FloatNode = Input | FloatLif | FloatConv | FloatDense | SumPool | MaxPool | Flatten | Concat
_SYNAPSES = (FloatConv, FloatDense)


@dataclass(frozen=True, eq=False)
class FloatNetwork:
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

    nodes: dict[str, FloatNode]
    edges: tuple[Edge, ...]
    outputs: tuple[str, ...]
    metadata: dict = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "nodes", dict(self.nodes))
        object.__setattr__(self, "edges", tuple(self.edges))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        if not self.inputs:
            raise ValueError("Network must have at least one input")
        if not self.outputs:
            raise ValueError("Network must have at least one output")
        for name in self.outputs:
            if not isinstance(self.nodes.get(name), FloatLif):
                raise ValueError(f"Output {name!r} must be a population of the network")
        for edge in self.edges:
            if edge.source not in self.nodes or edge.target not in self.nodes:
                raise ValueError(f"Edge {edge.source!r} -> {edge.target!r} must connect nodes of the network")
            current = isinstance(self.nodes[edge.source], _SYNAPSES)
            if current is not isinstance(self.nodes[edge.target], FloatLif):
                raise ValueError(f"Node {edge.target!r} must receive "
                                 f"{'events' if current else 'currents'}, not the output of {edge.source!r}")
            if current and edge.delay:
                raise ValueError(f"Edge {edge.source!r} -> {edge.target!r}: only events can be delayed")
        _ = self.order, self.shapes  # both check

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input nodes."""
        return tuple(n for n, node in self.nodes.items() if isinstance(node, Input))

    @cached_property
    def populations(self) -> tuple[str, ...]:
        """Names of the populations, in the order of `order`."""
        return tuple(n for n in self.order if isinstance(self.nodes[n], FloatLif))

    def sources(self, name: str) -> tuple[Edge, ...]:
        """Return the edges into a node."""
        return tuple(edge for edge in self.edges if edge.target == name)

    def targets(self, name: str) -> tuple[Edge, ...]:
        """Return the edges out of a node."""
        return tuple(edge for edge in self.edges if edge.source == name)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """All nodes, every one after the sources of its edges without delay."""
        waiting = {name: {e.source for e in self.sources(name) if not e.delay} for name in self.nodes}
        order: dict[str, None] = {}
        while waiting:
            ready = next((name for name, sources in waiting.items() if sources <= order.keys()), None)
            if ready is None:
                raise ValueError(f"Every cycle must hold an edge with a delay; there is none among "
                                 f"{', '.join(map(repr, waiting))}")
            order[ready] = None
            del waiting[ready]
        return tuple(order)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of what leaves each node."""
        shapes = {n: node.shape for n, node in self.nodes.items() if isinstance(node, Input | FloatLif)}
        waiting = [name for name in self.nodes if name not in shapes]
        while waiting:
            ready = [n for n in waiting if all(e.source in shapes for e in self.sources(n))]
            if not ready:
                raise ValueError(f"Every cycle must pass through a population; {waiting[0]!r} is in one "
                                 f"that does not")
            for name in ready:
                shapes[name] = self._output_shape(name, [shapes[e.source] for e in self.sources(name)])
            waiting = [name for name in waiting if name not in shapes]
        for name in self.populations:
            for edge in self.sources(name):
                if shapes[edge.source] != shapes[name]:
                    raise ValueError(f"Node {name!r} must receive shape {shapes[name]}, not "
                                     f"{shapes[edge.source]} of {edge.source!r}")
        return shapes

    def _output_shape(self, name, arriving):
        if not arriving:
            raise ValueError(f"Node {name!r} must have an incoming edge")
        if isinstance(self.nodes[name], Concat):
            return (sum(shape[0] for shape in arriving), *arriving[0][1:])
        if len(set(arriving)) != 1:
            raise ValueError(f"Node {name!r} must receive streams of one shape, not {arriving}")
        try:
            return self.nodes[name].output_shape(arriving[0])
        except ValueError as error:
            raise ValueError(f"Node {name!r}: {error}") from None

"""Plain NumPy simulation of a float network, step by step."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from neurogen.frontend.graph import (
    Concat,
    Edge,
    Flatten,
    FloatConv,
    FloatDense,
    FloatLif,
    FloatNetwork,
    Input,
    MaxPool,
    NirError,
    Reset,
    SumPool,
)


__all__ = ["Recording", "simulate"]

MAX_SPIKES = 65535  # of a neuron in a step


@dataclass(frozen=True, eq=False)
class Recording:
    """What populations did, by name; arrays ``[steps, *shape]``, or ``[batch, steps, *shape]``.

    Parameters
    ----------
    spikes
        Number of spikes as they leave the population: later by its ``latency``.
    potentials
        ``V`` after fire and reset, before the next step's decay, in NIR's units.
    currents
        ``I`` of populations that have one, in the units of the network's ``V``.
    """

    spikes: dict[str, np.ndarray]
    potentials: dict[str, np.ndarray]
    currents: dict[str, np.ndarray]


def simulate(network: FloatNetwork, inputs: Mapping[str, np.ndarray], record: tuple[str, ...] | None = None,
             dtype: type = np.float64) -> Recording:
    """Return what every population does, from the initial state.

    Parameters
    ----------
    inputs
        For each input node, event counts ``[steps, *shape]`` or ``[batch, steps, *shape]`` (any real
        numbers are taken).
    record
        Names of the populations to record; all by default.
    dtype
        Of states and weights: float64, or float32 as most simulators have it.
    """
    arrays, batched = _check_inputs(network, inputs, dtype)
    batch, steps = next(iter(arrays.values())).shape[:2]
    names = network.populations if record is None else tuple(record)
    for name in names:
        if name not in network.populations:
            raise ValueError(f"Recorded population must be one of {network.populations}, not {name!r}")
    run = _Run(network, batch, dtype)
    spikes = {n: np.zeros((batch, steps, *network.shapes[n]), np.uint16) for n in names}
    potentials = {n: np.zeros((batch, steps, *network.shapes[n]), dtype) for n in names}
    currents = {n: np.zeros_like(potentials[n]) for n in names if network.nodes[n].cuba}
    for t in range(steps):
        with np.errstate(over="ignore", invalid="ignore"):  # potentials that diverge: refused below
            run.step({name: array[:, t] for name, array in arrays.items()})
        for name in names:
            latency, fired = network.nodes[name].latency, run.history[name][-1]
            if not (fired <= MAX_SPIKES).all():
                raise NirError(f"Population {name!r} must fire at most {MAX_SPIKES} times in a step; its "
                               f"potentials diverge")
            if t + latency < steps:
                spikes[name][:, t + latency] = fired
            potentials[name][:, t] = run.v[name] * run.p[name]["unit"]
            if name in currents:
                currents[name][:, t] = run.i[name]
    pick = (lambda d: d) if batched else (lambda d: {n: a[0] for n, a in d.items()})
    return Recording(pick(spikes), pick(potentials), pick(currents))


def _check_inputs(network, inputs, dtype):
    if set(inputs) != set(network.inputs):
        raise ValueError(f"Inputs must be given for {sorted(network.inputs)}, not {sorted(inputs)}")
    arrays = {name: np.asarray(value, dtype) for name, value in inputs.items()}
    dims = {a.ndim - len(network.shapes[n]) for n, a in arrays.items()}
    for name, array in arrays.items():
        shape = network.shapes[name]
        if dims not in ({1}, {2}) or array.shape[array.ndim - len(shape):] != shape:
            raise ValueError(f"Input {name!r} must have shape [steps, *{shape}] or "
                             f"[batch, steps, *{shape}], not {array.shape}")
    if dims == {1}:
        arrays = {name: array[np.newaxis] for name, array in arrays.items()}
    if len({a.shape[:2] for a in arrays.values()}) != 1:
        raise ValueError("Inputs must have the same number of steps")
    return arrays, dims == {2}


_ROUND = {"none": lambda x: x, "trunc": np.trunc, "floor": np.floor}


class _Run:
    """State of a run: ``v``, ``i``, last spikes ``z``, and the history that delayed edges read."""

    def __init__(self, network, batch, dtype):
        self.network = network
        self.p, self.v, self.i, self.z = {}, {}, {}, {}
        for name in network.populations:
            lif = network.nodes[name]
            self.p[name] = {key: lif.per_neuron(key).astype(dtype) for key in (
                "threshold", "decay", "synapse_decay", "bias", "reset_value", "initial", "v_lo", "unit")
                if getattr(lif, key) is not None}
            self.v[name] = np.zeros((batch, *lif.shape), dtype)
            self.i[name] = np.zeros_like(self.v[name])
            self.z[name] = np.zeros_like(self.v[name])
        self.weights = {n: (node.weight.astype(dtype), node.bias.astype(dtype))
                        for n, node in network.nodes.items() if isinstance(node, FloatConv | FloatDense)}
        self.sources = {n: network.sources(n) for n in network.nodes}
        depth = {n: max((e.delay for e in network.targets(n)), default=0) + 1 for n in network.nodes}
        self.history = {n: [np.zeros((batch, *network.shapes[n]), dtype)] * depth[n] for n in network.nodes}
        self.first = True

    def step(self, inputs):
        """Advance by one step; ``history[name][-1]`` is then what left each node in it."""
        # All histories move on first, so that an edge of delay d reads entry -1 - d of every node.
        for past in self.history.values():
            past.append(past.pop(0))
        for name in self.network.order:
            node = self.network.nodes[name]
            if isinstance(node, Input):
                value = inputs[name]
            else:
                arriving = [self.read(edge) for edge in self.sources[name]]
                value = self.evaluate(name, node, arriving)
            self.history[name][-1] = value
        self.first = False

    def read(self, edge: Edge) -> np.ndarray:
        return self.history[edge.source][-1 - edge.delay]

    def evaluate(self, name, node, arriving):
        if isinstance(node, Concat):
            return np.concatenate(arriving, axis=1)
        total = sum(arriving[1:], arriving[0])
        match node:
            case FloatLif():
                return self.fire(name, node, total)
            case FloatDense():
                weight, bias = self.weights[name]
                return total @ weight.T + bias
            case FloatConv():
                weight, bias = self.weights[name]
                return _convolve(total, weight, node.stride, node.padding) + bias.reshape(-1, 1, 1)
            case MaxPool():
                return (_pool(total, node.size) > 0).astype(total.dtype)
            case SumPool():
                return _pool(total, node.size)
            case Flatten():
                return total.reshape(len(total), -1)
        raise TypeError(f"Node {name!r} must be a node of a float network, not {node!r}")

    def fire(self, name, lif, drive):
        """Advance a population by one step and return its spikes; the table of `FloatLif` as code."""
        p, v, i, z = self.p[name], self.v[name], self.i[name], self.z[name]
        round_, threshold = _ROUND[lif.decay_rounding], p["threshold"]
        drive = drive + p["bias"]
        leaked = round_(p["decay"] * v)
        if lif.cuba:
            kept = p["initial"] if self.first else round_(p["synapse_decay"] * i)
            self.i[name] = kept + drive
            leaked = leaked + (i if lif.old_current else self.i[name])
        else:
            leaked = (p["initial"] if self.first else leaked) + drive
        before, v = v, leaked
        if lif.reset_delayed:
            v = v - z * threshold
        if "v_lo" in p:
            v = np.maximum(v, p["v_lo"])
        above = np.greater if lif.strict else np.greater_equal
        if lif.reset is Reset.NONE:
            z = np.zeros_like(v)
        elif lif.double_threshold:
            z = above(v - threshold * above(before, threshold), threshold).astype(v.dtype)
        elif lif.multi_spike:
            ratio = v / threshold
            z = np.maximum(np.ceil(ratio) - 1 if lif.strict else np.floor(ratio), 0)
        else:
            z = above(v, threshold).astype(v.dtype)
        if lif.reset is Reset.SUBTRACT and not lif.reset_delayed:
            v = v - z * threshold
        elif lif.reset is Reset.ZERO:
            v = np.where(z > 0, p["reset_value"], v)
        self.v[name], self.z[name] = v, z
        return z


def _convolve(x, weight, stride, padding):
    size = weight.shape[2]
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    windows = sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    batch, _, height, width = windows.shape[:4]
    columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(batch * height * width, -1)
    result = columns @ weight.reshape(len(weight), -1).T
    return result.reshape(batch, height, width, -1).transpose(0, 3, 1, 2)


def _pool(x, size):
    batch, channels, height, width = x.shape
    x = x[:, :, :height // size * size, :width // size * size]
    return x.reshape(batch, channels, height // size, size, width // size, size).sum((3, 5))

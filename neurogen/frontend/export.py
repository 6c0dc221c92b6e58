"""Integer networks back to NIR.

Weights are written as integers times their scale, biases and thresholds likewise, and time constants such
that an Euler step of ``dt`` has the integer decay; a threshold is written a 4096th of an LSB lower, as
NIR fires above it and the contract at it. NIR cannot say how a spike resets, how wide a word is or where
it clips: this, and every integer parameter, is in the graph's metadata (the entry ``neurogen``, JSON).
`read_exported` brings back the same integers.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import h5py
import nir
import numpy as np

from neurogen.frontend.discretise import discretise
from neurogen.frontend.graph import NirError
from neurogen.frontend.nir_file import read_nir
from neurogen.frontend.quantise import quantise
from neurogen.frontend.rules import RULES, Rule
from neurogen.spec.conv import Conv
from neurogen.spec.dense import Dense
from neurogen.spec.lif import DECAY_ONE, Lif, Reset
from neurogen.spec.network import Input, Network
from neurogen.spec.pool import Flatten, MaxPool, SumPool


__all__ = ["ExportError", "export_nir", "read_exported"]


_BELOW = 2.0**-12  # how far below the integer threshold NIR's strict one lies, in units of V
_FOREVER = 2.0**40  # time constant of what does not decay, in steps: 1 - 2**-40 is 4096 / 4096
_BANDS = ("v_lo", "v_hi", "i_lo", "i_hi")


class ExportError(ValueError):
    """A network that NIR cannot express; the message names the node."""


def export_nir(network: Network, path: str | Path, *, dt: float = 1e-4) -> None:
    """Write an integer network as a ``.nir`` file that `nir.read` reads.

    Parameters
    ----------
    network
        The network. The scales are those of its metadata, where the quantiser leaves them; 1 without.
    path
        The file.
    dt
        Length of a step in seconds; NIR's time constants and delays are multiples of it.

    Raises
    ------
    ExportError
        If NIR has no node for something, or no way to say it.
    """
    if not dt > 0:
        raise ValueError(f"Step must be above 0 seconds, not {dt!r}")
    graph = _Exporter(network, dt).graph()
    path = Path(path)
    part = path.with_name(path.name + ".part")
    nir.write(part, graph)
    part.replace(path)


def read_exported(path: str | Path) -> Network:
    """Return the integer network of a file that `export_nir` wrote.

    Nodes and edges have the order of the file. The decay to be read, the rule and the widths are those
    of the file's metadata; the integers are quantised anew from the graph.
    """
    graph = read_nir(path)
    with h5py.File(path, "r") as file:
        entry = file.get("node/metadata/neurogen")
        if entry is None:
            raise NirError(f"{path}: file must be one that neurogen exported")
        try:
            facts = json.loads(entry[()])
            rule = Rule(**facts["rule"])
            populations = facts["populations"]
            options = {key: {name: facts[key] for name, facts in populations.items()}
                       for key in ("weight_bits", "state_bits", "fraction_bits", "scale")}
            guards = {name: {key: facts[key] for key in _BANDS} for name, facts in populations.items()}
            step = facts["dt"], facts["max_multiplicity"]
        except (KeyError, TypeError, ValueError) as error:
            raise NirError(f"{path}: neurogen's metadata must be complete: {error}") from None
    network = discretise(graph, rule, step[0], max_multiplicity=step[1])
    result = quantise(network, guards=guards, **options)[0]
    return replace(result, metadata=facts["metadata"])


class _Exporter:
    def __init__(self, network, dt):
        self.network, self.dt = network, dt
        self.nodes, self.edges = {}, []
        known = network.metadata.get("quantisation", {}).get("populations", {})
        self.scales = {name: np.asarray(known.get(name, {}).get("scale", 1.0), np.float64)
                       for name in network.populations}

    def graph(self):
        network = self.network
        for name, node in network.nodes.items():
            if not name.strip(".") or "/" in name:
                raise ExportError(f"Node {name!r}: a name in NIR must not hold a slash or be dots only")
            self.nodes[name] = self.node(name, node)
        for edge in network.edges:
            self.connect(edge)
        for name in network.outputs:
            output = self.unique("output" if len(network.outputs) == 1 else f"output_{name}")
            self.nodes[output] = nir.Output(output_type={"output": np.array(network.nodes[name].shape)})
            self.edges.append((name, output))
        return nir.NIRGraph(nodes=self.nodes, edges=self.edges,
                            metadata={"neurogen": json.dumps(self.facts())})

    def unique(self, name):
        count = 1
        wanted = name
        while name in self.network.nodes or name in self.nodes:
            count += 1
            name = f"{wanted}_{count}"
        return name

    def connect(self, edge):
        """Add an edge; NIR's cycles read the step before, any other delay is a node."""
        if not edge.delay or (edge.delay == 1 and self.recurrent(edge.target, edge.source)):
            self.edges.append((edge.source, edge.target))
            return
        name = self.unique(f"{edge.source}_{edge.target}_delay")
        shape = self.network.shapes[edge.source]
        self.nodes[name] = nir.Delay(delay=np.full(shape, edge.delay * self.dt))
        self.edges += [(edge.source, name), (name, edge.target)]

    def recurrent(self, synapse, population):
        return (isinstance(self.network.nodes[synapse], Conv | Dense)
                and any(e.target == population for e in self.network.targets(synapse)))

    # -- Nodes --------------------------------------------------------------------------------------

    def node(self, name, node):
        shape = self.network.shapes[name]
        arriving = [self.network.shapes[edge.source] for edge in self.network.sources(name)]
        if isinstance(node, Input):
            return nir.Input(input_type={"input": np.array(shape)})
        if isinstance(node, Lif):
            return self.population(name, node)
        if isinstance(node, Conv | Dense):
            return self.synapse(name, node, arriving[0])
        if isinstance(node, Flatten):
            return nir.Flatten(input_type={"input": np.array(arriving[0])}, start_dim=0, end_dim=-1)
        if isinstance(node, SumPool) and not isinstance(node, MaxPool):
            size = np.array([node.size, node.size])
            return nir.SumPool2d(kernel_size=size, stride=size, padding=np.zeros(2, np.int64))
        raise ExportError(f"Node {name!r}: NIR has no node for a {type(node).__name__}")

    def synapse(self, name, node, shape):
        targets = [edge.target for edge in self.network.targets(name)]
        if len(targets) != 1:
            raise ExportError(f"Node {name!r} must feed one population, whose scale its weights have; "
                              f"give each population its own copy")
        lif, scale = self.network.nodes[targets[0]], self.scales[targets[0]]
        column = scale.reshape(-1, *[1] * (node.weight.ndim - 1)) if scale.ndim else scale
        weight = node.weight * column
        bias = node.bias
        if lif.cuba and targets[0] in self.network.nodes and self.first_synapse(targets[0]) == name:
            bias = bias + lif.bias  # NIR drives V of such a neuron, the contract I: its synapse can
        bias = np.broadcast_to(bias * scale / 2.0**lif.fraction_bits, (len(weight),)).copy()
        if isinstance(node, Dense):
            return nir.Affine(weight=weight, bias=bias) if bias.any() else nir.Linear(weight=weight)
        return nir.Conv2d(input_shape=tuple(shape[1:]), weight=weight, stride=(node.stride,) * 2,
                          padding=node.padding, dilation=(1, 1), groups=1, bias=bias)

    def first_synapse(self, name):
        sources = self.network.sources(name)
        first = [e.source for e in sources if not self.recurrent_sources(e.source)]
        return (first or [sources[0].source])[0]

    def recurrent_sources(self, synapse):
        """Return the populations that a synapse both reads, a step late, and feeds."""
        return [e.source for e in self.network.sources(synapse)
                if e.delay == 1 and self.recurrent(synapse, e.source)]

    def population(self, name, lif):
        if lif.saturate:
            raise ExportError(f"Node {name!r}: NIR has no neuron that clips its additions")
        unit = self.scales[name] / 2.0**lif.fraction_bits
        unit = unit.reshape(-1, *[1] * (len(lif.shape) - 1)) if unit.ndim else unit

        def steps(key):
            left = DECAY_ONE - lif.per_neuron(key)
            return np.where(left > 0, DECAY_ONE / np.maximum(left, 1), _FOREVER)

        values = {}
        if lif.cuba:
            mem, syn = steps("decay"), steps("synapse_decay")
            values = {"tau_syn": syn * self.dt, "tau_mem": mem * self.dt, "r": mem, "w_in": syn,
                      "v_leak": np.zeros(lif.shape)}
        elif (lif.decay == DECAY_ONE).all() and not lif.bias.any():
            values = {"r": np.ones(lif.shape)}
        else:
            tau = steps("decay")
            values = {"tau": tau * self.dt, "r": tau, "v_leak": lif.per_neuron("bias") * unit * tau}
        kind = "Cuba" if lif.cuba else "L" if "tau" in values else ""
        if lif.reset is Reset.NONE:
            return {"Cuba": nir.CubaLI, "L": nir.LI, "": nir.I}[kind](**values)
        values["v_threshold"] = (lif.per_neuron("threshold") - _BELOW) * unit
        reset = lif.per_neuron("reset_value") if lif.reset is Reset.ZERO else np.zeros(lif.shape)
        values["v_reset"] = np.broadcast_to(reset * unit, lif.shape).copy()
        return {"Cuba": nir.CubaLIF, "L": nir.LIF, "": nir.IF}[kind](**values)

    # -- Metadata -----------------------------------------------------------------------------------

    def facts(self):
        """Return what NIR cannot say, and every integer, as JSON values."""
        network = self.network
        multiplicities = {network.nodes[name].max_multiplicity for name in network.inputs}
        if len(multiplicities) > 1:
            raise ExportError(f"Inputs must have one multiplicity, not {sorted(multiplicities)}")
        return {"format": "neurogen.nir", "version": 1, "digest": network.digest, "dt": self.dt,
                "max_multiplicity": multiplicities.pop(), "rule": asdict(self.rule()),
                "populations": {name: self.population_facts(name) for name in network.populations},
                "metadata": network.metadata}

    def population_facts(self, name):
        lif = self.network.nodes[name]
        weights = [self.network.nodes[edge.source].weight for edge in self.network.sources(name)]
        known = self.network.metadata.get("quantisation", {}).get("populations", {}).get(name, {})
        facts = {"scale": self.scales[name].tolist(),
                 "weight_bits": known.get("weight_bits", max(2, _bits(weights)))}
        for key in ("threshold", "decay", "synapse_decay", "bias", "reset_value", "initial"):
            value = getattr(lif, key)
            facts[key] = None if value is None else value.tolist()
        return facts | {"reset": lif.reset.value, "multi_spike": lif.multi_spike,
                        "fraction_bits": lif.fraction_bits, "state_bits": lif.state_bits,
                        **{key: getattr(lif, key) for key in _BANDS}}

    def rule(self):
        """Return the discretisation that reads the graph as it is meant."""
        network = self.network
        firing = {name: network.nodes[name] for name in network.populations
                  if network.nodes[name].reset is not Reset.NONE}
        modes: Mapping = {(lif.reset, lif.multi_spike): name for name, lif in firing.items()}
        if len(modes) > 1:
            first, second = list(modes.values())[:2]
            raise ExportError(f"Nodes {first!r} and {second!r} must have the same reset and spikes per step, "
                              f"as NIR does not tell how a spike resets")
        reset, multi_spike = next(iter(modes), (Reset.ZERO, False))
        late = {self.bias_late(name) for name in network.populations} - {None}
        if len(late) > 1:
            raise ExportError("Biases of recurrent synapses must all act from the first or all from the "
                              "second step on, as NIR does not tell")
        name = "norse" if True in late else "euler"
        return replace(RULES[name], reset=reset, multi_spike=multi_spike)

    def bias_late(self, name):
        """Return whether the recurrent biases of a population act from the second step on."""
        lif = self.network.nodes[name]
        biases = [self.network.nodes[edge.source].bias for edge in self.network.sources(name)
                  if self.recurrent_sources(edge.source)]
        total = np.broadcast_to(sum(biases, np.zeros((), np.int64)), lif.shape[:1])
        if not lif.initial.any():
            return False if total.any() else None
        if (lif.initial != -total).any():
            raise ExportError(f"Node {name!r}: NIR has no initial state, but for minus the bias of "
                              f"recurrent synapses")
        return True


def _bits(weights):
    return max(int(np.abs(weight).max()).bit_length() for weight in weights) + 1

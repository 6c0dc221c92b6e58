"""Random networks and events for tests; every network passes `Network.check_widths`."""

from dataclasses import replace

import numpy as np

from neurogen.spec.conv import Conv
from neurogen.spec.dense import Dense
from neurogen.spec.events import Events
from neurogen.spec.lif import DECAY_ONE, Lif, Reset
from neurogen.spec.network import Edge, Input, Network
from neurogen.spec.pool import Concat, Flatten, MaxPool, SumPool


__all__ = ["KINDS", "eager", "random_events", "random_network", "saturating"]


# What a random network may hold. "parallel": several synapses into one population; "residual": several
# streams into one node; "per_channel": array parameters (else one value per layer).
KINDS = frozenset({"conv", "dense", "sumpool", "maxpool", "flatten", "concat", "residual", "parallel",
                   "recurrent", "delay", "cuba", "multi_spike", "bias", "initial", "per_channel",
                   "two_inputs", "readout"})


def random_network(seed: int, *, kinds: frozenset[str] | set[str] = KINDS, layers: int = 3,
                   size: int = 8, channels: int = 4, units: int = 12, kernels: tuple[int, ...] = (1, 3, 5, 7),
                   strides: tuple[int, ...] = (1, 2), pools: tuple[int, ...] = (2, 3), weight_bits: int = 4,
                   state_bits: int = 24, fraction_bits: int = 6, max_multiplicity: int = 2,
                   resets: tuple[str, ...] = ("subtract", "zero")) -> Network:
    """Return a network that depends on nothing but the arguments.

    Parameters
    ----------
    kinds
        What it may hold, of `KINDS`; at least one of "conv" and "dense". Without "conv" its input is a
        vector; with "conv" but without "flatten" it has no dense layer after a map.
    layers
        Number of populations.
    size, channels, units
        Largest height or width, number of channels of a map, and length of a vector.
    kernels, strides, pools
        Sizes of kernels, strides and sizes of pools to choose from.
    weight_bits
        Width of the weights (they are made smaller where `state_bits` asks for it).
    state_bits, fraction_bits
        Largest values of these parameters of the populations.
    max_multiplicity
        Largest multiplicity of the inputs.
    resets
        Resets to choose from; the last population may also be a read-out, if "readout" is in ``kinds``.
    """
    unknown = set(kinds) - KINDS
    if unknown or not kinds & {"conv", "dense"}:
        raise ValueError(f"Kinds must be of {sorted(KINDS)} with 'conv' or 'dense', not {sorted(kinds)}")
    builder = _Builder(np.random.default_rng(seed), frozenset(kinds), size, channels, units, kernels,
                       strides, pools, weight_bits, max_multiplicity)
    for layer in range(layers):
        builder.add_layer(layer)
    return builder.finish(state_bits, fraction_bits, resets)


def random_events(network: Network, seed: int, steps: int, density: float = 0.1) -> dict[str, Events]:
    """Return events for every input: each address spikes with probability ``density`` in each step."""
    rng = np.random.default_rng(seed)
    events = {}
    for name in network.inputs:
        node = network.nodes[name]
        shape = (steps, *node.shape)
        counts = rng.integers(1, node.max_multiplicity, shape, endpoint=True)
        events[name] = Events.from_counts(counts * (rng.random(shape) < density))
    return events


class _Builder:
    def __init__(self, rng, kinds, size, channels, units, kernels, strides, pools, weight_bits,
                 multiplicity):
        self.rng, self.kinds, self.kernels, self.strides, self.pools = rng, kinds, kernels, strides, pools
        self.size, self.channels, self.units, self.weight_bits = size, channels, units, weight_bits
        self.nodes, self.edges, self.shapes = {}, [], {}
        self.streams = []  # nodes that carry events, oldest first
        if "conv" in kinds:
            shape = (self.upto(channels), *(self.upto(size, size // 2) for _ in range(2)))
        else:
            shape = (self.upto(units, 2),)
        for index in range(1 + self.perhaps("two_inputs", 0.3)):
            node = Input(shape=shape, max_multiplicity=self.upto(multiplicity))
            self.add(f"input{index}", node, shape)

    def upto(self, high, low=1):
        return int(self.rng.integers(max(1, low), high, endpoint=True))

    def pick(self, options):
        return options[int(self.rng.integers(len(options)))]

    def perhaps(self, kind, probability=0.4):
        return bool(kind in self.kinds and self.rng.random() < probability)

    def add(self, name, node, shape, *sources):
        self.nodes[name] = node
        self.shapes[name] = shape
        for source in sources:
            self.connect(source, name)
        if not isinstance(node, Conv | Dense):
            self.streams.append(name)
        return name

    def connect(self, source, target, least=0):
        carries_events = not isinstance(self.nodes[source], Conv | Dense)
        delay = self.upto(3) if carries_events and self.perhaps("delay", 0.2) else 0
        self.edges.append(Edge(source, target, max(delay, least)))

    def others(self, name, dimensions):
        """Earlier streams whose last ``dimensions`` sizes are those of ``name``."""
        shape = self.shapes[name]
        return [s for s in self.streams if s != name and len(self.shapes[s]) == len(shape)
                and self.shapes[s][-dimensions:] == shape[-dimensions:]]

    def add_layer(self, layer):
        sources = [self.streams[-1]]
        if layer == 0 and len(self.streams) == 2:
            sources = list(self.streams)
        shape = self.shapes[sources[0]]
        if len(sources) == 1 and self.perhaps("concat", 0.5) and len(shape) == 3:
            others = self.others(sources[0], 2)
            if others:
                sources = [self.pick(others), sources[0]]
                shape = (sum(self.shapes[s][0] for s in sources), *shape[1:])
                sources = [self.add(f"concat{layer}", Concat(), shape, *sources)]
        if self.perhaps("residual", 0.5):
            sources += [s for s in self.others(sources[0], len(shape)) if s not in sources][-1:]
        for kind, cls in (("sumpool", SumPool), ("maxpool", MaxPool)):
            if len(shape) == 3 and min(shape[1:]) >= 4 and self.perhaps(kind, 0.25):
                node = cls(size=self.pick(self.pools))
                shape = node.output_shape(shape)
                sources = [self.add(f"{kind}{layer}", node, shape, *sources)]
        if len(shape) == 3 and layer and "dense" in self.kinds and self.perhaps("flatten"):
            shape = (int(np.prod(shape)),)
            sources = [self.add(f"flatten{layer}", Flatten(), shape, *sources)]
        synapses = [self.synapse(shape)]
        target = synapses[0].output_shape(shape)
        if self.perhaps("parallel", 0.3):
            synapses.append(self.parallel(synapses[0], shape, target))
        names = [self.add(f"{type(s).__name__.lower()}{layer}{'ab'[i]}", s, target, *sources)
                 for i, s in enumerate(synapses)]
        name = self.add(f"lif{layer}", None, target, *names)
        if self.perhaps("recurrent", 0.4):
            self.recur(layer, name, target)

    def weight(self, *shape):
        limit = 1 << (self.weight_bits - 1)
        spread = self.rng.normal(0.2, 0.4, shape) * limit
        return np.clip(np.rint(spread), -limit, limit - 1).astype(np.int64)

    def bias(self, size):
        if not self.perhaps("bias", 0.4):
            return 0
        shape = (size,) if self.perhaps("per_channel", 0.5) else ()
        return self.rng.integers(-3, 3, shape, endpoint=True)

    def synapse(self, shape):
        if len(shape) == 1:
            outputs = self.upto(self.units, 2)
            return Dense(weight=self.weight(outputs, shape[0]), bias=self.bias(outputs))
        outputs = self.upto(self.channels)
        while True:
            kernel = self.pick(self.kernels)
            padding = tuple(int(self.rng.integers(kernel)) for _ in range(2))
            if self.rng.random() < 0.5:
                padding = (kernel // 2, kernel // 2)
            if min(n + 2 * p - kernel for n, p in zip(shape[1:], padding, strict=True)) >= 0:
                break
        return Conv(weight=self.weight(outputs, shape[0], kernel, kernel), stride=self.pick(self.strides),
                    padding=padding, bias=self.bias(outputs))

    def parallel(self, first, shape, target):
        """A second synapse between the same shapes; of another kernel size where possible."""
        weight = self.weight(*first.weight.shape)
        if isinstance(first, Dense):
            return Dense(weight=weight)
        point = Conv(weight=self.weight(*weight.shape[:2], 1, 1), stride=first.stride)
        return point if point.output_shape(shape) == target else replace(first, weight=weight)

    def recur(self, layer, name, shape):
        if len(shape) == 1:
            node = Dense(weight=self.weight(shape[0], shape[0]))
        else:
            kernel = self.pick([k for k in self.kernels if k // 2 <= min(shape[1:])] or [1])
            node = Conv(weight=self.weight(shape[0], shape[0], kernel, kernel), padding=kernel // 2)
        self.add(f"recurrent{layer}", node, shape)
        self.connect(name, f"recurrent{layer}", least=1)
        self.connect(f"recurrent{layer}", name)

    # -- Populations, once everything that reaches them is known --------------------------------------

    def finish(self, state_bits, fraction_bits, resets):
        populations = [name for name, node in self.nodes.items() if node is None]
        draft = {}
        for name in populations:
            spikes = self.upto(6, 3) if self.perhaps("multi_spike", 0.3) and "subtract" in resets else 1
            draft[name] = Lif(shape=self.shapes[name], state_bits=32, threshold=((1 << 31) - 1) // spikes,
                              fraction_bits=int(self.rng.integers(fraction_bits, endpoint=True)),
                              bias=self.bias(self.shapes[name][0]), v_lo=0, v_hi=0, multi_spike=spikes > 1,
                              synapse_decay=0 if self.perhaps("cuba", 0.3) else None)
        while True:
            network = Network({**self.nodes, **draft}, tuple(self.edges), (populations[-1],))
            wide = [n for n in populations if _bits(network, n) > state_bits]
            if not wide:
                break
            for name in wide:
                self.shrink(name, draft)
        lifs = {name: self.population(network, name, state_bits, resets, name == populations[-1])
                for name in populations}
        nodes = {name: lifs.get(name, node) for name, node in self.nodes.items()}
        outputs = (*(n for n in populations[:-1] if self.rng.random() < 0.3), populations[-1])
        network = Network(nodes, tuple(self.edges), outputs)
        network.check_widths()
        return network

    def shrink(self, name, draft):
        """Make the largest input of a population about half as large."""
        if draft[name].fraction_bits:
            draft[name] = replace(draft[name], fraction_bits=draft[name].fraction_bits - 1)
            return
        synapses = [e.source for e in self.edges if e.target == name]
        if not any(self.nodes[s].weight.any() for s in synapses):
            raise ValueError("State width must be wide enough for the biases of a random network")
        for synapse in synapses:
            weight = self.nodes[synapse].weight
            half = np.sign(weight) * (np.abs(weight) // 2)
            self.nodes[synapse] = replace(self.nodes[synapse], weight=half)

    def values(self, size, low, high):
        low, high = int(min(low, high)), int(high)
        shape = (size,) if self.perhaps("per_channel", 0.5) else ()
        return self.rng.integers(low, high, shape, endpoint=True)

    def population(self, network, name, state_bits, resets, last):
        draft = network.nodes[name]
        proof = network.proof(name)
        channels = draft.shape[0]
        # A multi-spike neuron fires often only where states are not much wider than inputs.
        bits = min(state_bits, _bits(network, name) + int(self.rng.integers(1 if draft.multi_spike else 3)))
        room = (1 << (bits - 1)) - 1 - proof.positive, -(1 << (bits - 1)) - proof.negative
        guard = {"v_lo": room[1], "v_hi": room[0]}
        if draft.cuba:
            part = int(self.rng.integers(1, 4))
            guard |= {"i_lo": room[1] * part // 4, "i_hi": room[0] * part // 4}
            guard["v_lo"] -= guard["i_lo"]
            guard["v_hi"] -= guard["i_hi"]
        if self.rng.random() < 0.3:  # a guard band that clips often
            guard["v_lo"] = -min(-guard["v_lo"], max(1, proof.positive // 8))
            guard["v_hi"] = min(guard["v_hi"], max(1, proof.positive // 4))
            if draft.cuba:
                guard["i_lo"] = -min(-guard["i_lo"], max(1, proof.positive // 16))
                guard["i_hi"] = min(guard["i_hi"], max(1, proof.positive // 8))
        reset = Reset.SUBTRACT if draft.multi_spike else Reset(self.pick(resets))
        if last and not draft.multi_spike and self.perhaps("readout", 0.2):
            reset = Reset.NONE
        typical = max(1, proof.positive // 24)
        threshold = self.values(channels, 1 + typical // 8, 1 + typical)
        if draft.multi_spike:
            spikes = ((1 << 31) - 1) // int(draft.threshold)
            least = ((1 << (bits - 1)) - 1) // (spikes + 1) + 1
            threshold = np.maximum(threshold, least)  # as few spikes as the proof reckons with
        initial = 0
        if self.perhaps("initial", 0.4):
            state = "i" if draft.cuba else "v"
            initial = self.values(channels, guard[f"{state}_lo"] // 2, guard[f"{state}_hi"] // 2)
        decay = DECAY_ONE if self.rng.random() < 0.2 else self.values(channels, 2048, DECAY_ONE)
        reset_value = 0
        if reset is Reset.ZERO:
            low = max(guard["v_lo"], -typical)
            reset_value = self.values(channels, low, int(threshold.min()) - 1)
        return replace(draft, threshold=threshold, decay=decay, reset=reset, reset_value=reset_value,
                       synapse_decay=self.values(channels, 1024, DECAY_ONE) if draft.cuba else None,
                       initial=initial, state_bits=bits, **guard)


def _bits(network, name):
    """Width that leaves a population as much room for its state as its largest input takes."""
    proof = network.proof(name)
    reach = max(proof.positive, -proof.negative, 3)
    node = network.nodes[name]
    return reach.bit_length() + (3 if node.cuba else 1 if node.multi_spike else 2)


def saturating(network: Network, state_bits: int) -> Network:
    """Return a network whose states are so narrow that additions are clipped; parameters are, too."""
    low, high = -(1 << state_bits - 1), (1 << state_bits - 1) - 1

    def narrow(node):
        if isinstance(node, Conv | Dense):
            return replace(node, bias=np.clip(node.bias, low // 8, high // 8))
        if not isinstance(node, Lif):
            return node
        threshold = np.minimum(node.threshold, high // 2)
        return replace(node, saturate=True, state_bits=state_bits, threshold=threshold,
                       fraction_bits=min(node.fraction_bits, max(0, state_bits - 6)),
                       bias=np.clip(node.bias, low // 8, high // 8), initial=np.clip(node.initial, low, high),
                       reset_value=np.clip(node.reset_value, low, int(threshold.min()) - 1),
                       v_lo=low, v_hi=high, i_lo=low // 2, i_hi=high // 2)

    return replace(network, nodes={name: narrow(node) for name, node in network.nodes.items()})


def eager(network: Network, spikes: int) -> Network:
    """Return a network whose neurons may fire up to ``spikes`` times in a step, and often do."""
    for name in network.populations:
        node = network.nodes[name]
        if node.reset is Reset.NONE:  # receives more than before
            network = replace(network, nodes=network.nodes | {name: replace(node, state_bits=24)})
            continue
        for bits in range(8, 25):
            half = 1 << bits - 1
            trial = replace(node, multi_spike=True, reset="subtract", state_bits=bits, v_lo=-half // 4,
                            v_hi=half // 4, i_lo=-half // 8, i_hi=half // 8, initial=0, reset_value=0,
                            bias=np.clip(node.bias, 0, half // 16),
                            threshold=min(half - 1, -(-half // spikes)))
            network = replace(network, nodes=network.nodes | {name: trial})
            if network.proof(name).bits <= bits:
                break
    return network

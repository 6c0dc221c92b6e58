"""A second, naive model of the integer contract.

Plain integers, exact fractions and loops over neurons and taps: written from the docstrings of
`neurogen.spec`, with nothing in common with `neurogen.golden`.
"""

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from math import trunc

from neurogen.spec.conv import Conv
from neurogen.spec.dense import Dense
from neurogen.spec.events import Events
from neurogen.spec.lif import Lif, Reset
from neurogen.spec.network import Input, Network
from neurogen.spec.pool import Concat, Flatten, MaxPool, SumPool


@dataclass
class Trace:
    """Everything that happened: lists over steps, by node; events and states by address tuple."""

    spikes: dict[str, list[Counter]] = field(default_factory=dict)
    potentials: dict[str, list[dict]] = field(default_factory=dict)
    currents: dict[str, list[dict]] = field(default_factory=dict)
    events_in: dict[str, list[int]] = field(default_factory=dict)
    sops: dict[str, list[int]] = field(default_factory=dict)
    updates: dict[str, list[int]] = field(default_factory=dict)
    situations: set[str] = field(default_factory=set)


def simulate(network: Network, events: dict[str, Events], steps: int) -> Trace:
    """Return what the network does."""
    trace = Trace()
    v, i, history = {}, {}, {}
    for name, node in network.nodes.items():
        history[name] = []
        if isinstance(node, Lif):
            for store in (trace.spikes, trace.potentials, trace.currents, trace.updates):
                store[name] = []
            first = {a: _parameter(node.initial, a) for a in _addresses(node.shape)}
            v[name] = dict.fromkeys(first, 0) if node.synapse_decay is not None else dict(first)
            i[name] = dict(first)
        if isinstance(node, Conv | Dense):
            trace.events_in[name], trace.sops[name] = [], []
    for t in range(steps):
        done = set()
        while len(done) < len(network.nodes):
            for name, node in network.nodes.items():
                into = [e for e in network.edges if e.target == name]
                if name in done or any(e.delay == 0 and e.source not in done for e in into):
                    continue
                done.add(name)
                if isinstance(node, Input):
                    history[name].append(_recorded(events[name], t))
                elif isinstance(node, Lif):
                    history[name].append(_neurons(network, name, node, into, history, v, i, trace))
                else:
                    if any(e.delay > t for e in into):
                        trace.situations.add("nothing before step 0")
                    streams = [history[e.source][t - e.delay] if t >= e.delay else Counter() for e in into]
                    history[name].append(_transform(network, name, node, into, streams, trace))
    return trace


def _addresses(shape):
    return list(product(*(range(n) for n in shape)))


def _parameter(array, address):
    return int(array) if array.ndim == 0 else int(array[address[0]])


def _recorded(recording, t):
    result = Counter()
    shape = recording.shape
    for when, index in zip(recording.t.tolist(), recording.index.tolist(), strict=True):
        if when == t:
            if len(shape) == 1:
                result[(index,)] += 1
            else:
                result[(index // (shape[1] * shape[2]), index // shape[2] % shape[1], index % shape[2])] += 1
    return result


def _transform(network, name, node, into, streams, trace):
    if isinstance(node, Concat):
        result, offset = Counter(), 0
        for edge, stream in zip(into, streams, strict=True):
            for (first, *rest), times in stream.items():
                result[(first + offset, *rest)] += times
            offset += network.shapes[edge.source][0]
        return result
    union = sum(streams, Counter())
    shape = network.shapes[into[0].source]
    if isinstance(node, Flatten):
        place = {address: (n,) for n, address in enumerate(_addresses(shape))}
        return Counter({place[address]: times for address, times in union.items()})
    if isinstance(node, SumPool):
        result = Counter()
        for (c, y, x), times in union.items():
            if y // node.size < shape[1] // node.size and x // node.size < shape[2] // node.size:
                result[(c, y // node.size, x // node.size)] += times
            else:
                trace.situations.add("dropped by a pool")
        if isinstance(node, MaxPool):
            if any(times > 1 for times in result.values()):
                trace.situations.add("repeat dropped by a max pool")
            return Counter(dict.fromkeys(result, 1))
        return result
    trace.events_in[name].append(sum(union.values()))
    if any(times > 1 for times in union.values()):
        trace.situations.add("repeat at a synapse")
    additions = []
    for address in union.elements():
        additions += _additions(network, name, node, address)
    trace.sops[name].append(len(additions) * sum(e.source == name for e in network.edges))
    return additions


def _additions(network, name, node, address):
    """Return (target, weight) of every synaptic operation of one event."""
    if isinstance(node, Dense):
        return [((o,), int(node.weight[o, address[0]])) for o in range(node.weight.shape[0])]
    outputs, height, width = network.shapes[name]
    ci, y, x = address
    result = []
    for ky, kx in product(range(node.weight.shape[2]), range(node.weight.shape[3])):
        oy = Fraction(y + node.padding[0] - ky, node.stride)
        ox = Fraction(x + node.padding[1] - kx, node.stride)
        if oy.denominator == ox.denominator == 1 and 0 <= oy < height and 0 <= ox < width:
            for co in range(outputs):
                result.append(((co, int(oy), int(ox)), int(node.weight[co, ci, ky, kx])))
    return result


def _neurons(network, name, node, into, history, v, i, trace):
    arriving = {address: [] for address in _addresses(node.shape)}
    for edge in into:
        for target, weight in history[edge.source][-1]:
            arriving[target].append(weight)
    fired = Counter()
    for address, weights in arriving.items():
        bias = _parameter(node.bias, address) + sum(
            _parameter(network.nodes[e.source].bias, address) for e in into)
        total = 2 ** node.fraction_bits * sum(weights) + bias
        if node.synapse_decay is not None:
            i[name][address] += total
            potential = v[name][address] + i[name][address]
        else:
            potential = v[name][address] + total
        theta = _parameter(node.threshold, address)
        if node.reset is not Reset.NONE:
            if potential == theta:
                trace.situations.add("exactly the threshold")
            while potential >= theta:
                fired[address] += 1
                potential -= theta
                if node.reset is Reset.ZERO:
                    potential = _parameter(node.reset_value, address)
                if not node.multi_spike:
                    break
            if fired[address] > 1:
                trace.situations.add("several spikes")
            if fired[address] and node.reset is Reset.ZERO:
                trace.situations.add("reset to a value")
        elif potential >= theta:
            trace.situations.add("read-out above its threshold")
        potential = _decayed(potential, node.decay, address, trace)
        v[name][address] = _clipped(potential, node.v_lo, node.v_hi, "potential", trace)
        if node.synapse_decay is not None:
            current = _decayed(i[name][address], node.synapse_decay, address, trace)
            i[name][address] = _clipped(current, node.i_lo, node.i_hi, "current", trace)
    trace.spikes[name].append(+fired)
    trace.potentials[name].append(dict(v[name]))
    trace.currents[name].append(dict(i[name]))
    trace.updates[name].append(sum(bool(weights) for weights in arriving.values()))
    if any(weights and sum(weights) == 0 for weights in arriving.values()):
        trace.situations.add("weights that sum to zero")
    return +fired


def _decayed(value, factor, address, trace):
    exact = Fraction(value * _parameter(factor, address), 4096)
    if exact < 0 and exact.denominator > 1:
        trace.situations.add("negative value rounded up")
    return trunc(exact)


def _clipped(value, low, high, what, trace):
    if value < low:
        trace.situations.add(f"{what} below its guard")
    if value > high:
        trace.situations.add(f"{what} above its guard")
    return min(max(value, low), high)

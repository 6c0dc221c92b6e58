"""A second, naive model of populations that saturate: lists of events in order, a weight at a time.

Written from the docstring of `neurogen.spec.lif.Lif`; shares the taps of a synapse and the decay with the
other oracle, and nothing with `neurogen.golden`.
"""

from itertools import chain

from neurogen.spec.conv import Conv
from neurogen.spec.dense import Dense
from neurogen.spec.lif import Lif, Reset
from neurogen.spec.network import Input
from neurogen.spec.pool import Concat, Flatten, MaxPool
from tests.golden.oracle import Trace, _additions, _addresses, _clipped, _decayed, _parameter, _recorded


__all__ = ["simulate_in_order"]


def simulate_in_order(network, events, steps):
    """Return (spikes, states, clips): by population and step the addresses, and (v, i) by address."""
    spikes, states, clips = {}, {}, {"low": 0, "high": 0}
    history = {name: [] for name in network.nodes}
    now = {}
    for name in network.populations:
        node = network.nodes[name]
        spikes[name], states[name] = [], []
        now[name] = {a: (0, _parameter(node.initial, a)) if node.cuba else (_parameter(node.initial, a), 0)
                     for a in _addresses(node.shape)}
    for t in range(steps):
        for name in network.order:
            node = network.nodes[name]
            into = [edge for edge in network.edges if edge.target == name]
            streams = [history[e.source][t - e.delay] if t >= e.delay else [] for e in into]
            if isinstance(node, Input):
                out = raster(_recorded(events[name], t).elements())
            elif isinstance(node, Lif):
                out = raster(neurons(network, name, list(chain(*streams)), now[name], clips))
                spikes[name].append(out)
                states[name].append(dict(now[name]))
            else:
                out = moved(network, name, node, into, streams)
            history[name].append(out)
    return spikes, states, clips


def raster(addresses):
    return sorted(addresses, key=lambda a: (*a[1:], a[0]))


def moved(network, name, node, into, streams):
    shape = network.shapes[into[0].source]
    if isinstance(node, Concat):
        out, offset = [], 0
        for edge, stream in zip(into, streams, strict=True):
            out += [(first + offset, *rest) for first, *rest in stream]
            offset += network.shapes[edge.source][0]
        return out
    union = list(chain(*streams))
    if isinstance(node, Conv | Dense):
        return list(chain.from_iterable(_additions(network, name, node, address) for address in union))
    if isinstance(node, Flatten):
        if len(shape) == 1:
            return union
        return [((c * shape[1] + y) * shape[2] + x,) for c, y, x in union]
    pooled = [(c, y // node.size, x // node.size) for c, y, x in union]
    pooled = [a for a in pooled if a[1] < shape[1] // node.size and a[2] < shape[2] // node.size]
    return list(dict.fromkeys(pooled)) if isinstance(node, MaxPool) else pooled


def neurons(network, name, additions, now, clips):
    node = network.nodes[name]
    low, high = -2 ** (node.state_bits - 1), 2 ** (node.state_bits - 1) - 1

    def add(value, more):
        clips["low"] += value + more < low
        clips["high"] += value + more > high
        return min(max(value + more, low), high)

    arriving = {}
    for target, weight in additions:
        arriving.setdefault(target, []).append(weight)
    fired = []
    for address, (v, i) in now.items():
        total = i if node.cuba else v
        for weight in arriving.get(address, ()):
            total = add(total, weight * 2 ** node.fraction_bits)
        bias = _parameter(node.bias, address) + sum(
            _parameter(network.nodes[e.source].bias, address) for e in network.edges if e.target == name)
        total = add(total, bias)
        v = add(v, total) if node.cuba else total
        theta = _parameter(node.threshold, address)
        while node.reset is not Reset.NONE and v >= theta:
            fired.append(address)
            v = _parameter(node.reset_value, address) if node.reset is Reset.ZERO else v - theta
            if not node.multi_spike:
                break
        v = _clipped(_decayed(v, node.decay, address, Trace()), node.v_lo, node.v_hi, "", Trace())
        if node.cuba:
            total = _decayed(total, node.synapse_decay, address, Trace())
            i = _clipped(total, node.i_lo, node.i_hi, "", Trace())
        now[address] = v, i
    return fired

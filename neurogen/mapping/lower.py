"""From the graph to connections: which events reach a synapse, on which way."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from neurogen.mapping.plan import ConfigurationError
from neurogen.spec.lif import Lif
from neurogen.spec.network import Input, Network
from neurogen.spec.pool import Concat, Flatten, MaxPool


__all__ = ["Connection", "components", "lower", "most_spikes"]


_LARGEST_POOL = 8  # pool_log2 has two bits


@dataclass(frozen=True)
class Connection:
    """One way of events from a source to a synapse.

    Parameters
    ----------
    source
        Input or population.
    target, synapse
        Population and one of its synapses; empty on the way there.
    shape
        Shape of the stream after pooling and before a `Flatten`: ``(C, H, W)`` or ``(N,)``.
    low
        Its first input channel of the convolution, or its first column of the dense weights.
    pool
        Side of the window of all pools together.
    max_pool
        Whether repeats are dropped.
    delay
        Steps, of all edges together.
    flat
        A map that has been flattened.
    """

    source: str
    shape: tuple[int, ...]
    low: int = 0
    pool: int = 1
    max_pool: bool = False
    delay: int = 0
    flat: bool = False
    target: str = ""
    synapse: str = ""

    @property
    def width(self) -> int:
        """Channels or columns that it takes at the synapse."""
        return int(np.prod(self.shape)) if self.flat else self.shape[0]

    @property
    def pool_log2(self) -> int:
        """Binary logarithm of the window's side."""
        return self.pool.bit_length() - 1


def lower(network: Network) -> dict[str, tuple[Connection, ...]]:
    """Return the connections into every population, in the order of the graph's edges.

    Raises
    ------
    ConfigurationError
        If an operation has no counterpart in the hardware; the message names the node.
    """
    streams: dict[str, list[Connection]] = {}
    result = {}
    for name, node in network.nodes.items():
        if isinstance(node, Input | Lif):
            streams[name] = [Connection(name, node.shape)]
    for name in network.populations:
        connections = []
        for edge in network.sources(name):
            for stream in _arriving(network, edge.source, streams):
                if stream.pool & (stream.pool - 1) or stream.pool > _LARGEST_POOL:
                    raise ConfigurationError(
                        f"Node {edge.source!r}: pools between {stream.source!r} and here must have a "
                        f"size of 1, 2, 4 or {_LARGEST_POOL} together, not {stream.pool}")
                connections.append(replace(stream, target=name, synapse=edge.source))
        result[name] = tuple(connections)
    return result


def most_spikes(network: Network, name: str) -> int:
    """Return how many spikes a neuron of a population can emit in a step, at least 1."""
    node = network.nodes[name]
    if not node.multi_spike:
        return 1
    highest = min(network.proof(name).high, (1 << node.state_bits - 1) - 1)
    return max(1, highest // int(node.threshold.min()))


def _arriving(network, name, streams):
    """Return the streams into a node that carries events, or into a synapse."""
    node = network.nodes[name]
    arriving, offset = [], 0
    for edge in network.sources(name):
        low = offset if isinstance(node, Concat) else 0
        arriving += [replace(s, low=s.low + low, delay=s.delay + edge.delay)
                     for s in _leaving(network, edge.source, streams)]
        offset += network.shapes[edge.source][0]
    return arriving


def _leaving(network, name, streams):
    """Return the streams out of a node."""
    if name not in streams:
        node = network.nodes[name]
        arriving = _arriving(network, name, streams)
        if isinstance(node, Flatten):
            inner = int(np.prod(network.shapes[network.sources(name)[0].source][1:]))
            arriving = [s if s.flat or len(s.shape) == 1 else replace(s, low=s.low * inner, flat=True)
                        for s in arriving]
        elif not isinstance(node, Concat):
            arriving = _pool(name, node, arriving)
        streams[name] = arriving
    return streams[name]


def _pool(name, node, arriving):
    largest = isinstance(node, MaxPool)
    if largest:
        spans = sorted((s.low, s.low + s.width) for s in arriving)
        if any(second[0] < first[1] for first, second in pairwise(spans)):
            raise ConfigurationError(f"Node {name!r}: a max pool must have one source per channel on this "
                                     f"accelerator, not the union of several")
    elif node.size > 1 and any(s.max_pool for s in arriving):
        raise ConfigurationError(f"Node {name!r}: a sum pool must not follow a max pool on this accelerator")
    return [replace(s, pool=s.pool * node.size, max_pool=s.max_pool or largest,
                    shape=(s.shape[0], s.shape[1] // node.size, s.shape[2] // node.size))
            for s in arriving]


def components(network: Network, connections: dict[str, tuple[Connection, ...]]) -> list[tuple[str, ...]]:
    """Return the populations in runnable order, those of one cycle together.

    Inside a component they keep the order of `Network.populations`.
    """
    order = network.populations
    after = {name: {c.source for c in connections[name] if c.source in connections} for name in order}
    reach = {name: {name} for name in order}  # everything that a population depends on
    changed = True
    while changed:
        changed = False
        for name in order:
            wider = set().union(reach[name], *(reach[s] for s in after[name]))
            changed |= wider != reach[name]
            reach[name] = wider
    result, done = [], set()
    while len(done) < len(order):
        # With delays, the order of steps alone does not put sources of later passes first.
        for name in order:
            group = tuple(n for n in order if n in reach[name] and name in reach[n])
            if name not in done and reach[name] - set(group) <= done:
                result.append(group)
                done |= set(group)
                break
    return result

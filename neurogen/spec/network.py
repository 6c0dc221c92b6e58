"""A whole network: a directed graph of populations, synapses and stream operations, in integers."""

import hashlib
import json
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from neurogen.spec.archive import UNREADABLE, open_archive, write_archive
from neurogen.spec.conv import Conv
from neurogen.spec.dense import Dense
from neurogen.spec.graph import MAX_MULTIPLICITY, Edge, Graph, Input, NetworkError
from neurogen.spec.lif import Lif
from neurogen.spec.pool import Concat, Flatten, MaxPool, SumPool


__all__ = ["MAX_MULTIPLICITY", "Edge", "Input", "Network", "NetworkError", "Node", "WidthProof"]


Node = Input | Lif | Conv | Dense | SumPool | MaxPool | Flatten | Concat
_KINDS = {cls.__name__: cls for cls in (Input, Lif, Conv, Dense, SumPool, MaxPool, Flatten, Concat)}


@dataclass(frozen=True)
class WidthProof:
    """Why no sum of a population can wrap.

    Parameters
    ----------
    positive, negative
        Largest and smallest (``negative <= 0``) input that one step can bring to a neuron, in
        units of ``V``, bias included.
    low, high
        Range of every intermediate value.
    bits
        Two's complement width that holds it.
    """

    positive: int
    negative: int
    low: int
    high: int
    bits: int


@dataclass(frozen=True, eq=False)
class Network(Graph):
    """A directed graph of nodes.

    Events flow from `Input` and `Lif` through pools, `Flatten` and `Concat` into synapses (`Conv`,
    `Dense`), whose currents flow into `Lif`. Several edges into one node bring the multiset union
    of their events (a residual add) or the sum of their currents; into a `Concat`, they are put
    side by side. Only edges out of nodes that carry events may have a delay.

    Parameters
    ----------
    nodes
        Node by name. Their order is the order of reports.
    edges
        In the order in which a `Concat` takes them.
    outputs
        Names of the populations that leave the network.
    metadata
        Free text that travels with the network (scales, sources, discretisation); JSON values.
    """

    _population = Lif
    _synapses = (Conv, Dense)

    @cached_property
    def multiplicities(self) -> dict[str, int]:
        """Largest number of events at one address in one step, for nodes that carry events."""
        result: dict[str, int] = {}

        def visit(name):
            if name in result:
                return result[name]
            node = self.nodes[name]
            if isinstance(node, Input):
                result[name] = node.max_multiplicity
            elif isinstance(node, Lif):
                # A multi-spike neuron fires at most once per threshold below the upper guard of
                # the sum; `proof` checks that the sum is bounded.
                result[name] = self._max_spikes(name) if node.multi_spike else 1
            else:
                arriving = [visit(edge.source) for edge in self.sources(name)]
                total = max(arriving) if isinstance(node, Concat) else sum(arriving)
                if isinstance(node, MaxPool):
                    total = 1
                elif isinstance(node, SumPool):
                    total *= node.size ** 2
                result[name] = total
            return result[name]

        for name, node in self.nodes.items():
            if not isinstance(node, self._synapses):
                visit(name)
        return result

    def _max_spikes(self, name):
        node = self.nodes[name]
        return max(1, ((1 << (node.state_bits - 1)) - 1) // int(node.threshold.min()))

    def total_bias(self, name: str) -> np.ndarray:
        """Return the bias that each neuron of a population receives in a step, with its synapses'."""
        node = self.nodes[name]
        total = node.per_neuron("bias").copy()
        for edge in self.sources(name):
            bias = self.nodes[edge.source].bias
            total = total + bias.reshape(bias.shape + (1,) * (bias.ndim * (total.ndim - 1)))
        return total

    def proof(self, name: str) -> WidthProof:
        """Return the widths that a population needs (the guard band of the contract)."""
        node = self.nodes[name]
        # Integers without a width: pools multiply the multiplicity.
        positive = np.zeros(node.shape[0], object)
        negative = np.zeros(node.shape[0], object)
        for edge in self.sources(name):
            synapse = self.nodes[edge.source]
            times = sum(self.multiplicities[e.source] for e in self.sources(edge.source))
            flat = synapse.weight.reshape(len(synapse.weight), -1)
            positive += times * np.maximum(flat, 0).sum(1).astype(object)
            negative += times * np.minimum(flat, 0).sum(1).astype(object)
        bias = self.total_bias(name).reshape(node.shape[0], -1)
        scale = 1 << node.fraction_bits
        # Partial sums in any order, with or without the bias.
        high = int((scale * positive + np.maximum(bias.max(1), 0)).max())
        low = int((scale * negative + np.minimum(bias.min(1), 0)).min())
        initial = (min(0, int(node.initial.min())), max(0, int(node.initial.max())))
        if node.cuba:
            currents = (min(node.i_lo, initial[0]) + low, max(node.i_hi, initial[1]) + high)
            span = (node.v_lo + currents[0], node.v_hi + currents[1])
        else:
            span = (min(node.v_lo, initial[0]) + low, max(node.v_hi, initial[1]) + high)
        span = (min(span[0], 0), max(span[1], 0))
        bits = max((-span[0] - 1).bit_length() if span[0] else 0, span[1].bit_length()) + 1
        return WidthProof(high, low, *span, bits)

    def check_widths(self) -> dict[str, WidthProof]:
        """Return the proof of every population; raise where one does not fit its ``state_bits``.

        One that saturates needs no proof: there it says what would make clipping unnecessary.
        """
        proofs = {name: self.proof(name) for name in self.populations}
        for name, proof in proofs.items():
            width = self.nodes[name].state_bits
            if proof.bits > width and not self.nodes[name].saturate:
                raise NetworkError(
                    f"Node {name!r}: state width must be at least {proof.bits} bits for sums from "
                    f"{proof.low} to {proof.high}, not {width}; use smaller weights, a narrower "
                    f"guard band or wider states")
        return proofs

    # -- One file ---------------------------------------------------------------------------------

    def _header(self):
        arrays: dict[str, np.ndarray] = {}
        nodes = {}
        for name, node in self.nodes.items():
            entry: dict = {"kind": type(node).__name__}
            for item in fields(node):
                value = getattr(node, item.name)
                if item.name == "saturate" and not value:
                    continue  # so that older files, and their digests, are the same
                if isinstance(value, np.ndarray):
                    key = f"{len(nodes)}.{item.name}"
                    arrays[key] = value
                    value = {"array": key}
                entry[item.name] = value
            nodes[name] = entry
        header = {"format": "neurogen.network", "version": 1, "nodes": nodes,
                  "edges": [[e.source, e.target, e.delay] for e in self.edges],
                  "outputs": self.outputs, "metadata": self.metadata}
        return json.dumps(header, sort_keys=False), arrays

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that the network says, in hexadecimal."""
        header, arrays = self._header()
        state = hashlib.sha256(header.encode())
        for key, array in arrays.items():
            state.update(key.encode() + str(array.shape).encode() + array.astype("<i8").tobytes())
        return state.hexdigest()

    def __hash__(self) -> int:
        return int(self.digest[:15], 16)

    def __eq__(self, other) -> bool:
        return isinstance(other, Network) and self.digest == other.digest

    def save(self, path: str | Path) -> None:
        """Write the network as one ``.npz`` file, the same bytes for the same network."""
        write_archive(Path(path), *self._header())

    @classmethod
    def load(cls, path: str | Path) -> "Network":
        """Read a network that `save` wrote."""
        try:
            with open_archive(path) as (header, read):
                if not isinstance(header, dict) or header.get("format") != "neurogen.network":
                    raise NetworkError(f"Network file must be a neurogen network, not {path}")
                if header["version"] != 1:
                    raise NetworkError(f"Network file {path} must have version 1, not "
                                       f"{header['version']!r}")
                return cls._from_header(header, read)
        except FileNotFoundError:
            raise NetworkError(f"Network file must exist, and {path} does not") from None
        except NetworkError:
            raise
        except UNREADABLE as error:
            raise NetworkError(f"Network file must be a readable neurogen network, not {path}: "
                               f"{error}") from None

    @classmethod
    def _from_header(cls, header, read):
        for key, kind in (("nodes", dict), ("edges", list), ("outputs", list), ("metadata", dict)):
            if not isinstance(header[key], kind):
                raise NetworkError(f"Network file's {key} must be a {kind.__name__}, not {header[key]!r}")
        nodes = {}
        for name, entry in header["nodes"].items():
            entry = dict(entry)
            kind = _KINDS[entry.pop("kind")]
            for key, value in entry.items():
                if isinstance(value, dict):
                    entry[key] = read(value["array"])
                elif isinstance(value, list):
                    entry[key] = tuple(value)
            nodes[name] = kind(**entry)
        return cls(nodes, tuple(Edge(*edge) for edge in header["edges"]),
                   tuple(header["outputs"]), header["metadata"])

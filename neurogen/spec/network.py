"""A whole network: a directed graph of populations, synapses and stream operations, in integers."""

import ast
import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from neurogen.spec.checks import check_int, check_name
from neurogen.spec.conv import Conv
from neurogen.spec.dense import Dense
from neurogen.spec.lif import Lif
from neurogen.spec.pool import Concat, Flatten, MaxPool, SumPool


__all__ = ["Edge", "Input", "Network", "NetworkError", "Node", "WidthProof"]


class NetworkError(ValueError):
    """A network that does not satisfy the contract; the message names the node."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """A source of events from outside.

    Parameters
    ----------
    shape
        ``(C, H, W)`` for a map, ``(N,)`` for a vector.
    max_multiplicity
        Largest number of events at one address in one step, at least 1.
    """

    shape: tuple[int, ...]
    max_multiplicity: int = 1

    def __post_init__(self):
        shape = tuple(check_int("Input size", n, minimum=1) for n in self.shape)
        if len(shape) not in (1, 3):
            raise ValueError(f"Input shape must be (N,) or (C, H, W), not {shape!r}")
        object.__setattr__(self, "shape", shape)
        check_int("Input multiplicity", self.max_multiplicity, minimum=1)


Node = Input | Lif | Conv | Dense | SumPool | MaxPool | Flatten | Concat
_KINDS = {cls.__name__: cls for cls in (Input, Lif, Conv, Dense, SumPool, MaxPool, Flatten, Concat)}
_SYNAPSES = (Conv, Dense)
# What a damaged or hostile file may raise on its way through zipfile, zlib, json and the checks of the specs.
# (Recursion and unknown compression are `RuntimeError`.)
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, SyntaxError, OverflowError, RuntimeError,
               MemoryError, zipfile.BadZipFile, zlib.error, struct.error)
# Largest array of a file: a few kilobytes of deflated zeros must not fill the memory.
_MAX_ARRAY_BYTES = 1 << 28
_ARRAY_TYPES = ("|u1", "|i1", "<i2", "<i4", "<i8")


@dataclass(frozen=True)
class Edge:
    """A connection between two nodes.

    Parameters
    ----------
    source, target
        Names of nodes.
    delay
        Steps by which the events arrive later; every cycle of the graph holds a delay of at least
        1 (a recurrent edge reads the spikes of the previous step). 0 to 255.
    """

    source: str
    target: str
    delay: int = 0

    def __post_init__(self):
        check_name("Edge source", self.source)
        check_name("Edge target", self.target)
        check_int("Edge delay", self.delay, minimum=0, maximum=255, unit="steps")


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
class Network:
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

    nodes: dict[str, Node]
    edges: tuple[Edge, ...]
    outputs: tuple[str, ...]
    metadata: dict = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "nodes", dict(self.nodes))
        object.__setattr__(self, "edges", tuple(self.edges))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        if not self.inputs:
            raise NetworkError("Network must have at least one input")
        if not self.outputs:
            raise NetworkError("Network must have at least one output")
        for name in self.outputs:
            if not isinstance(self.nodes.get(name), Lif):
                raise NetworkError(f"Output {name!r} must be a population of the network")
        for edge in self.edges:
            for name in (edge.source, edge.target):
                if name not in self.nodes:
                    raise NetworkError(f"Edge {edge.source!r} -> {edge.target!r} must connect "
                                       f"nodes of the network, and {name!r} is none")
        for name, node in self.nodes.items():
            self._check_edges(name, node)
        _ = self.order, self.shapes  # both check

    def _check_edges(self, name, node):
        sources = self.sources(name)
        if isinstance(node, Input):
            if sources:
                raise NetworkError(f"Node {name!r}: an input must have no incoming edge")
            return
        if not sources:
            raise NetworkError(f"Node {name!r} must have an incoming edge")
        for edge in sources:
            current = isinstance(self.nodes[edge.source], _SYNAPSES)
            if current is not isinstance(node, Lif):
                wanted = "currents (of a Conv or Dense)" if isinstance(node, Lif) else "events"
                raise NetworkError(f"Node {name!r} must receive {wanted}, which {edge.source!r} "
                                   f"does not give")
            if current and edge.delay:
                raise NetworkError(f"Edge {edge.source!r} -> {name!r}: only events can be delayed; "
                                   f"put the delay before {edge.source!r}")

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input nodes."""
        return tuple(n for n, node in self.nodes.items() if isinstance(node, Input))

    @cached_property
    def populations(self) -> tuple[str, ...]:
        """Names of the `Lif` nodes, in the order of `order`."""
        return tuple(n for n in self.order if isinstance(self.nodes[n], Lif))

    def sources(self, name: str) -> tuple[Edge, ...]:
        """Return the edges into a node."""
        return tuple(edge for edge in self.edges if edge.target == name)

    def targets(self, name: str) -> tuple[Edge, ...]:
        """Return the edges out of a node."""
        return tuple(edge for edge in self.edges if edge.source == name)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """All nodes, every one after the sources of its edges without delay."""
        waiting = {name: {e.source for e in self.sources(name) if not e.delay}
                   for name in self.nodes}
        order: list[str] = []
        while waiting:
            ready = [name for name, sources in waiting.items() if not sources - set(order)]
            if not ready:
                raise NetworkError(f"Every cycle must hold an edge with a delay; there is none "
                                   f"among {', '.join(map(repr, waiting))}")
            order.append(ready[0])
            del waiting[ready[0]]
        return tuple(order)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of what leaves each node."""
        shapes = {n: node.shape for n, node in self.nodes.items() if isinstance(node, Input | Lif)}
        waiting = [name for name in self.nodes if name not in shapes]
        while waiting:
            ready = [n for n in waiting if all(e.source in shapes for e in self.sources(n))]
            if not ready:
                raise NetworkError(f"Every cycle must pass through a population; "
                                   f"{waiting[0]!r} is in one that does not")
            for name in ready:
                shapes[name] = self._output_shape(name, shapes)
            waiting = [name for name in waiting if name not in shapes]
        for name in self.nodes:
            if isinstance(self.nodes[name], Lif):
                for edge in self.sources(name):
                    if shapes[edge.source] != shapes[name]:
                        raise NetworkError(f"Node {name!r} must receive shape {shapes[name]}, not "
                                           f"{shapes[edge.source]} of {edge.source!r}")
        return shapes

    def _output_shape(self, name, shapes):
        node = self.nodes[name]
        arriving = [shapes[edge.source] for edge in self.sources(name)]
        if isinstance(node, Concat):
            if len({shape[1:] for shape in arriving}) != 1:
                raise NetworkError(f"Node {name!r} must receive maps of one size, not {arriving}")
            return (sum(shape[0] for shape in arriving), *arriving[0][1:])
        if len(set(arriving)) != 1:
            raise NetworkError(f"Node {name!r} must receive streams of one shape, not {arriving}")
        try:
            return node.output_shape(arriving[0])
        except ValueError as error:
            raise NetworkError(f"Node {name!r}: {error}") from None

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
            if not isinstance(node, _SYNAPSES):
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
        positive = np.zeros(node.shape[0], np.int64)
        negative = np.zeros(node.shape[0], np.int64)
        for edge in self.sources(name):
            synapse = self.nodes[edge.source]
            times = sum(self.multiplicities[e.source] for e in self.sources(edge.source))
            flat = synapse.weight.reshape(len(synapse.weight), -1)
            positive += times * np.maximum(flat, 0).sum(1)
            negative += times * np.minimum(flat, 0).sum(1)
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
        """Return the proof of every population; raise where one does not fit its ``state_bits``."""
        proofs = {name: self.proof(name) for name in self.populations}
        for name, proof in proofs.items():
            width = self.nodes[name].state_bits
            if proof.bits > width:
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
        path = Path(path)
        header, arrays = self._header()
        part = path.with_name(path.name + ".part")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for key, array in {"header": np.frombuffer(header.encode(), np.uint8),
                               **{k: _narrow(a) for k, a in arrays.items()}}.items():
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, array, allow_pickle=False)
                info = zipfile.ZipInfo(f"{key}.npy", (1980, 1, 1, 0, 0, 0))
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, buffer.getvalue())
        os.replace(part, path)

    @classmethod
    def load(cls, path: str | Path) -> "Network":
        """Read a network that `save` wrote."""
        try:
            with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
                header = json.loads(_read_array(archive, "header").tobytes())
                if not isinstance(header, dict) or header.get("format") != "neurogen.network":
                    raise NetworkError(f"Network file must be a neurogen network, not {path}")
                if header["version"] != 1:
                    raise NetworkError(f"Network file {path} must have version 1, not "
                                       f"{header['version']!r}")
                return cls._from_header(header, archive)
        except FileNotFoundError:
            raise NetworkError(f"Network file must exist, and {path} does not") from None
        except NetworkError:
            raise
        except _UNREADABLE as error:
            raise NetworkError(f"Network file must be a readable neurogen network, not {path}: "
                               f"{error}") from None

    @classmethod
    def _from_header(cls, header, archive):
        for key, kind in (("nodes", dict), ("edges", list), ("outputs", list), ("metadata", dict)):
            if not isinstance(header[key], kind):
                raise NetworkError(f"Network file's {key} must be a {kind.__name__}, not {header[key]!r}")
        nodes = {}
        for name, entry in header["nodes"].items():
            entry = dict(entry)
            kind = _KINDS[entry.pop("kind")]
            for key, value in entry.items():
                if isinstance(value, dict):
                    entry[key] = _read_array(archive, value["array"])
                elif isinstance(value, list):
                    entry[key] = tuple(value)
            nodes[name] = kind(**entry)
        return cls(nodes, tuple(Edge(*edge) for edge in header["edges"]),
                   tuple(header["outputs"]), header["metadata"])


def _read_array(archive, key):
    """Return an array of a file; its size is checked before anything of that size is allocated."""
    info = archive.getinfo(f"{key}.npy")
    if info.file_size > _MAX_ARRAY_BYTES:
        raise ValueError(f"array {key!r} must be at most {_MAX_ARRAY_BYTES} bytes, not {info.file_size}")
    data = archive.read(info)
    if data[:8] != b"\x93NUMPY\x01\x00":
        raise ValueError(f"array {key!r} must be in the .npy format, version 1.0")
    start = 10 + int.from_bytes(data[8:10], "little")
    layout = ast.literal_eval(data[10:start].decode("latin1").strip())
    if layout["descr"] not in _ARRAY_TYPES or layout["fortran_order"]:
        raise ValueError(f"array {key!r} must hold integers in C order, not {layout}")
    return np.frombuffer(data, layout["descr"], offset=start).reshape(layout["shape"])


def _narrow(array):
    """Return the array in the smallest integer type that holds it."""
    for kind in (np.int8, np.int16, np.int32):
        limits = np.iinfo(kind)
        if not array.size or (array.min() >= limits.min and array.max() <= limits.max):
            return array.astype(kind)
    return array

"""Reader of ``.nir`` files: HDF5 read directly, so that old and damaged files get a clear answer.

Nested graphs are inlined (``outer.inner``), shapes are left to `neurogen.frontend.shapes`. Nothing is
read before its size is known, and links to other places or files are not followed.
"""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from neurogen.frontend.graph import NirError


__all__ = ["NODE_TYPES", "NirError", "NirGraph", "NirNode", "read_nir"]

MAX_BYTES = 1 << 28  # of all parameters together, as float64
MAX_NODES = 1024
MAX_EDGES = 65536
MAX_DEPTH = 8
TIMEOUT = 30     # seconds
MAX_MEMORY = 4 << 30

_NEURON = {"r": "float"}
_THRESHOLD = {"v_threshold": "float", "v_reset": "float?"}
_LEAK = {"tau": "float", "r": "float", "v_leak": "float"}
_CUBA = {"tau_syn": "float", "tau_mem": "float", "r": "float", "v_leak": "float", "w_in": "float?"}
_CONV = {"input_shape": "int?", "weight": "float", "bias": "float?", "stride": "int?", "padding": "pad?",
         "dilation": "int?", "groups": "int?"}
_POOL = {"kernel_size": "int", "stride": "int?", "padding": "int?"}

# What each node stores; "?" marks what old files may lack.
NODE_TYPES: dict[str, dict[str, str]] = {
    "Input": {"shape": "int"}, "Output": {"shape": "int?"},
    "Affine": {"weight": "float", "bias": "float?"}, "Linear": {"weight": "float"},
    "Scale": {"scale": "float"},
    "Conv1d": _CONV, "Conv2d": _CONV, "SumPool2d": _POOL, "AvgPool2d": _POOL,
    "Flatten": {"start_dim": "int?", "end_dim": "int?", "input_type": "int?"},
    "Delay": {"delay": "float"}, "Threshold": {"threshold": "float"},
    "I": _NEURON, "IF": _NEURON | _THRESHOLD,
    "LI": _LEAK, "LIF": _LEAK | _THRESHOLD,
    "CubaLI": _CUBA, "CubaLIF": _CUBA | _THRESHOLD,
}


@dataclass(frozen=True, eq=False)
class NirNode:
    """One node of a graph.

    Parameters
    ----------
    type
        A name of `NODE_TYPES`.
    params
        Parameter by name: float64 or int64 arrays, or text (``padding`` only); optional ones that the
        file lacks are absent.
    """

    type: str
    params: dict[str, np.ndarray | str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class NirGraph:
    """A graph without nesting.

    Parameters
    ----------
    nodes
        Node by name.
    edges
        Pairs (source, target) of names.
    source
        Where it came from: a path, for messages.
    version
        Of the NIR package that wrote it, or an empty string.
    """

    nodes: dict[str, NirNode]
    edges: tuple[tuple[str, str], ...]
    source: str = "graph"
    version: str = ""

    def error(self, node: str, text: str) -> NirError:
        """Return an error that names the file and the node."""
        kind = f" ({self.nodes[node].type})" if node in self.nodes else ""  # else made by the importer
        return NirError(f"{self.source}: node {node!r}{kind}: {text}")


def read_nir(path: str | os.PathLike, isolated: bool = True) -> NirGraph:
    """Read a ``.nir`` file.

    Parameters
    ----------
    isolated
        Read in a process of its own, with limits on time and memory: on damaged files libhdf5 itself
        may loop for ever or crash. Without, reading is faster.

    Raises
    ------
    NirError
        If the file is missing, is not HDF5, is damaged or does not hold a graph of known nodes.
    """
    path = Path(path)
    if not path.is_file():
        raise NirError(f"{path}: file must exist")
    return _read_isolated(path) if isolated else _read(path)


def _read(path):
    try:
        with h5py.File(path, "r") as file:
            return _Reader(str(path), file).graph()
    except NirError:
        raise
    except Exception as error:  # libhdf5 and h5py raise nearly everything on damaged files
        text = " ".join(str(error).split())[:200]
        raise NirError(f"{path}: file must be a readable HDF5 file: {text}") from None


_WORKER = "from neurogen.frontend.nir_file import _worker; _worker()"


def _read_isolated(path):
    folders = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, folders)),
                                "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run([sys.executable, "-c", _WORKER, os.fspath(path)], env=environment,
                              capture_output=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise NirError(f"{path}: file must be readable within {TIMEOUT} s; it is damaged") from None
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or [""])[-1][:200]
        raise NirError(f"{path}: file must be a readable HDF5 file: the reader ended with status "
                       f"{done.returncode} {last}".rstrip())
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as archive:
        header = json.loads(archive["header"].tobytes())
        if "error" in header:
            raise NirError(header["error"])
        nodes = {}
        for name, kind, params in header["nodes"]:
            nodes[name] = NirNode(kind, {k: v if isinstance(v, str) else archive[str(v)]
                                         for k, v in params.items()})
    return NirGraph(nodes, tuple(map(tuple, header["edges"])), str(path), header["version"])


def _worker():
    """Read the file that the command line names and write it to standard output as ``.npz``."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    arrays = {}
    try:
        graph = _read(Path(sys.argv[1]))
        nodes = []
        for name, node in graph.nodes.items():
            params: dict[str, str | int] = {}
            for key, value in node.params.items():
                params[key] = value if isinstance(value, str) else len(arrays)
                if not isinstance(value, str):
                    arrays[str(len(arrays))] = value
            nodes.append((name, node.type, params))
        header = {"nodes": nodes, "edges": graph.edges, "version": graph.version}
    except NirError as error:
        header = {"error": str(error)}
    buffer = io.BytesIO()
    np.savez(buffer, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    sys.stdout.buffer.write(buffer.getvalue())


class _Reader:
    def __init__(self, path, file):
        self.path = path
        self.file = file
        self.bytes = 0
        self.nodes: dict[str, NirNode] = {}
        self.edges: list[tuple[str, str]] = []

    def fail(self, where, text):
        return NirError(f"{self.path}: {f'node {where!r}: ' if where else ''}{text}")

    def graph(self):
        version = ""
        if "version" in self.file:
            version = self.text("", self.member("", self.file, "version", h5py.Dataset), "version")
        root = self.member("", self.file, "node", h5py.Group)
        if self.kind("", root) != "NIRGraph":
            raise self.fail("", "the root must be a NIRGraph")
        self.inline(root, "", 0)
        return NirGraph(self.nodes, tuple(self.edges), self.path, version)

    def inline(self, group, prefix, depth):
        """Add a graph's nodes and edges; return the full names of its inputs and outputs."""
        where = prefix[:-1]
        if depth > MAX_DEPTH:
            raise self.fail(where, f"graphs must be nested at most {MAX_DEPTH} deep")
        inputs, outputs, nested = [], [], {}
        for name, node in self.groups(where, self.member(where, group, "nodes", h5py.Group)):
            full = prefix + name
            kind = self.kind(full, node)
            if kind == "NIRGraph":
                nested[name] = self.inline(node, full + ".", depth + 1)
                continue
            if full in self.nodes:
                raise self.fail(full, "names must differ, also after nested graphs are inlined")
            if len(self.nodes) >= MAX_NODES:
                raise self.fail(full, f"a file must hold at most {MAX_NODES} nodes")
            self.nodes[full] = NirNode(kind, self.params(full, node, kind))
            {"Input": inputs, "Output": outputs}.get(kind, []).append(full)
        self.inline_edges(group, prefix, nested)
        return inputs, outputs

    def inline_edges(self, group, prefix, nested):
        seen = set()
        for source, target in self.edge_names(prefix[:-1], group):
            if (source, target) in seen:
                raise self.fail(prefix[:-1], f"edge {source!r} -> {target!r} must not be there twice")
            seen.add((source, target))
            self.edges.append((self.port(prefix, source, nested, 1, f"-> {target!r}"),
                               self.port(prefix, target, nested, 0, f"<- {source!r}")))

    def port(self, prefix, name, nested, side, other):
        """Return the node that an edge's end means: of a nested graph, its only input or output."""
        if name in nested:
            found = nested[name][side]
            if len(found) != 1:
                raise self.fail(prefix + name, f"a nested graph with an edge must have one "
                                               f"{'Output' if side else 'Input'}, not {len(found)}")
            return found[0]
        if prefix + name not in self.nodes:
            raise self.fail(prefix[:-1], f"edge {name!r} {other} must name nodes of its graph, "
                                         f"and {name!r} is none")
        return prefix + name

    # -- HDF5 -------------------------------------------------------------------------------------

    def member(self, where, group, name, cls):
        """Return a member of a group that is really there, not behind a link."""
        link = group.get(name, getlink=True)
        if link is None:
            raise self.fail(where, f"{name} is missing")
        if not isinstance(link, h5py.HardLink):
            raise self.fail(where, f"{name} must be in the file, not a {type(link).__name__}")
        item = group[name]
        if not isinstance(item, cls):
            raise self.fail(where, f"{name} must be an HDF5 {cls.__name__.lower()}")
        return item

    def groups(self, where, group) -> Iterator[tuple[str, h5py.Group]]:
        if len(group) > MAX_NODES:
            raise self.fail(where, f"a graph must hold at most {MAX_NODES} nodes, not {len(group)}")
        for name in group:
            yield name, self.member(f"{where}.{name}" if where else name, group, name, h5py.Group)

    def data(self, where, dataset, name, limit):
        """Return the content of a dataset whose size, on disk and in memory, is checked first."""
        if dataset.is_virtual or dataset.external:
            raise self.fail(where, f"{name} must be in the file, not in another one")
        shape = dataset.shape
        if shape is None:
            raise self.fail(where, f"{name} must not be empty")
        size = int(np.prod(shape, dtype=object)) * max(8, dataset.dtype.itemsize)
        chunk = int(np.prod(dataset.chunks or (1,), dtype=object)) * dataset.dtype.itemsize
        if size > limit or chunk > limit:
            raise self.fail(where, f"{name} must take at most {limit} bytes, not {max(size, chunk)}")
        self.bytes += size
        if self.bytes > MAX_BYTES:
            raise self.fail(where, f"all parameters together must take at most {MAX_BYTES} bytes")
        try:
            return dataset[()]
        except Exception as error:  # see `read_nir`; here the node is known
            text = " ".join(str(error).split())[:200]
            raise self.fail(where, f"{name} must be readable: {text}") from None

    def text(self, where, dataset, name):
        value = self.data(where, dataset, name, 1 << 16)
        try:
            value = value.decode() if isinstance(value, bytes) else value
        except UnicodeDecodeError:
            raise self.fail(where, f"{name} must be UTF-8 text") from None
        if not isinstance(value, str):
            raise self.fail(where, f"{name} must be text, not {type(value).__name__}")
        return value

    def kind(self, where, group):
        kind = self.text(where, self.member(where, group, "type", h5py.Dataset), "type")
        if kind != "NIRGraph" and kind not in NODE_TYPES:
            raise self.fail(where, f"type must be one of {', '.join(NODE_TYPES)} or NIRGraph, "
                                   f"not {kind[:80]!r}")
        return kind

    def edge_names(self, where, group):
        if group.get("edges", getlink=True) is None:
            return []  # h5py's empty lists were left out by old writers
        data = np.asarray(self.data(where, self.member(where, group, "edges", h5py.Dataset), "edges",
                                    2 * 16 * MAX_EDGES))
        if data.size == 0:
            return []
        if data.ndim != 2 or data.shape[1] != 2:
            raise self.fail(where, f"edges must have shape (N, 2), not {data.shape}")
        try:
            return [tuple(v.decode() if isinstance(v, bytes) else str(v) for v in row) for row in data]
        except UnicodeDecodeError:
            raise self.fail(where, "edges must be UTF-8 text") from None

    def params(self, where, group, kind):
        params = {}
        for name, rule in NODE_TYPES[kind].items():
            if rule.endswith("?") and group.get(name, getlink=True) is None:
                continue
            dataset = self.member(where, group, name, h5py.Dataset)
            if rule == "pad?" and h5py.check_string_dtype(dataset.dtype):
                params[name] = self.text(where, dataset, name)
            elif rule.endswith("?") and not dataset.size:
                continue  # an empty dataset stands for None
            else:
                convert = _as_float if rule.startswith("float") else _as_int
                params[name] = self.number(where, dataset, name, convert)
        return params

    def number(self, where, dataset, name, convert: Callable):
        if dataset.dtype.kind not in "iufb":
            raise self.fail(where, f"{name} must be numbers, not {dataset.dtype}")
        value = np.asarray(self.data(where, dataset, name, MAX_BYTES))
        try:
            value = convert(value)
        except ValueError as error:
            raise self.fail(where, f"{name} must {error}") from None
        value.flags.writeable = False
        return value


def _as_float(value):
    if not value.size:
        raise ValueError("not be empty")
    with np.errstate(invalid="ignore", over="ignore"):  # odd bit patterns; they are refused below
        value = value.astype(np.float64)
    if not np.isfinite(value).all():
        raise ValueError(f"be finite, and {int((~np.isfinite(value)).sum())} of {value.size} values are not")
    return value


def _as_int(value):
    if value.dtype.kind == "f":
        value = _as_float(value)
    if value.dtype.kind == "f" and (value != np.round(value)).any():
        raise ValueError(f"be integers, not {value.ravel()[:4].tolist()}")
    if not 0 < value.size <= 64 or not (np.abs(value.astype(np.float64)) < 2**31).all():
        raise ValueError("be a few integers below 2**31")
    return value.astype(np.int64)

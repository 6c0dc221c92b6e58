"""The static-token dataflow graph that every backend builds from, and the rules that it has to keep.

A node is a block of `neurogen.spec.qdi.BLOCKS` or a border of the graph: kind ``input`` (parameters
``name``, ``width``, ``signed``; one output port ``o``) or ``output`` (the same; one input port ``i``). An
edge is a channel with one producer and one consumer; copies, buffers and initial tokens are nodes.

A region is a path: ``main``, ``main/if3/1`` (an arm; 1 if the condition holds), ``main/loop4`` (test of a
loop) and ``main/loop4/body``. All ports of a node see one token for each activation of its region, but for
those which lead into other regions: ``o*`` of a branch, ``i*`` of a select.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from neurogen.spec.qdi import BLOCKS, Port


__all__ = ["BORDERS", "Edge", "Graph", "GraphError", "Loc", "Node", "Problem", "in_order"]

BORDERS = ("input", "output")


class Loc(NamedTuple):
    """Where a node comes from: file, line and column (from 1), text of the line."""

    file: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Problem(NamedTuple):
    """A broken invariant: its code (V1 to V8), what is wrong and the nodes concerned."""

    code: str
    text: str
    nodes: tuple[str, ...]


class GraphError(ValueError):
    """A graph that breaks its invariants; ``problems`` holds all of them."""

    def __init__(self, name: str, problems: list[Problem]):
        self.problems = problems
        lines = "\n".join(f"  {p.code} {p.text}" for p in problems[:20])
        super().__init__(f"Graph {name} is not valid ({len(problems)} problems):\n{lines}")


@dataclass
class Node:
    """A block of a graph.

    Parameters
    ----------
    id
        Unique in the graph and stable: the same source and options give the same ids.
    kind
        Key of ``BLOCKS``, or ``input`` or ``output``.
    parameters
        Values of the kind's parameters; tuples, numbers, strings and booleans.
    loc
        Source line, if there is one.
    region
        Path of the region whose activations the node sees.
    scope
        For a branch: path of the if whose arms it leads to (``main/if3``), or of its loop.
    """

    id: str
    kind: str
    parameters: dict[str, Any]
    loc: Loc | None = None
    region: str = "main"
    scope: str = ""

    def region_of(self, port: str) -> str:
        """Return the region of what an output port gives."""
        if self.kind not in ("branch", "branch_n") or not self.scope:
            return self.region
        if self.scope.rpartition("/")[2].startswith("loop"):
            return self.scope.rpartition("/")[0] if port == "o0" else f"{self.scope}/body"
        return f"{self.scope}/{port[1:]}"

    @property
    def ports(self) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
        """Input ports and output ports."""
        if self.kind == "input":
            return (), (Port("o", self.parameters["width"]),)
        if self.kind == "output":
            return (Port("i", self.parameters["width"]),), ()
        return BLOCKS[self.kind].ports(**self.parameters)

    @property
    def is_block(self) -> bool:
        """Whether the node is a block of the library (not a border)."""
        return self.kind not in BORDERS


@dataclass(frozen=True)
class Edge:
    """A channel from (node, output port) to (node, input port) of ``width`` bits."""

    src: tuple[str, str]
    dst: tuple[str, str]
    width: int


@dataclass
class Graph:
    """A dataflow graph.

    Parameters
    ----------
    name
        Name of the function.
    nodes
        By id, in order of creation.
    edges
        All channels.
    inputs, outputs
        Ids of the border nodes, in order of the function's parameters and results.
    notes
        What passes have to say: options, ``deadlock`` with the state of the certificate, warnings.
    """

    name: str
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, parameters: dict[str, Any] | None = None, *, loc: Loc | None = None,
            region: str = "main", id: str | None = None) -> str:
        """Add a node and return its id (by default kind and number, the next free of the graph).

        Raises
        ------
        ValueError
            If the kind is unknown, its parameters do not fit, or the id is taken.
        """
        if kind not in BLOCKS and kind not in BORDERS:
            raise ValueError(f"Kind of a node must be one of the library, not {kind!r}")
        number = self.notes.setdefault("next_id", 0)
        if id is None:
            self.notes["next_id"] = number + 1
            id = f"{kind}_{number}"
        if id in self.nodes:
            raise ValueError(f"Id of a node must be new, not {id!r}")
        node = Node(id, kind, dict(parameters or {}), loc, region)
        _ = node.ports  # bad parameters show here, not in a backend
        self.nodes[id] = node
        if kind in BORDERS:
            (self.inputs if kind == "input" else self.outputs).append(id)
        return id

    def connect(self, src: tuple[str, str], dst: tuple[str, str]) -> Edge:
        """Add the channel from an output port to an input port; its width is that of the output."""
        width = {port.name: port.width for port in self.nodes[src[0]].ports[1]}[src[1]]
        edge = Edge(src, dst, width)
        self.edges.append(edge)
        return edge

    def ins(self, id: str) -> dict[str, Edge]:
        """Return the edges into a node by port."""
        return {e.dst[1]: e for e in self.edges if e.dst[0] == id}

    def outs(self, id: str) -> dict[str, Edge]:
        """Return the edges out of a node by port."""
        return {e.src[1]: e for e in self.edges if e.src[0] == id}

    def links(self) -> tuple[dict[tuple[str, str], Edge], dict[tuple[str, str], Edge]]:
        """Return edges by their source port and by their target port: the fast way to walk a graph."""
        return {e.src: e for e in self.edges}, {e.dst: e for e in self.edges}

    @property
    def blocks(self) -> list[Node]:
        """The nodes that become hardware: all but inputs and outputs."""
        return [node for node in self.nodes.values() if node.is_block]

    def insert(self, edge: Edge, kind: str, parameters: dict[str, Any], *, region: str | None = None) -> str:
        """Put a block with ports ``i`` and ``o`` on an edge; return its id."""
        src = self.nodes[edge.src[0]]
        id = self.add(kind, parameters, loc=src.loc, region=region or src.region_of(edge.src[1]))
        self.edges.remove(edge)
        self.connect(edge.src, (id, "i"))
        self.connect((id, "o"), edge.dst)
        return id

    def verify(self, *, buffers: bool = False) -> None:
        """Raise `GraphError` if an invariant is broken; with ``buffers``, V8 (rings) counts too."""
        from neurogen.qdi.invariants import problems

        found = problems(self, buffers=buffers)
        if found:
            raise GraphError(self.name, found)

    def to_json(self) -> str:
        """Return the graph as JSON text."""
        return json.dumps({
            "name": self.name, "inputs": self.inputs, "outputs": self.outputs, "notes": self.notes,
            "nodes": [asdict(n) | {"loc": list(n.loc) if n.loc else None} for n in self.nodes.values()],
            "edges": [[*e.src, *e.dst, e.width] for e in self.edges]}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Graph":
        """Return the graph that `to_json` wrote.

        Raises
        ------
        ValueError
            If the text is not such a graph.
        """
        try:
            data = json.loads(text)
            nodes = {n["id"]: Node(n["id"], n["kind"], {k: _tuples(v) for k, v in n["parameters"].items()},
                                   Loc(*n["loc"]) if n["loc"] else None, n["region"], n["scope"])
                     for n in data["nodes"]}
            edges = [Edge((a, b), (c, d), w) for a, b, c, d, w in data["edges"]]
            return cls(data["name"], nodes, edges, data["inputs"], data["outputs"], data["notes"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"JSON must be a graph, not this: {error!r}") from error

    def to_dot(self) -> str:
        """Return the graph in the language of Graphviz."""
        lines = [f'digraph "{self.name}" {{', "  rankdir=TB; node [shape=box, fontname=monospace];"]
        for n in self.nodes.values():
            shape = {"select": "hexagon", "branch": "hexagon", "loop": "hexagon"}.get(n.kind, "box")
            shape = shape if n.is_block else "ellipse"
            detail = " ".join(f"{k}={_short(v)}" for k, v in n.parameters.items())
            where = f"\\n{n.loc.line}" if n.loc else ""
            lines.append(f'  "{n.id}" [shape={shape}, label="{n.kind}\\n{detail}{where}"];')
        lines += [f'  "{e.src[0]}" -> "{e.dst[0]}" [taillabel="{e.src[1]}", headlabel="{e.dst[1]}", '
                  f'label="{e.width}"];' for e in self.edges]
        return "\n".join([*lines, "}", ""])

    def walk_back(self, port: tuple[str, str], through: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """Yield the output ports that feed an input port, back through nodes of given kinds (all inputs)."""
        _, by_dst = self.links()
        todo, seen = [by_dst[port].src], set()
        while todo:
            src = todo.pop()
            if src in seen:
                continue
            seen.add(src)
            node = self.nodes[src[0]]
            if node.kind in through:
                todo += [by_dst[node.id, p.name].src for p in node.ports[0]]
            else:
                yield src


def in_order(after: Mapping[str, list[str]]) -> list[str]:
    """Return keys before those that come after them (Kahn); without those on and behind cycles."""
    count = dict.fromkeys(after, 0)
    for others in after.values():
        for other in others:
            count[other] += 1
    ready = [key for key, n in count.items() if n == 0]
    for key in ready:
        for other in after[key]:
            count[other] -= 1
            if count[other] == 0:
                ready.append(other)
    return ready


def _short(value: Any) -> str:
    text = str(value).replace('"', "'")
    return text if len(text) <= 16 else text[:13] + "..."


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value

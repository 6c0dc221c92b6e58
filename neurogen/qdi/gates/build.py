"""From a dataflow graph, or from one block, to gates."""

from collections.abc import Mapping
from typing import Any

from neurogen.qdi.gates.arith import ARITHMETIC
from neurogen.qdi.gates.control import CONTROL
from neurogen.qdi.gates.data import DATA
from neurogen.qdi.gates.netlist import Builder, Channel, Netlist
from neurogen.qdi.gates.reset import unknown_nets
from neurogen.qdi.gates.state import BORDER_KINDS, STATE, Bundle
from neurogen.qdi.graph import Graph
from neurogen.spec.qdi import BLOCKS


__all__ = ["GENERATORS", "HOT", "build", "build_block"]

GENERATORS = DATA | ARITHMETIC | CONTROL | STATE
HOT = {("else_condition", "o"), ("select_n", "s"), ("branch_n", "s")}  # one-hot words: one digit
_COPIES = ("buffer", "fifo", "init", "fork")  # what keeps the code of its input


def _bundle(b: Builder, name: str, width: int, aer: bool) -> Bundle:
    request, answer = ("req", "ack") if aer else ("valid", "ready")
    bundle = Bundle(tuple(b.net(f"{name}.data{k}") for k in range(width)), b.net(f"{name}.{request}"),
                    b.net(f"{name}.{answer}"))
    for net in (*bundle.data, bundle.request, bundle.answer):
        b.wires[b.nets[net]] = net
    return bundle




def build_block(kind: str, parameters: Mapping[str, Any], *, threshold: bool = False,
                name: str | None = None, resets: frozenset[str] = frozenset()) -> Netlist:
    """Return one block as a netlist with a border channel for each port.

    Raises
    ------
    ValueError
        If the kind or its parameters are unknown, or nothing would clear one of its gates in reset.
    """
    if kind not in GENERATORS:
        raise ValueError(f"Kind of a block must be one of the library, not {kind!r}")
    b = Builder(name or kind, threshold=threshold)
    b.block = kind
    b.blocks[kind] = (kind, "")
    b.resets = set(resets)
    sides: list[dict[str, Any]] = []
    for ports in BLOCKS[kind].ports(**parameters):
        sides.append({port.name: _bundle(b, port.name, port.width, kind == "aer_port")
                      if BORDER_KINDS.get(kind) == port.name
                      else b.channel(port.name, port.width, hot=(kind, port.name) in HOT)
                      for port in ports})
    GENERATORS[kind](b, parameters, *sides)
    netlist = b.finish(*({name: c for name, c in side.items() if isinstance(c, Channel)} for side in sides))
    if unknown_nets(netlist) and kind not in resets:
        return build_block(kind, parameters, threshold=threshold, name=name, resets=frozenset({kind}))
    return netlist


def build(graph: Graph, *, threshold: bool = False) -> Netlist:
    """Return the dual-rail netlist of a graph.

    Half buffers are reset only where nothing else clears the gates around them in reset; which ones is found
    by a three-valued simulation of the reset, the narrowest first.

    Parameters
    ----------
    graph
        A verified graph.
    threshold
        Use threshold gates (see `Builder`).

    Raises
    ------
    ValueError
        If a node has no generator or nothing clears a gate in reset.
    """
    resets: set[str] = set()
    while True:
        netlist = _build(graph, threshold, resets)
        unknown = unknown_nets(netlist)
        if not unknown:
            return netlist
        stuck = {gate.block for gate in netlist.gates if gate.output in unknown}
        choices = [node for node in graph.nodes.values() if node.id in stuck - resets
                   and node.kind in ("buffer", "fifo", "init", "hold", "reg", "loop")]
        if not choices:
            names = ", ".join(sorted(stuck)[:5])
            raise ValueError(f"Gates of {graph.name} must be cleared by reset, not {names}")
        resets.add(min(choices, key=lambda node: (_cost(node.kind), node.parameters.get("width", 1))).id)


def _cost(kind: str) -> int:
    return ("buffer", "init", "loop", "fifo", "hold", "reg").index(kind)


def _build(graph: Graph, threshold: bool, resets: set[str]) -> Netlist:
    b = Builder(graph.name, threshold=threshold)
    b.resets = resets
    hot = _hot_edges(graph)
    ends: dict[tuple[str, str], Any] = {}
    for edge in graph.edges:
        source, target = graph.nodes[edge.src[0]], graph.nodes[edge.dst[0]]
        other = (BORDER_KINDS.get(target.kind) == edge.dst[1], BORDER_KINDS.get(source.kind) == edge.src[1])
        if any(other):
            node, border = (target, source) if other[0] else (source, target)
            if border.is_block:
                raise ValueError(f"{node.id} must be at the border of the graph, not next to {border.id}")
            end = _bundle(b, border.parameters["name"], edge.width, node.kind == "aer_port")
        else:
            end = b.channel(f"{edge.src[0]}.{edge.src[1]}", edge.width, hot=edge in hot)
            b.consumers[f"{edge.src[0]}.{edge.src[1]}"] = edge.dst
        ends[edge.src] = ends[edge.dst] = end
    sides: tuple[dict[str, Channel], dict[str, Channel]] = ({}, {})
    for node in graph.nodes.values():
        ports = [{port.name: ends[node.id, port.name] for port in side} for side in node.ports]
        b.blocks[node.id] = (node.kind, str(node.loc) if node.loc else "")
        if node.is_block:
            b.block = node.id
            GENERATORS[node.kind](b, node.parameters, *ports)
        else:
            for end in (*ports[0].values(), *ports[1].values()):
                if isinstance(end, Channel):
                    sides[node.kind == "output"][node.parameters["name"]] = end
    return b.finish(*sides)


def _hot_edges(graph: Graph) -> set:
    """Return the edges whose words are one-hot by construction: they travel as one digit."""
    by_src, _ = graph.links()
    hot, todo = set(), [edge for edge in graph.edges
                        if (graph.nodes[edge.src[0]].kind, edge.src[1]) == ("else_condition", "o")]
    while todo:
        edge = todo.pop()
        hot.add(edge)
        node = graph.nodes[edge.dst[0]]
        if node.kind in _COPIES:
            todo += [by_src[node.id, port.name] for port in node.ports[1]]
        elif (node.kind, edge.dst[1]) not in HOT and node.is_block:
            raise ValueError(f"{node.id} must not read a one-hot word (only select_n and branch_n can)")
    return hot

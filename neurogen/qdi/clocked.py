"""Graph to clocked circuit: one component of `neurogen.rtl.qdi` for each block, streams for channels.

The half buffers that an asynchronous circuit needs are wires here, since a clocked token rests on the wires
of its channel. Where the blocks alone would close a combinational cycle, of ``valid`` or of ``ready``, two
slots go on a channel: on the way back of each loop, so that each iteration takes one cycle. Two more are at
each result.
"""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Module, ShapeLike, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from neurogen.qdi.graph import Edge, Graph
from neurogen.qdi.invariants import loop_selects
from neurogen.rtl.qdi.borders import aer
from neurogen.rtl.qdi.data import TwoSlots
from neurogen.rtl.qdi.library import LIBRARY, make_block


__all__ = ["Clocked", "all_slots", "build", "dissolve", "plan_slots"]

_MAX_DISSOLVED = 2  # slots; a deeper queue is somebody's intention


def dissolve(graph: Graph) -> list[Edge]:
    """Return the channels of a graph whose buffers, and queues of up to two tokens, are wires."""
    _, by_dst = graph.links()
    gone = {node.id for node in graph.nodes.values() if node.kind == "buffer"
            or (node.kind == "fifo" and node.parameters["depth"] <= _MAX_DISSOLVED)}
    edges = []
    for edge in graph.edges:
        if edge.dst[0] in gone:
            continue
        src = edge.src
        while src[0] in gone:
            src = by_dst[src[0], "i"].src
        edges.append(Edge(src, edge.dst, edge.width))
    return edges


def plan_slots(graph: Graph, edges: list[Edge]) -> list[Edge]:
    """Return the channels that get two slots, so that no combinational cycle is left.

    First come the ways back of loops (each loop then takes one cycle per iteration), then the conditions
    of ``hold``, then whatever closes another cycle.
    """
    entries = set(loop_selects(graph))
    preferred = (
        lambda edge: edge.dst[0] in entries and edge.dst[1] not in ("s", "i0"),
        lambda edge: edge.dst[1] == "c" and graph.nodes[edge.dst[0]].kind == "hold",
        lambda edge: edge.dst[0] in entries,
    )
    slots: list[Edge] = []
    while True:
        cycles = [cycle for forward in (True, False)
                  for cycle in _cycles(_steps(graph, edges, set(slots), forward))]
        if not cycles:
            return slots
        inside = {edge for cycle in cycles for edge in cycle}
        for choice in preferred:
            found = [edge for edge in edges if edge in inside and choice(edge)]
            if found:
                slots += found
                break
        else:
            slots.append(next(edge for edge in edges if edge in inside))


def all_slots(graph: Graph) -> list[Edge]:
    """Return all channels of the clocked circuit that get two slots: on cycles, and at results."""
    edges = dissolve(graph)
    return [*plan_slots(graph, edges),
            *(edge for edge in edges if graph.nodes[edge.dst[0]].kind == "output")]


def _steps(graph, edges, slots, forward):
    """Return, for each channel without slots, the channels whose signals depend on its own."""
    by_src = {edge.src: edge for edge in edges}
    by_dst = {edge.dst: edge for edge in edges}
    steps: dict[Edge, list[Edge]] = {edge: [] for edge in edges if edge not in slots}
    for node in graph.blocks:
        paths = LIBRARY[node.kind].paths(**node.parameters)
        for i, o in sorted(paths.forward) if forward else sorted((i, o) for o, i in paths.backward):
            before, after = by_dst.get((node.id, i)), by_src.get((node.id, o))
            if before in steps and after in steps:
                steps[before].append(after)
    return steps


def _cycles(steps):
    """Return the strongly connected components with a cycle (Tarjan, without recursion)."""
    index: dict[Any, int] = {}
    low: dict[Any, int] = {}
    stack: list[Any] = []
    inside: set[Any] = set()
    found = []
    for root in steps:
        if root in index:
            continue
        work = [(root, iter(steps[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        inside.add(root)
        while work:
            node, rest = work[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    inside.add(other)
                    work.append((other, iter(steps[other])))
                    break
                if other in inside:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component = []
                    while not component or component[-1] != node:
                        component.append(stack.pop())
                        inside.discard(component[-1])
                    if len(component) > 1 or node in steps[node]:
                        found.append(component)
    return found


class Clocked(wiring.Component):
    """A graph as a clocked circuit.

    Latency: one cycle, and those of ``ram``, queues and ``slots`` (a loop's iterations) on the way. No
    output depends on an input of the same cycle, nor an input's ``ready`` on an output's.

    Parameters
    ----------
    graph
        A graph that keeps its invariants.

    Members
    -------
    One stream for each parameter and each result of the function, by name, signed if it is. A parameter
    that goes to an ``aer_port`` is a link of four phases, `neurogen.rtl.qdi.borders.aer`.
    """

    def __init__(self, graph: Graph):
        graph.verify()
        self._graph = graph
        self._edges = dissolve(graph)
        kept = {id for edge in self._edges for id in (edge.src[0], edge.dst[0])}
        self._nodes = [node for node in graph.blocks if node.id in kept
                       or not (node.ports[0] or node.ports[1])]
        self._slots = tuple(all_slots(graph))
        self._aer = {edge.src[0] for edge in self._edges if graph.nodes[edge.dst[0]].kind == "aer_port"}
        members = {}
        for ids, direction in ((graph.inputs, In), (graph.outputs, Out)):
            for id in ids:
                name, width = (graph.nodes[id].parameters[key] for key in ("name", "width"))
                if name in members or hasattr(wiring.Component, name):
                    raise ValueError(f"Names of {graph.name}'s ports must be new and differ, not {name!r}")
                members[name] = In(aer(width)) if id in self._aer else \
                    direction(stream.Signature(_shape(graph.nodes[id].parameters)))
        super().__init__(members)

    @property
    def graph(self) -> Graph:
        """The graph that this is a circuit of."""
        return self._graph

    @property
    def slots(self) -> tuple[Edge, ...]:
        """Channels with two slots."""
        return self._slots

    def elaborate(self, platform):
        m = Module()
        blocks = {node.id: make_block(node.kind, **node.parameters) for node in self._nodes}
        for id, block in blocks.items():
            m.submodules[id] = block
        for edge in self._edges:
            src, dst = self._end(blocks, edge.src), self._end(blocks, edge.dst)
            if edge.src[0] in self._aer:
                m.d.comb += [dst.data.eq(src.data), dst.req.eq(src.req), src.ack.eq(dst.ack)]
                continue
            if edge in self._slots:
                slots = TwoSlots(edge.width)
                m.submodules[f"slots_{edge.dst[0]}_{edge.dst[1]}"] = slots
                _connect(m, src, slots.i)
                src = slots.o
            _connect(m, src, dst)
        return m

    def _end(self, blocks, end):
        node = self._graph.nodes[end[0]]
        return getattr(blocks[end[0]], end[1]) if node.is_block else getattr(self, node.parameters["name"])


def _shape(parameters: Mapping[str, Any]) -> ShapeLike:
    return (signed if parameters["signed"] else unsigned)(max(1, parameters["width"]))


def _connect(m, src, dst):
    m.d.comb += [dst.valid.eq(src.valid), dst.payload.eq(src.payload), src.ready.eq(dst.ready)]


def build(graph: Graph) -> Clocked:
    """Return the clocked circuit of a graph.

    Raises
    ------
    GraphError
        If the graph breaks an invariant.
    """
    return Clocked(graph)

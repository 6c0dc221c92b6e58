"""P10 and P11: where half buffers go (rules R1 to R3), and more of them for speed.

R1: a ring with a token needs three half buffers: one after the select of a loop, two on the way back. R2: a
fork is acknowledged once all its outputs are, and the entry of a loop returns to zero only then; so of a
fork from which an unlatched way leads into a loop, only outputs all of whose unlatched ways end in the
first such loop stay without a buffer. R3 is the init block itself: empty, token, empty. The safe choice is
a buffer on every output of a fork.
"""

from neurogen.qdi.graph import Edge, Graph
from neurogen.qdi.invariants import half_buffers


__all__ = ["BUFFERINGS", "place_buffers", "slack"]

BUFFERINGS = ("rules", "safe", "none")
_FORKS = ("fork", "unpack", "loop")


def place_buffers(graph: Graph, how: str = "rules") -> None:
    """Add buffers to a finished graph.

    Parameters
    ----------
    how
        ``rules`` (R1 and R2), ``safe`` (R1 and a buffer on every output of a fork) or ``none``.

    Raises
    ------
    ValueError
        If ``how`` is none of these.
    """
    if how not in BUFFERINGS:
        raise ValueError(f"Buffers must be one of {', '.join(BUFFERINGS)}, not {how!r}")
    if how == "none":
        return
    entries = _entries(graph)
    for id in entries:
        by_src, by_dst = graph.links()
        width = graph.nodes[id].parameters["width"]
        graph.insert(by_src[id, "o"], "buffer", {"width": width})
        back = by_dst[id, "i1"]
        graph.insert(back, "fifo", {"width": width, "depth": 1})
    if how == "safe":
        _safe(graph)
    else:
        _bypasses(graph, entries)


def _entries(graph) -> list[str]:
    """Return the selects at the entries of loops, in order of the program."""
    found = []
    for node in graph.nodes.values():
        if node.kind == "select" and any(src[1] == "select" for src in graph.walk_back((node.id, "s"),
                                                                                       ("fork",))):
            found.append(node.id)
    return found


def _latched(graph, id):
    node = graph.nodes[id]
    return half_buffers(node.kind, node.parameters) > 0


def _safe(graph):
    for node in list(graph.nodes.values()):
        if node.kind in _FORKS:
            for edge in list(graph.outs(node.id).values()):
                if not _latched(graph, edge.dst[0]) and not _guarded(graph, edge):
                    _put(graph, edge)


def _guarded(graph, edge):
    """Whether an edge ends where nothing waits: in a sink, or is the latched side of a loop's control."""
    return graph.nodes[edge.dst[0]].kind == "sink_data" or edge.src[1] == "select"


def _put(graph: Graph, edge: Edge) -> None:
    graph.insert(edge, "buffer", {"width": edge.width})


def _bypasses(graph, entries):
    rank = {id: k for k, id in enumerate(entries)}
    order = _topological(graph)
    ends: dict[Edge, frozenset] = {}  # of an edge: entries it reaches unlatched, and None for any other end
    by_src, _ = graph.links()
    edge_at = dict(by_src)
    for id in reversed(order):
        node = graph.nodes[id]
        outs = [edge_at[id, p.name] for p in node.ports[1]]
        for edge in outs:
            target = graph.nodes[edge.dst[0]]
            if edge.dst[0] in rank and edge.dst[1] == "i0":
                ends[edge] = frozenset({edge.dst[0]})
            elif not target.ports[1] or (_latched(graph, target.id)
                                         and target.kind != "loop") or target.id in rank:
                ends[edge] = frozenset({None})
            elif target.kind == "loop":
                ends[edge] = ends.get(edge_at[target.id, "branch"], frozenset({None}))
            else:
                reached = [ends.get(edge_at[target.id, p.name], frozenset({None})) for p in target.ports[1]]
                ends[edge] = frozenset().union(*reached)
        if node.kind not in _FORKS or len(outs) < 2:
            continue
        loops = set().union(*(ends[e] for e in outs)) - {None}
        if not loops:
            continue
        first = min(loops, key=rank.__getitem__)
        same = {other for other in loops if graph.nodes[other].region == graph.nodes[first].region}
        for edge in outs:
            if (ends[edge] <= same and ends[edge]) or _latched(graph, edge.dst[0]) or _guarded(graph, edge):
                continue
            _put(graph, edge)
            new = next(e for e in graph.edges if e.src == edge.src)
            edge_at[edge.src] = new
            ends[new] = frozenset({None})


def _topological(graph):
    """Return all nodes so that unlatched ways go forward (cycles are cut at their latches)."""
    cut = {id for id in graph.nodes if _latched(graph, id) and graph.nodes[id].kind != "loop"}
    count = dict.fromkeys(graph.nodes, 0)
    after = {id: [] for id in graph.nodes}
    for edge in graph.edges:
        if edge.dst[0] in cut or (edge.src[1] == "select" and graph.nodes[edge.src[0]].kind == "loop"):
            continue
        count[edge.dst[0]] += 1
        after[edge.src[0]].append(edge.dst[0])
    ready = [id for id, n in count.items() if n == 0]
    for id in ready:
        for other in after[id]:
            count[other] -= 1
            if count[other] == 0:
                ready.append(other)
    return ready


def slack(graph: Graph) -> None:
    """P11: a half buffer on each output of a fork inside loops, so that its branches may run apart."""
    for node in list(graph.nodes.values()):
        if node.kind in ("fork", "unpack") and "/loop" in node.region:
            for edge in list(graph.outs(node.id).values()):
                if not _latched(graph, edge.dst[0]) and not _guarded(graph, edge):
                    _put(graph, edge)

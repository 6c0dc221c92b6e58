"""P10 to P12: where half buffers go (rules R1 to R3), and more of them for speed.

R1: a ring with a token needs three half buffers: one after the select of a loop, two on the way back. R2: a
fork is acknowledged once all its outputs are, and the entry of a loop returns to zero only then; so of a
fork from which an unlatched way leads into a loop, only outputs all of whose unlatched ways end in the
first such loop stay without a buffer. R3 is the init block itself: empty, token, empty. The safe choice is
a buffer on every output of a fork.
"""

from neurogen.qdi.graph import Edge, Graph, in_order
from neurogen.qdi.invariants import half_buffers


__all__ = ["BUFFERINGS", "place_buffers", "slack", "widen_entries"]

BUFFERINGS = ("rules", "safe", "none")
_FORKS = ("fork", "unpack")


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
    """Whether a block takes a token without waiting for others; the control of a loop is half a fork."""
    node = graph.nodes[id]
    return node.kind != "loop" and half_buffers(node.kind, node.parameters) > 0


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
    """R2. A way to a loop counts through buffers, too: a half buffer is only neutral once its input is."""
    rank = {id: k for k, id in enumerate(entries)}
    ends: dict[tuple[str, str],
               frozenset] = {}  # of a port: entries that it reaches, and None for any other end
    by_src, _ = graph.links()
    order = _topological(graph, rank)
    for id in reversed(order):
        for port in graph.nodes[id].ports[1]:
            edge = by_src[id, port.name]
            target = graph.nodes[edge.dst[0]]
            if edge.dst[0] in rank and edge.dst[1] == "i0":
                ends[edge.src] = frozenset({edge.dst[0]})
            elif not target.ports[1] or target.kind == "init" or target.id in rank:
                ends[edge.src] = frozenset({None})
            elif target.kind == "loop":
                ends[edge.src] = ends.get((target.id, "branch"), frozenset({None}))
            else:
                ends[edge.src] = frozenset().union(
                    *(ends.get((target.id, p.name), frozenset({None})) for p in target.ports[1]))
    for id in order:
        node = graph.nodes[id]
        if node.kind not in ("fork", "unpack"):
            continue
        outs = [by_src[id, p.name] for p in node.ports[1]]
        loops = set().union(*(ends[e.src] for e in outs)) - {None}
        if not loops:
            continue
        first = min(loops, key=rank.__getitem__)
        same = {other for other in loops if graph.nodes[other].region == graph.nodes[first].region}
        for edge in outs:
            if not (ends[edge.src] <= same or _latched(graph, edge.dst[0]) or _guarded(graph, edge)):
                _put(graph, edge)


def _topological(graph, rank):
    """Return all nodes in the order of the data of one round: cycles are cut at loops' entries and inits."""
    after = {id: [] for id in graph.nodes}
    for edge in graph.edges:
        if graph.nodes[edge.dst[0]].kind == "init" or (edge.dst[0] in rank and edge.dst[1] != "i0") \
                or (graph.nodes[edge.src[0]].kind == "loop" and edge.src[1] == "select"):
            continue
        after[edge.src[0]].append(edge.dst[0])
    order = in_order(after)
    placed = set(order)
    return order + [id for id in graph.nodes if id not in placed]  # rings of memory accesses


def slack(graph: Graph) -> None:
    """P11: a half buffer on each output of a fork inside loops, so that its branches may run apart."""
    for node in list(graph.nodes.values()):
        if node.kind in ("fork", "unpack") and "/loop" in node.region:
            for edge in list(graph.outs(node.id).values()):
                if not _latched(graph, edge.dst[0]) and not _guarded(graph, edge):
                    _put(graph, edge)


def widen_entries(graph: Graph) -> None:
    """P12: two half buffers instead of one behind the select at the entry of a loop, still one block.

    A ring with its token then has room for one more that returns to zero: as many blocks, more area, faster
    in gates that are slow to complete a wide token.
    """
    by_src, _ = graph.links()
    for id in _entries(graph):
        node = graph.nodes[by_src[id, "o"].dst[0]]
        if node.kind == "buffer":
            node.kind = "fifo"
            node.parameters["depth"] = 1

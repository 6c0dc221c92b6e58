"""Last steps on a graph: sinks for what nobody takes, forks for what several take (P7)."""

from itertools import pairwise

from neurogen.qdi.graph import Edge, Graph


__all__ = ["add_forks", "add_ports", "flatten", "remove_dead"]


def remove_dead(graph: Graph) -> None:
    """Remove blocks whose results nobody takes, back to the next block with another result."""
    while True:
        taken = {e.src for e in graph.edges}
        dead = {n.id for n in graph.nodes.values()
                if n.is_block and n.kind not in ("sink_data", "loop", "ram", "branch", "branch_n", "seq")
                and n.ports[1] and not any((n.id, p.name) in taken for p in n.ports[1])}
        if not dead:
            return
        graph.edges = [e for e in graph.edges if e.dst[0] not in dead]
        for id in dead:
            del graph.nodes[id]


def add_forks(graph: Graph, *, fields: bool = True) -> None:
    """Give each port one edge: a fork where there are several, a sink where there is none.

    Slices of separate bits of one port become one unpack if ``fields``.
    """
    remove_dead(graph)
    users: dict[tuple[str, str], list[Edge]] = {}
    for edge in graph.edges:
        users.setdefault(edge.src, []).append(edge)
    for node in list(graph.nodes.values()):
        for port in node.ports[1] if node.id in graph.nodes else ():  # slices may have gone into an unpack
            src = (node.id, port.name)
            edges = users.get(src, [])
            if fields and len(edges) > 1:
                edges = _unpack(graph, src, port.width, edges)
            if not edges:
                sink = graph.add("sink_data", {"width": port.width}, loc=node.loc,
                                 region=node.region_of(port.name))
                graph.connect(src, (sink, "i"))
            elif len(edges) > 1:
                fork = graph.add("fork", {"width": port.width, "n": len(edges)}, loc=node.loc,
                                 region=node.region_of(port.name))
                gone = set(edges)
                graph.edges = [e for e in graph.edges if e not in gone]
                graph.connect(src, (fork, "i"))
                for k, edge in enumerate(edges):
                    graph.connect((fork, f"o{k}"), edge.dst)


def _unpack(graph, src, width, edges):
    """Replace slices of one port by one unpack if their bits are separate; return the edges that are left."""
    slices = []
    for edge in edges:
        node = graph.nodes[edge.dst[0]]
        p = node.parameters
        if node.kind == "slice" and not p["shift"] and not p["signed"] and p["low"] + p["out_width"] <= width:
            slices.append((p["low"], p["out_width"], node.id))
    slices.sort()
    if len(slices) < 2 or any(a[0] + a[1] > b[0] for a, b in pairwise(slices)):
        return edges
    widths, ports, at = [], [], 0
    for low, size, id in slices:
        if low > at:
            widths.append(low - at)
        ports.append((len(widths), id))
        widths.append(size)
        at = low + size
    if at < width:
        widths.append(width - at)
    first = graph.nodes[slices[0][2]]
    unpack = graph.add("unpack", {"widths": tuple(widths)}, loc=first.loc, region=first.region)
    moved = {id: f"o{k}" for k, id in ports}
    graph.edges = [e for e in graph.edges if not (e.src == src and e.dst[0] in moved)]
    for k, edge in enumerate(graph.edges):
        if edge.src[0] in moved:
            graph.edges[k] = Edge((unpack, moved[edge.src[0]]), edge.dst, edge.width)
    for id in moved:
        del graph.nodes[id]
    graph.connect(src, (unpack, "i"))
    rest = [e for e in edges if e.dst[0] not in moved]
    add_ports(graph, unpack)
    return [*rest, next(e for e in graph.edges if e.src == src and e.dst[0] == unpack)]


def flatten(graph: Graph) -> None:
    """Make one pack of a pack of packs, and one unpack of an unpack of unpacks."""
    changed = True
    while changed:
        changed = False
        for edge in graph.edges:
            a, b = graph.nodes[edge.src[0]], graph.nodes[edge.dst[0]]
            if a.kind == b.kind and a.kind in ("pack", "unpack") and a.region == b.region:
                _merge(graph, edge, a, b)
                changed = True
                break


def _merge(graph, edge, a, b):
    """Put the inner of two blocks of one kind into the outer, which keeps its id."""
    outer, inner, letter = (b, a, "i") if a.kind == "pack" else (a, b, "o")
    at = int((edge.dst if a.kind == "pack" else edge.src)[1][1:])
    size = len(inner.parameters["widths"])
    old = outer.parameters["widths"]
    outer.parameters["widths"] = old[:at] + inner.parameters["widths"] + old[at + 1:]
    graph.edges.remove(edge)

    def moved(end):
        if end[1][0] == letter and end[0] == inner.id:
            return outer.id, f"{letter}{at + int(end[1][1:])}"
        if end[1][0] == letter and end[0] == outer.id and int(end[1][1:]) > at:
            return outer.id, f"{letter}{int(end[1][1:]) + size - 1}"
        return end

    side = "dst" if a.kind == "pack" else "src"
    graph.edges = [Edge(e.src, moved(e.dst), e.width) if side == "dst" else Edge(moved(e.src), e.dst, e.width)
                   for e in graph.edges]
    del graph.nodes[inner.id]


def add_ports(graph: Graph, id: str) -> None:
    """Give the ports of a late block their forks and sinks."""
    node = graph.nodes[id]
    for port in node.ports[1]:
        edges = [e for e in graph.edges if e.src == (id, port.name)]
        if not edges:
            sink = graph.add("sink_data", {"width": port.width}, loc=node.loc, region=node.region)
            graph.connect((id, port.name), (sink, "i"))
        elif len(edges) > 1:
            fork = graph.add("fork", {"width": port.width, "n": len(edges)}, loc=node.loc, region=node.region)
            gone = set(edges)
            graph.edges = [e for e in graph.edges if e not in gone]
            graph.connect((id, port.name), (fork, "i"))
            for k, edge in enumerate(edges):
                graph.connect((fork, f"o{k}"), edge.dst)

"""Where the numbers that steer a graph come from, and in which rings they are known."""

from neurogen.qdi.firing import OPERATORS, evaluate
from neurogen.qdi.graph import Graph


__all__ = ["BUFFERS", "SIMPLE", "choices", "phase_numbers"]

_COPIES = ("fork", "buffer", "fifo", "init", "loop")
_WIRES = ("fork", "buffer", "fifo", "not", "slice", "pack", "unpack")
BUFFERS = ("buffer", "stream_to_qdi", "qdi_to_stream", "aer_port")
SIMPLE = frozenset(OPERATORS) - set(BUFFERS) | {"ram"}


def phase_numbers(graph: Graph) -> dict:
    """Return functions of the blocks in rings that count phases: their numbers are known, not chosen."""
    functions = {}
    for node in graph.nodes.values():
        if node.kind == "init" and (ring := _phase_ring(graph, node.id)) is not None:
            for id in ring:
                inner = graph.nodes[id]
                if inner.kind == "unpack":
                    widths = inner.parameters["widths"]
                    functions[id] = [(sum(widths[:k]), w) for k, w in enumerate(widths)]
                elif inner.kind in ("not", "slice", "pack"):
                    names = [p.name for p in inner.ports[0]]
                    functions[id] = lambda xs, n=inner, names=names: evaluate(
                        n.kind, n.parameters, dict(zip(names, xs, strict=True)))
    return functions


def _phase_ring(graph, init):
    _, by_dst = graph.links()
    todo, seen = [by_dst[init, "i"].src[0]], set()
    while todo:
        id = todo.pop()
        if id == init or id in seen:
            continue
        if graph.nodes[id].kind not in _WIRES:
            return None
        seen.add(id)
        todo += [by_dst[id, p.name].src[0] for p in graph.nodes[id].ports[0]]
    return seen


def choices(graph: Graph) -> dict[tuple[str, str], tuple[int, ...]]:
    """Return the output ports where steering numbers come from, with their possible values."""
    _, by_dst = graph.links()
    rings = {n.id: r for n in graph.nodes.values() if n.kind == "init"
             for r in [_phase_ring(graph, n.id)] if r is not None}
    found = {}
    for node in graph.nodes.values():
        if node.kind not in ("select", "branch", "select_n", "branch_n"):
            continue
        n = node.parameters.get("n")
        values = tuple(1 << k for k in range(n)) if n else (0, 1)
        todo, seen = [by_dst[node.id, "s"].src], set()
        while todo:
            src = todo.pop()
            if src in seen:
                continue
            seen.add(src)
            kind = graph.nodes[src[0]].kind
            if src[0] in rings:
                continue
            if kind in _COPIES:
                todo += [by_dst[src[0], p.name].src for p in graph.nodes[src[0]].ports[0]]
            else:
                found[src] = values
    return found

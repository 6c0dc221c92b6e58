"""The invariants V1 to V8 of a dataflow graph.

V1 every port has exactly one edge; V2 widths match; V3 every cycle passes a block that holds a token (init,
loop, reg, hold) or a select controlled by one; V4 edges join ports of one region, or cross at a select,
branch, gate or hold; V5 what triggers a constant is a token of its region; V6 a loop has a loop-carried
token; V7 no merge has a buffered input; V8 every ring with a token has three half buffers (R1).
"""

import heapq

from neurogen.qdi.graph import Graph, Problem, in_order


__all__ = ["HALF_BUFFERS", "half_buffers", "loop_selects", "problems"]

HALF_BUFFERS = {"buffer": 1, "init": 3, "loop": 3, "reg": 3, "hold": 3}
_TOKEN_HOLDERS = ("init", "loop", "reg", "hold")
_STEER = ("fork", "buffer", "fifo", "not", "slice", "unpack", "pack")


def half_buffers(kind: str, parameters: dict) -> int:
    """Return the half buffers that a token passes in a block."""
    return 2 * parameters["depth"] if kind == "fifo" else HALF_BUFFERS.get(kind, 0)


def loop_selects(graph: Graph) -> list[str]:
    """Return the selects whose control token comes from a loop or an init: entries of loops."""
    _, by_dst = graph.links()
    result = []
    for node in graph.nodes.values():
        if node.kind in ("select", "select_n") and (node.id, "s") in by_dst:
            roots = list(graph.walk_back((node.id, "s"), _STEER))
            if any(graph.nodes[r[0]].kind == "init" or r[1] == "select" for r in roots):
                result.append(node.id)
    return result


def problems(graph: Graph, *, buffers: bool = False) -> list[Problem]:
    """Return everything that is wrong with a graph; V3 to V8 only once V1 and V2 hold."""
    return _ports(graph) or [
        *_cycles(graph), *_regions(graph), *_loops(graph), *_merges(graph),
        *(_rings(graph) if buffers else ())]


def _ports(graph):
    found = []
    ends = {"src": {}, "dst": {}}
    for edge in graph.edges:
        for side in ends:
            ends[side].setdefault(getattr(edge, side), []).append(edge)
    known = {"src": set(), "dst": set()}
    for node in graph.nodes.values():
        for side, ports in zip(("dst", "src"), node.ports, strict=True):
            for port in ports:
                end = (node.id, port.name)
                known[side].add(end)
                edges = ends[side].get(end, [])
                if len(edges) != 1:
                    found.append(Problem("V1", f"port {'.'.join(end)} has {len(edges)} edges", (node.id,)))
                found += [Problem("V2", f"port {'.'.join(end)} of {port.width} bits has an edge of "
                                        f"{edge.width}", (node.id,))
                          for edge in edges if edge.width != port.width]
    for side, by_end in ends.items():
        found += [Problem("V1", f"an edge ends at {'.'.join(end)}, which does not exist", (end[0],))
                  for end in by_end if end not in known[side]]
    return found


def _cycles(graph):
    """V3: the graph without the blocks that break cycles has an order."""
    cut = {n.id for n in graph.nodes.values() if n.kind in _TOKEN_HOLDERS} | set(loop_selects(graph))
    after = {id: [] for id in graph.nodes if id not in cut}
    for edge in graph.edges:
        if edge.src[0] in after and edge.dst[0] in after:
            after[edge.src[0]].append(edge.dst[0])
    placed = set(in_order(after))
    rest = tuple(id for id in after if id not in placed)
    return [Problem("V3", f"a cycle without a token: {', '.join(rest[:8])}", rest)] if rest else []


_STORES = ("gate", "hold", "loop", "ram", "reg", "seq", "aer_port")


def _crosses(node, port, out):
    """Whether a port leads into another region, or is one of a block that has no region of its own."""
    if node.kind in ("branch", "branch_n"):
        return out and not node.scope
    return node.kind in _STORES or (node.kind in ("select", "select_n", "merge") and not out and port != "s")


def _regions(graph):
    found = []
    for edge in graph.edges:
        src, dst = graph.nodes[edge.src[0]], graph.nodes[edge.dst[0]]
        region = src.region_of(edge.src[1])
        if region.split("/")[0] != dst.region.split("/")[0]:
            continue  # parts of a composition, each with activations of its own
        if region == dst.region or _crosses(src, edge.src[1], True) or _crosses(dst, edge.dst[1], False):
            continue
        code = "V5" if dst.kind == "const" else "V4"
        found.append(Problem(code, f"{'.'.join(edge.src)} of {region} feeds {'.'.join(edge.dst)} of "
                                   f"{dst.region}", (src.id, dst.id)))
    return found


def _loops(graph):
    by_src, _ = graph.links()
    found = []
    for node in graph.nodes.values():
        if node.kind == "loop":
            todo, selects = [by_src[node.id, "select"]], 0
            while todo:
                edge = todo.pop()
                target = graph.nodes[edge.dst[0]]
                selects += target.kind in ("select", "select_n") and edge.dst[1] == "s"
                if target.kind in _STEER:
                    todo += [by_src[target.id, p.name] for p in target.ports[1]]
            if not selects:
                found.append(Problem("V6", f"loop {node.id} carries no token", (node.id,)))
    return found


def _merges(graph):
    _, by_dst = graph.links()
    found = []
    for node in graph.nodes.values():
        if node.kind == "merge":
            todo, seen = [by_dst[node.id, p.name].src[0] for p in node.ports[0]], set()
            while todo:
                id = todo.pop()
                other = graph.nodes[id]
                if id in seen or other.kind in ("branch", "branch_n", "input"):
                    continue
                seen.add(id)
                if half_buffers(other.kind, other.parameters):
                    found.append(Problem("V7", f"merge {node.id} has buffer {id} behind an input",
                                         (node.id, id)))
                else:
                    todo += [by_dst[id, p.name].src[0] for p in other.ports[0]]
    return found


def _rings(graph):
    """V8: the fewest half buffers on a way from a loop's select to its second input, or round an init."""
    found = []
    after = {}
    for edge in graph.edges:
        after.setdefault(edge.src[0], []).append(edge)
    starts = [(id, "i1") for id in loop_selects(graph) if graph.nodes[id].kind == "select"]
    starts += [(n.id, None) for n in graph.nodes.values() if n.kind in ("init", "loop")]
    for start, port in starts:
        node = graph.nodes[start]
        own = half_buffers(node.kind, node.parameters)
        best, heap = {}, [(own, e.dst) for e in after.get(start, ())]
        while heap:
            cost, (id, at) = heapq.heappop(heap)
            if id == start and (port is None or at == port):
                if cost < 3:
                    found.append(Problem("V8", f"the ring of {start} has {cost} half buffers, not 3",
                                         (start,)))
                break
            if id == start or id in best:
                continue
            best[id] = cost
            other = graph.nodes[id]
            cost += half_buffers(other.kind, other.parameters)
            for edge in after.get(id, ()):
                heapq.heappush(heap, (cost, edge.dst))
    return found

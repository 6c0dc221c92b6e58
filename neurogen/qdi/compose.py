"""Several graphs as one: processes that send each other tokens through queues."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from neurogen.qdi.graph import Edge, Graph, Node
from neurogen.spec.checks import check_int


__all__ = ["Link", "compose"]


@dataclass(frozen=True)
class Link:
    """A queue from a result of one part to parameters of others, or of its own.

    Parameters
    ----------
    source
        Part and result.
    targets
        Part and parameter of each reader, with the depth of its queue in tokens, at least 1.
    output
        Name under which the result leaves the whole as well; empty if it does not.
    """

    source: tuple[str, str]
    targets: tuple[tuple[str, str, int], ...]
    output: str = ""


def compose(name: str, parts: Mapping[str, Graph], links: Iterable[Link]) -> Graph:
    """Return the graph of all parts, connected by links.

    Parameters and results without a link are those of the whole, under their own names; two of one name are
    an error. Nodes are called ``<part>.<id>``; a part's regions begin with its name, and a queue has a region
    of its own. The result of a composition is that of its parts as Kahn processes, if no queue is too short.

    Raises
    ------
    ValueError
        If a link names something that does not exist or is connected already, or widths differ.
    """
    whole = Graph(name)
    ends: dict[tuple[str, str, str], tuple[str, Edge]] = {}
    for part, graph in parts.items():
        borders = {*graph.inputs, *graph.outputs}
        for id, node in graph.nodes.items():
            if id not in borders:
                region = part + node.region.removeprefix("main")
                copy = whole.add(node.kind, node.parameters, loc=node.loc, region=region, id=_name(part, id))
                whole.nodes[copy].scope = node.scope and part + node.scope.removeprefix("main")
        for edge in graph.edges:
            if edge.src[0] in borders:
                ends["input", part, graph.nodes[edge.src[0]].parameters["name"]] = (part, edge)
            elif edge.dst[0] in borders:
                ends["output", part, graph.nodes[edge.dst[0]].parameters["name"]] = (part, edge)
            if edge.src[0] not in borders and edge.dst[0] not in borders:
                whole.connect((_name(part, edge.src[0]), edge.src[1]),
                              (_name(part, edge.dst[0]), edge.dst[1]))
            elif edge.src[0] in borders and edge.dst[0] in borders:
                raise ValueError(f"Part {part} must do something with its parameters, not pass them on")
    placements = {str(graph.notes.get("buffers")) for graph in parts.values()}
    whole.notes["buffers"] = placements.pop() if len(placements) == 1 else "mixed"
    for link in links:
        _link(whole, parts, link, ends)
    for (direction, part, port), (_, edge) in ends.items():
        node = _border(parts[part], direction, port)
        end = edge.dst if direction == "input" else edge.src
        inner = (_name(part, end[0]), end[1])
        touched = whole.nodes[inner[0]]
        region = touched.region if direction == "input" else touched.region_of(inner[1])
        outer = _add_border(whole, direction, port, node, region)
        whole.connect(*(((outer, "o"), inner) if direction == "input" else (inner, (outer, "i"))))
    return whole


def _name(part: str, id: str) -> str:
    return f"{part}.{id}"


def _border(graph: Graph, direction: str, name: str) -> Node:
    ids = graph.inputs if direction == "input" else graph.outputs
    return next(graph.nodes[id] for id in ids if graph.nodes[id].parameters["name"] == name)


def _add_border(whole: Graph, direction: str, name: str, node: Node, region: str) -> str:
    if any(whole.nodes[id].parameters["name"] == name for id in (*whole.inputs, *whole.outputs)):
        raise ValueError(f"Ports of {whole.name} must have different names, not {name!r} twice")
    return whole.add(direction, node.parameters | {"name": name}, loc=node.loc, region=region)


def _link(whole: Graph, parts: Mapping[str, Graph], link: Link,
          ends: dict[tuple[str, str, str], Any]) -> None:
    def take(direction: str, part: str, port: str) -> tuple[tuple[str, str], Node]:
        if (direction, part, port) not in ends:
            raise ValueError(f"Link must name an {direction} that is free, not {port!r} of {part!r}")
        _, edge = ends.pop((direction, part, port))
        end = edge.dst if direction == "input" else edge.src
        return (_name(part, end[0]), end[1]), _border(parts[part], direction, port)

    source, node = take("output", *link.source)
    width = node.parameters["width"]
    region = whole.nodes[source[0]].region_of(source[1])
    copies = len(link.targets) + bool(link.output)
    if copies > 1:
        fork = whole.add("fork", {"width": width, "n": copies}, loc=node.loc, region=region,
                         id=_name(link.source[0], f"{link.source[1]}_fork"))
        whole.connect(source, (fork, "i"))
    for k, (part, port, depth) in enumerate(link.targets):
        check_int("Depth of a link", depth, minimum=1, unit="tokens")
        target, reader = take("input", part, port)
        if reader.parameters["width"] != width:
            raise ValueError(f"Link must join ports of one width, not {width} bits of "
                             f"{'.'.join(link.source)} and {reader.parameters['width']} of {part}.{port}")
        queue = whole.add("fifo", {"width": width, "depth": depth}, loc=node.loc,
                          region=_name(part, port), id=_name(part, f"{port}_queue"))
        whole.connect((fork, f"o{k}") if copies > 1 else source, (queue, "i"))
        whole.connect((queue, "o"), target)
    if link.output:
        outer = _add_border(whole, "output", link.output, node, region)
        whole.connect((fork, f"o{copies - 1}") if copies > 1 else source, (outer, "i"))

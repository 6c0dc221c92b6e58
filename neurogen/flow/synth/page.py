"""The page of a synthesis: the source, its graph with tokens that flow, blocks, areas, verdicts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from neurogen.flow.synth.drawing import STYLE, draw
from neurogen.flow.synth.trace import trace
from neurogen.qdi.graph import Edge, Graph


__all__ = ["Facts", "Table", "render"]

_STEPS = 400
_TRANSPARENT = ("select", "branch", "buffer", "fifo", "fork", "gate", "hold", "merge", "init")


@dataclass(frozen=True)
class Table:
    """A table of the page: title, heads of columns, rows, sums, notes; ``fill``: a wide last column."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    foot: Sequence[Any] = ()
    notes: Sequence[str] = ()
    fill: bool = False


@dataclass
class Facts:
    """What the page tells beside the graph; all of it plain text."""

    about: str = ""
    chips: list[tuple[str, str]] = field(default_factory=list)
    tiles: list[tuple[str, str]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    command: str = ""


def render(graph: Graph, source: Sequence[tuple[int, str]], inputs: Mapping[str, Sequence[int]],
           facts: Facts) -> str:
    """Return the page, which needs nothing but itself.

    Parameters
    ----------
    source
        Number and text of each line of the function.
    inputs
        Tokens to show, by input.
    facts
        What else there is to tell.
    """
    steps = trace(graph, inputs, limit=_STEPS)
    fields = _fields(graph)
    results = steps[-1].results if steps else {}
    names = {id: graph.nodes[id].parameters["name"] for id in (*graph.inputs, *graph.outputs)}
    signs = {names[id]: graph.nodes[id].parameters for id in graph.outputs}
    data = {
        "edges": len(graph.edges),
        "inputs": [[names[id], list(map(str, inputs[names[id]]))] for id in graph.inputs],
        "outputs": [[name, [str(_number(value, signs[name])) for value in results.get(name, ())]]
                    for name in signs],
        "steps": [{"tokens": {k: _text(value, fields[k]) for k, value in step.tokens.items()},
                   "fired": step.fired,
                   "known": {name: len(tokens) for name, tokens in step.results.items()}} for step in steps],
    }
    environment = Environment(loader=PackageLoader("neurogen.flow.synth", "."), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True)
    # The page's script reads it as JSON; no `<` can end the element early.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return environment.get_template("page.html.j2").render(
        name=graph.name, source=source, steps=steps, truncated=len(steps) == _STEPS, svg=Markup(draw(graph)),
        style=Markup(STYLE), data=Markup(text), **vars(facts))


def _fields(graph: Graph) -> list[tuple[int, ...]]:
    """Return, for each channel, the widths of the numbers that its tokens are packed of."""
    known: dict[Edge, tuple[int, ...]] = {}
    by_src, by_dst = graph.links()
    todo: list[tuple[Edge, tuple[int, ...]]] = []
    for node in graph.nodes.values():
        if node.kind in ("pack", "unpack"):
            edge = by_src[node.id, "o"] if node.kind == "pack" else by_dst[node.id, "i"]
            todo.append((edge, tuple(node.parameters["widths"])))
    while todo:
        edge, widths = todo.pop()
        if edge in known or edge.width != sum(widths):
            continue
        known[edge] = widths
        for end in (edge.src[0], edge.dst[0]):
            if graph.nodes[end].kind in _TRANSPARENT:
                todo += [(other, widths) for other in (*graph.ins(end).values(), *graph.outs(end).values())]
    return [known.get(edge, (edge.width,)) for edge in graph.edges]


def _text(word: int, widths: tuple[int, ...]) -> str:
    """Return a token as people read it; a dot if it has no bits."""
    parts = []
    for width in widths:
        parts.append(str(word & (1 << width) - 1))
        word >>= width
    return " ".join(parts) if sum(widths) else "•"


def _number(value: int, parameters: Mapping[str, Any]) -> int:
    width = parameters["width"]
    return value - (1 << width) if parameters["signed"] and value >> width - 1 else value

"""The page of a synthesis: the source, its graph with tokens that flow, blocks, areas, verdicts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from neurogen.flow.synth.drawing import STYLE, draw
from neurogen.flow.synth.trace import trace
from neurogen.qdi.graph import Graph


__all__ = ["Facts", "Table", "render"]

_STEPS = 400


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
    results = steps[-1].results if steps else {}
    names = {id: graph.nodes[id].parameters["name"] for id in (*graph.inputs, *graph.outputs)}
    signs = {names[id]: graph.nodes[id].parameters for id in graph.outputs}
    data = {
        "edges": len(graph.edges), "widths": [edge.width for edge in graph.edges],
        "inputs": [[names[id], list(map(int, inputs[names[id]]))] for id in graph.inputs],
        "outputs": [[name, [_number(value, signs[name]) for value in results.get(name, ())]]
                    for name in signs],
        "steps": [{"tokens": step.tokens, "fired": step.fired, "results": step.results} for step in steps],
    }
    environment = Environment(loader=PackageLoader("neurogen.flow.synth", "."), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True)
    # The page's script reads it as JSON; no `<` can end the element early.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return environment.get_template("page.html.j2").render(
        name=graph.name, source=source, steps=steps, truncated=len(steps) == _STEPS, svg=Markup(draw(graph)),
        style=Markup(STYLE), data=Markup(text), **vars(facts))


def _number(value: int, parameters: Mapping[str, Any]) -> int:
    width = parameters["width"]
    return value - (1 << width) if parameters["signed"] and value >> width - 1 else value

"""A dataflow graph as a drawing (SVG), with a place for the tokens of each channel."""

from html import escape
from itertools import pairwise
from typing import Any

from neurogen.flow.synth.layout import Line, place
from neurogen.qdi.graph import Graph, Node
from neurogen.spec.qdi import BLOCKS


__all__ = ["STYLE", "draw", "label", "stand_alone"]

_HEIGHT = 34
STYLE = """
svg.qdi { font-family: ui-monospace, "DejaVu Sans Mono", monospace; }
svg.qdi .wire { fill:none; stroke:var(--soft, #5d6778); stroke-width:1.4; }
svg.qdi .wire.bit { stroke-dasharray:4 3; } svg.qdi .wire.back { stroke:var(--orange, #d9622b); }
svg.qdi .head { fill:var(--soft, #5d6778); } svg.qdi .head.back { fill:var(--orange, #d9622b); }
svg.qdi .box rect { fill:var(--data, #eceff3); stroke:var(--line, #c5ccd6); stroke-width:1.2; }
svg.qdi .box.operator rect { fill:var(--operator, #e3edff); }
svg.qdi .box.control rect { fill:var(--control, #fdebe0); }
svg.qdi .box.state rect { fill:var(--state, #efe6fb); } svg.qdi .box.border rect { fill:var(--in, #e1f5ec); }
svg.qdi .box text { text-anchor:middle; font-size:12px; font-weight:600; fill:var(--ink, #1c2330); }
svg.qdi .box text.fine { font-size:9.5px; font-weight:400; fill:var(--soft, #5d6778); }
svg.qdi .box.fired rect { stroke:var(--blue, #2f6feb); stroke-width:3; }
svg.qdi .box.marked rect { stroke:var(--orange, #d9622b); stroke-width:3; }
svg.qdi .token rect { fill:var(--blue, #2f6feb); }
svg.qdi .token text { fill:#fff; font-size:11px; text-anchor:middle; }
"""
_SIGNS = {"adder": "+", "sub": "−", "mul": "×", "neg": "−x", "not": "not", "lt": "<", "le": "≤", "equal": "=",
          "ternary": "? :", "sink_data": "sink", "stream_to_qdi": "in", "qdi_to_stream": "out"}



def label(node: Node) -> tuple[str, str]:
    """Return what stands in a node's box: what it does, and its widths."""
    p = node.parameters
    if not node.is_block:
        return p["name"], f"{'signed ' if p['signed'] else ''}{p['width']} bits"
    name = {
        "const": lambda: str(p["value"]), "source": lambda: str(p["value"]),
        "addc": lambda: f"+ {p['value']}", "ltc": lambda: f"< {p['value']}", "eqc": lambda: f"= {p['value']}",
        "init": lambda: f"init {p['value']}", "fifo": lambda: f"fifo {p['depth']}",
        "logic": lambda: p["op"], "slice": lambda: _wires(p),
    }.get(node.kind, lambda: _SIGNS.get(node.kind, node.kind))()
    return name, _detail(node)


def _wires(p):
    if p["low"]:
        return f">> {p['low']}"
    if p["shift"]:
        return f"<< {p['shift']}"
    return f"to {p['out_width']}"


def _detail(node: Node) -> str:
    width = max((port.width for ports in node.ports for port in ports), default=0)
    # What the first line does not say.
    hidden = node.kind in ("const", "addc", "ltc", "eqc", "logic", "slice") or node.kind in _SIGNS
    return f"{node.kind} {width}" if hidden else f"{width} bits"


def _width(node: Node) -> float:
    ports = max(len(node.ports[0]), len(node.ports[1]))
    return max(58.0, 8.2 * max(len(label(node)[0]), 0.8 * len(label(node)[1])) + 16, 20.0 * ports)


def _offsets(node: Node, ports: Any) -> dict[str, float]:
    step = _width(node) / (len(ports) + 1)
    return {port.name: step * (k + 1) - _width(node) / 2 for k, port in enumerate(ports)}


def draw(graph: Graph) -> str:
    """Return a graph as an SVG element.

    Boxes have the ids of their nodes (``n-<id>``), lines and the places of their tokens the numbers of their
    edges (``e-<k>``, ``t-<k>``). Tokens are invisible until a program shows them.
    """
    ins = {id: _offsets(node, node.ports[0]) for id, node in graph.nodes.items()}
    outs = {id: _offsets(node, node.ports[1]) for id, node in graph.nodes.items()}
    picture = place({id: _width(node) for id, node in graph.nodes.items()},
                    [(e.src[0], outs[e.src[0]][e.src[1]], e.dst[0], ins[e.dst[0]][e.dst[1]])
                     for e in graph.edges], _HEIGHT)
    parts = []
    for k, (edge, line) in enumerate(zip(graph.edges, picture.lines, strict=True)):
        classes = "wire" + " bit" * (edge.width <= 1) + " back" * line.back
        tip = "back" if line.back else "ahead"
        about = f"{'.'.join(edge.src)} to {'.'.join(edge.dst)}: {edge.width} bits"
        parts.append(f'<path id="e-{k}" class="{classes}" d="{_curve(line)}" marker-end="url(#{tip})">'
                     f'<title>{escape(about)}</title></path>')
    parts += [_box(node, picture.boxes[id]) for id, node in graph.nodes.items()]
    for k, line in enumerate(picture.lines):
        x, y = _middle(line)
        parts.append(f'<g id="t-{k}" class="token" visibility="hidden" '
                     f'transform="translate({x:.1f} {y:.1f})">'
                     f'<rect x="-13" y="-9" width="26" height="18" rx="9"/><text y="4"></text></g>')
    tips = "".join(f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" '
                   f'markerHeight="6" orient="auto"><path class="head {name}" d="M0 1 7 4 0 7z"/></marker>'
                   for name in ("ahead", "back"))
    return (f'<svg class="qdi" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {picture.width:.0f} '
            f'{picture.height:.0f}" width="{picture.width:.0f}" role="img" aria-label="Dataflow graph of '
            f'{escape(graph.name)}"><defs>{tips}</defs>{"".join(parts)}</svg>')


def stand_alone(graph: Graph) -> str:
    """Return a graph as an SVG file with its own style, on white."""
    svg = draw(graph)
    start = svg.index("<defs>")
    return (f"{svg[:start]}<style>{STYLE}</style><rect width='100%' height='100%' fill='#fff'/>"
            f"{svg[start:]}\n")


def _box(node: Node, at: tuple[float, float]) -> str:
    width = _width(node)
    group = BLOCKS[node.kind].group if node.is_block else "border"
    name, detail = label(node)
    where = f"{node.loc.line}: {node.loc.text.strip()}" if node.loc else node.region
    line = f' data-line="{node.loc.line}"' if node.loc else ""
    values = ", ".join(f"{key}={value}" for key, value in node.parameters.items())
    return (f'<g id="n-{escape(node.id)}" class="box {group}"{line} '
            f'transform="translate({at[0] - width / 2:.1f} {at[1] - _HEIGHT / 2:.1f})">'
            f'<title>{escape(f"{node.id} ({values}) {where}")}</title>'
            f'<rect width="{width:.1f}" height="{_HEIGHT}" rx="7"/>'
            f'<text x="{width / 2:.1f}" y="15">{escape(name)}</text>'
            f'<text class="fine" x="{width / 2:.1f}" y="28">{escape(detail)}</text></g>')


def _curve(line: Line) -> str:
    """Return a path that leaves and enters boxes vertically."""
    (x, y), *rest = line.points
    path = f"M{x:.1f} {y:.1f}"
    if line.back:
        # Down out of the source, up beside all boxes, down into the target.
        *inner, end = rest
        first, last = inner[0], inner[-1]
        path += f"C{x:.1f} {y + 34:.1f} {first[0]:.1f} {y + 34:.1f} {first[0]:.1f} {first[1]:.1f}"
        for (ax, ay), (bx, by) in pairwise(inner):
            bend = (by - ay) / 2
            path += f"C{ax:.1f} {ay + bend:.1f} {bx:.1f} {by - bend:.1f} {bx:.1f} {by:.1f}"
        return (path + f"C{last[0]:.1f} {end[1] - 34:.1f} {end[0]:.1f} {end[1] - 34:.1f} "
                       f"{end[0]:.1f} {end[1]:.1f}")
    for bx, by in rest:
        bend = (by - y) / 2
        path += f"C{x:.1f} {y + bend:.1f} {bx:.1f} {by - bend:.1f} {bx:.1f} {by:.1f}"
        x, y = bx, by
    return path


def _middle(line: Line) -> tuple[float, float]:
    """Return where a token is drawn: half-way."""
    points = line.points
    k = (len(points) - 1) // 2
    if len(points) % 2:
        return points[k]
    (ax, ay), (bx, by) = points[k], points[k + 1]
    return (ax + bx) / 2, (ay + by) / 2

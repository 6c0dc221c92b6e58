"""Pictures of a report: the network as a graph and accuracies (SVG), spikes as a raster (PNG in a data URI).

Colours of the graph come from the page's style sheet (classes ``node``, ``edge``, and one for each kind
of node), so that the same drawing suits light and dark pages.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure


__all__ = ["draw_curves", "draw_graph", "draw_raster", "rank_nodes"]


_BOX_W, _BOX_H = 126, 58
_GAP_X, _GAP_Y = 40, 18
_LANE = 30       # room above and below each line of boxes, for curved edges
_PER_LINE = 7    # ranks side by side; a deep network goes on in the next line, as text does
_INK = "#7d8590"  # readable on white and on black
_SPIKES = ("#3b82f6", "#e8743b", "#10a37f", "#a855f7", "#d6336c", "#b8860b")

Edge = tuple[str, str, int]


def rank_nodes(names: Sequence[str], edges: Sequence[Edge]) -> tuple[dict[str, int], set[tuple[str, str]]]:
    """Return the column of each node, and the edges that lead back.

    A node stands one column right of the last of its sources, not counting edges that close a cycle.
    """
    targets: dict[str, list[str]] = {name: [] for name in names}
    for source, target, _ in edges:
        targets[source].append(target)
    back: set[tuple[str, str]] = set()
    state: dict[str, int] = {}  # 1: on the path from a root, 2: finished
    finished: list[str] = []
    fed = {target for _, target, _ in edges}
    for root in [name for name in names if name not in fed] + list(names):
        if root in state:
            continue
        state[root] = 1
        stack = [(root, iter(targets[root]))]
        while stack:  # not recursive: networks may be deeper than Python's stack
            name, rest = stack[-1]
            for target in rest:
                if state.get(target) == 1:
                    back.add((name, target))
                elif target not in state:
                    state[target] = 1
                    stack.append((target, iter(targets[target])))
                    break
            else:
                state[name] = 2
                finished.append(name)
                stack.pop()
    rank = dict.fromkeys(names, 0)
    for name in reversed(finished):
        for target in targets[name]:
            if (name, target) not in back:
                rank[target] = max(rank[target], rank[name] + 1)
    return rank, back


def _place(names, rank):
    """Return the upper left corner of each box, the line it is in, and the size of the drawing."""
    columns: dict[int, list[str]] = {}
    for name in names:
        columns.setdefault(rank[name], []).append(name)
    corner, line_of, y = {}, {}, 0.0
    last = max(columns)
    for first in range(0, last + 1, _PER_LINE):
        ranks = range(first, min(first + _PER_LINE, last + 1))
        tallest = max(len(columns[r]) for r in ranks) * (_BOX_H + _GAP_Y) - _GAP_Y
        for r in ranks:
            height = len(columns[r]) * (_BOX_H + _GAP_Y) - _GAP_Y
            for i, name in enumerate(columns[r]):
                top = y + _LANE + (tallest - height) / 2 + i * (_BOX_H + _GAP_Y)
                corner[name] = (_GAP_X + (r - first) * (_BOX_W + _GAP_X), top)
                line_of[name] = first // _PER_LINE
        y += tallest + 2 * _LANE
    width = _GAP_X + min(last + 1, _PER_LINE) * (_BOX_W + _GAP_X)
    return corner, line_of, (width, y)


def _curve(start, first, second, end):
    """Return a cubic curve between two points."""
    return "M{:g} {:g} C{:g} {:g} {:g} {:g} {:g} {:g}".format(*start, *first, *second, *end)


def _path(source, target, corner, line_of, rank, back):
    """Return the path of an edge and the place of its label."""
    (x0, y0), (x1, y1) = corner[source], corner[target]
    right, left = (x0 + _BOX_W, y0 + _BOX_H / 2), (x1, y1 + _BOX_H / 2)
    middle0, middle1 = x0 + _BOX_W / 2, x1 + _BOX_W / 2
    if (source, target) in back:  # above the boxes
        high = min(y0, y1) - 0.8 * _LANE
        path = _curve((middle0, y0), (middle0, high), (middle1, high), (middle1, y1))
        return path, ((middle0 + middle1) / 2, high + 8)
    if line_of[source] != line_of[target]:
        # Through the lane above the target's line, like a carriage return.
        lane = min(y for name, (_, y) in corner.items() if line_of[name] == line_of[target]) - _LANE * 0.7
        r, a, b = 8, right[0] + _GAP_X / 2, left[0] - _GAP_X / 2
        path = (f"M{right[0]:g} {right[1]:g} H{a - r:g} q{r} 0 {r} {r} V{lane - r:g} q0 {r} {-r} {r} "
                f"H{b + r:g} q{-r} 0 {-r} {r} V{left[1] - r:g} q0 {r} {r} {r} H{left[0]:g}")
        return path, ((a + b) / 2, lane - 5)
    if rank[target] - rank[source] > 1:  # below the boxes in between
        low = max(y0, y1) + _BOX_H + 0.8 * _LANE
        path = _curve((middle0, y0 + _BOX_H), (middle0, low), (middle1, low), (middle1, y1 + _BOX_H))
        return path, ((middle0 + middle1) / 2, low - 6)
    bend = max(_GAP_X * 0.6, (left[0] - right[0]) / 2)
    path = _curve(right, (right[0] + bend, right[1]), (left[0] - bend, left[1]), left)
    return path, ((right[0] + left[0]) / 2, (right[1] + left[1]) / 2 - 5)


def _short(text, length):
    return text if len(text) <= length else text[:length - 1] + "…"


def draw_graph(nodes: Sequence[Mapping], edges: Sequence[Sequence], outputs: Sequence[str] = ()) -> str:
    """Return the graph as an SVG element.

    Parameters
    ----------
    nodes
        ``name, kind, shape`` and, optionally, ``parameters`` (a line of text) of each node.
    edges
        ``(source, target, delay)``; edges with a delay and those that close a cycle are marked.
    outputs
        Names of the nodes that leave the network.
    """
    edges = [(str(source), str(target), int(delay[0]) if delay else 0) for source, target, *delay in edges]
    names = [node["name"] for node in nodes]
    rank, back = rank_nodes(names, edges)
    corner, line_of, (width, height) = _place(names, rank)
    parts = []
    for source, target, delay in edges:
        path, (x, y) = _path(source, target, corner, line_of, rank, back)
        kind, tip = ("edge late", "late") if delay or (source, target) in back else ("edge", "tip")
        parts.append(f'<path class="{kind}" d="{path}" marker-end="url(#{tip})"/>')
        if delay:
            parts.append(f'<text class="delay" x="{x:g}" y="{y:g}">{delay} step{"s" * (delay > 1)}</text>')
    for node in nodes:
        x, y = corner[node["name"]]
        shape = "×".join(map(str, node.get("shape") or ()))
        about = str(node.get("parameters") or "")
        kind = str(node["kind"])
        out = " out" if node["name"] in outputs else ""
        parts.append(
            f'<g class="node {escape(kind.lower())}{out}" transform="translate({x:g} {y:g})">'
            f'<title>{escape(node["name"])}: {escape(kind)} {shape} {escape(about)}</title>'
            f'<rect width="{_BOX_W}" height="{_BOX_H}" rx="9"/>'
            f'<text class="name" x="{_BOX_W / 2:g}" y="19">{escape(_short(node["name"], 16))}</text>'
            f'<text x="{_BOX_W / 2:g}" y="35">{escape(_short(f"{kind} {shape}", 22))}</text>'
            f'<text class="fine" x="{_BOX_W / 2:g}" y="50">{escape(_short(about, 24))}</text></g>')
    tips = "".join(f'<marker id="{name}" viewBox="0 0 8 8" refX="7.4" refY="4" markerWidth="7" '
                   f'markerHeight="7" orient="auto"><path class="{name}" d="M0 .8 7.4 4 0 7.2z"/></marker>'
                   for name in ("tip", "late"))
    return (f'<svg class="graph" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" '
            f'aria-label="Graph of the network"><defs>{tips}</defs>{"".join(parts)}</svg>')


def draw_curves(curves: Mapping[str, Sequence[tuple[float, float]]], unit: str) -> str:
    """Return curves of accuracies as SVG.

    Parameters
    ----------
    curves
        By name: points of ``(place, accuracy in percent)``, in order of their places; at least one point.
    unit
        What places count: the label of the axis.
    """
    width, height, left, right, top, bottom = 720, 260, 52, 16, 14, 40
    last = max((place for points in curves.values() for place, _ in points), default=0) or 1

    def at(place, percent):
        return (left + (width - left - right) * place / last,
                height - bottom - (height - top - bottom) * percent / 100)
    parts = []
    for percent in (0, 25, 50, 75, 100):
        x, y = at(0, percent)
        parts.append(f'<path d="M{x:.1f} {y:.1f}H{width - right}" stroke="{_INK}" stroke-opacity=".25"/>'
                     f'<text x="{x - 7:.1f}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>')
    for place in (0, last / 2, last):
        x, y = at(place, 0)
        parts.append(f'<text x="{x:.1f}" y="{y + 17:.1f}" text-anchor="middle">{place:,.0f}</text>')
    parts.append(f'<text x="{(width + left - right) / 2}" y="{height - 5}" text-anchor="middle">'
                 f'{escape(unit)}</text>')
    for color, (name, points) in zip(_SPIKES * len(curves), curves.items(), strict=False):
        found = [at(*point) for point in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in found)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"><title>{escape(name)}: '
                  f'{percent:.1f} % after {place:,.0f} {escape(unit)}</title></circle>'
                  for (x, y), (place, percent) in zip(found, points, strict=True)]
    return (f'<svg class="curves" viewBox="0 0 {width} {height}" width="{width}" role="img" fill="{_INK}" '
            f'font-size="12" aria-label="Accuracy while learning">{"".join(parts)}</svg>')


def _density(t, n, steps, size, color):
    """Return an image, ``float[rows, columns, 4]``, whose opacity is the number of spikes at a place."""
    columns, rows = min(steps, 900), min(size, 128)
    place = n.astype(np.int64) * rows // size * columns + t.astype(np.int64) * columns // steps
    counts = np.bincount(place, minlength=rows * columns).reshape(rows, columns)
    image = np.empty((rows, columns, 4))
    image[..., :3] = to_rgb(color)
    image[..., 3] = np.where(counts, 0.4 + 0.6 * counts / max(1, counts.max()), 0)  # one spike can be seen
    return image


def draw_raster(raster: Mapping[str, Mapping], steps: int | None = None) -> str:
    """Return a spike raster, one panel for each population, as the data URI of a PNG.

    Parameters
    ----------
    raster
        By population: ``t`` (step of each spike), ``n`` (its neuron) and, optionally, ``neurons``.
    steps
        Length of the time axis; up to the last spike if ``None``.
    """
    panels = [(name, np.asarray(spikes["t"]), np.asarray(spikes["n"]), spikes.get("neurons"))
              for name, spikes in raster.items()]
    if steps is None:
        steps = 1 + max((int(t.max()) for _, t, _, _ in panels if t.size), default=0)
    sizes = [int(neurons) if neurons else 1 + int(n.max(initial=0)) for _, _, n, neurons in panels]
    heights = [0.55 + 0.12 * min(size, 10) for size in sizes]
    figure = Figure(figsize=(11, sum(heights) + 0.5), dpi=110, layout="constrained", facecolor="none")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for k, (axis, (name, t, n, _), size) in enumerate(zip(axes, panels, sizes, strict=True)):
        if size <= 64:  # a bar as high as its neuron's line
            axis.plot(t, n, linestyle="none", color=_SPIKES[k % len(_SPIKES)], marker="|",
                      markersize=max(2.0, 46 * heights[k] / size),
                      markeredgewidth=min(6, max(1, 200 / steps)))
        else:  # lines could not be told apart
            axis.imshow(_density(t, n, steps, size, _SPIKES[k % len(_SPIKES)]), aspect="auto",
                        interpolation="nearest", extent=(-0.5, steps - 0.5, size - 0.5, -0.5))
        axis.set(xlim=(-0.5, steps - 0.5), ylim=(size - 0.5, -0.5), facecolor="none")
        axis.set_ylabel(_short(name, 14), color=_INK, rotation=0, ha="right", va="center", fontsize=9)
        axis.set_yticks([0, size - 1] if size > 1 else [0])
        axis.tick_params(colors=_INK, labelsize=8, length=2)
        axis.spines[:].set(color=_INK, alpha=0.35)
        axis.text(1, 1.02, f"{len(t):,} spikes", transform=axis.transAxes, ha="right", va="bottom",
                  fontsize=7.5, color=_INK)
    axes[-1].set_xlabel("time step", color=_INK, fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})  # the same bytes for the same spikes
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

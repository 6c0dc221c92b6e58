"""Where the boxes and lines of a dataflow graph go: layers from top to bottom, few crossings, short lines.

The steps are those of Sugiyama, Tagawa and Toda (IEEE Trans. SMC 11(2), 1981): layers, places for lines that
pass a layer, an order in each layer by barycentres, and coordinates by least squares within that order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from neurogen.flow.drawing import rank_nodes


__all__ = ["Line", "Picture", "place"]

_SWEEPS = 12
_GAP = 26
_LAYER = 52

Vertex = str | tuple[int, int]  # a box, or the place of a line in a layer


@dataclass(frozen=True)
class Line:
    """A channel: points from its source to its target, and whether it leads back."""

    points: tuple[tuple[float, float], ...]
    back: bool


@dataclass(frozen=True)
class Picture:
    """Centres of the boxes by name, the lines in the order of the edges, and the size of the whole."""

    boxes: dict[str, tuple[float, float]]
    lines: tuple[Line, ...]
    width: float
    height: float


def place(widths: Mapping[str, float], edges: Sequence[tuple[str, float, str, float]],
          box_height: float) -> Picture:
    """Return a drawing of a graph.

    Parameters
    ----------
    widths
        Width of each box by name, in order.
    edges
        Source, offset of its port from the box's centre, target, offset of its port.
    box_height
        Height of all boxes.
    """
    pairs = [(source, target, 0) for source, _, target, _ in edges]
    rank, back = rank_nodes(list(widths), pairs)
    chains: list[list[Vertex]] = []
    layers: list[list[Vertex]] = [[] for _ in range(1 + max(rank.values(), default=0))]
    for name in widths:
        layers[rank[name]].append(name)
    for number, (source, target, _) in enumerate(pairs):
        high, low = sorted((source, target), key=rank.__getitem__)
        inner: list[Vertex] = [(number, r) for r in range(rank[high] + 1, rank[low])]
        for vertex in inner:
            layers[vertex[1]].append(vertex)
        chains.append([high, *inner, low])
    sides: dict[int, list[Vertex]] = {}  # a line that leads back passes beside both its boxes
    for number, (source, target, _) in enumerate(pairs):
        if (source, target) in back:
            beside: list[Vertex] = [(number, rank[target]), (-number - 1, rank[source])]
            for vertex, r in zip(beside, (rank[target], rank[source]), strict=True):
                layers[r].append(vertex)
            sides[number] = beside
    above: dict[Vertex, list[Vertex]] = {v: [] for layer in layers for v in layer}
    below: dict[Vertex, list[Vertex]] = {v: [] for layer in layers for v in layer}
    for chain in chains:
        for one, other in pairwise(chain):
            if one != other:
                below[one].append(other)
                above[other].append(one)
    for number, (high, low) in sides.items():
        inner = chains[number][1:-1] or [low, high]
        for one, other in ((high, inner[0]), (inner[-1], low)):
            if one != other and other not in below[one]:
                below[one].append(other)
                above[other].append(one)
    half = {v: (widths[v] if isinstance(v, str) else 10) / 2 for v in above}
    x = _order(layers, above, below, half)
    y = {v: 20 + box_height / 2 + r * (_LAYER + box_height) for r, layer in enumerate(layers) for v in layer}
    left = min((x[v] - half[v] for v in x), default=0) - 24
    lines = []
    for number, (source, out, target, into) in enumerate(edges):
        chain = chains[number] if chains[number][0] == source else chains[number][::-1]
        between = chain[1:-1]
        if number in sides:
            high, low = sides[number]
            between = [low, *between, high]
        inner = [(x[v] - left, y[v]) for v in between]
        start, end = (x[source] - left + out, y[source]), (x[target] - left + into, y[target])
        leads_back = (source, target) in back
        lines.append(Line(((start[0], start[1] + box_height / 2), *inner, (end[0], end[1] - box_height / 2)),
                          leads_back))
    width = max((x[v] + half[v] for v in x), default=0) - left + 24
    height = len(layers) * (_LAYER + box_height) - _LAYER + 40
    return Picture({name: (x[name] - left, y[name]) for name in widths}, tuple(lines), width, height)


def _order(layers, above, below, half):
    """Sort each layer in place, and return the horizontal places of its members."""
    place_of = {v: float(k) for layer in layers for k, v in enumerate(layer)}
    best, fewest = [list(layer) for layer in layers], None
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        near = above if down else below
        for layer in layers if down else reversed(layers):
            aim = {v: sum(place_of[n] for n in near[v]) / len(near[v]) if near[v] else place_of[v]
                   for v in layer}
            layer.sort(key=aim.__getitem__)
            for k, v in enumerate(layer):
                place_of[v] = float(k)
        crossings = _crossings(layers, below, place_of)
        if fewest is None or crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    for layer, kept in zip(layers, best, strict=True):
        layer[:] = kept
    x: dict = {}
    for layer in layers:
        _spread(layer, {v: float(k * 100) for k, v in enumerate(layer)}, half, x)
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = {}
            for v in layer:
                near = above[v] + below[v]
                wanted[v] = sum(x[n] for n in near) / len(near) if near else x[v]
            _spread(layer, wanted, half, x)
    return x


def _crossings(layers, below, place_of):
    total = 0
    for layer in layers:
        ends = [place_of[n] for v in layer for n in sorted(below[v], key=place_of.__getitem__)]
        total += sum(a > b for k, a in enumerate(ends) for b in ends[k + 1:])
    return total


def _spread(layer, wanted, half, x):
    """Set the places nearest to the wanted ones that keep order and distance (isotonic regression)."""
    shift, before = 0.0, None
    blocks: list[list[float]] = []  # sum of wanted places, members
    shifts = []
    for v in layer:
        shift += 0 if before is None else half[before] + half[v] + _GAP
        shifts.append(shift)
        blocks.append([wanted[v] - shift, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, members = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += members
        before = v
    places = [total / members for total, members in blocks for _ in range(int(members))]
    for v, place_, shift in zip(layer, places, shifts, strict=True):
        x[v] = place_ + shift

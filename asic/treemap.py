"""Area by component as a picture: nested rectangles in SVG (squarified treemap, Bruls et al. 2000)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape


__all__ = ["Box", "draw_treemap", "squarify", "treemap"]


_WIDTH, _HEIGHT = 1120.0, 560.0
_TITLE, _EDGE = 17.0, 3.0  # room for the name of a component above its parts, and around them
_LETTER = 6.4  # width of a character of a label, roughly


@dataclass(frozen=True)
class Box:
    """A rectangle of a treemap: a component, the macros of one (``kind`` "sram"), or what lies between its
    parts ("own").
    """

    path: str
    area: float
    kind: str
    x: float
    y: float
    width: float
    height: float


def squarify(
    areas: list[float], x: float, y: float, width: float, height: float
) -> Iterator[tuple[float, float, float, float]]:
    """Yield a rectangle for each of ``areas`` (the largest first), that together fill the given one.

    Rows are closed where one more part would make the worst ratio of sides worse.
    """
    unit = width * height / sum(areas) if areas else 0.0
    rest = [area * unit for area in areas]
    while rest:
        side = min(width, height)
        count, best = 1, float("inf")
        while count <= len(rest):
            total = sum(rest[:count])
            worst = max(max(side**2 * part / total**2, total**2 / (side**2 * part)) for part in rest[:count])
            if worst > best:
                break
            best, count = worst, count + 1
        row, rest = rest[: count - 1], rest[count - 1 :]
        deep = sum(row) / side
        along = 0.0
        for part in row:
            long = part / deep
            yield (x, y + along, deep, long) if width >= height else (x + along, y, long, deep)
            along += long
        if width >= height:
            x, width = x + deep, width - deep
        else:
            y, height = y + deep, height - deep


def treemap(components: Mapping[str, float], macros: Mapping[str, float]) -> list[Box]:
    """Return the boxes of a design, outer ones first.

    Parameters
    ----------
    components
        Area by path, with all that is inside (``components`` of `asic.synth.synthesise`).
    macros
        Area by path of each macro.
    """
    children: dict[str, list[str]] = {path: [] for path in components}
    top = min(components, key=len)
    for path in [*components, *macros]:
        if path != top:
            children[_parent(path, components)].append(path)
    return list(
        _boxes(top, {**components, **macros}, children, frozenset(macros), (0.0, 0.0, _WIDTH, _HEIGHT))
    )


def _parent(path, components):
    while path:
        path = path.rpartition(".")[0]
        if path in components:
            return path
    raise ValueError("Areas must have one component that all others are in")


def _boxes(path, areas, children, macros, place):
    x, y, width, height = place
    yield Box(path, areas[path], "sram" if path in macros else "part", x, y, width, height)
    below = children.get(path, [])
    if not below:
        return
    parts = sorted(((areas[child], child) for child in below if areas[child] > 0), reverse=True)
    own = areas[path] - sum(area for area, _ in parts)
    x, y, width, height = x + _EDGE, y + _TITLE, width - 2 * _EDGE, height - _TITLE - _EDGE
    if width < 4 or height < 4:
        return
    if own > 1e-6 * areas[path]:
        parts = sorted([*parts, (own, "")], reverse=True)
    for (area, child), part in zip(
        parts, squarify([area for area, _ in parts], x, y, width, height), strict=True
    ):
        if child:
            yield from _boxes(child, areas, children, macros, part)
        else:
            yield Box(path, area, "own", *part)


def draw_treemap(components: Mapping[str, float], macros: Mapping[str, float]) -> str:
    """Return the treemap as an SVG element; colours are the page's (classes ``part``, ``sram``, ``own``)."""
    lines = [f'<svg class="treemap" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="Area">']
    whole = None
    for box in treemap(components, macros):
        whole = whole or box.area
        name = box.path.rpartition(".")[2] if box.kind != "own" else "logic"
        if box.kind == "sram":
            name = ".".join(box.path.split(".")[-3:])
        text = (
            f"{box.path}{' (between its parts)' if box.kind == 'own' else ''}: {box.area:,.0f} µm², "
            f"{100 * box.area / whole:.1f} %"
        )
        lines.append(
            f'<g class="{box.kind}"><title>{escape(text)}</title><rect x="{box.x:.1f}" '
            f'y="{box.y:.1f}" width="{max(box.width, 0.1):.1f}" height="{max(box.height, 0.1):.1f}"/>'
        )
        room = int((box.width - 6) / _LETTER)
        if room >= 3 and box.height >= 14:
            size = f" {box.area / 1e6:.3g} mm²" if box.area >= 1e4 else f" {box.area:,.0f} µm²"
            label = name + size if len(name + size) <= room else name[:room]
            lines.append(f'<text x="{box.x + 4:.1f}" y="{box.y + 12.5:.1f}">{escape(label)}</text>')
        lines.append("</g>")
    return "".join([*lines, "</svg>"])

"""The report of a build: one page for people, the same facts as JSON for programs.

The page needs nothing but itself: style, drawing and pictures are inside, and its policy forbids
browsers to load anything.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from neurogen.flow.drawing import draw_curves, draw_graph, draw_raster
from neurogen.spec.conv import Conv
from neurogen.spec.lif import DECAY_ONE, Lif
from neurogen.spec.network import Network
from neurogen.spec.pool import SumPool


__all__ = ["KEYS", "REQUIRED", "accuracies", "describe_network", "templates", "write_report"]


REQUIRED = ("network", "config", "versions")
# In the order of the page.
KEYS = (*REQUIRED, "board", "verify", "accuracy", "learning", "layers", "raster", "quantisation", "resources",
        "memory", "hashes", "command", "wall_time", "peak_memory", "notes")


def describe_network(network: Network, name: str) -> dict:
    """Return a network as the plain values that `write_report` takes.

    Parameters
    ----------
    network
        The integer network.
    name
        What people call it; usually the name of its file.
    """
    nodes = []
    for label, node in network.nodes.items():
        arrays = [value for value in vars(node).values() if isinstance(value, np.ndarray)]
        weights = sum(value.size for value in arrays if value.ndim)
        nodes.append({"name": label, "kind": type(node).__name__, "shape": list(network.shapes[label]),
                      "params": int(weights), "parameters": _parameters(node)})
    return {"name": name, "digest": network.digest, "nodes": nodes,
            "edges": [[edge.source, edge.target, edge.delay] for edge in network.edges],
            "outputs": list(network.outputs)}


def _parameters(node) -> str:
    """Return what distinguishes a node from others of its kind, as a few words."""
    if isinstance(node, Conv):
        stride = f", stride {node.stride}" if node.stride > 1 else ""
        padding = f", pad {node.padding[0]}" if any(node.padding) else ""
        return f"{node.kernel}×{node.kernel}{stride}{padding}"
    if isinstance(node, SumPool):  # and MaxPool
        return f"{node.size}×{node.size}"
    if isinstance(node, Lif):
        kind = "CuBa" if node.cuba else "IF" if (node.decay == DECAY_ONE).all() else "LIF"
        return "read-out" if node.reset == "none" else f"{kind}, reset {node.reset.value}"
    return ""


def write_report(out_dir: str | Path, data: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write ``report.html`` and ``report.json`` into a folder; return their paths.

    An earlier report stays whole until the new one is complete.

    Parameters
    ----------
    out_dir
        Folder; made if need be.
    data
        Plain values by the names in `KEYS`; ``docs/reference/report.md`` describes each. Those in
        `REQUIRED` must be there, and sections without data are left out of the page.

    Raises
    ------
    ValueError
        If a key is missing or unknown.
    """
    missing = [key for key in REQUIRED if key not in data]
    if missing:
        raise ValueError(f"Report must have {', '.join(map(repr, missing))}, and does not")
    unknown = [key for key in data if key not in KEYS]
    if unknown:
        raise ValueError(f"Report must be made of {', '.join(KEYS)}, not {', '.join(map(repr, unknown))}")
    plain = {key: _plain(data[key]) for key in KEYS if key in data}
    text = json.dumps({"format": "neurogen.report", "version": 1, **plain}, indent=1, ensure_ascii=False,
                      allow_nan=False)
    page = _page(plain)
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    paths = out_dir / "report.html", out_dir / "report.json"
    for path, content in zip(paths, (page, text + "\n"), strict=True):
        part = path.with_name(path.name + ".part")
        try:
            part.write_text(content, encoding="utf-8")
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    return paths


def _plain(value):
    """Return a value in JSON's types; numbers that JSON does not have become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Sequence | set | frozenset):
        return [_plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    raise TypeError(f"Report must be made of plain values, not {value!r}")


# -- The page -----------------------------------------------------------------------------------------


def templates(*packages: str) -> Environment:
    """Return what renders the templates of packages, and those of this one: they share style and filters."""
    loader = ChoiceLoader([PackageLoader(name, ".") for name in (*packages, "neurogen.flow")])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                              lstrip_blocks=True)
    environment.filters |= {"count": _count, "number": _number, "percent": _percent, "size": _size,
                            "seconds": _seconds}
    return environment


def _page(data):
    network = data["network"]
    return templates().get_template("report.html.j2").render(
        **{key: data.get(key) for key in KEYS},
        graph=Markup(draw_graph(network["nodes"], network["edges"], network.get("outputs", ()))),
        pictures=_pictures(data.get("raster")), curves=_curves(data.get("learning")),
        chips=_chips(data), totals=_totals(data.get("layers")),
        layer_rows=_layer_rows(data), quantisation_tables=_tables(data.get("quantisation")),
        accuracies=accuracies(data.get("accuracy")))


def _pictures(raster):
    return draw_raster(raster) if raster else None


def _curves(learning):
    return Markup(draw_curves(learning["accuracy"], learning["unit"])) if learning else None


def _chips(data):
    """Return (text, verdict) of the claims that the page opens with; a verdict is good, bad or plain."""
    chips = []
    if verify := data.get("verify"):
        bad = verify["mismatches"]
        text = "RTL = golden" if not bad else f"{bad:,} mismatches between RTL and golden"
        where = f", {verify['samples']:,} samples" if verify.get("samples") is not None else ""
        chips.append((text + where, "bad" if bad else "good"))
    if resources := data.get("resources"):
        fmax, target = resources.get("fmax"), resources.get("target")
        if fmax is not None and target is not None:
            chips.append((f"{fmax:.1f} MHz, target {target:.1f} MHz", "good" if fmax >= target else "bad"))
    for name, value in accuracies(data.get("accuracy")):
        if value["fraction"] is not None:
            chips.append((f"{value['fraction']:.1%} {name}", "plain"))
    return chips


def accuracies(accuracy: Mapping[str, Any] | None) -> list[tuple[str, dict[str, Any]]]:
    """Return (name, {fraction, text}) of each accuracy: a fraction, or ``{correct, total}``.

    The fraction of nothing is None; the text of a fraction is empty.
    """
    result = []
    for name, value in (accuracy or {}).items():
        if isinstance(value, Mapping):
            fraction = value["correct"] / value["total"] if value["total"] else None
            text = f"{value['correct']:,} of {value['total']:,}"
        else:
            fraction, text = float(value), ""
        result.append((name.replace("_", " "), {"fraction": fraction, "text": text}))
    return result


def _totals(layers):
    """Return the sums over the layers that have one."""
    if not layers:
        return {}
    return {key: sum(layer.get(key) or 0 for layer in layers)
            for key in ("events", "sops", "spikes", "cycles", "bound_cycles")
            if any(layer.get(key) is not None for layer in layers)}


def _layer_rows(data):
    """Return the layers with what the page derives: the ratio to the bound, and the bar's marks."""
    rows = []
    for layer in data.get("layers") or ():
        cycles, bound = layer.get("cycles"), layer.get("bound_cycles")
        ratio = cycles / bound if cycles and bound else None
        used = layer.get("utilisation")
        # What the utilisation would be in as few cycles as the bound allows.
        best = min(1.0, used * ratio) if used is not None and ratio else None
        rows.append({**layer, "ratio": ratio, "best": best})
    return rows


# Columns of a quantisation report that need a closer look only when widths are at stake.
_DETAILS = ("comfortable_bits", "positive", "negative", "v_lo", "v_hi", "i_lo", "i_hi")


def _tables(report):
    """Return (columns, rows) of a report by layer, whatever its columns are, and of its details."""
    if not report:
        return []
    layers = report.get("layers", report) if isinstance(report, dict) else report
    if isinstance(layers, dict):
        layers = [{"name": name, **(row if isinstance(row, dict) else {"value": row})}
                  for name, row in layers.items()]
    # A column without a value in any layer says nothing.
    columns = list(dict.fromkeys(key for row in layers for key, value in row.items()
                                 if value is not None and value != []))
    parts = [column for column in columns if column not in _DETAILS], \
        [column for column in columns if column in ("name", *_DETAILS)]
    return [(part, [[_cell(row.get(column)) for column in part] for row in layers])
            for part in parts if set(part) - {"name"}]


def _cell(value):
    if isinstance(value, list) and value and all(isinstance(item, int | float) for item in value):
        low, high = _number(min(value)), _number(max(value))  # one value a channel, or a range
        return low if low == high else f"{low} … {high}"
    return _number(value)


def _count(value):
    return "–" if value is None else f"{value:,}"


def _number(value):
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_number, value))
    return str(value)


def _percent(value):
    return "–" if value is None else f"{100 * value:.1f} %"


def _size(value):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024 or unit == "GiB":
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise ValueError(f"Size must be a number of bytes, not {value!r}")


def _seconds(value):
    minutes, seconds = divmod(float(value), 60)
    return f"{int(minutes)} min {seconds:.0f} s" if minutes else f"{seconds:.1f} s"

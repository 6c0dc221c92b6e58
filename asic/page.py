"""One page for an ASIC build: area, timing, energy, memories, checks, and what a run elsewhere found.

The page needs nothing but itself, as that of `neurogen.flow.report`; ``report.json`` beside it has the same
facts, and is what the page is made again from when figures of a run, or a picture of a layout, are added.
"""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asic.treemap import draw_treemap
from neurogen.flow.errors import UserError
from neurogen.flow.report import templates


__all__ = ["add_run", "write_page"]


_FORMAT = "neurogen.asic"
_PNG = b"\x89PNG\r\n\x1a\n"
_KEYS = (
    "top",
    "pdk",
    "period",
    "area",
    "components",
    "timing",
    "librelane",
    "gates",
    "equivalence",
    "energy",
    "macros",
    "die",
    "commands",
    "seconds",
    "versions",
    "hashes",
)


def write_page(folder: Path, data: Mapping[str, Any]) -> Path:
    """Write ``report.html`` and ``report.json`` for `asic.build.build_asic`; return the page's path.

    Parameters
    ----------
    data
        Plain values: what `build_asic` found, and ``run`` and ``picture`` where there are some. What has not
        been measured says so: ``{"status": "not run", "reason": …}``.

    Raises
    ------
    ValueError
        If something is missing.
    """
    missing = [key for key in _KEYS if key not in data]
    if missing:
        raise ValueError(f"Page of a build must have {', '.join(missing)}, and does not")
    text = json.dumps(
        {"format": _FORMAT, "version": 1, **data}, indent=1, ensure_ascii=False, allow_nan=False
    )
    page = _render(data)
    for name, content in (("report.json", text + "\n"), ("report.html", page)):
        part = folder / f"{name}.part"
        try:
            part.write_text(content, encoding="utf-8")
            os.replace(part, folder / name)
        finally:
            part.unlink(missing_ok=True)
    return folder / "report.html"


def add_run(folder: Path, *, run: Mapping[str, Any] | None = None, picture: Path | None = None) -> Path:
    """Add figures of a run (see `asic.metrics.read_run`) and a picture (PNG) to the page of a build.

    Raises
    ------
    UserError
        If the folder is not one of `asic.build.build_asic`, or the picture is no PNG.
    """
    try:
        data = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        known = data.pop("format") == _FORMAT and data.pop("version") == 1
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        known = False
    if not known:
        raise UserError(
            f"Folder of a page must be the asic folder of a build, with its report.json; {folder} is not"
        )
    if run is not None:
        data["run"] = dict(run)
    if picture is not None:
        try:
            content = picture.read_bytes()
        except OSError as error:
            raise UserError(f"Cannot read {picture}: {error.strerror}") from None
        if not content.startswith(_PNG):
            raise UserError(f"Picture of a layout must be a PNG file, and {picture} is not")
        data["picture"] = "data:image/png;base64," + base64.b64encode(content).decode()
    return write_page(folder, data)


def _render(data: Mapping[str, Any]) -> str:
    environment = templates("asic")
    environment.filters["ns"] = _ns
    components, area = data["components"], data["area"]
    rows, parts = _energy(data["energy"])
    return environment.get_template("report.html.j2").render(
        **{key: data[key] for key in _KEYS if key not in ("components", "macros")},
        run=data.get("run"),
        picture=data.get("picture"),
        chips=_chips(data),
        tiles=_tiles(data),
        treemap=draw_treemap(components["areas"], components["macros"]),
        treemap_note=_note(components, area),
        energy_rows=rows,
        energy_parts=parts,
        memories=_memories(area["memories"]),
        checks=_checks(data),
    )


def _ns(value: float | None) -> str:
    return "–" if value is None else f"{value * 1e9:.2f} ns"


def _chips(data):
    """Return (text, verdict) of the claims that the page opens with."""
    gates, proof, loader = data["gates"], data["equivalence"], data["librelane"]
    chips = []
    if gates is not None:
        bad = gates["mismatches"]
        chips.append(
            (
                f"netlist = RTL in {gates['values']:,} values" if not bad else f"{bad:,} values differ",
                "bad" if bad else "good",
            )
        )
    chips.append(
        (
            f"equivalence: {proof['status']}",
            {"proved": "good", "not proved": "bad"}.get(proof["status"], "plain"),
        )
    )
    if loader["status"] == "accepted":
        count = len(loader["warnings"])
        chips.append((f"LibreLane accepts it, {count} warnings", "plain" if count else "good"))
    else:
        chips.append((f"LibreLane's loader: {loader['status']}", "plain"))
    return chips


def _tiles(data):
    area, width, height = data["area"], *data["die"]
    tiles = [
        (f"{area['area_um2'] / 1e6:.3f} mm²", "cells and macros"),
        (f"{area['logic_um2'] / 1e6:.3f} mm²", "logic"),
        (f"{area['sequential_um2'] / 1e6:.3f} mm²", "registers"),
        (f"{area['sram_um2'] / 1e6:.3f} mm²", "memory macros"),
        (f"{area['cell_count']:,}", "cells"),
        (f"{area['registers']:,}", "registers"),
        (f"{len(data['macros']):,}", "macros"),
        (f"{area['clock_gates']:,}", "gated clocks"),
        (f"{width / 1e3:.1f} × {height / 1e3:.1f} mm", "die to start with"),
    ]
    timing = data["timing"]
    if timing["status"] == "run":
        name, corner = next(iter(timing["corners"].items()))
        if corner.get("shortest_period"):
            tiles.append((f"{1e-6 / corner['shortest_period']:.0f} MHz", f"before placement, {name}"))
    return tiles


def _note(components, area):
    total = components["areas"][min(components["areas"], key=len)]
    if components["flat"]:
        return "The netlist is flat: cells have no component, and only macros are shown apart."
    if not area["flat"]:
        return f"All of the netlist: {total:,.0f} µm². Components are boxes with their name."
    return (
        f"Of a netlist with its hierarchy kept, for this picture only: {total:,.0f} µm²; the flat one of the "
        f"other figures has {area['area_um2']:,.0f} µm²."
    )


def _energy(energy):
    """Return (name, [(colour, share, text)], total) of each row, and the names of the parts."""
    if energy["status"] != "run":
        return [], []
    names = list(dict.fromkeys(name for row in energy["rows"] for name in row["parts"]))
    longest = max(sum(row["parts"].values()) for row in energy["rows"])
    rows = []
    for row in energy["rows"]:
        parts = [
            (
                number,
                row["parts"].get(name, 0.0) / longest,
                f"{row['parts'][name]:.3g}" if name in row["parts"] else "–",
            )
            for number, name in enumerate(names)
        ]
        rows.append((row["name"], parts, f"{sum(row['parts'].values()):.3g} {energy['unit']}"))
    return rows, names


def _memories(memories):
    """Return memories, alike ones as one row, each with its chosen candidate."""
    rows: dict[str, dict] = {}
    for memory in memories:
        alike = {key: value for key, value in memory.items() if key != "memory"}
        row = rows.setdefault(json.dumps(alike, sort_keys=True), {**memory, "times": 0})
        row["times"] += 1
    for row in rows.values():
        row["found"] = next((one for one in row["candidates"] if "tiles" in one
                             and row["chosen"] == {one["macro"]: one["tiles"]}), None)
        row["about"] = next((one["area_um2"] for one in row["candidates"]
                             if one["macro"] in row["chosen"]), None)
    return list(rows.values())


def _checks(data):
    gates, proof, loader = data["gates"], data["equivalence"], data["librelane"]
    simulated = (
        "not run: no recording"
        if gates is None
        else (
            f"{gates['values']:,} values of outputs over {gates['cycles']:,} cycles, {gates['mismatches']:,} "
            f"differ; {gates['undefined']:,} more show what nobody wrote"
        )
    )
    formal = proof.get("reason") or (
        f"{proof['registers']:,} registers, {proof['outputs']:,} outputs, {proof['pins']:,} pins of macros; "
        f"{len(proof['failed']):,} differ, {proof['undecided']:,} undecided; {proof['seconds']:.0f} s"
    )
    loaded = loader.get("reason") or f"{loader['variables']:,} variables, {len(loader['warnings'])} warnings"
    return [
        ("gate-level simulation", simulated),
        ("formal equivalence", f"{proof['status']}: {formal}"),
        ("LibreLane's loader", f"{loader['status']}: {loaded}"),
        *(("warning", text) for text in loader.get("warnings", ())),
    ]

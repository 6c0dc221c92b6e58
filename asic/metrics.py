"""What a run of LibreLane or ORFS made elsewhere has measured."""

import json
from pathlib import Path

from neurogen.flow.errors import UserError


__all__ = ["METRICS", "MetricsError", "read_run"]


class MetricsError(UserError):
    """A run has no metrics, or lacks some."""


# Ours by the names that both flows give them; the first that is there counts.
METRICS = {
    "area_um2": ("design__instance__area", "finish__design__instance__area"),
    "core_area_um2": ("design__core__area", "finish__design__core__area"),
    "cells": ("design__instance__count", "finish__design__instance__count"),
    "utilisation": ("design__instance__utilization", "finish__design__instance__utilization"),
    "setup_slack_ns": ("timing__setup__ws", "finish__timing__setup__ws"),
    "hold_slack_ns": ("timing__hold__ws", "finish__timing__hold__ws"),
    "power_W": ("power__total", "finish__power__total"),
    "wire_um": ("route__wirelength", "detailedroute__route__wirelength"),
    "route_violations": ("route__drc_errors", "detailedroute__route__drc_errors"),
}
_PLACES = ("final/metrics.json", "metrics.json", "6_report.json", "logs/6_report.json")


def read_run(folder: Path | str) -> dict:
    """Return the metrics of a run, and where they come from.

    Parameters
    ----------
    folder
        Of a run: LibreLane's ``runs/TAG`` (``final/metrics.json``), or ORFS' ``logs/…/base``
        (``6_report.json``; the routing's figures come from ``5_2_route.json`` beside it, if it is there). Or
        the file itself.

    Returns
    -------
    By the names of `METRICS`, and ``source``.

    Raises
    ------
    MetricsError
        If there is no such file, it is no JSON, or a metric is missing or no number (names them): what has
        not been measured is never reported as zero.
    """
    folder = Path(folder)
    files = [folder] if folder.is_file() else [folder / name for name in _PLACES if (folder / name).is_file()]
    if not files:
        raise MetricsError(f"Folder of a run must hold one of {', '.join(_PLACES)}, and {folder} does not")
    found = _load(files[0])
    beside = files[0].parent / "5_2_route.json"
    if files[0].name == "6_report.json" and beside.is_file():
        found = {**_load(beside), **found}
    result, missing = {}, []
    for name, keys in METRICS.items():
        value = next((found[key] for key in keys if key in found), None)
        if isinstance(value, bool) or not isinstance(value, int | float):
            missing.append(f"{name} ({' or '.join(keys)})")
        else:
            result[name] = value
    if missing:
        names = ", ".join(missing)
        raise MetricsError(f"Metrics of a finished run must be in {files[0]}, which lacks {names}")
    return {**result, "source": str(files[0])}


def _load(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MetricsError(f"Metrics must be JSON, and {path} is not: {error}") from None
    if not isinstance(found, dict):
        raise MetricsError(f"Metrics must be an object of JSON, and {path} is not")
    return found

"""What nextpnr reports: clock frequencies, the worst path, and the cells in use."""

import json
from pathlib import Path
from typing import Any

from neurogen.flow.errors import UserError
from neurogen.flow.tools import ToolError


__all__ = ["TimingError", "check_timing", "read_report"]


class TimingError(UserError):
    """A design is slower than its clock; ``resources`` has what was measured."""

    def __init__(self, message: str, resources: dict[str, Any]):
        super().__init__(message)
        self.resources = resources


def read_report(path: Path | str, device: str, target_hz: float, *, blanks: int = 0) -> dict[str, Any]:
    """Return the resources of a placed and routed design, as `neurogen.flow.report` takes them.

    Parameters
    ----------
    path
        Report of nextpnr (``--report``).
    device
        Name of the device.
    target_hz
        What the clock of the accelerator must reach, in Hz.
    blanks
        LUTs of an ECP5 that only leave room; they are not in use.

    Returns
    -------
    ``device``; ``cells`` (by kind: ``used``, ``available``, of those in use); ``fmax`` and ``target`` in MHz
    of the accelerator's clock, ``slack`` in ns; ``clocks`` (MHz by name: ``achieved``, ``constraint``);
    ``critical_path`` (text).

    Raises
    ------
    ToolError
        If it is no such report, or no clock has that target: then nothing is known about the timing.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        cells = {name: {"used": int(kind["used"]), "available": int(kind["available"])}
                 for name, kind in data["utilization"].items() if kind["used"]}
        if blanks:
            cells["TRELLIS_COMB"]["used"] -= blanks
        clocks = {name: {"achieved": float(clock["achieved"]), "constraint": float(clock["constraint"])}
                  for name, clock in data["fmax"].items()}
        target = target_hz / 1e6
        ours = [name for name, clock in clocks.items() if abs(clock["constraint"] / target - 1) < 2e-3]
        if not ours:
            others = ", ".join(f"{clock['constraint']:g}" for clock in clocks.values())
            raise ToolError(f"Report of nextpnr must have a clock of {target:g} MHz, not {others or 'none'}")
        name = min(ours, key=lambda name: clocks[name]["achieved"])
        fmax = clocks[name]["achieved"]
        path_text = _path(data["critical_paths"], name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolError(f"Report of nextpnr {path} cannot be read: {error!r}") from None
    return {"device": device, "cells": cells, "fmax": fmax, "target": target,
            "slack": 1e3 / target - 1e3 / fmax, "clocks": clocks, "critical_path": path_text}


def check_timing(resources: dict[str, Any]) -> None:
    """Raise a `TimingError` that says by how much, if a clock is missed."""
    slow = {name: clock for name, clock in resources["clocks"].items()
            if clock["achieved"] < clock["constraint"]}
    if slow:
        name, clock = min(slow.items(), key=lambda item: item[1]["achieved"] / item[1]["constraint"])
        late = 1e3 / clock["achieved"] - 1e3 / clock["constraint"]
        raise TimingError(f"{resources['device']} reaches {clock['achieved']:.2f} MHz of "
                          f"{clock['constraint']:.2f} MHz ({name}): too slow by {late:.2f} ns\n"
                          f"worst path: {resources['critical_path']}", resources)


def _path(paths: list[dict], clock: str) -> str:
    """Return where the worst path of a clock begins and ends, and where its time goes."""
    edge = f"posedge {clock}"
    steps = next((path["path"] for path in paths if path["from"] == path["to"] == edge), None)
    if not steps:
        return ""
    first, last = (f"{end['cell']}.{end['port']}" for end in (steps[0]["from"], steps[-1]["to"]))
    routing = sum(step["delay"] for step in steps if step["type"] == "routing")
    total = sum(step["delay"] for step in steps)
    levels = sum(step["type"] == "logic" for step in steps)
    return (f"{first} to {last}: {total:.2f} ns, {levels} cells {total - routing:.2f} ns, "
            f"wires {routing:.2f} ns")

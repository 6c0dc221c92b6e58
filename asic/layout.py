"""Layouts without OpenROAD: generated cells, placed and routed by Coriolis, drawn by KLayout.

The cells are FlexLib's, made for the design rules of a kit by PDKMaster; they are not the kit's own library,
are larger, and have no timing: such a layout is a picture and a test of the way there, and says nothing about
area or speed.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from asic.drc import check_rules
from asic.flexcells import KITS
from asic.picture import draw_layout
from asic.yosys import run_yosys
from neurogen.flow.errors import UserError
from neurogen.flow.rewrite import without_zeros
from neurogen.flow.tools import ToolError, run_tool


__all__ = ["kit_of", "make_layout"]


_NEEDS = ("coriolis", "pdkmaster", "c4m.flexcell", "klayout")
_ALIASES = {"sky130": "sky130hd", "ihp-sg13g2": "sg13g2"}
_ZOOM = 40.0  # µm


def kit_of(name: str) -> str:
    """Return the name of a kit that cells can be generated for.

    Raises
    ------
    UserError
        If there is none, or the extra is missing.
    """
    kit = _ALIASES.get(name, name)
    if kit not in KITS:
        raise UserError(f"Kit of a layout must be one of {', '.join([*_ALIASES, *KITS])}, not {name!r}")
    missing = [module for module in _NEEDS if not _there(module)]
    if missing:
        raise UserError(f"Layouts need {', '.join(missing)}: run `pip install 'neurogen[layout]'` "
                        "(Python 3.11 or 3.12)")
    return kit


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def make_layout(verilog: str, top: str, kit: str, folder: Path) -> dict[str, Any]:
    """Synthesise a design for generated cells, place and route it, and draw it.

    Writes ``TOP.gds``, ``TOP.png`` (all of it), ``TOP_zoom.png`` (40 µm), ``netlist.v``, ``flex.lib`` and
    ``route.log`` into ``folder``, which exists.

    Parameters
    ----------
    verilog, top
        The design: one clock ``clk``, memories of a few words. Registers start undefined.
    kit
        What `kit_of` returned.

    Returns
    -------
    ``cells``, ``width_um``, ``height_um``, ``segments`` and ``wire_um`` (routed), ``drc`` (see
    `asic.drc.check_rules`), ``seconds`` by step.

    Raises
    ------
    ToolError
        If a step fails, or wires are left.
    """
    seconds: dict[str, float] = {}

    def step(name: str, start: float) -> None:
        seconds[name] = round(time.monotonic() - start, 2)

    work = folder / "work"
    work.mkdir()
    start = time.monotonic()
    _run("asic.flexcells", [kit, str(work / "cells")], work, "Generating cells")
    step("cells", start)
    start = time.monotonic()
    count = _synthesise(verilog, top, work)
    step("synthesis", start)
    start = time.monotonic()
    log = _run("asic.route", [str(work / "cells"), top], work, "Place and route")
    step("place and route", start)
    (folder / "route.log").write_text(log, encoding="utf-8")
    segments, wires = _routed(log)
    gds = folder / f"{top}.gds"
    shutil.move(work / f"{top}_cts_r.gds", gds)
    shutil.move(work / "netlist.v", folder / "netlist.v")
    shutil.move(work / "cells" / "flex.lib", folder / "flex.lib")
    start = time.monotonic()
    width, height = draw_layout(gds, kit, folder / f"{top}.png")
    draw_layout(gds, kit, folder / f"{top}_zoom.png", zoom=min(_ZOOM, width, height))
    step("pictures", start)
    start = time.monotonic()
    drc = check_rules(gds, f"{top}_cts_r", work / "cells" / "rules.drc", work)
    step("design rules", start)
    shutil.rmtree(work)
    return {"kit": kit, "cells": count, "width_um": round(width, 2), "height_um": round(height, 2),
            "segments": segments, "wire_um": wires, "drc": drc, "seconds": seconds}


def _run(module: str, arguments: Sequence[str], folder: Path, what: str) -> str:
    root = str(Path(__file__).parents[1])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return run_tool([sys.executable, "-m", module, *arguments], what=what, cwd=folder,
                    env={"PYTHONPATH": paths})


def _synthesise(verilog: str, top: str, work: Path) -> int:
    """Write ``TOP.blif`` of generated cells; return how many there are."""
    (work / "source.v").write_text(without_zeros(verilog), encoding="utf-8")
    run_yosys(work, "map", [
        "read_verilog source.v", "setattr -unset init w:*", f"synth -flatten -top {top}",
        "setattr -unset init w:*", "dfflegalize -cell $_DFF_P_ x", "dfflibmap -liberty cells/flex.lib",
        "opt -full", "abc -liberty cells/flex.lib", "setundef -zero",
        "hilomap -singleton -hicell one_x1 one -locell zero_x1 zero", "splitnets", "opt_clean -purge",
        "rename -enumerate -pattern n%_", "rename -wire", "check -mapped", "tee -q -o cells.txt stat",
        f"write_blif {top}.blif", "write_verilog -noattr netlist.v"])
    found = re.search(r"(\d+)\s+cells\b|Number of cells:\s+(\d+)", (work / "cells.txt").read_text("utf-8"))
    if found is None:
        raise ToolError("Synthesis failed: Yosys does not say how many cells there are")
    return int(found[1] or found[2])


def _routed(log: str) -> tuple[int, int]:
    """Return how many segments and µm of wire are routed; all must be."""
    segments = re.findall(r"Track Segment Completion Ratio [. ]*100% \[(\d+)\+0\]", log)
    wires = re.findall(r"Wire Length Completion Ratio [. ]*100% \[(\d+)um\+0\]", log)
    if not segments or not wires:
        raise ToolError("Place and route failed: Coriolis does not say that all wires are routed")
    return int(segments[-1]), int(wires[-1])

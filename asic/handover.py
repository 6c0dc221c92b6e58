"""What a user of OpenROAD runs next: sources, constraints and configurations for LibreLane and for ORFS."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from asic.floorplan import Floorplan, make_floorplan, read_lef_size
from asic.pdk import Pdk
from asic.synth import map_memories, synthesise
from asic.yosys import run_yosys
from neurogen.flow.errors import UserError


__all__ = ["FLOWS", "HandoverError", "Handover", "write_handover"]


FLOWS = ("librelane", "orfs")
_SIDES = {"N": [], "E": ["o_.*"], "S": ["mem__.*"], "W": ["clk", "rst", "i_.*", "bus__.*"]}


class HandoverError(UserError):
    """A design or kit is not one that a flow can take."""


@dataclass(frozen=True)
class Handover:
    """What was written: area report of our own synthesis, floorplan, macros by instance, commands to run."""

    area: dict
    floorplan: Floorplan
    macros: dict[str, str]
    commands: dict[str, str]


def write_handover(folder: Path, verilog: str, top: str, pdk: Pdk, *, flow: str = "librelane",
                   period: float = 20e-9, area: dict | None = None) -> Handover:
    """Write sources and configurations into ``folder``, which exists.

    Both flows get ``src/TOP.v`` (one flat module of plain Verilog-2005, memories already macros) and
    ``src/TOP.sdc``. LibreLane: ``config.yaml``, ``pin_order.cfg``. ORFS: ``orfs/PLATFORM/TOP/config.mk``,
    ``constraint.sdc`` and ``macros.tcl``, ``orfs/src/TOP``. Both: ``macros.json``,
    ``area.json``, ``README.md``.

    Parameters
    ----------
    verilog, top
        The design; clock ``clk``.
    flow
        One of `FLOWS`: the one that the README tells first; files of all that the kit has are written.
    period
        Clock period of the constraints, in s.
    area
        Report of `asic.synth.synthesise`, if there is one; else the design is synthesised for it.

    Raises
    ------
    HandoverError
        If the kit is not one of the flow's.
    SramError
        If a memory has no macro.
    """
    known = pdk.data["flows"]
    if flow not in FLOWS or flow not in known:
        there = ", ".join(name for name in FLOWS if name in known)
        raise HandoverError(f"Flow for {pdk.name} must be one of {there}, not {flow!r}")
    work = folder / "work"
    work.mkdir()
    (folder / "src").mkdir()
    if area is None:
        area = synthesise(verilog, top, pdk, work, period=period)
    macros = _write_source(folder, work, verilog, top, pdk)
    sizes = {name: read_lef_size(pdk, kind) for name, kind in macros.items()}
    plan = make_floorplan(area["area_um2"] - area["sram_um2"], sizes)
    (folder / "area.json").write_text(json.dumps(area, indent=1), encoding="utf-8")
    (folder / "macros.json").write_text(json.dumps(
        {name: {"macro": kind, "x_um": plan.places[name][0], "y_um": plan.places[name][1], "width_um":
                sizes[name][0], "height_um": sizes[name][1], "power": pdk.data["sram"]["power"]}
         for name, kind in macros.items()}, indent=1), encoding="utf-8")
    sdc = _sdc(pdk, period)
    (folder / "src" / f"{top}.sdc").write_text(sdc, encoding="utf-8")
    commands = {}
    if "librelane" in known:
        _write_librelane(folder, top, pdk, period, macros, plan)
        setup = known["librelane"]
        commands["librelane"] = f"librelane --pdk {setup['pdk']} --scl {setup['library']} config.yaml"
    if "orfs" in known:
        _write_orfs(folder, top, pdk, sdc, macros, plan)
        commands["orfs"] = (f"make -C $ORFS/flow DESIGN_HOME=$PWD/orfs DESIGN_CONFIG=$PWD/orfs/"
                            f"{known['orfs']['platform']}/{top}/config.mk")
    shutil.rmtree(work)
    handover = Handover(area, plan, macros, commands)
    (folder / "README.md").write_text(_readme(top, pdk, flow, period, handover), encoding="utf-8")
    return handover


def _write_source(folder: Path, work: Path, verilog: str, top: str, pdk: Pdk) -> dict[str, str]:
    """Write ``src/TOP.v``; return the types of its macros by instance, with names that every tool takes."""
    map_memories(verilog, top, pdk, work)
    kinds = {macro.name for macro in pdk.macros}
    run_yosys(work, "macros", ["read_rtlil coarse.il", "opt_clean", "write_json words.json"],
              "Writing Verilog")
    cells = json.loads((work / "words.json").read_text(encoding="utf-8"))["modules"][top]["cells"]
    macros, renames = {}, []
    for name, cell in cells.items():
        if cell["type"] in kinds:
            plain = re.sub(r"\W+", "_", name).strip("_")
            while plain in macros or (plain != name and plain in cells):
                plain += "_"
            macros[plain] = cell["type"]
            if plain != name:
                renames.append(f"rename {name} {plain}")
    run_yosys(work, "verilog", ["read_rtlil coarse.il", f"cd {top}", *renames, "cd ..", "opt_clean",
                                "write_verilog -noattr words.v"], "Writing Verilog")
    shutil.move(work / "words.v", folder / "src" / f"{top}.v")
    return dict(sorted(macros.items()))


def _sdc(pdk: Pdk, period: float) -> str:
    cell, pin = pdk.data["cells"]["driver"]
    units = pdk.data.get("sdc", {"time": 1e-9, "capacitance": 1e-12})
    ns = period / units["time"]
    load = 10e-15 / units["capacitance"]
    pico = 1e-12 / units["time"]
    return f"""# Constraints: one clock; a fifth of a period for what lies before inputs and behind outputs.
set period {ns:g}
create_clock -name clk -period $period [get_ports clk]
set_clock_uncertainty {min(250 * pico, ns / 40):g} [get_clocks clk]
set_clock_transition {min(150 * pico, ns / 50):g} [get_clocks clk]
set inputs [all_inputs -no_clocks]
set_input_delay [expr {{$period * 0.2}}] -clock clk $inputs
set_output_delay [expr {{$period * 0.2}}] -clock clk [all_outputs]
set_driving_cell -lib_cell {cell} -pin {pin} $inputs
set_load {load:g} [all_outputs]
set_max_fanout {pdk.data["max_fanout"]} [current_design]
"""


def _write_librelane(folder: Path, top: str, pdk: Pdk, period: float, macros: Mapping[str, str],
                     plan: Floorplan) -> None:
    setup = pdk.data["flows"]["librelane"]
    config: dict = {
        "meta": {"version": 3, "flow": "Classic"},
        "DESIGN_NAME": top,
        "VERILOG_FILES": [f"dir::src/{top}.v"],
        "CLOCK_PORT": "clk",
        "CLOCK_PERIOD": round(period * 1e9, 6),
        "PNR_SDC_FILE": f"dir::src/{top}.sdc",
        "SIGNOFF_SDC_FILE": f"dir::src/{top}.sdc",
        "IO_PIN_ORDER_CFG": "dir::pin_order.cfg",
        "FP_SIZING": "absolute",
        "DIE_AREA": [0, 0, plan.width, plan.height],
        "PL_TARGET_DENSITY_PCT": 50,
    }
    if macros:
        config["MACROS"] = _librelane_macros(pdk, macros, plan)
        power, ground = setup["power"]
        config["PDN_MACRO_CONNECTIONS"] = [f"{name} {power} {ground} {pin} {ground_pin}" for name in macros
                                           for pin, ground_pin in pdk.data["sram"]["power"]]
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False, width=110), encoding="utf-8")
    lines = [line for side, patterns in _SIDES.items() for line in [f"#{side}", *patterns, ""]]
    (folder / "pin_order.cfg").write_text("\n".join(lines), encoding="utf-8")


def _librelane_macros(pdk: Pdk, macros: Mapping[str, str], plan: Floorplan) -> dict:
    sram = pdk.data["sram"]
    base = f"pdk_dir::{sram['folder']}"
    result: dict = {}
    for name, kind in macros.items():
        entry = result.setdefault(kind, {
            "gds": [f"{base}/gds/{kind}.gds"], "lef": [f"{base}/lef/{sram['lef'].format(macro=kind)}"],
            "vh": [f"{base}/verilog/{kind}.v"],
            "lib": {"*": [f"{base}/lib/{sram['liberty'].format(macro=kind)}"]},
            "instances": {}})
        entry["instances"][name] = {"location": list(plan.places[name]), "orientation": "N"}
    return result


def _write_orfs(folder: Path, top: str, pdk: Pdk, sdc: str, macros: Mapping[str, str],
                plan: Floorplan) -> None:
    setup = pdk.data["flows"]["orfs"]
    place = folder / "orfs" / setup["platform"] / top
    place.mkdir(parents=True)
    source = folder / "orfs" / "src" / top
    source.mkdir(parents=True)
    shutil.copy(folder / "src" / f"{top}.v", source)
    (place / "constraint.sdc").write_text(sdc, encoding="utf-8")
    inner = 10
    lines = [
        f"export DESIGN_NAME = {top}",
        f"export PLATFORM = {setup['platform']}",
        f"export VERILOG_FILES = $(DESIGN_HOME)/src/{top}/{top}.v",
        f"export SDC_FILE = $(DESIGN_HOME)/$(PLATFORM)/{top}/constraint.sdc",
        f"export DIE_AREA = 0 0 {plan.width} {plan.height}",
        f"export CORE_AREA = {inner} {inner} {plan.width - inner} {plan.height - inner}",
        "export PLACE_DENSITY = 0.5",
    ]
    if macros:
        sram, kinds = pdk.data["sram"], sorted(set(macros.values()))
        files = {"LEFS": ("lef", sram["lef"]), "LIBS": ("lib", sram["liberty"]),
                 "GDS": ("gds", "{macro}.gds")}
        lines += ["# PDK: the kit's folder of a PDK_ROOT, which holds the memories.",
                  *(f"export ADDITIONAL_{key} = " + " ".join(
                      f"$(PDK)/{sram['folder']}/{part}/{pattern.format(macro=kind)}" for kind in kinds)
                    for key, (part, pattern) in files.items()),
                  f"export MACRO_PLACEMENT_TCL = $(DESIGN_HOME)/$(PLATFORM)/{top}/macros.tcl",
                  "export MACRO_PLACE_HALO = 15 15"]
        (place / "macros.tcl").write_text("".join(
            f"place_macro -macro_name {name} -location {{{x:g} {y:g}}} -orientation R0\n"
            for name, (x, y) in plan.places.items()), encoding="utf-8")
    (place / "config.mk").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _readme(top: str, pdk: Pdk, flow: str, period: float, handover: Handover) -> str:
    area, plan = handover.area, handover.floorplan
    logic = area["area_um2"] - area["sram_um2"]
    order = [flow, *(name for name in handover.commands if name != flow)]
    runs = "\n".join(f"# {name}\n{handover.commands[name]}" for name in order)
    missing = "" if "librelane" in handover.commands else "\nLibreLane has no such kit; only ORFS does.\n"
    return f"""# {top} for {pdk.title}

Nothing here has been placed or routed: these are inputs of other people's flows, and figures from before
layout.

```sh
{runs}
```
{missing}
LibreLane fetches the kit by itself (`--pdk-root` names another). `$ORFS` is a built checkout of
OpenROAD-flow-scripts; with memories, add `PDK=` and the kit's folder of a PDK_ROOT.

| figure | value | from |
| --- | --- | --- |
| clock | {period * 1e9:g} ns asked for | `src/{top}.sdc` |
| cells | {area["cell_count"]:,}, {logic:,.0f} µm² | synthesis, {area["corner"]} |
| memories | {len(handover.macros)} macros, {area["sram_um2"]:,.0f} µm² | `macros.json`, `area.json` |
| die | {plan.width:g} × {plan.height:g} µm | `config.yaml`: a start, to be tuned |

Memories and registers hold anything at power-on. Macros are placed on shelves from the bottom of the die.
"""

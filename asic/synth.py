"""Synthesis for standard cells with Yosys: netlist, area by component, memories, gated clocks."""

import json
import re
from collections import Counter
from pathlib import Path

from asic.buffers import FANOUT, buffer_nets
from asic.cut import SUFFIX
from asic.liberty import Library
from asic.memories import MacroData, Memory, SramError, candidates, macro_data, read_memories, write_mapping
from asic.pdk import Pdk
from asic.yosys import quoted, run_yosys
from neurogen.flow.rewrite import without_zeros
from neurogen.flow.tools import ToolError
from neurogen.spec.checks import check_choice


__all__ = ["FLOP_LIMIT", "SCRIPTS", "map_memories", "synthesise"]


# Memories of more bits must become macros: 8 Kibit are 0.7 mm² of flip-flops at 130 nm.
FLOP_LIMIT = 8192
# A bit of a memory in flip-flops costs this many times a flip-flop: its enable and a share of the selection.
_SELECTION = 1.65
_GATED = 4  # flip-flops with one enable from which on a gated clock saves more than it costs

# Registers with enable and synchronous reset keep the enable; `dfflegalize` would make it a multiplexer.
_ENABLES = "".join(
    f"""module \\$_SDFF{kind}_{clock}{reset}{value}{enable}_ (input C, R, E, D, output Q);
  wire r = {"" if reset == "P" else "~"}R, e = {"" if enable == "P" else "~"}E;
  \\$_DFFE_{clock}P_ _TECHMAP_REPLACE_ (.C(C), .E({"e | r" if kind == "E" else "e"}),
    .D(r ? 1'b{value} : D), .Q(Q));
endmodule
"""
    for kind in ("E", "CE")
    for clock in "PN"
    for reset in "PN"
    for value in "01"
    for enable in "PN"
)

SCRIPTS = {
    "plain": [],  # what Yosys does of itself
    # Structural choices, mapping for area under delay, then fan-out and sizes.
    "tuned": [
        "fx",
        "mfs",
        "strash",
        "ifraig",
        "scorr",
        "dc2",
        "dc2",
        "strash",
        "&get -n",
        "&dch -f",
        "&nf",
        "&put",
        "buffer -c -N 12",
        "topo",
        "upsize {D}",
        "dnsize {D}",
    ],
}


def synthesise(
    verilog: str,
    top: str,
    pdk: Pdk,
    folder: Path,
    *,
    script: str = "tuned",
    flat: bool = True,
    gate_clocks: bool = True,
    macros: bool = True,
    period: float = 10e-9,
    fanout: int | None = FANOUT,
) -> dict:
    """Map a design to the cells of a kit; write ``netlist.v``, ``netlist.json`` and ``area.json``.

    ``timing.v`` is the same netlist with nets of one bit, for `asic.opensta.run_timing`.

    Registers start undefined in the netlist whatever the Verilog says, as silicon does.

    Parameters
    ----------
    verilog
        Plain Verilog; memories without contents.
    top
        Name of the top module.
    folder
        An existing folder for results, scripts and logs.
    script
        One of `SCRIPTS`.
    flat
        One module (smaller), or the hierarchy of the source, so that the area of every component is known and
        large designs fit into memory.
    gate_clocks
        Insert gating cells for groups of four or more registers with one enable.
    macros
        Map memories to SRAM macros of the kit where they are smaller than flip-flops.
    period
        Clock period for sizing, in s.
    fanout
        Inputs that a gate drives at most (see `asic.buffers.buffer_nets`); None: as many as there are.

    Returns
    -------
    What ``area.json`` holds: ``area_um2`` and its parts, ``cells`` by type, ``components`` (area of each
    instance by path; only ``top`` if flat), ``memories`` (candidates and choice), ``macros`` (paths by type)
    and ``macro_um2`` (area of one), ``registers``, ``clock_gates``, ``buffers`` (of large nets).

    Raises
    ------
    SramError
        If a memory of more than `FLOP_LIMIT` bits has no macro that fits.
    ToolError
        If Yosys fails or is not there.
    """
    check_choice("Script", script, tuple(SCRIPTS))
    memories, found = map_memories(verilog, top, pdk, folder, flat=flat, macros=macros)
    library, libs = pdk.library, pdk.liberty_files()
    flop = _flop_area(pdk, library) * _SELECTION
    run_yosys(folder, "map", _mapping(pdk, library, libs, top, script, gate_clocks, period))
    (folder / "coarse.il").unlink()
    buffers = _write_netlist(folder, top, pdk, fanout)
    report = _report(folder, top, library, pdk, found) | {"buffers": buffers}
    report["memories"] = [
        _choice(memory, report["macros"], candidates(memory, found, flop)) for memory in memories
    ]
    report |= {
        "pdk": pdk.name,
        "corner": pdk.corners[0],
        "script": script,
        "flat": flat,
        "stage": "after synthesis, before placement",
    }
    (folder / "area.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    return report


def map_memories(verilog: str, top: str, pdk: Pdk, folder: Path, *, flat: bool = True, macros: bool = True,
                 optimised: bool = True) -> tuple[list[Memory], list[MacroData]]:
    """Write ``coarse.il``: the design in words, with SRAM macros in the place of memories.

    See `synthesise` for parameters and errors. If not ``optimised``, it is flat and as the source says it.

    Returns
    -------
    The memories as they were, and the macros that could have been chosen.
    """
    (folder / "source.v").write_text(without_zeros(verilog), encoding="utf-8")
    (folder / "enables.v").write_text(_ENABLES, encoding="utf-8")
    words = ["proc", "setattr -unset init w:*",
             f"synth -noabc {'-flatten ' if flat else ''}-top {top} -run begin:fine",
             "setattr -unset init w:*"]
    run_yosys(folder, "coarse", [
        "read_verilog source.v", f"hierarchy -check -top {top}",
        *(words if optimised else ["proc", "flatten", "opt_clean", "memory -nomap"]),
        "setattr -unset ram_style t:$mem_v2", "select t:$mem_v2", "write_json -selected memories.json",
        "select -clear", "write_rtlil coarse.il"])
    memories = read_memories(folder / "memories.json")
    found = [macro_data(pdk, macro) for macro in pdk.macros] if macros else []
    left = memories
    if found and memories:
        unit = _nand_area(pdk.library)
        write_mapping(folder, pdk, found, unit)
        flop = _flop_area(pdk, pdk.library) * _SELECTION
        run_yosys(folder, "memories", _memory_mapping(memories, flop / unit))
        left = read_memories(folder / "left.json")
    _check_memories(left, pdk)
    return memories, found


def _flop_area(pdk: Pdk, library: Library) -> float:
    return min(
        cell.area
        for name, cell in library.items()
        if cell.storage.get("kind") == "ff" and not pdk.avoided(name) and cell.area > 0
    )


def _nand_area(library: Library) -> float:
    """Return the area of the smallest gate with two inputs: the unit of Yosys' costs."""
    return min(
        cell.area
        for cell in library.values()
        if len(cell.inputs) == 2 and cell.area > 0 and not cell.storage and not cell.clock_gate
    )


def _memory_mapping(memories: list[Memory], flop: float) -> list[str]:
    """Return the script from memories to macros; ``flop`` is what a bit costs in flip-flops."""
    lines = ["read_rtlil coarse.il"]
    large = [memory for memory in memories if memory.size > FLOP_LIMIT]
    if large:  # a macro, whatever it costs; Yosys compares integers of 32 bits
        dear = 10**9 / max(memory.size for memory in large)
        names = " ".join(memory.cell for memory in large)
        lines += [f"memory_libmap -lib sram.mem -logic-cost-ram {dear:.3f} {names}"]
    return [
        *lines,
        f"memory_libmap -lib sram.mem -logic-cost-ram {flop:.3f}",
        "techmap -map sram_map.v",
        "select t:$mem_v2",
        "write_json -selected left.json",
        "select -clear",
        "write_rtlil coarse.il",
    ]


def _mapping(pdk, library, libs, top, script, gate_clocks, period):
    """Return the script from generic words to cells."""
    liberty = " ".join(f"-liberty {quoted(path)}" for path in libs)
    avoid = " ".join(f"-dont_use {name}" for name in library if pdk.avoided(name))
    gate = pdk.clock_gate
    flops = [path for path in libs if re.search(r"\bff\s*\(", path.read_text(encoding="latin-1"))]
    lines = ["read_rtlil coarse.il"]
    lines += [
        f"synth -noabc -top {top} -run fine:check",
        "opt -full",
        "techmap -map enables.v",
        "simplemap",
        "opt -full -nodffe -nosdff",
        "dfflegalize -cell $_DFF_?_ x -cell $_DFFE_??_ x -cell $_DFF_???_ x -cell $_DFFE_????_ x",
        f"rename -wire -suffix {SUFFIX} t:$_DFF*",
    ]
    if gate_clocks:
        low = "".join(f" -tie_lo {pin}" for pin in gate.low)
        lines += [
            f"clockgate -pos {gate.cell} {gate.enable}:{gate.clock}:{gate.gated}{low} -min_net_size {_GATED}"
        ]
    lines += [*(f"dfflibmap {avoid} -liberty {quoted(path)}" for path in flops), "opt", "opt_clean -purge"]
    passes = "+" + ";".join(word.replace(" ", ",") for word in SCRIPTS[script]).replace("{D}", "{D}")
    lines += [
        f"abc -D {period * 1e12:.0f} {avoid} {liberty}"
        + (f" -script {quoted(passes)}" if SCRIPTS[script] else ""),
        "setundef -zero",
        "hilomap -singleton -hicell {} {} -locell {} {}".format(
            *pdk.data["cells"]["tie_high"], *pdk.data["cells"]["tie_low"]
        ),
        "opt_clean -purge",
        "check -mapped",
        "rename -enumerate -pattern _%_",
        "write_json netlist.json",
    ]
    return lines


def _write_netlist(folder: Path, top: str, pdk: Pdk, fanout: int | None) -> int:
    """Add buffers to ``netlist.json``, write it as Verilog, and return how many they are."""
    path = folder / "netlist.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    buffers = buffer_nets(data["modules"], top, pdk, fanout) if fanout is not None else 0
    path.write_text(json.dumps(data), encoding="utf-8")
    run_yosys(folder, "netlist", [
        "read_json netlist.json",
        "write_verilog -noattr netlist.v",
        # OpenSTA of 2019 cannot read what joins bits of vectors: for it, nets are single bits.
        "splitnets",
        "opt_clean -purge",
        "write_verilog -noattr timing.v",
    ])
    return buffers


def _report(folder: Path, top: str, library: Library, pdk: Pdk, found: list[MacroData]) -> dict:
    """Return areas and counts of the netlist, and its macros by type."""
    netlist = json.loads((folder / "netlist.json").read_text(encoding="utf-8"))["modules"]
    areas = {macro.name: macro.area for macro in found}
    cells: Counter = Counter()
    components: dict[str, float] = {}
    macros: dict[str, list[str]] = {}

    def walk(module: str, path: str) -> float:
        total = 0.0
        for name, cell in netlist[module]["cells"].items():
            kind = cell["type"]
            if kind in library:
                cells[kind] += 1
                total += library[kind].area
            elif kind in areas:
                cells[kind] += 1
                total += areas[kind]
                macros.setdefault(kind, []).append(f"{path}.{name}")
            elif kind in netlist:
                total += walk(kind, f"{path}.{name}")
            else:
                raise ToolError(f"Synthesis failed: cell {path}.{name} of type {kind} is not in {pdk.title}")
        components[path] = round(total, 3)
        return total

    total = walk(top, top)
    storage = {
        kind: n
        for kind, n in cells.items()
        if kind in library and library[kind].storage and not library[kind].clock_gate
    }
    gates = sum(n for kind, n in cells.items() if kind in library and library[kind].clock_gate)
    sram = sum(n * areas[kind] for kind, n in cells.items() if kind in areas)
    sequential = sum(n * library[kind].area for kind, n in storage.items())
    return {
        "area_um2": round(total, 3),
        "sram_um2": round(sram, 3),
        "sequential_um2": round(sequential, 3),
        "logic_um2": round(total - sram - sequential, 3),
        "cell_count": sum(cells.values()),
        "registers": sum(storage.values()),
        "clock_gates": gates,
        "cells": dict(sorted(cells.items())),
        "components": dict(sorted(components.items())),
        "macros": {kind: sorted(names) for kind, names in sorted(macros.items())},
        "macro_um2": {kind: areas[kind] for kind in sorted(macros)},
    }


def _choice(memory: Memory, macros: dict[str, list[str]], table: list[dict]) -> dict:
    """Return a memory with its candidates, and the macros that bear its name in the netlist."""
    chosen = {
        kind: sum(name.startswith(f"{memory.name}.") for name in names) for kind, names in macros.items()
    }
    chosen = {kind: n for kind, n in chosen.items() if n} or {"flip-flops": memory.size}
    return {
        "memory": memory.name,
        "words": memory.words,
        "bits": memory.bits,
        "reads": memory.reads,
        "writes": memory.writes,
        "write_bits": memory.write_bits,
        "size": memory.size,
        "chosen": chosen,
        "candidates": table,
    }


def _check_memories(left: list[Memory], pdk: Pdk) -> None:
    for memory in left:
        if memory.size > FLOP_LIMIT:
            raise SramError(
                f"Memory {memory.name} of {memory.words} words of {memory.bits} bits with {memory.reads} "
                f"read and {memory.writes} write ports has no macro of {pdk.title} that fits, and is too "
                f"large for flip-flops ({FLOP_LIMIT} bits)"
            )

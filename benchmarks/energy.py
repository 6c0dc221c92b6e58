"""Measure energy per synaptic operation on standard cells: a LIF array, and the accelerator on one layer.

Netlists are synthesised for each kit and simulated gate by gate, without delays and with those of Liberty's
tables, while they do what the RTL has done before; its spikes, potentials and counts of operations have been
compared with the golden model's. Counted: cells, registers and their clock pins, gating cells, leakage at the
clock period, SRAM macros by access (where the kit has characterised ones: SG13G2). Not counted: wires, the
clock's tree, pads; on the other kits, memories, which are cut out.
"""

import argparse
import json
from pathlib import Path

from asic.energy import PARTS, Engine
from asic.energy_memories import without_memories
from asic.energy_work import accelerator_work, array_neurons, array_work, layer, recording
from asic.pdk import Pdk, load_pdk
from asic.synth import SCRIPTS, synthesise
from benchmarks.common import report
from neurogen.flow.verilator import to_verilog
from neurogen.rtl.lif import LifArray
from neurogen.rtl.mega import Mega
from neurogen.spec.checks import check_choice
from neurogen.spec.mega import MegaSpec


__all__ = ["DENSITIES", "MAP", "main", "measure", "memory_kit", "specification"]


DENSITIES = (0.005, 0.01, 0.05, 0.2)
KITS = ("sky130hd", "sg13g2", "asap7")
MAP = (32, 24, 24)  # channels, height, width of the layer's input
# Events for each address after the first step of a run, which has one step more at least.
_STEPS, _ARRAY_STEPS = 0.02, 4
_COLUMNS = {
    "design": "design", "pdk": "kit", "density": "density %", "operations": "SOPs", "cycles": "cycles",
    **{part: part for part in PARTS}, "total": "all", "without_sram": "without SRAM",
}
_NETLISTS = {"design": "design", "pdk": "kit", "cells": "cells", "registers": "registers",
             "gates": "gating cells", "area": "area µm² without SRAM", "sram": "SRAM µm²", "macros": "macros"}


def specification(lanes: int, *, frugal: bool = True, weight_registers: bool = False) -> MegaSpec:
    """Return the accelerator that is measured: one cluster, memories that just hold the layer."""
    return MegaSpec(lanes=lanes, weight_bits=6, state_bits=13, state_depth=64,
                    weight_depth=40 if weight_registers else 64, spike_depth=64, program_depth=64,
                    sweep_cycles=min(4, lanes), frugal=frugal, weight_registers=weight_registers)


def memory_kit(name: str, folder: Path) -> Pdk:
    """Return a kit, without memories where it has no characterised ones."""
    pdk = load_pdk(name)
    characterised = pdk.data.get("sram", {}).get("energy") == "characterised"
    return pdk if characterised else without_memories(pdk, folder)


def measure(design: str, kit: str, densities: tuple[float, ...], folder: Path, *, script: str = "tuned",
            period: float = 20e-9, frugal: bool = True,
            weight_registers: bool = False) -> tuple[list[dict], dict]:
    """Return rows of energies, and the row of the netlist; what is in ``folder`` is used again.

    Parameters
    ----------
    design
        ``lif``, or ``mega-`` and the number of lanes.
    script
        One of `asic.synth.SCRIPTS`.
    period
        Clock period in s.
    frugal, weight_registers
        Of the accelerator; see `MegaSpec`.
    """
    kind, _, lanes = design.partition("-")
    check_choice("Design", kind, ("lif", "mega"))
    title = design
    if kind == "mega":
        title += ("" if frugal else ", not frugal") + (", weights in registers" if weight_registers else "")
    folder = folder / f"{title.replace(', ', '-').replace(' ', '-')}-{kit}-{script}"
    folder.mkdir(parents=True, exist_ok=True)
    pdk = memory_kit(kit, folder)
    neurons, spec = array_neurons(), None
    if kind == "lif":
        verilog = to_verilog(LifArray(neurons, weight_bits=8), "lif")
    else:
        spec = specification(int(lanes), frugal=frugal, weight_registers=weight_registers)
        verilog = to_verilog(Mega(spec), "mega")
    if not (folder / "area.json").exists():  # written last
        synthesise(verilog, kind, pdk, folder, script=script, period=period, flat=kind == "lif")
    area = json.loads((folder / "area.json").read_text(encoding="utf-8"))
    engine = Engine(folder / "netlist.json", kind, pdk)
    rows = []
    for density in densities:
        found = folder / f"energy-{density:g}.json"
        if not found.exists():
            if kind == "lif":
                steps = 1 + round(_ARRAY_STEPS / density)
                work = array_work(verilog, neurons, density, folder, steps=steps)
            else:
                events = recording(density, 1 + max(1, round(_STEPS / density)), MAP)
                work = accelerator_work(verilog, spec, layer(events, spec), events, folder)
            values = engine.measure(work, period=period)
            part = found.with_suffix(".part")
            part.write_text(json.dumps(values, indent=1), encoding="utf-8")
            part.replace(found)
        values = json.loads(found.read_text(encoding="utf-8"))
        rows.append({
            "design": title, "pdk": kit, "density": 100 * density, "operations": values["operations"],
            "cycles": values["cycles"], **{part: values[part] for part in PARTS}, "total": values["total"],
            "without_sram": values["total"] - values["sram"]})
    return rows, {"design": title, "pdk": kit, "cells": area["cell_count"], "registers": area["registers"],
                  "gates": area["clock_gates"], "area": area["area_um2"] - area["sram_um2"],
                  "sram": area["sram_um2"] if pdk.name == "sg13g2" else None,
                  "macros": sum(map(len, area["macros"].values()))}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pdk", action="append", choices=KITS, help="this kit only")
    parser.add_argument("--density", action="append", type=float, help="this density only (0.05: 5 %%)")
    parser.add_argument("--design", action="append", help="lif, or mega- and lanes (default: lif, mega-8)")
    parser.add_argument("--script", choices=tuple(SCRIPTS), default="tuned", help="of the synthesis")
    parser.add_argument("--no-frugal", action="store_true", help="the accelerator without MegaSpec.frugal")
    parser.add_argument("--weight-registers", action="store_true",
                        help="the accelerator with MegaSpec.weight_registers")
    parser.add_argument("--folder", type=Path, default=Path("build/energy"), help="netlists and figures")
    parser.add_argument("--json", metavar="FILE", help="write the table as JSON")
    options = parser.parse_args()
    rows, netlists = [], []
    for design in options.design or ("lif", "mega-8"):
        for kit in options.pdk or KITS:
            found, netlist = measure(design, kit, tuple(options.density or DENSITIES),
                                     options.folder.absolute(), script=options.script,
                                     frugal=not options.no_frugal,
                                     weight_registers=options.weight_registers)
            rows, netlists = rows + found, [*netlists, netlist]
    report("Netlists", _NETLISTS, netlists)
    report("pJ per synaptic operation, after synthesis (no wires, no clock tree)", _COLUMNS, rows,
           path=options.json, packages=("amaranth", "pyosys"))


if __name__ == "__main__":
    main()

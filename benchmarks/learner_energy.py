"""Energy of an update: gate-level simulation of the smallest learner, with and without learning, by kit.

``python -m benchmarks.learner_energy --json energy.json``. The configuration ``tiny`` (16 inputs, 16 neurons,
4 lanes) is mapped to the cells of each kit, all of its memories to flip-flops; the netlist takes the same
spikes without a label and with one, and does what the gateware does. What the second run needs more is the
energy of learning: errors, modulations, updates, and the cycles that they take. After synthesis, without
wires, glitches and a clock tree (see ``docs/energy.md``). Needs the kits: ``--pdk-root`` or ``PDK_ROOT``.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asic.build import compare, record
from asic.gatesim import GateModel
from asic.netlist import read_netlist
from asic.pdk import load_pdk
from asic.power import estimate
from asic.synth import synthesise
from benchmarks.common import report
from designs.learner.configs import CONFIGS
from designs.learner.work import random_work, starting_weights
from neurogen.flow.errors import USER_ERRORS, UserError
from neurogen.flow.learning import LearnPort
from neurogen.flow.model import Model
from neurogen.flow.verilator import to_verilog
from neurogen.golden.learning import Simulator
from neurogen.rtl.learning import LearnEngine


__all__ = ["KITS", "measure"]


KITS = ("sky130", "ihp-sg13g2")
_SPEC, _STEPS, _RESET = CONFIGS["tiny"], 8, 4
_PERIOD = 10e-9
_COLUMNS = {
    "kit": "kit", "cells": "cells", "area": "area µm²", "compared": "values compared",
    "cycles": "cycles, inference", "cycles_learning": "learning", "energy": "nJ, inference",
    "energy_learning": "learning", "words": "words updated", "sop": "pJ/SOP, inference",
    "update": "pJ per weight updated",
}


def _recording(verilog: str, label: int | None, folder: Path) -> tuple[tuple[dict, dict], int]:
    """Return what the ports do while weights are loaded and a sample runs, and the cycle it begins in."""
    work, begin = random_work(_SPEC, 1, 1, steps=_STEPS), 0

    def drive(model: Model) -> None:
        nonlocal begin
        first, port = model.cycles, LearnPort(model, _SPEC)
        port.load(starting_weights(_SPEC, 1), seed=1)
        begin = model.cycles - first + _RESET
        port.run(np.asarray(work.rasters[0]), label)
    return record(verilog, "learner", drive, folder), begin


def measure(kit: str, root: Path | None = None) -> dict[str, Any]:
    """Return the figures of a kit, by the keys of the table.

    Raises
    ------
    UserError
        If a netlist differs from the gateware.
    """
    pdk, verilog = load_pdk(kit, root), to_verilog(LearnEngine(_SPEC), "learner")
    label = int(random_work(_SPEC, 1, 1).labels[0])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        area = synthesise(verilog, "learner", pdk, folder, script="plain", macros=False, period=_PERIOD)
        netlist = read_netlist(folder / "netlist.json", "learner", pdk.library, ())
        model, found, compared = GateModel(netlist), [], 0
        for given in (None, label):
            recording, begin = _recording(verilog, given, folder)
            equal = compare(folder / "netlist.json", "learner", pdk, recording)
            if equal["mismatches"]:
                raise UserError(f"Netlist must do what the gateware does, and differs in "
                                f"{equal['mismatches']} of {equal['values']} values of its outputs")
            compared += equal["values"]
            drive = {port: values for port, (_, values) in recording[0].items()}
            activity = model.run(drive, period=_PERIOD).activity
            window = activity.after(round(begin * _PERIOD / activity.tick))
            found.append((estimate(netlist, window).total * window.seconds, round(window.seconds / _PERIOD)))
    (energy, cycles), (more, longer) = found
    golden = Simulator(_SPEC, starting_weights(_SPEC, 1), seed=1)
    golden.run(random_work(_SPEC, 1, 1, steps=_STEPS).rasters[0], label)
    words, reads = golden.counters.updates, golden.counters.reads
    return {"kit": pdk.title, "cells": area["cell_count"], "area": area["area_um2"], "compared": compared,
            "cycles": cycles, "cycles_learning": longer, "energy": energy * 1e9,
            "energy_learning": more * 1e9, "words": words, "sop": energy / (reads * _SPEC.lanes) * 1e12,
            "update": (more - energy) / (words * _SPEC.lanes) * 1e12}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learner_energy", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kits", default=",".join(KITS), help=f"of {', '.join(KITS)}, asap7")
    parser.add_argument("--pdk-root", type=Path, help="folder of the kits (default $PDK_ROOT)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON")
    options = parser.parse_args(arguments)
    try:
        rows = [measure(name.strip(), options.pdk_root) for name in options.kits.split(",")]
    except USER_ERRORS as error:
        print(error, file=sys.stderr)
        return 1
    report("Energy of learning, smallest learner", _COLUMNS, rows, path=options.json, packages=("pyosys",))
    return 0


if __name__ == "__main__":
    sys.exit(main())

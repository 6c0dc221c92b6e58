"""Cells of every component, synthesised alone by Yosys for ECP5 and iCE40.

``python -m benchmarks.area [--only NAME ...] [--json FILE]``. An ECP5 CCU2C counts as two LUT4.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.progress import track

from benchmarks.common import report
from neurogen.flow.verilator import to_verilog
from neurogen.mapping.config import load_config
from neurogen.rtl.address import AddressGenerator
from neurogen.rtl.bus import AxiLiteToWishbone
from neurogen.rtl.cluster import Cluster
from neurogen.rtl.control import Control
from neurogen.rtl.hostlink import HostLink
from neurogen.rtl.lif import LifDatapath
from neurogen.rtl.mega import Mega
from neurogen.rtl.sequencer import Sequencer
from neurogen.rtl.spikes import Extractor, SpikeMemory
from neurogen.rtl.sweep import SweepControl
from neurogen.spec.hostlink import HostLinkSpec


__all__ = ["components", "main", "synthesise"]


_COLUMNS = {"component": "component", "family": "family", "luts": "LUT4", "flip_flops": "flip-flops",
            "rams": "block RAMs", "multipliers": "multipliers"}
# Cells of each family by what they count as, and how much.
_CELLS = {
    "ecp5": {"LUT4": ("luts", 1), "CCU2C": ("luts", 2), "TRELLIS_DPR16X4": ("luts", 2),
             "TRELLIS_FF": ("flip_flops", 1), "DP16KD": ("rams", 1), "MULT18X18D": ("multipliers", 1)},
    "ice40": {"SB_LUT4": ("luts", 1), "SB_RAM40_4K": ("rams", 1), "SB_MAC16": ("multipliers", 1)},
}
# Yosys runs in a process of its own: an internal error of it ends the process.
_SCRIPT = """
import sys
import pyosys.libyosys as yosys
design = yosys.Design()
for command in sys.argv[1:]:
    yosys.run_pass(command, design)
"""


def components() -> dict[str, tuple[str, type, tuple]]:
    """Return family, class and arguments by name; the sizes are those of the shipped configurations."""
    mini, edge, default = (load_config(name) for name in ("mini", "edge", "default"))
    link = HostLinkSpec(divisor=12)
    return {
        "LifDatapath, 1 lane of 13 bits": ("ecp5", LifDatapath, (1, 13)),
        "AddressGenerator, default": ("ecp5", AddressGenerator, (default,)),
        "SweepControl, default": ("ecp5", SweepControl, (default,)),
        "SpikeMemory, default": ("ecp5", SpikeMemory, (default,)),
        "Extractor, default": ("ecp5", Extractor, (default,)),
        "Sequencer, default": ("ecp5", Sequencer, (default,)),
        "Control, default": ("ecp5", Control, (default,)),
        "HostLink": ("ecp5", HostLink, (link,)),
        "AxiLiteToWishbone": ("ecp5", AxiLiteToWishbone, (16,)),
        "Cluster, edge": ("ecp5", Cluster, (edge,)),
        "Mega, edge": ("ecp5", Mega, (edge,)),
        "Cluster, mini": ("ice40", Cluster, (mini,)),
        "Mega, mini": ("ice40", Mega, (mini,)),
        "HostLink on iCE40": ("ice40", HostLink, (link,)),
        "Cluster, default": ("ecp5", Cluster, (default,)),
    }


def synthesise(component: object, family: str) -> dict[str, int]:
    """Return the cells of a component: ``luts``, ``flip_flops``, ``rams`` and ``multipliers``."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "top.v")
        text = to_verilog(component, "top")
        source.write_text(re.sub(r"  initial begin\n(?:    \S+\[\d+\] = \d+'h0+;\n)+  end\n", "", text))
        done = subprocess.run([sys.executable, "-c", _SCRIPT, f"read_verilog {source}",
                               f"synth_{family} -top top", "tee -o stat.txt stat"],
                              capture_output=True, text=True, check=False, cwd=folder)
        if done.returncode:
            raise RuntimeError(f"Yosys failed: {(done.stdout + done.stderr).splitlines()[-1]}")
        statistics = Path(folder, "stat.txt").read_text()
    cells = dict.fromkeys(("luts", "flip_flops", "rams", "multipliers"), 0)
    for count, kind in re.findall(r"^ +(\d+) +(\w+)$", statistics, re.MULTILINE):
        if kind in _CELLS[family]:
            name, weight = _CELLS[family][kind]
            cells[name] += weight * int(count)
        elif family == "ice40" and kind.startswith("SB_DFF"):
            cells["flip_flops"] += int(count)
    return cells


def main() -> None:
    """Synthesise every component alone, and print its cells."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.area", description=main.__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="components whose name holds this")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()
    only = arguments.only
    chosen = {name: value for name, value in components().items()
              if not only or any(part in name for part in only)}
    rows = [{"component": name, "family": family, **synthesise(cls(*args), family)}
            for name, (family, cls, args) in track(chosen.items(), "synthesis")]
    report("Cells of the components", _COLUMNS, rows, path=arguments.json, packages=("pyosys",))


if __name__ == "__main__":
    main()

"""Cells of each component on an ECP5, alone: ``python -m benchmarks.components --json components.json``.

Yosys maps each as builds for boards do (`fpga.synth`). Parts of Mega are in the size of the configuration
``edge`` (eight lanes, 72 SOP/cycle) unless ``--config`` names another one; memories belong to the component.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.progress import Progress

from benchmarks.common import chosen, report
from designs.learner.configs import CONFIGS
from fpga.synth import count_cells
from neurogen.flow.tools import ToolError
from neurogen.flow.verilator import to_verilog
from neurogen.mapping.config import load_config
from neurogen.rtl.address import AddressGenerator
from neurogen.rtl.bus import AxiLiteToWishbone
from neurogen.rtl.cluster import Cluster
from neurogen.rtl.control import Control
from neurogen.rtl.conv import ConvEngine
from neurogen.rtl.hostlink import HostLink
from neurogen.rtl.learning import LearnEngine
from neurogen.rtl.lif import LifArray
from neurogen.rtl.mega import Mega
from neurogen.rtl.pool import MaxPoolFilter
from neurogen.rtl.sequencer import Sequencer
from neurogen.rtl.spikes import Extractor, SpikeMemory
from neurogen.rtl.sweep import SweepControl
from neurogen.spec.hostlink import HostLinkSpec
from neurogen.spec.lif import Lif
from neurogen.spec.mega import MegaSpec


__all__ = ["components", "main"]


_COLUMNS = {"component": "component", "size": "size", "LUT4": "LUT4", "CCU2C": "carry", "TRELLIS_FF": "FF",
            "DP16KD": "block RAM", "MULT18X18D": "mult", "TRELLIS_DPR16X4": "LUT RAM"}


def components(spec: MegaSpec) -> dict[str, tuple[str, Callable[[], Any]]]:
    """Return components by name: what size they are, and how to make one."""
    neurons = Lif(shape=(256,), threshold=500, decay=3686, state_bits=12, v_lo=-1024, v_hi=1023)
    link = HostLinkSpec(divisor=4, slot_log2=8, in_words=64, out_words=64)
    learner = CONFIGS["digits"]
    learning = f"{learner.inputs} inputs, {learner.layers[0].neurons} neurons, {learner.lanes} lanes"
    pooled = replace(spec, max_pool_rows=256)
    lanes = f"{spec.total_lanes} lane{'s' * (spec.total_lanes > 1)}"
    mega = (Mega, ConvEngine, Cluster, SweepControl, AddressGenerator, SpikeMemory, Extractor, Sequencer,
            Control)
    parts = {cls.__name__: (lanes, lambda cls=cls: cls(spec)) for cls in mega}
    return parts | {
        "MaxPoolFilter": (lanes, lambda: MaxPoolFilter(pooled)),
        "LifArray": (f"{neurons.neurons} neurons", lambda: LifArray(neurons)),
        "LearnEngine": (learning, lambda: LearnEngine(learner)),
        "HostLink": (f"{link.in_words} words each way", lambda: HostLink(link)),
        "AxiLiteToWishbone": ("8 bits of address", lambda: AxiLiteToWishbone(8)),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.components", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="edge", help="configuration of Mega (default: edge)")
    parser.add_argument("--only", default="", help="components, separated by commas (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON")
    options = parser.parse_args(arguments)
    found = components(load_config(options.config))
    wanted = chosen(parser, "Component", options.only, found)
    rows = []
    with Progress() as progress:
        task = progress.add_task("Synthesising", total=len(wanted))
        try:
            for name in wanted:
                size, make = found[name]
                rows.append({"component": name, "size": size} | count_cells(to_verilog(make(), "top")))
                progress.advance(task)
        except ToolError as error:
            print(error, file=sys.stderr)
            return 1
    report(f"Components, parts of Mega as in {options.config}", _COLUMNS, rows, path=options.json,
           packages=("pyosys", "amaranth"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Command line: energy of an array of neurons on a kit, and figures of runs made elsewhere."""

import argparse
import sys
import tempfile
from pathlib import Path

from asic.energy import measure_lif
from asic.metrics import read_run
from asic.pdk import load_pdk
from neurogen.flow.errors import user_errors


__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: ``energy`` or ``report``."""
    parser = argparse.ArgumentParser(prog="python -m asic", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser("report", help="figures of a run of LibreLane or ORFS")
    report.add_argument("--from", dest="run", required=True, metavar="RUNDIR", help="folder of the run")
    energy = commands.add_parser("energy", help="pJ per synaptic operation of 64 neurons, before layout")
    energy.add_argument("--pdk", required=True, help="kit: sky130, ihp-sg13g2 or asap7")
    energy.add_argument("--pdk-root", default=None, help="folder of the kits (default: $PDK_ROOT)")
    energy.add_argument("--no-gating", action="store_true", help="without gated clocks")
    found = parser.parse_args(arguments)
    with user_errors():
        lines = _report(found.run) if found.command == "report" else _energy(found)
        sys.stdout.write("\n".join(lines) + "\n")


def _report(run: str) -> list[str]:
    return [f"{name}: {value:g}" if not isinstance(value, str) else f"{name}: {value}"
            for name, value in read_run(run).items()]


def _energy(found: argparse.Namespace) -> list[str]:
    pdk = load_pdk(found.pdk, found.pdk_root)
    with tempfile.TemporaryDirectory() as folder:
        result = measure_lif(pdk, Path(folder), gate_clocks=not found.no_gating)
    parts = ("logic", "registers", "clock", "sram", "leakage", "glitches", "total")
    area = result["area"]
    head = (f"{pdk.title}, {result['voltage']:g} V: {area['cell_count']:,} cells, {area['area_um2']:,.1f} "
            f"µm², {area['clock_gates']} gated clocks; pJ per synaptic operation")
    lines = [head,
             "| density % | operations | cycles | " + " | ".join(parts) + " |",
             "| ---: | ---: | ---: |" + " ---: |" * len(parts)]
    for row in result["rows"]:
        lines.append(f"| {row['density'] * 100:g} | {row['operations']:,} | {row['cycles']:,} | "
                     + " | ".join(f"{row[name]:.3g}" for name in parts) + " |")
    return lines


if __name__ == "__main__":
    main()

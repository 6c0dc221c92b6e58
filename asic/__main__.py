"""Command line: figures of runs of OpenROAD's flows that were made elsewhere."""

import argparse
import sys

from asic.metrics import read_run
from neurogen.flow.errors import user_errors


__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: ``report``."""
    parser = argparse.ArgumentParser(prog="python -m asic", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser("report", help="figures of a run of LibreLane or ORFS")
    report.add_argument("--from", dest="run", required=True, metavar="RUNDIR", help="folder of the run")
    found = parser.parse_args(arguments)
    with user_errors():
        lines = [f"{name}: {value}" if isinstance(value, str) else f"{name}: {value:g}"
                 for name, value in read_run(found.run).items()]
        sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

"""The long campaign: random programs at all levels against Python, with a certificate for each graph.

``python -m benchmarks.qdi_fuzz --count 5000 --log qdi_fuzz.jsonl`` writes a line for each program and, if
started again, goes on after the last; each failure is shrunk and printed, and a summary counts the results.
Exit status 1 if a program was wrong. Tokens are simulated twice: as compiled by default, and with passes off
at random.
"""

import argparse
import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from neurogen.flow.synth.campaign import compare_program
from neurogen.flow.synth.levels import LEVELS
from neurogen.qdi import QdiWarning
from neurogen.qdi.fuzz import FuzzProgram, campaign, run


__all__ = ["attempt", "main", "summary"]


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.qdi_fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=5000, help="programs (5000)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first program (0)")
    parser.add_argument("--levels", default="tokens,clocked,gates", help=f"of {', '.join(LEVELS)}")
    parser.add_argument("--log", type=Path, help="JSON lines of the programs that are done")
    options = parser.parse_args(arguments)
    levels = options.levels.split(",")
    if not set(levels) <= set(LEVELS):
        parser.error(f"levels must be of {', '.join(LEVELS)}, not {options.levels}")
    warnings.simplefilter("ignore", QdiWarning)
    lines = _read(options.log)
    done = {line["seed"] for line in lines}
    for seed in range(options.first, options.first + options.count):
        if seed in done:
            continue
        line = attempt(seed, levels)
        lines.append(line)
        if options.log is not None:
            with options.log.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
        if line["result"] == "wrong":
            print(f"seed {seed}: {line['error']}\n{line['program']}", flush=True)
        print(seed, end="\r", file=sys.stderr)
    print(summary(lines))
    return int(any(line["result"] == "wrong" for line in lines))


def _read(log: Path | None) -> list[dict[str, Any]]:
    if log is None or not log.exists():
        return []
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def attempt(seed: int, levels: Iterable[str]) -> dict[str, Any]:
    """Return what came of a program: ``agrees``, ``wrong``, or ``rejected`` (QDI004: a number is too big)."""
    start, found = time.process_time(), {}

    def test(program: FuzzProgram) -> None:
        graph = compare_program(program, dict.fromkeys(levels, 1), seed).graph
        run(program)
        found.update(blocks=len(graph.blocks), deadlock=graph.notes["deadlock"]["status"])

    failures = campaign(range(seed, seed + 1), test)
    line = {"seed": seed, "levels": ",".join(levels), "result": "agrees" if found else "rejected"}
    if failures:
        (failure,) = failures
        line |= {"result": "wrong", "error": f"{type(failure.error).__name__}: {failure.error}",
                 "program": failure.program.text}
    return line | found | {"seconds": round(time.process_time() - start, 3)}


def summary(lines: list[dict[str, Any]]) -> str:
    """Return a paragraph about the lines of a log."""
    results = Counter(line["result"] for line in lines)
    proofs = Counter(line["deadlock"] for line in lines if line["result"] == "agrees")
    levels = Counter(line["levels"] for line in lines)
    return (f"{len(lines)} programs: {results['agrees']} agree, {results['wrong']} wrong or dead, "
            f"{results['rejected']} rightly rejected (QDI004)\n"
            f"levels: {'; '.join(f'{text} {count}' for text, count in levels.items())}\n"
            f"deadlock: {', '.join(f'{text} {count}' for text, count in sorted(proofs.items()))}\n"
            f"blocks: {sum(line.get('blocks', 0) for line in lines):,}; "
            f"{sum(line['seconds'] for line in lines):,.0f} s")


if __name__ == "__main__":
    sys.exit(main())

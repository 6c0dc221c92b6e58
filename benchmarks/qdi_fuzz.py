"""The long campaign: random programs, Python against tokens, and a certificate for each graph.

``python -m benchmarks.qdi_fuzz --count 5000`` prints each failure with its shrunk program and a summary; exit
status 1 if there was one. ``--gates`` adds the level of gates with random delays, ``--spread`` its spread.
"""

import argparse
import sys
import warnings
from collections import Counter

from neurogen.qdi import QdiWarning, compile
from neurogen.qdi.compile import compare, stimuli_of
from neurogen.qdi.fuzz import FuzzProgram, campaign, run


__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.qdi_fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=5000, help="programs (5000)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first program (0)")
    parser.add_argument("--gates", action="store_true", help="simulate the gates, too")
    parser.add_argument("--spread", type=float, default=30.0, help="spread of gate delays, 1 to this (30)")
    options = parser.parse_args(arguments)
    counts: Counter[str] = Counter()

    def test(program: FuzzProgram) -> None:
        run(program)
        graph = compile(program.process())
        counts[graph.notes["deadlock"]["status"]] += 1
        counts["blocks"] += len(graph.blocks)
        if options.gates:
            _gates(program, graph, options.spread)
            counts["gate level"] += 1

    warnings.simplefilter("ignore", QdiWarning)
    failures = campaign(range(options.first, options.first + options.count), test,
                        progress=lambda seed: print(seed, end="\r", file=sys.stderr))
    for failure in failures:
        print(f"seed {failure.seed}: {type(failure.error).__name__}: {failure.error}")
        print(failure.program.text)
    print(f"{options.count} programs from seed {options.first}: {len(failures)} failures; "
          + ", ".join(f"{name} {number}" for name, number in sorted(counts.items())))
    return int(bool(failures))


def _gates(program, graph, spread):
    from neurogen.qdi.gates.build import build
    from neurogen.qdi.gates.simulate import simulate

    process = program.process()
    expected = process.expected(program.stimuli)
    result = simulate(build(graph), stimuli_of(process, program.stimuli),
                      {name: len(stream) for name, stream in expected.items()}, spread=spread)
    if not result.finished:
        raise RuntimeError("gates are deadlocked:\n" + "\n".join(result.waiting))
    if result.hazards or result.illegal or result.unknown:
        raise RuntimeError(f"hazards {result.hazards}, illegal {result.illegal}, unknown {result.unknown}")
    compare(graph, expected, result.streams, f"gates (spread {spread})")


if __name__ == "__main__":
    sys.exit(main())

"""Digits learnt from scratch, in integers: scikit-learn's digits as events, one sample at a time, in golden.

``python -m benchmarks.learning --json learning.json``. Each seed has its own weights, order of samples and
random register; the split is that of `neurogen.frontend.digits`. Accuracy is that of the test set after the
last epoch.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.progress import Progress

from benchmarks.common import chosen, report
from benchmarks.learning_task import accuracy, train
from neurogen.frontend.digits import CLASSES, STEPS, load_digits_counts
from neurogen.golden.learning import Simulator, infer, random_weights
from neurogen.spec.learning import Learner, LearnLayer


__all__ = ["CASES", "SHIFTS", "digits", "measure"]


_COMMON = {"inputs": 64, "classes": CLASSES, "window_full": 256, "window_half": 512}
CASES = {
    "code": Learner(layers=[LearnLayer(neurons=128)], **_COMMON),
    "learn": Learner(layers=[LearnLayer(neurons=128)], prototypes="learn", **_COMMON),
    "every step": Learner(layers=[LearnLayer(neurons=128)],
                          **_COMMON | {"period": 1, "rate_w": 12, "rate_q": 14}),
    "recurrent": Learner(layers=[LearnLayer(neurons=128, recurrent=True)], **_COMMON),
    "two layers": Learner(layers=[LearnLayer(neurons=128), LearnLayer(neurons=128)], **_COMMON),
    "fptt": Learner(layers=[LearnLayer(neurons=128)], rule="fptt", anchor_shift=6, **_COMMON),
    "rstdp": Learner(layers=[LearnLayer(neurons=128)], rule="rstdp", **_COMMON),
}
SHIFTS = (0, 0, 0, 1, 1, 2, 2, 3)  # by which the rates are lowered, epoch by epoch
_COLUMNS = {
    "case": "network", "seeds": "seeds", "z": "similarity %", "z_sd": "± sd", "o": "read-out %",
    "o_sd": "± sd", "z_worst": "worst seed %", "spikes": "spikes/step", "updates": "words updated / read",
    "skipped": "skipped %",
}


def digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return digits as rasters, ``uint8[n, 16, 64]``, and labels."""
    counts, labels = load_digits_counts(split)
    return counts.reshape(len(counts), STEPS, -1), labels


def measure(spec: Learner, seeds: int, shifts: Sequence[int] = SHIFTS,
            progress: Callable[[int], None] | None = None) -> dict:
    """Return the figures of a network: the keys of the table, without its name."""
    rasters, labels = digits("train")
    tests, test_labels = digits("test")
    found, spikes, updates, skipped = [], [], [], []
    for seed in range(seeds):
        simulator = Simulator(spec, random_weights(spec, seed), seed=7919 * seed + 1)
        train(simulator, spec, rasters, labels, shifts, np.random.RandomState(seed), progress)
        weights = [layer.weights for layer in simulator.layers]
        found.append(accuracy(spec, weights, tests, test_labels))
        spikes.append(infer(spec, weights, tests)[2] / len(tests) / STEPS)
        counters = simulator.counters
        updates.append(counters.updates / counters.reads)
        skipped.append(100 * counters.skipped / max(1, counters.skipped + counters.updates))
    z, o = np.array(found).T
    return {"seeds": seeds, "z": float(z.mean()), "z_sd": float(z.std()), "o": float(o.mean()),
            "o_sd": float(o.std()), "z_worst": float(z.min()), "spikes": float(np.mean(spikes)),
            "updates": float(np.mean(updates)), "skipped": float(np.mean(skipped))}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="",
                        help=f"networks, separated by commas: {', '.join(CASES)} (default: all)")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each network (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON")
    options = parser.parse_args(arguments)
    wanted = chosen(parser, "Network", options.only, CASES)
    if options.seeds < 1:
        parser.error(f"Seeds must be at least 1, not {options.seeds}")
    rows, size = [], len(digits("train")[1])
    with Progress() as progress:
        for name in wanted:
            task = progress.add_task(name, total=options.seeds * len(SHIFTS) * size)
            rows.append({"case": name} | measure(CASES[name], options.seeds, SHIFTS,
                                                 lambda n, task=task: progress.advance(task, n)))
    report(f"Digits from scratch, {len(SHIFTS)} epochs", _COLUMNS, rows, path=options.json,
           packages=("numpy", "scikit-learn"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

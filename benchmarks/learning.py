"""Digits learnt from scratch, in integers: scikit-learn's digits as events, one sample at a time, in golden.

``python -m benchmarks.learning --json learning.json``. Each seed has its own weights, order of samples and
random register; the split is that of `neurogen.frontend.digits`. Accuracy is that of the test set after the
last epoch.

The prototypes of ``snet`` are traces of a target network: the same weights, driven by the class through rows
of W of its own, which no sample of digits opens. A host can do that with the engine as it is: a sample
without a label, traces read, prototypes written.
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


__all__ = ["CASES", "SHIFTS", "digits", "measure", "refresh", "spread", "target_traces"]


_COMMON = {"inputs": 64, "classes": CLASSES, "window_full": 256, "window_half": 512}
CASES = {
    "code": Learner(layers=[LearnLayer(neurons=128)], **_COMMON),
    "learn": Learner(layers=[LearnLayer(neurons=128)], prototypes="learn", **_COMMON),
    "every step": Learner(layers=[LearnLayer(neurons=128)],
                          **_COMMON | {"period": 1, "rate_w": 12, "rate_q": 14}),
    "recurrent": Learner(layers=[LearnLayer(neurons=128, recurrent=True)], **_COMMON),
    "two layers": Learner(layers=[LearnLayer(neurons=128), LearnLayer(neurons=128)], **_COMMON),
    "hinge": Learner(layers=[LearnLayer(neurons=128)], loss="hinge", **_COMMON),
    "fptt": Learner(layers=[LearnLayer(neurons=128)], rule="fptt", anchor_shift=6, **_COMMON),
    "rstdp": Learner(layers=[LearnLayer(neurons=128)], rule="rstdp", **_COMMON),
}
_DRIVERS = 4  # inputs of a class that drive the target network
_SNET = _COMMON | {"inputs": 64 + _DRIVERS * CLASSES}
CASES |= {
    "snet": Learner(layers=[LearnLayer(neurons=128)], **_SNET),
    "snet two layers": Learner(layers=[LearnLayer(neurons=128), LearnLayer(neurons=128)], **_SNET),
}
_DRIVE, _REFRESH = 64, 100  # standard deviation of the rows of the drivers; samples between two refreshes
SHIFTS = (0, 0, 0, 1, 1, 2, 2, 3)  # by which the rates are lowered, epoch by epoch
_COLUMNS = {
    "case": "network", "seeds": "seeds", "z": "similarity %", "z_sd": "± sd", "o": "read-out %",
    "o_sd": "± sd", "z_worst": "worst seed %", "spikes": "spikes/step", "updates": "words updated / read",
    "skipped": "skipped %",
}


def target_traces(simulator: Simulator) -> list[np.ndarray]:
    """Return the traces of the target network in each layer, ``int[C, N]``; clears the state."""
    found = [np.zeros((CLASSES, len(layer.e)), np.int64) for layer in simulator.layers]
    for label in range(CLASSES):
        simulator.begin()
        for _ in range(STEPS):
            simulator.step(range(64 + _DRIVERS * label, 64 + _DRIVERS * (label + 1)))
        for traces, layer in zip(found, simulator.layers, strict=True):
            traces[label] = layer.e
    return found


def refresh(simulator: Simulator) -> None:
    """Write the target network's traces as prototypes: less their mean over classes, 64 on average."""
    spec = simulator.spec
    for index, traces in enumerate(target_traces(simulator)):
        contrast = traces - traces.mean(0)
        scaled = np.rint(contrast * 64 / max(1.0, float(np.abs(contrast).mean())))
        rows, top = spec.rows(index), spec.weight_max
        simulator.layers[index].weights[rows:rows + CLASSES] = np.clip(scaled, -top, top)


def _padded(rasters: np.ndarray, spec: Learner) -> np.ndarray:
    return np.pad(rasters, ((0, 0), (0, 0), (0, spec.inputs - rasters.shape[2])))


def digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return digits as rasters, ``uint8[n, 16, 64]``, and labels."""
    counts, labels = load_digits_counts(split)
    return counts.reshape(len(counts), STEPS, -1), labels


def measure(spec: Learner, seeds: int, shifts: Sequence[int] = SHIFTS,
            progress: Callable[[int], None] | None = None) -> dict:
    """Return the figures of a network: the keys of the table, without its name."""
    (rasters, labels), (tests, test_labels) = digits("train"), digits("test")
    rasters, tests, target = _padded(rasters, spec), _padded(tests, spec), spec.inputs > rasters.shape[2]
    found, spikes, updates, skipped = [], [], [], []
    for seed in range(seeds):
        weights, done = random_weights(spec, seed), 0
        if target:
            drivers = np.random.RandomState(seed + 1000).normal(0, _DRIVE, weights[0][64:spec.inputs].shape)
            weights[0][64:spec.inputs] = np.clip(np.rint(drivers), -spec.weight_max, spec.weight_max)
        simulator = Simulator(spec, weights, seed=7919 * seed + 1)
        if target:
            refresh(simulator)

        def after(count: int, simulator: Simulator = simulator) -> None:
            nonlocal done
            done += count
            if target and done % _REFRESH == 0:
                refresh(simulator)
            if progress:
                progress(count)
        train(simulator, spec, rasters, labels, shifts, np.random.RandomState(seed), after)
        weights = [layer.weights for layer in simulator.layers]
        found.append(accuracy(spec, weights, tests, test_labels))
        spikes.append(infer(spec, weights, tests)[2] / len(tests) / STEPS)
        counters = simulator.counters
        updates.append(counters.updates / counters.reads)
        skipped.append(100 * counters.skipped / max(1, counters.skipped + counters.updates))
    z, o = np.array(found).T
    return {"seeds": seeds, "z": float(z.mean()), "z_sd": spread(z), "o": float(o.mean()),
            "o_sd": spread(o), "z_worst": float(z.min()), "spikes": float(np.mean(spikes)),
            "updates": float(np.mean(updates)), "skipped": float(np.mean(skipped))}


def spread(values: np.ndarray) -> float | None:
    """Return the standard deviation of a sample (by ``n - 1``); None of a single value."""
    return float(values.std(ddof=1)) if len(values) > 1 else None


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

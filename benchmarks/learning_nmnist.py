"""N-MNIST with a frozen convolutional front end: its last layers learn from scratch, one recording at a time.

``python -m benchmarks.learning_nmnist --json nmnist.json``. The front end is the published network of the NIR
paper up to its last pooling, in integers (weights of 6 bits, as `benchmarks.real_inputs` runs it on the
accelerator), in steps of 1 ms; its own last layers are left out. The learner sees 128 inputs, those that had
a spike in three steps, and learns in integers, in golden; then it goes on for some recordings in compiled
gateware as well, and everything is compared. It learns from the training recordings at hand and is tested on
the held-out ones; there are few of both (300 and 100), so that a standard error is some 2 points.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.progress import Progress

from benchmarks.common import report
from benchmarks.learning_task import accuracy, train
from benchmarks.real_cases import classify, load_cnn
from neurogen.flow.data import DataError, dataset, load_nmnist
from neurogen.flow.learning import compare, simulate
from neurogen.frontend.quantise import quantise
from neurogen.golden.learning import Simulator, random_weights
from neurogen.golden.network import run
from neurogen.spec.events import Events
from neurogen.spec.learning import Learner, LearnLayer
from neurogen.spec.learning_bus import Csr
from neurogen.spec.network import Network


__all__ = ["GROUP", "NETWORK", "Features", "features", "measure", "pooled"]


GROUP = 3  # steps of the front end in a step of the learner
_LAST, _CHANNELS, _SIZE = "6", 8, 8  # the last population of the front end, 8x8x8, which 2x2 pooling follows
NETWORK = Learner(inputs=128, layers=[LearnLayer(neurons=256, threshold=512)], classes=10, trace_shift=3,
                  window_full=256, window_half=512)
_SHIFTS = (0, 0, 0, 1, 1, 2, 2, 3)  # by which the rates are lowered, epoch by epoch
_TRAIN, _TEST = "nmnist/nmnist_train300.npz", "nmnist/nmnist_test100.npz"
_COLUMNS = {
    "seed": "seed", "recordings": "recordings", "tests": "held out", "before": "before %",
    "z": "similarity %", "o": "read-out %", "published": "published last layers %", "rate": "inputs on %",
    "updates": "words updated / read", "rtl": "in RTL", "compared": "values compared",
    "differences": "differences",
}


class Features(NamedTuple):
    """What the front end makes of recordings: ``rasters[n, steps, 128]``, ``labels[n]``, and the classes
    that the published last layers see, ``published[n]``.
    """

    rasters: np.ndarray
    labels: np.ndarray
    published: np.ndarray


def pooled(spikes: Events, group: int = GROUP) -> np.ndarray:
    """Return which of the 2x2 pools had a spike in groups of steps: ``bool[steps // group, 128]``."""
    counts = spikes.counts()
    steps, half = len(counts) // group, _SIZE // 2
    blocks = counts[:steps * group].reshape(steps, group, _CHANNELS, half, 2, half, 2)
    return blocks.any((1, 4, 6)).reshape(steps, -1)


def features(network: Network, events: Sequence[Events], labels: np.ndarray,
             progress: Callable[[int], None] | None = None) -> Features:
    """Run recordings through the front end, in golden."""
    (source,), (output,) = network.inputs, network.outputs
    rasters, published = [], []
    for recording in events:
        spikes = run(network, {source: recording}, record="spikes").spikes
        rasters.append(pooled(spikes[_LAST]))
        published.append(classify(spikes[output]))
        if progress:
            progress(1)
    return Features(np.stack(rasters), np.asarray(labels), np.array(published))


def measure(shown: Features, tests: Features, seed: int, *, shifts: Sequence[int] = _SHIFTS, rtl: int = 0,
            progress: Callable[[int], None] | None = None) -> dict:
    """Learn from recordings and return the figures of the table.

    Parameters
    ----------
    rtl
        So many recordings more are learnt from in golden and in compiled gateware, and compared.
    """
    weights = random_weights(NETWORK, seed, input_scale=NETWORK.layers[0].threshold / 16)
    before = accuracy(NETWORK, weights, tests.rasters, tests.labels)[0]
    simulator = Simulator(NETWORK, weights, seed=7919 * seed + 1)
    train(simulator, NETWORK, shown.rasters, shown.labels, shifts, np.random.RandomState(seed), progress)
    learnt, counters = [layer.weights.copy() for layer in simulator.layers], simulator.counters
    z, o = accuracy(NETWORK, learnt, tests.rasters, tests.labels)
    row = {"seed": seed, "recordings": len(shown.labels), "tests": len(tests.labels), "before": before,
           "z": z, "o": o, "published": float((tests.published == tests.labels).mean() * 100),
           "rate": float(tests.rasters.mean() * 100), "updates": counters.updates / counters.reads}
    if rtl:
        port = simulate(NETWORK)
        port.load(learnt, seed=seed + 1)
        port.model.write(Csr.COUNTER, 0)
        again = Simulator(NETWORK, learnt, seed=seed + 1)
        found = compare(port, again, zip(shown.rasters[:rtl], shown.labels[:rtl].tolist(), strict=True))
        row |= {"rtl": found.samples, "compared": found.weights + found.states + found.counters,
                "differences": found.differences}
    return row


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status: 1 if gateware and golden model differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning_nmnist", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="runs (default 3)")
    parser.add_argument("--recordings", type=int, default=300, help="training recordings (default 300)")
    parser.add_argument("--tests", type=int, default=100, help="held-out recordings (default 100)")
    parser.add_argument("--rtl", type=int, default=3, help="recordings in RTL, first seed (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON")
    options = parser.parse_args(arguments)
    for name, low in (("seeds", 1), ("recordings", 1), ("tests", 1), ("rtl", 0)):
        if getattr(options, name) < low:
            parser.error(f"{name.capitalize()} must be at least {low}, not {getattr(options, name)}")
    try:
        exact, events, labels = load_cnn(options.tests)
        shown, classes = load_nmnist(dataset(_TRAIN), limit=options.recordings, steps=events[0].steps,
                                     binary=False)
    except (DataError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    network, _ = quantise(exact, weight_bits=6, scale="channel", state_bits=13)
    rows = []
    with Progress() as progress:
        task = progress.add_task("Front end", total=len(events) + len(shown))
        tests = features(network, events, labels, lambda n: progress.advance(task, n))
        training = features(network, shown, classes, lambda n: progress.advance(task, n))
        for seed in range(options.seeds):
            task = progress.add_task(f"Seed {seed}", total=len(_SHIFTS) * len(shown))
            rows.append(measure(training, tests, seed, rtl=0 if seed else options.rtl,
                                progress=lambda n, task=task: progress.advance(task, n)))
    report("N-MNIST, frozen front end, last layers learnt", _COLUMNS, rows, path=options.json,
           packages=("numpy",))
    return int(any(row.get("differences") for row in rows))


if __name__ == "__main__":
    sys.exit(main())

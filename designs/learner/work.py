"""What the commands of the learner do: samples, weights, adaptation, cells."""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neurogen.flow.errors import UserError
from neurogen.flow.learning import simulate
from neurogen.flow.verilator import to_verilog
from neurogen.frontend.digits import load_digits_counts
from neurogen.golden.learning import Simulator, infer, random_weights
from neurogen.rtl.learning import LearnEngine
from neurogen.spec.learning import Learner
from neurogen.spec.learning_bus import Region, Status


__all__ = ["MEMORIES", "Work", "adapt", "cells", "load_weights", "random_work", "save_weights",
           "starting_weights"]


MEMORIES = (*(region.name.lower() for region in Region), "active", "events", "open")


class Work(NamedTuple):
    """Labelled samples.

    Parameters
    ----------
    rasters
        ``[samples, steps, inputs]``.
    labels
        ``[samples]``.
    """

    rasters: np.ndarray
    labels: np.ndarray

    @classmethod
    def digits(cls, split: str = "train") -> "Work":
        """Return scikit-learn's digits."""
        counts, labels = load_digits_counts(split)
        return cls(counts.reshape(*counts.shape[:2], -1), labels)


def random_work(spec: Learner, samples: int, seed: int, steps: int = 16) -> Work:
    """Return random patterns of a spike rate per class and input."""
    random = np.random.RandomState(seed)
    rates, labels = random.rand(spec.classes, spec.inputs) * 0.4, random.randint(spec.classes, size=samples)
    return Work(random.rand(samples, steps, spec.inputs) < rates[labels][:, None], labels)


def starting_weights(spec: Learner, seed: int) -> list[np.ndarray]:
    """Return random weights of a size that fits the threshold of the first layer."""
    scale = spec.layers[0].threshold / 16
    return random_weights(spec, seed, input_scale=scale, recurrent_scale=scale / 3)


def load_weights(path: Path, spec: Learner, *, undo: bool) -> list[np.ndarray]:
    """Return the weights of a file of `adapt`: those after it, or those before it."""
    name = "before" if undo else "after"
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            weights = [archive[f"{name}_{k}"] for k in range(len(spec.layers))]
        Simulator(spec, weights)
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"Weights must be a file of `adapt` for this configuration, not {path}: "
                        f"{error}") from None
    return weights


def save_weights(path: Path, before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> None:
    """Write the weights before and after an adaptation for `load_weights`: the whole file or nothing."""
    arrays = {f"{name}_{k}": array for name, weights in (("before", before), ("after", after))
              for k, array in enumerate(weights)}
    part = path.with_name(f".{path.name}.part.npz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(part, **arrays)
        part.replace(path)
    except OSError as error:
        raise UserError(f"Cannot write to {path}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def adapt(spec: Learner, weights: Sequence[np.ndarray], samples: int, seed: int,
          show: Callable[[int, float], None], *, rtl: bool = False) -> tuple[list[np.ndarray], set[Status]]:
    """Learn digits, one after the other; return the weights, and the sticky bits that were set.

    Parameters
    ----------
    show
        Called with the samples that are done and the accuracy on the test digits, in percent: before the
        first, and then some ten times.
    rtl
        On the compiled gateware, or on the golden model.
    """
    work, tests = Work.digits(), Work.digits("test")
    random = np.random.RandomState(seed)
    engine = simulate(spec) if rtl else Simulator(spec, weights, seed=seed)
    if rtl:
        engine.load(weights, seed=seed)
    learnt = list(weights)

    def test(done: int) -> None:
        scores, _, _ = infer(spec, learnt, tests.rasters)
        show(done, float((scores.argmax(1) == tests.labels).mean() * 100))
    test(0)
    for k in range(samples):
        if k % len(work.labels) == 0:
            order = random.permutation(len(work.labels))
        chosen = order[k % len(work.labels)]
        engine.run(work.rasters[chosen], int(work.labels[chosen]))
        if (k + 1) % max(1, samples // 10) == 0 or k == samples - 1:
            learnt = engine.weights() if rtl else [layer.weights.copy() for layer in engine.layers]
            test(k + 1)
    engine.begin()  # closes the last sample
    return learnt, engine.flags() if rtl else engine.flags


def cells(spec: Learner, *, memories: bool = True) -> dict[str, int]:
    """Return the cells of an ECP5 that Yosys needs for a learner, without a board around it, by kind.

    Parameters
    ----------
    spec
        The network.
    memories
        With its memories; else they are black boxes that the cells do not count.
    """
    from fpga.synth import count_cells

    text = to_verilog(LearnEngine(spec), "top")
    outside = [] if memories else [f"top.{name}" for name in MEMORIES if f"module \\top.{name} (" in text]
    return count_cells(text, outside=outside)

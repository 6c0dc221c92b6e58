"""Training of a learning network on labelled rasters, in golden: epochs, rates, accuracy."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from neurogen.golden.learning import Simulator, infer
from neurogen.spec.learning import Learner


__all__ = ["Accuracy", "accuracy", "slower", "train"]


# Percent of samples whose largest score is their label: by similarity with prototypes, by read-out.
Accuracy = tuple[float, float]


def slower(spec: Learner, shift: int) -> Learner:
    """Return the network with all learning rates lowered by ``2**-shift``."""
    rates = {name: min(16, getattr(spec, name) + shift) for name in ("rate_w", "rate_r", "rate_p", "rate_q")}
    return replace(spec, **rates)


def train(simulator: Simulator, spec: Learner, rasters: np.ndarray, labels: np.ndarray, shifts: Sequence[int],
          random: np.random.RandomState, progress: Callable[[int], None] | None = None) -> None:
    """Show all samples once per entry of ``shifts``, in a new order each time, at rates lowered by it.

    Parameters
    ----------
    simulator
        The network; changed.
    spec
        Its specification; the rates are those of shift 0.
    rasters, labels
        ``[samples, steps, inputs]`` and ``[samples]``.
    random
        Makes the orders.
    progress
        Called with 1 for each sample.
    """
    for shift in shifts:
        simulator.spec = slower(spec, shift)
        for k in random.permutation(len(labels)):
            simulator.run(rasters[k], int(labels[k]))
            if progress:
                progress(1)


def accuracy(spec: Learner, weights: Sequence[np.ndarray], rasters: np.ndarray,
             labels: np.ndarray) -> Accuracy:
    """Return the accuracy without learning."""
    found = infer(spec, weights, rasters)[:2]
    return tuple(float((scores.argmax(1) == labels).mean() * 100) for scores in found)

"""Digits as the input of the chip: recordings of images that training has not seen."""

import numpy as np

from designs.ubrain.network import Layers
from neurogen.frontend.digits import STEPS, load_digits_counts
from neurogen.golden.network import run
from neurogen.spec.events import Events


__all__ = ["accuracy", "digit_steps"]


def digit_steps(steps: int) -> np.ndarray:
    """Return the first steps of the held-out images, one after the other: ``bool[steps, 64]``.

    Potentials are not reset between images.
    """
    counts, _ = load_digits_counts("test", -(-steps // STEPS))
    return counts.reshape(-1, counts[0, 0].size)[:steps].astype(bool)


def accuracy(layers: Layers, limit: int | None = None) -> tuple[int, int]:
    """Return how many held-out images (the first ``limit``) golden gets right, each from rest; of how many.

    The class is the neuron of the last layer with the most spikes, the lowest on a tie.
    """
    images, labels = load_digits_counts("test", limit)
    (source,), last = layers.network.inputs, layers.layers[2].name
    right = 0
    for counts, label in zip(images, labels, strict=True):
        events = Events.from_counts(counts.reshape(STEPS, -1))
        spikes = run(layers.network, {source: events}, record="spikes").spikes[last]
        right += int(spikes.counts().sum(0).argmax() == label)
    return right, len(labels)

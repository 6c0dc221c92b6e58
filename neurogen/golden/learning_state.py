"""What `neurogen.golden.learning` changes: weights and states of layers, and what has been counted."""

from dataclasses import dataclass

import numpy as np

from neurogen.spec.learning import Learner


__all__ = ["Counters", "LayerState", "random_weights"]


@dataclass(eq=False)
class LayerState:
    """Weights and state of a layer; ``N`` is the number of neurons, padded to whole words.

    Parameters
    ----------
    weights
        Rows of W, R, P and Q, in this order, as in the columns of the weight memory; ``int32[rows, N]``.
    means
        Averages of the weights, likewise; equal to them where the rule has none.
    v, e, spikes
        Potentials, traces and the spikes of the last step; ``int32[N]``.
    x
        Pre-traces; ``int32[rows of W and R]``.
    z, o
        Similarity and read-out, ``int32[C]``.
    scores, readout_scores
        Their sums over the sample, ``int64[C]``.
    """

    weights: np.ndarray
    v: np.ndarray
    e: np.ndarray
    spikes: np.ndarray
    x: np.ndarray
    z: np.ndarray
    o: np.ndarray
    scores: np.ndarray
    readout_scores: np.ndarray
    means: np.ndarray


@dataclass
class Counters:
    """What has been done since they were made; the gateware counts the same.

    Parameters
    ----------
    steps, learning_steps
        Steps, and layers' steps that learnt.
    events
        Rows that spiked.
    spikes
        Spikes of neurons.
    reads
        Words read for events: rows that spiked times words.
    updates
        Words updated.
    skipped
        Words of open rows that were left out because all their modulations were 0.
    saturated
        Words in which a weight was clipped.
    """

    steps: int = 0
    learning_steps: int = 0
    events: int = 0
    spikes: int = 0
    reads: int = 0
    updates: int = 0
    skipped: int = 0
    saturated: int = 0


def random_weights(spec: Learner, seed: int = 0, *, input_scale: float = 16, recurrent_scale: float = 6,
                   code: int = 64) -> list[np.ndarray]:
    """Return weights to start from, ``int32[rows, N]`` for each layer.

    ``W`` and ``R`` are normal with these standard deviations, rounded and clipped; ``P`` is ``+code`` or
    ``-code`` with equal chance; ``Q`` is 0, and so is all padding.
    """
    random = np.random.RandomState(seed)  # its stream is frozen by NumPy's policy
    result, top = [], spec.weight_max
    for index, layer in enumerate(spec.layers):
        n = layer.neurons
        weights = np.zeros((spec.column(index), spec.words(n) * spec.lanes), np.int32)
        inputs = spec.layers[index - 1].neurons if index else spec.inputs
        weights[:inputs, :n] = np.clip(np.rint(random.normal(0, input_scale, (inputs, n))), -top, top)
        if layer.recurrent:
            start = spec.row_words(index)[0] * spec.lanes
            weights[start:start + n, :n] = np.clip(
                np.rint(random.normal(0, recurrent_scale, (n, n))), -top, top)
        rows = spec.rows(index)
        signs = 2 * random.randint(0, 2, (spec.classes, n)) - 1
        weights[rows:rows + spec.classes, :n] = min(code, top) * signs
        result.append(weights)
    return result

"""The layer on which engine and golden model are measured: 96x48, 32 -> 64 channels, 3x3, LIF."""

from dataclasses import replace

import numpy as np

from neurogen.golden import conv, lif
from neurogen.spec.checks import check_int
from neurogen.spec.conv import Conv
from neurogen.spec.events import Events
from neurogen.spec.lif import Lif
from neurogen.spec.network import Edge, Input, Network


__all__ = ["DECAY", "SHAPE", "layer", "recording"]


SHAPE = (32, 48, 96)  # channels, height, width of the input
CHANNELS = 64
DECAY = 3600  # in units of 2**-12
_STATE_BITS = 13
_LIMIT = 31  # of a weight of 6 bits
_FIRING = 0.05  # share of the neurons that fire in a step, on average


def recording(density: float, steps: int, seed: int = 1) -> Events:
    """Return events: each address spikes in each step with probability ``density``."""
    check_int("Number of steps", steps, minimum=1)
    return Events.from_counts(np.random.default_rng(seed).random((steps, *SHAPE)) < density)


def layer(events: Events, *, seed: int = 0) -> Network:
    """Return the layer, with a threshold with which one neuron in twenty fires on this recording."""
    random = np.random.default_rng(seed)
    weight = random.laplace(0.15, 1.0, (CHANNELS, SHAPE[0], 3, 3))
    rows = weight.reshape(CHANNELS, -1)
    largest = max(np.maximum(rows, 0).sum(1).max(), np.maximum(-rows, 0).sum(1).max())
    # Three eighths of the range of states for the input of a step, the rest for what is there already.
    scale = min((3 << (_STATE_BITS - 3)) / largest, 2 * _LIMIT / np.abs(weight).max())
    synapse = Conv(weight=np.clip(np.rint(weight * scale), -_LIMIT, _LIMIT).astype(np.int64), padding=1)
    signed = [int(np.maximum(w, 0).sum((1, 2, 3)).max()) for w in (synapse.weight, -synapse.weight)]
    half = 1 << (_STATE_BITS - 1)
    neuron = Lif(shape=synapse.output_shape(SHAPE), threshold=1, decay=DECAY, state_bits=_STATE_BITS,
                 v_lo=signed[1] - half, v_hi=half - 1 - signed[0])
    drive = [conv.currents(synapse, SHAPE, events.step(t))[0] for t in range(events.steps)]
    neuron = replace(neuron, threshold=_threshold(neuron, drive))
    network = Network({"input": Input(shape=SHAPE), "conv": synapse, "lif": neuron},
                      (Edge("input", "conv"), Edge("conv", "lif")), ("lif",), {"task": "benchmark"})
    network.check_widths()
    return network


def _threshold(neuron, drive):
    """Return the smallest threshold with which at most the wanted share of the neurons fires."""
    low, high = 1, (1 << (neuron.state_bits - 1)) - 1
    while low < high:
        middle = (low + high) // 2
        trial, state, fired = replace(neuron, threshold=middle), lif.initial_state(neuron), 0
        for current in drive:
            state, spikes = lif.step(trial, state, current)
            fired += int(spikes.sum())
        if fired > _FIRING * neuron.neurons * len(drive):
            low = middle + 1
        else:
            high = middle
    return low

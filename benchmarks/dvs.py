"""A network for event-camera maps: three layers of 3x3 convolutions that are busy on a real recording.

Its weights are random, sparse and of 8 bits; what makes it real work is that each channel's threshold is
chosen on the recording, so that every channel of every layer spikes at a wanted density.
"""

from dataclasses import replace

import numpy as np

from neurogen.golden import conv, lif
from neurogen.spec.checks import check_int
from neurogen.spec.conv import Conv
from neurogen.spec.events import Events
from neurogen.spec.lif import Lif, Reset
from neurogen.spec.network import Edge, Input, Network


__all__ = ["CHANNELS", "dvs_network"]


CHANNELS = (32, 64, 32)
_RESETS = (Reset.SUBTRACT, Reset.ZERO, Reset.SUBTRACT)
_DECAYS = (3600, 3400, 3700)  # in units of 2**-12
_DENSITIES = 0.01, 0.12  # of the quietest and of the busiest channels


def dvs_network(events: Events, *, seed: int = 0, state_bits: int = 13, weight_bits: int = 6,
                steps: int = 12) -> Network:
    """Return the network ``2 -> 32 -> 64 -> 32`` channels, of the size of the recording's maps.

    Parameters
    ----------
    events
        Recording of shape ``(C, H, W)`` with at most one event at an address in a step.
    seed
        Seed of weights and densities.
    state_bits, weight_bits
        Widths; weights are as large as the state width allows.
    steps
        Steps of the recording on which thresholds are chosen.
    """
    check_int("Calibration steps", steps, minimum=1, maximum=events.steps)
    random = np.random.default_rng(seed)
    shape, counts = events.shape, [events.step(t) for t in range(steps)]
    nodes, edges, source = {"input": Input(shape=shape)}, [], "input"
    for number, (channels, reset, decay) in enumerate(zip(CHANNELS, _RESETS, _DECAYS, strict=True), 1):
        target = (channels, *shape[1:])
        synapse = Conv(weight=_weights(random, channels, shape[0], state_bits, weight_bits), padding=(1, 1))
        densities = np.exp(random.uniform(*np.log(_DENSITIES), channels))
        positive, negative = (int(np.maximum(w, 0).sum((1, 2, 3)).max())
                              for w in (synapse.weight, -synapse.weight))
        half = 1 << (state_bits - 1)
        neuron = Lif(shape=target, threshold=1, decay=decay, reset=reset, state_bits=state_bits,
                     v_lo=negative - half, v_hi=half - 1 - positive)
        drive = [conv.currents(synapse, shape, index)[0] for index in counts]
        neuron = _with_thresholds(neuron, drive, densities)
        nodes |= {f"conv{number}": synapse, f"lif{number}": neuron}
        edges += [Edge(source, f"conv{number}"), Edge(f"conv{number}", f"lif{number}")]
        counts = [np.flatnonzero(spikes) for spikes in _spikes(neuron, drive)]
        shape, source = target, f"lif{number}"
    network = Network(nodes, tuple(edges), (source,), {"task": "benchmark of real events", "seed": seed})
    network.check_widths()
    return network


def _weights(random, outputs, inputs, state_bits, weight_bits):
    """Return ``int64[outputs, inputs, 3, 3]``: sparse, a little more excitation than inhibition."""
    weight = random.laplace(0.15, 1.0, (outputs, inputs, 3, 3))
    weight *= random.random(weight.shape) < min(1.0, max(1 / 3, 12 / (9 * inputs)))
    rows = weight.reshape(outputs, -1)
    largest = max(np.maximum(rows, 0).sum(1).max(), np.maximum(-rows, 0).sum(1).max())
    limit = (1 << (weight_bits - 1)) - 1
    # Three eighths of the range of states for the input of a step, the rest for what is there already.
    scale = min((3 << (state_bits - 3)) / largest, 4 * limit / np.abs(weight).max())
    return np.clip(np.rint(weight * scale), -limit, limit).astype(np.int64)


def _spikes(neuron, drive):
    state, result = lif.initial_state(neuron), []
    for current in drive:
        state, spikes = lif.step(neuron, state, current)
        result.append(spikes)
    return result


def _with_thresholds(neuron, drive, densities):
    """Return the population with the smallest thresholds that keep each channel below its density."""
    low, high = np.ones(neuron.shape[0], np.int64), np.full(neuron.shape[0], neuron.v_hi)
    while (low < high).any():
        middle = (low + high) // 2
        trial = replace(neuron, threshold=middle)
        busy = np.mean([spikes.mean((1, 2)) for spikes in _spikes(trial, drive)], axis=0) > densities
        low, high = np.where(busy, middle + 1, low), np.where(busy, high, middle)
    return replace(neuron, threshold=low)

"""The functions against the golden model of the network, and a subject for all other levels."""

import time

import numpy as np

from designs.ubrain.network import Layers
from designs.ubrain.process import make_graph, make_layer, run_python
from neurogen.flow.synth.levels import Level, Stimulus
from neurogen.flow.synth.load import source_lines
from neurogen.flow.synth.pipeline import Subject
from neurogen.flow.tools import SimulationError
from neurogen.golden.network import run
from neurogen.spec.events import Events


__all__ = ["DENSITY", "compare_golden", "make_subject", "random_steps"]

DENSITY = 0.3  # of the inputs that spike in a step


def random_steps(layers: Layers, steps: int, seed: int = 0) -> np.ndarray:
    """Return random input: ``bool[steps, inputs]``."""
    return np.random.default_rng(seed).random((steps, layers.inputs)) < DENSITY


def _tokens(layers: Layers, counts: np.ndarray) -> list[int]:
    return [event for row in counts for event in (*map(int, np.flatnonzero(row)), layers.inputs)]


def compare_golden(layers: Layers, counts: np.ndarray) -> Level:
    """Compare the functions, run by CPython, with the golden network: all events, all potentials.

    Raises
    ------
    SimulationError
        At the first difference.
    """
    start = time.perf_counter()
    network = layers.network
    golden = run(network, {network.inputs[0]: Events.from_counts(counts)})
    potentials = {layer.name: [0] * (layer.lif.neurons + 1) for layer in layers.layers}
    stream = run_python(layers, _tokens(layers, counts), potentials)
    last = layers.layers[2]
    spikes = golden.spikes[last.name]
    compared = 0
    for t in range(len(counts)):
        found = []
        while (event := next(stream)) != last.lif.neurons:
            found.append(event)
        expected = sorted(int(n) for n in spikes.index[spikes.t == t])
        if found != expected:
            raise SimulationError(f"Step {t}: {last.name} must fire {expected}, as golden does, not {found}")
        # No layer has begun with what counts in the next step: each waits where it said the step's end.
        for layer in layers.layers:
            wanted = golden.potentials[layer.name][t]
            if potentials[layer.name][:-1] != wanted.tolist():
                n = int(np.flatnonzero(np.array(potentials[layer.name][:-1]) != wanted)[0])
                raise SimulationError(f"Step {t}: potential {n} of {layer.name} must be {wanted[n]}, as in "
                                      f"golden, not {potentials[layer.name][n]}")
            compared += len(wanted)
        compared += layers.layers[2].lif.neurons
    return Level("golden", 1, compared, time.perf_counter() - start,
                 f"spikes of {last.name} and all potentials, after each of {len(counts)} steps")


def make_subject(layers: Layers, counts: np.ndarray, name: str = "ubrain") -> Subject:
    """Return the network with random input as a subject for `neurogen.flow.synth.pipeline`."""
    tokens = _tokens(layers, counts)
    expected = list(run_python(layers, tokens))
    lines = {number: text for layer in layers.layers for number, text in source_lines(make_layer(layer))}
    return Subject(name, "checked", Stimulus(make_graph(layers, name), {"events": tokens}, {"o": expected}),
                   sorted(lines.items()))

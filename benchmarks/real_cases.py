"""Real recordings and the networks that they run through, for benchmarks and tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.dvs import dvs_network
from neurogen.flow.data import dataset, load_braille_sample0, load_dvs, load_nmnist
from neurogen.frontend.digits import load_digits_counts
from neurogen.frontend.discretise import discretise
from neurogen.frontend.graph import FloatNetwork
from neurogen.frontend.nir_file import read_nir
from neurogen.frontend.quantise import quantise
from neurogen.frontend.simulate import simulate
from neurogen.golden.network import run
from neurogen.spec.events import Events
from neurogen.spec.network import Network


__all__ = ["CASES", "FILES", "Case", "braille_case", "classify", "cnn_case", "cut", "digits_case", "dvs_case",
           "float_correct", "golden_correct", "load_cnn"]


_NETWORKS = Path(__file__).parents[1] / "designs" / "networks"
_CNN, _NMNIST = "nir/02_cnn__cnn_sinabs.nir", "nmnist/nmnist_test100.npz"
_DVS, _BRAILLE = "dvs/evk_640x480_walk.npz", "nir/braille_sample0.npz"
_GRAPHS = {graph: f"nir/03_rnn__braille_noDelay_{graph}.nir" for graph in ("bias_zero", "noBias_subtract")}
FILES = (_CNN, _NMNIST, _DVS, _BRAILLE, *_GRAPHS.values())
_MULTIPLICITY = 3  # of N-MNIST in steps of 1 ms
_BATCH = 20  # recordings that the float network runs at once


@dataclass(frozen=True)
class Case:
    """A network and its recordings.

    Parameters
    ----------
    name, config
        What it is called, and the configuration that it runs on.
    network
        In integers, with one input.
    events
        Recordings for the golden model.
    labels
        Class of each, or ``None`` if there are none.
    rtl
        How many of them, from the first, run in RTL.
    each_step
        First steps of the first one after which all potentials are read.
    exact
        The float network that it was quantised from, if there is one.
    """

    name: str
    config: str
    network: Network
    events: Sequence[Events]
    labels: np.ndarray | None = None
    rtl: int = 1
    each_step: int = 0
    exact: FloatNetwork | None = None



def dvs_case(steps: int = 40, each_step: int = 3) -> Case:
    """Return an event-camera recording, 96x48 in steps of 10 ms, and three 3x3 layers that it keeps busy."""
    calibration = 12
    events = load_dvs(dataset(_DVS), step_us=10_000, steps=max(steps, calibration))
    network = dvs_network(events, steps=calibration)
    return Case("DVS 96x48, 2-32-64-32", "default", network, [cut(events, steps)], each_step=each_step)


def load_cnn(recordings: int = 100, steps: int = 300,
             reset: str = "zero") -> tuple[FloatNetwork, list[Events], np.ndarray]:
    """Return the float network of the NIR paper, N-MNIST recordings in steps of 1 ms, and their labels."""
    exact = discretise(read_nir(dataset(_CNN)), "norse", reset=reset, max_multiplicity=_MULTIPLICITY)
    events, labels = load_nmnist(dataset(_NMNIST), limit=recordings, steps=steps, binary=False)
    return exact, events, labels


def cnn_case(recordings: int = 100, rtl: int = 20, steps: int = 300, each_step: int = 20) -> Case:
    """Return the NIR paper's N-MNIST network in 6-bit weights, which is what 13-bit states hold."""
    exact, events, labels = load_cnn(recordings, steps)
    network, _ = quantise(exact, weight_bits=6, scale="channel", state_bits=13)
    return Case("N-MNIST CNN", "default", network, events, labels, rtl, each_step, exact)


def braille_case(graph: str = "bias_zero") -> Case:
    """Return one of the NIR paper's recurrent CuBa-LIF networks on its sample 0.

    Parameters
    ----------
    graph
        ``"bias_zero"`` or ``"noBias_subtract"``; both by the rule of Norse.
    """
    exact = discretise(read_nir(dataset(_GRAPHS[graph])), "norse", "infer", graph.rpartition("_")[2])
    events, label, _ = load_braille_sample0(dataset(_BRAILLE))
    network, _ = quantise(exact, weight_bits=8, scale="neuron", state_bits=24, fraction_bits=4)
    return Case(f"Braille {graph}", "wide", network, [events], np.array([label]), each_step=events.steps,
                exact=exact)


def digits_case(config: str = "default", recordings: int = 100, each_step: int = 16) -> Case:
    """Return the network that ships and held-out digits."""
    counts, labels = load_digits_counts("test", recordings)
    events = [Events.from_counts(image) for image in counts]
    exact = discretise(read_nir(_NETWORKS / "digits.nir"), "snntorch", "infer")
    return Case("digits", config, Network.load(_NETWORKS / "digits.npz"), events, labels, recordings,
                each_step, exact)


def cut(events: Events, steps: int) -> Events:
    """Return the first steps of a recording."""
    keep = events.t < steps
    return Events(events.shape, min(steps, events.steps), events.t[keep], events.index[keep])


def float_correct(network: FloatNetwork, events: Sequence[Events], labels: np.ndarray) -> int:
    """Return how many recordings the float network classifies rightly."""
    (source,), (output,) = network.inputs, network.outputs
    correct = 0
    for first in range(0, len(events), _BATCH):
        counts = np.stack([recording.counts() for recording in events[first:first + _BATCH]])
        spikes = simulate(network, {source: counts}, (output,), np.float32).spikes[output]
        correct += int((spikes.sum(1).argmax(1) == labels[first:first + _BATCH]).sum())
    return correct


def golden_correct(network: Network, events: Sequence[Events], labels: np.ndarray) -> int:
    """Return how many recordings the integer network classifies rightly."""
    (source,), (output,) = network.inputs, network.outputs
    return sum(classify(run(network, {source: recording}, record="spikes").spikes[output]) == label
               for recording, label in zip(events, labels, strict=True))


def classify(spikes: Events) -> int:
    """Return the neuron with the most spikes, the first one of several."""
    return int(spikes.counts().sum(0).argmax())


# For each group: what makes its cases, by the key of their results.
CASES: dict[str, dict[str, Callable[[], Case]]] = {
    "dvs": {"dvs": dvs_case},
    "cnn": {"cnn": cnn_case},
    "braille": {"braille bias_zero": braille_case,
                "braille noBias_subtract": lambda: braille_case("noBias_subtract")},
    "digits": {"digits default": digits_case, "digits mini": lambda: digits_case("mini")},
}

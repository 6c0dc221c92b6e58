"""The digits: their events, the shipped networks, and the accuracy that reports quote."""

from pathlib import Path

import numpy as np
import pytest

from neurogen.frontend.digits import encode, load_digits_counts, load_digits_events
from neurogen.frontend.discretise import discretise
from neurogen.frontend.nir_file import read_nir
from neurogen.frontend.quantise import quantise
from neurogen.frontend.simulate import simulate
from neurogen.golden.network import run
from neurogen.spec.network import Network
from tests.frontend.test_export import assert_same


NETWORKS = Path(__file__).parents[2] / "designs" / "networks"


@pytest.fixture(scope="module")
def float_network():
    return discretise(read_nir(NETWORKS / "digits.nir"), "snntorch", "infer")


@pytest.fixture(scope="module")
def network():
    return Network.load(NETWORKS / "digits.npz")


def test_a_pixel_gives_as_many_events_as_its_intensity():
    images = np.arange(64).reshape(1, 8, 8) % 17
    counts = encode(images)
    assert counts.shape == (1, 16, 1, 8, 8)
    assert counts.max() == 1
    assert np.array_equal(counts.sum(1)[0, 0], images[0])


def test_events_are_spread_evenly():
    images = np.zeros((1, 8, 8), int)
    images[0, 0, :3] = 1, 4, 16
    trains = encode(images)[0, :, 0, 0]
    assert np.flatnonzero(trains[:, 0]).tolist() == [7]
    assert np.flatnonzero(trains[:, 1]).tolist() == [1, 5, 9, 13]
    assert trains[:, 2].all()


def test_the_split_holds_every_image_once():
    parts = [load_digits_counts(split) for split in ("train", "test")]
    assert [len(labels) for _, labels in parts] == [1438, 359]
    assert [np.bincount(labels).min() for _, labels in parts] == [139, 35]
    images = np.concatenate([counts.sum(1)[:, 0] for counts, _ in parts]).reshape(1797, 64)
    from sklearn.datasets import load_digits
    every = load_digits().images.astype(int).reshape(1797, 64)
    assert np.array_equal(images[np.lexsort(images.T)], every[np.lexsort(every.T)])


def test_recordings_are_the_counts():
    recordings, labels = load_digits_events("test", 3)
    counts, again = load_digits_counts("test", 3)
    assert np.array_equal(labels, again)
    assert all(np.array_equal(e.counts(), c) for e, c in zip(recordings, counts, strict=True))


@pytest.mark.parametrize(("call", "message"), [
    (lambda: load_digits_counts("all"), "Split must be one of 'train', 'test', not 'all'"),
    (lambda: load_digits_counts("test", 0), "Number of digits must be at least 1, not 0"),
    (lambda: encode(np.full((1, 8, 8), 17)), "Intensities must be between 0 and 16, not from 17 to 17"),
    (lambda: encode(np.zeros((8, 8), int)),
     "Digits must be integers of shape (n, 8, 8), not int64 of shape (8, 8)"),
])
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == message


def test_float_accuracy(float_network):
    counts, labels = load_digits_counts("test")
    (output,) = float_network.outputs
    spikes = simulate(float_network, {"input": counts}, record=(output,)).spikes[output]
    assert int((spikes.sum(1).argmax(1) == labels).sum()) == 357  # of 359: 99.44 %


def test_integer_accuracy(network):
    recordings, labels = load_digits_events("test")
    (output,) = network.outputs
    right = sum(int(run(network, {"input": events}, record="spikes").spikes[output].counts().sum(0).argmax())
                == label for events, label in zip(recordings, labels, strict=True))
    assert right == 354  # of 359: 98.61 %


def test_the_shipped_integers_are_those_of_the_graph(float_network, network):
    again, report = quantise(float_network, weight_bits=6, state_bits=12)
    assert_same(network, again)
    assert again.metadata["quantisation"] == network.metadata["quantisation"]
    assert max(layer.comfortable_bits for layer in report.layers) == 11


def test_the_shipped_network_fits_12_bits(network):
    assert max(proof.bits for proof in network.check_widths().values()) == 12
    weights = [network.nodes[name].weight for name in ("conv1", "conv2", "fc")]
    assert max(np.abs(weight).max() for weight in weights) == 31
    assert all(network.nodes[name].fraction_bits == 0 for name in network.populations)


def test_eight_bit_weights_fit_13_bits(float_network):
    network, report = quantise(float_network, weight_bits=8, state_bits=13)
    assert max(proof.bits for proof in network.check_widths().values()) == 13
    assert max(layer.comfortable_bits for layer in report.layers) == 13


def test_torch_and_the_float_simulation_give_the_same_spikes(float_network):
    torch = pytest.importorskip("torch")
    training = pytest.importorskip("train.digits")
    counts, _ = load_digits_counts("test", 40)
    weights = [torch.tensor(w, dtype=torch.float64) for w in training.load_weights(NETWORKS / "digits.nir")]
    expected = training.simulate(weights, torch.tensor(counts, dtype=torch.float64))
    found = simulate(float_network, {"input": counts}).spikes
    for name, spikes in zip(("lif1", "lif2", "lif3"), expected, strict=True):
        assert spikes.sum() > 0
        assert np.array_equal(found[name], spikes.numpy())


def test_torch_with_quantised_weights_and_golden_give_the_same_spikes(network):
    torch = pytest.importorskip("torch")
    training = pytest.importorskip("train.digits")
    recordings, _ = load_digits_events("test", 20)
    counts, _ = load_digits_counts("test", 20)
    weights = [torch.tensor(w, dtype=torch.float64) for w in training.load_weights(NETWORKS / "digits.nir")]
    expected = training.simulate(weights, torch.tensor(counts, dtype=torch.float64), bits=6)
    for i, events in enumerate(recordings):
        found = run(network, {"input": events}, record="spikes").spikes
        for name, spikes in zip(("lif1", "lif2", "lif3"), expected, strict=True):
            assert np.array_equal(found[name].counts(), spikes[i].numpy())

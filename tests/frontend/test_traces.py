"""Each named rule reproduces its simulator's published traces, on the published graphs."""

import os
from dataclasses import replace

import numpy as np
import pytest

from neurogen.frontend.discretise import discretise
from neurogen.frontend.nir_file import NirError, read_nir
from neurogen.frontend.rules import RULES
from neurogen.frontend.simulate import simulate


@pytest.fixture(scope="module")
def nir_dir(data_dir):
    folder = data_dir / "nir"
    if not folder.is_dir():
        if "CI" in os.environ:
            pytest.fail(f"NEUROGEN_DATA must hold nir/, and {data_dir} does not")
        pytest.skip(f"{data_dir} has no nir/")
    return folder


# Simulator's file: rule, factor from NIR's units to the file's, largest error of a potential.
TRACES = {
    "norse": ("norse", 1, 3e-8), "snntorch": ("snntorch", 25, 6e-7), "spinnaker2": ("spinnaker2", 25, 5e-7),
    "lava_cpu_float": ("lava", 1, 4e-8), "nengo": ("nengo", 10, 2e-8), "rockpool": ("rockpool", 1, 2e-8),
    "sinabs": ("sinabs", 1, 2e-8), "spyx": ("spyx", 1, 5e-8),
}


def lif_trace(nir_dir, platform, rule):
    """Return what the file says and what we compute: (voltage, spikes) each, and the network."""
    table = np.loadtxt(nir_dir / "lif_traces" / f"lif_{platform}.csv", delimiter=",")
    network = discretise(read_nir(nir_dir / "01_lif__lif_norse.nir", isolated=False), rule, dt=1e-4)
    (name,) = network.populations
    run = simulate(network, {"input": table[:, :1] != 0})
    return table[:, 1:].T, (run.potentials[name][:, 0], run.spikes[name][:, 0]), network.nodes[name]


@pytest.mark.data
@pytest.mark.parametrize("platform", TRACES)
def test_a_rule_reproduces_the_published_lif_trace(nir_dir, platform):
    rule, factor, error = TRACES[platform]
    (voltage, spikes), (v, z), _ = lif_trace(nir_dir, platform, rule)
    if platform in ("snntorch", "spinnaker2", "nengo"):  # they scale the threshold, in their precision
        factor = voltage.max() / v.max()
        assert factor == pytest.approx(TRACES[platform][1], rel=3e-4)
    assert np.flatnonzero(z).tolist() == np.flatnonzero(spikes).tolist()
    assert len(np.flatnonzero(z)) == 4
    assert np.abs(v * factor - voltage).max() < error


@pytest.mark.data
@pytest.mark.parametrize(("platform", "differing"), [("lava_cpu_fixed", 0), ("lava_loihi_fixed", 4)])
def test_fixed_point_is_exact(nir_dir, platform, differing):
    (voltage, spikes), (v, z), lif = lif_trace(nir_dir, platform, "lava_fixed")
    integers = v / lif.unit
    np.testing.assert_allclose(integers, np.round(integers), atol=1e-9)
    # The chip's register reads 128 in the step after a spike (its refractory marker).
    wrong = np.flatnonzero(np.round(integers) != voltage)
    assert len(wrong) == differing
    assert (voltage[wrong] == 128).all()
    assert z.tolist() == spikes.tolist()


BRAILLE = [("bias_zero", "snntorch", None), ("bias_zero", "norse", None), ("bias_zero", "spyx", None),
           ("noBias_subtract", "snntorch", "subtract"), ("noBias_subtract", "norse", None),
           ("noBias_subtract", "spyx", None)]


def braille(nir_dir, graph, rule, reset=None, **more):
    """Return the number of hidden spikes that differ from the published ones."""
    sample = np.load(nir_dir / "braille_sample0.npz")
    network = discretise(read_nir(nir_dir / f"03_rnn__braille_noDelay_{graph}.nir", isolated=False), rule,
                         dt="infer", reset=reset)
    assert network.metadata["dt"] == 1e-4
    published = sample[f"noDelay_{graph}__{more.get('of', rule)}"]
    assert published.sum() > 100
    return int((simulate(network, {"input": sample["input"]}, dtype=more.get("dtype", np.float64))
                .spikes["lif1.lif"] != published).sum())


@pytest.mark.data
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("graph", "rule", "reset"), BRAILLE)
def test_every_published_hidden_spike_of_braille(nir_dir, graph, rule, reset, dtype):
    assert braille(nir_dir, graph, rule, reset, dtype=dtype) == 0


@pytest.mark.data
def test_every_choice_of_a_rule_is_observable(nir_dir):
    without = replace(RULES["norse"], recurrent_bias_late=False)
    assert braille(nir_dir, "bias_zero", without, of="norse") == 23
    without = replace(RULES["snntorch"], double_threshold=False)
    assert braille(nir_dir, "noBias_subtract", without, "subtract", of="snntorch") == 46
    old = replace(RULES["snntorch"], old_current=True)
    assert braille(nir_dir, "bias_zero", old, of="snntorch") > 100


@pytest.mark.data
def test_every_file_is_imported_or_refused_by_name(nir_dir):
    refused = {}
    files = sorted(nir_dir.rglob("*.nir"))
    for path in files:
        try:
            graph = read_nir(path, isolated=False)
            discretise(graph, "snntorch", dt=1e-6 if "jegp" in path.name else 1e-4)
        except NirError as error:
            assert str(path) in str(error)
            if path.parent.name != "history":  # a folder of old files that not every copy has
                refused[path.name] = str(error).split(": ", 1)[1]
    assert len(files) >= 13
    assert refused["jegp_demo_scnn_model.nir"] == "node '1': weight is missing"
    dangling = "node 'lif1': edge 'lif' <- 'input' must name nodes of its graph, and 'lif' is none"
    for graph in ("bias_zero", "noBias_subtract"):
        assert refused[f"03_rnn__extras__braille_noDelay_{graph}_subgraph.nir"] == dangling
    assert len(refused) == 3


@pytest.mark.data
def test_the_n_mnist_network_on_a_few_recordings(nir_dir, data_dir):
    network = discretise(read_nir(nir_dir / "02_cnn__cnn_sinabs.nir"), "sinabs")
    assert n_mnist(network, data_dir, range(4)) == 4


@pytest.mark.slow
@pytest.mark.data
def test_the_n_mnist_network_on_a_hundred_recordings(nir_dir, data_dir):
    network = discretise(read_nir(nir_dir / "02_cnn__cnn_sinabs.nir"), "sinabs")
    assert n_mnist(network, data_dir, range(100)) == 96  # published (10,000 recordings): 95.4 to 98.5 %


def n_mnist(network, data_dir, which, steps=300):
    """Return how many recordings the network classifies right, in steps of 1 ms."""
    data = np.load(data_dir / "nmnist" / "nmnist_test100.npz")
    right = 0
    for k in which:
        part = slice(data["offsets"][k], data["offsets"][k + 1])
        x = np.zeros((steps, 2, 34, 34))
        t = data["t_us"][part] // 1000
        keep = t < steps
        np.add.at(x, (t[keep], data["p"][part][keep], data["y"][part][keep], data["x"][part][keep]), 1)
        run = simulate(network, {"input": x}, record=network.outputs, dtype=np.float32)
        right += int(run.spikes[network.outputs[0]].sum(0).argmax() == data["labels"][k])
    return right

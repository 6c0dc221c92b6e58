"""Integer networks to NIR and back."""

import json
from dataclasses import fields, replace
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

from neurogen.frontend.discretise import discretise
from neurogen.frontend.export import ExportError, export_nir, read_exported
from neurogen.frontend.graph import NirError
from neurogen.frontend.nir_file import read_nir
from neurogen.frontend.quantise import QuantisationError, quantise
from neurogen.golden.network import run
from neurogen.spec.dense import Dense
from neurogen.spec.lif import Lif, Reset
from neurogen.spec.network import Edge, Input, Network
from neurogen.spec.pool import Concat, MaxPool
from tests.networks import KINDS, random_events, random_network


NETWORKS = Path(__file__).parents[2] / "designs" / "networks"
# NIR has no node for the first two, one multiplicity for all inputs, no initial state, one reset.
KEPT = KINDS - {"concat", "maxpool", "two_inputs", "initial", "multi_spike"}
# The same function, said otherwise: a bias of CuBa neurons moves into a synapse, a read-out's threshold
# (never used) becomes the largest, a Flatten may be copied, delays after one move before it.
VERBATIM = KEPT - {"cuba", "readout", "parallel", "residual", "delay"}


def assert_same(first, second):
    """Assert that networks are equal, but for the order of nodes and edges and broadcast parameters."""
    assert first.nodes.keys() == second.nodes.keys()
    assert set(first.edges) == set(second.edges)
    assert set(first.outputs) == set(second.outputs)
    for name, node in first.nodes.items():
        assert type(second.nodes[name]) is type(node)
        for item in fields(node):
            values = [getattr(n.nodes[name], item.name) for n in (first, second)]
            if isinstance(values[0], np.ndarray):
                values = np.broadcast_arrays(*values)
                assert np.array_equal(*values), (name, item.name)
            else:
                assert values[0] == values[1], (name, item.name)


def assert_same_run(first, second, events):
    one, two = run(first, events), run(second, events)
    for name in first.populations:
        assert np.array_equal(one.spikes[name].counts(), two.spikes[name].counts())
        assert np.array_equal(one.potentials[name], two.potentials[name])


def round_trip(network, tmp_path):
    path = tmp_path / "network.nir"
    export_nir(network, path)
    return path, read_exported(path)


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("seed", range(8))
def test_random_networks_come_back_verbatim(seed, reset, tmp_path):
    network = random_network(seed, kinds=VERBATIM, resets=(reset,), max_multiplicity=2)
    _, again = round_trip(network, tmp_path)
    assert_same(network, again)


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("seed", range(12))
def test_random_networks_come_back_with_the_same_behaviour(seed, reset, tmp_path):
    network = random_network(seed, kinds=KEPT, resets=(reset,))
    _, again = round_trip(network, tmp_path)
    events = random_events(network, seed, 10, 0.3)
    assert sum(len(e) for e in run(network, events).spikes.values()) > 0
    assert_same_run(network, again, events)


def test_the_digits_come_back_verbatim(tmp_path):
    network = Network.load(NETWORKS / "digits.npz")
    path, again = round_trip(network, tmp_path)
    assert_same(network, again)
    assert again.metadata == network.metadata
    with h5py.File(path) as file:
        facts = json.loads(file["node/metadata/neurogen"][()])
    assert facts["digest"] == network.digest
    lif = network.nodes["lif2"]
    kept = facts["populations"]["lif2"]
    assert (kept["threshold"], kept["decay"], kept["state_bits"], kept["weight_bits"]) == (
        int(lif.threshold), 3584, 12, 6)
    assert (kept["v_lo"], kept["v_hi"]) == (lif.v_lo, lif.v_hi)


def test_nir_reads_the_file(tmp_path):
    path, _ = round_trip(Network.load(NETWORKS / "digits.npz"), tmp_path)
    graph = nir.read(path)
    original = nir.read(NETWORKS / "digits.nir")
    assert {n: type(x) for n, x in graph.nodes.items()} == {n: type(x) for n, x in original.nodes.items()}
    scale = np.abs(original.nodes["fc"].weight).max() / 31
    assert np.abs(graph.nodes["fc"].weight - original.nodes["fc"].weight).max() <= scale / 2 * (1 + 1e-6)
    assert np.allclose(graph.nodes["lif1"].tau, 8e-4)


@pytest.mark.data
@pytest.mark.parametrize(("name", "rule", "reset"), [
    ("bias_zero", "snntorch", None), ("bias_zero", "norse", None),
    ("noBias_subtract", "norse", "subtract"), ("noBias_subtract", "norse", None)])
def test_braille_comes_back_verbatim(name, rule, reset, data_dir, tmp_path):
    graph = read_nir(data_dir / "nir" / f"03_rnn__braille_noDelay_{name}.nir")
    network, _ = quantise(discretise(graph, rule, 1e-4, reset), scale="neuron", fraction_bits=4)
    path, again = round_trip(network, tmp_path)
    nir.read(path)
    assert_same(network, again)


def chain(*lifs, synapses=None, **options):
    """Return a network of dense layers of two neurons each."""
    nodes, edges, before = {"in": Input(shape=(2,))}, [], "in"
    for i, lif in enumerate(lifs):
        weight = np.array([[3, -2], [1, 2]])
        nodes |= {f"dense{i}": (synapses or {}).get(i, Dense(weight=weight)), f"lif{i}": lif}
        edges += [Edge(before, f"dense{i}"), Edge(f"dense{i}", f"lif{i}")]
        before = f"lif{i}"
    return Network(nodes, tuple(edges) + options.pop("more", ()), (before,), **options)


LIF = Lif(shape=(2,), threshold=2)


def test_several_spikes_a_step_come_back(tmp_path):
    lif = replace(LIF, multi_spike=True, state_bits=9, v_lo=-100, v_hi=100)
    network = chain(lif, replace(lif, state_bits=24))
    _, again = round_trip(network, tmp_path)
    assert_same(network, again)
    events = random_events(network, 0, 12, 0.5)
    assert run(network, events).spikes["lif0"].counts().max() > 1
    assert_same_run(network, again, events)


def test_a_late_recurrent_bias_comes_back(tmp_path):
    lif = replace(LIF, initial=np.array([-2, 1]))
    loop = Dense(weight=np.array([[0, 1], [-1, 1]]), bias=np.array([2, -1]))
    network = chain(lif)
    network = Network(network.nodes | {"loop": loop},
                      (*network.edges, Edge("lif0", "loop", 1), Edge("loop", "lif0")), ("lif0",))
    _, again = round_trip(network, tmp_path)
    assert_same(network, again)


@pytest.mark.parametrize(("network", "message"), [
    (chain(replace(LIF, initial=1)),
     "Node 'lif0': NIR has no initial state, but for minus the bias of recurrent synapses"),
    (chain(LIF, replace(LIF, reset=Reset.ZERO)),
     ("Nodes 'lif0' and 'lif1' must have the same reset and spikes per step, as NIR does not tell how a "
      "spike resets")),
    (Network({"in": Input(shape=(2,)), "both": Concat(), "dense": Dense(weight=np.ones((2, 2), int)),
              "lif": LIF}, (Edge("in", "both"), Edge("both", "dense"), Edge("dense", "lif")), ("lif",)),
     "Node 'both': NIR has no node for a Concat"),
    (Network({"a/b": Input(shape=(2,)), "dense": Dense(weight=np.ones((2, 2), int)), "lif": LIF},
             (Edge("a/b", "dense"), Edge("dense", "lif")), ("lif",)),
     "Node 'a/b': a name in NIR must not hold a slash or be dots only"),
])
def test_what_nir_cannot_say_is_refused(network, message, tmp_path):
    with pytest.raises(ExportError) as caught:
        export_nir(network, tmp_path / "network.nir")
    assert str(caught.value) == message
    assert not list(tmp_path.iterdir())


def test_a_max_pool_is_not_taken_for_a_sum_pool(tmp_path):
    for seed in range(20):
        network = random_network(seed, kinds={"conv", "maxpool"})
        if any(isinstance(node, MaxPool) for node in network.nodes.values()):
            break
    with pytest.raises(ExportError, match="NIR has no node for a MaxPool"):
        export_nir(network, tmp_path / "network.nir")


def test_other_files_are_refused():
    with pytest.raises(NirError, match=r"file must be one that neurogen exported$"):
        read_exported(NETWORKS / "digits.nir")


def test_damaged_metadata_is_refused(tmp_path):
    path, _ = round_trip(chain(LIF), tmp_path)
    with h5py.File(path, "a") as file:
        del file["node/metadata/neurogen"]
        file["node/metadata/neurogen"] = json.dumps({"rule": {}})
    with pytest.raises(NirError, match="neurogen's metadata must be complete"):
        read_exported(path)


def test_widths_too_narrow_for_the_guard_band_are_refused(tmp_path):
    path, _ = round_trip(chain(LIF), tmp_path)
    with h5py.File(path, "a") as file:
        facts = json.loads(file["node/metadata/neurogen"][()])
        facts["populations"]["lif0"]["state_bits"] = 8
        del file["node/metadata/neurogen"]
        file["node/metadata/neurogen"] = json.dumps(facts)
    with pytest.raises(QuantisationError, match=r"^Node 'lif0': state width must be at least 16 bits"):
        read_exported(path)

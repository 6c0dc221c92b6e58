"""Populations that clip every addition: golden against a naive model that adds a weight at a time."""

from dataclasses import replace

import numpy as np
import pytest

from neurogen.golden.network import run
from neurogen.golden.saturate import raster
from neurogen.spec.conv import Conv
from neurogen.spec.dense import Dense
from neurogen.spec.events import Events
from neurogen.spec.lif import Lif
from neurogen.spec.network import Edge, Input, Network, NetworkError
from tests.golden.ordered_oracle import simulate_in_order
from tests.networks import KINDS, random_events, random_network, saturating


STEPS = 5


@pytest.mark.parametrize("group", [
    KINDS - {"multi_spike"}, {"conv", "sumpool", "maxpool", "residual", "delay", "bias"},
    {"dense", "cuba", "recurrent", "initial", "bias", "per_channel"}, {"dense", "multi_spike", "parallel"}],
    ids=["all", "maps", "cuba", "multi_spike"])
def test_random_networks(group):
    clips = {"low": 0, "high": 0}
    fired = 0
    for seed in range(12):
        network = random_network(seed, kinds=group, size=6, channels=3, units=8, weight_bits=6)
        network = saturating(network, (8, 9, 12)[seed % 3])
        events = random_events(network, seed, STEPS, density=(0.1, 0.3, 0.6)[seed % 3])
        spikes, states, found = simulate_in_order(network, events, STEPS)
        got = run(network, events)
        for name in network.populations:
            node = network.nodes[name]
            for t in range(STEPS):
                where = f"seed {seed}, {name}, step {t}"
                counts = np.zeros(node.shape, int)
                for address in spikes[name][t]:
                    counts[address] += 1
                assert (got.spikes[name].counts()[t] == counts).all(), where
                for address, (v, i) in states[name][t].items():
                    assert got.potentials[name][t][address] == v, where
                    assert not node.cuba or got.currents[name][t][address] == i, where
            fired += sum(map(len, spikes[name]))
        clips = {side: clips[side] + found[side] for side in clips}
    assert min(clips.values()) > 30 and fired > 100


def chain(weight, **lif):
    shape = (1, 1, weight.shape[3]) if weight.ndim == 4 else (weight.shape[1],)
    kind = Conv if weight.ndim == 4 else Dense
    target = kind(weight=weight).output_shape(shape)
    return Network({"input": Input(shape=shape, max_multiplicity=3), "synapse": kind(weight=weight),
                    "lif": Lif(shape=target, threshold=100, state_bits=8, v_lo=-128, v_hi=127, saturate=True,
                               **lif)},
                   (Edge("input", "synapse"), Edge("synapse", "lif")), ("lif",))


@pytest.mark.parametrize("order, potential", [([0, 1], 27), ([1, 0], 27)])
def test_the_order_of_a_recording_does_not_matter_that_of_the_addresses_does(order, potential):
    """100 + 100 is clipped to 127 before -100 comes; the other way around nothing would be clipped."""
    network = chain(np.array([[100, -100]]), reset="none")
    events = Events((2,), 1, [0, 0, 0], [0, *order])
    assert run(network, {"input": events}).potentials["lif"].tolist() == [[potential]]
    other = chain(np.array([[-100, 100]]), reset="none")
    events = Events((2,), 1, [0, 0, 0], [0, 1, 1])
    assert run(other, {"input": events}).potentials["lif"].tolist() == [[100]]


def test_raster_order_is_pixel_by_pixel():
    shape = (2, 2, 3)
    index = np.array([11, 0, 6, 3, 6])
    assert raster(shape, index).tolist() == [0, 6, 6, 3, 11]
    assert raster((20,), index).tolist() == [0, 3, 6, 6, 11]


def test_wide_states_never_clip():
    network = random_network(2, kinds=KINDS - {"multi_spike"})
    clipping = replace(network, nodes={
        name: replace(node, saturate=True) if isinstance(node, Lif) else node
        for name, node in network.nodes.items()})
    events = random_events(network, 1, 6, 0.3)
    ours, theirs = run(clipping, events), run(network, events)
    for name in network.populations:
        assert (ours.potentials[name] == theirs.potentials[name]).all()
        assert (ours.spikes[name].counts() == theirs.spikes[name].counts()).all()


def test_only_without_saturation_widths_must_be_proven(tmp_path):
    network = chain(np.array([[100, -100]]))
    assert network.check_widths()["lif"].bits > 8
    network.save(tmp_path / "n.npz")
    assert Network.load(tmp_path / "n.npz") == network
    plain = replace(network, nodes=network.nodes | {"lif": replace(network.nodes["lif"], saturate=False)})
    assert plain != network
    with pytest.raises(NetworkError, match=r"^Node 'lif': state width must be at least 10 bits"):
        plain.check_widths()

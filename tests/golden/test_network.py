import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogen.golden.network import Simulator, run
from neurogen.spec.conv import Conv
from neurogen.spec.dense import Dense
from neurogen.spec.events import EventError, Events
from neurogen.spec.lif import Lif
from neurogen.spec.network import Edge, Input, Network, NetworkError
from tests.golden.oracle import simulate
from tests.networks import KINDS, random_events, random_network


# Every kind of network, in groups of seeds; small enough for an oracle that loops over every tap.
GROUPS = {
    "all": {},
    "conv": {"kinds": {"conv", "bias", "per_channel", "initial", "readout"}, "channels": 3},
    "stride_2": {"kinds": {"conv", "residual", "parallel"}, "strides": (2,), "kernels": (3, 5), "size": 9},
    "pools": {"kinds": {"conv", "sumpool", "maxpool", "residual", "delay"}, "layers": 2, "size": 10,
              "kernels": (1, 3), "channels": 2},
    "recurrent": {"kinds": {"dense", "recurrent", "delay", "bias", "initial", "per_channel"}},
    "recurrent_maps": {"kinds": {"conv", "recurrent", "concat", "delay"}, "size": 5, "kernels": (1, 3, 5)},
    "cuba": {"kinds": {"dense", "conv", "flatten", "cuba", "bias", "initial", "per_channel", "recurrent"}},
    "multi_spike": {"kinds": {"dense", "multi_spike", "recurrent", "delay", "residual"}, "size": 5,
                    "max_multiplicity": 3},
    "narrow": {"kinds": KINDS, "state_bits": 12, "fraction_bits": 8},
}
SEEDS = range(30)
STEPS = 6


def grid(values, shape):
    array = np.zeros(shape, np.int64)
    for address, value in values.items():
        array[address] = value
    return array


def compare(network, events, steps):
    """Compare golden with the oracle; return the oracle's trace."""
    wanted = simulate(network, events, steps)
    got = run(network, events, steps=steps)
    for name in network.populations:
        shape = network.nodes[name].shape
        spikes = got.spikes[name].counts()
        for t in range(steps):
            where = f"{name}, step {t}"
            assert (spikes[t] == grid(wanted.spikes[name][t], shape)).all(), where
            assert (got.potentials[name][t] == grid(wanted.potentials[name][t], shape)).all(), where
            if network.nodes[name].cuba:
                assert (got.currents[name][t] == grid(wanted.currents[name][t], shape)).all(), where
        assert got.updates[name].tolist() == wanted.updates[name], name
        assert got.spike_counts[name].tolist() == [sum(s.values()) for s in wanted.spikes[name]], name
    for name in wanted.sops:
        assert got.sops[name].tolist() == wanted.sops[name], name
        assert got.events_in[name].tolist() == wanted.events_in[name], name
    assert set(got.currents) == {n for n in network.populations if network.nodes[n].cuba}
    return wanted


@cache
def compare_group(group):
    """Compare the networks of a group; return what they reached, and the number of spikes."""
    spikes, reached = 0, set()
    for seed in SEEDS:
        network = random_network(seed, **{"size": 6, "channels": 3, "units": 8, **GROUPS[group]})
        events = random_events(network, seed, STEPS, density=(0.05, 0.1, 0.2, 0.5)[seed % 4])
        try:
            trace = compare(network, events, STEPS)
        except AssertionError as error:
            raise AssertionError(f"{group}, seed {seed}: {network}") from error
        spikes += sum(sum(c.values()) for steps in trace.spikes.values() for c in steps)
        reached |= trace.situations | {type(node).__name__ for node in network.nodes.values()}
        reached |= {f"kernel {node.kernel} stride {node.stride}" for node in network.nodes.values()
                    if isinstance(node, Conv)}
        reached |= {"delay" for edge in network.edges if edge.delay}
    return reached, spikes


@pytest.mark.parametrize("group", GROUPS)
def test_random_networks_equal_the_oracle(group):
    assert compare_group(group)[1] > 20  # spikes, else nothing was compared


def test_the_comparisons_reach_every_situation():
    reached = set().union(*(compare_group(group)[0] for group in GROUPS))
    wanted = {"nothing before step 0", "dropped by a pool", "repeat dropped by a max pool",
              "repeat at a synapse", "exactly the threshold", "several spikes", "reset to a value",
              "read-out above its threshold", "negative value rounded up", "potential below its guard",
              "potential above its guard", "current below its guard", "current above its guard",
              "weights that sum to zero", "delay", "Concat", "Flatten", "SumPool", "MaxPool", "Dense",
              *(f"kernel {k} stride {s}" for k in (1, 3, 5, 7) for s in (1, 2))}
    assert sorted(wanted - reached) == []


@given(seed=st.integers(0, 10**6), density=st.sampled_from([0.0, 0.02, 0.3, 1.0]))
@settings(max_examples=25)
def test_any_network_equals_the_oracle(seed, density):
    network = random_network(seed, layers=2, size=5, channels=2, units=5, kernels=(1, 3, 5))
    compare(network, random_events(network, seed, 4, density), 4)


def chain(*nodes, edges=(), **kwargs):
    """Return a network of nodes ``n0 -> n1 -> ...`` with more edges."""
    named = {f"n{i}": node for i, node in enumerate(nodes)}
    line = [Edge(f"n{i}", f"n{i + 1}") for i in range(len(nodes) - 1)]
    return Network(named, (*line, *edges), (f"n{len(nodes) - 1}",), **kwargs)


def pulse(*steps, size=1):
    """Return events of a vector; each argument holds the addresses of one step."""
    t = np.repeat(np.arange(len(steps)), [len(s) for s in steps])
    return Events((size,), len(steps), t, np.concatenate([np.zeros(0, np.int64), *steps]).astype(np.int64))


def test_a_neuron_by_hand():
    network = chain(Input(shape=(1,)), Dense(weight=[[3]]), Lif(shape=(1,), threshold=5, decay=2048, bias=-1))
    got = run(network, {"n0": pulse([0], [0], [0], [], [])})
    #       +2 -> 2, halved 1; +2 -> 3, halved 1; 3 -> 1; -1 -> 0; -1 -> trunc(-0.5) = 0
    assert got.potentials["n2"].ravel().tolist() == [1, 1, 1, 0, 0]
    assert len(got.spikes["n2"]) == 0
    assert got.sops["n1"].tolist() == [1, 1, 1, 0, 0]
    assert got.updates["n2"].tolist() == [1, 1, 1, 0, 0]


@pytest.mark.parametrize("delay", [1, 2, 3])
def test_a_recurrent_edge_reads_the_spikes_of_earlier_steps(delay):
    network = Network(
        {"in": Input(shape=(1,)), "w": Dense(weight=[[1]]), "r": Dense(weight=[[1]]),
         "n": Lif(shape=(1,), threshold=1)},
        (Edge("in", "w"), Edge("w", "n"), Edge("n", "r", delay), Edge("r", "n")), ("n",))
    got = run(network, {"in": pulse([0])}, steps=7)
    assert got.spikes["n"].t.tolist() == list(range(0, 7, delay))


def test_a_forward_edge_reads_the_same_step():
    lif = Lif(shape=(1,), threshold=1)
    network = chain(Input(shape=(1,)), Dense(weight=[[1]]), lif, Dense(weight=[[1]]), lif)
    got = run(network, {"n0": pulse([], [0], [])})
    assert got.spikes["n4"].t.tolist() == got.spikes["n2"].t.tolist() == [1]


def test_synapse_of_two_populations_does_its_operations_for_each():
    lif = Lif(shape=(2,), threshold=1)
    network = Network({"in": Input(shape=(1,)), "w": Dense(weight=[[1], [0]]), "a": lif, "b": lif},
                      (Edge("in", "w"), Edge("w", "a"), Edge("w", "b")), ("a", "b"))
    got = run(network, {"in": pulse([0])})
    assert got.sops["w"].tolist() == [4]  # a weight of zero is an operation too
    assert got.spikes["a"].index.tolist() == got.spikes["b"].index.tolist() == [0]


NETWORK = random_network(8)


def test_run_is_the_fold_of_its_steps():
    events = random_events(NETWORK, 5, 6, 0.2)
    got = run(NETWORK, events)
    simulator = Simulator(NETWORK)
    for _ in range(2):  # a reset makes the past forgotten
        for t in range(6):
            result = simulator.step({name: e.step(t) for name, e in events.items()})
            for name in NETWORK.populations:
                assert (result.spikes[name] == got.spikes[name].step(t)).all()
                assert (result.state[name].v == got.potentials[name][t]).all()
        assert all((simulator.state[n].v == got.state[n].v).all() for n in NETWORK.populations)
        simulator.reset()
    assert len(got.spikes[NETWORK.outputs[0]])


def test_a_run_that_records_spikes_only_gives_the_same_spikes_and_counts():
    events = random_events(NETWORK, 5, 6, 0.2)
    full, short = run(NETWORK, events), run(NETWORK, events, record="spikes")
    assert not short.potentials and not short.currents
    for name in NETWORK.populations:
        assert (full.spikes[name].index == short.spikes[name].index).all()
        assert (full.state[name].v == short.state[name].v).all()
    assert all((full.sops[n] == short.sops[n]).all() for n in full.sops)


def test_the_order_of_events_within_a_step_does_not_matter():
    events = random_events(NETWORK, 5, 6, 0.3)
    rng = np.random.default_rng(0)
    mixed = {}
    for name, e in events.items():
        order = np.lexsort((rng.random(len(e)), e.t))
        mixed[name] = Events(e.shape, e.steps, e.t[order], e.index[order])
    a, b = run(NETWORK, events), run(NETWORK, mixed)
    for name in NETWORK.populations:
        assert (a.potentials[name] == b.potentials[name]).all()


def test_steps_after_the_recording_have_no_input():
    events = random_events(NETWORK, 5, 3, 0.3)
    short, long = run(NETWORK, events), run(NETWORK, events, steps=5)
    for name in NETWORK.populations:
        assert (long.potentials[name][:3] == short.potentials[name]).all()
    assert all(long.spikes[n].steps == 5 for n in NETWORK.populations)


def test_no_step_leaves_the_initial_state():
    got = run(NETWORK, random_events(NETWORK, 0, 0))
    for name in NETWORK.populations:
        assert got.potentials[name].shape == (0, *NETWORK.nodes[name].shape)
        assert len(got.spikes[name]) == 0


TWO = Network({"a": Input(shape=(2,)), "b": Input(shape=(2,), max_multiplicity=2),
               "w": Dense(weight=[[3, -8]]),
               "n": Lif(shape=(1,), threshold=100, state_bits=8, v_lo=-60, v_hi=60)},
              (Edge("a", "w"), Edge("b", "w"), Edge("w", "n")), ("n",))
NONE = pulse([], [], size=2)


@pytest.mark.parametrize("events, steps, message", [
    ({"a": NONE}, None, "Events must be given for every input; there are none for 'b'"),
    ({"a": NONE, "b": NONE, "c": NONE}, None, "Events must be of the inputs 'a', 'b', not of 'c'"),
    ({"a": NONE, "b": pulse([], [])}, None, "Input 'b': events must have shape (2,), not (1,)"),
    ({"a": NONE, "b": pulse([], size=2)}, None,
     "Recordings of all inputs must have the same number of steps, not {'a': 2, 'b': 1}"),
    ({"a": NONE, "b": NONE}, 1, "Number of steps must be at least 2, not 1"),
    ({"a": pulse([], [1, 1], size=2), "b": NONE}, None,
     "Input 'a': multiplicity must be at most 1, not 2 at address 1"),
])
def test_events_that_do_not_fit(events, steps, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        run(TWO, events, steps=steps)


def test_a_recording_must_be_events():
    with pytest.raises(TypeError, match=r"^Input 'b': a recording must be Events, not list$"):
        run(TWO, {"a": NONE, "b": []})


def test_record_must_be_known():
    with pytest.raises(ValueError, match=r"^Record must be one of 'all', 'spikes', not 'most'$"):
        run(TWO, {}, record="most")


@pytest.mark.parametrize("inputs, message", [
    ({"x": []}, "Events must be of the inputs 'a', 'b', not of 'x'"),
    ({"a": [2]}, "Input 'a': addresses must be from 0 to 1, not 2"),
    ({"a": [0, -1]}, "Input 'a': addresses must be from 0 to 1, not -1"),
    ({"a": [0.5]}, "Input 'a': addresses must be a vector of integers, not float64[1]"),
    ({"a": [[0]]}, "Input 'a': addresses must be a vector of integers, not int64[1, 1]"),
])
def test_addresses_of_a_step_that_do_not_fit(inputs, message):
    simulator = Simulator(TWO)
    with pytest.raises(EventError, match=f"^{re.escape(message)}$"):
        simulator.step(inputs)
    assert simulator.time == 0


def test_a_sum_that_does_not_fit_names_population_and_step():
    narrow = replace(TWO.nodes["n"], v_lo=-128)
    network = replace(TWO, nodes={**TWO.nodes, "n": narrow})
    message = ("Node 'n', step 5: Sum of a potential must fit 8 bits, from -128 to 127, not -144")
    with pytest.raises(OverflowError, match=f"^{re.escape(message)}$"):
        run(network, {"a": pulse(*[[1]] * 9, size=2), "b": pulse(*[[1, 1]] * 9, size=2)})
    with pytest.raises(NetworkError, match="state width must be at least 9 bits"):
        network.check_widths()
    run(TWO, {"a": pulse(*[[1]] * 9, size=2), "b": pulse(*[[1, 1]] * 9, size=2)})

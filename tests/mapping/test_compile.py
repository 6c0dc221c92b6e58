"""Plans, executed by the interpreter, do what the golden model does, however the work is split."""

import json
from dataclasses import replace

import numpy as np
import pytest

from neurogen.golden.network import run
from neurogen.mapping.compile import compile_network
from neurogen.mapping.execute import execute
from neurogen.mapping.plan import ConfigurationError
from neurogen.spec.mega import MegaSpec
from tests.mapping.interpreter import run_pass
from tests.networks import KINDS, random_events, random_network


BIG = MegaSpec(lanes=2, weight_bits=4, state_bits=24, state_depth=1024, weight_depth=4096, spike_depth=2048,
               program_depth=4096, fraction_bits=(0, 3, 4, 6), cuba=True, max_pool_rows=1024)
SPECS = {
    "tiny": BIG,
    "clusters": replace(BIG, lanes=4, clusters=2, weight_bits=7),
    "one_fraction": replace(BIG, lanes=16, weight_bits=8, fraction_bits=(0, 1, 2, 3)),
}


def fitted(seed, spec, **kwargs):
    """Return a random network whose populations have fraction bits that the configuration offers."""
    network = random_network(seed, kinds=KINDS - {"multi_spike"}, **kwargs)
    nodes = {name: replace(node, fraction_bits=max(f for f in spec.fraction_bits if f <= node.fraction_bits))
             if name in network.populations else node for name, node in network.nodes.items()}
    return replace(network, nodes=nodes)


def compare(network, plan, seed=0, steps=6, density=0.2):
    """Execute a plan and compare spikes, states and counters with the golden model; return both results."""
    events = random_events(network, seed, steps, density)
    golden, mine = run(network, events), execute(plan, events, run_pass)
    for name in network.populations:
        expected = golden.spikes[name].counts()
        if name in plan.observed:
            assert (mine.events[name].counts() == expected).all(), name
        assert (mine.potentials[name] == golden.potentials[name][-1]).all(), name
        assert mine.counters[name]["spikes"] == golden.spike_counts[name].sum(), name
        if network.nodes[name].cuba:
            assert (mine.currents[name] == golden.currents[name][-1]).all(), name
    for name, count in golden.events_in.items():
        found = mine.counters.get(name, {"events": 0, "sops": 0})  # behind a read-out: nothing is ever sent
        assert found["events"] == count.sum(), name
        assert found["sops"] == golden.sops[name].sum(), name
    return golden, mine


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("seed", range(25))
def test_random_networks_do_what_golden_does(seed, name):
    network = fitted(seed, SPECS[name])
    try:
        plan = compile_network(network, SPECS[name], observe="all")
    except ConfigurationError as error:
        assert "pool" in str(error)
        return
    compare(network, plan, seed)

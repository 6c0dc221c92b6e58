"""The accelerator in Verilog equals the golden model: spikes, potentials after every step, and counts."""

from dataclasses import replace

import numpy as np
import pytest

from neurogen.flow.simulated import simulate
from neurogen.flow.verify import Runner, verify
from neurogen.mapping.compile import compile_network
from neurogen.mapping.plan import ConfigurationError
from neurogen.spec.mega import MegaSpec
from tests.networks import KINDS, random_events, random_network


WIDE = MegaSpec(lanes=4, weight_bits=5, state_bits=24, state_depth=512, weight_depth=2048, spike_depth=512,
                program_depth=2048, fraction_bits=(0, 3, 6), cuba=True, sweep_cycles=2, max_pool_rows=256,
                external=True)
SPECS = {
    "wide": WIDE,
    "one-lane": replace(WIDE, lanes=1, sweep_cycles=9, weight_bits=8),
    "clusters": replace(WIDE, lanes=2, clusters=2, sweep_cycles=1),
    # Small memories, so that the compiler has to split.
    "small": replace(WIDE, lanes=2, state_depth=64, weight_depth=256, spike_depth=64, sweep_cycles=6,
                     max_pool_rows=64),
}


def fitted(seed, spec):
    """Return a random network with fraction bits that the configuration offers."""
    network = random_network(seed, kinds=KINDS - {"multi_spike"})
    nodes = {name: replace(node, fraction_bits=max(f for f in spec.fraction_bits if f <= node.fraction_bits))
             if name in network.populations else node for name, node in network.nodes.items()}
    return replace(network, nodes=nodes)


@pytest.fixture(scope="module", params=SPECS)
def accelerator(request):
    return simulate(SPECS[request.param], idle=0.1, backpressure=0.2, seed=1)


def test_random_networks(accelerator):
    compared, passes = 0, 0
    for seed in range(40):
        network = fitted(seed, accelerator.spec)
        try:
            plan = compile_network(network, accelerator.spec, observe="all")
        except ConfigurationError:
            continue
        samples = [random_events(network, sample, 5, 0.2) for sample in range(2)]
        report = verify(Runner(accelerator, plan), network, samples)
        assert report.passed, f"seed {seed}: {report.first}"
        compared += 1
        passes = max(passes, len(plan.passes))
        assert report.potentials > 0 and report.counters > 0
    assert compared >= 10
    if accelerator.spec.state_depth == 64:
        assert passes > 1  # the compiler did split


def test_a_wrong_weight_is_found_and_explained():
    network = fitted(3, WIDE)
    plan = compile_network(network, WIDE, observe="all")
    weights = plan.passes[0].weights.copy()
    used = np.argwhere(weights != 0)
    weights[tuple(used[0])] += 1
    broken = replace(plan, passes=(replace(plan.passes[0], weights=weights), *plan.passes[1:]))
    samples = [random_events(network, sample, 5, 0.5) for sample in range(3)]
    report = verify(Runner(simulate(WIDE), broken), network, samples)
    assert not report.passed
    assert "must be" in str(report.first) and "events that led there" in str(report.first)

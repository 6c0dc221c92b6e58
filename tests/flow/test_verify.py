"""The accelerator in Verilog equals the golden model: spikes, potentials after every step, and counts."""

from dataclasses import replace

import numpy as np
import pytest

from neurogen.flow.simulated import simulate
from neurogen.flow.verify import Runner, verify
from neurogen.mapping.compile import compile_network
from neurogen.mapping.plan import ConfigurationError
from neurogen.spec.conv import Conv
from neurogen.spec.lif import Lif
from neurogen.spec.mega import MegaSpec
from neurogen.spec.network import Edge, Input, Network
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


def situations(plan):
    """Return what a plan makes the accelerator do."""
    seen = {plan.strategy}
    for part in plan.passes:
        for instruction in part.instructions:
            fields = instruction.fields
            seen.add(instruction.op.name)
            seen |= {name for name in ("max_pool", "cuba", "fill", "dense", "stride2", "always", "per_neuron",
                                       "ring_mask", "fraction", "pool_log2") if fields.get(name)}
    return seen


def test_random_networks(accelerator):
    compared, seen = 0, set()
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
        seen |= situations(plan)
        assert report.potentials > 0 and report.counters > 0
    assert compared >= 10
    assert seen >= {"resident", "max_pool", "cuba", "fill", "dense", "stride2", "always", "per_neuron",
                    "fraction", "ring_mask", "pool_log2", "INTEGRATE", "SWEEP", "EMIT", "INIT"}
    if accelerator.spec.state_depth == 64:  # the compiler has to split
        assert seen >= {"passes", "channels", "external", "LOAD"}


def test_spatial_tiles():
    spec = SPECS["small"]
    rng = np.random.default_rng(0)
    network = Network(
        {"input": Input(shape=(2, 20, 31)),
         "conv1": Conv(weight=rng.integers(-7, 8, (4, 2, 3, 3)), padding=1),
         "lif1": Lif(shape=(4, 20, 31), threshold=12, decay=3000, bias=1, state_bits=16),
         "conv2": Conv(weight=rng.integers(-7, 8, (2, 4, 5, 5)), stride=2, padding=2),
         "lif2": Lif(shape=(2, 10, 16), threshold=20, decay=4096, state_bits=16)},
        [Edge("input", "conv1"), Edge("conv1", "lif1"), Edge("lif1", "conv2"), Edge("conv2", "lif2")],
        ("lif2",))
    plan = compile_network(network, spec, observe="all")
    assert "tiles" in plan.strategy
    report = verify(Runner(simulate(spec), plan), network, [random_events(network, 0, 4, 0.1)])
    assert report.passed, str(report.first)
    assert report.spikes and report.potentials


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

"""The accelerator in Verilog equals the golden model: spikes, potentials after every step, and counts."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from neurogen.flow.simulated import simulate
from neurogen.flow.verify import Runner, verify
from neurogen.golden.network import run
from neurogen.mapping.compile import compile_network
from neurogen.mapping.plan import ConfigurationError
from neurogen.spec.conv import Conv
from neurogen.spec.events import EventError, Events
from neurogen.spec.lif import Lif
from neurogen.spec.mega import COUNTERS, MegaSpec, Op
from neurogen.spec.network import Edge, Input, Network
from tests.networks import KINDS, eager, random_events, random_network, saturating


WIDE = MegaSpec(lanes=4, weight_bits=5, state_bits=24, state_depth=512, weight_depth=2048, spike_depth=512,
                program_depth=2048, fraction_bits=(0, 3, 6), cuba=True, sweep_cycles=3, max_pool_rows=256,
                external=True)
SPECS = {
    "wide": WIDE,
    "one-lane": replace(WIDE, lanes=1, sweep_cycles=9, weight_bits=8, overlap=False, traffic=False),
    "clusters": replace(WIDE, lanes=2, clusters=2, sweep_cycles=3, staggered=True),
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


@cache
def accelerator_of(name):
    """Return the accelerator of a configuration; translating one takes longer than running it."""
    return simulate(SPECS[name], idle=0.1, backpressure=0.2, seed=1)


@pytest.fixture(scope="module", params=SPECS)
def accelerator(request):
    return accelerator_of(request.param)


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


@pytest.mark.parametrize("name", ["wide", "small"])
def test_neurons_that_fire_several_times(name):
    spec, compared, most, strategies = SPECS[name], 0, 0, set()
    accelerator = accelerator_of(name)
    for seed in range(20):
        network = eager(fitted(seed, spec), 4 + 4 * (seed % 4))
        try:
            plan = compile_network(network, spec, observe="all")
        except ConfigurationError:
            continue
        samples = [random_events(network, sample, 5, 0.5) for sample in range(2)]
        report = verify(Runner(accelerator, plan), network, samples)
        assert report.passed, f"seed {seed}: {report.first}"
        spikes = [run(network, events).spikes for events in samples]
        most = max([most, *(int(found[name].counts().max()) for found in spikes for name in found)])
        compared += 1
        strategies.add(plan.strategy)
    assert compared >= 5 and most >= 4 and len(strategies) > (name == "small")


@pytest.mark.parametrize("clusters", [1, 2])
def test_networks_that_saturate(clusters):
    """Every addition is clipped, in the order of the contract; maps take their events from the stream."""
    spec = replace(WIDE, lanes=4 // clusters, clusters=clusters, sweep_cycles=2, state_bits=14, saturate=True)
    accelerator = simulate(spec, idle=0.1, backpressure=0.2, seed=1)
    compared, different, seen = 0, 0, set()
    for seed in range(30):
        # Spikes of maps cannot come back in the same pass.
        network = random_network(seed, kinds=KINDS - {"multi_spike"} - ({"recurrent"} if seed % 3 else set()))
        network = saturating(network, spec.state_bits)
        network = replace(network, nodes={
            name: replace(node, fraction_bits=6) if name in network.populations else node
            for name, node in network.nodes.items()})
        try:
            plan = compile_network(network, spec, observe="all")
        except ConfigurationError:
            continue
        samples = [random_events(network, sample, 5, 0.4) for sample in range(2)]
        report = verify(Runner(accelerator, plan), network, samples)
        assert report.passed, f"seed {seed}: {report.first}"
        compared += 1
        seen |= situations(plan)
        loose = replace(network, nodes={
            name: replace(node, state_bits=32, saturate=False) if name in network.populations else node
            for name, node in network.nodes.items()})
        different += any((run(loose, s).potentials[n] != run(network, s).potentials[n]).any()
                      for s in samples for n in network.populations)
    assert compared >= 10 and different >= 5  # networks in which clipping shows
    assert seen >= {"passes", "max_pool", "cuba", "dense", "stride2", "always", "pool_log2"}


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
    # At full speed, where one operation follows the other.
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
    report = verify(Runner(accelerator_of("wide"), broken), network, samples)
    assert not report.passed
    assert "must be" in str(report.first) and "events that led there" in str(report.first)


def test_a_recording_without_steps_is_refused():
    network = fitted(0, WIDE)
    plan = compile_network(network, WIDE, observe="all")
    nothing = {name: Events(network.shapes[name], 0, [], []) for name in network.inputs}
    with pytest.raises(EventError, match=r"^Recording must have at least 1 step, not 0$"):
        verify(Runner(None, plan), network, [nothing])


class Told(Runner):
    """A runner that finds what it is told."""

    def __init__(self, found, plan):
        super().__init__(None, plan)
        self.found = found

    def run(self, events, *, every_step=False):
        return self.found


def test_wrong_counters_are_found():
    """Spikes and potentials may be right and a counter wrong: of each kind, one too many."""
    network = fitted(3, WIDE)
    plan = compile_network(network, WIDE, observe="all")
    samples = [random_events(network, 0, 5, 0.5)]
    right = Runner(accelerator_of("wide"), plan).run(samples[0], every_step=True)
    for quantity in ("events", "sops", "spikes"):
        op = Op.SWEEP if quantity == "spikes" else Op.INTEGRATE
        number = next(n for n, ins in enumerate(plan.passes[0].instructions)
                      if ins.op is op and (ins.counts_events or quantity != "events"))
        counters = [values.copy() for values in right.counters]
        counters[0][number, COUNTERS.index(quantity)] += 1
        report = verify(Told(replace(right, counters=counters), plan), network, samples)
        assert report.differences and report.first.quantity == quantity and report.first.step == -1

"""Plans, executed by the interpreter, do what the golden model does, however the work is split."""

import json
from dataclasses import replace

import numpy as np
import pytest

from neurogen.flow.verify import Runner
from neurogen.golden.network import run
from neurogen.mapping.compile import compile_network
from neurogen.mapping.config import load_config
from neurogen.mapping.plan import ConfigurationError
from neurogen.spec.mega import MegaSpec, Op
from neurogen.spec.network import Edge, Input, Network
from neurogen.spec.pool import Concat, Flatten, MaxPool
from tests.mapping.interpreter import Interpreter
from tests.mapping.networks import chain, conv, dense, lif
from tests.networks import KINDS, eager, random_events, random_network, saturating


BIG = MegaSpec(lanes=2, weight_bits=4, state_bits=24, state_depth=1024, weight_depth=4096, spike_depth=2048,
               program_depth=4096, fraction_bits=(0, 3, 4, 6), cuba=True, max_pool_rows=1024)
SPECS = {
    "tiny": BIG,
    "clusters": replace(BIG, lanes=4, clusters=2, weight_bits=7),
    "one_lane": replace(BIG, lanes=1, weight_bits=8, fraction_bits=(0, 1, 2, 3)),
    "wide": replace(BIG, lanes=16),
}


def fitted(seed, spec, **kwargs):
    """Return a random network whose populations have fraction bits that the configuration offers."""
    network = random_network(seed, kinds=KINDS, **kwargs)
    nodes = {name: replace(node, fraction_bits=max(f for f in spec.fraction_bits if f <= node.fraction_bits))
             if name in network.populations else node for name, node in network.nodes.items()}
    return replace(network, nodes=nodes)


def compare(network, plan, seed=0, steps=6, density=0.2):
    """Execute a plan and compare spikes, states and counters with the golden model; return both results."""
    events = random_events(network, seed, steps, density)
    golden, mine = run(network, events), Runner(Interpreter(), plan).run(events)
    totals = plan.totals(mine.counters)
    for name in network.populations:
        expected = golden.spikes[name].counts()
        if name in plan.observed:
            assert (mine.spikes[name].counts() == expected).all(), name
        assert (mine.potentials[name][-1] == golden.potentials[name][-1]).all(), name
        assert totals[name]["spikes"] == golden.spike_counts[name].sum(), name
        if network.nodes[name].cuba:
            assert (mine.currents[name][-1] == golden.currents[name][-1]).all(), name
    for name, count in golden.events_in.items():
        found = totals.get(name, {"events": 0, "sops": 0})  # behind a read-out: nothing is ever sent
        assert found["events"] == count.sum(), name
        assert found["sops"] == golden.sops[name].sum(), name
    return golden, mine


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("seed", range(20))
def test_random_networks_do_what_golden_does(seed, name):
    network = fitted(seed, SPECS[name])
    try:
        plan = compile_network(network, SPECS[name], observe="all")
    except ConfigurationError as error:
        assert "pool" in str(error)
        return
    compare(network, plan, seed)


def test_neurons_that_fire_several_times():
    """A sweep and a plane of spikes for each time; read, emitted, pooled and sent on to later passes."""
    reached, most = set(), 0
    for seed in range(40):
        spec = replace(BIG, state_depth=(1024, 64)[seed % 2])
        network = fitted(seed, spec)
        bits = {"fraction_bits": 0}
        network = eager(replace(network, nodes={n: replace(node, **bits) if n in network.populations else node
                                                for n, node in network.nodes.items()}), 4 + 4 * (seed % 6))
        try:
            plan = compile_network(network, spec, observe="all")
        except ConfigurationError:
            continue
        golden, _ = compare(network, plan, seed, density=0.5)
        for name in network.populations:
            times = int(golden.spikes[name].counts().max())
            most = max(most, times)
            node = network.nodes[name]
            reached |= {("cuba" if node.cuba else "plain"), ("map" if len(node.shape) == 3 else "vector"),
                        plan.strategy, *(f"to {type(network.nodes[e.target]).__name__}"
                                         for e in network.targets(name))} if times > 1 else set()
            reached |= {"bias"} if times > 1 and network.total_bias(name).any() else set()
    assert most >= 5
    assert reached >= {"cuba", "plain", "map", "vector", "resident", "passes", "bias", "to Conv", "to Dense",
                       "to MaxPool", "to Flatten", "to Concat"}


def clipping(seed, spec):
    """Return a random network whose additions are clipped; where maps are recurrent, it does not compile."""
    network = random_network(seed, kinds=KINDS - ({"recurrent"} if seed % 4 else set()))
    network = saturating(network, spec.state_bits)
    nodes = {name: replace(node, fraction_bits=6) if name in network.populations else node
             for name, node in network.nodes.items()}
    return replace(network, nodes=nodes)


@pytest.mark.parametrize("name", ["tiny", "one_lane", "external"])
def test_networks_that_saturate(name):
    """The order of events is that of the contract, however the work is split."""
    spec = replace({**SPECS, **SMALL}[name], state_bits=12, fraction_bits=(0, 6), saturate=True)
    different, reached, refused = 0, set(), set()
    for seed in range(40):
        network = clipping(seed, spec)
        try:
            plan = compile_network(network, spec, observe="all")
        except ConfigurationError as error:
            refused |= {"order"} if "in raster order" in str(error) else set()
            continue
        golden, _ = compare(network, plan, seed, steps=4, density=0.4)
        reached.add(plan.strategy)
        loose = replace(network, nodes={
            name: replace(node, state_bits=32, saturate=False) if name in network.populations else node
            for name, node in network.nodes.items()})
        events = random_events(network, seed, 4, 0.4)
        different += any((run(loose, events).potentials[n] != golden.potentials[n]).any()
                         for n in network.populations)
    assert different >= 8 and refused == {"order"} and "passes" in reached
    assert name != "external" or any("external" in strategy for strategy in reached)


def test_only_configurations_that_clip_take_networks_that_do():
    network = clipping(1, replace(BIG, state_bits=12))
    for change in ({"state_bits": 12}, {"saturate": True, "state_bits": 16}):
        with pytest.raises(ConfigurationError, match=r"clips its additions to 12 bits: the configuration "
                                                     r"must have state_bits 12 and saturate: true, not "):
            compile_network(network, replace(BIG, **change))


def test_random_networks_reach_every_situation():
    reached = set()
    for seed in range(25):
        network = fitted(seed, BIG)
        try:
            plan = compile_network(network, BIG, observe="all")
        except ConfigurationError:
            reached.add("refused")
            continue
        part = plan.passes[0]
        names = [(s.name, s.delay) for s in part.sources]
        reached |= {"repeated"} if len({n for n, _ in names}) < len(names) else set()
        reached |= {"delayed stream"} if any(d for _, d in names) else set()
        reached |= {"ring"} if any(p.slots > 2 for p in part.placements) else set()
        for ins in part.instructions:
            reached |= {f"{ins.op.name}.{key}" for key, value in ins.fields.items() if value}
    wanted = ("refused repeated ring INTEGRATE.pool_log2 INTEGRATE.max_pool INTEGRATE.dense "
              "INTEGRATE.stride2 INTEGRATE.weight_y INTEGRATE.ring_phase SWEEP.per_neuron SWEEP.cuba "
              "SWEEP.always INIT.fill SWEEP.leaky SWEEP.reset EMIT.vector").split()
    assert set(wanted) | {"delayed stream"} <= reached


SMALL = {
    "state": replace(BIG, state_depth=48),
    "weight": replace(BIG, weight_depth=160),
    "program": replace(BIG, program_depth=13 * 9),
    "external": replace(BIG, weight_depth=160, external=True),
    "all": replace(BIG, weight_depth=160, external=True, state_depth=32),
}


@pytest.mark.parametrize("name", SMALL)
def test_random_networks_do_what_golden_does_when_they_do_not_fit_at_once(name):
    strategies = set()
    for seed in range(100, 124):
        network = fitted(seed, SMALL[name])
        try:
            plan = compile_network(network, SMALL[name], observe="all" if seed % 2 else "outputs")
        except ConfigurationError:
            continue
        if plan.strategy != "resident":
            compare(network, plan, seed, steps=4)
            strategies.add(plan.strategy)
    assert strategies


def words(plan):
    return set(plan.strategy.replace(",", "").split())


@pytest.mark.parametrize("observe", ["outputs", "all"])
def test_layers_run_in_sequence(observe):
    network = chain((2, 9, 9), conv(4, 2), conv(4, 4, 5), conv(2, 4), multiplicity=2)
    plan = compile_network(network, replace(BIG, state_depth=32), observe=observe)
    assert plan.strategy == "passes" and len(plan.passes) > 1
    compare(network, plan)


def test_output_channels_run_in_sequence():
    network = chain((2, 9, 9), conv(7, 2), conv(5, 7, bias=2))
    plan = compile_network(network, replace(BIG, state_depth=32))
    assert words(plan) == {"channels"} and len(plan.passes) == 4
    compare(network, plan)


@pytest.mark.parametrize("kernel, stride, padding, depth", [
    (1, 1, 0, 8), (3, 1, 1, 24), (5, 2, (1, 4), 8), (7, 1, 3, 24), (7, 2, 6, 8)])
def test_tiles_run_in_sequence(kernel, stride, padding, depth):
    network = chain((2, 12, 30), conv(3, 2, kernel, stride=stride, padding=padding), conv(2, 3), bias=1,
                    initial=4)
    plan = compile_network(network, replace(BIG, state_depth=depth))
    assert {"tiles", "channels"} <= words(plan)
    windows = {p.window for part in plan.passes for p in part.placements}
    assert len({w.y0 for w in windows}) > 1
    assert len({w.x0 for w in windows}) > 1 or (depth, stride) != (8, 1)
    compare(network, plan, steps=2)


def test_state_rows_of_a_vector_run_in_sequence():
    network = chain((5,), dense(200, 5), dense(300, 200, bias=np.arange(300) % 7))
    plan = compile_network(network, replace(BIG, state_depth=8, weight_depth=2000))
    assert words(plan) == {"channels"}
    compare(network, plan)


@pytest.mark.parametrize("depth", [16, 37])
def test_weights_come_from_the_external_memory(depth):
    network = chain((9, 6, 6), conv(5, 9, 5), conv(3, 5))
    plan = compile_network(network, replace(BIG, weight_depth=depth, external=True))
    assert "external" in words(plan)
    # Chunks of input channels of a stream are streamed apart.
    assert any(s.channels for part in plan.passes for s in part.sources)
    compare(network, plan)


def test_recurrent_weights_come_from_the_external_memory():
    network = chain((4,), dense(400, 4))
    back = dense(400, 400)
    network = replace(network, nodes=network.nodes | {"back": replace(back, weight=back.weight // 4)},
                      edges=(*network.edges, Edge("lif0", "back", 2), Edge("back", "lif0")))
    spec = replace(BIG, weight_depth=200, external=True)
    plan = compile_network(network, spec)
    assert plan.strategy == "external"
    loads = [ins for ins in plan.passes[0].instructions if ins.op is Op.LOAD]
    assert {ins.fields["rows"] for ins in loads} > {144}  # whole blocks of spike rows: 8 * 9 * 2 neurons
    compare(network, plan, steps=5, density=0.5)


def test_stream_operations_become_fields():
    nodes = {"a": Input(shape=(2, 12, 12)), "b": Input(shape=(3, 12, 12), max_multiplicity=3),
             "cat": Concat(), "max": MaxPool(size=2), "max2": MaxPool(size=2), "conv": conv(4, 5),
             "lif": lif((4, 3, 3)), "flat": Flatten(), "fc": dense(6, 36), "out": lif((6,), reset="none")}
    edges = [("a", "cat", 2), ("b", "cat"), ("cat", "max"), ("max", "max2", 1), ("max2", "conv"),
             ("conv", "lif"), ("lif", "flat"), ("flat", "fc"), ("fc", "out")]
    network = Network(nodes, tuple(Edge(*e) for e in edges), ("lif", "out"))
    plan = compile_network(network, BIG)
    assert [(s.name, s.delay) for s in plan.passes[0].sources] == [("a", 3), ("b", 1)]
    first = next(i for i in plan.passes[0].instructions if i.op is Op.INTEGRATE)
    assert (first.fields["pool_log2"], first.fields["max_pool"], first.fields["in_h"]) == (2, 1, 3)
    golden, mine = compare(network, plan, steps=8)
    assert len(golden.spikes["lif"]) and len(mine.spikes["out"]) == 0


def test_a_synapse_that_feeds_two_populations_counts_its_events_once():
    network = chain((2, 5, 5), conv(3, 2))
    network = replace(network, nodes=network.nodes | {"twin": lif((3, 5, 5), threshold=30)},
                      edges=(*network.edges, Edge("conv0", "twin")), outputs=("lif0", "twin"))
    compare(network, compile_network(network, BIG))


def test_a_decay_of_zero_needs_no_code():
    spec = replace(BIG, state_bits=12, fraction_bits=(0,), weight_bits=5)
    network = chain((2, 5, 5), conv(3, 2), decay=0, state_bits=12)
    compare(network, compile_network(network, spec))
    cuba = chain((2, 5, 5), conv(3, 2), decay=100, synapse_decay=0, i_lo=-9, i_hi=9, state_bits=12)
    compare(cuba, compile_network(cuba, spec))


def test_plan_has_a_summary_of_plain_values():
    network = chain((2, 9, 9), conv(4, 2), conv(4, 4))
    plan = compile_network(network, replace(BIG, state_depth=32), name_of_config="small")
    summary = json.loads(json.dumps(plan.to_dict()))
    assert summary["config"] == "small" and summary["network"] == network.digest
    assert summary["passes"][1]["memory"]["state_depth"] == {"used": 32, "available": 32}
    assert summary["passes"][1]["sources"] == [{"name": "lif0", "delay": 0, "channels": []}]
    # Two groups of 9 tiles each fill 32 rows of 18 neurons with 4 * 81.
    assert summary["passes"][0]["populations"][0]["utilisation"] == round(4 * 81 / (32 * 18), 4)


def test_lower_bound_is_operations_and_swept_rows():
    network = chain((2, 9, 9), conv(4, 2, 5))
    plan = compile_network(network, BIG)
    golden, mine = compare(network, plan, steps=2)
    events = int(golden.events_in["conv0"].sum())
    assert plan.passes[0].lower_bound(mine.counters[0]) == events * 4 * 2 + 2 * 2 * 9  # subs, groups; rows


def test_every_step_ends_with_one_tick():
    for observe in ("outputs", "all"):
        plan = compile_network(chain((2, 9, 9), conv(4, 2), conv(4, 4), reset="none"), BIG, observe=observe)
        program = plan.passes[0].instructions
        assert [bool(i.fields.get("tick")) for i in program] == [False] * (len(program) - 1) + [True]
        assert [bool(i.fields.get("end_of_step")) for i in program] == [False] * (len(program) - 1) + [True]


def test_maps_of_the_reference_run_on_the_default_configuration():
    network = chain((2, 48, 96), conv(32, 2), conv(64, 32), v_lo=-999, v_hi=999, state_bits=13)
    plan = compile_network(network, load_config("default"))
    # 32 channels of 96x48 fill the states: 16 * 32 rows; 64 channels take two passes.
    assert [part.usage["state_depth"] for part in plan.passes] == [(512, 512)] * 3
    assert [part.placements[0].window.c0 for part in plan.passes] == [0, 0, 32]
    assert [part.placements[0].window.c1 for part in plan.passes] == [32, 32, 64]

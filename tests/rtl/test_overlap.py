"""Whole runs, in which sweeps, output and the next step's events go on beside each other, equal golden."""

import numpy as np
import pytest

from neurogen.flow.accelerator import Accelerator
from neurogen.flow.simulated import SimulatedPort
from neurogen.flow.verify import Runner
from neurogen.flow.verilator import compile_model, to_verilog
from neurogen.golden.network import run as golden
from neurogen.mapping.compile import compile_network
from neurogen.mapping.plan import ConfigurationError, stream_for
from neurogen.rtl.mega import Mega
from neurogen.spec.conv import Conv
from neurogen.spec.events import Events
from neurogen.spec.mega import COUNTERS, MegaSpec, Op
from tests.mapping.networks import chain
from tests.networks import random_events, random_network


COMMON = {"weight_bits": 4, "state_bits": 16, "state_depth": 512, "weight_depth": 512, "spike_depth": 256,
          "program_depth": 512, "fraction_bits": (0, 1, 2, 3), "max_pool_rows": 512}
PLAIN = MegaSpec(lanes=2, sweep_cycles=2, **COMMON)
OTHERS = [MegaSpec(lanes=2, clusters=2, sweep_cycles=1, cuba=True, **COMMON),
          MegaSpec(lanes=8, sweep_cycles=8, **COMMON),
          MegaSpec(lanes=2, sweep_cycles=3, staggered=True, **COMMON),
          MegaSpec(lanes=4, sweep_cycles=3, frugal=True, **COMMON),
          MegaSpec(lanes=2, sweep_cycles=3, staggered=True, frugal=True, **COMMON),
          MegaSpec(lanes=2, clusters=2, sweep_cycles=2, cuba=True, frugal=True, weight_registers=True,
                   **COMMON),
          MegaSpec(lanes=1, sweep_cycles=9, external=True, cuba=True, **COMMON),
          MegaSpec(lanes=2, sweep_cycles=2, overlap=False, **COMMON)]
KINDS = frozenset({"conv", "dense", "sumpool", "maxpool", "flatten", "concat", "residual", "recurrent",
                   "delay", "bias", "initial", "per_channel", "two_inputs", "readout"})


@pytest.fixture(scope="module")
def plain():
    return compile_model(to_verilog(Mega(PLAIN), "mega"), "mega", opt="-O0")


def compare(model, spec, network, events, *, chance=0.0, seed=0):
    """Run all steps in one go; compare everything; return the plan and its counters."""
    model.power_on(seed=seed)
    port = SimulatedPort(model, spec, idle=chance, backpressure=chance, seed=seed)
    plan = compile_network(network, spec, observe="all")
    found, wanted = Runner(Accelerator(spec, port), plan).run(events), golden(network, events)
    for name in plan.observed:
        if network.nodes[name].reset.value == "none":
            continue
        assert (found.spikes[name].counts() == wanted.spikes[name].counts()).all(), (seed, name)
    for name in network.populations:
        assert (found.potentials[name][-1] == wanted.potentials[name][-1]).all(), (seed, name)
        if network.nodes[name].cuba:
            assert (found.currents[name][-1] == wanted.currents[name][-1]).all(), (seed, name)
    totals = plan.totals(found.counters)
    for name, node in network.nodes.items():
        if isinstance(node, Conv) and name in totals:  # else it has no events
            assert totals[name]["sops"] == wanted.sops[name].sum(), (seed, name)
    for name in network.populations:
        assert totals[name]["spikes"] == wanted.spike_counts[name].sum(), (seed, name)
    return plan, found


def networks(spec, seeds):
    """Yield seeds, random networks and events."""
    kinds = KINDS | {"cuba"} if spec.cuba else KINDS
    for seed in seeds:
        network = random_network(seed, kinds=kinds, layers=3, size=14, channels=6, state_bits=spec.state_bits,
                                 fraction_bits=3, weight_bits=4, pools=(2,))  # others do not fit
        yield seed, network, random_events(network, seed, 5, 0.15)


def fuzz(model, spec, seeds):
    spikes = runs = 0
    for seed, network, events in networks(spec, seeds):
        try:
            compile_network(network, spec, observe="all")
        except ConfigurationError:  # more weights than there is room for
            continue
        _, found = compare(model, spec, network, events, chance=(0, 0, 0.3, 0.7)[seed % 4], seed=seed)
        spikes += sum(len(recording) for recording in found.spikes.values())
        runs += 1
    assert runs > 0.8 * len(seeds) and spikes > 100 * runs


def test_random_networks_in_one_run_equal_golden(plain):
    fuzz(plain, PLAIN, range(12))


@pytest.mark.slow
@pytest.mark.parametrize("spec", [PLAIN, *OTHERS], ids=lambda spec: f"{spec.lanes}-{spec.sweep_cycles}")
def test_many_random_networks_equal_golden(spec):
    fuzz(compile_model(to_verilog(Mega(spec), "mega"), "mega", opt="-O1"), spec, range(100, 180))


def layer(outputs=2):
    weights = np.random.default_rng(3).integers(-3, 5, (outputs, 2, 3, 3))
    return chain((2, 24, 48), Conv(weight=weights, padding=1), state_bits=16, threshold=12, decay=3000)


def check_words(part, counted, spikes):
    """The words of each memory that were read and written, and stalls by cause."""
    for ins, row in zip(part.instructions, counted, strict=True):
        of = dict(zip(COUNTERS, row.tolist(), strict=True))
        read, written = ([of[f"{memory}_{way}"] for memory in ("state", "weight", "spike")]
                         for way in ("reads", "writes"))
        if ins.op is Op.INTEGRATE:
            operations = of["events"] * ins.fields["ops"]
            assert read == [9 * operations, 9 * operations, 0]
            assert written == [of["sops"] // PLAIN.lanes, 0, 0]  # all lanes have a neuron
            assert of["waiting"] > 0 and of["starved"] + of["waiting"] <= of["stalls"]
        elif ins.op is Op.SWEEP:
            assert read == [9 * of["rows"], 9 * PLAIN.parameter_rows * len(spikes), 0]
            assert written == [9 * of["rows"], 0, of["rows"]]
        elif ins.op is Op.EMIT:
            steps, _, height, width = spikes.shape
            tiles = spikes.any(axis=1).reshape(steps, height // 3, 3, width // 3, 3).any(axis=(2, 4))
            assert read == [0, 0, tiles.sum()] and written == [0, 0, 0]


def test_a_sweep_costs_a_cycle_a_row_beside_events(plain):
    network = layer()
    rng = np.random.default_rng(4)
    for density in (0.1, 0.3, 1.0):
        events = {"input": Events.from_counts(rng.random((6, 2, 24, 48)) < density)}
        plan, found = compare(plain, PLAIN, network, events)
        part, = plan.passes
        counted, = found.counters
        cycles = {op: sum(counted[n, COUNTERS.index("cycles")] for n, ins in enumerate(part.instructions)
                          if ins.op is op) for op in Op}
        bound = part.lower_bound(counted)
        # The last sweep has no events beside it, nor has the beginning of any; so much is for the rest.
        assert bound <= cycles[Op.INTEGRATE] + cycles[Op.SWEEP] <= bound + 128 + 6 * 60
        assert cycles[Op.INTEGRATE] + cycles[Op.SWEEP] < bound + 6 * 128  # what two cycles a row would cost
        check_words(part, counted, golden(network, events).spikes["lif0"].counts())
        # Together with those of the output and of the initialisation, these are all cycles but a few.
        few = found.cycles - sum(cycles.values())
        assert 0 < few < 8 * len(part.instructions) * 6


def test_events_in_any_order_give_the_same(plain, monkeypatch):
    network, rng = layer(4), np.random.default_rng(5)
    events = {"input": Events.from_counts(rng.random((5, 2, 24, 48)) < 0.2)}
    plan = compile_network(network, PLAIN)
    part, = plan.passes
    plain.power_on(seed=1)
    accelerator = Accelerator(PLAIN, SimulatedPort(plain, PLAIN))
    accelerator.load(part)
    wanted, spent = golden(network, events), {}
    words = stream_for(part, events)
    ends = np.flatnonzero(words >> 31)
    for name, order in (("as sent", np.array), ("any", rng.permutation), ("last line first", np.flip)):
        steps = [np.append(order(step[:-1]), step[-1:]) for step in np.split(words, ends[:-1] + 1)]
        sent = np.concatenate(steps)
        monkeypatch.setattr("neurogen.flow.accelerator.stream_for", lambda *_, sent=sent: sent)
        spikes = accelerator.run(part, events, events["input"].steps)
        assert (spikes["lif0"].counts() == wanted.spikes["lif0"].counts()).all(), name
        assert (accelerator.potentials(part)[0]["lif0"] == wanted.potentials["lif0"][-1]).all(), name
        spent[name] = accelerator.cycles()
    assert spent["as sent"] < min(spent["any"], spent["last line first"])

# amaranth: UnusedElaboratable=no

from dataclasses import replace

import amaranth.sim
import numpy as np
import pytest

from neurogen.flow.learning import compare
from neurogen.golden.learning import Simulator
from neurogen.rtl.learning import LearnEngine
from neurogen.spec.learning_bus import LABELLED, Csr, Kind, Region, Status
from tests.learning import SPECS, samples, start
from tests.rtl.learning_bench import slow_port


def both(spec, *, seed=77, **options):
    """Return the engine and the golden model with the same weights and random state."""
    port, weights = slow_port(spec, **options), start(spec)
    port.load(weights, seed=seed)
    return port, Simulator(spec, weights, seed=seed)


@pytest.mark.parametrize("name, idle", [("one", 0.0), ("odd", 0.3), ("deep", 0.0), ("narrow", 0.0),
                                        ("rstdp", 0.0), ("hinge", 0.0), ("fptt", 0.0)])
def test_equals_golden_in_weights_traces_potentials_and_spikes(name, idle):
    spec = SPECS[name]
    port, golden = both(spec, idle=idle)
    result = compare(port, golden, samples(spec, 4, steps=5), every_step=True)
    assert result.differences == 0, result.first
    counters = vars(golden.counters)
    wanted = ("updates", "spikes", "reads", "events", "learning_steps")
    assert all(counters[key] for key in wanted), counters
    arrays = 2 if spec.rule == "fptt" else 1
    assert result.weights == 20 * arrays * sum(w.weights.size for w in golden.layers)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("prototypes", ["code", "learn"])
def test_a_step_without_an_error_takes_no_cycles_for_prototypes(prototypes, layers):
    def more(classes, *ahead, steps=3):
        """Return the cycles in which the first layer learns, but for those of errors.

        The label is ahead by z, and by o, or not. There is no o if another layer follows, which is frozen.
        """
        spec = replace(SPECS["hinge"], prototypes=prototypes, calm_shift=None, margin=1, period=1,
                       layers=SPECS["hinge"].layers * layers, classes=classes, window_full=1 << 20,
                       window_half=1 << 20)
        port, weights, cycles = slow_port(spec), start(spec), {}
        own = np.arange(len(ahead) * classes) % classes == 2
        weights[0][spec.rows(0):] = np.where(own == np.repeat(ahead, classes), 20, -20)[:, None]
        for frozen in (True, False):
            golden = Simulator(spec, weights, seed=5)
            golden.frozen = [frozen, True][:layers]
            port.load(weights, seed=5)
            for register, value in ((Csr.FREEZE, 2 | frozen), (Csr.COUNTER, 0), (Csr.STATUS, 0xFF)):
                port.model.write(register, value)
            result = compare(port, golden, [(np.ones((steps, spec.inputs), bool), 2)])
            assert result.differences == 0, result.first
            cycles[frozen] = port.counters()["cycles"]
        assert (golden.counters.updates == 0) == all(ahead) and golden.counters.spikes
        return cycles[False] - cycles[True] - steps * len(ahead) * (2 * classes + 8)
    kinds = 2 if layers == 1 else 1
    least = more(5, *[True] * kinds)
    assert least == more(9, *[True] * kinds)
    assert least < min(more(5, *np.arange(kinds) != kind) for kind in range(kinds))


def test_skips_words_without_modulation():
    spec = replace(SPECS["one"], window_full=2, window_half=4)
    port, golden = both(spec)
    result = compare(port, golden, samples(spec, 4))
    assert result.differences == 0, result.first
    assert golden.counters.skipped > golden.counters.updates > 0


def test_freezes_layers_and_takes_rates_and_period_from_registers():
    spec = SPECS["deep"]
    port, golden = both(spec)
    golden.spec = replace(spec, rate_w=7, rate_r=8, rate_p=5, rate_q=4, period=3)
    golden.frozen = [False, True]
    for register, value in ((Csr.RATE_W, 7), (Csr.RATE_R, 8), (Csr.RATE_P, 5), (Csr.RATE_Q, 4),
                            (Csr.PERIOD, 3), (Csr.FREEZE, 2)):
        port.model.write(register, value)
        assert port.model.read(register) == value
    before = port.weights()
    result = compare(port, golden, samples(spec, 3))
    assert result.differences == 0, result.first
    after = port.weights()
    assert (after[0] != before[0]).any() and (after[1] == before[1]).all()


def test_saturated_weights_stay_in_range_and_are_reported():
    spec = replace(SPECS["one"], rate_w=1, rate_q=1)
    port = slow_port(spec)
    weights = [np.where(start(spec)[0] >= 0, spec.weight_max, -spec.weight_max)]
    port.load(weights, seed=3)
    golden = Simulator(spec, weights, seed=3)
    assert not port.model.read(Csr.STATUS) >> Status.SATURATED & 1
    result = compare(port, golden, samples(spec, 4))
    assert result.differences == 0, result.first
    assert Status.SATURATED in port.flags()
    assert np.abs(port.weights()[0]).max() == spec.weight_max
    port.model.write(Csr.STATUS, 1 << Status.SATURATED)
    assert port.model.read(Csr.STATUS) == 0


def test_all_neurons_fire_and_none_fires():
    spec = SPECS["one"]
    port, weights = slow_port(spec), start(spec)
    weights[0][:spec.rows(0)] = spec.weight_max
    port.load(weights, seed=9)
    golden = Simulator(spec, weights, seed=9)
    full, silent = np.ones((8, spec.inputs)), np.zeros((8, spec.inputs))
    result = compare(port, golden, [(full, 0)], every_step=True)
    assert result.differences == 0, result.first
    assert golden.counters.spikes >= 7 * 8 and golden.layers[0].e.min() > spec.calm_from
    result = compare(port, golden, [(silent, 1)], every_step=True)
    assert result.differences == 0, result.first
    assert not golden.layers[0].e.any() and not golden.layers[0].scores.any()


class Both:
    """An engine and its golden model, step by step, with the sticky bits of both."""

    def __init__(self, spec, weights):
        self.spec, self.port, self.golden = spec, slow_port(spec), Simulator(spec, weights)
        self.port.load(weights)

    def begin(self):
        self.port.begin()
        self.golden.begin()

    def step(self, inputs):
        self.port.step(inputs)
        return [fired[:layer.neurons].tolist()
                for fired, layer in zip(self.golden.step(inputs), self.spec.layers, strict=True)]

    def flags(self):
        """Return the sticky bits, and remove them."""
        found = self.port.flags()
        assert found == self.golden.flags
        self.golden.flags.clear()
        self.port.model.write(Csr.STATUS, sum(1 << bit for bit in found))
        assert self.port.flags() == set()
        return found


def test_a_step_in_which_all_inputs_spike_is_reported_and_so_is_a_sample_without_a_spike():
    spec = SPECS["one"]
    both = Both(spec, [np.zeros_like(start(spec)[0])])
    both.begin()
    assert both.flags() == set()
    for missing in (0, 3, 4, spec.inputs - 1):
        both.step([i for i in range(spec.inputs) if i != missing])
    assert both.flags() == set()
    both.step(range(spec.inputs))
    assert both.flags() == {Status.FIRING}
    both.begin()
    assert both.flags() == {Status.SILENT}
    both.begin()  # a sample without a step
    assert both.flags() == {Status.SILENT}


def test_a_step_in_which_all_neurons_of_a_layer_fire_is_reported():
    spec = replace(SPECS["deep"], inputs=7)
    weights = [np.zeros_like(array) for array in start(spec)]
    first, second = (layer.neurons for layer in spec.layers)
    weights[0][0, :first - 1] = weights[0][1, first - 1] = spec.weight_max
    weights[1][0, :second - 1] = weights[1][first - 1, second - 1] = spec.weight_max
    both = Both(spec, weights)
    both.begin()
    assert [sum(fired) for fired in both.step([0])] == [first - 1, second - 1]
    assert both.flags() == set()
    both.begin()
    assert [sum(fired) for fired in both.step([1])] == [1, 1]
    assert both.flags() == set()
    both.begin()
    assert [sum(fired) for fired in both.step([0, 1])] == [first, second]
    assert both.flags() == {Status.FIRING}
    both.begin()
    assert both.flags() == set()
    both.begin()  # the sample before was silent, whatever the one before that
    assert both.flags() == {Status.SILENT}


def test_a_step_in_which_all_neurons_of_the_last_layer_fire_is_reported():
    spec = SPECS["deep"]
    weights = [np.zeros_like(array) for array in start(spec)]
    weights[0][0, 0] = spec.weight_max
    weights[1][0, :spec.layers[1].neurons] = spec.weight_max
    both = Both(spec, weights)
    both.begin()
    assert [sum(fired) for fired in both.step([0])] == [1, spec.layers[1].neurons]
    assert both.flags() == {Status.FIRING}


@pytest.mark.parametrize("silent", [0, 1])
def test_a_layer_that_never_fires_in_a_sample_is_reported(silent):
    spec = SPECS["deep"]
    weights = [np.zeros_like(array) for array in start(spec)]
    weights[0][0, 0] = weights[1][0, 0] = spec.weight_max
    weights[silent][0] = 0
    both = Both(spec, weights)
    both.begin()
    assert [any(fired) for fired in both.step([0])] == [silent == 1, False]
    assert both.flags() == set()
    both.begin()
    assert both.flags() == {Status.SILENT}


def test_label_out_of_range_is_reported_and_does_not_learn():
    spec = SPECS["one"]
    port, _ = both(spec)
    before = port.weights()
    raster = samples(spec, 1)[0][0]
    port.send([Kind.BEGIN], [LABELLED | spec.classes])
    for row in raster:
        port.step(np.flatnonzero(row))
    assert port.model.read(Csr.STATUS) == 1 << Status.LABEL
    assert (port.weights()[0] == before[0]).all()
    port.run(raster, 1)
    assert (port.weights()[0] != before[0]).any()


def test_spike_of_an_unknown_input_is_reported_and_left_out():
    spec = SPECS["one"]
    port, golden = both(spec)
    raster = samples(spec, 1)[0][0]
    golden.run(raster, 2)
    port.begin(2)
    for row in raster:
        port.step([*np.flatnonzero(row), spec.inputs])
    assert port.model.read(Csr.STATUS) >> Status.ADDRESS & 1
    assert (port.weights()[0] == golden.layers[0].weights).all()


def test_weights_cannot_be_touched_while_a_step_runs():
    spec = SPECS["one"]
    port, golden = both(spec)
    golden.run(np.ones((1, spec.inputs)), 0)
    port.begin(0)
    port.model.write(Csr.SELECT, Region.WEIGHTS << 24)
    port.model.start_events([Kind.SPIKE << 16 | i for i in range(spec.inputs)] + [Kind.STEP << 16])
    port.model.write(Csr.DATA, 0x7F7F7F7F)
    assert port.model.read(Csr.STATUS) & 1 << Status.BUSY
    port.model.wait()
    assert port.model.read(Csr.STATUS) >> Status.LOADING & 1
    assert (port.weights()[0] == golden.layers[0].weights).all()


def test_a_read_goes_on_behind_a_step_where_it_stopped():
    spec = SPECS["one"]
    port, golden = both(spec)
    (raster, label), *_ = samples(spec, 1)
    port.begin(label)
    golden.begin(label)
    port.read(Region.PRE_TRACES, 0, 1, 8, spec.lanes)  # the next read is of the next word
    for row in raster[:3]:
        port.step(np.flatnonzero(row))
        golden.step(np.flatnonzero(row))
    wanted = golden.layers[0].x[spec.lanes:2 * spec.lanes]
    assert wanted.any()
    assert port.model.read(Csr.DATA) == int(wanted @ 256 ** np.arange(spec.lanes))


def test_an_abandoned_step_leaves_weights_readable_and_the_run_repeatable():
    spec = SPECS["odd"]
    port, golden = both(spec)
    work = samples(spec, 3)
    assert compare(port, golden, work[:1]).differences == 0
    checkpoint, random = port.weights(), port.model.read(Csr.SEED)
    port.load(start(spec), seed=77)
    again = Simulator(spec, start(spec), seed=77)
    again.begin(0)
    port.begin(0)
    again.step(range(spec.inputs))
    port.step(range(spec.inputs))
    before = again.layers[0].weights.copy()
    again.step(range(spec.inputs))
    port.model.start_events([*range(spec.inputs), Kind.STEP << 16], cycles=125)
    assert port.model.read(Csr.STATUS) >> Status.BUSY & 1
    port.model.reset()
    after, wanted = port.weights()[0], again.layers[0].weights
    assert 0 < (after != before).sum() < (wanted != before).sum()  # half of the updates
    assert ((after == before) | (after == wanted)).all()
    assert all(np.abs(w).max() <= spec.weight_max for w in port.weights())
    port.load(checkpoint, seed=random)
    golden.counters = type(golden.counters)()
    golden.flags.clear()
    result = compare(port, golden, work[1:])
    assert result.differences == 0, result.first


def test_a_reset_keeps_the_settings_of_the_spec():
    port = slow_port(SPECS["odd"])
    spec = port.spec
    rates = [port.model.read(Csr.RATE_W + k) for k in range(4)]
    assert rates == [spec.rate_w, spec.rate_r, spec.rate_p, spec.rate_q]
    assert port.model.read(Csr.PERIOD) == spec.period
    assert port.model.read(Csr.SEED) == 1
    port.model.write(Csr.SEED, 0)  # would stay zero for ever
    assert port.model.read(Csr.SEED) == 1


@pytest.mark.parametrize("name", ["one", "odd", "deep"])
def test_inference_takes_the_documented_cycles(name):
    spec = SPECS[name]
    port, golden = both(spec)
    raster = samples(spec, 1)[0][0]
    golden.begin()
    port.begin()
    port.model.write(Csr.COUNTER, 0)
    total, fired = 0, [np.zeros(w.weights.shape[1]) for w in golden.layers]
    for row in raster:
        before, fired = fired, golden.step(np.flatnonzero(row))
        spikes = row
        for k, layer in enumerate(spec.layers):
            own = before[k] if layer.recurrent else []
            words = [np.pad(array, (0, -len(array) % spec.lanes)).reshape(-1, spec.lanes).sum(1)
                     for array in (spikes, own)]
            a = np.concatenate(words).astype(int)
            n, s = spec.words(layer.neurons), int(fired[k].reshape(-1, spec.lanes).any(1).sum())
            g, last = spec.class_rows(k), k == len(spec.layers) - 1
            e = int(a.sum()) or -2
            total += len(a) + int(np.maximum(a, 1).sum()) + n * (e + 7) + (s + 2) * (g + 4) + 2
            total += 0 if last else n - g - 3
            spikes = fired[k][:layer.neurons]
        port.step(np.flatnonzero(row))
    assert port.counters()["cycles"] == total
    assert sum(int(f.sum()) for f in fired) > 0


def test_comparison_sees_other_random_numbers():
    spec = SPECS["one"]
    port, golden = both(spec)
    golden.random = 78
    result = compare(port, golden, samples(spec, 2))
    assert result.differences > 0
    assert result.first.startswith("sample 0, layer 0, weights[")


@pytest.mark.parametrize("waiting", [0, 1])
def test_an_event_that_waits_makes_the_engine_busy(waiting):
    """Between two events of a queue a host must not take the engine for idle."""
    dut, seen = LearnEngine(SPECS["one"]), []

    async def bench(ctx):
        await ctx.tick().repeat(4)
        ctx.set(dut.i_events.payload, {"kind": Kind.SPIKE, "value": 0})
        ctx.set(dut.i_events.valid, waiting)
        ctx.set(dut.bus.adr, Csr.STATUS)
        ctx.set(dut.bus.cyc, 1)
        ctx.set(dut.bus.stb, 1)
        await ctx.tick()
        seen.append((ctx.get(dut.bus.ack), ctx.get(dut.bus.dat_r), ctx.get(dut.idle)))
    simulator = amaranth.sim.Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [(1, waiting << Status.BUSY, 1 - waiting)]

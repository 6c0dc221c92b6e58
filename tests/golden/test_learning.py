import re
from dataclasses import replace

import numpy as np
import pytest

from neurogen.golden import lif
from neurogen.golden.learning import Simulator, hinge_error, infer, softmax255
from neurogen.golden.lfsr import advance, random_numbers
from neurogen.spec.learning import Learner, LearnLayer, lfsr_next
from neurogen.spec.lif import Lif
from tests.golden.learning_oracle import Oracle
from tests.golden.learning_oracle import softmax255 as oracle_softmax
from tests.learning import SPECS, samples, start


def situations(before, simulator):
    """Return what happened in the run of a sample, for tests that want to have seen all of it."""
    now = vars(simulator.counters)
    return {name for name in now if now[name] > before[name]}


@pytest.mark.parametrize("name", SPECS)
def test_equals_the_naive_oracle_in_weights_traces_potentials_and_spikes(name):
    spec, seen = SPECS[name], set()
    weights = start(spec)
    golden, oracle = Simulator(spec, weights, seed=77), Oracle(spec, weights, seed=77)
    for k, (raster, label) in enumerate(samples(spec, 24)):
        golden.frozen = oracle.frozen = [k % 6 == 2] * len(spec.layers)
        before = dict(vars(golden.counters))
        golden.begin(label)
        oracle.begin(label)
        for row in raster:
            golden.step(np.flatnonzero(row))
            oracle.step(np.flatnonzero(row).tolist())
            for index, state in enumerate(golden.layers):
                assert state.weights.tolist() == oracle.weights[index]
                if spec.rule == "fptt":
                    assert state.means.tolist() == oracle.means[index]
                for field in ("v", "e", "x", "z"):
                    assert getattr(state, field).tolist() == getattr(oracle, field)[index], field
                assert state.spikes.tolist() == oracle.s[index]
            assert golden.layers[-1].o.tolist() == oracle.o
            assert golden.layers[-1].scores.tolist() == oracle.scores
            assert golden.layers[-1].readout_scores.tolist() == oracle.readout_scores
        seen |= situations(before, golden)
    assert golden.random == oracle.q
    assert (golden.counters.updates, golden.counters.skipped) == (oracle.updates, oracle.skipped)
    # Whole words of modulations are zero by chance only where a window can be shut.
    assert {"updates", "saturated", "spikes"} <= seen
    assert "skipped" in seen


def test_random_numbers_are_those_of_the_register():
    state, expected = 0xDEADBEEF, []
    for _ in range(1000):
        expected.append(state)
        state = lfsr_next(state)
    numbers, after = random_numbers(0xDEADBEEF, 1000)
    assert numbers.tolist() == expected and after == state
    assert random_numbers(5, 0)[1] == 5


def test_random_register_has_the_full_period():
    # x -> lfsr_next(x) is 16 steps; the order of a step divides 2**32 - 1, and so it is coprime to 16.
    # The step's order is 2**32 - 1 if no power (2**32 - 1) / p is the identity.
    def power(state, steps):
        vector = np.array([state], np.uint32)
        for bit in range(steps.bit_length()):
            if steps >> bit & 1:
                vector = advance(vector, bit)
        return int(vector[0])
    assert power(1, 2**32 - 1) == 1
    assert all(power(1, (2**32 - 1) // p) != 1 for p in (3, 5, 17, 257, 65537))


@pytest.mark.parametrize("name", SPECS)
def test_spikes_without_learning_are_those_of_the_lif_contract(name):
    spec = SPECS[name]
    weights = start(spec)
    simulator = Simulator(spec, weights)
    populations = [Lif(shape=(w.shape[1],), threshold=p.threshold, decay=4096 - (4096 >> p.leak_shift),
                       state_bits=24, v_lo=-spec.v_max - 1, v_hi=spec.v_max)
                   for w, p in zip(weights, spec.layers, strict=True)]
    fired = 0
    for raster, _ in samples(spec, 6):
        simulator.begin()
        states = [lif.initial_state(p) for p in populations]
        own = [np.zeros(w.shape[1], np.int64) for w in weights]
        for row in raster:
            simulator.step(np.flatnonzero(row))
            spikes = row.astype(np.int64)
            for k, population in enumerate(populations):
                current = spikes @ weights[k][:len(spikes)]
                if spec.layers[k].recurrent:
                    rows = spec.rows(k)
                    current = current + own[k] @ weights[k][rows - len(own[k]):rows]
                states[k], own[k] = lif.step(population, states[k], current)
                assert simulator.layers[k].v.tolist() == states[k].v.tolist()
                assert simulator.layers[k].spikes.tolist() == own[k].tolist()
                fired += int(own[k].sum())
                spikes = own[k][:spec.layers[k].neurons]
    assert fired > 20


@pytest.mark.parametrize("name", SPECS)
def test_infer_is_run_without_learning(name):
    spec = SPECS[name]
    simulator = Simulator(spec, start(spec))
    work = samples(spec, 10)
    for raster, label in work:
        simulator.run(raster, label)
    weights = [state.weights.copy() for state in simulator.layers]
    before = simulator.counters.spikes
    expected = [simulator.run(raster) for raster, _ in work]
    scores, readout, spikes = infer(spec, weights, np.stack([raster for raster, _ in work]))
    assert scores.tolist() == [z.tolist() for z, _ in expected]
    assert readout.tolist() == [o.tolist() for _, o in expected]
    assert spikes == simulator.counters.spikes - before > 0


def test_hinge_is_the_oracles():
    random, seen = np.random.RandomState(0), set()
    for _ in range(400):
        spec = replace(SPECS["hinge"], classes=int(random.randint(2, 6)), margin=int(random.randint(1, 5)))
        oracle = Oracle(spec, [])
        oracle.label, shift = int(random.randint(spec.classes)), int(random.randint(0, 3))
        values = random.randint(-12, 13, spec.classes)
        found = hinge_error(values, oracle.label, shift, spec.margin).tolist()
        assert found == oracle.error(values.tolist(), shift)
        ahead = (values[oracle.label] >> shift) - max(np.delete(values, oracle.label) >> shift)
        seen.add((int(np.sign(ahead - spec.margin)), found[oracle.label]))
    assert seen == {(-1, 127), (0, 0), (1, 0)}


def test_softmax_is_the_oracles_and_near_the_real_one():
    random = np.random.RandomState(0)
    for scale in (1, 30, 1000, 100_000):
        for classes in (2, 10, 64):
            values = random.randint(-scale, scale + 1, classes)
            found = softmax255(values, 3)
            assert found.tolist() == oracle_softmax(values.tolist(), 3)
            powers = 2.0 ** ((values >> 3) / 8 - (values.max() >> 3) / 8)
            assert np.abs(found - 255 * powers / powers.sum()).max() <= 0.03 * 255 + 2


def test_frozen_layers_keep_their_weights():
    spec = SPECS["deep"]
    simulator = Simulator(spec, start(spec))
    simulator.frozen = [True, False]
    before = [state.weights.copy() for state in simulator.layers]
    for raster, label in samples(spec, 5):
        simulator.run(raster, label)
    assert (simulator.layers[0].weights == before[0]).all()
    assert (simulator.layers[1].weights != before[1]).any()


def test_padding_stays_zero():
    spec = SPECS["odd"]
    simulator = Simulator(spec, start(spec))
    for raster, label in samples(spec, 20):
        simulator.run(raster, label)
    (state,) = simulator.layers
    assert (state.weights[:, 7] == 0).all()
    assert (state.weights[5:8] == 0).all()


def test_learns_to_tell_patterns_apart():
    spec = Learner(inputs=16, layers=[LearnLayer(neurons=32, threshold=80)], classes=4, lanes=16, period=2,
                   window_full=64, window_half=128, rate_w=8, rate_q=10)
    random = np.random.RandomState(3)
    rates = random.rand(4, 16) * 0.6
    labels = random.randint(4, size=400)
    rasters = random.rand(400, 10, 16) < rates[labels][:, None]
    simulator = Simulator(spec, start(spec))

    def correct():
        z, o, _ = infer(spec, [s.weights for s in simulator.layers], rasters[300:])
        return (z.argmax(1) == labels[300:]).mean(), (o.argmax(1) == labels[300:]).mean()
    assert correct()[0] < 0.6
    for raster, label in zip(rasters[:300], labels[:300], strict=True):
        simulator.run(raster, int(label))
    assert min(correct()) > 0.85


def test_wrong_arguments():
    spec = SPECS["one"]
    weights = start(spec)
    cases = [
        (lambda: Simulator(spec, weights, seed=0), "Seed must be between 1 and 4294967295, not 0"),
        (lambda: Simulator(spec, []), "Weights must be one array per layer, not 0 for 1"),
        (lambda: Simulator(spec, [weights[0][1:]]), "Weights must have shape (18, 8), not (17, 8)"),
        (lambda: Simulator(replace(spec, weight_bits=4), weights), "Weights must be at least -7, not -"),
        (lambda: Simulator(spec, weights).begin(3), "Label must be between 0 and 2, not 3"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            call()

from dataclasses import replace

import numpy as np
import pytest

from asic.energy import PARTS, Engine
from asic.synth import synthesise
from benchmarks.energy_learning import LearningEnergy, learner_work, learning_energy
from neurogen.flow.tools import SimulationError
from neurogen.flow.verilator import to_verilog
from neurogen.golden.learning import Simulator, random_weights
from neurogen.rtl.learning import LearnEngine
from neurogen.spec.learning import Learner, LearnLayer
from tests.asic.toy import require, toy_pdk


require("libparse", "pyosys", "verilator")
SPEC = Learner(inputs=12, layers=[LearnLayer(neurons=8, threshold=14)], classes=2, lanes=2, period=1,
               weight_bits=4, state_bits=8, window_full=10, window_half=20, rate_w=8, rate_q=9)
SAMPLES = [(np.random.RandomState(seed).rand(3, 12) < 0.4, seed % 2) for seed in (1, 2)]
WORDS = 4  # of neurons


@pytest.fixture(scope="module")
def learner(tmp_path_factory):
    folder, verilog = tmp_path_factory.mktemp("learner"), to_verilog(LearnEngine(SPEC), "learner")
    synthesise(verilog, "learner", toy_pdk(), folder, script="plain")
    return folder, verilog, Engine(folder / "netlist.json", "learner", toy_pdk())


def test_energy_of_learning_is_the_difference_that_updates_make(learner):
    folder, verilog, engine = learner
    found = learning_energy(engine, verilog, SPEC, random_weights(SPEC, 1), SAMPLES, folder, period=200e-9)
    golden = Simulator(SPEC, random_weights(SPEC, 1), seed=1)
    for raster, label in SAMPLES:
        golden.run(raster, label)
    assert found.updates == 2 * golden.counters.updates > 20
    assert found.operations[1] == 2 * golden.counters.reads
    # Errors and modulations take cycles as well.
    assert found.cycles[1] - found.cycles[0] > golden.counters.updates
    assert all(found.learning[part] > found.frozen[part] > 0 for part in PARTS)
    update, rest = found.per_update(), sum(found.frozen.values())
    assert update["total"] * found.updates == pytest.approx(sum(found.learning.values()) - rest)
    assert found.per_operation()[0] == pytest.approx(rest / found.operations[0])


@pytest.mark.parametrize("frozen", [True, False])
def test_memories_are_read_for_what_a_step_needs(learner, frozen):
    folder, verilog, engine = learner
    weights = random_weights(SPEC, 1)
    work, golden, changed = learner_work(verilog, SPEC, weights, SAMPLES, folder, frozen=frozen)
    values = engine.measure(work, period=200e-9)
    reads, writes = ({name.split(".")[0]: count for name, count in values[key].items()}
                     for key in ("reads", "writes"))
    again, steps, counters = Simulator(SPEC, weights, seed=1), 6, golden.counters
    again.frozen, firing, written = [frozen], 0, 0
    for raster, label in SAMPLES:
        again.begin(label)
        for row in raster:
            before = again.layers[0].weights.copy()
            (spikes,) = again.step(np.flatnonzero(row))
            firing += int(spikes.reshape(WORDS, 2).any(1).sum())
            written += int((again.layers[0].weights != before).reshape(-1, 2).any(1).sum())
    idle = steps + len(SAMPLES)  # whenever the engine falls idle, for a host
    least = counters.reads + counters.updates + firing * 2 * SPEC.classes + idle
    # Prototypes are gathered for words with an open window.
    assert least <= reads["weights"] <= least + (0 if frozen else steps * WORDS * SPEC.classes)
    assert reads["events"] == counters.reads and reads["potentials"] == steps * WORDS + idle
    # Words that stay as they are are not written, but for some that were clipped.
    assert written <= writes["weights"] <= written + counters.saturated and written <= changed
    assert frozen or 0 < writes["weights"] < counters.updates
    assert writes["potentials"] == (steps + len(SAMPLES)) * WORDS


def test_figures_are_those_of_the_arithmetic():
    energies = {part: float(k) for k, part in enumerate(PARTS)}
    more = {part: 10.0 + 3 * k for k, part in enumerate(PARTS)}
    found = LearningEnergy(energies, more, (10, 20), (5, 15), 4, 3)
    assert found.per_update()["logic"] == 2.5 and found.per_update()["registers"] == 3
    assert found.per_update()["total"] == (60 + 2 * 15) / 4
    assert found.per_operation() == (3.0, 105 / 15)


def test_a_learner_that_learns_something_else_has_no_energy(learner):
    folder, verilog, _ = learner
    other = replace(SPEC, modulation_shift=5)
    with pytest.raises(SimulationError, match=r"^Learner must do what the golden model does, and \d+ values"):
        learner_work(verilog, other, random_weights(SPEC, 1), SAMPLES, folder, frozen=False)


def test_samples_without_an_update_have_no_energy_of_an_update(learner):
    folder, verilog, engine = learner
    silent = [(np.zeros((1, 12), bool), 0)]
    with pytest.raises(SimulationError, match=r"^Samples must update weights, and none was updated$"):
        learning_energy(engine, verilog, SPEC, random_weights(SPEC, 1), silent, folder, period=200e-9)

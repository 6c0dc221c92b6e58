"""Area next to ReckOn's, and N-MNIST behind a frozen front end: what the programs make of what they find."""

import json

import numpy as np
import pytest

from benchmarks import learner_area, learning_nmnist
from benchmarks.learning_nmnist import NETWORK, Features, measure, pooled
from fpga.synth import CELLS
from neurogen.spec.events import Events
from tests.learning import SPECS, samples, start
from tests.rtl.learning_bench import slow_port


def test_pools_of_a_group_have_a_spike_if_one_of_their_neurons_has_one():
    def address(channel, y, x):
        return (channel * 8 + y) * 8 + x
    # Twice in a pool; at the pool's far corner; the last channel; in a step that no whole group has.
    spikes = [(0, address(2, 1, 0)), (2, address(2, 0, 1)), (3, address(2, 5, 7)), (5, address(7, 7, 7)),
              (6, address(0, 0, 0))]
    steps, index = zip(*spikes, strict=True)
    raster = pooled(Events((8, 8, 8), 7, steps, index))
    assert raster.shape == (2, 128) == (2, NETWORK.inputs)
    assert np.argwhere(raster).tolist() == [[0, 2 * 16], [1, 2 * 16 + 2 * 4 + 3], [1, 127]]


def test_last_layers_learn_patterns_and_leave_the_published_classes_alone():
    random = np.random.RandomState(3)
    rates, labels = random.rand(10, 128) * 0.5, np.arange(60) % 10
    rasters = random.rand(60, 20, 128) < rates[labels][:, None]
    found = Features(rasters, labels, np.where(labels == 4, 0, labels))
    row = measure(found, found, 0, shifts=(0, 0))
    assert row["before"] < 40 and row["z"] > 80 and row["published"] == 90.0
    assert row["rate"] == pytest.approx(100 * rasters.mean()) and row["tests"] == 60


def test_gateware_goes_on_from_what_golden_has_learnt(monkeypatch):
    spec = SPECS["one"]
    monkeypatch.setattr(learning_nmnist, "NETWORK", spec)
    monkeypatch.setattr(learning_nmnist, "simulate", slow_port)
    rasters, labels = map(np.array, zip(*((raster, 0 if label is None else label)
                                          for raster, label in samples(spec, 6, steps=6)), strict=True))
    found = Features(rasters, labels, labels)
    row = measure(found, found, 3, shifts=(0,), rtl=2)
    weights = start(spec)[0].size
    # Weights; spikes, v and e, x, z, o and two kinds of scores; eight counters, random register, sticky bits.
    assert row["compared"] == 2 * (weights + 3 * 8 + spec.rows(0) + 4 * spec.classes + 10)
    assert (row["rtl"], row["differences"]) == (2, 0)

    def other(spec):
        port = slow_port(spec)
        load = port.load
        port.load = lambda weights, seed: load([weights[0] // 2], seed=seed)
        return port
    monkeypatch.setattr(learning_nmnist, "simulate", other)
    assert measure(found, found, 3, shifts=(0,), rtl=2)["differences"] > 0


@pytest.mark.parametrize("luts, status", [(15_043, 0), (15_044, 1)])
def test_area_is_held_against_a_third_of_reckons(luts, status, monkeypatch, tmp_path):
    asked = []

    def cells(spec, memories):
        asked.append((spec, memories))
        return dict.fromkeys(CELLS, 7) | {"LUT4": luts}
    monkeypatch.setattr(learner_area, "cells", cells)
    path = tmp_path / "area.json"
    assert learner_area.main(["--json", str(path)]) == status
    spec = learner_area.CASES["256-r256-16"]
    assert asked == [(spec, False), (spec, True)]
    (layer,) = spec.layers
    assert (spec.inputs, layer.neurons, layer.recurrent, spec.classes) == (256, 256, True, 16)
    reckon, first, _ = json.loads(path.read_text())["rows"]
    assert reckon["LUT4"] == 45_129 and first["ratio"] == luts / 45_129
    assert learner_area.main(["--json", str(path), "--resume"]) == status and len(asked) == 2
    assert learner_area.main(["--json", str(path), "--resume", "--only", "digits"]) == status
    assert asked[2:] == [(learner_area.CASES["digits"], False), (learner_area.CASES["digits"], True)]
    with pytest.raises(SystemExit):
        learner_area.main(["--only", "huge"])

"""Real recordings through the accelerator: RTL equals golden. `benchmarks.real_inputs` runs more of them."""

import os
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from benchmarks import real_inputs
from benchmarks.real_cases import FILES, braille_case, cnn_case, cut, digits_case, dvs_case
from benchmarks.real_inputs import EQUALITY, SPEED, compare, measure
from neurogen.flow.data import dataset
from neurogen.flow.simulated import simulate
from neurogen.mapping.compile import compile_network
from neurogen.mapping.config import load_config
from neurogen.spec.lif import Reset


@pytest.fixture(scope="module")
def accelerators():
    """Each configuration's accelerator; translating one takes longer than running it."""
    return cache(lambda config: simulate(load_config(config)))


def equal(case, accelerators):
    whole, each_step, runner = compare(case, accelerators(case.config))
    assert whole.passed, whole.first
    assert each_step.passed, each_step.first
    neurons = sum(case.network.nodes[name].neurons for name in case.network.populations)
    assert whole.potentials >= neurons * case.rtl
    assert whole.counters > 0
    for spikes in runner.spikes:  # equal because both do nothing is no evidence
        for name in case.network.populations:
            readout = case.network.nodes[name].reset is Reset.NONE
            assert readout or len(spikes[name]), f"{name} is silent"
    return whole, each_step, runner


def test_recordings_are_there():
    """In continuous integration a folder of recordings that is named must hold them."""
    if "CI" not in os.environ or not os.environ.get("NEUROGEN_DATA"):
        pytest.skip("CI and NEUROGEN_DATA must be set")
    for name in FILES:
        assert dataset(name).is_file()


@pytest.mark.data
def test_event_camera_keeps_three_layers_busy(accelerators):
    case = dvs_case(steps=3, each_step=0)
    _, _, runner = equal(case, accelerators)
    assert len(runner.plan.passes) == 4
    for spikes in runner.spikes:
        for name in case.network.populations:
            assert 0.01 <= spikes[name].counts().mean() <= 0.2


@pytest.mark.data
def test_nmnist(accelerators):
    whole, each_step, _ = equal(cnn_case(recordings=1, rtl=1, steps=60, each_step=4), accelerators)
    assert (whole.steps, each_step.steps) == (60, 4)


@pytest.mark.data
@pytest.mark.parametrize("graph", ["bias_zero", "noBias_subtract"])
def test_braille(graph, accelerators):
    case = braille_case(graph)
    whole, each_step, runner = equal(replace(case, each_step=64), accelerators)
    assert whole.steps == 256 and each_step.steps == 64
    (output,) = case.network.outputs
    assert runner.spikes[0][output].counts().sum(0).argmax() == case.labels[0]


@pytest.mark.parametrize("config", ["mini", pytest.param("default", marks=pytest.mark.slow)])
def test_digits(config, accelerators):
    accelerator = accelerators(config)
    row = measure(digits_case(config, recordings=10, each_step=2), accelerator=accelerator)
    assert row["mismatches"] == 0
    assert set(row) <= set(EQUALITY) | set(SPEED)
    assert row["rtl"] == row["golden"]
    assert int(row["rtl"].split("/")[0]) >= 8
    # The counters cannot beat the bound, nor the lanes their number.
    assert 1 <= row["layers_per_bound"] <= row["all_per_bound"]
    assert 0 < row["sops_per_cycle"] <= row["busy"] <= accelerator.spec.sops_per_cycle


def test_a_difference_is_an_error(monkeypatch, accelerators):
    case = digits_case("mini", recordings=1, each_step=0)
    name = case.network.populations[0]
    node = replace(case.network.nodes[name], threshold=case.network.nodes[name].threshold + 1)
    wrong = replace(case.network, nodes=case.network.nodes | {name: node})
    monkeypatch.setattr(real_inputs, "compile_network",
                        lambda network, *args, **options: compile_network(wrong, *args, **options))
    with pytest.raises(RuntimeError, match=rf"^digits on 'mini': \w+ of neuron .* of '{name}' in step"):
        measure(case, accelerator=accelerators("mini"))


def test_cut():
    events = digits_case(recordings=1).events[0]
    first = cut(events, 5)
    assert np.array_equal(first.counts(), events.counts()[:5])

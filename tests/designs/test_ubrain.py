import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import designs
from designs.ubrain.cli import app
from designs.ubrain.digits import accuracy, digit_steps
from designs.ubrain.network import Config, find_config, load_layers
from designs.ubrain.process import make_graph, run_python
from designs.ubrain.top import Chip
from designs.ubrain.verify import compare_golden, make_subject, random_steps
from neurogen.flow.errors import UserError
from neurogen.flow.synth.levels import agree
from neurogen.flow.tools import SimulationError
from neurogen.golden.network import run
from neurogen.qdi import RangeError, simulate
from neurogen.spec.events import Events
from neurogen.testing.streams import simulate as simulate_clocked


STEPS = 40


@pytest.fixture(scope="module")
def layers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    return {name: load_layers(find_config(name), folder / f"{name}.nir") for name in ("tiny", "small")}


def stimulus(layers, steps=STEPS, seed=0):
    counts = np.random.default_rng(seed).random((steps, layers.inputs)) < 0.3
    tokens = [[*map(int, np.flatnonzero(row)), layers.inputs] for row in counts]
    return Events.from_counts(counts), tokens


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_python_is_the_golden_network_in_spikes_and_potentials(layers, name):
    chosen = layers[name]
    events, _ = stimulus(chosen)
    golden = run(chosen.network, {chosen.network.inputs[0]: events})
    assert len(golden.spikes["layer3"]) > 5
    compare_golden(chosen, random_steps(chosen, STEPS))


def test_recurrent_connections_matter(layers):
    chosen = layers["small"]
    events, _ = stimulus(chosen)
    golden = run(chosen.network, {chosen.network.inputs[0]: events})
    assert golden.spike_counts["layer2"].sum() > 20 and chosen.layers[1].recurrent is not None


def test_graph_gives_the_events_of_python(layers):
    chosen = layers["tiny"]
    _, tokens = stimulus(chosen)
    flat = [event for step in tokens for event in step]
    expected = list(run_python(chosen, flat))
    graph = make_graph(chosen)
    graph.verify()
    assert simulate(graph, {"events": flat}, expect=len(expected)).outputs == {"o": expected}


def test_click_circuit_gives_the_events_of_python(layers):
    """What the recurrent layer says in a step waits in its queue until the step is over."""
    subject = make_subject(layers["tiny"], random_steps(layers["tiny"], 12))
    (level,) = agree(subject.stimulus, {"click ihp": 1})
    assert level.tokens == 17


@pytest.fixture(scope="module")
def digits():
    return load_layers(find_config("digits"), Path("unused"))


def test_trained_network_computes_in_torch_what_golden_computes():
    """With room for potentials below -110, where 9 bits end: training knows no lowest one."""
    torch = pytest.importorskip("torch")
    training = pytest.importorskip("train.ubrain")
    digits = load_layers(replace(find_config("digits"), state_bits=14), Path("unused"))
    steps = digit_steps(8 * 16)
    weights = [layer.weights.T for layer in digits.layers] + [digits.layers[1].recurrent.T]
    assert all(np.abs(w).max() == 7 for w in weights) and [w.shape for w in weights[:3]] == [
        (32, 64), (16, 32), (10, 16)]
    found = run(digits.network, {digits.network.inputs[0]: Events.from_counts(steps)}).spikes
    spikes = training.simulate([torch.tensor(w / training.THRESHOLD) for w in weights],
                               torch.tensor(steps[None], dtype=torch.float64))
    for layer, expected in zip(digits.layers, spikes, strict=True):
        counts = found[layer.name].counts()
        assert counts.sum() > 20 and np.array_equal(counts, expected[0].numpy())


def test_trained_network_knows_digits(digits):
    right, count = accuracy(digits, 60)
    assert count == 60 and right >= 56


def test_addresses_of_weights_fit_however_wide_potentials_are(digits):
    """65 rows of 64 weights have more addresses than a process of 9 bits has numbers."""
    subject = make_subject(digits, digit_steps(2))
    assert max(len(node.parameters["values"]) for node in subject.stimulus.graph.blocks
               if node.kind == "rom") > 1 << digits.layers[0].lif.state_bits
    agree(subject.stimulus, {"tokens": 1})


def test_functions_are_run_with_checked_types(digits):
    lif = replace(digits.layers[0].lif, threshold=digits.layers[0].lif.threshold * 0 + 140)
    layer = replace(digits.layers[0], lif=lif, weights=np.full_like(digits.layers[0].weights, 7))
    with pytest.raises(RangeError, match=r"process\.py:\d+:\d+: .* does not fit S\[9\]"):
        list(run_python(replace(digits, layers=(layer, *digits.layers[1:])), [*range(64), 0, 64]))


def test_configurations_are_checked(tmp_path):
    path = tmp_path / "c.yaml"
    for text, message in (
            ("inputs: 4\n", "keys must be inputs, layers and any of"),
            ("inputs: 4\nlayers: 3\n", "layers must be a list of three sizes, not 3"),
            ("inputs: 0\nlayers: [1, 1, 1]\n", "Inputs must be between 1 and 4096, not 0"),
            ("inputs: 4\nlayers: [1, 1]\n", "Layers must be three sizes, not (1, 1)"),
            ("inputs: 4\nlayers: [1, 1, 1]\ndata: digits\n", "Sizes for digits must be 64 inputs"),
            ("inputs: [\n", "while parsing a flow")):
        path.write_text(text)
        with pytest.raises(UserError) as caught:
            find_config(str(path))
        assert message in str(caught.value)
    with pytest.raises(UserError, match="must be chip, digits, small, tiny or a YAML file, not huge"):
        find_config("huge")


def test_network_must_have_the_sizes_of_the_configuration(layers, tmp_path):
    load_layers(find_config("tiny"), tmp_path / "tiny.nir")
    (tmp_path / "c.yaml").write_text("inputs: 6\nlayers: [4, 5, 3]\nnetwork: tiny.nir\n")
    with pytest.raises(UserError, match=r"sizes must be those of the configuration, \(6, 4, 5, 3\), "
                                        r"not \(6, 4, 4, 3\)"):
        load_layers(find_config(str(tmp_path / "c.yaml")), tmp_path / "unused.nir")


def test_golden_is_compared_in_full(layers):
    chosen = layers["tiny"]
    level = compare_golden(chosen, random_steps(chosen, 10))
    assert level.tokens == 10 * (4 + 4 + 3 + 3)
    wrong = replace(chosen.layers[1], recurrent=chosen.layers[1].recurrent + 1)
    with pytest.raises(SimulationError, match=r"Step \d+: "):
        compare_golden(replace(chosen, layers=(chosen.layers[0], wrong, chosen.layers[2])),
                       random_steps(chosen, 40))


def test_chip_speaks_aer_on_both_sides(layers):
    chosen = layers["tiny"]
    subject = make_subject(chosen, random_steps(chosen, 3, seed=5))
    dut, received = Chip(subject.stimulus.graph), []
    expected = subject.stimulus.expected["o"]

    async def sender(ctx):
        for event in subject.stimulus.inputs["events"]:
            ctx.set(dut.i.data, event)
            for level in (1, 0):
                ctx.set(dut.i.req, level)
                while ctx.get(dut.i.ack) != level:
                    await ctx.tick()

    async def receiver(ctx):
        while len(received) < len(expected):
            for level in (1, 0):
                while ctx.get(dut.o.req) != level:
                    await ctx.tick()
                if level:
                    received.append(ctx.get(dut.o.data))
                ctx.set(dut.o.ack, level)

    simulate_clocked(dut, receiver, background=[sender], cycles=3000)
    assert received == expected


@pytest.mark.slow
def test_command_line_builds_a_chip(tmp_path):
    result = CliRunner().invoke(app, ["build", "--steps", "3", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [level["name"] for level in data["levels"]] == ["golden", "tokens", "verilog"]
    assert "i__req" in (tmp_path / "out" / "ubrain_aer.v").read_text()
    assert data["figures"]["synapses"] == "68"


def test_network_must_be_of_three_layers():
    config = Config("digits", 4, (1, 1, 1), state_bits=16, weight_bits=8,
                    network=Path(designs.__file__).parent / "networks" / "digits.nir")
    with pytest.raises(UserError, match=r"digits.nir: network must be "):
        load_layers(config, Path("unused"))

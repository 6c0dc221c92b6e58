import numpy as np
import pytest

from designs.ubrain.network import find_config, load_layers
from designs.ubrain.process import make_graph, run_python
from neurogen.flow.errors import UserError
from neurogen.golden.network import run
from neurogen.qdi import simulate
from neurogen.spec.events import Events


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
    events, tokens = stimulus(chosen)
    golden = run(chosen.network, {chosen.network.inputs[0]: events})
    potentials = {layer.name: [0] * (layer.lif.neurons + 1) for layer in chosen.layers}
    flat = iter([event for step in tokens for event in step])
    stream = run_python(chosen, flat, potentials)
    third = chosen.layers[2]
    spikes = golden.spikes[third.name]
    assert len(spikes) > 5
    for t in range(STEPS):
        found = []
        while (event := next(stream)) != third.lif.neurons:
            found.append(event)
        assert found == sorted(int(n) for n in spikes.index[spikes.t == t]), f"step {t}"
        # No layer has begun with what counts in the next step: each waits where it said the step's end.
        for layer in chosen.layers:
            assert potentials[layer.name][:-1] == golden.potentials[layer.name][t].tolist(), f"step {t}"


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


def test_configurations_are_checked(tmp_path):
    path = tmp_path / "c.yaml"
    for text, message in (
            ("inputs: 4\n", "keys must be inputs, layers and any of"),
            ("inputs: 4\nlayers: 3\n", "layers must be a list of three sizes, not 3"),
            ("inputs: 0\nlayers: [1, 1, 1]\n", "Inputs must be between 1 and 4096, not 0"),
            ("inputs: 4\nlayers: [1, 1]\n", "Layers must be three sizes, not (1, 1)"),
            ("inputs: [\n", "while parsing a flow")):
        path.write_text(text)
        with pytest.raises(UserError) as caught:
            find_config(str(path))
        assert message in str(caught.value)
    with pytest.raises(UserError, match="Configuration must be chip, small, tiny or a YAML file, not huge"):
        find_config("huge")


def test_network_must_have_the_sizes_of_the_configuration(layers, tmp_path):
    load_layers(find_config("tiny"), tmp_path / "tiny.nir")
    (tmp_path / "c.yaml").write_text("inputs: 6\nlayers: [4, 5, 3]\nnetwork: tiny.nir\n")
    with pytest.raises(UserError, match=r"sizes must be those of the configuration, \(6, 4, 5, 3\), "
                                        r"not \(6, 4, 4, 3\)"):
        load_layers(find_config(str(tmp_path / "c.yaml")), tmp_path / "unused.nir")

import numpy as np
import pytest

from neurogen.frontend.export import export_nir, read_exported
from neurogen.frontend.learnt import learnt_network
from neurogen.golden.learning import Simulator
from neurogen.golden.network import run
from neurogen.spec.events import Events
from tests.learning import SPECS, samples, start


@pytest.mark.parametrize("name", ["one", "odd", "deep", "narrow", "fptt"])
def test_spikes_and_potentials_are_those_of_the_learner(name, tmp_path):
    spec = SPECS[name]
    simulator = Simulator(spec, start(spec))
    work = samples(spec, 8)
    for raster, label in work:
        simulator.run(raster, label)
    network = learnt_network(spec, [state.weights for state in simulator.layers])
    network.check_widths()
    export_nir(network, tmp_path / "learnt.nir")
    network = read_exported(tmp_path / "learnt.nir")
    fired = 0
    for raster, _ in work[:3]:
        result = run(network, {"input": Events.from_counts(raster.astype(np.int64))})
        simulator.begin()
        for t, row in enumerate(raster):
            simulator.step(np.flatnonzero(row))
            for k, (layer, state) in enumerate(zip(spec.layers, simulator.layers, strict=True)):
                spikes = result.spikes[f"lif{k}"].counts()[t]
                assert spikes.tolist() == state.spikes[:layer.neurons].tolist()
                assert result.potentials[f"lif{k}"][t].tolist() == state.v[:layer.neurons].tolist()
                fired += int(spikes.sum())
        # One decay further than z, and rounded toward zero instead of down.
        z = simulator.layers[-1].z
        assert np.abs(result.potentials["classes"][-1] - (z - (z >> spec.trace_shift))).max() \
            <= 1 << spec.trace_shift
    assert fired > 10


def test_readout_takes_its_own_weights():
    spec = SPECS["one"]
    weights = start(spec)
    weights[0][-spec.classes:] = 3
    network = learnt_network(spec, weights, classes="readout")
    assert (network.nodes["dense_classes"].weight == 3).all()
    with pytest.raises(ValueError, match=r"^Classes must be 'prototypes' or 'readout', not 'both'$"):
        learnt_network(spec, weights, classes="both")
    with pytest.raises(ValueError, match=r"^Weights must have shape \(18, 8\), not \(17, 8\)$"):
        learnt_network(spec, [weights[0][1:]])

"""The quantiser: rounding, scales, widths, refusals, and what it reports."""

import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from neurogen.flow.terminal import quantisation_table
from neurogen.frontend.discretise import discretise
from neurogen.frontend.graph import Edge, FloatConv, FloatDense, FloatLif, FloatNetwork, Input, Reset
from neurogen.frontend.nir_file import read_nir
from neurogen.frontend.quantise import QuantisationError, quantise
from neurogen.frontend.simulate import simulate
from neurogen.golden.network import run
from neurogen.spec.events import Events


LIF = FloatLif(shape=(2,), threshold=1.0)
WEIGHT = np.array([[0.5, -1.27], [0.25, 0.1]])


def network(lif=LIF, weight=WEIGHT, bias=0.0, *, loop=None, **metadata):
    """Return one input, one layer of synapses, one population; with ``loop``, recurrent synapses."""
    nodes = {"in": Input(shape=(np.shape(weight)[1],)), "fc": FloatDense(weight=weight, bias=bias),
             "lif": lif}
    edges = [Edge("in", "fc"), Edge("fc", "lif")]
    if loop is not None:
        nodes["loop"] = FloatDense(weight=loop)
        edges += [Edge("lif", "loop", 1), Edge("loop", "lif")]
    return FloatNetwork(nodes, tuple(edges), ("lif",), metadata)


def random_float(seed, *, fraction=0.5, **options):
    """Return a recurrent network whose weights are integers of 6 bits times 1/32."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-31, 32, (2, 12, 12)) / 32
    weights[:, 0, 0] = 31 / 32
    # Thresholds between two integers: the strict float rule and the integer one then agree.
    threshold = (rng.integers(20, 60, 12) + fraction) / 32
    return network(FloatLif(shape=(12,), threshold=threshold, **options), weights[0], loop=weights[1])


def events(seed, shape=(12,), steps=40, density=0.3):
    rng = np.random.default_rng(seed)
    return Events.from_counts((rng.random((steps, *shape)) < density).astype(int))


# -- Rounding ------------------------------------------------------------------------------------------

def test_weights_are_rounded_to_nearest_with_ties_to_even():
    weight = np.array([[1.5, 2.5, -0.5, -1.5, 127.0, 3.49]]).T
    lif = FloatLif(shape=(6,), threshold=10.0)
    result, report = quantise(network(lif, weight), weight_bits=8)
    assert result.nodes["fc"].weight.ravel().tolist() == [2, 2, 0, -2, 127, 3]
    assert report.layers[0].scale == (1.0,)
    assert report.layers[0].max_error == 0.5


@pytest.mark.parametrize("bits", range(2, 9))
def test_the_largest_weight_takes_the_largest_integer(bits):
    result, report = quantise(network(), weight_bits=bits)
    limit = 2 ** (bits - 1) - 1
    assert np.abs(result.nodes["fc"].weight).max() == limit
    assert report.layers[0].scale == (1.27 / limit,)
    assert report.layers[0].clipped == 0


@pytest.mark.parametrize(("strict", "threshold", "expected"), [
    (True, 10.0, 11), (True, 10.5, 11), (False, 10.0, 10), (False, 10.5, 11), (True, 0.25, 1),
    (False, 0.25, 1)])
def test_thresholds_keep_the_comparison(strict, threshold, expected):
    lif = replace(LIF, threshold=threshold, strict=strict)
    result, _ = quantise(network(lif, np.eye(2) * 127))
    assert int(result.nodes["lif"].threshold) == expected


def test_fraction_bits_scale_all_but_the_weights():
    lif = replace(LIF, threshold=10.3, bias=-2.2, reset=Reset.ZERO, reset_value=1.4, initial=0.6)
    result, _ = quantise(network(lif, np.eye(2) * 127, bias=np.array([0.5, -0.25])), fraction_bits=2)
    found = result.nodes["lif"]
    assert [int(getattr(found, k)) for k in ("threshold", "bias", "reset_value", "initial")] == [42, -9, 6, 2]
    assert result.nodes["fc"].bias.tolist() == [2, -1]
    assert result.nodes["fc"].weight.max() == 127


@pytest.mark.parametrize(("bits", "expected"), [(12, 3482), (8, 3488), (1, 4096)])
def test_decays_have_the_bits_asked_for(bits, expected):
    result, _ = quantise(network(replace(LIF, decay=0.85)), decay_bits=bits)
    assert int(result.nodes["lif"].decay) == expected


# -- Scales --------------------------------------------------------------------------------------------

def test_scales_per_neuron_of_a_vector():
    result, report = quantise(network(), scale="neuron")
    assert report.layers[0].scale == (1.27 / 127, 0.25 / 127)
    assert result.nodes["fc"].weight.tolist() == [[50, -127], [127, 51]]
    assert result.nodes["lif"].threshold.tolist() == [101, 509]
    assert quantise(network(), scale="channel")[0].digest != result.digest


def test_scales_per_channel_of_a_map():
    weight = np.array([1.0, 0.5]).reshape(2, 1, 1, 1) * np.array([[[1.0, -0.5, 0.0]] * 3])
    nodes = {"in": Input(shape=(1, 5, 5)), "conv": FloatConv(weight=weight, padding=(1, 1)),
             "lif": FloatLif(shape=(2, 5, 5), threshold=1.0)}
    net = FloatNetwork(nodes, (Edge("in", "conv"), Edge("conv", "lif")), ("lif",))
    result, report = quantise(net, scale="channel", weight_bits=4)
    assert report.layers[0].scale == (1 / 7, 0.5 / 7)
    assert np.array_equal(result.nodes["conv"].weight[0], result.nodes["conv"].weight[1])
    assert result.nodes["lif"].threshold.tolist() == [8, 15]
    assert result.nodes["conv"].padding == (1, 1)


def test_given_scales_are_taken():
    result, _ = quantise(network(), scale={"lif": [0.02, 0.01]})
    assert result.nodes["fc"].weight.tolist() == [[25, -64], [25, 10]]


def test_a_neuron_without_weights_keeps_a_threshold():
    result, _ = quantise(network(weight=np.array([[1.27, 0.3], [0.0, 0.0]])), scale="neuron")
    assert result.nodes["fc"].weight[1].tolist() == [0, 0]
    assert result.nodes["lif"].threshold.tolist() == [101, 101]


def test_all_synapses_of_a_population_share_its_scale():
    result, _ = quantise(network(loop=np.full((2, 2), 2.54)))
    assert result.nodes["loop"].weight.max() == 127
    assert result.nodes["fc"].weight.min() == -64
    assert Edge("lif", "loop", 1) in result.edges


def test_clipping_lowers_the_error_of_weights_with_outliers():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(2, 400)) * 0.1
    weight[0, 0] = 1.0
    layers = {clip: quantise(network(weight=weight), weight_bits=4, clip=clip)[1].layers[0]
              for clip in ("max", "mse", 99.0)}
    assert layers["max"].clipped == 0
    assert 0 < layers["mse"].clipped <= 8 == layers[99.0].clipped
    assert layers["mse"].rms_error < 0.7 * layers["max"].rms_error
    assert layers["mse"].rms_error <= layers[99.0].rms_error
    assert layers["max"].sqnr_db < layers["mse"].sqnr_db


def test_the_scale_with_the_fewest_wrong_spikes_is_found():
    net = random_float(3)
    recordings = [events(seed) for seed in range(2)]
    plain = quantise(net, weight_bits=3, calibration=recordings)[1].layers[0]
    best = quantise(net, weight_bits=3, clip="events", calibration=recordings)[1].layers[0]
    assert best.spikes_differing < plain.spikes_differing


# -- Behaviour -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("options", [{"reset": "zero"}, {"reset": "zero", "decay": 0.0},
                                     {"reset": "subtract"}])
@pytest.mark.parametrize("seed", range(4))
def test_what_integers_can_hold_is_kept_exactly(seed, options):
    # Thresholds are integers and the comparison is >=, so that subtraction leaves integers.
    net = random_float(seed, fraction=0.0, strict=False, **options)
    recording = events(seed)
    result, report = quantise(net, weight_bits=6, guard=50, calibration=[recording])
    (layer,) = report.layers
    assert (layer.spikes_differing, layer.guard_hits, layer.sqnr_db) == (0, 0, None)
    assert layer.spikes_float == layer.spikes_integer > 20
    found = run(result, {"in": recording}).potentials["lif"]
    expected = simulate(net, {"in": recording.counts()}).potentials["lif"]
    assert np.array_equal(found, 32 * expected * (0 if "decay" in options else 1))


@pytest.mark.parametrize("cuba", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_leaky_neurons_are_close_and_closer_with_fraction_bits(seed, cuba):
    net = random_float(seed, reset="zero", decay=0.9, synapse_decay=0.6 if cuba else None)
    recordings = [events(seed + i) for i in range(3)]
    layers = [quantise(net, weight_bits=8, fraction_bits=f, guard=50, calibration=recordings)[1].layers[0]
              for f in (0, 6)]
    assert layers[1].spikes_differing <= layers[0].spikes_differing < 0.25 * layers[0].spikes_float
    assert layers[1].spikes_float > 50


def test_a_lower_clamp_is_kept():
    lif = FloatLif(shape=(12,), threshold=1.0, decay=0.75, v_lo=-1.0, reset="zero")
    net = random_float(0)
    net = FloatNetwork(net.nodes | {"lif": lif}, net.edges, net.outputs)
    recording = events(1)
    result, report = quantise(net, weight_bits=6, fraction_bits=8, calibration=[recording])
    assert result.nodes["lif"].v_lo == -(32 << 8) * 3 // 4
    assert report.layers[0].guard_hits > 0
    assert report.layers[0].spikes_differing == 0


def test_an_output_that_is_late_in_float_is_compared_in_step():
    net = random_float(0, reset="zero", latency=1)
    net = replace(net, edges=(*net.edges[:2], Edge("lif", "loop", 2), net.edges[3]))
    result, report = quantise(net, weight_bits=6, calibration=[events(0)], guard=50)
    assert report.layers[0].spikes_differing == 0
    assert result.metadata["output_latency"] == {"lif": 1}


# -- Widths --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("options", [{}, {"reset": "zero", "decay": 0.9},
                                     {"decay": 0.8, "synapse_decay": 0.5},
                                     {"threshold": np.inf, "reset": "none", "decay": 0.9},
                                     {"threshold": np.inf, "reset": "none"}])
def test_the_guard_band_fills_the_width(options):
    net = network(replace(LIF, **options), loop=WEIGHT[::-1])
    automatic, report = quantise(net)
    bits = automatic.nodes["lif"].state_bits
    assert report.layers[0].comfortable_bits == bits
    for width in (bits, bits + 3):
        result, _ = quantise(net, state_bits=width)
        proof = result.check_widths()["lif"]
        assert (proof.low, proof.high) == (-1 << (width - 1), (1 << (width - 1)) - 1)
        assert proof.bits == width
        assert result.nodes["lif"].v_lo < 0 < result.nodes["lif"].v_hi


def test_a_smaller_width_has_a_smaller_guard_until_a_threshold_no_longer_fits():
    net = network(replace(LIF, decay=0.9), loop=WEIGHT[::-1])
    bits = quantise(net, guard=8)[0].nodes["lif"].state_bits
    smallest = quantise(net, guard=1)[0].nodes["lif"].state_bits
    assert smallest < bits
    assert quantise(net, state_bits=smallest)[0].nodes["lif"].v_hi >= 100 * 0.9 - 1
    with pytest.raises(QuantisationError) as caught:
        quantise(net, state_bits=smallest - 1)
    assert str(caught.value) == (
        f"Node 'lif': state width must be at least {smallest} bits for its weights and thresholds, not "
        f"{smallest - 1}; use fewer fraction or weight bits, or state_bits='auto'")


def test_given_guards_are_taken_or_refused():
    guards = {"lif": {"v_lo": -300, "v_hi": 200}}
    lif = quantise(network(), guards=guards)[0].nodes["lif"]
    assert (lif.v_lo, lif.v_hi, lif.state_bits) == (-300, 200, 10)
    with pytest.raises(QuantisationError, match=r"^Node 'lif': state width must be at least 10 bits"):
        quantise(network(), guards=guards, state_bits=9)


def test_no_sum_of_any_width_wraps():
    net = random_float(5, decay=0.9, synapse_decay=0.9)
    for bits in range(quantise(net, guard=1)[0].nodes["lif"].state_bits, 20):
        result, _ = quantise(net, state_bits=bits)
        run(result, {"in": events(0, density=1.0)})  # golden raises where a sum does not fit


def test_several_spikes_a_step_that_no_width_holds_are_refused():
    lif = FloatLif(shape=(2,), threshold=0.01, multi_spike=True)
    with pytest.raises(QuantisationError) as caught:
        quantise(network(lif, loop=WEIGHT))
    assert str(caught.value) == ("Node 'lif': no state width up to 32 bits holds its potentials; use fewer "
                                 "fraction or weight bits, or one spike per step")


# -- Refusals ------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("change", "message"), [
    ({"double_threshold": True}, ("the integer contract has no snnTorch's double threshold; import with "
                                  "plain subtraction (rule 'norse')")),
    ({"reset_delayed": True}, ("the integer contract has no reset one step late; import with a reset in the "
                              "same step (rule 'norse' or 'snntorch')")),
    ({"old_current": True, "synapse_decay": 0.5},
     ("the integer contract has no membranes that take the current of the step before; import with the new "
     "current (rule 'norse' or 'snntorch')")),
    ({"decay_rounding": "floor"}, ("the integer contract has no decays that round toward minus infinity; "
                                  "import with decays that round toward zero (rule 'lava')")),
    ({"threshold": 1e12}, ("every parameter must be below 2**31 steps of its potential, not 1e+14; use fewer "
                          "fraction or weight bits")),
])
def test_what_the_contract_cannot_keep_is_refused(change, message):
    with pytest.raises(QuantisationError) as caught:
        quantise(network(replace(LIF, **change)))
    assert str(caught.value) == f"Node 'lif': {message}"


@pytest.mark.parametrize(("weight", "bias", "message"), [
    (WEIGHT, 1e30, ("Node 'fc': every parameter must be below 2**31 steps of its potential, not 1e+32; use "
                    "fewer fraction or weight bits")),
    (WEIGHT, np.inf, ("Node 'fc': every parameter must be below 2**31 steps of its potential, not inf; use "
                      "fewer fraction or weight bits")),
    (np.array([[np.inf, 1.0]]).T, 0.0, "Node 'lif' must receive finite weights"),
])
def test_numbers_beyond_all_widths_are_refused(weight, bias, message):
    with pytest.raises(QuantisationError) as caught:
        quantise(network(weight=weight, bias=bias))
    assert str(caught.value) == message


def test_parameters_that_differ_within_a_channel_are_refused():
    threshold = np.ones((1, 3, 3))
    threshold[0, 1, 1] = 2
    nodes = {"in": Input(shape=(1, 3, 3)), "conv": FloatConv(weight=np.ones((1, 1, 1, 1))),
             "lif": FloatLif(shape=(1, 3, 3), threshold=threshold)}
    net = FloatNetwork(nodes, (Edge("in", "conv"), Edge("conv", "lif")), ("lif",))
    with pytest.raises(QuantisationError) as caught:
        quantise(net)
    assert str(caught.value) == "Node 'lif': threshold must be the same for all neurons of a channel"


def test_a_synapse_of_two_populations_is_refused():
    net = network()
    net = FloatNetwork(net.nodes | {"other": LIF}, (*net.edges, Edge("fc", "other")), ("lif", "other"))
    with pytest.raises(QuantisationError) as caught:
        quantise(net)
    assert str(caught.value) == ("Node 'fc' must feed one population, as its weights take that population's "
                                 "scale; give each population its own copy")


def test_a_kernel_that_the_contract_lacks_is_refused():
    nodes = {"in": Input(shape=(1, 9, 9)), "conv": FloatConv(weight=np.ones((1, 1, 9, 9))),
             "lif": FloatLif(shape=(1, 1, 1), threshold=1.0)}
    net = FloatNetwork(nodes, (Edge("in", "conv"), Edge("conv", "lif")), ("lif",))
    with pytest.raises(QuantisationError) as caught:
        quantise(net)
    assert str(caught.value) == "Node 'conv': Kernel size must be one of 1, 3, 5, 7, not 9"


@pytest.mark.parametrize(("options", "message"), [
    ({"weight_bits": 9}, "Weight width must be between 2 and 8 bits, not 9"),
    ({"scale": "tensor"}, "Scale must be one of 'layer', 'channel', 'neuron', not 'tensor'"),
    ({"scale": -1.0}, "Scale of 'lif' must be above 0, of shape () or (2,), not -1.0"),
    ({"clip": 20}, "Clip must be a percentile between 50 and 100, not 20"),
    ({"clip": "events"}, "Clip 'events' needs calibration events"),
    ({"guard": 0.5}, "Guard must be at least 1 threshold, not 0.5"),
    ({"decay_bits": 13}, "Decay width must be between 1 and 12 bits, not 13"),
    ({"state_bits": {"other": 12}}, "State width must have a value for population 'lif'"),
])
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError) as caught:
        quantise(network(), **options)
    assert str(caught.value) == message


# -- Report --------------------------------------------------------------------------------------------

def test_the_report_is_json_and_a_table():
    result, report = quantise(network(), calibration=[events(0, (2,))])
    (layer,) = json.loads(json.dumps(report.to_dict()))["layers"]
    assert layer["name"] == "lif"
    assert layer["synapses"] == ["fc"]
    assert (layer["positive"], layer["negative"]) == (50, -127)
    assert layer["weights"] == 4
    console = Console(width=200)
    with console.capture() as capture:
        console.print(quantisation_table(report))
    assert "lif" in capture.get()
    assert "-127 … 50" in capture.get()
    assert result.metadata["quantisation"]["populations"]["lif"]["weight_bits"] == 8


def test_metadata_does_not_name_folders():
    result, _ = quantise(network(source="some/folder/net.nir", rule="norse"))
    assert result.metadata["source"] == "net.nir"
    assert result.metadata["rule"] == "norse"


@pytest.mark.data
@pytest.mark.parametrize(("name", "rule", "reset", "spikes", "widths"), [
    ("bias_zero", "norse", None, 118, [17, 16]),
    ("noBias_subtract", "norse", "subtract", 120, [19, 17])])
def test_braille_at_8_bits_per_neuron(name, rule, reset, spikes, widths, data_dir):
    graph = read_nir(data_dir / "nir" / f"03_rnn__braille_noDelay_{name}.nir")
    with np.load(data_dir / "nir" / "braille_sample0.npz") as sample:
        recording = Events.from_counts(sample["input"])
    net = discretise(graph, rule, 1e-4, reset)
    _, report = quantise(net, weight_bits=8, scale="neuron", fraction_bits=4, calibration=[recording])
    _, coarse = quantise(net, weight_bits=8, scale="layer", fraction_bits=4, calibration=[recording])
    hidden, output = report.layers
    assert [layer.state_bits for layer in report.layers] == widths
    assert hidden.spikes_float == spikes
    assert abs(hidden.spikes_integer - spikes) <= 0.1 * spikes
    assert hidden.sqnr_db > coarse.layers[0].sqnr_db + 5
    assert output.spikes_integer > 0


def test_a_width_that_is_too_small_may_be_clipped():
    """Only where it is asked for and needed: the others keep their proof."""
    lif = replace(LIF, reset="zero")
    small, large = network(lif), network(lif, WEIGHT * np.array([[40.0], [0.2]]))
    narrow, report = quantise(small, weight_bits=8, state_bits=9, saturate=True)
    assert not narrow.nodes["lif"].saturate and not report.layers[0].saturate
    with pytest.raises(QuantisationError, match=r"^Node 'lif': state width must be at least"):
        quantise(large, weight_bits=8, state_bits=8)
    clipped, report = quantise(large, weight_bits=8, state_bits=8, saturate=True)
    found = clipped.nodes["lif"]
    assert found.saturate and report.layers[0].saturate and clipped.proof("lif").bits > 8
    assert (found.state_bits, found.v_lo, found.v_hi) == (8, -128, 127)
    assert not quantise(large, weight_bits=8, saturate=True)[0].nodes["lif"].saturate  # "auto" finds a width

"""From a graph to a float network: neurons against hand-written loops, structure, refusals."""

import math

import numpy as np
import pytest

from neurogen.frontend.discretise import discretise
from neurogen.frontend.graph import FloatConv, FloatDense, FloatLif, Input, Reset, SumPool
from neurogen.frontend.nir_file import NirError, read_nir
from neurogen.frontend.rules import RULES, Rule
from neurogen.frontend.simulate import simulate
from tests.frontend.graphs import braille, conv, cuba, integrate_and_fire, lif, write_nir


def network(tmp_path, nodes, edges=None, rule="euler", **options):
    return discretise(read_nir(write_nir(tmp_path / "g.nir", nodes, edges), isolated=False), rule, **options)


def refuse(tmp_path, nodes, message, edges=None, **options):
    with pytest.raises(NirError) as caught:
        network(tmp_path, nodes, edges, **options)
    assert str(caught.value) == f"{tmp_path / 'g.nir'}: {message}"


def vector(n, node, weight=None, bias=None):
    """Return a chain Input(2) -> Affine -> node -> Output(n)."""
    weight = np.arange(1.0, 2 * n + 1).reshape(n, 2) / 10 if weight is None else weight
    return {"in": ("Input", {"shape": [2]}),
            "w": ("Affine", {"weight": weight, "bias": np.full(n, 0.05) if bias is None else bias}),
            "n": node, "out": ("Output", {"shape": [n]})}


def random_events(shape, steps=60, seed=3):
    return np.random.default_rng(seed).integers(0, 2, (steps, *shape)).astype(float)


DT = 1e-3


@pytest.mark.parametrize("rule", [r for r in RULES if r != "lava_fixed"])  # integers: see test_traces
def test_lif_is_the_equation_of_its_rule(tmp_path, rule):
    """Scalar loops with the physical parameters, gain and leak unfolded, per rule."""
    tau, r, leak, threshold = 0.008, 3.0, 0.2, 0.3
    net = network(tmp_path, vector(3, lif(3, tau, r, leak, threshold)), rule=rule, dt=DT)
    x = random_events((2,))
    run = simulate(net, {"in": x})
    weight, spec = net.nodes["w"].weight, RULES[rule]
    drive = x @ (np.arange(1.0, 7).reshape(3, 2) / 10).T
    if spec.synapse_delay:
        drive = np.vstack([np.zeros((1, 3)), drive[:-1]])
    a = DT / tau
    factor = math.exp(-a) if spec.leak == "exp" else 1 - a
    gain = 1 - factor if spec.gain == "zoh" else a
    assert weight[0, 1] == pytest.approx(0.2 * r * gain)
    fired = 0
    for n in range(3):
        v, z_before, out = 0.0, 0, []
        for t in range(len(x)):
            before = v
            v = factor * v + r * gain * (drive[t, n] + 0.05) + (1 - factor) * leak
            if spec.reset_delayed:
                v -= z_before * threshold
            z = 0
            if rule == "sinabs":
                while v >= threshold:
                    v, z = v - threshold, z + 1
            elif v > threshold:
                z = 1
                if spec.reset is Reset.ZERO:
                    v = 0.0
                elif not spec.reset_delayed:
                    v -= threshold
            assert not spec.double_threshold or before <= threshold
            z_before = z
            out.append(z)
            assert run.potentials["n"][t, n] == pytest.approx(v, abs=1e-12)
        latency = spec.latency
        assert run.spikes["n"][latency:, n].tolist() == out[:len(out) - latency]
        fired += sum(out)
    assert fired > 10


def test_cuba_with_gains_and_leak_is_the_two_equations(tmp_path):
    tau_s, tau_m, r, leak, w_in = 0.004, 0.009, 2.5, 0.1, 1.7
    net = network(tmp_path, vector(3, cuba(3, tau_s, tau_m, r, leak, w_in, 0.4)), dt=DT)
    x = random_events((2,))
    run = simulate(net, {"in": x})
    drive = x @ (np.arange(1.0, 7).reshape(3, 2) / 10).T + 0.05
    i, v = np.zeros(3), np.zeros(3)
    for t in range(len(x)):
        i = (1 - DT / tau_s) * i + w_in * DT / tau_s * drive[t]
        v = (1 - DT / tau_m) * v + DT / tau_m * (leak + r * i)
        z = v > 0.4
        v = np.where(z, 0.0, v)
        np.testing.assert_allclose(run.potentials["n"][t], v, atol=1e-12)
        assert run.spikes["n"][t].tolist() == z.tolist()
    assert run.spikes["n"].sum() > 10


def test_gains_that_differ_within_a_channel_scale_the_neuron(tmp_path):
    rng = np.random.default_rng(5)
    r = rng.uniform(0.5, 2, (2, 3, 3))
    nodes = {"in": ("Input", {"shape": [1, 3, 3]}),
             "c": conv(rng.normal(size=(2, 1, 3, 3)), [0.1, 0.2], padding=1),
             "n": ("IF", {"r": r, "v_threshold": np.full(r.shape, 1.5)}),
             "out": ("Output", {"shape": [2, 3, 3]})}
    net = network(tmp_path, nodes)
    x = random_events((1, 3, 3), 30)
    run = simulate(net, {"in": x})
    silent = network(tmp_path, nodes | {"n": integrate_and_fire(r.shape, threshold=1e9)})
    total = simulate(silent, {"in": x}).potentials["n"]
    v = np.zeros(r.shape)
    for t in range(len(x)):
        v += r * (total[t] - (total[t - 1] if t else 0))
        z = v > 1.5
        v[z] = 0
        np.testing.assert_allclose(run.potentials["n"][t], v, atol=1e-9)
        assert (run.spikes["n"][t] == z).all()
    assert run.spikes["n"].sum() > 5
    np.testing.assert_allclose(net.nodes["n"].threshold, 1.5 / r)


def test_structure_is_that_of_the_integer_network(tmp_path):
    net = discretise(read_nir(braille(tmp_path / "b.nir"), isolated=False), "norse", dt=DT)
    kinds = {name: type(node) for name, node in net.nodes.items()}
    assert kinds["conv"] is FloatConv and kinds["pool"] is SumPool and kinds["fc1"] is FloatDense
    delays = {(e.source, e.target): e.delay for e in net.edges if e.delay}
    assert delays == {("rec.lif", "rec.w"): 1, ("rec.lif", "fc2"): 2}  # recurrent; the Delay of 2 ms
    np.testing.assert_allclose(net.nodes["fc2"].weight.shape, (2, 5))
    assert net.outputs == ("li",) and net.nodes["li"].reset is Reset.NONE
    assert net.metadata["rule"] == "norse" and net.metadata["dt"] == DT
    assert any("recurrent" in note for note in net.metadata["notes"])


def test_neurons_without_synapses_between_them_get_an_identity(tmp_path):
    nodes = {"in": ("Input", {"shape": [2, 3, 3]}), "a": integrate_and_fire((2, 3, 3)),
             "flat": ("Flatten", {"start_dim": 0, "end_dim": -1}),
             "t": ("Threshold", {"threshold": np.full(18, 0.5)}),
             "out": ("Output", {"shape": [18]})}
    net = network(tmp_path, nodes, rule="sinabs")
    x = random_events((2, 3, 3))
    run = simulate(net, {"in": x})
    assert net.nodes["t"].decay == 0 and net.nodes["t"].shape == (2, 3, 3)
    assert (run.spikes["t"] == run.spikes["a"]).all() and run.spikes["a"].sum() == x.sum()


def test_streams_with_different_scales_share_a_bias_once(tmp_path):
    nodes = {"in": ("Input", {"shape": [2]}), "s": ("Scale", {"scale": np.array([3.0, 5.0])}),
             "w": ("Affine", {"weight": np.eye(2), "bias": np.array([0.5, 0.25])}),
             "out": ("Output", {"shape": [2]})}
    net = network(tmp_path, nodes, [("in", "s"), ("in", "w"), ("s", "w"), ("w", "out")])
    run = simulate(net, {"in": np.ones((3, 2))})
    np.testing.assert_allclose(run.potentials["out"], [[4.5, 6.25]] * 3)


def test_leak_of_a_neuron_alone_makes_it_fire(tmp_path):
    net = network(tmp_path, vector(1, lif(1, 0.01, 1.0, leak=1.2), np.zeros((1, 2)), np.zeros(1)), dt=DT)
    spikes = simulate(net, {"in": np.zeros((100, 2))}).spikes["n"][:, 0]
    period = math.ceil(math.log(1 - 1 / 1.2) / math.log(0.9))
    assert np.flatnonzero(spikes).tolist() == list(range(period - 1, 100, period))


def test_batches_are_runs_side_by_side(tmp_path):
    net = discretise(read_nir(braille(tmp_path / "b.nir"), isolated=False), dt=DT)
    x = np.stack([random_events((2, 6, 6), 20, seed) for seed in range(3)])
    together = simulate(net, {"input": x})
    for k in range(3):
        alone = simulate(net, {"input": x[k]})
        for name in net.populations:
            np.testing.assert_allclose(together.potentials[name][k], alone.potentials[name], atol=1e-12)
    assert together.spikes["if1"].sum() > 100


def test_dt_is_inferred_from_the_exporters_convention(tmp_path):
    for rule, r in (("snntorch", 20.0), ("rockpool", 19.0)):
        net = network(tmp_path, vector(2, lif(2, 0.01, r)), rule=rule, dt="infer")
        assert net.metadata["dt"] == pytest.approx(5e-4)
    refuse(tmp_path, vector(2, lif(2, 0.01, 1.0)),
           "node 'n' (LIF): r must be tau / dt to infer dt from it, and 1 is no number of "
           "steps; give dt in seconds", dt="infer")


@pytest.mark.parametrize(("node", "message", "options"), [
    (lif(2), ("node 'n' (LIF): has a time constant: dt must be given in seconds (or 'infer'), for tau of "
              "0.01 s"), {}),
    (lif(2), "node 'n' (LIF): tau must be at least dt = 0.02 s for an Euler step, not 0.01 s", {"dt": 0.02}),
    (lif(2, tau=0), "node 'n' (LIF): tau must be above 0 seconds, not 0", {"dt": DT}),
    (lif(2, threshold=0.0), "node 'n' (LIF): v_threshold must be above 0, not 0", {"dt": DT}),
    (lif(2, v_reset=1.0), "node 'n' (LIF): v_reset must be below v_threshold", {"dt": DT}),
    (lif(2, v_reset=-1.0), "node 'n' (LIF): v_reset must be 0 for reset by subtraction; give reset='zero'",
     {"dt": DT, "reset": "subtract"}),
    (lif(2), "dt must be a number of seconds above 0, 'infer' or None, not -1", {"dt": -1}),
])
def test_neurons_that_cannot_be_kept_are_refused_by_name(tmp_path, node, message, options):
    refuse(tmp_path, vector(2, node), message, **options)


def test_linear_cycles_and_chains_are_refused_by_name(tmp_path):
    square = {"weight": np.eye(2)}
    nodes = {"in": ("Input", {"shape": [2]}), "a": ("Linear", square), "b": ("Linear", square),
             "out": ("Output", {"shape": [2]})}
    refuse(tmp_path, nodes, "node 'a' (Linear): is in or behind a cycle that holds no population",
           [("in", "a"), ("a", "b"), ("b", "a"), ("b", "out")])
    maps = {"in": ("Input", {"shape": [1, 4, 4]}), "a": conv(np.ones((1, 1, 3, 3)), padding=1),
            "b": conv(np.ones((1, 1, 3, 3)), padding=1), "out": ("Output", {"shape": [1, 4, 4]})}
    refuse(tmp_path, maps, "node 'b' (Conv2d): must have a population between it and 'a'")
    refuse(tmp_path, {"in": ("Input", {"shape": [2]}), "a": ("Linear", square)},
           "Network must have at least one output")
    refuse(tmp_path, {"in": ("Input", {"shape": [2]}), "d": ("Delay", {"delay": [1.0, 2.0]}),
                      "n": integrate_and_fire(2), "out": ("Output", {"shape": [2]})},
           "node 'd' (Delay): delay must be one value of at least 0 for all neurons")


def test_chained_dense_layers_are_multiplied(tmp_path):
    a, b = np.array([[1.0, 2], [3, 4], [5, 6]]), np.array([[1.0, -1, 2]])
    nodes = {"in": ("Input", {"shape": [2]}), "a": ("Affine", {"weight": a, "bias": np.ones(3)}),
             "b": ("Linear", {"weight": b}), "i": ("I", {"r": [2.0]}), "out": ("Output", {"shape": [1]})}
    net = network(tmp_path, nodes)
    np.testing.assert_allclose(net.nodes["b"].weight, 2 * b @ a)
    np.testing.assert_allclose(net.nodes["b"].bias, [4.0])
    assert [type(n) for n in net.nodes.values()] == [Input, FloatDense, FloatLif]


def test_rules_have_names_or_are_given(tmp_path):
    with pytest.raises(NirError, match=r"^Discretisation must be one of 'euler', 'snntorch'.*, not 'brian'$"):
        network(tmp_path, vector(2, lif(2)), rule="brian")
    own = Rule(name="mine", leak="exp", gain="zoh", reset="subtract", latency=1)
    net = network(tmp_path, vector(2, lif(2)), rule=own, dt=DT)
    assert net.nodes["n"].latency == 1 and net.nodes["n"].decay == pytest.approx(math.exp(-0.1))


@pytest.mark.parametrize(("strict", "counts"), [(True, [0, 0, 1, 2]), (False, [0, 1, 2, 2])])
def test_a_potential_at_the_threshold_fires_only_when_not_strict(tmp_path, strict, counts):
    rule = Rule(name="mine", reset="subtract", strict=strict, multi_spike=True)
    nodes = {"in": ("Input", {"shape": [4]}), "n": integrate_and_fire(4, threshold=2.0),
             "out": ("Output", {"shape": [4]})}
    run = simulate(network(tmp_path, nodes, rule=rule), {"in": np.array([[1.0, 2, 4, 5]])})
    assert run.spikes["n"].tolist() == [counts]
    single = Rule(name="mine", reset="subtract", strict=strict)
    run = simulate(network(tmp_path, nodes, rule=single), {"in": np.array([[1.0, 2, 4, 5]])})
    assert run.spikes["n"].tolist() == [[min(1, n) for n in counts]]


def test_weights_that_overflow_are_refused_by_name(tmp_path):
    refuse(tmp_path, vector(2, integrate_and_fire(2, r=1e300), np.full((2, 2), 1e300)),
           "node 'w' (Affine): must have finite weights after the gain of 'n'")
    nodes = vector(2, integrate_and_fire(2), np.full((2, 2), 1e300))
    with pytest.raises(NirError, match=r"^Population 'n' must fire at most 65535 times in a step; "
                                       r"its potentials diverge$"):
        simulate(network(tmp_path, nodes, rule="sinabs"), {"in": np.ones((2, 2))})

import numpy as np

from neurogen.golden.learning import Simulator
from neurogen.golden.learning_float import (
    FloatLayer,
    initial_state,
    label_targets,
    softmax,
    step,
    trace_targets,
)
from neurogen.spec.learning import Learner, LearnLayer


# torch 2.13, float64: autograd of `cross_entropy` of the sixth step of `_run`, all states before it detached,
# the spike replaced by a function with the triangle as its derivative.
LOSS = 1.9673088994321923
GRADIENT = [[0.0, 0.0, 0.0], [0.0, 0.107737184483, 0.06193986253], [0.0, 0.107737184483, 0.06193986253],
            [0.0, 0.00894685982, 0.018645044422], [0.0, 0.091547313128, 0.034716849457]]


def _run():
    random = np.random.RandomState(0)
    layer = FloatLayer(random.normal(0, .8, (5, 3)), threshold=1.0, decay=.9, trace_decay=.75, width=1.5,
                       scale=.5)
    inputs = (random.rand(6, 4, 5) < .5).astype(float)
    targets = (random.rand(6, 4, 5) < .5).astype(float)
    y = label_targets(np.array([0, 1, 0, 2]))
    student, target = initial_state(layer, 4), initial_state(layer, 4)
    for t in range(6):
        student, target, loss, gradient = step(layer, student, target, inputs[t], targets[t], y)
    return loss, gradient


def test_gradient_is_that_of_automatic_differentiation():
    loss, gradient = _run()
    assert abs(loss - LOSS) < 1e-12
    assert np.abs(gradient - GRADIENT).max() < 1e-11


def test_targets_are_distributions():
    y = label_targets(np.array([0, 1, 0, 2]))
    assert y.tolist() == [[.5, 0, .5, 0], [0, 1, 0, 0], [.5, 0, .5, 0], [0, 0, 0, 1]]
    assert np.allclose(trace_targets(np.random.RandomState(1).rand(4, 3), 2.0).sum(1), 1)


def test_integer_updates_follow_the_float_gradient():
    """The mean update of W points where the float rule does, prototypes standing for target traces."""
    spec = Learner(inputs=16, layers=[LearnLayer(neurons=32, threshold=100)], classes=4, period=1,
                   calm_shift=None, window_full=64,
                   window_half=128, modulation_shift=8, similarity_shift=6, rate_w=8)
    random = np.random.RandomState(4)
    weights = [np.zeros((spec.column(0), 32), np.int64)]
    weights[0][:16] = random.randint(-40, 41, (16, 32))
    weights[0][16:20] = 50 * (2 * random.randint(0, 2, (4, 32)) - 1)
    total, expected = np.zeros((16, 32)), np.zeros((16, 32))
    for seed in range(1, 150):
        simulator = Simulator(spec, weights, seed=seed * 7919)
        simulator.begin(2)
        for row in random.rand(4, 16) < 0.4:
            before = simulator.layers[0].weights.copy()
            v = simulator.layers[0].v.copy()
            simulator.step(np.flatnonzero(row))
            state = simulator.layers[0]
            total += (state.weights - before)[:16]
            prototypes = before[16:20]
            u = v + row @ before[:16]
            octave = 1 << (spec.similarity_shift + 3)
            q = softmax(np.log(2) / octave * (state.z[None] * 1.0))[0]
            error = (np.eye(4)[2] - q) @ prototypes
            psi = np.maximum(0, 1 - np.abs(u - 100) / 128)
            expected += np.outer(state.x, error * psi)
    cosine = (total * expected).sum() / np.linalg.norm(total) / np.linalg.norm(expected)
    assert cosine > 0.95

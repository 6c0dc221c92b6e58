"""Small learning networks, and one sample after the other that reaches what matters."""

import numpy as np

from neurogen.golden.learning import random_weights
from neurogen.spec.learning import Learner, LearnLayer


FAST = {"rate_w": 5, "rate_r": 6, "rate_p": 6, "rate_q": 6, "similarity_shift": 2, "readout_shift": 2,
        "modulation_shift": 5, "window_full": 40, "window_half": 80, "calm_from": 20, "period": 2}
SPECS = {
    "one": Learner(inputs=9, layers=[LearnLayer(neurons=8, threshold=40)], classes=3, lanes=4, **FAST),
    "odd": Learner(inputs=5, layers=[LearnLayer(neurons=7, threshold=30, leak_shift=1, recurrent=True)],
                   classes=2, lanes=4,
                   **FAST | {"prototypes": "learn", "period": 1, "pre_shift": 1, "trace_shift": 3}),
    "deep": Learner(inputs=6, layers=[LearnLayer(neurons=10, threshold=30, recurrent=True),
                                      LearnLayer(neurons=5, threshold=25)], classes=4, lanes=2,
                    **FAST | {"calm_shift": 2, "prototypes": "learn"}),
    "narrow": Learner(inputs=8, layers=[LearnLayer(neurons=6, threshold=20)], classes=3, lanes=8,
                      **FAST | {"weight_bits": 4, "state_bits": 8, "calm_shift": None, "rate_w": 2,
                                "window_full": 0}),
    "rstdp": Learner(inputs=8, layers=[LearnLayer(neurons=6, threshold=40, recurrent=True)], classes=3,
                     lanes=4, **FAST | {"rule": "rstdp", "rate_w": 8}),
    "hinge": Learner(inputs=7, layers=[LearnLayer(neurons=9, threshold=35, recurrent=True)], classes=5,
                     lanes=4, **FAST | {"loss": "hinge", "margin": 6, "prototypes": "learn"}),
    "fptt": Learner(inputs=6, layers=[LearnLayer(neurons=6, threshold=30, recurrent=True),
                                      LearnLayer(neurons=4, threshold=25)], classes=2, lanes=4,
                    **FAST | {"rule": "fptt", "anchor_shift": 2, "average_shift": 1, "rate_w": 4}),
}


def samples(spec, count, *, steps=8, seed=0):
    """Return ``(raster[steps, inputs], label)`` of random samples; some without label, silent or full."""
    random = np.random.RandomState(seed)
    rates = random.rand(spec.classes, spec.inputs) * 0.8
    result = []
    for k in range(count):
        label = int(random.randint(spec.classes))
        raster = random.rand(steps, spec.inputs) < rates[label]
        raster = raster | (k % 7 == 5)
        raster = raster & (k % 7 != 3)
        result.append((raster, None if k % 5 == 4 else label))
    return result


def start(spec, seed=0):
    """Return weights with which small networks spike."""
    return random_weights(spec, seed, input_scale=14, recurrent_scale=10, code=24)

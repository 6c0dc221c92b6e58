"""The sizes in which the learner comes."""

from neurogen.spec.learning import Learner, LearnLayer, Loss


__all__ = ["BOARD_CONFIG", "CONFIGS"]


_WIDE = {"window_full": 256, "window_half": 512}
CONFIGS: dict[str, Learner] = {
    # 4 x 4 patterns, for trying things out.
    "tiny": Learner(inputs=16, layers=[LearnLayer(neurons=16, threshold=80)], classes=4, lanes=4, period=2,
                    window_full=64, window_half=128, rate_w=8, rate_q=10),
    # scikit-learn's digits from scratch.
    "digits": Learner(inputs=64, layers=[LearnLayer(neurons=128)], classes=10, **_WIDE),
    # The same with fewer updates.
    "digits-hinge": Learner(inputs=64, layers=[LearnLayer(neurons=128)], classes=10, loss=Loss.HINGE,
                            **_WIDE),
    # Spoken digits, 120 channels: the network of `benchmarks.adaptation`.
    "speech": Learner(inputs=120, layers=[LearnLayer(neurons=256, recurrent=True, threshold=512)], classes=10,
                      trace_shift=3, rate_r=11, **_WIDE),
    # The size that trace propagation was first shown at: 120 inputs, 450 recurrent neurons, 36 classes.
    "large": Learner(inputs=120, layers=[LearnLayer(neurons=450, recurrent=True, threshold=512)], classes=36,
                     trace_shift=3, rate_r=11, **_WIDE),
}
BOARD_CONFIG = "large"  # for bitstreams, unless another one is asked for

import re

import pytest

from neurogen.spec.learning import LFSR_MASK, Learner, LearnLayer, lfsr_next


GOOD = {"inputs": 20, "layers": [LearnLayer(neurons=33, recurrent=True), LearnLayer(neurons=5)], "classes": 3}


@pytest.mark.parametrize("change, message", [
    ({"inputs": 0}, "Number of inputs must be between 1 and 4096, not 0"),
    ({"classes": 1}, "Number of classes must be between 2 and 64, not 1"),
    ({"lanes": 3}, "Number of lanes must be 2, 4, 8 or 16, not 3"),
    ({"weight_bits": 9}, "Weight width must be between 4 and 8 bits, not 9"),
    ({"state_bits": 7}, "State width must be between 8 and 24 bits, not 7"),
    ({"period": 0}, "Learning period must be between 1 and 256 steps, not 0"),
    ({"pre_shift": 7}, "Shift of the pre-traces must be between 1 and 6, not 7"),
    ({"trace_shift": 0}, "Shift of the traces must be between 1 and 6, not 0"),
    ({"similarity_shift": 16}, "Shift of the similarity must be between 0 and 15, not 16"),
    ({"readout_shift": -1}, "Shift of the read-out must be between 0 and 15, not -1"),
    ({"modulation_shift": 16}, "Shift of the modulation must be between 0 and 15, not 16"),
    ({"rate_w": 0}, "Learning rate of W must be between 1 and 16, not 0"),
    ({"rate_r": 17}, "Learning rate of R must be between 1 and 16, not 17"),
    ({"rate_p": 0}, "Learning rate of P must be between 1 and 16, not 0"),
    ({"rate_q": 0}, "Learning rate of Q must be between 1 and 16, not 0"),
    ({"window_half": 0}, "Half window must be between 1 and 4194304, not 0"),
    ({"window_full": 257}, "Full window must be between 0 and 256, not 257"),
    ({"calm_from": 256}, "Calm level must be between 0 and 255, not 256"),
    ({"calm_shift": 8}, "Calm shift must be between 0 and 7, not 8"),
    ({"anchor_shift": 0}, "Anchor shift must be between 1 and 8, not 0"),
    ({"average_shift": 9}, "Average shift must be between 1 and 8, not 9"),
    ({"margin": 0}, "Margin must be between 1 and 255, not 0"),
    ({"loss": "mse"}, "'mse' is not a valid Loss"),
    ({"rule": "bptt"}, "'bptt' is not a valid Rule"),
    ({"prototypes": "none"}, "'none' is not a valid Prototypes"),
    ({"state_bits": 8}, "Threshold must be at most 127 in 8 bits, not 256"),
])
def test_out_of_range(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Learner(**GOOD | change)


@pytest.mark.parametrize("change, message", [
    ({"neurons": 0}, "Number of neurons must be between 1 and 4096, not 0"),
    ({"threshold": 0}, "Threshold must be between 1 and 4194303, not 0"),
    ({"leak_shift": 9}, "Leak shift must be between 1 and 8, not 9"),
])
def test_layer_out_of_range(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        LearnLayer(**{"neurons": 5} | change)


def test_wrong_types():
    with pytest.raises(TypeError, match=r"^Layers must be LearnLayers, at least one, not \(\)$"):
        Learner(**GOOD | {"layers": []})
    with pytest.raises(TypeError, match=r"^Recurrent must be a bool, not 1$"):
        LearnLayer(neurons=5, recurrent=1)
    with pytest.raises(TypeError, match=r"^Number of lanes must be an integer, not 16.0$"):
        Learner(**GOOD | {"lanes": 16.0})


def test_places_in_the_weight_memory():
    spec = Learner(**GOOD)
    assert [spec.row_words(k) for k in (0, 1)] == [(2, 3), (3, 0)]
    assert [spec.rows(k) for k in (0, 1)] == [80, 48]
    assert [spec.column(k) for k in (0, 1)] == [83, 54]  # P; P and Q
    assert spec.weight_words == 3 * 83 + 54
    assert spec.state_bytes["weights"] == 80 * 48 + 48 * 16
    assert spec.state_bytes["prototypes"] == 3 * (48 + 16)


def test_register_steps_sixteen_bits():
    for state in (1, 0x8000, 0x10000, 0xDEADBEEF, 0xFFFFFFFF):
        slow = state
        for _ in range(16):
            slow = (slow >> 1) ^ (LFSR_MASK if slow & 1 else 0)
        assert lfsr_next(state) == slow

import re

import numpy as np
import pytest

from neurogen.spec.lif import Lif, Reset


GOOD = {"shape": (3, 2, 2), "threshold": 5, "state_bits": 8, "v_lo": -60, "v_hi": 60}


@pytest.mark.parametrize("change, message", [
    ({"shape": (0,)}, "Population size must be at least 1, not 0"),
    ({"shape": (1, 2)}, "Population shape must be (N,) or (C, H, W), not (1, 2)"),
    ({"fraction_bits": -1}, "Fraction bits must be between 0 and 8, not -1"),
    ({"fraction_bits": 9}, "Fraction bits must be between 0 and 8, not 9"),
    ({"state_bits": 3}, "State width must be between 4 and 32 bits, not 3"),
    ({"state_bits": 33}, "State width must be between 4 and 32 bits, not 33"),
    ({"v_lo": -129}, "Lower guard must be between -128 and 0, not -129"),
    ({"v_lo": 1}, "Lower guard must be between -128 and 0, not 1"),
    ({"v_hi": -1}, "Upper guard must be between 0 and 127, not -1"),
    ({"v_hi": 128}, "Upper guard must be between 0 and 127, not 128"),
    ({"i_lo": 1}, "Lower current guard must be between -128 and 0, not 1"),
    ({"i_hi": 128}, "Upper current guard must be between 0 and 127, not 128"),
    ({"threshold": 0}, "Threshold must be at least 1, not 0"),
    ({"threshold": [5, 5, 0]}, "Threshold must be at least 1, not 0"),
    ({"threshold": 128}, "Threshold must be at most 127, not 128"),
    ({"threshold": [5, 5]}, "Threshold must have shape () or (3,), not (2,)"),
    ({"threshold": np.full((3, 2, 2), 5)}, "Threshold must have shape () or (3,), not (3, 2, 2)"),
    ({"decay": -1}, "Decay must be at least 0, not -1"),
    ({"decay": 4097}, "Decay must be at most 4096, not 4097"),
    ({"bias": -129}, "Bias must be at least -128, not -129"),
    ({"bias": 128}, "Bias must be at most 127, not 128"),
    ({"reset_value": -129}, "Reset value must be at least -128, not -129"),
    ({"reset_value": 5}, "Reset value must be below the threshold"),
    ({"initial": 128}, "Initial state must be at most 127, not 128"),
    ({"synapse_decay": 4097}, "Synapse decay must be at most 4096, not 4097"),
    ({"reset": "soft"}, "'soft' is not a valid Reset"),
    ({"reset": "zero", "multi_spike": True},
     "Reset of a multi-spike population must be 'subtract', not 'zero'"),
])
def test_out_of_range(change, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Lif(**GOOD | change)


@pytest.mark.parametrize("change, message", [
    ({"shape": (2.0,)}, "Population size must be an integer, not 2.0"),
    ({"state_bits": True}, "State width must be an integer, not True"),
    ({"fraction_bits": None}, "Fraction bits must be an integer, not None"),
    ({"v_hi": "9"}, "Upper guard must be an integer, not '9'"),
    ({"threshold": 5.0}, "Threshold must be an array of integers, not of float64"),
    ({"decay": np.array([True] * 3)}, "Decay must be an array of integers, not of bool"),
])
def test_not_integers(change, message):
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        Lif(**GOOD | change)


@pytest.mark.parametrize("change", [
    {"fraction_bits": 8}, {"v_lo": -128}, {"v_hi": 127}, {"v_lo": 0, "v_hi": 0}, {"threshold": 1},
    {"threshold": 127}, {"decay": 0}, {"decay": 4096}, {"bias": 127}, {"reset_value": 4}, {"initial": -128},
    {"state_bits": 32, "threshold": (1 << 31) - 1}, {"shape": (1,), "threshold": [5]}, {"synapse_decay": 0},
])
def test_ends_of_ranges(change):
    Lif(**GOOD | change)


def test_properties():
    lif = Lif(**GOOD | {"threshold": [5, 6, 7], "reset": "zero"})
    assert lif.neurons == 12
    assert lif.reset is Reset.ZERO
    assert not lif.cuba
    assert Lif(**GOOD | {"synapse_decay": 9}).cuba
    assert lif.per_neuron("threshold")[:, 1, 0].tolist() == [5, 6, 7]
    assert lif.per_neuron("decay").shape == (3, 2, 2)


def test_parameters_cannot_be_changed():
    mine = np.array([5, 6, 7])
    lif = Lif(**GOOD | {"threshold": mine})
    mine[0] = 9
    assert lif.threshold.tolist() == [5, 6, 7]
    with pytest.raises(ValueError, match="read-only"):
        lif.threshold[0] = 1

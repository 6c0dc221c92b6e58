import re

import numpy as np
import pytest

from neurogen.spec.conv import Conv


GOOD = {"weight": np.zeros((2, 3, 5, 5), int)}


@pytest.mark.parametrize("change, error, message", [
    ({"weight": np.zeros((1, 3, 3), int)}, ValueError, "Convolution weight must have 4 dimensions, not 3"),
    ({"weight": np.zeros((1, 1, 3, 3))}, TypeError,
     "Convolution weight must be an array of integers, not of float64"),
    ({"weight": np.zeros((0, 1, 3, 3), int)}, ValueError, "Convolution weight must not be empty"),
    ({"weight": np.zeros((1, 1, 3, 5), int)}, ValueError, "Kernel must be square, not (3, 5)"),
    ({"weight": np.zeros((1, 1, 4, 4), int)}, ValueError, "Kernel size must be one of 1, 3, 5, 7, not 4"),
    ({"stride": 3}, ValueError, "Stride must be one of 1, 2, not 3"),
    ({"padding": 5}, ValueError, "Padding must be between 0 and 4, not 5"),
    ({"padding": (0, -1)}, ValueError, "Padding must be between 0 and 4, not -1"),
    ({"padding": 1.0}, TypeError, "Padding must be an integer, not 1.0"),
    ({"bias": [1, 2, 3]}, ValueError, "Convolution bias must have shape () or (2,), not (3,)"),
    ({"bias": 0.5}, TypeError, "Convolution bias must be an array of integers, not of float64"),
])
def test_out_of_range(change, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        Conv(**GOOD | change)


@pytest.mark.parametrize("shape, message", [
    ((2, 9, 9), "Input of the convolution must have 3 channels, not shape (2, 9, 9)"),
    ((3,), "Input of the convolution must have 3 channels, not shape (3,)"),
    ((3, 9, 4), "Input of a 5x5 convolution must be at least as large as its kernel, not (3, 9, 4)"),
])
def test_wrong_input_shape(shape, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Conv(**GOOD).output_shape(shape)


# What torch.nn.functional.conv2d gives for a map of 3 x 8 x 11.
@pytest.mark.parametrize("stride, padding, wanted", [
    (1, 0, (2, 4, 7)), (1, 2, (2, 8, 11)), (2, 0, (2, 2, 4)), (2, (2, 1), (2, 4, 5)), (1, 4, (2, 12, 15)),
])
def test_output_shape(stride, padding, wanted):
    conv = Conv(**GOOD, stride=stride, padding=padding)
    assert conv.output_shape((3, 8, 11)) == wanted
    assert conv.kernel == 5

import re

import numpy as np
import pytest

from neurogen.spec.dense import Dense


@pytest.mark.parametrize("change, error, message", [
    ({"weight": [1, 2]}, ValueError, "Dense weight must have 2 dimensions, not 1"),
    ({"weight": [[0.5]]}, TypeError, "Dense weight must be an array of integers, not of float64"),
    ({"weight": np.zeros((0, 3), int)}, ValueError, "Dense weight must not be empty"),
    ({"bias": [1]}, ValueError, "Dense bias must have shape () or (2,), not (1,)"),
])
def test_out_of_range(change, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        Dense(**{"weight": [[1, 2, 3], [4, 5, 6]]} | change)


def test_output_shape():
    dense = Dense(weight=[[1, 2, 3], [4, 5, 6]], bias=[0, 1])
    assert dense.output_shape((3,)) == (2,)
    message = r"^Input of the dense layer must have shape \(3,\), not \(3, 1, 1\)$"
    with pytest.raises(ValueError, match=message):
        dense.output_shape((3, 1, 1))

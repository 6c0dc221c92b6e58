import re

import pytest

from neurogen.spec.pool import Concat, Flatten, MaxPool, SumPool


@pytest.mark.parametrize("cls", [SumPool, MaxPool])
def test_pools(cls):
    assert cls(size=2).output_shape((3, 5, 4)) == (3, 2, 2)
    with pytest.raises(ValueError, match=r"^Pool size must be at least 1, not 0$"):
        cls(size=0)
    with pytest.raises(TypeError, match=r"^Pool size must be an integer, not 2\.0$"):
        cls(size=2.0)
    for shape in ((3, 1, 4), (12,)):
        message = f"Input of a pool of size 2 must be a map that holds a window, not {shape}"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            cls(size=2).output_shape(shape)


def test_flatten():
    assert Flatten().output_shape((3, 5, 4)) == (60,)
    assert Flatten().output_shape((7,)) == (7,)


def test_operations_of_equal_parameters_are_equal():
    assert SumPool(size=2) == SumPool(size=2) != SumPool(size=3)
    assert SumPool(size=2) != MaxPool(size=2)
    assert Concat() == Concat()

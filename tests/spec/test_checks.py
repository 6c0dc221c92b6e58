import re

import numpy as np
import pytest

from neurogen.spec.checks import check_array, check_choice, check_int, check_name


@pytest.mark.parametrize("call, error, message", [
    (lambda: check_int("Size", 1.0), TypeError, "Size must be an integer, not 1.0"),
    (lambda: check_int("Size", True), TypeError, "Size must be an integer, not True"),
    (lambda: check_int("Size", 0, minimum=1, unit="bits"), ValueError, "Size must be at least 1 bits, not 0"),
    (lambda: check_int("Size", 9, maximum=8), ValueError, "Size must be at most 8, not 9"),
    (lambda: check_int("Size", 9, minimum=1, maximum=8), ValueError, "Size must be between 1 and 8, not 9"),
    (lambda: check_choice("Mode", "c", ("a", "b")), ValueError, "Mode must be one of 'a', 'b', not 'c'"),
    (lambda: check_name("Name", ""), TypeError, "Name must be a non-empty string, not ''"),
    (lambda: check_name("Name", 3), TypeError, "Name must be a non-empty string, not 3"),
    (lambda: check_array("A", [0.5]), TypeError, "A must be an array of integers, not of float64"),
    (lambda: check_array("A", [1], ndim=2), ValueError, "A must have 2 dimensions, not 1"),
    (lambda: check_array("A", [1], shapes=((), (2,))), ValueError, "A must have shape () or (2,), not (1,)"),
    (lambda: check_array("A", np.zeros((0, 2), int)), ValueError, "A must not be empty"),
    (lambda: check_array("A", [1, -1], minimum=0), ValueError, "A must be at least 0, not -1"),
    (lambda: check_array("A", [1, 9], maximum=8), ValueError, "A must be at most 8, not 9"),
])
def test_messages(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()


def test_results():
    assert type(check_int("Size", np.int8(3))) is int
    assert check_array("A", np.array([1], np.uint8)).dtype == np.int64
    assert check_choice("Mode", "a", ("a", "b")) == "a"

from itertools import product

import numpy as np
import pytest

from neurogen.golden import conv as model
from neurogen.golden.conv import currents
from neurogen.spec.conv import Conv


def naive(conv, shape, index):
    """The docstring of `Conv`, tap by tap; also the number of additions to each output."""
    outputs, height, width = conv.output_shape(shape)
    total = np.zeros((outputs, height, width), object)
    count = np.zeros((height, width), int)
    for event in index.tolist():
        ci, y, x = event // (shape[1] * shape[2]), event // shape[2] % shape[1], event % shape[2]
        for oy, ox, ky, kx in product(range(height), range(width), range(conv.kernel), range(conv.kernel)):
            if oy * conv.stride + ky == y + conv.padding[0] and ox * conv.stride + kx == x + conv.padding[1]:
                count[oy, ox] += 1
                for co in range(outputs):
                    total[co, oy, ox] += int(conv.weight[co, ci, ky, kx])
    return total, count


CASES = [(kernel, stride, padding) for kernel in (1, 3, 5, 7) for stride in (1, 2)
         for padding in {(0, 0), (kernel // 2, kernel // 2), (kernel - 1, 0)}]


@pytest.mark.parametrize("path", [0.0, 2.0], ids=["maps", "pixels"])
@pytest.mark.parametrize("kernel, stride, padding", CASES)
def test_currents_equal_the_definition(monkeypatch, path, kernel, stride, padding):
    monkeypatch.setattr(model, "_DENSE", path)
    rng = np.random.default_rng(kernel * 100 + stride * 10 + padding[0])
    shape = (2, 7, 8)
    conv = Conv(weight=rng.integers(-8, 8, (3, 2, kernel, kernel)), stride=stride, padding=padding)
    for events in (0, 1, 10, 60):
        index = rng.integers(0, 2 * 7 * 8, events)  # with repeats, in any order
        total, sops, touched = currents(conv, shape, index)
        wanted, count = naive(conv, shape, index)
        assert total.dtype in (np.int32, np.int64)
        assert total.tolist() == wanted.tolist()
        assert sops == 3 * count.sum()
        assert (touched == (count > 0)).all() and touched.shape == total.shape


def test_taps_outside_the_map_are_no_operations():
    conv = Conv(weight=np.zeros((5, 1, 3, 3), int), padding=1)
    sops = [[currents(conv, (1, 3, 4), np.array([4 * y + x]))[1] for x in range(4)] for y in range(3)]
    assert sops == [[20, 30, 30, 20], [30, 45, 45, 30], [20, 30, 30, 20]]  # zero weights are operations


@pytest.mark.parametrize("path", [0.0, 2.0], ids=["maps", "pixels"])
@pytest.mark.parametrize("weight", [(1 << 23) + 1, (1 << 24) + 1, (1 << 53) + 1, (1 << 60) + 1])
def test_large_weights_stay_exact(monkeypatch, path, weight):
    monkeypatch.setattr(model, "_DENSE", path)
    conv = Conv(weight=[[[[weight]], [[-1]]]])
    total, _, _ = currents(conv, (2, 1, 1), np.array([0, 0, 0, 1]))
    assert total.ravel().tolist() == [3 * weight - 1]


@pytest.mark.parametrize("path", [0.0, 2.0], ids=["maps", "pixels"])
def test_many_repeats_stay_exact(monkeypatch, path):
    monkeypatch.setattr(model, "_DENSE", path)
    conv = Conv(weight=[[[[129]]]])
    total, sops, _ = currents(conv, (1, 1, 1), np.zeros(131073, int))
    assert total.ravel().tolist() == [129 * 131073]  # odd, and above 2**24
    assert sops == 131073


def test_currents_do_not_change_their_input():
    index = np.array([3, 1, 3])
    index.flags.writeable = False
    conv = Conv(weight=np.ones((1, 1, 1, 1), int))
    first, _, _ = currents(conv, (1, 2, 2), index)
    first += 1  # nor is anything remembered of what was returned
    assert currents(conv, (1, 2, 2), index)[0].ravel().tolist() == [0, 1, 0, 2]

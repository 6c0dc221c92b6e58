import numpy as np
import pytest

from neurogen.golden import dense as model
from neurogen.golden.dense import currents
from neurogen.spec.dense import Dense


@pytest.mark.parametrize("path", [-1, 1e9], ids=["products", "rows"])
@pytest.mark.parametrize("events", [0, 1, 5, 50])
def test_currents_equal_the_definition(monkeypatch, path, events):
    monkeypatch.setattr(model, "_SPARSE", path)
    rng = np.random.default_rng(events)
    dense = Dense(weight=rng.integers(-8, 8, (4, 9)))
    index = rng.integers(0, 9, events)
    wanted = [sum(int(dense.weight[o, i]) for i in index) for o in range(4)]
    total, sops, touched = currents(dense, (9,), index)
    assert total.tolist() == wanted
    assert total.dtype == np.int64
    assert sops == 4 * events
    assert touched.tolist() == [events > 0] * 4


@pytest.mark.parametrize("path", [-1, 1e9], ids=["products", "rows"])
def test_large_weights_stay_exact(monkeypatch, path):
    monkeypatch.setattr(model, "_SPARSE", path)
    dense = Dense(weight=[[(1 << 60) + 1, -1]])
    assert currents(dense, (2,), np.array([0, 0, 1]))[0].tolist() == [(1 << 61) + 1]


def test_currents_do_not_change_their_input():
    index = np.array([1, 1])
    index.flags.writeable = False
    dense = Dense(weight=[[1, 2]])
    total, _, _ = currents(dense, (2,), index)
    total += 1
    assert currents(dense, (2,), index)[0].tolist() == [4]

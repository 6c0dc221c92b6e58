import numpy as np

from neurogen.golden.pool import concat, flatten, max_pool, sum_pool, transform
from neurogen.spec.events import Events
from neurogen.spec.pool import Concat, Flatten, MaxPool, SumPool


def counts(shape, index):
    return Events(shape, 1, np.zeros(len(index), int), index).counts()[0]


def test_sum_pool_by_hand():
    # A map of one channel, 2 x 5: the last column fills no window.
    index = np.array([0, 1, 5, 5, 3, 4, 9])
    assert sorted(sum_pool(SumPool(size=2), (1, 2, 5), index).tolist()) == [0, 0, 0, 0, 1]


def test_max_pool_drops_repeats():
    index = np.array([0, 1, 5, 5, 3, 4, 9])
    assert max_pool(MaxPool(size=2), (1, 2, 5), index).tolist() == [0, 1]


def test_pools_of_random_maps_equal_reductions_of_the_maps():
    rng = np.random.default_rng(0)
    for size, shape in ((1, (2, 3, 4)), (2, (3, 7, 6)), (3, (2, 9, 11)), (4, (1, 4, 4))):
        index = rng.integers(0, np.prod(shape), 60)
        out = SumPool(size=size).output_shape(shape)
        cropped = counts(shape, index)[:, :out[1] * size, :out[2] * size]
        windows = cropped.reshape(out[0], out[1], size, out[2], size)
        assert (counts(out, sum_pool(SumPool(size=size), shape, index)) == windows.sum((2, 4))).all()
        pooled = counts(out, max_pool(MaxPool(size=size), shape, index))
        assert (pooled == (windows.max((2, 4)) > 0)).all()


def test_flatten_keeps_flat_addresses():
    index = np.array([5, 0, 5])
    assert flatten(Flatten(), (2, 1, 3), index).tolist() == [5, 0, 5]


def test_concat_puts_streams_side_by_side():
    index = concat([(2, 1, 2), (1, 1, 2), (2, 1, 2)], [np.array([3, 0]), np.array([1, 1]), np.array([0])])
    assert index.tolist() == [3, 0, 5, 5, 6]


def test_transform_joins_the_streams_of_everything_but_concat():
    a, b, shape = np.array([0, 3]), np.array([0]), (1, 2, 2)
    for node, wanted in ((SumPool(size=2), [0, 0, 0]), (MaxPool(size=2), [0]), (Flatten(), [0, 0, 3]),
                         (Concat(), [0, 3, 4])):
        assert sorted(transform(node, [shape, shape], [a, b]).tolist()) == wanted

import random

import pytest

from benchmarks.energy import MAP, specification
from benchmarks.energy_sram import accesses
from neurogen.spec.events import control_word
from tests.rtl.test_frugal import HEIGHT, WIDTH, changes


def test_accesses_of_one_pixel_by_hand():
    words = [5 << 9 | 4] * 6 + [control_word(0, 0)] + [5 << 9 | 4]
    assert accesses(words, 9, 9, frugal=False) == (63, 63, 63)
    assert accesses(words, 9, 9, frugal=True) == (18, 18, 63)  # once in each step
    corner = [0, 1, 0]  # (0, 0), (0, 1), (0, 0): four banks, six, four
    assert accesses(corner, 9, 9, frugal=False) == (27, 14, 14)
    assert accesses(corner, 9, 9, frugal=True) == (6, 6, 14)


@pytest.mark.parametrize("seed", range(4))
def test_accesses_are_those_of_the_gateware(seed):
    # `changes` is what tests/rtl/test_frugal.py holds against the gateware, where banks never pause.
    rng = random.Random(seed)
    places = [(rng.randrange(2, 4), rng.randrange(1, WIDTH - 1)) for _ in range(60)]
    wanted = changes([(0, y, x) for y, x in places])
    assert accesses([y << 9 | x for y, x in places], HEIGHT, WIDTH, frugal=True)[0] == wanted


def test_the_layer_fits_the_accelerator_that_is_measured():
    for lanes in (2, 8, 32):
        spec = specification(lanes)
        assert spec.frugal and spec.sops_per_cycle == 9 * lanes
        assert spec.state_depth >= -(-MAP[1] // 3) * -(-MAP[2] // 3)
        assert spec.weight_depth >= MAP[0] + spec.parameter_rows

"""Streams and images of a pass."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from neurogen.mapping.compile import compile_network
from neurogen.mapping.images import conv_rows, dense_rows, external_words, sub_windows
from neurogen.mapping.plan import gather_potentials, read_stream, stream_for
from neurogen.spec.conv import Conv
from neurogen.spec.events import EventError, Events, control_word
from neurogen.spec.mega import MegaSpec
from neurogen.spec.network import Edge, Input, Network
from tests.mapping.networks import chain, conv, dense, lif


SPEC = MegaSpec(lanes=2, weight_bits=4, state_bits=20, state_depth=64, weight_depth=64, spike_depth=64,
                program_depth=256)


def two_inputs():
    nodes = {"a": Input(shape=(4,)), "b": Input(shape=(4,)), "fa": dense(3, 4), "fb": dense(3, 4),
             "lif": lif((3,))}
    edges = ("a", "fa", 1), ("b", "fb"), ("fa", "lif"), ("fb", "lif")
    return compile_network(Network(nodes, tuple(Edge(*e) for e in edges), ("lif",)), SPEC).passes[0]


def test_sources_follow_each_other_in_every_step():
    part = two_inputs()
    events = {"a": Events((4,), 2, [0, 1], [3, 2]), "b": Events((4,), 2, [0, 0], [1, 1])}
    end = [control_word(0, 0), control_word(0, 1)]
    # "a" comes a step later; what would come after the end is left out.
    wanted = [end[0], 1 << 18, 1 << 18, end[0], 3 << 18, end[1], end[1]]
    assert stream_for(part, events).tolist() == wanted


def test_events_for_frugal_banks_come_from_pixel_to_pixel():
    shape = (2, 7, 5)
    network = Network({"a": Input(shape=shape), "c": conv(2, 2, 3, padding=1), "lif": lif((2, 7, 5))},
                      (Edge("a", "c"), Edge("c", "lif")), ("lif",))
    part = compile_network(network, replace(SPEC, frugal=True)).passes[0]
    index = np.random.default_rng(0).permutation(70)
    words = stream_for(part, {"a": Events(shape, 1, np.zeros(70, int), index)})
    assert words[-1] >> 31 and len(words) == 71
    places = [(word >> 9 & 511, word & 511) for word in words[:-1].tolist()]
    assert sorted(places) == sorted(2 * [(y, x) for y in range(7) for x in range(5)])
    assert [y // 3 for y, _ in places] == sorted(y // 3 for y, _ in places)  # lines of tiles
    steps = [abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in pairwise(places) if a[0] // 3 == b[0] // 3]
    assert set(steps) == {0, 1}


def test_streams_must_be_complete_and_of_one_length():
    part = two_inputs()
    some = Events((4,), 2, [], [])
    with pytest.raises(ValueError, match=r"^Events must hold the sources of the pass; 'b' is missing$"):
        stream_for(part, {"a": some})
    with pytest.raises(ValueError, match=re.escape("Events must have the same number of steps, not [2, 3]")):
        stream_for(part, {"a": some, "b": Events((4,), 3, [], [])})


def test_output_of_a_pass_is_read_by_name():
    part = two_inputs()
    (number,) = part.emissions
    words = [control_word(1, number), 2 << 18, control_word(0), control_word(0)]
    found = read_stream(part, np.array(words, np.uint32), 2)
    assert found["lif"].counts().tolist() == [[0, 0, 1], [0, 0, 0]]
    with pytest.raises(EventError, match=r"^Stream must hold 3 end-of-step words, not 2$"):
        read_stream(part, np.array(words, np.uint32), 3)


def test_potentials_are_gathered_from_tiles():
    part = compile_network(chain((2, 5, 8), conv(3, 2)), SPEC).passes[0]
    rows = np.arange(64 * 9 * 2).reshape(64, 9, 2)
    found = gather_potentials(part, rows)["lif0"]
    # Channel 2 is lane 0 of group 1, which starts 8 rows on; (4, 7) is bank (1, 1) of tile (1, 2).
    assert found.shape == (3, 5, 8) and found[2, 4, 7] == rows[8 + 1 * 3 + 2, 3 * 1 + 1, 0]
    assert found[1, 0, 2] == rows[0, 2, 1]
    assert gather_potentials(part, rows, currents=True) == {}


def test_every_kernel_weight_is_stored_once():
    for kernel, stride in ((1, 1), (1, 2), (3, 1), (3, 2), (5, 1), (5, 2), (7, 1), (7, 2)):
        weight = np.arange(1, kernel ** 2 + 1).reshape(1, 1, kernel, kernel)
        synapse = Conv(weight=weight, stride=stride)
        rows = conv_rows(synapse, range(1), range(1), 2)
        assert len(rows) == (stride * sub_windows(synapse)) ** 2
        assert sorted(rows[rows != 0].tolist()) == list(range(1, kernel ** 2 + 1)), (kernel, stride)


def test_dense_rows_are_in_the_order_of_events():
    weight = np.arange(20 * 2 * 3 * 2).reshape(20, 12) % 100
    rows = dense_rows(weight, (2, 3, 2), range(2), range(20), 2)
    groups, (c, y, x), neuron = 2, (1, 2, 0), 19
    row = ((y * 2 + x) * 2 + c) * groups + neuron // 18
    assert rows[row, neuron % 18 // 2, neuron % 2] == weight[neuron, (c * 3 + y) * 2 + x]


def test_external_rows_begin_with_a_word():
    rows = np.arange(-18, 18, dtype=np.int8).reshape(2, 9, 2)  # 18 bytes take 5 words
    words = external_words(rows)
    assert len(words) == 10 and words[0] == 0xF1F0EFEE and words[5] == 0x03020100 and words[9] == 0x1110

# amaranth: UnusedElaboratable=no

import random

import pytest

from neurogen.rtl.qdi.library import LIBRARY, make_block
from neurogen.spec.qdi import BLOCKS
from tests.rtl.qdi.bench import run_block
from tests.rtl.qdi.rules import CASES, PARAMETERS, RULES, fire, stimulus


STALLS = {"free": (0.0, 0.0), "stalled": (0.4, 0.5)}
RULED = [case for case in CASES if case[0] in RULES and case[0] not in ("source", "merge")]


def name_of(value):
    return str(value) if not isinstance(value, dict) else \
        ",".join(f"{key}={item}" for key, item in value.items()).replace(" ", "") or "-"


@pytest.mark.parametrize("stalls", STALLS)
@pytest.mark.parametrize("kind, parameters", RULED, ids=name_of)
def test_block_follows_its_rule(kind, parameters, stalls):
    idle, backpressure = STALLS[stalls]
    tokens = stimulus(kind, parameters, random.Random(str(parameters)), 40)
    seen = run_block(make_block(kind, **parameters), tokens, seed=3, idle=idle, backpressure=backpressure)
    outs, taken = fire(kind, parameters, tokens)
    assert seen.outs == outs
    if kind == "reg":  # one write may be waiting for readers in the second slot
        assert taken.pop("w") - seen.taken.pop("w") in range(41)
    assert seen.taken == taken


def test_library_is_complete():
    assert set(LIBRARY) == set(BLOCKS) == set(PARAMETERS)
    assert set(BLOCKS) - set(RULES) == {"mutex", "arb_merge", "aer_port"}  # tests of their own


def test_source_never_ends():
    seen = run_block(make_block("source", width=4, value=9), {}, cycles=50, backpressure=0.5)
    assert set(seen.outs["o"]) == {9} and len(seen.outs["o"]) > 15
    assert len(run_block(make_block("source", width=4, value=9), {}, cycles=50).outs["o"]) == 50


@pytest.mark.parametrize("stalls", STALLS)
def test_merge_passes_exclusive_tokens(stalls):
    idle, backpressure = STALLS[stalls]
    tokens = stimulus("merge", {"width": 4, "n": 3}, random.Random(2), 20)
    seen = run_block(make_block("merge", width=4, n=3), tokens, one_at_a_time=True, idle=idle,
                     backpressure=backpressure)
    place = dict.fromkeys(tokens, 0)
    expected = []
    for name in seen.order:
        expected.append(tokens[name][place[name]])
        place[name] += 1
    assert seen.outs["o"] == expected and len(expected) == 60


@pytest.mark.parametrize("stalls", STALLS)
def test_arb_merge_passes_every_token_once_and_in_turn(stalls):
    idle, backpressure = STALLS[stalls]
    tokens = {"i0": list(range(8)) * 4, "i1": list(range(8, 16)) * 4}
    seen = run_block(make_block("arb_merge", width=4), tokens, idle=idle, backpressure=backpressure, seed=4)
    assert [t for t in seen.outs["o"] if t < 8] == tokens["i0"]
    assert [t for t in seen.outs["o"] if t >= 8] == tokens["i1"]
    if not idle:
        assert seen.outs["o"] == [t for pair in zip(tokens["i0"], tokens["i1"], strict=True) for t in pair]
        assert seen.cycles == 64 + 30


@pytest.mark.parametrize("stalls", STALLS)
def test_mutex_grants_every_request_and_never_two_at_once(stalls):
    idle, backpressure = STALLS[stalls]
    tokens = {"r0": [0] * 30, "r1": [0] * 30}
    seen = run_block(make_block("mutex"), tokens, idle=idle, backpressure=backpressure, seed=5)
    assert [len(grants) for grants in seen.outs.values()] == [30, 30]
    # One output is never ready: its grant, once given, keeps the other from ever having one.
    seen = run_block(make_block("mutex"), tokens, blocked=("g0",))
    assert seen.outs == {"g0": [], "g1": []}


@pytest.mark.parametrize("kind, parameters", [
    ("fork", {"width": 4, "n": 3}), ("unpack", {"widths": (2, 1, 1)}), ("parallel", {"n": 3}), ("loop", {}),
], ids=name_of)
def test_forks_wait_for_nobody(kind, parameters):
    dut = make_block(kind, **parameters)
    slow = dut._outputs[-1]
    tokens = stimulus(kind, parameters, random.Random(0), 5)
    expected, _ = fire(kind, parameters, tokens)
    seen = run_block(dut, tokens, blocked=(slow,))
    # `loop` starts with a token of its own.
    assert seen.outs == {name: [] if name == slow else found[:1 + (kind == "loop")]
                         for name, found in expected.items()}


@pytest.mark.parametrize("kind, parameters, capacity", [
    ("buffer", {"width": 4}, 1), ("init", {"width": 4, "value": 0}, 1), ("reg", {"width": 4, "value": 0,
                                                                                "readers": 1}, 1),
    *(("fifo", {"width": 4, "depth": depth}, depth) for depth in (1, 2, 3, 5)),
    ("select", {"width": 4}, 0), ("ram", {"width": 4, "values": (0, 0)}, 1),
], ids=name_of)
def test_capacity(kind, parameters, capacity):
    dut = make_block(kind, **parameters)
    tokens = stimulus(kind, parameters, random.Random(0), 10)
    seen = run_block(dut, tokens, blocked=dut._outputs)
    assert max(seen.taken.values()) == capacity


LATENCY = {"buffer": 1, "init": 0, "stream_to_qdi": 1, "qdi_to_stream": 1, "ram": 1, "reg": 0}


@pytest.mark.parametrize("kind, parameters", [
    case for case in RULED if case[0] not in ("hold", "seq", "gate", "sink_data", "loop")], ids=name_of)
def test_one_token_in_each_cycle(kind, parameters):
    dut = make_block(kind, **parameters)
    tokens = stimulus(kind, parameters, random.Random(1), 40)
    if "s" in tokens:
        tokens["s"] = [tokens["s"][0]] * 40
    fired = max(map(len, fire(kind, parameters, tokens)[0].values()))
    latency = LATENCY.get(kind, 0)
    if kind == "fifo":
        latency = 1 if parameters["depth"] <= 2 else 2
    # The last cycle in which something moves is that of the last token; then come 30 quiet ones.
    assert run_block(dut, tokens, probing=0).cycles == fired + latency + 30


def test_hold_takes_no_cycle_between_two_tokens():
    tokens = {"i": [3, 7, 5], "c": [1, 1, 0, 0, 1, 0]}
    seen = run_block(make_block("hold", width=4), tokens)
    assert seen.outs["o"] == [3, 3, 3, 7, 5, 5]
    assert seen.cycles == 7 + 30  # a copy in each of six cycles, and the last drop


def test_seq_takes_two_cycles_a_step():
    tokens = {"i": [0] * 4, "done0": [0] * 4, "done1": [0] * 4}
    assert run_block(make_block("seq", n=2), tokens).cycles == 4 * 5 + 30


def test_wrong_parameters_are_errors():
    with pytest.raises(ValueError, match=r"^Kind of block must be one of .*, not 'fok'$"):
        make_block("fok")
    with pytest.raises(ValueError, match=r"^Parameters of fork must be width, n, not width$"):
        make_block("fork", width=4)
    with pytest.raises(ValueError, match=r"^Parameter width of adder must be at least 1 bits, not 0$"):
        make_block("adder", width=0)


def test_what_is_dropped_needs_no_room():
    tokens = {"c": [0, 0, 0, 1, 0], "i": [1, 2, 3, 4, 5]}
    assert run_block(make_block("gate", width=4), tokens, blocked=("o",)).taken == {"c": 3, "i": 3}

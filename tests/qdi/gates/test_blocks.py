"""Each block: proved speed independent, and equal to its firing rule at every delay."""

import random
import time

import pytest

from neurogen.qdi.gates import build, build_block
from neurogen.qdi.gates.build import GENERATORS
from neurogen.qdi.gates.proofs import EXEMPT, proof_cases, prove
from neurogen.qdi.gates.simulate import Simulator
from neurogen.qdi.graph import Graph
from neurogen.spec.qdi import BLOCKS
from tests.rtl.qdi.rules import CASES, RULES, fire, stimulus


PROOFS = [case for case in proof_cases() if case[0] not in EXEMPT]
RULED = [case for case in CASES if case[0] in RULES and case[0] not in ("source", "merge")] + [
    ("aer_port", {"width": 4})]


def name_of(value):
    if isinstance(value, dict):
        return ",".join(f"{k}={v}" for k, v in value.items()).replace(" ", "")
    return None


def test_every_kind_has_gates_and_a_proof_at_both_widths():
    assert set(GENERATORS) == set(BLOCKS)
    proved = set(BLOCKS) - set(EXEMPT)
    assert {(kind, w) for kind, w, _ in PROOFS} == {(kind, w) for kind in proved for w in (1, 2)}


@pytest.mark.parametrize("threshold", (False, True), ids=("c", "threshold"))
@pytest.mark.parametrize("kind, width, parameters", PROOFS, ids=name_of)
def test_block_is_speed_independent(kind, width, parameters, threshold):
    start = time.process_time()
    proof = prove(kind, parameters, threshold=threshold)
    assert proof.violations == [] and proof.complete and proof.states > 2
    assert time.process_time() - start < 5  # a second on an idle machine


@pytest.mark.parametrize("kind, parameters", [
    ("adder", {"width": 3}), ("sub", {"width": 3}), ("lt", {"width": 3, "signed": False})], ids=name_of)
def test_chains_of_threshold_gates_are_speed_independent_at_three_bits(kind, parameters):
    proof = prove(kind, parameters, threshold=True)
    assert proof.violations == [] and proof.complete and proof.states > 1_000


@pytest.mark.parametrize("threshold", (False, True), ids=("c", "threshold"))
@pytest.mark.parametrize("kind, parameters", RULED, ids=name_of)
def test_block_follows_its_rule(kind, parameters, threshold):
    rng = random.Random(str(parameters))
    tokens = stimulus(kind, parameters, rng, 24)
    outs, _ = ({"o": tokens["i"]}, {}) if kind == "aer_port" else fire(kind, parameters, tokens)
    simulator = Simulator(build_block(kind, parameters, threshold=threshold))
    for mode in ("gate", "event"):
        for spread in (3, 300):
            result = simulator.run(tokens, {name: len(found) for name, found in outs.items()},
                                   seed=rng.getrandbits(30), spread=spread, mode=mode)
            assert result.streams == outs
            assert not (result.hazards or result.illegal or result.unknown or result.waiting)


def test_source_never_ends():
    result = Simulator(build_block("source", {"width": 4, "value": 9})).run({}, {"o": 5}, budget=400)
    assert set(result.streams["o"]) == {9} and len(result.streams["o"]) >= 5


def test_merge_takes_turns():
    """Two inputs that exclude each other, as those behind a branch do."""
    g = Graph("turns")
    s, x, out = (g.add(kind, {"name": name, "width": width, "signed": False})
                 for kind, name, width in (("input", "s", 1), ("input", "x", 4), ("output", "o", 4)))
    branch, merge = g.add("branch", {"width": 4}), g.add("merge", {"width": 4, "n": 2})
    for src, dst in (((s, "o"), (branch, "s")), ((x, "o"), (branch, "i")), ((branch, "o0"), (merge, "i0")),
                     ((branch, "o1"), (merge, "i1")), ((merge, "o"), (out, "i"))):
        g.connect(src, dst)
    words = list(range(16))
    result = Simulator(build(g)).run({"s": [0, 1] * 8, "x": words}, {"o": 16}, spread=100)
    assert result.clean and result.streams["o"] == words


def test_arbiter_passes_each_token_once():
    simulator = Simulator(build_block("arb_merge", {"width": 4}))
    orders = set()
    for seed in range(8):
        tokens = {"i0": list(range(8)), "i1": list(range(8, 16))}
        result = simulator.run(tokens, {"o": 16}, seed=seed, spread=30, mode="event")
        assert result.clean
        assert [t for t in result.streams["o"] if t < 8] == tokens["i0"]
        assert [t for t in result.streams["o"] if t >= 8] == tokens["i1"]
        orders.add(tuple(result.streams["o"]))
    assert len(orders) > 1


def test_mutex_grants_one_at_a_time():
    netlist = build_block("mutex", {})
    result = Simulator(netlist).run({"r0": [0] * 20, "r1": [0] * 20}, {"g0": 20, "g1": 20}, mode="event")
    assert result.clean
    assert prove("mutex", {}, netlist=netlist).holds  # all but the persistency of the choice itself


def test_unknown_kind():
    with pytest.raises(ValueError, match=r"^Kind of a block must be one of the library, not 'nand'$"):
        build_block("nand", {})

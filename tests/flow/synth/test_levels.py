"""Each level notices what it is there for."""

from dataclasses import replace

import pytest

import neurogen.flow.synth.levels as levels
from neurogen.flow.synth.levels import LEVELS, agree, prepare
from neurogen.flow.tools import SimulationError
from neurogen.qdi import Deadlock, Mismatch
from neurogen.qdi.gates.netlist import Gate
from tests.flow.synth.functions import loop_test


@pytest.fixture
def stimulus():
    return prepare(loop_test, [(a,) for a in (0, 5, 100, 77)])


def test_all_levels_agree(stimulus):
    found = agree(stimulus, {"tokens": 4, "clocked": 2, "gates": 3})
    assert [(level.name, level.runs, level.tokens) for level in found] == [
        ("tokens", 4, 16), ("clocked", 2, 8), ("gates", 3, 12)]


@pytest.mark.parametrize("level", ["tokens", "clocked", "gates"])
def test_a_wrong_token_is_found(stimulus, level):
    wrong = replace(stimulus, expected={"o": [28, 33, 129, 105]})
    with pytest.raises(Mismatch, match=r"token 2 of o is 128 in .*, not 129 as in Python"):
        agree(wrong, {level: 1})


@pytest.mark.parametrize("level, error", [("tokens", Deadlock), ("gates", SimulationError)])
def test_a_missing_token_is_found(stimulus, level, error):
    with pytest.raises(error, match="waiting"):
        agree(replace(stimulus, expected={"o": [28, 33, 128, 105, 28]}), {level: 1})


def test_gates_that_are_not_speed_independent_are_found(stimulus, monkeypatch):
    """A half buffer fills without waiting for its reader: the next token runs over the one before."""
    right = levels.build

    def wrong(graph, threshold):
        netlist = right(graph, threshold=threshold)
        k = next(k for k, gate in enumerate(netlist.gates)
                 if gate.cell.startswith("NG_C") and "buffer" in gate.block and len(gate.inputs) > 2)
        gate = netlist.gates[k]
        inputs = (gate.inputs[0], gate.inputs[0], *gate.inputs[2:])
        netlist.gates[k] = Gate(gate.cell, inputs, gate.output, gate.name, gate.block)
        return netlist

    monkeypatch.setattr(levels, "build", wrong)
    with pytest.raises((Mismatch, SimulationError)):
        agree(stimulus, {"gates": 8})


def test_levels_must_be_known(stimulus):
    with pytest.raises(ValueError, match=f"^Level must be one of {', '.join(LEVELS)}, not 'layout'$"):
        agree(stimulus, {"layout": 1})

"""The levels agree on random programs: 100 small ones here; 200 more, and 300 of the usual size, are slow."""

from functools import partial

import pytest
from typer.testing import CliRunner

import neurogen.flow.synth.levels as levels
from neurogen.flow.cli import app
from neurogen.flow.synth.campaign import run_campaign
from neurogen.qdi.fuzz import random_program


def failures(seeds, chosen, **options):
    return [(f.seed, str(f.error), f.program.text) for f in run_campaign(seeds, chosen, **options)]


@pytest.mark.parametrize("first", [0, 50, *(pytest.param(first, marks=pytest.mark.slow)
                                            for first in range(100, 300, 50))])
def test_small_programs_agree_at_all_levels(first):
    """Tokens, the clocked circuit with stalls, gates with random delays up to 1:1000, Click circuits."""
    levels = {"tokens": 1, "clocked": 1, "gates": 1, "click ihp" if first % 100 else "click": 1}
    small = partial(random_program, width=4, calls=2, most=2)
    assert failures(range(first, first + 50), levels, make=small) == []


def test_clocked_circuits_with_stalls_agree_with_python():
    assert failures(range(1000, 1030), {"clocked": 1}) == []


def test_gates_with_random_delays_agree_with_python():
    assert failures(range(2004, 2017), {"gates": 1}) == []


def test_a_table_whose_first_source_depends_on_it():
    assert failures([2003], {"tokens": 1, "clocked": 1}) == []


def test_results_of_a_state_that_come_ahead_of_the_next_call():
    assert failures([84], {"gates": 1, "click": 1, "click ihp": 1}) == []
    small = partial(random_program, width=4, calls=2, most=2)
    assert failures([207, 235], {"gates": 1}, make=small) == []


@pytest.mark.slow
def test_all_levels_agree_on_300_programs():
    assert failures(range(300), {"tokens": 1, "clocked": 1, "gates": 1, "threshold gates": 1,
                                 "click": 1, "click ihp": 1}) == []


def test_a_difference_is_shrunk_and_told(monkeypatch):
    right = levels.simulate

    def wrong(graph, inputs, **options):
        result = right(graph, inputs, **options)
        result.outputs = {name: [x ^ 1 for x in tokens] for name, tokens in result.outputs.items()}
        return result

    monkeypatch.setattr(levels, "simulate", wrong)
    result = CliRunner().invoke(app, ["agree", "--programs", "1", "--levels", "tokens"])
    assert result.exit_code == 1
    assert "FAIL  program 0: Mismatch: fuzz: token 0 of o" in result.output and "return a" in result.output


def test_levels_of_the_command_must_be_known():
    result = CliRunner().invoke(app, ["agree", "--levels", "tokens,silicon"])
    assert result.exit_code == 1 and "error: Levels must be of tokens, clocked, " in result.output

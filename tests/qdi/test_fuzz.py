"""Random programs: Python and tokens agree, no graph has a dead end, and the shrinker shrinks."""

import warnings

import pytest

from neurogen import qdi
from neurogen.qdi import U
from neurogen.qdi.compile import PASSES
from neurogen.qdi.fuzz import FuzzProgram, campaign, make_process, random_options, random_program, shrink
from tests.qdi.functions import latch


@pytest.mark.parametrize("seeds", [range(100), pytest.param(range(100, 1000), marks=pytest.mark.slow)],
                         ids=lambda seeds: f"{seeds.start}-{seeds.stop}")
def test_random_programs_agree(seeds):
    failures = campaign(seeds)
    assert [(f.seed, f.error, f.program.text) for f in failures] == []


@pytest.mark.parametrize("value", ["a | (i if i & 1 else a)", "a + (a if i & 1 else 0)",
                                   "a + (5 if i & 1 else 2)"], ids=["ternary", "mask", "table"])
@pytest.mark.parametrize("passes", [{}, {"P3": False}, {"P4": False, "P8": False}],
                         ids=["all", "no_P3", "no_P4"])
def test_a_counter_of_two_rounds_is_a_condition(value, passes):
    """The counter's channel also carries its last value, 2, but the body takes one bit (seed 3183)."""
    text = f"def f(a: U[8]) -> U[8]:\n    for i in range(2):\n        a = {value}\n    return a\n"
    qdi.check(make_process(text), [0, 5, 130, 255], passes=passes)


def test_programs_are_what_they_should_be():
    texts = [random_program(seed).text for seed in range(300)]
    assert texts == [random_program(seed).text for seed in range(300)]
    for construct in ("if ", "elif ", "else:", "for ", "while ", "break", "continue", "State[", "S[", "min(",
                      ")["):
        assert any(construct in text for text in texts), construct
    assert sum("    return " in text.replace("\n    return ", "", 1) for text in texts) > 5  # early returns


def test_options_switch_every_pass_both_ways():
    passes = [random_options(random_program(seed).text)["passes"] for seed in range(60)]
    for name in PASSES:
        assert {options[name] for options in passes} == {True, False}


def test_shrinker_finds_the_line():
    program = next(p for p in map(random_program, range(300)) if "while" in p.text and len(p.text) > 400)

    def broken(program: FuzzProgram) -> None:
        program.process()
        if "while" in program.text:
            raise RuntimeError("a while")

    small = shrink(program, broken, RuntimeError())
    assert "while" in small.text and len(small.body) == 1 and len(small.text) < len(program.text)


@qdi.process(width=8, mode="wrap")
def chain(a: U[8], i: U[8]) -> U[8]:
    b = a + i + 1
    return b + 3


@pytest.mark.parametrize("name", PASSES)
def test_each_pass_alone_is_off_and_on(name):
    """A pass that is switched off changes some graph: the switch is connected."""
    processes = [latch, chain, *(random_program(seed).process() for seed in (3, 6, 12, 14, 19, 22, 24, 37))]

    def changes(process):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", qdi.QdiWarning)
            on, off = (qdi.compile(process, passes={name: value}, budget=0) for value in (True, False))
        return (on.nodes, on.edges) != (off.nodes, off.edges)

    assert any(changes(process) for process in processes)

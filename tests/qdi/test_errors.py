"""A golden text (errors.txt) for each error of the front end: place, code, remedy, source line, caret."""

import warnings
from pathlib import Path

import pytest

from neurogen import qdi
from neurogen.qdi.fuzz import make_process
from neurogen.qdi.python.errors import CODES


HEAD = "def f(a: U[8], b: U[8], m: Mem[U[8], 4] = (0, 0, 0, 0)):\n"
CASES = {
    "QDI001": '    with a:\n        pass\n    return b\n',
    "QDI002": '    return a ** b\n',
    "QDI003": "    x = 'text' if a > b else b\n    return x\n",
    "QDI004": '    return a < 300\n',
    "QDI005": '    if a > b:\n        x = a\n    return x\n',
    "QDI006": '    if a:\n        b = a\n    return b\n',
    "QDI007": '    for i in range(0, 9, a):\n        b = b + 1\n    return b\n',
    "QDI008": '    while a < b:\n        pass\n    return a\n',
    "QDI009": '    if (c := a) > b:\n        b = c\n    return b\n',
    "QDI010": '    return f(a, b)\n',
    "QDI011": '    a = b = 1\n    return a + b\n',
    "QDI012": '    if a > b:\n        return a\n',
    "QDI013": '    return (1, 2, 3)[a:2]\n',
    "QDI014": '    n = m\n    return n[a]\n',
    "QDI015": '    return a * 1.5\n',
    "QDI016": '    while True:\n        a = a + b\n',
}
TEXTS = (Path(__file__).parent / "errors.txt").read_text(encoding="utf-8").rstrip("\n").split("\n\n")


def told(code, text):
    process = make_process(text)
    with pytest.raises(qdi.QdiError) as caught:
        qdi.compile(process)
    assert caught.value.code == code
    assert isinstance(caught.value, SyntaxError) and caught.value.lineno == caught.value.loc.line
    return str(caught.value).partition(":")[2]


@pytest.mark.parametrize("code, text", list(zip(CASES, TEXTS, strict=True)))
def test_error(code, text):
    assert told(code, HEAD + CASES[code]) == text


def test_error_017_is_a_warning():
    process = make_process("def f(a: U[8], b: U[8]):\n    return a + 1\n")
    with pytest.warns(qdi.QdiWarning, match=r":1:1: QDI017 input 'b' is not used; its tokens are dropped$"):
        graph = qdi.compile(process)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", qdi.QdiWarning)
        assert qdi.check(process, [(1, 2), (255, 0)], graph=graph) == {"o": [2, 0]}


def test_every_code_has_a_test():
    assert [*CASES, "QDI017"] == list(CODES)


@pytest.mark.parametrize("code, text", [
    ("QDI001", "def f(a: U[8], *b):\n    return a\n"),
    ("QDI001",
     "def f(a: U[8]):\n    for i in range(3):\n        a = a + i\n    else:\n        a = 0\n    return a\n"),
    ("QDI002", "def f(a: U[8]):\n    return a // 3\n"),
    ("QDI002", "def f(a: U[8]):\n    return print(a)\n"),
    ("QDI002", "def f(a: U[8]):\n    b = a + 1\n    return b[0]\n"),
    ("QDI003", "def f(a: U[8], s: State[U[8]] = None):\n    s = s + a\n    return s\n"),
    ("QDI004", "def f(a: U[8]):\n    return a | 256\n"),
    ("QDI004", "def f(a: U[8], s: State[U[4]] = 16):\n    s = a\n    return s\n"),
    ("QDI005", "def f(a: U[8]):\n    return unknown + a\n"),
    ("QDI005", "def f(a: U[8]):\n    for i in range(a):\n        x = i\n    return x\n"),
    ("QDI006", "def f(a: U[8]):\n    return not a\n"),
    ("QDI007", "def f(a: U[8]):\n    for i in (1, 2):\n        a = a + i\n    return a\n"),
    ("QDI007", "def f(a: U[8]):\n    for i in range(0, 4, 0):\n        a = a + i\n    return a\n"),
    ("QDI009", "def f(x: Stream[U[8]]):\n    while True:\n        if next(x) > 1:\n            yield 1\n"),
    ("QDI010", "def f(a: U[8]):\n    return g(a)\n\n\ndef g(a):\n    return f(a)\n"),
    ("QDI011", "def f(a: U[8]):\n    x, y = a\n    return x\n"),
    ("QDI012", "def f(a: U[8]) -> tuple[U[8], U[8]]:\n    return a\n"),
    ("QDI012", "def f(a: U[8]):\n    while True:\n        yield a\n"),
    ("QDI012", "def f(x: Stream[U[8]]):\n    for a in x:\n        yield a\n        yield a\n"),
    ("QDI013", "def f(a: U[8]):\n    return (1, 2, 3)[3] + a\n"),
    ("QDI013", "def f(a: U[8]):\n    return a[8]\n"),
    ("QDI014", "def f(x: Stream[U[8]]):\n    while True:\n        yield next(x) + next(x)\n"),
    ("QDI014",
     "def f(a: U[2], m: Mem[U[8], 4]):\n    m[a] = a\n    if a > 1:\n        a = m[0]\n    return a\n"),
    ("QDI015", "def f(a: U[8]):\n    return a / 2\n"),
    ("QDI015", "def f(a: float):\n    return a\n"),
])
def test_errors_that_look_different(code, text):
    told(code, text)


@pytest.mark.parametrize("code, head, text", [
    ("QDI013", "a: U[2], r: Rom[U[8], 4]", "table 'r' has no words; give it a default"),
    ("QDI014", "x: Stream[U[8]]",
     "stream 'x' of a function without 'yield'; declare it U[8], one token a call, or yield the results"),
    ("QDI001", "a: 'U[65]'", ("the annotation of 'a' does not evaluate (Width of a type must be between 1 "
                              "and 64, not 65); use the types of neurogen.qdi")),
])
def test_parameters_that_cannot_be(code, head, text):
    with pytest.raises(qdi.QdiError, match=r"\n  +\^$") as caught:
        qdi.compile(make_process(f"def f({head}) -> U[8]:\n    return 1\n"))
    assert caught.value.code == code and f"{code} {text}\n" in str(caught.value)


def test_annotations_see_what_the_function_sees():
    """As text, too: ``from __future__ import annotations`` in a function that makes processes of a width."""
    width = 5

    def wide(a: "qdi.U[width]") -> "qdi.U[width]":
        return a + width

    assert qdi.process(wide, mode="wrap").type_of("a") == qdi.U[5]


def test_stimuli_are_of_the_kind_of_the_process():
    function = make_process("def f(a: U[8]):\n    return a\n")
    with pytest.raises(TypeError, match=r"^Stimuli of f must be the arguments of each call, not dict$"):
        qdi.check(function, {"a": [1]})
    function = make_process("def f(x: Stream[U[8]]):\n    while True:\n        yield next(x)\n")
    with pytest.raises(TypeError, match=r"^Stimuli of f must be a dictionary of tokens by stream, not list$"):
        qdi.check(function, [1])

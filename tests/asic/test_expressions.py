from itertools import product

import pytest

from asic.expressions import parse_expression


@pytest.mark.parametrize(
    "text, python",
    [
        ("!(A & B)", lambda A, B: not (A and B)),
        ("A' + B", lambda A, B: not A or B),
        ("(A !B) | (!A B)", lambda A, B: A != B),
        ("A ^ B", lambda A, B: A != B),
        ("!A*B", lambda A, B: not A and B),
        ("A + B ^ A * B", lambda A, B: A or ((B != A) and B)),
        ("(A&B)'", lambda A, B: not (A and B)),
        ("1 & A | 0 B", lambda A, B: A),
    ],
)
def test_value_is_that_of_python(text, python):
    expression = parse_expression(text)
    for a, b in product((0, 1), repeat=2):
        assert expression({"A": a, "B": b}, 0, 1) & 1 == bool(python(a, b))


def test_buses_and_brackets_are_names():
    assert parse_expression("A[3] & D_x").pins == ("A[3]", "D_x")


@pytest.mark.parametrize("text", ["", "A &", "(A", "A)", "A % B", "!"])
def test_malformed_expressions_are_refused(text):
    with pytest.raises(ValueError):
        parse_expression(text)


def test_probability_of_independent_pins():
    assert parse_expression("A & !B").probability({"A": 0.5, "B": 0.25}) == pytest.approx(0.375)
    assert parse_expression("A ^ A").probability({"A": 0.3}) == 0


def test_sensitive_assignments():
    assert parse_expression("(A !S) | (B S)").sensitive("A") == (("S", "B"), ((0, 0), (0, 1)))
    assert parse_expression("A & B").sensitive("A") == (("B",), ((1,),))

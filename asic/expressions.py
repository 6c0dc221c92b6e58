"""Boolean expressions of Liberty: functions of pins, and conditions on states."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product


__all__ = ["Expression", "parse_expression"]


_TOKEN = re.compile(r"\s*([A-Za-z_][\w\[\]]*|[01]|[()!'&*|+^]|==|.)")


@dataclass(frozen=True)
class Expression:
    """An expression over pins; works on anything that has ``~ & | ^``: Booleans of NumPy, masked integers.

    Parameters
    ----------
    text
        As Python code, with pins as ``v['name']`` and constants as ``zero`` and ``one``.
    pins
        Names in order of appearance.
    """

    text: str
    pins: tuple[str, ...]

    @cached_property
    def _code(self) -> Callable:
        return eval(f"lambda v, zero, one: {self.text}")  # generated below from checked tokens only

    def __call__(self, values: Mapping, zero: object = 0, one: object = 1) -> object:
        """Return the value for given pins; with ints, bits above those of ``one`` are to be masked."""
        return self._code(values, zero, one)

    @cached_property
    def minterms(self) -> tuple[tuple[int, ...], ...]:
        """All assignments of `pins` that make it true."""
        return tuple(
            bits
            for bits in product((0, 1), repeat=len(self.pins))
            if self(dict(zip(self.pins, bits, strict=True)), 0, 1) & 1
        )

    def probability(self, ones: Mapping[str, float]) -> float:
        """Return how likely it is, if pins are 1 with given probabilities and know nothing of each other."""
        total = 0.0
        for bits in self.minterms:
            part = 1.0
            for pin, bit in zip(self.pins, bits, strict=True):
                part *= ones[pin] if bit else 1 - ones[pin]
            total += part
        return total

    def sensitive(self, pin: str) -> "tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]":
        """Return the other pins, and their assignments for which ``pin`` decides the value."""
        others = tuple(name for name in self.pins if name != pin)
        found = []
        for bits in product((0, 1), repeat=len(others)):
            values = dict(zip(others, bits, strict=True))
            if (self({**values, pin: 0}) ^ self({**values, pin: 1})) & 1:
                found.append(bits)
        return others, tuple(found)


@cache
def parse_expression(text: str) -> Expression:
    """Return the expression of a Liberty string.

    ``!a`` and ``a'`` are not; ``&``, ``*`` and two terms side by side are and; ``|`` and ``+`` are or;
    ``^`` is exclusive or.

    Raises
    ------
    ValueError
        If it is malformed.
    """
    tokens = [found[1] for found in _TOKEN.finditer(text.strip())] + [""]
    pins: dict[str, None] = {}
    position = 0

    def peek():
        return tokens[position]

    def take(expected=None):
        nonlocal position
        token = tokens[position]
        if expected is not None and token != expected:
            raise ValueError(f"expected {expected!r}, found {token or 'the end'!r}")
        position += 1
        return token

    def atom():
        token = take()
        if token == "!":
            return f"(~{atom()})"
        if token == "(":
            inner = either()
            take(")")
            result = inner
        elif token in ("0", "1"):
            result = "one" if token == "1" else "zero"
        elif re.fullmatch(r"[A-Za-z_][\w\[\]]*", token):
            pins[token] = None
            result = f"v[{token!r}]"
        else:
            raise ValueError(f"unexpected {token or 'end'!r}")
        while peek() == "'":
            take()
            result = f"(~{result})"
        return result

    def exclusive():
        result = atom()
        while peek() == "^":
            take()
            result = f"({result} ^ {atom()})"
        return result

    def both():
        result = exclusive()
        while peek() in ("&", "*") or re.match(r"[A-Za-z_(!01]", peek()):
            if peek() in ("&", "*"):
                take()
            result = f"({result} & {exclusive()})"
        return result

    def either():
        result = both()
        while peek() in ("|", "+"):
            take()
            result = f"({result} | {both()})"
        return result

    result = either()
    take("")
    return Expression(result, tuple(pins))

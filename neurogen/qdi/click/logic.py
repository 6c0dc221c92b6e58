"""Single-rail logic of the operators, constants folded as it is built."""

from collections.abc import Mapping, Sequence
from typing import Any

from neurogen.qdi.gates.netlist import ZERO, Builder


__all__ = ["LOGIC", "ONE", "Logic"]

ONE = -1  # the net that is always 1


class Logic:
    """Builds gates on words (lists of nets, lowest bit first).

    Parameters
    ----------
    b
        Takes the gates.
    data
        Whether they are data logic, which may glitch until its request comes, or control, which may not.
    """

    def __init__(self, b: Builder, *, data: bool = True):
        self.b, self.data = b, data
        self._inverse: dict[int, int] = {ZERO: ONE, ONE: ZERO}

    def _gate(self, cell: str, *inputs: int) -> int:
        return self.b.gate(cell, *inputs, timed=self.data)

    def inv(self, x: int) -> int:
        """Return not x."""
        if x not in self._inverse:
            self._inverse[x] = self._gate("NG_INV", x)
        return self._inverse[x]

    def and_(self, x: int, y: int) -> int:
        """Return x and y."""
        if ZERO in (x, y):
            return ZERO
        if ONE in (x, y) or x == y:
            return y if x == ONE else x
        return self._gate("NG_AND2", x, y)

    def or_(self, x: int, y: int) -> int:
        """Return x or y."""
        if ONE in (x, y):
            return ONE
        if ZERO in (x, y) or x == y:
            return y if x == ZERO else x
        return self._gate("NG_OR2", x, y)

    def xor(self, x: int, y: int) -> int:
        """Return x xor y."""
        if x == y:
            return ZERO
        for a, c in ((x, y), (y, x)):
            if a == ZERO:
                return c
            if a == ONE:
                return self.inv(c)
        return self._gate("NG_XOR2", x, y)

    def mux(self, s: int, zero: int, one: int) -> int:
        """Return one if s else zero."""
        if zero == one or s in (ZERO, ONE):
            return one if s == ONE else zero
        if zero == ZERO:
            return self.and_(s, one)
        if one == ONE:
            return self.or_(s, zero)
        if one == ZERO:
            return self.and_(self.inv(s), zero)
        if zero == ONE:
            return self.or_(self.inv(s), one)
        return self._gate("NG_MUX2", zero, one, s)

    def pick(self, sides: Sequence[int], bits: Sequence[int]) -> int:
        """Return the bit whose side is 1; exactly one is."""
        terms = [self.and_(side, bit) for side, bit in zip(sides, bits, strict=True)]
        while len(terms) > 1:
            terms = [self.or_(*terms[k:k + 2]) if k + 1 < len(terms) else terms[k]
                     for k in range(0, len(terms), 2)]
        return terms[0]

    def constant(self, value: int, width: int) -> list[int]:
        """Return a word."""
        return [ONE if value >> k & 1 else ZERO for k in range(width)]

    def add(self, x: Sequence[int], y: Sequence[int], carry: int = ZERO) -> list[int]:
        """Return x + y + carry modulo 2**width."""
        total = []
        for k, (a, c) in enumerate(zip(x, y, strict=True)):
            half = self.xor(a, c)
            total.append(self.xor(half, carry))
            if k + 1 < len(x):
                carry = self.mux(half, a, carry)
        return total

    def less(self, x: Sequence[int], y: Sequence[int], signed: bool) -> int:
        """Return x < y."""
        result = ZERO
        for k, (a, c) in enumerate(zip(x, y, strict=True)):
            if signed and k == len(x) - 1:
                a, c = c, a
            result = self.mux(self.xor(a, c), result, c)
        return result

    def all(self, bits: Sequence[int]) -> int:
        """Return the AND of bits."""
        bits = list(bits)
        while len(bits) > 1:
            bits = [self.and_(*bits[k:k + 2]) if k + 1 < len(bits) else bits[k]
                    for k in range(0, len(bits), 2)]
        return bits[0]

    def table(self, index: Sequence[int], words: Sequence[int], width: int) -> list[int]:
        """Return ``words[index]``; words that are missing are free."""
        words = [*words, *[words[-1]] * ((1 << len(index)) - len(words))]
        level = [self.constant(word, width) for word in words]
        for bit in index:
            level = [[self.mux(bit, a, c) for a, c in zip(level[k], level[k + 1], strict=True)]
                     for k in range(0, len(level), 2)]
        return level[0]

    def operator(self, kind: str, p: Mapping[str, Any], v: Mapping[str, list[int]]) -> dict[str, list[int]]:
        """Return the words of the outputs of a block without a state.

        Raises
        ------
        ValueError
            If the kind is none of those.
        """
        if kind == "fork":
            return {f"o{k}": v["i"] for k in range(p["n"])}
        if kind == "unpack":
            ends = [sum(p["widths"][:k]) for k in range(len(p["widths"]) + 1)]
            return {f"o{k}": v["i"][ends[k]:ends[k + 1]] for k in range(len(p["widths"]))}
        if kind not in _WORDS:
            raise ValueError(f"Kind of a block must have a Click form, not {kind!r}")
        return {"o": _WORDS[kind](self, p, v)}


def _slice(g, p, v):
    fill = v["i"][-1] if p["signed"] else ZERO
    bits = [*([ZERO] * p["shift"]), *v["i"][p["low"]:]]
    return [*bits, *[fill] * p["out_width"]][:p["out_width"]]


def _mul(g, p, v):
    total = g.constant(0, p["width"])
    for k, bit in enumerate(v["b"]):
        row = [ZERO] * k + [g.and_(x, bit) for x in v["a"][:p["width"] - k]]
        total = g.add(total, row)
    return total


def _invert(g, word):
    return [g.inv(x) for x in word]


def _equal(g, x, y):
    return [g.all([g.inv(g.xor(a, c)) for a, c in zip(x, y, strict=True)])]


_WORDS = {
    "const": lambda g, p, v: g.constant(p["value"], p["width"]),
    "pack": lambda g, p, v: [bit for k in range(len(p["widths"])) for bit in v[f"i{k}"]],
    "slice": _slice,
    "adder": lambda g, p, v: g.add(v["a"], v["b"]),
    "sub": lambda g, p, v: g.add(v["a"], _invert(g, v["b"]), ONE),
    "addc": lambda g, p, v: g.add(v["a"], g.constant(p["value"], p["width"])),
    "logic": lambda g, p, v: [{"and": g.and_, "or": g.or_, "xor": g.xor}[p["op"]](a, c)
                              for a, c in zip(v["a"], v["b"], strict=True)],
    "not": lambda g, p, v: _invert(g, v["a"]),
    "neg": lambda g, p, v: g.add(_invert(g, v["a"]), g.constant(0, p["width"]), ONE),
    "lt": lambda g, p, v: [g.less(v["a"], v["b"], p["signed"])],
    "le": lambda g, p, v: [g.inv(g.less(v["b"], v["a"], p["signed"]))],
    "ltc": lambda g, p, v: [_less_constant(g, p, v["a"])],
    "equal": lambda g, p, v: _equal(g, v["a"], v["b"]),
    "eqc": lambda g, p, v: _equal(g, v["a"], g.constant(p["value"], p["width"])),
    "mask": lambda g, p, v: [g.and_(v["c"][0], x) for x in v["x"]],
    "ternary": lambda g, p, v: [g.mux(v["c"][0], y, x) for x, y in zip(v["x"], v["y"], strict=True)],
    "mul": _mul,
    "lut": lambda g, p, v: g.table([bit for k in range(len(p["in_widths"])) for bit in v[f"i{k}"]],
                                   p["table"], p["out_width"]),
    "rom": lambda g, p, v: g.table(v["a"], p["values"], p["width"]),
    "else_condition": lambda g, p, v: _first_true(g, [v[f"c{k}"][0] for k in range(p["n"])]),
}
LOGIC = frozenset({"fork", "unpack", *_WORDS})
"""Kinds of blocks that are logic only: `Logic.operator` makes them."""


def _first_true(g, conditions):
    before, hot = ZERO, []
    for bit in conditions:
        hot.append(g.and_(bit, g.inv(before)))
        before = g.or_(before, bit)
    return [*hot, g.inv(before)]


def _less_constant(g, p, word):
    width, value = p["width"], p["value"]
    if not p["signed"] and value >> width:
        return ONE
    return g.less(word, g.constant(value, width), p["signed"])

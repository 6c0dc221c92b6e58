"""And-inverter graphs: the form in which two circuits are compared, and ABC's file format for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


__all__ = ["Aig", "Literal"]


@dataclass
class Aig:
    """A graph of two-input ands. A literal is twice a node's number, plus 1 if inverted; node 0 is false.

    Parameters
    ----------
    inputs
        Node by name.
    ands
        By node: its two literals; None for inputs and for node 0.
    """

    inputs: dict[str, int] = field(default_factory=dict)
    ands: list[tuple[int, int] | None] = field(default_factory=lambda: [None])
    _known: dict[tuple[int, int], int] = field(default_factory=dict, repr=False)
    _sorted: tuple[int, list] = field(default=(0, []), repr=False)

    def input(self, name: str) -> int:
        """Return the literal of an input, which is added when it is new."""
        if name not in self.inputs:
            self.inputs[name] = len(self.ands)
            self.ands.append(None)
        return 2 * self.inputs[name]

    def both(self, a: int, b: int) -> int:
        """Return the literal of ``a & b``."""
        if a < b:
            a, b = b, a
        if b == 0 or a == b ^ 1:
            return 0
        if b == 1 or a == b:
            return a
        if (a, b) not in self._known:
            self._known[a, b] = 2 * len(self.ands)
            self.ands.append((a, b))
        return self._known[a, b]

    def choose(self, select: int, one: int, zero: int) -> int:
        """Return the literal of ``select ? one : zero``."""
        return self.both(self.both(select, one) ^ 1, self.both(select ^ 1, zero) ^ 1) ^ 1

    def support(self, literals: Sequence[int]) -> set[str]:
        """Return the names of the inputs that literals can depend on."""
        seen, stack = set(), [literal >> 1 for literal in literals]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                if (parts := self.ands[node]) is not None:
                    stack += (part >> 1 for part in parts)
        return {name for name, node in self.inputs.items() if node in seen}

    def replaced(self, roots: Mapping[str, int], literals: Mapping[str, int],
                 one_hot: Sequence[Sequence[str]] = ()) -> "tuple[Aig, dict[str, int]]":
        """Return a copy in which literals of this graph stand for some inputs, and the roots in it.

        The literals are constants, or (inverted) inputs that are not replaced. Of each group of inputs in
        ``one_hot``, exactly one is 1 in the copy: the first that is, or else the last.
        """
        result, moved = Aig(), [0] * len(self.ands)
        back = {node: name for name, node in self.inputs.items()}

        def move(literal: int) -> int:
            return moved[literal >> 1] ^ (literal & 1)

        for node, name in back.items():
            if name not in literals:
                moved[node] = result.input(name)
        for group in one_hot:
            before = 0
            for name in group:
                own = result.input(name) if name != group[-1] else 1
                if name in self.inputs:
                    moved[self.inputs[name]] = result.both(own, before ^ 1)
                before = result.both(before ^ 1, own ^ 1) ^ 1
        for name, literal in literals.items():
            moved[self.inputs[name]] = move(literal)
        for node, parts in enumerate(self.ands):
            if parts is not None:
                moved[node] = result.both(move(parts[0]), move(parts[1]))
        return result, {name: move(literal) for name, literal in roots.items()}

    def simulate(self, values: Mapping[str, np.ndarray], roots: Mapping[str, int]) -> dict[str, np.ndarray]:
        """Return 64 cases a word: values of roots for values of all inputs (``uint64`` of one shape)."""
        words = np.zeros((len(self.ands), *next(iter(values.values())).shape), np.uint64)
        for name, node in self.inputs.items():
            words[node] = values[name]
        for nodes, a, b in self._levels():
            words[nodes] = ((words[a >> 1] ^ _inverted(a, words.ndim))
                            & (words[b >> 1] ^ _inverted(b, words.ndim)))
        return {name: words[literal >> 1] ^ (_ONES if literal & 1 else _ZEROS)
                for name, literal in roots.items()}

    def _levels(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Return nodes and their literals, in groups that need only those before them."""
        if self._sorted[0] == len(self.ands):
            return self._sorted[1]
        level = [0] * len(self.ands)
        rows: dict[int, list[int]] = {}
        for node, parts in enumerate(self.ands):
            if parts is not None:
                level[node] = 1 + max(level[parts[0] >> 1], level[parts[1] >> 1])
                rows.setdefault(level[node], []).append(node)
        groups = []
        for at in sorted(rows):
            pairs = np.array([self.ands[node] for node in rows[at]])
            groups.append((np.array(rows[at]), pairs[:, 0], pairs[:, 1]))
        self._sorted = len(self.ands), groups
        return groups

    def write(self, path: Path, inputs: Sequence[str], outputs: Sequence[int]) -> None:
        """Write a binary AIGER file, with inputs in this order (names that are not here are unused)."""
        order = {0: 0}
        for number, name in enumerate(inputs, 1):
            if name in self.inputs:
                order[self.inputs[name]] = number
        if len(order) != len(self.inputs) + 1:
            raise ValueError(f"Inputs must hold {sorted(set(self.inputs) - set(inputs))}")
        lines, number = bytearray(), len(inputs)
        for node, parts in enumerate(self.ands):
            if parts is None:
                continue
            number += 1
            order[node] = number
            pair = [2 * order[part >> 1] + (part & 1) for part in parts]
            high, low = max(pair), min(pair)
            lines += _leb(2 * number - high) + _leb(high - low)
        roots = [2 * order[literal >> 1] + (literal & 1) for literal in outputs]
        head = f"aig {number} {len(inputs)} 0 {len(roots)} {number - len(inputs)}\n"
        path.write_bytes(head.encode() + "".join(f"{root}\n" for root in roots).encode() + bytes(lines))


_ZEROS, _ONES = np.uint64(0), np.uint64(2**64 - 1)


def _inverted(literals: np.ndarray, dimensions: int) -> np.ndarray:
    return np.where(literals & 1, _ONES, _ZEROS).reshape(-1, *[1] * (dimensions - 1))


def _leb(value: int) -> bytes:
    """Return a number in AIGER's code: seven bits a byte, lowest first."""
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    result.append(value)
    return bytes(result)


@dataclass(frozen=True)
class Literal:
    """A literal with the operators of Python, so that Liberty's functions can be evaluated on it."""

    graph: Aig
    value: int

    def __invert__(self) -> "Literal":
        return Literal(self.graph, self.value ^ 1)

    def __and__(self, other: "Literal") -> "Literal":
        return Literal(self.graph, self.graph.both(self.value, other.value))

    def __or__(self, other: "Literal") -> "Literal":
        return ~(~self & ~other)

    def __xor__(self, other: "Literal") -> "Literal":
        return Literal(self.graph, self.graph.choose(self.value, other.value ^ 1, other.value))

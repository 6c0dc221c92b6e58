"""The generic cells of the gate level: what a mapping file gives an implementation to.

A cell is a table over the weighted sum of its inputs (weights 1, 2, 4 ... if order matters, 1 if it does
not); an entry is the new output, or 2 to hold the old one. So a change of an input is one addition and one
look-up, whatever the cell.
"""

from collections.abc import Callable
from dataclasses import dataclass


__all__ = ["CELLS", "HOLD", "Cell"]

HOLD = 2


@dataclass(frozen=True)
class Cell:
    """A generic cell.

    Parameters
    ----------
    name
        ``NG_...``, as in netlists.
    pins
        Input pins in order; the output is ``y``.
    weights
        What each pin adds to the index when it is 1.
    table
        New output (0, 1 or `HOLD`) for each index; empty for a flip-flop.
    equation
        What stands in the catalogue.
    """

    name: str
    pins: tuple[str, ...]
    weights: tuple[int, ...]
    table: tuple[int, ...]
    equation: str

    @property
    def holds(self) -> bool:
        """Whether the cell has a state."""
        return not self.table or HOLD in self.table

    def value(self, inputs: tuple[int, ...], old: int) -> int:
        """Return the output for input values and the old output."""
        new = self.table[sum(w for w, x in zip(self.weights, inputs, strict=True) if x)]
        return old if new == HOLD else new


def _count(name: str, n: int, function: Callable[[int], int], equation: str) -> Cell:
    return Cell(name, tuple("abcd"[:n]), (1,) * n, tuple(function(k) for k in range(n + 1)), equation)


def _function(name: str, pins: str, function: Callable[..., int], equation: str) -> Cell:
    n = len(pins.split())
    table = tuple(int(function(*(index >> k & 1 for k in range(n)))) for index in range(1 << n))
    return Cell(name, tuple(pins.split()), tuple(1 << k for k in range(n)), table, equation)


def _threshold(name: str, pins: str, sets: Callable[..., int], equation: str) -> Cell:
    """Return a cell that rises when ``sets`` holds, falls when all inputs are 0, and holds between."""
    return _function(name, pins, lambda *x: 1 if sets(*x) else HOLD if any(x) else 0, equation)


_CELLS = (
    _count("NG_DELAY", 1, lambda k: k, "a, late"),
    _count("NG_INV", 1, lambda k: 1 - k, "!a"),
    _count("NG_AND2", 2, lambda k: int(k == 2), "a & b"),
    *(_count(f"NG_OR{n}", n, lambda k: int(k > 0), " | ".join("abcd"[:n])) for n in (2, 3, 4)),
    _count("NG_NOR2", 2, lambda k: int(k == 0), "!(a | b)"),
    _count("NG_NOR3", 3, lambda k: int(k == 0), "!(a | b | c)"),
    _function("NG_AO22", "a b c d", lambda a, b, c, d: a & b | c & d, "a & b | c & d"),
    _count("NG_XOR2", 2, lambda k: k & 1, "a ^ b"),
    # Muller C-elements: rise when all inputs are 1, fall when all are 0
    *(_count(f"NG_C{n}", n, lambda k, n=n: 0 if k == 0 else int(k == n) or HOLD,
             f"C({', '.join('abcd'[:n])})") for n in (2, 3, 4)),
    Cell("NG_C2R", ("a", "b", "rst"), (1, 1, 4), (0, HOLD, 1, 0, 0, 0, 0), "C(a, b), 0 in reset"),
    Cell("NG_C2S", ("a", "b", "rst"), (1, 1, 4), (0, HOLD, 1, 1, 1, 1, 1), "C(a, b), 1 in reset"),
    # Threshold gates with hysteresis (the names of NULL convention logic)
    _threshold("NG_TH23", "a b c", lambda a, b, c: a + b + c >= 2, "two of a, b, c; hysteresis"),
    _threshold("NG_TH34W2", "a b c d", lambda a, b, c, d: 2 * a + b + c + d >= 3,
               "2a + b + c + d >= 3; hysteresis"),
    _threshold("NG_THXOR", "a b c d", lambda a, b, c, d: a & b | c & d, "ab + cd; hysteresis"),
    _threshold("NG_THAND", "a b c d", lambda a, b, c, d: a & b | b & c | a & d, "ab + bc + ad; hysteresis"),
    # Half of a mutual exclusion element: the grants of the two halves exclude each other
    _function("NG_MUTEX", "r o", lambda r, o: r & (1 - o), "r and not the other grant"),
    _function("NG_MUX2", "a b s", lambda a, b, s: b if s else a, "s ? b : a"),
    _function("NG_LATCH", "d en rst", lambda d, en, rst: 0 if rst else d if en else HOLD,
              "d while en is 1; 0 in reset"),
    Cell("NG_DFF", ("d", "clk", "rst"), (0, 0, 0), (), "d at the rising edge of clk; 0 in reset"),
    Cell("NG_DFFS", ("d", "clk", "rst"), (0, 0, 0), (), "d at the rising edge of clk; 1 in reset"),
)
CELLS: dict[str, Cell] = {cell.name: cell for cell in _CELLS}

"""Any pure function in gates: a walk through its decision diagram.

One level for each digit; exactly one node of a level is up once the digits above it are there, C(node, rail)
leads to the next. Equal sub-functions share a node. As every level is passed, every digit is indicated, and
as one node of a level is up, plain ORs collect: the whole is speed independent.
"""

from collections.abc import Sequence

from neurogen.qdi.gates.netlist import ZERO, Builder


__all__ = ["decide", "decode"]

Table = tuple[int | None, ...]


def decide(b: Builder, digits: Sequence[Sequence[int]], table: Sequence[int | None],
           width: int) -> list[tuple[int, int]]:
    """Return the bits (f, t) of ``table[index]``.

    Parameters
    ----------
    digits
        Digits of the index, lowest bit first; a dataless digit is waited for and has no part in the index.
    table
        Words, one for each index; None where the index never comes.
    width
        Bits of a word.
    """
    leaves = _walk(b, digits, tuple(table), merge=True)
    bits = []
    for k in range(width):
        rails = [[net for word, net in leaves if word >> k & 1 == value] for value in (0, 1)]
        bits.append(tuple(b.any(*nets) if nets else ZERO for nets in rails))
    return bits


def decode(b: Builder, digits: Sequence[Sequence[int]], count: int) -> list[int]:
    """Return one net for each index below ``count``: up when the digits say that index."""
    size = 1 << sum(len(digit) == 2 for digit in digits)
    table = tuple(k if k < count else None for k in range(size))
    return [net for _, net in sorted(_walk(b, digits, table, merge=False))]


def _walk(b: Builder, digits: Sequence[Sequence[int]], table: Table, *,
          merge: bool) -> list[tuple[int, int]]:
    """Return (word, net) for each way out of the last level."""
    bits = [digit for digit in digits if len(digit) == 2]
    if len(table) != 1 << len(bits):
        raise ValueError(f"Table must have {1 << len(bits)} words, not {len(table)}")
    orders = [list(range(len(bits))), list(range(len(bits)))[::-1]] if merge else [list(range(len(bits)))]
    order = min(orders, key=lambda order: _size(table, order))
    level: list[tuple[Table, int | None]] = [(_permute(table, order), None)]
    for k in order:
        ways: list[tuple[Table, int]] = []
        for function, node in level:
            for value, rail in enumerate(bits[k]):
                rest = function[value::2]
                if any(word is not None for word in rest):
                    ways.append((rest, rail if node is None else b.c(node, rail)))
        if k == order[-1]:
            level = ways
        else:
            level = [(rest, b.any(*(net for r, net in ways if r == rest)))
                     for rest in dict.fromkeys(rest for rest, _ in ways)]
    requests = [digit[0] for digit in digits if len(digit) == 1]
    leaves = [(function[0], net) for function, net in level]
    if requests:
        leaves = [(word, net if net is None else b.c(net, *requests)) for word, net in leaves]
        leaves = [(word, b.c(*requests) if net is None else net) for word, net in leaves]
    return leaves


def _permute(table: Table, order: Sequence[int]) -> Table:
    """Return the table of which the lowest bit of the index is the first of ``order``."""
    return tuple(table[sum((index >> place & 1) << bit for place, bit in enumerate(order))]
                 for index in range(len(table)))


def _size(table: Table, order: Sequence[int]) -> int:
    """Return the number of nodes of the diagram."""
    level, total = {_permute(table, order)}, 0
    for _ in order:
        total += len(level)
        level = {f[value::2] for f in level for value in (0, 1) if any(w is not None for w in f[value::2])}
    return total

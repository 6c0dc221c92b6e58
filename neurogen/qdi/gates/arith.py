"""Gate equations of the operators (qdi.md, section 4 B).

All take one token of each input and give one. Those whose result can be known before all bits are there
(``lt``, ``equal``, ...) emit it early and wait for the rest in the acknowledge: in.a = C(o.a, completion).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from neurogen.qdi.gates.decide import decide
from neurogen.qdi.gates.netlist import ZERO, Builder, Channel


__all__ = ["ARITHMETIC"]

Channels = Mapping[str, Channel]
Bit = tuple[int, int]  # rails (f, t)


def _swap(bit: Sequence[int]) -> Bit:
    return bit[1], bit[0]


def _drive(b: Builder, o: Channel, bits: Sequence[Bit]) -> None:
    for digit, bit in zip(o.digits, bits, strict=True):
        for rail, net in zip(digit, bit, strict=True):
            b.wire(rail, net)


def _acknowledge(b: Builder, ins: Channels, o: Channel, waits: Sequence[int] = ()) -> None:
    """Acknowledge all inputs with the output, and with what the output did not wait for."""
    ack = b.c(o.a, b.c(*waits)) if waits else o.a
    for channel in ins.values():
        b.wire(channel.a, ack)


def _xor(b: Builder, x: Sequence[int], y: Sequence[int]) -> Bit:
    return b.two_of(x[1], y[1], x[0], y[0]), b.two_of(x[1], y[0], x[0], y[1])


def _and(b: Builder, x: Sequence[int], y: Sequence[int]) -> Bit:
    t = b.c(x[1], y[1])
    if b.threshold:
        return b.gate("NG_THAND", x[0], y[0], x[1], y[1]), t
    return b.any(b.c(x[0], y[0]), b.c(x[1], y[0]), b.c(x[0], y[1])), t


def _add(b: Builder, x: Sequence[Sequence[int]], y: Sequence[Sequence[int]], carry_in: int) -> list[Bit]:
    """Return the sum modulo 2**width; the carry is early and that of the highest bit does not exist."""
    result: list[Bit] = []
    carry: Bit | None = None
    for k, ((xf, xt), (yf, yt)) in enumerate(zip(x, y, strict=True)):
        last = k == len(x) - 1
        if carry is None and last:
            half = _xor(b, (xf, xt), (yf, yt))
            result.append(_swap(half) if carry_in else half)
        elif carry is None:
            kill, both, one = b.c(xf, yf), b.c(xt, yt), b.two_of(xt, yf, xf, yt)
            same = b.any(kill, both)
            result.append((one, same) if carry_in else (same, one))
            carry = (kill, b.any(both, one)) if carry_in else (b.any(kill, one), both)
        elif last:
            result.append(_xor(b, _xor(b, (xf, xt), (yf, yt)), carry))
        elif b.threshold:
            cf, ct = carry
            carry = b.gate("NG_TH23", xf, yf, cf), b.gate("NG_TH23", xt, yt, ct)
            result.append((b.gate("NG_TH34W2", carry[1], xf, yf, cf),
                           b.gate("NG_TH34W2", carry[0], xt, yt, ct)))
        else:
            cf, ct = carry
            kill, both, one = b.c(xf, yf), b.c(xt, yt), b.two_of(xt, yf, xf, yt)
            same = b.any(kill, both)
            pass_f, pass_t = b.c(one, cf), b.c(one, ct)
            result.append((b.any(pass_t, b.c(same, cf)), b.any(pass_f, b.c(same, ct))))
            carry = b.any(kill, pass_f), b.any(both, pass_t)
    return result


def _adder(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    _drive(b, outs["o"], _add(b, ins["a"].digits, ins["b"].digits, 0))
    _acknowledge(b, ins, outs["o"])


def _sub(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    _drive(b, outs["o"], _add(b, ins["a"].digits, [_swap(bit) for bit in ins["b"].digits], 1))
    _acknowledge(b, ins, outs["o"])


def _add_constant(b: Builder, x: Sequence[Sequence[int]], value: int) -> list[Bit]:
    """Return x + value: below the lowest 1 of the constant bits are wires, there an inverter (of rails)."""
    result: list[Bit] = []
    carry: Bit | None = None
    for k, (f, t) in enumerate(x):
        one, last = value >> k & 1, k == len(x) - 1
        if carry is None:
            result.append((t, f) if one else (f, t))
            carry = (f, t) if one else None
            continue
        if last:
            half = _xor(b, (f, t), carry)
            result.append(_swap(half) if one else half)
            break
        cf, ct = carry
        ff, ft, tf, tt = b.c(f, cf), b.c(f, ct), b.c(t, cf), b.c(t, ct)
        odd, even = b.any(ft, tf), b.any(ff, tt)
        result.append((odd, even) if one else (even, odd))
        carry = (ff, b.any(t, ft)) if one else (b.any(f, tf), tt)
    return result


def _addc(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    _drive(b, outs["o"], _add_constant(b, ins["a"].digits, p["value"]))
    _acknowledge(b, ins, outs["o"])


def _not(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    _drive(b, outs["o"], [_swap(bit) for bit in ins["a"].digits])
    _acknowledge(b, ins, outs["o"])


def _neg(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    _drive(b, outs["o"], _add_constant(b, [_swap(bit) for bit in ins["a"].digits], 1))
    _acknowledge(b, ins, outs["o"])


def _logic(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    def bit(x, y):
        if p["op"] == "or":  # De Morgan: inverters are free
            return _swap(_and(b, _swap(x), _swap(y)))
        return _xor(b, x, y) if p["op"] == "xor" else _and(b, x, y)
    _drive(b, outs["o"], [bit(x, y) for x, y in zip(ins["a"].digits, ins["b"].digits, strict=True)])
    _acknowledge(b, ins, outs["o"])


def _order_key(digits: Sequence[Sequence[int]], signed: bool) -> list[Bit]:
    """Return the bits of which the unsigned order is the wanted one: the sign inverted."""
    bits = [(f, t) for f, t in digits]
    return [*bits[:-1], _swap(bits[-1])] if signed else bits


def _less(b: Builder, x: Sequence[Bit], y: Sequence[Bit]) -> tuple[Bit, list[int]]:
    """Return x < y and what is to be waited for; a chain from the lowest bit in which higher ones decide."""
    result, waits = None, []
    for (xf, xt), (yf, yt) in zip(x, y, strict=True):
        less, more, same = b.c(xf, yt), b.c(xt, yf), b.two_of(xt, yt, xf, yf)
        if result is None:
            result = b.any(more, same), less
        else:
            waits.append(b.valid(result))
            result = b.any(more, b.c(same, result[0])), b.any(less, b.c(same, result[1]))
    return result, waits


def _lt(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    result, waits = _less(b, *(_order_key(ins[k].digits, p["signed"]) for k in "ab"))
    _drive(b, outs["o"], [result])
    _acknowledge(b, ins, outs["o"], waits)


def _le(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    result, waits = _less(b, *(_order_key(ins[k].digits, p["signed"]) for k in "ba"))
    _drive(b, outs["o"], [_swap(result)])
    _acknowledge(b, ins, outs["o"], waits)


def _ltc(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    bits = _order_key(ins["a"].digits, p["signed"])
    value, half = p["value"], 1 << p["width"] - 1
    if p["signed"]:
        value = (value + half) % (2 * half)  # the order of the keys
    if not 0 < value < 1 << p["width"]:  # the answer is known, but not yet that a token is there
        there = b.complete(ins["a"])
        _drive(b, outs["o"], [(ZERO, there) if value > 0 else (there, ZERO)])
        return _acknowledge(b, ins, outs["o"])
    lowest = (value & -value).bit_length() - 1
    result, waits = _swap(bits[lowest]), [b.valid(bit) for bit in bits[:lowest]]
    for k in range(lowest + 1, p["width"]):
        f, t = bits[k]
        waits.append(b.valid(result))
        if value >> k & 1:
            result = b.c(t, result[0]), b.any(f, b.c(t, result[1]))
        else:
            result = b.any(t, b.c(f, result[0])), b.c(f, result[1])
    _drive(b, outs["o"], [result])
    return _acknowledge(b, ins, outs["o"], waits)


def _all(b: Builder, bits: Sequence[Bit]) -> tuple[Bit, list[int]]:
    """Return the AND of bits, early in the first of each pair, and what is to be waited for."""
    waits = []
    bits = list(bits)
    while len(bits) > 1:
        pairs = list(zip(bits[::2], bits[1::2], strict=False))
        waits += [b.valid(y) for _, y in pairs]
        bits = [(b.any(x[0], b.c(x[1], y[0])), b.c(x[1], y[1])) for x, y in pairs] + bits[2 * len(pairs):]
    return bits[0], waits


def _equal(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    result, waits = _all(b, [_swap(_xor(b, x, y))
                             for x, y in zip(ins["a"].digits, ins["b"].digits, strict=True)])
    _drive(b, outs["o"], [result])
    _acknowledge(b, ins, outs["o"], waits)


def _eqc(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    result, waits = _all(b, [(bit[0], bit[1]) if p["value"] >> k & 1 else _swap(bit)
                             for k, bit in enumerate(ins["a"].digits)])
    _drive(b, outs["o"], [result])
    _acknowledge(b, ins, outs["o"], waits)


def _mask(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    _drive(b, outs["o"], [_and(b, ins["c"].digits[0], x) for x in ins["x"].digits])
    _acknowledge(b, ins, outs["o"])


def _ternary(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    cf, ct = ins["c"].digits[0]
    _drive(b, outs["o"], [(b.two_of(ct, x[0], cf, y[0]), b.two_of(ct, x[1], cf, y[1]))
                          for x, y in zip(ins["x"].digits, ins["y"].digits, strict=True)])
    _acknowledge(b, ins, outs["o"], [b.complete(ins["x"], ins["y"])])


def _mul(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    """Shift and add; columns beyond the width do not exist."""
    x, y, width = ins["a"].digits, ins["b"].digits, p["width"]
    total = [_and(b, bit, y[0]) for bit in x]
    for row in range(1, width):
        product = [_and(b, bit, y[row]) for bit in x[:width - row]]
        total[row:] = _add(b, total[row:], product, 0)
    _drive(b, outs["o"], total)
    _acknowledge(b, ins, outs["o"])


def _lut(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    digits = [digit for k in range(len(p["in_widths"])) for digit in ins[f"i{k}"].digits]
    _drive(b, outs["o"], decide(b, digits, p["table"], p["out_width"]))
    _acknowledge(b, ins, outs["o"])


def _rom(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    size = 1 << ins["a"].width
    mask = (1 << p["width"]) - 1
    table = [value & mask for value in p["values"]]
    table += [table[-1]] * (size - len(table))  # an index out of range is answered, too
    _drive(b, outs["o"], decide(b, ins["a"].digits, table, p["width"]))
    _acknowledge(b, ins, outs["o"])


ARITHMETIC = {"adder": _adder, "sub": _sub, "addc": _addc, "logic": _logic, "not": _not, "neg": _neg,
              "lt": _lt, "le": _le, "ltc": _ltc, "equal": _equal, "eqc": _eqc, "mask": _mask,
              "ternary": _ternary, "mul": _mul, "lut": _lut, "rom": _rom}

"""Chooses the block of each operation: constants go into it where the library has a block for that."""

from neurogen.qdi.ir import Op, Value
from neurogen.qdi.wires import Field, Wire, Wiring, field_of, shape


__all__ = ["Operators"]


class Operators(Wiring):
    """Lowers operations; ``wires`` holds the channel of each value, ``known`` the constants."""

    wires: dict[Value, Wire]
    known: dict[Value, int]
    trigger: Wire

    def wire(self, value: Value) -> Wire:
        """Return the channel of a value; a constant gets its block here, once."""
        if value not in self.wires:
            self.wires[value] = self.const(self.known[value], shape((self.known[value],) * 2), self.trigger)
        return self.wires[value]

    def operand(self, value: Value, width: int) -> Wire:
        """Return a number in ``width`` bits; a constant directly in that width."""
        if value in self.known and value not in self.wires:
            return self.const(self.known[value], shape((0, (1 << width) - 1)), self.trigger)
        return self.fit(self.wire(value), width)

    def operation(self, op: Op) -> Wire:
        """Add the blocks of an operation; return the channel of its result."""
        field = field_of(op.result)
        method = getattr(self, f"_op_{op.kind}", None)
        if method is None:
            raise ValueError(f"Kind of an operation must be known, not {op.kind!r}")
        wire = method(op, field.width)
        return wire if op.kind == "field" else self.fit(wire, field.width, field.signed)

    def _op_concat(self, op, w):
        wires = [self.wire(v) for v in op.args]
        return self.pack(wires, [Field(wire.width, False) for wire in wires])

    def _two(self, op):
        """Return (constant or None, other operand, whether the constant is on the left)."""
        a, b = op.args
        if b in self.known:
            return self.known[b], a, False
        return (self.known[a], b, True) if a in self.known else (None, None, False)

    def _op_add(self, op, w):
        k, x, _ = self._two(op)
        if k is None:
            a, b = (self.operand(v, w) for v in op.args)
            return self.block("adder", {"width": w}, {"a": a, "b": b})
        k &= (1 << w) - 1
        return self._addc(self.operand(x, w), k)

    def _addc(self, wire, k):
        return self.block("addc", {"width": wire.width, "value": k}, {"a": wire}) if k else wire

    def _op_sub(self, op, w):
        k, x, left = self._two(op)
        if k is None:
            a, b = (self.operand(v, w) for v in op.args)
            return self.block("sub", {"width": w}, {"a": a, "b": b})
        if not left:
            return self._addc(self.operand(x, w), -k & ((1 << w) - 1))
        inverted = self.block("not", {"width": w}, {"a": self.operand(x, w)})  # k - x = ~x + (k + 1)
        return self._addc(inverted, (k + 1) & ((1 << w) - 1))

    def _op_neg(self, op, w):
        return self.block("neg", {"width": w}, {"a": self.operand(op.args[0], w)})

    def _op_mul(self, op, w):
        a, b = (self.operand(v, w) for v in op.args)
        return self.block("mul", {"width": w}, {"a": a, "b": b})

    def _logic(self, op, w):
        a, b = (self.operand(v, w) for v in op.args)
        return self.block("logic", {"width": w, "op": op.kind}, {"a": a, "b": b})

    _op_and = _op_or = _op_xor = _logic

    def _op_not(self, op, w):
        return self.block("not", {"width": w}, {"a": self.operand(op.args[0], w)})

    def _op_cast(self, op, w):
        return self.operand(op.args[0], w)

    def _op_shl(self, op, w):
        by, wire = op.attrs["by"], self.wire(op.args[0])
        if by >= w:
            return self.const(0, shape((0, (1 << w) - 1)), wire)
        return self.slice(wire, 0, w, shift=by, sign=wire.signed)

    def _op_shr(self, op, w):
        by, wire = op.attrs["by"], self.wire(op.args[0])
        if by >= wire.width and not wire.signed:
            return self.const(0, shape((0, (1 << w) - 1)), wire)
        low = min(by, wire.width - 1)
        return self.slice(wire, low, w, sign=wire.signed and w > wire.width - low)

    def _op_lt(self, op, _):
        k, x, left = self._two(op)
        if k is not None:
            wire = self.wire(x)
            if not left:
                return self._below(wire, k)
            return self._invert(self._below(wire, k + 1))  # k < x is not (x < k + 1)
        return self._ordered("lt", op.args)

    def _op_le(self, op, _):
        k, x, left = self._two(op)
        if k is not None:
            wire = self.wire(x)
            return self._invert(self._below(wire, k)) if left else self._below(wire, k + 1)
        return self._ordered("le", op.args)

    def _below(self, wire, k):
        low, high = (-(1 << wire.width - 1), (1 << wire.width - 1) - 1) if wire.signed else \
            (0, (1 << wire.width) - 1)
        if k <= low or k > high:
            return self.const(int(k > high), shape((0, 1)), wire)
        return self.block("ltc", {"width": wire.width, "value": k, "signed": wire.signed}, {"a": wire})

    def _invert(self, wire):
        return self.block("not", {"width": 1}, {"a": wire})

    def _ordered(self, kind, args):
        field = shape(args[0].range, args[1].range)
        a, b = (self.fit(self.wire(v), field.width) for v in args)
        return self.block(kind, {"width": field.width, "signed": field.signed}, {"a": a, "b": b})

    def _op_eq(self, op, _):
        k, x, _ = self._two(op)
        if k is not None:
            wire = self.wire(x)
            low, high = (-(1 << wire.width - 1), (1 << wire.width - 1) - 1) if wire.signed else \
                (0, (1 << wire.width) - 1)
            if not low <= k <= high:
                return self.const(0, shape((0, 1)), wire)
            return self.block("eqc", {"width": wire.width, "value": k & ((1 << wire.width) - 1)}, {"a": wire})
        field = shape(op.args[0].range, op.args[1].range)
        a, b = (self.fit(self.wire(v), field.width) for v in op.args)
        return self.block("equal", {"width": field.width}, {"a": a, "b": b})

    # a condition is taken in one bit: its channel may be wider than its interval, as that of a counter, which
    # comes out of its loop's test with its last value, too
    def _op_mask(self, op, w):
        c, x = op.args
        return self.block("mask", {"width": w}, {"c": self.operand(c, 1), "x": self.operand(x, w)})

    def _op_ternary(self, op, w):
        c, x, y = op.args
        a, b = self.known.get(x), self.known.get(y)
        if a is not None and b is not None:
            mask = (1 << w) - 1
            return self.block("lut", {"in_widths": (1,), "out_width": w, "table": (b & mask, a & mask)},
                              {"i0": self.operand(c, 1)})
        return self.block("ternary", {"width": w}, {"c": self.operand(c, 1), "x": self.operand(x, w),
                                                    "y": self.operand(y, w)})

    def _op_rom(self, op, w):
        values = op.attrs["values"]
        bits = max(1, (len(values) - 1).bit_length())
        # every address has a word: an index that Python would reject must not stop the circuit
        words = tuple(v & ((1 << w) - 1) for v in values) + (0,) * ((1 << bits) - len(values))
        return self.block("rom", {"width": w, "values": words}, {"a": self.operand(op.args[0], bits)})

    def _op_field(self, op, w):
        wire = self.wire(op.args[0])
        return self.slice(wire, op.attrs["low"], op.attrs["width"], signed=field_of(op.result).signed)

    def _op_lut(self, op, w):
        fields = op.attrs["in_widths"]
        return self.block("lut", {"in_widths": fields, "out_width": w, "table": op.attrs["table"]},
                          {f"i{k}": self.operand(v, n) for k, (v, n) in
                           enumerate(zip(op.args, fields, strict=True))})

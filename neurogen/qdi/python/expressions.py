"""Expressions of the subset as operations (mapping table of ``docs/qdi.md``).

A number that is known while the function is read is an ``int``; everything else is a `Value`. Arithmetic on
known numbers is exact, as in Python; arithmetic on values has the type of its operands, but is at least as
wide as the process.
"""

import ast
from collections.abc import Callable
from typing import Any

from neurogen.qdi.ir import Op, Region, Value
from neurogen.qdi.python.errors import QdiError
from neurogen.qdi.python.scope import Context, Undefined, as_int
from neurogen.qdi.python.source import MISSING
from neurogen.qdi.python.types import Bit, Num, join


__all__ = ["Expressions", "Number"]

Number = Value | int
_EXACT: dict[type, Callable[[int, int], int]] = {
    ast.Add: lambda a, b: a + b, ast.Sub: lambda a, b: a - b, ast.Mult: lambda a, b: a * b,
    ast.BitAnd: lambda a, b: a & b, ast.BitOr: lambda a, b: a | b, ast.BitXor: lambda a, b: a ^ b,
    ast.LShift: lambda a, b: a << b, ast.RShift: lambda a, b: a >> b, ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b, ast.Pow: lambda a, b: a ** b,
}
_KINDS = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.BitAnd: "and", ast.BitOr: "or",
          ast.BitXor: "xor"}
_COMPARE: dict[type, Callable[[int, int], bool]] = {
    ast.Lt: lambda a, b: a < b, ast.LtE: lambda a, b: a <= b, ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b, ast.Eq: lambda a, b: a == b, ast.NotEq: lambda a, b: a != b,
}


class Expressions:
    """Reads expressions in the context and region at hand."""

    ctx: Context
    env: dict[str, Any]
    region: Region
    lenient: int = 0

    def error(self, code: str, what: str, remedy: str, node: ast.AST) -> QdiError:
        """Return the error for a node of the function at hand."""
        return QdiError(code, what, remedy, self.ctx.source.loc(node))

    def emit(self, kind: str, args: list[Value], type: Num, node: ast.AST, **attrs: Any) -> Value:
        """Add an operation to the region and return its result."""
        value = Value(type)
        self.region.items.append(Op(kind, args, value, attrs, self.ctx.source.loc(node)))
        return value

    def value(self, number: Number, type: Num, node: ast.AST) -> Value:
        """Return a number as a value; one that is known must fit the type."""
        if isinstance(number, Value):
            return number
        if not isinstance(number, int):
            raise self.error("QDI002", "a number is needed here", "use an integer or a variable", node)
        if not type.fits(number):
            if not self.lenient:
                raise self.error("QDI004", f"{number} does not fit {type} ({type.low} to {type.high})",
                                 "widen the type or the process, or change the number", node)
            number = type.wrap(number)
        result = self.emit("const", [], type, node, value=number)
        result.bound = (number, number)
        return result

    def expr(self, node: ast.expr) -> Any:
        """Return a `Value`, an int, a tuple, or an object that is known while reading."""
        method = getattr(self, f"_expr_{type(node).__name__}", None)
        if method is None:
            raise self.error("QDI002", f"{type(node).__name__} is not part of the subset",
                             "use integers, the operators of the mapping table and calls of functions", node)
        return method(node)

    def number(self, node: ast.expr) -> Number:
        """Return an expression that must be a number."""
        result = self.expr(node)
        if isinstance(result, Value):
            return result
        if isinstance(result, float):
            raise self.error("QDI015", f"{result!r} is a floating-point number",
                             "scale it to an integer and shift the result", node)
        number = as_int(result)
        if number is None:
            what = "a tuple" if isinstance(result, tuple | list) else repr(result)
            raise self.error("QDI003", f"{what} is not an integer", "use integers and tuples of integers",
                             node)
        return number

    def bit(self, node: ast.expr) -> Number:
        """Return a condition: a bit, or a number that is known."""
        result = self.number(node)
        if isinstance(result, Value) and result.type != Bit:
            raise self.error("QDI006", f"the condition is a number of type {result.type}, not a bit",
                             "compare it, as in `x != 0`", node)
        return result if isinstance(result, Value) else int(bool(result))

    def unify(self, a: Number, b: Number, node: ast.AST) -> Num:
        """Return the type that holds two numbers."""
        if isinstance(a, Value) and isinstance(b, Value):
            return join(a.type, b.type)
        if isinstance(a, Value) or isinstance(b, Value):
            value, number = (a, b) if isinstance(a, Value) else (b, a)
            if value.type.fits(number):
                return value.type
            default = self.ctx.default
            return join(value.type, Num(default.width, True) if number < 0 else default)
        if {a, b} <= {0, 1}:
            return Bit
        return Num(self.ctx.default.width, True) if min(a, b) < 0 else self.ctx.default

    def choose(self, cond: Number, x: Number, y: Number, node: ast.AST) -> Number:
        """Return ``x if cond else y``."""
        if not isinstance(cond, Value):
            return x if cond else y
        if x is y or (isinstance(x, int) and isinstance(y, int) and x == y):
            return x
        type = self.unify(x, y, node)
        return self.emit("ternary", [cond, self.value(x, type, node), self.value(y, type, node)], type, node)

    def arithmetic(self, op: type, a: Number, b: Number, node: ast.AST, key: ast.AST | None = None) -> Number:
        """Return ``a op b`` and note the type of the result for the golden model."""
        if isinstance(a, int) and isinstance(b, int):
            if (op in (ast.LShift, ast.RShift, ast.Pow) and b < 0) or (op in (ast.FloorDiv, ast.Mod)
                                                                       and b == 0):
                raise self.error("QDI002", f"{b} on the right of this operator is an error in Python",
                                 "change the number", node)
            return _EXACT[op](a, b)
        if op in (ast.LShift, ast.RShift):
            return self._shift(op, a, b, node, key)
        if op in (ast.FloorDiv, ast.Mod):
            return self._divide(op, a, b, node, key)
        values = [x.type for x in (a, b) if isinstance(x, Value)]
        type = values[0] if len(values) == 1 else join(*values)
        if op in (ast.Add, ast.Sub, ast.Mult):
            type = Num(max(type.width, self.ctx.default.width), type.signed)
        kind = _KINDS[op]
        if isinstance(b, int) and b < 0 and not type.signed and kind in ("add", "sub"):
            kind, b = "sub" if kind == "add" else "add", -b
        if kind == "add" and isinstance(a, int) and a < 0 and not type.signed:
            kind, a, b = "sub", b, -a
        known = next((x for x in (a, b) if isinstance(x, int)), 0)
        if kind == "and" and isinstance(a, int) != isinstance(b, int) and (known >= 0 or not type.signed):
            return self._masked(a if isinstance(a, Value) else b, known, type, node, key)
        if kind in ("and", "or", "xor") and not type.fits(known):
            type = Num(max(type.width, self.ctx.default.width), type.signed)
        if key is not None:
            self.ctx.types[id(key)] = type
        return self.emit(kind, [self.value(a, type, node), self.value(b, type, node)], type, node)

    def _masked(self, value, mask, type, node, key):
        """Return bits of a value; its type is as wide as the mask, so that `x & 1` is a bit."""
        if not type.signed:
            mask &= type.high
        result = Num(max(1, mask.bit_length()))
        if key is not None:
            self.ctx.types[id(key)] = result
        if mask == result.high:
            return self.emit("cast", [value], result, node)
        return self.emit("and", [value, self.value(mask, result, node)], result, node)

    def _shift(self, op, a, b, node, key):
        left = op is ast.LShift
        if isinstance(a, int):
            default = self.ctx.default
            a = self.value(a, Num(default.width, True) if a < 0 else default, node)
        width = max(a.type.width, self.ctx.default.width) if left else a.type.width
        type = Num(width, a.type.signed)
        if key is not None:
            self.ctx.types[id(key)] = type
        if isinstance(b, int):
            if b < 0:
                raise self.error("QDI004", f"a shift by {b} is an error in Python", "shift the other way",
                                 node)
            return self.emit("shl" if left else "shr", [a], type, node, by=b)
        if b.type.signed:
            raise self.error("QDI002", "a shift by a signed number", "shift by an unsigned variable", node)
        for k in range(b.type.width):  # a barrel shifter: one choice for each bit of the distance
            bit = self.emit("cast", [self.emit("shr", [b], b.type, node, by=k)], Bit, node)
            shifted = self.emit("shl" if left else "shr", [a], type, node, by=1 << k)
            a = self.emit("ternary", [bit, shifted, a], type, node)
        return a

    def _divide(self, op, a, b, node, key):
        if not isinstance(b, int) or b <= 0 or b & (b - 1):
            raise self.error("QDI002", "division by something else than a power of two",
                             "divide by 2, 4, 8, ... or write a loop that subtracts", node)
        if op is ast.FloorDiv:
            return self._shift(ast.RShift, a, b.bit_length() - 1, node, key)
        if b == 1:
            return 0
        return self.emit("cast", [a], Num(b.bit_length() - 1), node)

    def compare(self, op: type, a: Number, b: Number, node: ast.AST, *, strict: bool = True) -> Number:
        """Return ``a op b`` as a bit; a comparison that has only one answer is an error if ``strict``."""
        if isinstance(a, int) and isinstance(b, int):
            return int(_COMPARE[op](a, b))
        for x, other in ((a, b), (b, a)):
            if isinstance(x, int) and not other.type.fits(x):
                if self.lenient or not strict:
                    low, high = (x, other.type.low) if x is a else (other.type.low, x)
                    return int(_COMPARE[op](low, high))
                raise self.error("QDI004", f"{x} does not fit {other.type}, with which it is compared",
                                 "change the number: the comparison has only one answer", node)
        if op in (ast.Gt, ast.GtE):
            a, b, op = b, a, ast.Lt if op is ast.Gt else ast.LtE
        x = self.value(a, b.type if isinstance(a, int) else a.type, node)
        y = self.value(b, x.type if isinstance(b, int) else b.type, node)
        kind = {ast.Lt: "lt", ast.LtE: "le"}.get(op, "eq")
        result = self.emit(kind, [x, y], Bit, node)
        return self.emit("not", [result], Bit, node) if op is ast.NotEq else result

    def _expr_Constant(self, node):
        if isinstance(node.value, float | complex):
            raise self.error("QDI015", f"{node.value!r} is a floating-point number",
                             "scale it to an integer and shift the result", node)
        if not isinstance(node.value, int):
            raise self.error("QDI003", f"{node.value!r} is not an integer", "use integers", node)
        return int(node.value)

    def _expr_Name(self, node):
        if node.id in self.env:
            found = self.env[node.id]
            if isinstance(found, Undefined):
                if node.id.startswith("$"):
                    return 0
                raise self.error("QDI005", f"'{node.id}' may be undefined here",
                                 f"give it a value before, as in `{node.id} = 0`", node)
            return found
        if node.id.startswith("$"):
            return 0
        if node.id in self.locals:
            raise self.error("QDI005", f"'{node.id}' has no value yet", f"give it a value before, as in "
                             f"`{node.id} = 0`", node)
        found = self.ctx.source.lookup(node.id)
        if found is MISSING:
            raise self.error("QDI005", f"'{node.id}' is not defined", "define it, or correct the name", node)
        return found

    def _expr_Attribute(self, node):
        base = self.expr(node.value)
        if isinstance(base, Value | Undefined) or not hasattr(base, node.attr):
            raise self.error("QDI002", f"no attribute '{node.attr}' of that", "use a constant", node)
        return getattr(base, node.attr)

    def _expr_Tuple(self, node):
        return tuple(self.expr(element) for element in node.elts)

    def _expr_NamedExpr(self, node):
        raise self.error("QDI009", "an assignment inside an expression", "assign in a line of its own", node)

    def _expr_Yield(self, node):
        raise self.error("QDI009", "yield inside an expression",
                         "write `yield x` as a statement; inputs come from `next(stream)`", node)

    _expr_YieldFrom = _expr_Await = _expr_Yield

    def _expr_BinOp(self, node):
        if isinstance(node.op, ast.Div):
            raise self.error("QDI015", "`/` gives a floating-point number",
                             "use `//` by a power of two, or a shift", node)
        if type(node.op) not in _EXACT:
            raise self.error("QDI002", f"operator {type(node.op).__name__} is not part of the subset",
                             "use + - * & | ^ << >>, // and % by powers of two", node)
        a, b = self.number(node.left), self.number(node.right)
        if isinstance(node.op, ast.Pow) and not (isinstance(a, int) and isinstance(b, int)):
            raise self.error("QDI002", "a power of a variable", "multiply, or use a table", node)
        return self.arithmetic(type(node.op), a, b, node, node)

    def _expr_UnaryOp(self, node):
        if isinstance(node.op, ast.Not):
            a = self.bit(node.operand)
            return self.emit("not", [a], Bit, node) if isinstance(a, Value) else int(not a)
        a = self.number(node.operand)
        if isinstance(node.op, ast.UAdd):
            return a
        if isinstance(a, int):
            return -a if isinstance(node.op, ast.USub) else ~a
        if isinstance(node.op, ast.USub):
            type = Num(max(a.type.width, self.ctx.default.width), a.type.signed)
            self.ctx.types[id(node)] = type
            return self.emit("neg", [a], type, node)
        if not a.type.signed and self.mode == "checked":
            raise self.error("QDI004", f"~ of an unsigned number is negative, which never fits {a.type}",
                             f"write `x ^ {a.type.high:#x}`, or use `not` for a bit", node)
        self.ctx.types[id(node)] = a.type
        return self.emit("not", [a], a.type, node)

    def _expr_BoolOp(self, node):
        kind = "and" if isinstance(node.op, ast.And) else "or"
        result = self.bit(node.values[0])
        for operand in node.values[1:]:
            other = self.bit(operand)
            if isinstance(result, Value) and isinstance(other, Value):
                result = self.emit(kind, [result, other], Bit, node)
            else:
                known, rest = (result, other) if isinstance(result, int) else (other, result)
                absorbs = known == (kind == "or")
                result = known if absorbs else rest
        return result

    def _expr_Compare(self, node):
        for op in node.ops:
            if type(op) not in _COMPARE:
                raise self.error("QDI002", f"comparison {type(op).__name__} is not part of the subset",
                                 "use < <= > >= == !=", node)
        operands = [self.number(x) for x in (node.left, *node.comparators)]
        result: Number = 1
        for op, a, b in zip(node.ops, operands, operands[1:], strict=False):
            one = self.compare(type(op), a, b, node)
            if isinstance(result, int):
                result = one if result else 0
            elif isinstance(one, int):
                result = result if one else 0
            else:
                result = self.emit("and", [result, one], Bit, node)
        return result

    def _expr_IfExp(self, node):
        cond = self.bit(node.test)
        if isinstance(cond, int):
            return self.number(node.body if cond else node.orelse)
        return self.choose(cond, self.number(node.body), self.number(node.orelse), node)

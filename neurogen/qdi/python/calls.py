"""Indices, slices and calls in expressions."""

import ast

from neurogen.qdi.ir import Value
from neurogen.qdi.python.expressions import Expressions
from neurogen.qdi.python.scope import MemRef, StreamRef, as_int
from neurogen.qdi.python.types import Bit, Num


__all__ = ["Calls"]


class Calls(Expressions):
    """The part of the expression reader that is for indices and calls."""

    def _expr_Subscript(self, node):
        base = self.expr(node.value)
        if isinstance(base, MemRef):
            return self.access(base, node)
        if isinstance(base, StreamRef):
            raise self.error("QDI014", "an index of a stream", "read it with `next(stream)`", node)
        if isinstance(node.slice, ast.Slice):
            return self._slice(base, node)
        if isinstance(base, Value):
            return self._bit_of(base, node)
        if isinstance(base, type) or not hasattr(base, "__getitem__"):
            index = self.expr(node.slice)
            if isinstance(base, type):
                return base[index]
            raise self.error("QDI002", "an index of a number that is known", "write (x >> i) & 1", node)
        index = self.number(node.slice)
        if isinstance(index, int):
            try:
                return base[index]
            except IndexError:
                raise self.error("QDI013", f"index {index} is outside the tuple of {len(base)}",
                                 "use an index of the tuple", node) from None
        words = [as_int(x) for x in base]
        if None in words:
            raise self.error("QDI003", "the tuple has something else than integers", "use integers", node)
        type_ = self.table_type(words)
        return self.emit("rom", [index], type_, node, values=tuple(words))

    def table_type(self, words: list[int]) -> Num:
        """Return the narrowest type of a table's words."""
        low, high = min(words), max(words)
        signed = low < 0
        return Num(max(1, high.bit_length() + signed, (~low).bit_length() + 1 if signed else 1), signed)

    def _bit_of(self, base, node):
        if not isinstance(node.value, ast.Name) or node.value.id not in self.ctx.params \
                or node.value.id in self.assigned:
            raise self.error("QDI002", "an index of a variable: Python's integers have none",
                             "index a parameter that is not assigned, or write (x >> i) & 1", node)
        index = self.number(node.slice)
        if isinstance(index, int) and not 0 <= index < base.type.width:
            raise self.error("QDI013", f"bit {index} is outside {base.type}",
                             f"use an index from 0 to {base.type.width - 1}", node)
        if isinstance(index, Value) and (shifter := self.shift_register(base, index, node)) is not None:
            return self.emit("cast", [shifter], Bit, node)
        return self.emit("cast", [self._shift(ast.RShift, base, index, node, None)], Bit, node)

    def _slice(self, base, node):
        parts = [None if part is None else self.expr(part)
                 for part in (node.slice.lower, node.slice.upper, node.slice.step)]
        if any(isinstance(part, Value) for part in parts):
            raise self.error("QDI013", "a slice whose ends are not known", "use constants", node)
        if isinstance(base, Value):
            low, high = parts[0] or 0, base.type.width if parts[1] is None else parts[1]
            if parts[2] is not None or not 0 <= low < high <= base.type.width:
                raise self.error("QDI013", f"bits {low} to {high} of {base.type}",
                                 "use x[low:high] with 0 <= low < high <= width", node)
            return self.emit("cast", [self.emit("shr", [base], base.type, node, by=low)], Num(high - low),
                             node)
        return tuple(base[slice(*parts)])

    def _expr_Call(self, node):
        function = self.expr(node.func)
        if node.keywords or any(isinstance(arg, ast.Starred) for arg in node.args):
            raise self.error("QDI002", "arguments by name or by *", "pass arguments by position", node)
        if isinstance(function, Num):
            a = self.number(node.args[0])
            return function.wrap(a) if isinstance(a, int) else self.emit("cast", [a], function, node)
        if function in (min, max):
            values = [self.number(arg) for arg in node.args]
            result = values[0]
            for other in values[1:]:
                less = self.compare(ast.Lt if function is min else ast.Gt, other, result, node, strict=False)
                result = self.choose(less, other, result, node)
            return result
        if function is abs:
            a = self.number(node.args[0])
            if isinstance(a, int) or not a.type.signed:
                return abs(a) if isinstance(a, int) else a
            self.ctx.types[id(node)] = a.type
            return self.choose(self.compare(ast.Lt, a, 0, node), self.emit("neg", [a], a.type, node), a, node)
        if function is int:
            return self.number(node.args[0])
        if function is bool:
            a = self.number(node.args[0])
            return int(bool(a)) if isinstance(a, int) else a if a.type == Bit else \
                self.compare(ast.NotEq, a, 0, node)
        if function is len:
            base = self.expr(node.args[0])
            return base.depth if isinstance(base, MemRef) else len(base)
        if function is next:
            return self.read(self.expr(node.args[0]), node)
        return self.call(function, node)

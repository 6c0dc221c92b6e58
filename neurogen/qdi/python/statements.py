"""Statements of the subset: assignments, arms and loops, each with the values it leaves behind."""

import ast
from typing import Any

from neurogen.qdi.ir import Emit, If, Op, Region, Value
from neurogen.qdi.python.calls import Calls
from neurogen.qdi.python.expressions import Number
from neurogen.qdi.python.loops import Loops
from neurogen.qdi.python.scope import MemRef, Undefined
from neurogen.qdi.python.types import Bit, Num, join


__all__ = ["Statements"]


class Statements(Loops, Calls):
    """Reads statements in the context and region at hand."""

    def block(self, body: list[ast.stmt]) -> None:
        """Read statements in order."""
        for s in body:
            method = getattr(self, f"_stmt_{type(s).__name__}", None)
            if method is None:
                raise self.error("QDI001", f"{type(s).__name__} is not part of the subset",
                                 "use assignments, if, for, while, break, continue, return, yield, assert", s)
            method(s)

    def inside(self, region: Region, env: dict[str, Any], body: list[ast.stmt]) -> dict[str, Any]:
        """Read statements into another region; return the variables at its end."""
        outer = self.region, self.env
        self.region, self.env = region, env
        try:
            self.block(body)
            return self.env
        finally:
            self.region, self.env = outer

    def _stmt_Pass(self, s):
        pass

    def _stmt_Assert(self, s):
        """An assertion is for the run of the Python function, not for the circuit."""

    def _stmt_Expr(self, s):
        if isinstance(s.value, ast.Constant):
            return
        if isinstance(s.value, ast.Yield):
            self._yield(s.value)
            return
        if isinstance(s.value, ast.Call):
            self.expr(s.value)
            return
        raise self.error("QDI001", "an expression whose value goes nowhere", "assign it or remove it", s)

    def _yield(self, node):
        if not self.persistent:
            raise self.error("QDI012", "'yield' outside the loop of a persistent process",
                             "yield inside the outermost `while True:` or `for x in stream:`", node)
        if node.value is None:
            raise self.error("QDI012", "'yield' without a value", "yield a number", node)
        result = self.expr(node.value)
        values = result if isinstance(result, tuple) else (result,)
        site = (id(self.ctx), id(node))
        if self.yields.setdefault("site", site) != site:
            raise self.error("QDI012", "a second 'yield': results of two places have no order in the circuit",
                             "assign to variables and yield once", node)
        types = self.result_types(len(values), node)
        numbers = []
        for value, type in zip(values, types, strict=True):
            if not isinstance(value, Value | int):
                raise self.error("QDI003", f"{value!r} is not an integer", "yield numbers", node)
            numbers.append(self.cast(value, type or (value.type if isinstance(value, Value)
                                                     else self.ctx.default), node))
        self.yields["values"] = numbers
        for k, number in enumerate(numbers):
            name = "o" if len(numbers) == 1 else f"o{k}"
            self.region.items.append(Emit(name, [number], self.ctx.source.loc(node)))

    def cast(self, number: Number, type: Num, node: ast.AST) -> Value:
        """Return a number as a value of a type, modulo 2 to its width."""
        if isinstance(number, int):
            return self.value(number, type, node)
        return number if number.type == type else self.emit("cast", [number], type, node)

    def _stmt_AnnAssign(self, s):
        type = self.expr(s.annotation)
        if not isinstance(type, Num) or not isinstance(s.target, ast.Name):
            raise self.error("QDI001", "a declaration of something else than a number",
                             "declare a variable with U[n], S[n] or Bit", s)
        if s.value is None:
            self.env[s.target.id] = Undefined()
            return
        number = self.number(s.value)
        self.ctx.types[id(s)] = type
        self.env[s.target.id] = self.cast(number, type, s)

    def _stmt_Assign(self, s):
        if len(s.targets) > 1:
            raise self.error("QDI011", "a chained assignment", "write one assignment a line", s)
        self._bind(s.targets[0], self.expr(s.value), s)

    def _bind(self, target, value, node):
        if isinstance(target, ast.Name):
            if isinstance(self.env.get(target.id), MemRef):
                raise self.error("QDI014", f"an assignment to the memory '{target.id}'",
                                 "assign to its words", node)
            self.env[target.id] = self._known(value, node)
        elif isinstance(target, ast.Tuple | ast.List):
            if not isinstance(value, tuple | list) or len(value) != len(target.elts) \
                    or any(isinstance(element, ast.Starred) for element in target.elts):
                raise self.error("QDI011", "targets that do not fit what is assigned",
                                 "assign as many values as there are names", node)
            for element, part in zip(target.elts, list(value), strict=True):
                self._bind(element, part, node)
        elif isinstance(target, ast.Subscript) and isinstance(base := self.expr(target.value), MemRef):
            if not isinstance(value, Value | int):
                raise self.error("QDI003", f"{value!r} is not an integer", "write numbers to a memory", node)
            self.access(base, target, self.cast(value, base.type, node))
        else:
            raise self.error("QDI011", "a target that is no variable",
                             "assign to names and to words of a Mem", node)

    def _known(self, value, node):
        if isinstance(value, float):
            raise self.error("QDI015", f"{value!r} is a floating-point number", "scale it to an integer",
                             node)
        if isinstance(value, MemRef):
            raise self.error("QDI014", "a second name for a memory", "use the parameter's own name", node)
        return int(value) if isinstance(value, bool) else value

    def _stmt_AugAssign(self, s):
        load = ast.copy_location(
            ast.Name(s.target.id, ast.Load()) if isinstance(s.target, ast.Name) else
            ast.Subscript(s.target.value, s.target.slice, ast.Load()) if isinstance(s.target,
                                                                                    ast.Subscript) else
            ast.Constant(0), s.target)
        if isinstance(s.target, ast.Attribute):
            raise self.error("QDI011", "a target that is no variable", "assign to names", s)
        expression = ast.copy_location(ast.BinOp(load, s.op, s.value), s)
        result = self.expr(expression)
        if id(expression) in self.ctx.types:
            self.ctx.types[id(s)] = self.ctx.types.pop(id(expression))
        self._bind(s.target, result, s)

    def _stmt_If(self, s):
        cond = self.condition(s.test)
        if isinstance(cond, int):
            self.block(s.body if cond else s.orelse)
            return
        conds, bodies, rest = [cond], [s.body], s.orelse
        while self.options.get("switch", True) and len(rest) == 1 and isinstance(rest[0], ast.If):
            mark = len(self.region.items)
            try:
                cond = self.condition(rest[0].test)
            except SyntaxError:  # the place for the error is the arm, where names may have other values
                del self.region.items[mark:]
                break
            new = self.region.items[mark:]
            if isinstance(cond, int) or any(not isinstance(i, Op) or i.kind in ("mem", "read") for i in new):
                del self.region.items[mark:]
                break
            conds.append(cond)
            bodies.append(rest[0].body)
            rest = rest[0].orelse
        regions = [Region() for _ in range(len(conds) + 1)]
        ends = [self.inside(r, dict(self.env), body) for r, body in zip(regions, [*bodies, rest],
                                                                        strict=True)]
        item = If(conds, regions, [], self.ctx.source.loc(s))
        self.region.items.append(item)
        names = [name for name in dict.fromkeys(n for end in ends for n in end)
                 if any(end.get(name) is not self.env.get(name) for end in ends)]
        for name in names:
            self.env[name] = self._merge(item, name, [end.get(name, Undefined()) for end in ends], s)

    def condition(self, node: ast.expr) -> Number:
        """Read a condition: a bit, without side effects."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id == "next":
                raise self.error("QDI009", "a condition that takes a token", "assign `x = next(...)` before",
                                 inner)
        return self.bit(node)

    def _merge(self, item, name, values, node) -> Any:
        if any(isinstance(v, Undefined) for v in values):
            if not name.startswith("$") or all(isinstance(v, Undefined) for v in values):
                return Undefined()
            given = next(v for v in values if not isinstance(v, Undefined))
            zero = tuple(0 for _ in given) if isinstance(given, tuple) else 0
            values = [zero if isinstance(v, Undefined) else v for v in values]
        if any(isinstance(v, tuple) for v in values):
            if any(not isinstance(v, tuple) or len(v) != len(values[0]) for v in values):
                raise self.error("QDI011", f"'{name.lstrip('$')}' has values of different shapes",
                                 "give as many values in each arm", node)
            return tuple(self._merge(item, name, list(parts), node) for parts in zip(*values, strict=True))
        if all(v is values[0] or (isinstance(v, int) and v == values[0]) for v in values):
            return values[0]
        if any(not isinstance(v, Value | int) for v in values):
            raise self.error("QDI011", f"'{name}' is not a number in each arm", "assign numbers", node)
        result = Value(self._type_of(values, node), name)
        for region, value in zip(item.arms, values, strict=True):
            outer, self.region = self.region, region
            region.yields.append(self.value(value, result.type, node))
            self.region = outer
        item.results.append(result)
        return result

    def _type_of(self, values, node):
        type = None
        for a in values:
            if isinstance(a, Value):
                type = a.type if type is None else join(type, a.type)
        known = [a for a in values if isinstance(a, int)]
        if type is None:
            return Bit if set(known) <= {0, 1} else Num(self.ctx.default.width, min(known) < 0)
        for number in known:
            type = join(type, self.unify(Value(type), number, node))
        return type

"""Loops: variables that travel round, tests before or after the body, counters, loops without end.

A loop is read again until the types of its variables no longer grow. If its first test is certain, the test
comes after the body: one activation less, and what the body computes need not travel through a second
branch.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from neurogen.qdi.ir import Loop, Region, Value
from neurogen.qdi.python.exits import assigned
from neurogen.qdi.python.scope import StreamRef, Undefined
from neurogen.qdi.python.types import Bit, Num, join


__all__ = ["Loops"]


@dataclass
class _Frame:
    """A loop that is being read: its counter in the body, and shift registers for ``x[i]``."""

    number: int
    counter: Value | None = None
    from_zero: bool = False
    wanted: dict[str, Value] = field(default_factory=dict)


class Loops:
    """The part of the statement reader that is for loops."""

    def start(self) -> None:
        """Begin a function."""
        self.frames: list[_Frame] = []
        self._loops = count()

    def shift_register(self, base: Value, index: Value, node: ast.AST) -> Value | None:
        """Return ``base >> index`` if the index counts a loop from 0 by 1: a register that shifts with it."""
        if not self.options.get("P8", True):
            return None
        for frame in self.frames:
            if frame.counter is index and frame.from_zero:
                name = f"$shift{frame.number}_{node.value.id}"
                frame.wanted[name] = base
                return self.env.get(name)
        return None

    def _stmt_While(self, s):
        flag = getattr(s, "flag", None)
        if s.orelse:
            raise self.error("QDI001", "else of a loop", "test a variable after the loop", s)
        if self._endless(s, flag):
            self._persistent(s, None)
            return

        def test():
            cond = self.condition(s.test)
            return self._and_not(cond, flag, s)

        self._loop(s, assigned(s.body), test, lambda: self.block(s.body), _Frame(next(self._loops)))

    def _endless(self, s, flag):
        if flag is not None or not isinstance(s.test, ast.Constant) or not s.test.value:
            return False
        if self.region is not self.top or self.ctx.parent is not None or not any(
                isinstance(node, ast.Yield) for inner in s.body for node in ast.walk(inner)):
            raise self.error("QDI016", "a loop that never ends and gives no token",
                             "add a `break`, or `yield` a result in the outermost loop", s)
        return True

    def _and_not(self, cond, flag, node):
        stop = self.env.get(flag, 0) if flag else 0
        if isinstance(stop, int):
            return 0 if stop else cond
        go = self.emit("not", [stop], Bit, node)
        return go if cond == 1 else self.emit("and", [go, cond], Bit, node) if isinstance(cond, Value) else 0

    def _stmt_For(self, s):
        if s.orelse:
            raise self.error("QDI001", "else of a loop", "test a variable after the loop", s)
        if not isinstance(s.target, ast.Name):
            raise self.error("QDI011", "a loop variable that is no name", "use one name", s.target)
        if isinstance(s.iter, ast.Name) and isinstance(self.env.get(s.iter.id), StreamRef):
            if getattr(s, "flag", None) or self.region is not self.top:
                raise self.error("QDI014", "a loop over a stream that is left or nested",
                                 "read with `next(stream)`", s)
            self._persistent(s, self.env[s.iter.id])
            return
        first, last, step = self._range(s)
        frame = _Frame(next(self._loops), from_zero=isinstance(first, int) and first == 0 and step == 1)
        name = f"$count{frame.number}"
        low = first if isinstance(first, int) else first.range[0]
        high = last if isinstance(last, int) else last.range[1]
        top = first if isinstance(first, int) else first.range[1]
        bottom = last if isinstance(last, int) else last.range[0]
        # the counter holds the first value that is out of range, too, and never wraps
        whole = (min(low, high), max(top, high + step - 1)) if step > 0 else \
            (min(low, bottom + step + 1), max(top, bottom))
        body = (low, high - 1) if step > 0 else (bottom + 1, top)
        exact = _type_for(*whole)
        number = _type_for(*body) if body[0] <= body[1] else exact
        number = number if self.ctx.default.width < number.width else \
            Num(self.ctx.default.width, self.ctx.default.signed or number.signed)
        self.env[name] = first if isinstance(first, int) else self.cast(first, exact, s)

        def test():
            at = self.env[name]
            if isinstance(at, Value):
                at.bound = whole
            cond = self.compare(ast.Lt if step > 0 else ast.Gt, at, last, s.iter)
            return self._and_not(cond, getattr(s, "flag", None), s)

        def inside():
            at = self.env[name]
            at.bound = body
            visible = self.emit("cast", [at], number, s)
            visible.bound = body
            frame.counter = visible
            self.env[s.target.id] = visible
            self.block(s.body)
            at = self.env[name]
            constant = self.value(abs(step), exact if exact.fits(abs(step)) else join(exact, Num(64)), s)
            after = self.emit("add" if step > 0 else "sub", [at, constant], exact, s)
            after.bound = (body[0] + step, body[1] + step)
            self.env[name] = after

        self._loop(s, [s.target.id, *assigned(s.body)], test, inside, frame, name, exact)
        self.env.pop(name, None)

    def _range(self, s):
        call = s.iter
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range"
                and 1 <= len(call.args) <= 3 and not call.keywords):
            raise self.error("QDI007", "a loop over something else than range(...)",
                             "write `for i in range(n)` and index with i", call)
        numbers = [self.number(arg) for arg in call.args]
        first, last = (0, numbers[0]) if len(numbers) == 1 else numbers[:2]
        step = numbers[2] if len(numbers) == 3 else 1
        if not isinstance(step, int) or step == 0:
            raise self.error("QDI007", "a step that is not a constant other than 0", "use a constant step",
                             call)
        return first, last, step

    def _loop(self, s, assigned_names: list[str], test: Callable, body: Callable, frame: _Frame,
              counter: str | None = None, exact: Num | None = None) -> None:
        outer = self.env
        mark = len(self.region.items)
        known = test()
        del self.region.items[mark:]
        if isinstance(known, int) and not known:
            return
        rotate = isinstance(known, int)
        self.frames.append(frame)
        names, types = [], {}
        try:
            for _ in range(12):
                wanted = [*([counter] if counter else []), *dict.fromkeys(assigned_names), *frame.wanted]
                outer.update({k: v for k, v in frame.wanted.items() if k not in outer})
                names = [n for n in wanted if isinstance(outer.get(n), Value | int)]
                self._reject(s, wanted, outer)
                if not names and not rotate:
                    raise self.error("QDI008", "a loop whose test depends on no variable that it changes",
                                     "change a variable of the test in the loop", s)
                for n in names:
                    types.setdefault(n, exact if n == counter else self._first_type(outer[n]))
                # types of variables that start as known numbers may still grow: numbers are checked at the
                # end
                self.lenient += 1
                loop, grown, stable = self._round(s, outer, names, types, test, body, frame, rotate)
                self.lenient -= 1
                if stable and not [k for k in frame.wanted if k not in names]:
                    break
                types = grown
            loop, grown, _ = self._round(s, outer, names, types, test, body, frame, rotate)
        finally:
            self.frames.pop()
            self.env = outer
        self.region.items.append(loop)
        for n, result in zip(self._passed, loop.results, strict=True):
            outer[n] = result
        for n in assigned_names:
            if n not in self._passed and not isinstance(outer.get(n), Value | int):
                outer[n] = Undefined()
            if rotate and n in self._known_after:
                outer[n] = self._known_after[n]
        for n in frame.wanted:
            outer.pop(n, None)

    def _reject(self, s, names, outer):
        for n in names:
            if n in outer and not isinstance(outer[n], Value | int | Undefined):
                raise self.error("QDI011", f"'{n.lstrip('$')}' is a tuple or a memory and changes in a loop",
                                 "use numbers for what changes", s)

    def _first_type(self, value):
        if isinstance(value, Value):
            return value.type
        return Bit if value in (0, 1) else self.ctx.default if self.ctx.default.fits(value) else \
            _type_for(value, value)

    def _round(self, s, outer, names, types, test, body, frame, rotate) -> tuple[Loop, dict[str, Num], bool]:
        """Read the loop once with given types; return it, the types that it needs, and whether they
        suffice.
        """
        args = [Value(types[n], n) for n in names]
        region, second = Region(), Region()
        above = self.region
        env = {k: v for k, v in outer.items() if k not in names}
        try:
            self.region, self.env = region, env | dict(zip(names, args, strict=True))
            if rotate:
                body()
                self._advance(frame, s)
                cond = test()
                after = self.env
                passed = [n for n in after if n in names or after[n] is not outer.get(n)]
                self._known_after = {n: after[n] for n in passed if n not in names and isinstance(after[n],
                                                                                                  int)}
                passed = [n for n in passed if n in names or isinstance(after[n], Value)]
            else:
                cond = test()
                passed = list(names)
                body_args = [Value(types[n], n) for n in names]
                self.region, self.env = second, env | dict(zip(names, body_args, strict=True))
                body()
                self._advance(frame, s)
                after = self.env
            grown = {n: self._grown(types[n], after[n], s) for n in names}
            stable = grown == types
            if not rotate:
                region.yields = list(args)
                second.yields = [self.value(after[n], types[n], s) for n in names]
            else:
                more = {n: types.get(n) or self._result_type(after[n]) for n in passed}
                region.yields = [self.value(after[n], more[n], s) for n in passed]
                body_args = [Value(more[n], n) for n in passed]
                at = dict(zip(passed, body_args, strict=True))
                second.yields = [at[n] for n in names]
            self._passed = passed
            self.region = above
            cond = self._in(region, lambda: self.value(cond, Bit, s))
            inits = [self.value(outer[n], types[n], s) for n in names]
        finally:
            self.region, self.env = above, outer
        results = [Value(v.type, n) for n, v in zip(passed, region.yields, strict=True)]
        return Loop(inits, args, region, cond, body_args, second, results,
                    self.ctx.source.loc(s)), grown, stable

    def _in(self, region, make):
        above, self.region = self.region, region
        try:
            return make()
        finally:
            self.region = above

    def _advance(self, frame, s):
        for n in frame.wanted:
            if n in self.env and isinstance(self.env[n], Value):
                self.env[n] = self.emit("shr", [self.env[n]], self.env[n].type, s, by=1)

    def _grown(self, type, value, node):
        if not isinstance(value, Value | int):
            raise self.error("QDI011", "a variable that is no number at the end of the loop",
                             "assign numbers to what changes in a loop", node)
        if isinstance(value, Value):
            return join(type, value.type)
        return join(type, self.unify(Value(type), value, node)) if not type.fits(value) else type

    def _result_type(self, value):
        return value.type if isinstance(value, Value) else self._first_type(value)

    def _persistent(self, s, stream):
        """Read a loop without end: its variables live in rings that start with constants."""
        self.persistent = True
        outer = self.env
        target = [s.target.id] if stream else []
        names = [n for n in dict.fromkeys(assigned(s.body)) if isinstance(outer.get(n), Value | int)]
        names = [n for n in names if n not in target]
        for n in names:
            if isinstance(outer[n], Value) and n not in self.state_names:
                raise self.error("QDI014", f"'{n}' starts with a value that is not known",
                                 "start with a constant, or read it from a stream", s)
        types = {n: self._first_type(outer[n]) for n in names}
        for _ in range(12):
            args = [Value(types[n], n) for n in names]
            region = Region()
            above = self.region
            self.lenient += 1
            stable = self._persistent_round(s, stream, outer, names, types, args, region)
            self.lenient -= 1
            self.region, self.env = above, outer
            if stable:
                break
        region, args = Region(), [Value(types[n], n) for n in names]
        self._persistent_round(s, stream, outer, names, types, args, region)
        self.region, self.env = above, outer
        inits = [self.value(outer[n], types[n], s) for n in names]
        body_args = [Value(v.type) for v in region.yields]
        self.region.items.append(Loop(inits, args, region, None, body_args, Region(yields=list(body_args)),
                                      [],
                                      self.ctx.source.loc(s)))

    def _persistent_round(self, s, stream, outer, names, types, args, region):
        self.region = region
        self.env = {k: v for k, v in outer.items() if k not in names} | dict(zip(names, args, strict=True))
        if stream:
            self.env[s.target.id] = self.read(stream, s)
        self.block(s.body)
        grown = {n: self._grown(types[n], self.env[n], s) for n in names}
        stable = grown == types
        region.yields = [self.value(self.env[n], types[n], s) for n in names]
        types.update(grown)
        return stable


def _type_for(low: int, high: int) -> Num:
    signed = low < 0
    return Num(max(1, max(high, 0).bit_length() + signed, (~low).bit_length() + 1 if signed else 1), signed)



"""Takes ``break``, ``continue`` and early ``return`` out of a body: flags, guards and moved statements.

What follows an arm that always leaves goes into the other arm; only what follows an arm that may leave is
guarded by a flag. Names of the flags and of the result begin with ``$``, which no Python name does.
Expressions stay the very nodes of the source: their types are known by them.
"""

import ast
from collections.abc import Sequence
from itertools import count


__all__ = ["RESULT", "RETURNED", "Exits", "assign", "assigned", "leaves"]

RETURNED = "$returned"
RESULT = "$result"
_LOOPS = (ast.While, ast.For)


def assign(name: str, value: ast.expr | int, at: ast.AST) -> ast.Assign:
    """Return the statement ``name = value`` at the place of another."""
    if isinstance(value, int):
        value = ast.copy_location(ast.Constant(value), at)
    target = ast.copy_location(ast.Name(name, ast.Store()), at)
    return ast.copy_location(ast.Assign([target], value), at)


def _if(test, body, orelse, at):
    test = ast.copy_location(ast.Name(test, ast.Load()), at) if isinstance(test, str) else test
    return ast.copy_location(ast.If(test, body, orelse), at)


def leaves(body: Sequence[ast.stmt], inside: bool = True) -> bool:
    """Whether a body has a return, or (``inside`` its own loop) a break or continue."""
    for s in body:
        if isinstance(s, ast.Return) or (inside and isinstance(s, ast.Break | ast.Continue)):
            return True
        if isinstance(s, ast.If) and (leaves(s.body, inside) or leaves(s.orelse, inside)):
            return True
        if isinstance(s, _LOOPS) and leaves(s.body, False):
            return True
    return False


def _always(body):
    """Whether every way through a body leaves it."""
    return any(isinstance(s, ast.Return | ast.Break | ast.Continue)
               or (isinstance(s, ast.If) and s.orelse and _always(s.body) and _always(s.orelse))
               for s in body)


def assigned(body: Sequence[ast.stmt]) -> list[str]:
    """Return the names that a body assigns, in order."""
    names: dict[str, None] = {}
    for s in body:
        for node in ast.walk(s):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names[node.id] = None
    return list(names)


class Exits:
    """Rewrites the body of a function."""

    def __init__(self) -> None:
        self._number = count()

    def function(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        """Return a body that assigns ``$result`` and never leaves early."""
        if not body:
            return []
        returns = [n for s in body for n in ast.walk(s) if isinstance(n, ast.Return)]
        sizes = {len(n.value.elts) if isinstance(n.value, ast.Tuple) else None for n in returns}
        self._parts = [f"{RESULT}{k}" for k in range(sizes.pop() or 0)] if len(sizes) == 1 else []
        head, tail = [assign(RETURNED, 0, body[0])], []
        if any(isinstance(s, _LOOPS) and leaves(s.body, False) for b in body for s in ast.walk(b)):
            # a result that leaves a loop travels round with it
            head += [assign(name, 0, body[0]) for name in self._parts or [RESULT]]
        if self._parts:
            at = returns[-1]
            names = [ast.copy_location(ast.Name(name, ast.Load()), at) for name in self._parts]
            tail = [assign(RESULT, ast.copy_location(ast.Tuple(names, ast.Load()), at), at)]
        return [*head, *self._block(list(body), None), *tail]

    def _result(self, s):
        value = s.value or ast.copy_location(ast.Tuple([], ast.Load()), s)
        if self._parts:
            return [assign(name, part, s) for name, part in zip(self._parts, value.elts, strict=True)]
        return [assign(RESULT, value, s)]

    def _block(self, body, loop):
        done: list[ast.stmt] = []
        for k, s in enumerate(body):
            rest = body[k + 1:]
            if isinstance(s, ast.Return):
                done += [*self._result(s), assign(RETURNED, 1, s)]
                return done + ([assign(f"$break{loop}", 1, s), assign(f"$skip{loop}", 1, s)]
                               if loop is not None
                               else [])
            if isinstance(s, ast.Break | ast.Continue) and loop is not None:
                done += [assign(f"$break{loop}", 1, s)] * isinstance(s, ast.Break)
                return [*done, assign(f"$skip{loop}", 1, s)]
            if isinstance(s, ast.If) and leaves([s]):
                if _always(s.body):
                    return [*done, _if(s.test, self._block(s.body, loop), self._block(s.orelse + rest, loop),
                                       s)]
                if _always(s.orelse):
                    return [*done, _if(s.test, self._block(s.body + rest, loop), self._block(s.orelse, loop),
                                       s)]
                done.append(_if(s.test, self._block(s.body, loop), self._block(s.orelse, loop), s))
                return done + self._guard(RETURNED if loop is None else f"$skip{loop}", [], rest, loop, s)
            if isinstance(s, _LOOPS):
                number = next(self._number)
                if leaves(s.body):
                    done.append(assign(f"$break{number}", 0, s))
                    inner = [assign(f"$skip{number}", 0, s), *self._block(s.body, number)]
                else:
                    inner = self._block(s.body, number)
                new = ast.copy_location(
                    ast.While(s.test, inner, s.orelse) if isinstance(s, ast.While)
                    else ast.For(s.target, s.iter, inner, s.orelse), s)
                new.flag = f"$break{number}" if leaves(s.body) else None
                new.origin = s
                done.append(new)
                if leaves(s.body, False):
                    out = [assign(f"$break{loop}", 1, s), assign(f"$skip{loop}", 1,
                                                                 s)] if loop is not None else []
                    return done + self._guard(RETURNED, out, rest, loop, s)
                continue
            if isinstance(s, ast.If):
                s = _if(s.test, self._block(s.body, loop), self._block(s.orelse, loop), s)
            done.append(s)
        return done

    def _guard(self, flag, out, rest, loop, at):
        rest = self._block(rest, loop)
        if flag == RETURNED:
            out = [*out, assign(RETURNED, 1, at)]  # known there, and so known at the end if all ways return
        return [_if(flag, out, rest, at)] if out or rest else []

"""The golden model: the function's own syntax tree, run by CPython, with a hook at each arithmetic
expression.

In mode ``wrap`` the hook brings a result into the range of its type; in mode ``checked`` it raises
`RangeError` if the result is outside, so that where it is silent the plain function and the circuit agree;
in mode ``plain`` there are no hooks. States and memories come in and go out as dictionaries.
"""

import ast
import copy
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, get_args

from neurogen.qdi.python.errors import OverrunError, RangeError
from neurogen.qdi.python.scope import Context
from neurogen.qdi.python.types import Num


__all__ = ["Bits", "Budget", "golden"]


class Bits(int):
    """An integer whose bits have an index, as parameters of a process do: ``x[3]``, ``x[0:4]``."""

    def __getitem__(self, index: int | slice) -> int:
        """Return a bit, or bits low to high."""
        if isinstance(index, slice):
            low = index.start or 0
            word = int(self) >> low
            return word if index.stop is None else word & ((1 << index.stop - low) - 1)
        return int(self) >> index & 1


@dataclass
class Budget:
    """Operations that a run may still take."""

    left: float = inf

    def take(self) -> None:
        """Take one.

        Raises
        ------
        OverrunError
            If there is none.
        """
        self.left -= 1
        if self.left < 0:
            raise OverrunError("A run must end within the operations that it may take")


def golden(ctx: Context, mode: str, states: dict[str, Num] | None = None,
           params: dict[str, Num] | None = None, results: tuple[Num, ...] | None = None,
           budget: Budget | None = None) -> Callable:
    """Return the function with hooks.

    Parameters
    ----------
    ctx
        What the front end found out about it.
    mode
        ``wrap``, ``checked`` or ``plain``.
    states
        Types of its states: the result is then the pair of the result and a tuple of the states.
    params, results
        Types of parameters and results, which are hooked too.
    budget
        Each hook takes an operation from it.
    """
    budget = budget or Budget()
    tree = ctx.source.tree
    memo: dict[int, Any] = {}
    new = copy.deepcopy(tree, memo)
    new.decorator_list, new.returns = [], None
    for arg in ast.walk(new.args):
        if isinstance(arg, ast.arg):
            arg.annotation = None
    number = {id(memo[key]): type for key, type in ctx.types.items() if key in memo}
    calls = {id(memo[key]): inner for key, inner in ctx.calls.items() if key in memo}
    namespace: dict[str, Any] = dict(ctx.source.function.__globals__)
    for name, cell in ctx.source._closure.items():
        try:
            namespace[name] = cell.cell_contents
        except ValueError:  # an empty cell stays an unknown name
            continue
    hooks = _Hooks(ctx, mode, number, calls, namespace, {}, results, budget)
    where = ctx.source.loc(tree)
    hooks.states = {n: hooks.hook(type, f"state '{n}'", where) for n, type in (states or {}).items()}
    new.body = [part for s in new.body for part in _listed(hooks.visit(s))]
    for name, type in (params or {}).items():
        hook = hooks.hook(type, f"parameter '{name}'", where)
        namespace[hook] = lambda x, check=namespace[hook]: Bits(check(x))
        new.body.insert(0, _hook_statement(name, hook))
    if states:
        new.body.append(ast.Return(_with_states(ast.Constant(None), hooks.states)))
    new.name = "golden"
    module = ast.fix_missing_locations(ast.Module([new], []))
    exec(compile(module, ctx.source.file, "exec"), namespace)
    return namespace["golden"]


def _listed(result):
    return result if isinstance(result, list) else [result]


def _hook_statement(name, hook):
    return ast.Assign([ast.Name(name, ast.Store())],
                      ast.Call(ast.Name(hook, ast.Load()), [ast.Name(name, ast.Load())], []))


def _with_states(value, states):
    return ast.Tuple([value, ast.Tuple([
        ast.Call(ast.Name(hook, ast.Load()), [ast.Name(n, ast.Load())], []) for n, hook in states.items()],
        ast.Load())], ast.Load())


class _Hooks(ast.NodeTransformer):
    def __init__(self, ctx, mode, types, calls, namespace, states, results, budget):
        self.ctx, self.mode, self.types, self.calls = ctx, mode, types, calls
        self.namespace, self.states, self.results = namespace, states, results
        self.count, self.budget = 0, budget

    def hook(self, type, what, where):
        name = f"__hook_{self.count}"
        self.count += 1
        mode, take = self.mode, self.budget.take

        def check(x):
            take()
            x = int(x)
            if mode == "wrap":
                return type.wrap(x)
            if mode == "checked" and not type.fits(x):
                raise RangeError(f"{where}: {what} is {x}, which does not fit {type}: {where.text.strip()}")
            return x

        self.namespace[name] = check
        return name

    def hooked(self, node, type, at):
        if type is None or self.mode == "plain":
            return node
        name = self.hook(type, "the value", self.ctx.source.loc(at))
        return ast.copy_location(ast.Call(ast.Name(name, ast.Load()), [node], []), at)

    def visit_FunctionDef(self, node):
        return node

    def visit_BinOp(self, node):
        type = self.types.get(id(node))
        return self.hooked(self.generic_visit(node), type, node)

    visit_UnaryOp = visit_BinOp

    def visit_Call(self, node):
        type, inner = self.types.get(id(node)), self.calls.get(id(node))
        node = self.generic_visit(node)
        if inner is not None:
            name = f"__call_{self.count}"
            self.count += 1
            hints = _typed_params(inner)
            self.namespace[name] = golden(inner, self.mode, params=hints, results=_typed_results(inner),
                                           budget=self.budget)
            node.func = ast.copy_location(ast.Name(name, ast.Load()), node)
        return self.hooked(node, type, node)

    def visit_AugAssign(self, node):
        type = self.types.get(id(node))
        node = self.generic_visit(node)
        if type is None or self.mode == "plain":
            return node
        load = copy.deepcopy(node.target)
        load.ctx = ast.Load()
        value = self.hooked(ast.copy_location(ast.BinOp(load, node.op, node.value), node), type, node)
        return ast.copy_location(ast.Assign([node.target], value), node)

    def visit_AnnAssign(self, node):
        type = self.types.get(id(node))
        node = self.generic_visit(node)
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign([node.target], self.hooked(node.value, type, node)), node)

    def visit_Return(self, node):
        node = self.generic_visit(node)
        value = self._typed(node.value, node)
        node.value = _with_states(value, self.states) if self.states else value
        return node

    def visit_Expr(self, node):
        node = self.generic_visit(node)
        if isinstance(node.value, ast.Yield):
            node.value.value = self._typed(node.value.value, node)
        return node

    def _typed(self, value, node):
        if self.results is None or value is None or self.mode == "plain":
            return value
        if isinstance(value, ast.Tuple) and len(value.elts) == len(self.results):
            value.elts = [self.hooked(v, t, node) for v, t in zip(value.elts, self.results, strict=True)]
            return value
        if len(self.results) == 1:
            return self.hooked(value, self.results[0], node)
        many = [self.namespace[self.hook(t, "the result", self.ctx.source.loc(node))] for t in self.results]
        name = f"__results_{self.count}"
        self.namespace[name] = lambda values: tuple(h(v) for h, v in zip(many, values, strict=True))
        return ast.copy_location(ast.Call(ast.Name(name, ast.Load()), [value], []), node)


def _typed_params(ctx):
    hints = ctx.source.annotations()
    return {k: v for k, v in hints.items() if isinstance(v, Num) and k != "return"}


def _typed_results(ctx):
    result = ctx.source.annotations().get("return")
    if isinstance(result, Num):
        return (result,)
    parts = get_args(result) if result is not None else ()
    return parts if parts and all(isinstance(part, Num) for part in parts) else None

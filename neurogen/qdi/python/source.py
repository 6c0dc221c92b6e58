"""Source of a function: its syntax tree with the places in its file, and what its free names mean."""

import ast
import builtins
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from neurogen.qdi.graph import Loc


__all__ = ["MISSING", "Source"]

MISSING = object()


class Source:
    """A parsed function.

    Raises
    ------
    ValueError
        If the source is not to be had (a lambda, the interactive prompt).
    """

    def __init__(self, function: Callable):
        self.function = function
        try:
            lines, first = inspect.getsourcelines(function)
            self.file = inspect.getsourcefile(function) or "<unknown>"
        except (OSError, TypeError) as error:
            raise ValueError(f"Source of {function!r} must be in a file, "
                             f"not out of reach ({error})") from error
        text = "".join(lines)
        flat = textwrap.dedent(text)
        self.indent = len(lines[0]) - len(lines[0].lstrip())
        self.first, self.lines = first, lines
        tree = ast.parse(flat)
        if not tree.body or not isinstance(tree.body[0], ast.FunctionDef):
            raise ValueError(f"Source of {function!r} must be a function definition, not something else")
        self.tree = tree.body[0]
        ast.increment_lineno(tree, first - 1)
        body = self.tree.body
        if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) \
                and isinstance(body[0].value.value, str):
            body = body[1:]
        self.body: list[ast.stmt] = body
        self._closure = dict(zip(function.__code__.co_freevars,
                                 (cell for cell in function.__closure__ or ()), strict=True))

    def loc(self, node: ast.AST) -> Loc:
        """Return the place of a node."""
        line = getattr(node, "lineno", self.first)
        text = self.lines[line - self.first] if 0 <= line - self.first < len(self.lines) else ""
        return Loc(self.file, line, getattr(node, "col_offset", 0) + self.indent + 1, text.rstrip("\n"))

    def lookup(self, name: str) -> Any:
        """Return what a free name means, or ``MISSING``."""
        if name in self._closure:
            try:
                return self._closure[name].cell_contents
            except ValueError:  # a cell that is still empty
                return MISSING
        space = self.function.__globals__
        return space[name] if name in space else getattr(builtins, name, MISSING)

"""Source of a function: its syntax tree with the places in its file, and what its free names mean."""

import ast
import builtins
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from neurogen.qdi.graph import Loc
from neurogen.qdi.python.errors import QdiError


__all__ = ["MISSING", "Source"]

MISSING = object()


class Source:
    """A parsed function.

    Raises
    ------
    ValueError
        If the source is not to be had (the interactive prompt).
    QdiError
        If it is that of a lambda or of an async function.
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
        self.tree = self._definition(flat)
        ast.increment_lineno(self.tree, first - 1)
        body = self.tree.body
        if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) \
                and isinstance(body[0].value.value, str):
            body = body[1:]
        self.body: list[ast.stmt] = body
        self._closure = dict(zip(function.__code__.co_freevars,
                                 (cell for cell in function.__closure__ or ()), strict=True))

    def _definition(self, text: str) -> ast.FunctionDef:
        try:
            tree = ast.parse(text).body[0]
        except SyntaxError:  # a lambda in the middle of something
            tree = ast.Pass(lineno=1, col_offset=0)
        if isinstance(tree, ast.FunctionDef):
            return tree
        what, remedy = ("an async function", "write `def`") if isinstance(tree, ast.AsyncFunctionDef) else \
            ("something else than a function with a name", "write it with `def`")
        ast.increment_lineno(tree, self.first - 1)
        raise QdiError("QDI001", what, remedy, self.loc(tree))

    def annotations(self) -> dict[str, Any]:
        """Return what the annotations mean, that of the result under ``return``.

        Raises
        ------
        QdiError
            If one cannot be evaluated.
        """
        raw = inspect.get_annotations(self.function)
        space = self.function.__globals__ | {
            name: value for name in self._closure if (value := self.lookup(name)) is not MISSING}
        places = {arg.arg: arg.annotation for arg in ast.walk(self.tree.args) if isinstance(arg, ast.arg)}
        places["return"] = self.tree.returns
        for name, value in raw.items():
            if isinstance(value, str):
                try:
                    raw[name] = eval(value, space)
                except Exception as error:  # annotations are the user's code: whatever it raises is told
                    raise QdiError("QDI001", f"the annotation of '{name}' does not evaluate ({error})",
                                   "use the types of neurogen.qdi",
                                   self.loc(places.get(name) or self.tree)) from error
        return raw

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

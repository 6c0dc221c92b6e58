"""Errors of the Python front end: a code, the place, the source line with a caret, and a remedy."""

from pathlib import Path

from neurogen.qdi.graph import Loc


__all__ = ["CODES", "OverrunError", "QdiError", "QdiWarning", "RangeError"]

CODES = {
    "QDI001": "statement is not part of the subset",
    "QDI002": "operator or expression is not part of the subset",
    "QDI003": "constant is not an integer",
    "QDI004": "value does not fit its width",
    "QDI005": "variable may be undefined",
    "QDI006": "condition is not a single bit",
    "QDI007": "bounds or step of a range",
    "QDI008": "loop without a live variable",
    "QDI009": "side effect in an expression",
    "QDI010": "recursion",
    "QDI011": "target of an assignment",
    "QDI012": "return or yield out of place",
    "QDI013": "index or slice that is not constant",
    "QDI014": "access to a memory or a stream",
    "QDI015": "floating point",
    "QDI016": "loop without end and without a token",
    "QDI017": "input is not used",
}


class QdiError(SyntaxError):
    """Something outside the subset: ``code``, ``loc`` and ``remedy`` beside the text."""

    def __init__(self, code: str, what: str, remedy: str, loc: Loc):
        self.code, self.what, self.remedy, self.loc = code, what, remedy, loc
        super().__init__(f"{code} {what}; {remedy}", (loc.file, loc.line, loc.column, loc.text))

    def __str__(self) -> str:
        where = f"{Path(self.loc.file).name}:{self.loc.line}:{self.loc.column}"
        text = self.loc.text.rstrip()
        caret = " " * (self.loc.column - 1) + "^"
        return f"{where}: {self.code} {self.what}; {self.remedy}\n  {text}\n  {caret}"


class QdiWarning(UserWarning):
    """Something that is allowed and probably not meant (QDI017)."""


class RangeError(ArithmeticError):
    """A value of a run in mode ``checked`` that does not fit its width, with its source line."""


class OverrunError(RuntimeError):
    """A run that takes more operations than it may."""

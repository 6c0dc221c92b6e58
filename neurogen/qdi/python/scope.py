"""What the front end keeps while it reads a function: contexts of calls, and names that have no value."""

import ast
from dataclasses import dataclass, field
from typing import Any

from neurogen.qdi.python.source import Source
from neurogen.qdi.python.types import Num


__all__ = ["Context", "MemRef", "StreamRef", "Undefined", "as_int"]


@dataclass(eq=False)
class Context:
    """One inlined instance of a function.

    Parameters
    ----------
    source
        The function.
    default
        Type of numbers without a type of their own.
    types
        Type of each arithmetic expression by the identity of its syntax node: the golden model wraps or
        checks there.
    calls
        Contexts of the calls, by the identity of the call's node.
    parent
        Context of the caller.
    """

    source: Source
    default: Num
    types: dict[int, Num] = field(default_factory=dict)
    calls: dict[int, "Context"] = field(default_factory=dict)
    parent: "Context | None" = None
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Undefined:
    """A variable without a value on some way to here."""

    loc: Any = None


@dataclass(frozen=True)
class MemRef:
    """An array of the process."""

    name: str
    type: Num
    depth: int


@dataclass(frozen=True)
class StreamRef:
    """An input that is read token by token."""

    name: str
    type: Num


def as_int(value: Any) -> int | None:
    """Return an integer or truth value (of numpy too) as int, anything else as None."""
    if isinstance(value, bool | int):
        return int(value)
    if hasattr(value, "__index__") and not isinstance(value, ast.AST):
        return int(value.__index__())
    return None

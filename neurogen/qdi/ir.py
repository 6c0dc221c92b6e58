"""The structured form between Python and the graph: values, operations, arms and loops.

Regions nest as the source does, and an inner region may use any value of an outer one; what has to travel
through branches and selects is found when the graph is built (`neurogen.qdi.lower`). The passes work here.

Kinds of operations (``args`` -> value; numbers are modulo 2**width of the result's type): ``const``
(value), ``add``, ``sub``, ``mul``, ``neg``, ``and``, ``or``, ``xor``, ``not`` (all bits), ``lt``, ``le``,
``eq`` (compared as numbers), ``shl`` (by), ``shr`` (by), ``mask`` (c, x), ``ternary`` (c, x, y), ``rom``
(values), ``cast``, ``mem`` (name; write, address, data: the old word), ``read`` (name: next token of an
input), ``lut`` (fields, one table for several results; see `neurogen.qdi.passes.tables`) and ``field``
(index, of a lut).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from neurogen.qdi.graph import Loc
from neurogen.qdi.python.types import Num


__all__ = ["Emit", "If", "Item", "Loop", "Op", "Program", "Region", "Value", "operations", "regions_of",
           "walk"]


@dataclass(eq=False)
class Value:
    """A number of a type; ``bound`` is the interval that the builder or the width analysis knows."""

    type: Num
    name: str = ""
    bound: tuple[int, int] | None = None

    @property
    def range(self) -> tuple[int, int]:
        """The interval of its values."""
        return self.bound or (self.type.low, self.type.high)


@dataclass(eq=False)
class Op:
    """An operation with one result."""

    kind: str
    args: list[Value]
    result: Value
    attrs: dict[str, Any] = field(default_factory=dict)
    loc: Loc | None = None


@dataclass(eq=False)
class Emit:
    """Gives a value to an output channel."""

    name: str
    args: list[Value]
    loc: Loc | None = None


@dataclass(eq=False)
class Region:
    """Items in order and the values that the region hands on."""

    items: list["Item"] = field(default_factory=list)
    yields: list[Value] = field(default_factory=list)


@dataclass(eq=False)
class If:
    """Arms of which the first with a true condition runs, or the last, which has none."""

    conds: list[Value]
    arms: list[Region]
    results: list[Value]
    loc: Loc | None = None


@dataclass(eq=False)
class Loop:
    """A loop: ``test`` computes ``cond`` and what is ``passed``; then ``body`` computes the next ``args``.

    ``args`` start as ``inits``. ``test.yields`` is what is passed: it comes out as ``results`` if the
    condition is false and goes into the body as ``body_args`` if it is true. ``body.yields`` are the next
    args. A loop tested after its body has it all in ``test``. A loop without end has no ``cond``.
    """

    inits: list[Value]
    args: list[Value]
    test: Region
    cond: Value | None
    body_args: list[Value]
    body: Region
    results: list[Value]
    loc: Loc | None = None


Item = Op | If | Loop | Emit


@dataclass
class Program:
    """A function: inputs and states by name, the top region, which yields the results and the next states.

    Parameters
    ----------
    name
        Of the function.
    inputs
        Tokens of the parameters.
    streams
        Types of the inputs that ``read`` operations take.
    states
        Initial number and value of each state.
    outputs
        Names and types of the results; the first of what ``top`` yields, then come the states.
    memories
        Type and initial words of each memory.
    """

    name: str
    inputs: dict[str, Value]
    streams: dict[str, Num]
    states: dict[str, tuple[int, Value]]
    outputs: dict[str, Num]
    top: Region
    memories: dict[str, tuple[Num, tuple[int, ...]]] = field(default_factory=dict)
    loc: Loc | None = None

    @property
    def persistent(self) -> bool:
        """Whether the process runs for ever and emits its results."""
        return any(isinstance(item, Loop) and item.cond is None for item in self.top.items)


def regions_of(item: Item) -> list[Region]:
    """Return the regions inside an item."""
    if isinstance(item, If):
        return item.arms
    return [item.test, item.body] if isinstance(item, Loop) else []


def walk(region: Region) -> Iterator[tuple[Region, Item]]:
    """Yield all items with their region, outer ones first."""
    for item in region.items:
        yield region, item
        for inner in regions_of(item):
            yield from walk(inner)


def operations(region: Region) -> dict[Value, Op]:
    """Return the operation of each value that has one."""
    return {item.result: item for _, item in walk(region) if isinstance(item, Op)}

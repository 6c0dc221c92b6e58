"""The library: the clocked component of each kind of block."""

from typing import Any

from neurogen.rtl.qdi import borders, control, data, operators, state
from neurogen.rtl.qdi.block import ClockedBlock
from neurogen.spec.checks import check_choice
from neurogen.spec.qdi import BLOCKS


__all__ = ["LIBRARY", "make_block"]

LIBRARY: dict[str, type[ClockedBlock]] = {
    cls.kind: cls for module in (data, operators, control, state, borders)
    for name in module.__all__
    if isinstance(cls := getattr(module, name), type) and issubclass(cls, ClockedBlock) and cls.kind
}
"""Component by kind, for all of `neurogen.spec.qdi.BLOCKS`."""


def make_block(kind: str, **parameters: Any) -> ClockedBlock:
    """Return a new component of a kind.

    Raises
    ------
    TypeError, ValueError
        If there is no such kind, or its parameters are wrong.
    """
    check_choice("Kind of block", kind, tuple(BLOCKS))
    return LIBRARY[kind](**parameters)

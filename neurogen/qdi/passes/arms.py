"""P2 and P4: common expressions, and arms that are cheap enough to compute always (if-conversion)."""

from neurogen.qdi.captures import substitute
from neurogen.qdi.ir import If, Op, Program, Region, Value, regions_of
from neurogen.qdi.passes.rewrite import PURE


__all__ = ["common_expressions", "convert_arms"]

_FREE = ("const", "cast", "shl", "shr", "not")  # wires, or absorbed by what uses them
_DEAR = ("mul",)


def common_expressions(program: Program) -> None:
    """P2: compute each expression once in a region.

    Not across regions: what comes from outside has to travel through a branch, which costs more than most
    operators.
    """
    new: dict[Value, Value] = {}
    _common(program.top, new)
    if new:
        substitute(program.top, new)


def _common(region, new):
    seen: dict[tuple, Value] = {}
    items = []
    for item in region.items:
        for inner in regions_of(item):
            _common(inner, new)
        if isinstance(item, Op) and item.kind in PURE:
            item.args[:] = [new.get(v, v) for v in item.args]
            key = (item.kind, tuple(map(id, item.args)), tuple(sorted(item.attrs.items())), item.result.type)
            if key in seen:
                kept = seen[key]
                new[item.result] = kept
                if item.result.bound is not None:  # both are the same number, so both facts hold
                    low, high = kept.range
                    kept.bound = (max(low, item.result.bound[0]), min(high, item.result.bound[1]))
                continue
            seen[key] = item.result
        items.append(item)
    region.items = items


def convert_arms(program: Program, limit: int = 4) -> bool:
    """P4: replace arms of at most ``limit`` operators without side effects by choices; return whether any
    was.
    """
    return _convert(program.top, limit)


def _cost(arm):
    if any(not isinstance(item, Op) or item.kind not in PURE or item.kind in _DEAR for item in arm.items):
        return None
    return sum(item.kind not in _FREE for item in arm.items)


def _convert(region: Region, limit: int) -> bool:
    changed = False
    items, new = [], {}
    for item in region.items:
        for inner in regions_of(item):
            changed |= _convert(inner, limit)
        costs = [_cost(arm) for arm in item.arms] if isinstance(item, If) else [None]
        if None in costs or sum(costs) + len(item.results) * len(item.conds) > limit + 2:
            items.append(item)
            continue
        changed = True
        for arm in item.arms:
            items += arm.items
        for k, v in enumerate(item.results):
            last = item.arms[-1].yields[k]
            for cond, arm in zip(item.conds[::-1], item.arms[-2::-1], strict=True):
                if arm.yields[k] is last:
                    continue
                step = Op("ternary", [cond, arm.yields[k], last], Value(v.type), {}, item.loc)
                items.append(step)
                last = step.result
            if last.type != v.type:
                items.append(Op("cast", [last], Value(v.type), {}, item.loc))
                last = items[-1].result
            new[v] = last
    region.items = items
    if new:
        substitute(region, new)
        _resolve(region, new)
    return changed


def _resolve(region, new):
    """Results of one converted item may be conditions or values of the next: follow them to the end."""
    while any(v in new for item in region.items for v in _all(item)) or any(v in new for v in region.yields):
        substitute(region, new)


def _all(item):
    if isinstance(item, Op):
        return item.args
    own = list(getattr(item, "conds", None) or getattr(item, "inits", None) or getattr(item, "args", []))
    for inner in regions_of(item):
        own += [v for deep in inner.items for v in _all(deep)] + inner.yields
    return own



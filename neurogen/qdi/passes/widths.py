"""P3: the interval of every value, and so the bits that it needs.

Intervals go forward through the operations; round a loop they grow, from power of two to power of two,
until they hold. What the front end knows (the range of a counter) is kept. A result outside its type wraps,
so its interval is then that of the type.
"""

from neurogen.qdi.ir import Emit, If, Loop, Op, Program, Region, Value
from neurogen.qdi.passes.rewrite import evaluate_op


__all__ = ["evaluate_exact", "infer_widths"]

Range = tuple[int, int]


def infer_widths(program: Program) -> None:
    """Set ``bound`` of all values."""
    facts = _facts(program.top)
    ranges: dict[Value, Range] = {}
    _Intervals(facts, ranges).region(program.top)
    for value, found in ranges.items():
        value.bound = found


def _facts(region):
    facts = {}
    for item in region.items:
        values = [item.result] if isinstance(item, Op) else [] if isinstance(item,
                                                                             Emit) else list(item.results)
        if isinstance(item, Loop):
            values += item.args + item.body_args
        facts |= {v: v.bound for v in values if v.bound is not None}
        for inner in (item.arms if isinstance(item, If) else [item.test, item.body] if isinstance(item, Loop)
                      else []):
            facts |= _facts(inner)
    return facts


def _union(a: Range, b: Range) -> Range:
    return min(a[0], b[0]), max(a[1], b[1])


def _wider(old: Range, new: Range, value: Value) -> Range:
    """Return an interval that holds both, its growing ends at the next power of two."""
    low, high = old
    if new[0] < low:
        low = max(value.type.low, -(1 << (-new[0] - 1).bit_length())) if new[0] < 0 else 0
    if new[1] > high:
        high = min(value.type.high, (1 << new[1].bit_length()) - 1) if new[1] > 0 else 0
    return low, high


class _Intervals:
    def __init__(self, facts, ranges):
        self.facts, self.ranges = facts, ranges

    def get(self, v):
        return self.ranges.get(v) or v.range

    def set(self, v, found):
        if v in self.facts:
            low, high = self.facts[v]
            found = (max(low, found[0]), min(high, found[1]))
            if found[0] > found[1]:  # unreachable: any interval will do
                found = (low, low)
        found = (max(found[0], v.type.low), min(found[1], v.type.high))
        self.ranges[v] = found if found[0] <= found[1] else (v.type.low, v.type.high)

    def region(self, region: Region) -> None:
        for item in region.items:
            if isinstance(item, Op):
                self.set(item.result, self._result(item))
            elif isinstance(item, If):
                for arm in item.arms:
                    self.region(arm)
                for k, v in enumerate(item.results):
                    found = self.get(item.arms[0].yields[k])
                    for arm in item.arms[1:]:
                        found = _union(found, self.get(arm.yields[k]))
                    self.set(v, found)
            elif isinstance(item, Loop):
                self._loop(item)

    def _loop(self, loop):
        now = [self.get(v) for v in loop.inits]
        for _ in range(200):
            for v, found in zip(loop.args, now, strict=True):
                self.set(v, found)
            self.region(loop.test)
            for v, y in zip(loop.body_args, loop.test.yields, strict=True):
                self.set(v, self.get(y))
            self.region(loop.body)
            after = [self.get(y) for y in loop.body.yields]
            grown = [_wider(a, b, v) for a, b, v in zip(now, after, loop.args, strict=True)]
            if grown == now:
                break
            now = grown
        else:
            raise RuntimeError("Intervals of a loop do not settle")  # each end grows at most once a bit
        for v, y in zip(loop.results, loop.test.yields, strict=False):
            self.set(v, self.get(y))

    def _result(self, op):
        type = op.result.type
        whole = (type.low, type.high)
        if op.kind == "const":
            return op.attrs["value"], op.attrs["value"]
        r = [self.get(v) for v in op.args]
        if op.kind in ("lt", "le", "eq"):
            return 0, 1
        if op.kind == "rom":
            values = op.attrs["values"]
            index = range(max(0, r[0][0]), min(len(values) - 1, r[0][1]) + 1)
            words = [values[k] for k in index] or [0]
            past = r[0][0] < 0 or r[0][1] >= len(values)  # what the padding gives
            return min([*words, 0] if past else words), max([*words, 0] if past else words)
        if op.kind == "ternary":
            found = _union(r[1], r[2])
        elif op.kind == "mask":
            found = _union(r[1], (0, 0))
        elif op.kind in ("and", "or", "xor"):
            found = self._logic(op.kind, r)
        elif op.kind in ("add", "sub", "mul", "neg", "not", "shl", "shr", "cast"):
            ends = [evaluate_exact(op, list(numbers)) for numbers in _corners(r)]
            found = (min(ends), max(ends))
        else:
            return whole
        return found if whole[0] <= found[0] and found[1] <= whole[1] else whole

    def _logic(self, kind, r):
        low, high = min(x[0] for x in r), max(x[1] for x in r)
        if low < 0:
            if kind == "and" and any(x[0] >= 0 for x in r):
                return 0, min(x[1] for x in r if x[0] >= 0)
            bits = max((~low).bit_length(), max(high, 0).bit_length())
            return -(1 << bits), (1 << bits) - 1
        if kind == "and":
            return 0, min(x[1] for x in r)
        return 0, (1 << high.bit_length()) - 1


def _corners(ranges):
    if len(ranges) == 1:
        return [(x,) for x in ranges[0]]
    return [(x, y) for x in ranges[0] for y in ranges[1]]


def evaluate_exact(op: Op, numbers: list[int]) -> int:
    """Return the result of a monotone operation before it wraps."""
    wide = Op(op.kind, op.args, Value(_EXACT), op.attrs)
    return evaluate_op(wide, numbers)


class _Unbounded:
    """A type that holds every integer."""

    @staticmethod
    def wrap(value: int) -> int:
        """Return the value."""
        return value


_EXACT = _Unbounded()

"""P1, P5, P8 and P9: rules that replace one operation by something smaller, until none applies.

P1 folds constants, operations that change nothing, and arms and loops whose condition is known; P5 makes a
choice between 1 and 0 the condition itself; P8 replaces products, comparisons and choices by cheaper blocks
and wires; P9 uses ``i + 1`` where ``(a + i) + 1`` stands and the loop computes ``i + 1`` anyway.
"""

from collections.abc import Mapping

from neurogen.qdi.captures import free_values, substitute
from neurogen.qdi.ir import If, Loop, Op, Program, Region, Value, regions_of
from neurogen.qdi.python.types import Bit


__all__ = ["PURE", "evaluate_op", "rewrite", "sort_items"]

PURE = frozenset({"const", "add", "sub", "mul", "neg", "and", "or", "xor", "not", "lt", "le", "eq", "shl",
                  "shr",
                  "mask", "ternary", "rom", "cast", "lut", "field", "concat"})


def evaluate_op(op: Op, numbers: list[int]) -> int:
    """Return the result of a pure operation for numbers of its arguments."""
    a = numbers[0] if numbers else 0
    b = numbers[1] if len(numbers) > 1 else 0
    if op.kind == "rom":
        values = op.attrs["values"]
        index = a & ((1 << max(1, (len(values) - 1).bit_length())) - 1)
        return values[index] if index < len(values) else 0
    table = {
        "const": lambda: op.attrs["value"], "add": lambda: a + b, "sub": lambda: a - b, "mul": lambda: a * b,
        "neg": lambda: -a, "and": lambda: a & b, "or": lambda: a | b, "xor": lambda: a ^ b, "not": lambda: ~a,
        "lt": lambda: int(a < b), "le": lambda: int(a <= b), "eq": lambda: int(a == b),
        "shl": lambda: a << op.attrs["by"], "shr": lambda: a >> op.attrs["by"], "cast": lambda: a,
        "mask": lambda: b if a else 0, "ternary": lambda: b if a else numbers[2],
        "field": lambda: (a >> op.attrs["low"]) & ((1 << op.attrs["width"]) - 1),
    }
    return op.result.type.wrap(table[op.kind]())


class _Rules:
    def __init__(self, program: Program, on: Mapping[str, bool]):
        self.program, self.on = program, on
        self.changed = False
        self.new: dict[Value, Value] = {}
        self.ops: dict[Value, Op] = {}
        self.uses: dict[Value, int] = {}

    def known(self, v):
        op = self.ops.get(v)
        return op.attrs["value"] if op is not None and op.kind == "const" else None

    def run(self) -> bool:
        self._count(self.program.top)
        self._region(self.program.top)
        if self.new:
            for v in list(self.new):
                end = v
                while end in self.new:
                    end = self.new[end]
                self.new[v] = end
            substitute(self.program.top, self.new)
        return self.changed

    def _count(self, region):
        for item in region.items:
            own = item.conds if isinstance(item, If) else item.inits if isinstance(item, Loop) else item.args
            for v in own:
                self.uses[v] = self.uses.get(v, 0) + 1
            if isinstance(item, Loop) and item.cond is not None:
                self.uses[item.cond] = self.uses.get(item.cond, 0) + 1
            if isinstance(item, Op):
                self.ops[item.result] = item
            for inner in regions_of(item):
                self._count(inner)
        for v in region.yields:
            self.uses[v] = self.uses.get(v, 0) + 1

    def _region(self, region):
        items = []
        for item in region.items:
            for inner in regions_of(item):
                self._region(inner)
            if isinstance(item, Op):
                items += self._op(item, region)
            elif isinstance(item, If) and self.on["P1"]:
                items += self._if(item)
            elif isinstance(item, Loop) and self.on["P1"]:
                items += self._once(item)
            else:
                items.append(item)
        region.items = items

    def _if(self, item):
        conds, arms = [], []
        for cond, arm in zip(item.conds, item.arms, strict=False):
            known = self.known(cond)
            if known == 0:
                self.changed = True
                continue
            arms.append(arm)
            if known is not None:
                self.changed = True
                break
            conds.append(cond)
        else:
            arms.append(item.arms[-1])
        item.conds, item.arms = conds, arms
        if conds:
            return [item]
        self.new |= dict(zip(item.results, arms[0].yields, strict=True))
        return arms[0].items

    def _once(self, item):
        """Replace a loop that leaves at its first test by what it computes."""
        if item.cond is None or self.known(item.cond) != 0:
            return [item]
        self.changed = True
        self.new |= dict(zip(item.args, item.inits, strict=True))
        self.new |= dict(zip(item.results, item.test.yields, strict=True))
        return item.test.items

    def _make(self, like, kind, args, type=None, **attrs):
        op = Op(kind, args, Value(type or like.result.type), attrs, like.loc)
        self.ops[op.result] = op
        return op

    def _const(self, like, number, type=None):
        op = self._make(like, "const", [], type, value=number)
        op.result.bound = (number, number)
        return op

    def _op(self, op, region):
        op.args[:] = [self._latest(v) for v in op.args]
        for rule in (self._fold, self._bit, self._strength, self._associate):
            done = rule(op, region)
            if done is None:
                continue
            self.changed = True
            if isinstance(done, Value):
                self.new[op.result] = done
                return []
            if op.result.bound is not None and done[-1].result.bound is None:
                done[-1].result.bound = op.result.bound
            self.new[op.result] = done[-1].result
            return done
        return [op]

    def _latest(self, v):
        while v in self.new:
            v = self.new[v]
        return v

    def _fold(self, op, _):
        if not self.on["P1"] or op.kind not in PURE - {"const", "lut", "field", "concat"}:
            return None
        numbers = [self.known(v) for v in op.args]
        type = op.result.type
        if None not in numbers:
            return [self._const(op, evaluate_op(op, numbers))]
        low, high = op.args[0].range
        if op.kind == "cast" and type.low <= low and high <= type.high:
            return op.args[0]
        last = numbers[-1]
        same = op.args[0].type == type
        if (op.kind in ("add", "sub", "or", "xor") and last == 0) or (op.kind == "mul" and last == 1) \
                or (op.kind in ("shl", "shr") and op.attrs["by"] == 0):
            return op.args[0] if same else [self._make(op, "cast", op.args[:1])]
        if op.kind in ("add", "or", "xor", "mul", "and") and numbers[0] is not None:
            return [self._make(op, op.kind, op.args[::-1])]  # constants stand right
        if op.kind in ("mul", "and") and last == 0:
            return [self._const(op, 0)]
        if op.kind in ("ternary", "mask") and numbers[0] is not None:
            if op.kind == "mask" and not numbers[0]:
                return [self._const(op, 0)]
            chosen = op.args[1] if numbers[0] else op.args[2]
            return chosen if chosen.type == type else [self._make(op, "cast", [chosen])]
        if op.kind == "ternary" and op.args[1] is op.args[2]:
            return op.args[1] if op.args[1].type == type else [self._make(op, "cast", op.args[1:2])]
        if op.kind in ("lt", "le", "eq"):
            (a, b), (c, d) = op.args[0].range, op.args[1].range
            if op.args[0] is op.args[1]:
                return [self._const(op, int(op.kind != "lt"))]
            if b < c or (op.kind == "le" and b <= c):
                return [self._const(op, int(op.kind != "eq"))]
            if a > d or (op.kind == "lt" and a >= d):
                return [self._const(op, 0)]
        return None

    def _bit(self, op, _):
        """P5."""
        if not self.on["P5"]:
            return None
        if op.kind == "ternary":
            numbers = [self.known(v) for v in op.args[1:]]
            if numbers == [1, 0]:
                return op.args[0] if op.result.type == Bit else [self._make(op, "cast", op.args[:1])]
            if numbers == [0, 1]:
                inverted = self._make(op, "not", op.args[:1], Bit)
                return [inverted] if op.result.type == Bit else \
                    [inverted, self._make(op, "cast", [inverted.result])]
        if op.kind == "eq" and op.args[0].range in ((0, 1), (1, 1)) and op.args[0].type == Bit:
            known = self.known(op.args[1])
            if known == 1:
                return op.args[0]
            if known == 0:
                return [self._make(op, "not", op.args[:1], Bit)]
        return None

    def _strength(self, op, _):
        """P8."""
        if not self.on["P8"]:
            return None
        args, type = op.args, op.result.type
        first = self.ops.get(args[0]) if args else None
        if op.kind == "mul" and (k := self.known(args[1])) is not None and k > 0 and k & (k - 1) == 0:
            return [self._make(op, "shl", args[:1], by=k.bit_length() - 1)]
        if op.kind == "not" and type == Bit and first is not None:
            if first.kind == "not" and first.result.type == Bit:
                return first.args[0]
            if first.kind in ("lt", "le") and not any(self.known(v) is not None for v in first.args) \
                    and self.uses.get(first.result) == 1:
                return [self._make(op, "le" if first.kind == "lt" else "lt", first.args[::-1])]
        if op.kind == "le":
            a, b = (self.known(v) for v in args)
            if a is not None:  # k <= x: not x < k
                less = self._make(op, "lt", [args[1], args[0]])
                return [less, self._make(op, "not", [less.result])]
            if b is not None and args[1].type.fits(b + 1):
                limit = self._const(op, b + 1, args[1].type)
                return [limit, self._make(op, "lt", [args[0], limit.result])]
        if op.kind == "lt" and (k := self.known(args[0])) is not None and args[0].type.fits(k + 1):
            limit = self._const(op, k + 1, args[0].type)
            less = self._make(op, "lt", [args[1], limit.result])
            return [limit, less, self._make(op, "not", [less.result])]
        if op.kind == "xor" and not type.signed and self.known(args[1]) == type.high and args[0].type == type:
            return [self._make(op, "not", args[:1])]
        if op.kind == "ternary":
            return self._ternary(op, args, type, first)
        return None

    def _ternary(self, op, args, type, first):
        c, x, y = args
        if first is not None and first.kind == "not" and first.result.type == Bit:
            return [self._make(op, "ternary", [first.args[0], y, x])]
        if self.known(y) == 0:
            return [self._make(op, "mask", [c, x])]
        if self.known(x) == 0:
            inverted = self._make(op, "not", [c], Bit)
            return [inverted, self._make(op, "mask", [inverted.result, y])]
        for one, other, inverse in ((x, y, False), (y, x, True)):
            inner = self.ops.get(one)
            if inner is None or inner.kind not in ("add", "sub") or self.uses.get(one) != 1 \
                    or inner.result.type != type or inner.args[0] is not other or other.type != type:
                continue
            new = []
            cond = c
            if inverse:  # the sum is taken if the condition is false
                new.append(self._make(op, "not", [c], Bit))
                cond = new[0].result
            step = self._make(op, "mask", [cond, inner.args[1]], inner.args[1].type)
            return [*new, step, self._make(op, inner.kind, [other, step.result])]
        return None

    def _associate(self, op, region):
        """P9, and sums with two constants."""
        if not self.on["P9"] or op.kind != "add":
            return None
        inner, k = self.ops.get(op.args[0]), self.known(op.args[1])
        if k is None or inner is None or inner.kind != "add" or inner.result.type != op.result.type \
                or self.uses.get(inner.result) != 1:
            return None
        j = self.known(inner.args[1])
        if j is not None:
            total = self._const(op, op.result.type.wrap(j + k))
            return [total, self._make(op, "add", [inner.args[0], total.result])]
        for item in region.items:
            if isinstance(item, Op) and item.kind == "add" and item is not op and item is not inner \
                    and self.known(item.args[1]) == k and item.result.bound is not None:
                root = self._root(item.args[0])
                for one, other in (inner.args, inner.args[::-1]):
                    if self._root(one) is root and other is not item.result:
                        return [self._make(op, "add", [other, item.result])]
        return None

    def _root(self, v):
        v = self._latest(v)
        while v in self.ops and self.ops[v].kind == "cast" \
                and self.ops[v].result.type.fits(self.ops[v].args[0].range[0]) \
                and self.ops[v].result.type.fits(self.ops[v].args[0].range[1]):
            v = self._latest(self.ops[v].args[0])
        return v


def rewrite(program: Program, on: Mapping[str, bool]) -> None:
    """Apply the rules of the passes that are on until nothing changes."""
    for _ in range(50):
        changed = _Rules(program, on).run()
        sort_items(program.top)
        if not changed:
            return


def sort_items(region: Region) -> None:
    """Put items after those whose results they use; otherwise their order stays."""
    owner = {}
    for k, item in enumerate(region.items):
        results = [item.result] if isinstance(item, Op) else getattr(item, "results", [])
        owner |= dict.fromkeys(results, k)
    before: dict[int, list[int]] = {}  # accesses to one memory stay in their order
    last: dict[str, int] = {}
    for k, item in enumerate(region.items):
        if isinstance(item, Op) and item.kind == "mem":
            name = item.attrs["name"]
            before[k] = [last[name]] if name in last else []
            last[name] = k
    done: list[int] = []
    seen: set[int] = set()

    def visit(k):
        stack = [(k, iter(_needs(region.items[k], owner) + before.get(k, [])))]
        seen.add(k)
        while stack:
            at, rest = stack[-1]
            for other in rest:
                if other not in seen:
                    seen.add(other)
                    stack.append((other, iter(_needs(region.items[other], owner) + before.get(other, []))))
                    break
            else:
                done.append(at)
                stack.pop()

    for k in range(len(region.items)):
        if k not in seen:
            visit(k)
    region.items = [region.items[k] for k in done]
    for item in region.items:
        for inner in regions_of(item):
            sort_items(inner)


def _needs(item, owner):
    own = list(item.conds if isinstance(item, If) else item.inits if isinstance(item, Loop) else item.args)
    probe = Region([item])
    own += free_values(probe)
    return [owner[v] for v in dict.fromkeys(own) if v in owner]

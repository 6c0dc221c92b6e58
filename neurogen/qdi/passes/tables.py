"""P8, last part: small functions of a few bits in one table.

What a counter needs each round (its successor, its test, the word of a table that it picks) is a function
of a few bits: one lut gives them all, as fields of one token, where each would need a block and a copy of
the counter.
"""

from itertools import product

from neurogen.qdi.captures import free_values
from neurogen.qdi.ir import Emit, If, Loop, Op, Program, Region, Value, regions_of, walk
from neurogen.qdi.passes.rewrite import PURE, evaluate_op, sort_items
from neurogen.qdi.python.types import Num, Word
from neurogen.qdi.wires import Field, shape


__all__ = ["fuse_tables"]

_INSIDE = PURE - {"lut", "field", "concat", "mul"}
_WIRES = ("cast", "shl", "shr", "const")


def fuse_tables(program: Program, bits: int = 5) -> None:
    """Replace groups of at least two operators of at most ``bits`` bits by one lut each."""
    used = {v for _, item in walk(program.top) for v in _own(item)} | {
        v for _, item in walk(program.top) for inner in regions_of(item) for v in inner.yields}
    for _, item in walk(program.top):
        if isinstance(item, Loop) and item.cond is not None and not item.body.items:
            _narrow(item, used | set(program.top.yields))
    _fuse(program.top, bits, None)


def _own(item):
    return item.args if isinstance(item, Op | Emit) else item.conds if isinstance(item, If) else item.inits


def _narrow(loop, used):
    """Cut what travels back to what the next round can see: the last value of a counter goes nowhere."""
    back = {v: k for k, v in enumerate(loop.body_args)}
    for arg, y in zip(loop.args, loop.body.yields, strict=True):
        k = back.get(y)
        if k is None or loop.results[k] in used:
            continue
        value = loop.test.yields[k]
        want, have = shape(arg.range), shape(value.range)
        if want.width < have.width and not have.signed:
            cut = Value(Num(want.width))
            loop.test.items.append(Op("cast", [value], cut, {}, loop.loc))
            loop.test.yields[k] = cut
            y.bound = arg.range


def _fuse(region: Region, bits: int, cond: Value | None) -> None:
    for item in region.items:
        for inner in regions_of(item):
            _fuse(inner, bits, item.cond if isinstance(item, Loop) else None)
    while (found := _best(region, bits, cond)) is not None:
        _replace(region, *found, _taken(region, cond))
        sort_items(region)
    _zeros(region, _taken(region, cond))


def _taken(region, cond):
    """Return how often each value is used, and by which operations of the region itself."""
    users: dict[Value, list] = {}
    for item in region.items:
        if isinstance(item, Op | Emit):
            own = item.args
        else:
            own = [*(item.conds if isinstance(item, If) else item.inits), *_deep(item)]
        for v in own:
            users.setdefault(v, []).append(item)
    for v in [*region.yields, cond]:
        users.setdefault(v, []).append(None)
    return users


def _deep(item):
    found = []
    for inner in regions_of(item):
        for other in inner.items:
            found += other.args if isinstance(other, Op | Emit) else \
                [*(other.conds if isinstance(other, If) else other.inits), *_deep(other)]
        found += inner.yields
    if isinstance(item, Loop) and item.cond is not None:
        found.append(item.cond)
    return found


def _best(region, bits, cond):
    ops = [item for item in region.items if isinstance(item, Op) and item.kind in _INSIDE]
    known = {op.result for op in ops if op.kind == "const"}
    users = _taken(region, cond)
    roots = dict.fromkeys(v for op in ops for v in op.args if v not in known)
    best = None
    for root in roots:
        group = _closure(ops, {root}, known, bits, joining=True)
        if group is not None and _depends(region, *group):
            group = _closure(ops, {root}, known, bits, joining=False)
        if group is None:
            continue
        sources, inside = group
        outputs = [op.result for op in inside if any(u not in inside for u in users.get(op.result, ()))]
        blocks = sum(op.kind not in _WIRES for op in inside)
        saved = blocks + sum(sum(u in inside for u in users.get(s, ())) > 1 for s in sources)
        if blocks >= 2 and outputs and saved > 2 and (best is None or saved > best[0]):
            best = (saved, sources, inside, outputs)
    return None if best is None else best[1:]


def _depends(region, sources, inside):
    """Whether a source, the first one too, depends on what is inside: the lut would wait for itself."""
    owner = {}
    for item in region.items:
        for v in [item.result] if isinstance(item, Op) else getattr(item, "results", ()):
            owner[v] = item
    made = {id(op) for op in inside}
    todo, seen = list(sources), set()
    while todo:
        item = owner.get(todo.pop())
        if item is None or id(item) in seen:
            continue
        if id(item) in made:
            return True
        seen.add(id(item))
        todo += free_values(Region([item]))
    return False


def _closure(ops, sources, known, bits, joining):
    """Grow a group of operations from sources; a further source may join while all fit into the bits."""
    sources = list(sources)
    width = sum(shape(s.range).width for s in sources)
    if width > bits:
        return None
    inside: list[Op] = []
    have = {*sources}
    grown = True
    while grown:
        grown = False
        for op in ops:
            if op in inside or op.kind == "const" or op.result in sources:
                continue
            variables = [v for v in dict.fromkeys(op.args) if v not in known]
            rest = [v for v in variables if v not in have]
            more = sum(shape(v.range).width for v in rest)
            if len(rest) == len(variables) or more > joining or more + width > bits:
                continue  # only a condition of one bit may join
            inside.append(op)
            sources += rest
            have |= {op.result, *rest}
            width += more
            grown = True
    return sources, inside


def _zeros(region, users):
    """Fill what a shift register leaves empty from a lut, where a bit that is 0 costs no block of its own."""
    luts = [item for item in region.items if isinstance(item, Op) and item.kind == "lut"]
    for k, v in enumerate(region.yields):
        op = next((i for i in region.items if isinstance(i, Op) and i.result is v and i.kind == "shr"), None)
        if op is None or not luts or len(users[v]) != 1 or shape(op.args[0].range).signed:
            continue
        width = shape(op.args[0].range).width
        missing = width - shape(v.range).width
        if missing <= 0:
            continue
        lut = luts[0]
        at = lut.result.type.width
        zero, whole = Value(Num(missing)), Value(Word(width))
        wide = Value(Word(at + missing))
        for item in region.items:
            if isinstance(item, Op) and item.kind == "field":
                item.args = [wide if a is lut.result else a for a in item.args]
        lut.result = wide
        region.items += [Op("field", [wide], zero, {"low": at, "width": missing}, lut.loc),
                         Op("concat", [v, zero], whole, {}, op.loc)]
        region.yields[k] = whole
        return


def _demand(v, users):
    """Return the width in which all users take a value, if they agree."""
    widths = {shape(u.result.range).width if isinstance(u, Op) and u.kind in ("add", "sub") else 0
              for u in users.get(v, ())}
    return widths.pop() if len(widths) == 1 else 0


def _replace(region, sources, inside, outputs, users):
    fields = [shape(s.range) for s in sources]
    order = _ordered(inside)
    constants = {item.result: item.attrs["value"] for item in region.items
                 if isinstance(item, Op) and item.kind == "const"}
    results = [shape(v.range) for v in outputs]
    results = [Field(max(f.width, _demand(v, users)), f.signed) for v, f in zip(outputs, results,
                                                                                strict=True)]
    table = []
    for numbers in product(*(range(1 << f.width) for f in reversed(fields))):
        values = dict(constants)
        inrange = True
        for s, f, number in zip(sources, fields, reversed(numbers), strict=True):
            number = number - (1 << f.width) if f.signed and number >> f.width - 1 else number
            inrange &= s.range[0] <= number <= s.range[1]
            values[s] = number
        word, at = 0, 0
        if inrange:
            for op in order:
                values[op.result] = evaluate_op(op, [values[v] for v in op.args])
        for v, f in zip(outputs, results, strict=True):
            word |= (values[v] & ((1 << f.width) - 1) if inrange else 0) << at
            at += f.width
        table.append(word)
    total = sum(f.width for f in results)
    whole = Value(Word(total))
    loc = inside[0].loc
    new = [Op("lut", list(sources), whole, {"in_widths": tuple(f.width for f in fields),
                                            "table": tuple(table)}, loc)]
    at = 0
    for v, f in zip(outputs, results, strict=True):
        new.append(Op("field", [whole], v, {"low": at, "width": f.width}, loc))
        at += f.width
    first = min(k for k, item in enumerate(region.items) if item in inside)
    gone = set(map(id, inside))
    region.items[first:first] = new
    region.items = [item for item in region.items if id(item) not in gone]


def _ordered(inside):
    done, have = [], set()
    made = {op.result for op in inside}
    while len(done) < len(inside):
        for op in inside:
            if op not in done and all(v not in made or v in have for v in op.args):
                done.append(op)
                have.add(op.result)
    return done

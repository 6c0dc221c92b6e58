"""Makes explicit what regions take from outside: constants become local, loops carry what they only read.

Also the removal of what no result needs (liveness, 5.4 of the design), which runs before every build.
"""

from neurogen.qdi.ir import Emit, If, Item, Loop, Op, Program, Region, Value, regions_of, walk


__all__ = ["carry_captures", "free_values", "localize_constants", "prune", "substitute"]


def _uses(item: Item) -> list[Value]:
    """Values that an item itself takes from its region."""
    if isinstance(item, Op | Emit):
        return item.args
    return item.conds if isinstance(item, If) else item.inits


def _defined(item: Item) -> list[Value]:
    if isinstance(item, Op):
        return [item.result]
    return [] if isinstance(item, Emit) else item.results


def free_values(region: Region, own: tuple[Value, ...] = ()) -> list[Value]:
    """Return the values that a region (and what is in it) takes from outside, in order of first use."""
    known, found = set(own), {}

    def take(values):
        for v in values:
            if v not in known:
                found[v] = None

    for item in region.items:
        take(_uses(item))
        if isinstance(item, If):
            for arm in item.arms:
                take(free_values(arm))
        elif isinstance(item, Loop):
            take(free_values(item.test, tuple(item.args)))
            inner = tuple(item.args) + tuple(_all_defined(item.test))
            if item.cond is not None:
                take([item.cond] if item.cond not in inner else [])
            take(free_values(item.body, tuple(item.body_args)))
        known.update(_defined(item))
    take(region.yields)
    return list(found)


def _all_defined(region):
    return [v for item in region.items for v in _defined(item)]


def substitute(item: Item | Region, new: dict[Value, Value]) -> None:
    """Replace values everywhere in an item or region."""
    def swap(values):
        values[:] = [new.get(v, v) for v in values]

    if isinstance(item, Region):
        for inner in item.items:
            substitute(inner, new)
        swap(item.yields)
        return
    swap(_uses(item))
    if isinstance(item, Loop) and item.cond is not None:
        item.cond = new.get(item.cond, item.cond)
    for region in regions_of(item):
        substitute(region, new)


def localize_constants(region: Region) -> None:
    """Give each region its own copies of the constants that it uses."""
    constants: dict[Value, Op] = {}

    def visit(region: Region) -> None:
        for item in region.items:
            if isinstance(item, Op) and item.kind == "const":
                constants[item.result] = item
        for item in region.items:
            for inner in regions_of(item):
                visit(inner)
        local = {item.result for item in region.items if isinstance(item, Op) and item.kind == "const"}
        copies: dict[Value, Value] = {}

        def fresh(values):
            for k, v in enumerate(values):
                if v in constants and v not in local:
                    if v not in copies:
                        copies[v] = Value(v.type, v.name, v.bound)
                    values[k] = copies[v]

        for item in region.items:
            fresh(_uses(item))
        fresh(region.yields)
        region.items[:0] = [Op("const", [], copies[v], dict(constants[v].attrs), constants[v].loc)
                            for v in copies]

    visit(region)
    for item in list(_loops(region)):
        if item.cond in constants and item.cond not in _all_defined(item.test):
            op = constants[item.cond]
            cond = Value(op.result.type, bound=op.result.bound)
            item.test.items.append(Op("const", [], cond, dict(op.attrs), op.loc))
            item.cond = cond


def _loops(region):
    for item in region.items:
        if isinstance(item, Loop):
            yield item
        for inner in regions_of(item):
            yield from _loops(inner)


def carry_captures(region: Region) -> None:
    """Give loops a variable for each value that they only read; innermost loops first."""
    for item in region.items:
        for inner in regions_of(item):
            carry_captures(inner)
    for item in region.items:
        if not isinstance(item, Loop):
            continue
        if item.cond is None:
            _carry_into_endless(item)
            continue
        inside = [*item.args, *_all_defined(item.test)]
        if item.cond not in inside:
            inside.append(item.cond)
            free = [item.cond]
        else:
            free = []
        for v in [*free_values(item.test, tuple(item.args)), *free_values(item.body, tuple(item.body_args))]:
            if v not in free and v not in _all_defined(item.test):
                free.append(v)
        # what the body takes from the test region travels through the branch
        through = [v for v in free_values(item.body, tuple(item.body_args)) if v in inside]
        for v in through:
            new = Value(v.type, v.name, v.bound)
            item.test.yields.append(v)
            item.body_args.append(new)
            item.results.append(Value(v.type, v.name, v.bound))
            substitute(item.body, {v: new})
        for v in free:
            if v in through:
                continue
            arg, inner = (Value(v.type, v.name, v.bound) for _ in range(2))
            item.inits.append(v)
            item.args.append(arg)
            substitute(item.test, {v: arg})
            item.cond = arg if item.cond is v else item.cond
            item.test.yields.append(arg)
            item.body_args.append(inner)
            substitute(item.body, {v: inner})
            item.body.yields.append(inner)
            item.results.append(Value(v.type, v.name, v.bound))


def _carry_into_endless(loop):
    free = free_values(loop.test, tuple(loop.args))
    if free:
        raise ValueError(f"A loop without end must start with constants, not with {free}")


def prune(program: Program) -> None:
    """Remove what no result, no next state and no emission needs."""
    needed: set[Value] = set()
    items: set[int] = set()
    outputs = len(program.outputs) if not program.persistent else 0
    state_ends = dict(zip(program.states, program.top.yields[outputs:], strict=False))
    owners: dict[Value, tuple] = {}

    def index(region):
        for item in region.items:
            for k, v in enumerate(_defined(item)):
                owners[v] = (item, "result", k)
            if isinstance(item, Loop):
                for k, v in enumerate(item.args):
                    owners[v] = (item, "arg", k)
                for k, v in enumerate(item.body_args):
                    owners[v] = (item, "body", k)
            for inner in regions_of(item):
                index(inner)

    index(program.top)
    todo: list[Value] = list(program.top.yields[:outputs])

    def keep(item):
        """An item that runs needs its arms' way to it: conditions of all around it."""
        if id(item) in items:
            return
        items.add(id(item))
        if isinstance(item, If):
            todo.extend(item.conds)
        elif isinstance(item, Loop) and item.cond is not None:
            todo.append(item.cond)
        above = around.get(id(item))
        if above is not None:
            keep(above)

    around: dict[int, Item] = {}

    def place(region, above):
        for item in region.items:
            around[id(item)] = above
            for inner in regions_of(item):
                place(inner, item)

    place(program.top, None)
    effects = [item for _, item in walk(program.top)
               if isinstance(item, Emit) or (isinstance(item, Op) and item.kind in ("mem", "read"))]
    for item in effects:
        keep(item)
        todo.extend(item.args)
    states = {v: name for name, (_, v) in program.states.items()}
    while todo:
        v = todo.pop()
        if v in needed:
            continue
        needed.add(v)
        if v in states:
            todo.append(state_ends[states[v]])
        if v not in owners:
            continue
        item, role, k = owners[v]
        keep(item)
        if isinstance(item, Op):
            todo.extend(item.args)
        elif isinstance(item, If):
            todo.extend(arm.yields[k] for arm in item.arms)
        elif role == "arg":
            todo += [item.inits[k], item.body.yields[k]]
        else:
            todo.append(item.test.yields[k])
            if role == "result" and item.cond is None:
                keep(item)
    _sweep(program.top, needed, items)
    gone = [name for name, (_, v) in program.states.items() if v not in needed]
    for name in gone:
        del program.states[name]
    program.top.yields = program.top.yields[:outputs] + [state_ends[name] for name in program.states]


def _sweep(region, needed, items):
    region.items = [item for item in region.items if id(item) in items]
    for item in region.items:
        if isinstance(item, If):
            live = [k for k, v in enumerate(item.results) if v in needed]
            item.results = [item.results[k] for k in live]
            for arm in item.arms:
                arm.yields = [arm.yields[k] for k in live]
        elif isinstance(item, Loop):
            live = [k for k, v in enumerate(item.args) if v in needed]
            item.args, item.inits = ([x[k] for k in live] for x in (item.args, item.inits))
            item.body.yields = [item.body.yields[k] for k in live]
            pairs = zip(item.body_args, item.results or item.body_args, strict=True)
            live = [k for k, (a, b) in enumerate(pairs) if a in needed or b in needed]
            item.test.yields = [item.test.yields[k] for k in live]
            item.body_args = [item.body_args[k] for k in live]
            if item.results:
                item.results = [item.results[k] for k in live]
        for inner in regions_of(item):
            _sweep(inner, needed, items)

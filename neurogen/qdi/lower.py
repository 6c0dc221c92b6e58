"""From the structured program to the dataflow graph: branches, selects, loops and packed tokens (P6).

What an arm or a loop takes and gives travels as one packed token through one branch and one select if P6 is
on, else each number through its own.
"""

from neurogen.qdi.captures import free_values
from neurogen.qdi.graph import Graph
from neurogen.qdi.ir import Emit, If, Item, Loop, Op, Program, Region, Value, regions_of, walk
from neurogen.qdi.memories import Memories
from neurogen.qdi.operators import Operators
from neurogen.qdi.wires import Field, Wire, field_of, shape


__all__ = ["lower"]


def lower(program: Program, *, packing: bool = True) -> Graph:
    """Return the graph of a program, without forks, sinks and buffers."""
    return _Lowering(program, packing).run()


class _Lowering(Memories, Operators):
    def __init__(self, program: Program, packing: bool):
        super().__init__(Graph(program.name))
        self.program, self.packing = program, packing
        self.at.loc = program.loc
        self.wires, self.known = {}, {}
        self.scopes = 0
        self._live = {v for _, item in walk(program.top) for v in _taken(item)} | set(program.top.yields)
        self.start_memories(program)

    def run(self) -> Graph:
        program = self.program
        entries = []
        for name, value in program.inputs.items():
            wire = self.block("input", {"name": name, "width": value.type.width,
                                        "signed": value.type.signed}, {},
                              signed=value.type.signed)
            self.wires[value] = wire
            entries.append(wire)
        for name, type in program.streams.items():
            self.streams[name] = self.block("input", {"name": name, "width": type.width,
                                                      "signed": type.signed},
                                            {}, signed=type.signed)
        states = {}
        for name, (first, value) in program.states.items():
            width = value.type.width
            id = self.graph.add("init", {"width": width, "value": first & ((1 << width) - 1)},
                                loc=program.loc)
            states[name] = self.wires[value] = Wire(id, "o", width, value.type.signed)
            entries.append(states[name])
        narrow = sorted(entries, key=lambda w: w.width)
        self.trigger = narrow[0] if narrow else None
        if self.trigger is None:
            self.trigger = self.block("source", {"width": 1, "value": 0},
                                      {}) if self._needs_source() else None
        self.region(program.top)
        outputs = list(program.outputs.items())
        if not program.persistent:
            for (name, type), value in zip(outputs, program.top.yields, strict=False):
                self._output(name, type, self.operand(value, type.width))
            for (_, value), end in zip(program.states.values(), program.top.yields[len(outputs):],
                                       strict=True):
                self.graph.connect(self.operand(end, value.type.width).src, (self.wires[value].node, "i"))
        self.finish_memories()
        return self.graph

    def _needs_source(self):
        if not self.program.persistent:
            return True
        return any(isinstance(i, Loop) and i.cond is None and not i.args and not self.program.streams
                   for i in self.program.top.items)

    def _output(self, name, type, wire):
        self.block("output", {"name": name, "width": type.width, "signed": type.signed}, {"i": wire}, out="")

    def region(self, region: Region) -> None:
        """Lower the items of a region."""
        for item in region.items:
            self.at.loc = item.loc or self.at.loc
            if isinstance(item, Op):
                if item.kind == "const":
                    self.known[item.result] = item.attrs["value"]
                elif item.kind == "read":
                    self.wires[item.result] = self._read(item)
                elif item.kind == "mem":
                    self.wires[item.result] = self.memory_access(item)
                else:
                    self.wires[item.result] = self.operation(item)
            elif isinstance(item, Emit):
                type = self.program.outputs[item.name]
                self._output(item.name, type, self.operand(item.args[0], type.width))
            elif isinstance(item, If):
                self._arms(item)
            elif item.cond is None:
                self._endless(item)
            else:
                self._loop(item)

    def _read(self, op):
        wire = self.streams[op.attrs["name"]]
        if self.trigger is None or self.at.region.count("/") == 1:
            # the loop without end itself: one token for each round
            if self.trigger is None:
                self.trigger = wire
            self.graph.nodes[wire.node].region = self.at.region
            return wire
        self.graph.nodes[wire.node].region = self.at.region
        both = self.block("pack", {"widths": (wire.width, self.trigger.width)}, {"i0": wire,
                                                                                 "i1": self.trigger})
        return self.slice(both, 0, wire.width, signed=wire.signed)

    def _close(self, region, fields, path, values, wires, whole) -> list[Wire]:
        """Lower a region and return what it yields, packed or one by one, in given fields."""
        saved = self.wires, self.known, self.trigger, self.at.region, self.at.loc
        self.wires = {v: w for v, w in zip(values, wires, strict=True) if w is not None}
        self.known = {}
        self.trigger = min((w for w in wires if w is not None), key=lambda w: w.width, default=whole)
        self.at.region = path
        self.region(region)
        result = self._bundle(region.yields, fields)
        self.wires, self.known, self.trigger, self.at.region, self.at.loc = saved
        return result

    def _bundle(self, values, fields) -> list[Wire]:
        """Return tokens of values: one packed token if P6 is on; constants together in one block."""
        if not values:
            return []
        if not self.packing or len(values) == 1:
            return [self.operand(v, f.width)._replace(signed=f.signed)
                    for v, f in zip(values, fields, strict=True)]
        wires: list[Wire] = []
        widths: list[Field] = []
        run: list[tuple[int, int]] = []
        lead = 0

        def flush():
            nonlocal lead
            if run:
                width = sum(w for _, w in run)
                word, at = 0, 0
                for number, w in run:
                    word |= (number & ((1 << w) - 1)) << at
                    at += w
                if word == 0 and not wires:
                    lead = width  # zeros below: a shift, which costs nothing
                else:
                    wires.append(self.const(word, Field(width, False), self.trigger))
                    widths.append(Field(width, False))
                run.clear()

        for value, field in zip(values, fields, strict=True):
            if value in self.known and value not in self.wires:
                run.append((self.known[value], field.width))
            else:
                flush()
                wires.append(self.operand(value, field.width))
                widths.append(field)
        total = sum(f.width for f in fields)
        if run and all(number == 0 for number, _ in run) and wires:
            run.clear()  # zeros above: an extension
        flush()
        if not wires:
            return [self.const(0, Field(total, False), self.trigger)]
        joined = self.pack(wires, widths)
        if joined.width != total:
            joined = self.slice(joined._replace(signed=False), 0, total, shift=lead)
        return [joined]

    def _spread(self, tokens, fields, wanted) -> list[Wire | None]:
        """Undo `_bundle`."""
        if not fields:
            return []
        if not self.packing or len(fields) == 1:
            return [t._replace(signed=f.signed) if w else None
                    for t, f, w in zip(tokens, fields, wanted, strict=True)]
        return self.unpack(tokens[0], fields, wanted)

    def _arms(self, item: If) -> None:
        self.scopes += 1
        base = f"{self.at.region}/if{self.scopes}"
        needs = [free_values(arm) for arm in item.arms]
        taken = list(dict.fromkeys(v for need in needs for v in need))
        wires = [self.wire(v) for v in taken]
        fields = [Field(w.width, w.signed) for w in wires]
        conds = [self.operand(c, 1) for c in item.conds]
        many = len(conds) > 1
        n = len(item.arms)
        control = self.block("else_condition", {"n": n - 1}, {f"c{k}": c for k, c in enumerate(conds)}) \
            if many else conds[0]
        tokens = self._bundle(taken, fields) or [conds[0]]
        steered = [[] for _ in range(n)]
        for token in tokens:
            parameters = {"width": token.width} | ({"n": n} if many else {})
            first = self.block("branch_n" if many else "branch", parameters, {"s": control, "i": token},
                               out="o0")
            self.graph.nodes[first.node].scope = base
            for k in range(n):
                steered[k].append(self.port(first, f"o{k if many else 1 - k}"))
        result_fields = [shape(v.range, *(arm.yields[k].range for arm in item.arms))
                         for k, v in enumerate(item.results)]
        ends = []
        for k, (arm, need) in enumerate(zip(item.arms, needs, strict=True)):
            path = f"{base}/{k if many else 1 - k}"
            self.at.region = path
            wanted = [v in need for v in taken]
            inside = self._spread(steered[k], fields, wanted) if taken else []
            whole = min(steered[k], key=lambda w: w.width)
            ends.append(self._close(arm, result_fields, path, taken, inside, whole))
        self.at.region = base.rpartition("/")[0]
        self.at.loc = item.loc
        merged = []
        for parts in zip(*ends, strict=True):
            parameters = {"width": parts[0].width} | ({"n": n} if many else {})
            ports = {f"i{k if many else 1 - k}": w for k, w in enumerate(parts)}
            merged.append(self.block("select_n" if many else "select", parameters, {"s": control, **ports}))
        for v, wire in zip(item.results, self._spread(merged, result_fields, [True] * len(item.results)),
                           strict=True):
            self.wires[v] = wire

    def _loop(self, item: Loop) -> None:
        self.scopes += 1
        outer = self.at.region
        path, inside = f"{outer}/loop{self.scopes}", f"{outer}/loop{self.scopes}/body"
        after_body = not item.body.items  # tested after the body: what is passed goes straight back
        order = sorted(range(len(item.args)), key=lambda k: item.inits[k] not in self.known)
        for values in (item.args, item.inits, item.body.yields):
            values[:] = [values[k] for k in order]
        args, nexts = item.args, item.body.yields
        fields = [field_of(v) for v in args]
        back = {v: k for k, v in enumerate(item.body_args)}
        if after_body:
            fields = [shape(a.range, item.test.yields[back[y]].range) if y in back else f
                      for a, y, f in zip(args, nexts, fields, strict=True)]
        entry = self._bundle(item.inits, fields)
        self.at.region = path
        control = self.graph.add("loop", {}, loc=item.loc, region=path)
        select, branch = Wire(control, "select", 1, False), Wire(control, "branch", 1, False)
        heads = [self.graph.add("select", {"width": t.width}, loc=item.loc, region=path) for t in entry]
        for head, token in zip(heads, entry, strict=True):
            self.graph.connect(select.src, (head, "s"))
            self.graph.connect(token.src, (head, "i0"))
        tops = [Wire(head, "o", t.width, False) for head, t in zip(heads, entry, strict=True)]
        # what is passed in the order in which it goes back, then what only leaves
        needed = set(free_values(item.body))
        passed = sorted(range(len(item.body_args)), key=lambda k: next(
            (j for j, y in enumerate(nexts) if y is item.body_args[k]), len(nexts)))
        saved = self.wires, self.known, self.trigger
        arrived = self._spread(tops, fields, [True] * len(fields))
        self.wires, self.known = dict(zip(args, arrived, strict=True)), {}
        self.trigger = min(arrived, key=lambda w: w.width)
        self.region(item.test)
        self.at.region = path
        first = {id(y): f for y, f in zip(nexts, fields, strict=True)}
        passed_fields = [first.get(id(item.body_args[k]), None) if after_body else None for k in passed]
        passed_fields = [f or shape(item.test.yields[k].range)
                         for f, k in zip(passed_fields, passed, strict=True)]
        cond = self.operand(item.cond, 1)
        self.graph.connect(cond.src, (control, "c"))
        tokens = self._bundle([item.test.yields[k] for k in passed], passed_fields)
        self.wires, self.known, self.trigger = saved
        stay, leave = [], []
        for token in tokens:
            node = self.block("branch", {"width": token.width}, {"s": branch, "i": token}, out="o0")
            self.graph.nodes[node.node].scope = path
            leave.append(node)
            stay.append(self.port(node, "o1"))
        self.at.region = inside
        body_args = [item.body_args[k] for k in passed]
        straight = after_body and [id(v) for v in body_args] == [id(v) for v in nexts] \
            and passed_fields == fields
        if straight:
            again = stay
        else:
            wanted = [v in needed for v in body_args]
            again = self._close(item.body, fields, inside, body_args,
                                self._spread(stay, passed_fields, wanted),
                                min(stay, key=lambda w: w.width))
        for head, token in zip(heads, again, strict=True):
            self.graph.connect(token.src, (head, "i1"))
        self.at.region = outer
        self.at.loc = item.loc
        results = [item.results[k] for k in passed]
        live = [v in self._live for v in results]
        for v, wire in zip(results, self._spread(leave, passed_fields, live), strict=True):
            if wire is not None:
                self.wires[v] = wire

    def _endless(self, item: Loop) -> None:
        self.scopes += 1
        outer, path = self.at.region, f"{self.at.region}/loop{self.scopes}"
        fields = [field_of(v) for v in item.args]
        numbers = [self.known[v] & ((1 << f.width) - 1) for v, f in zip(item.inits, fields, strict=True)]
        self.at.region = path
        groups = [list(range(len(fields)))] if self.packing and fields else [[k] for k in range(len(fields))]
        rings = []
        for group in groups:
            word, at = 0, 0
            for k in group:
                word |= numbers[k] << at
                at += fields[k].width
            rings.append(self.graph.add("init", {"width": at, "value": word}, loc=item.loc, region=path))
        heads = [Wire(id, "o", self.graph.nodes[id].parameters["width"], False) for id in rings]
        arrived = self._spread(heads, fields, [True] * len(fields))
        ends = self._close(item.test, fields, path, item.args, arrived, self.trigger)
        for id, token in zip(rings, ends, strict=True):
            self.graph.connect(token.src, (id, "i"))
        self.at.region = outer


def _taken(item: Item) -> list[Value]:
    """Return the values that an item uses, and those that its regions yield."""
    own = item.args if isinstance(item, Op | Emit) else item.conds if isinstance(item, If) else \
        [*item.inits, *([item.cond] if item.cond is not None else [])]
    return [*own, *(v for region in regions_of(item) for v in region.yields)]

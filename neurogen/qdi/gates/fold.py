"""From what blocks described to a netlist: aliases, constants, dead gates.

A rail that is constant 0 (a constant's other rail, an extension by zeros) takes gates with it: an OR loses an
input, a C-element or AND never rises. What is left switches as it would have done, so a proof of a block
holds for its folded form.
"""

from neurogen.qdi.gates.netlist import ZERO, Builder, Channel, Gate, Netlist


__all__ = ["fold"]

_Gates = list[tuple[str, tuple[int, ...], int | None]]  # cell, inputs, output


def fold(b: Builder, alias: dict[int, int], inputs: dict[str, Channel],
         outputs: dict[str, Channel]) -> Netlist:
    """Return the netlist of a builder.

    Raises
    ------
    ValueError
        If a net has no driver or two, or a gate would depend on a constant 1.
    """
    alias = dict(alias)

    def find(net: int) -> int:
        path = []
        while net in alias:
            path.append(net)
            net = alias[net]
            if len(path) > len(alias):
                raise ValueError(f"Net {b.nets[path[0]]} must have a driver, not a loop of wires")
        for other in path:
            alias[other] = net
        return net

    gates = list(b.gates)
    settled: set[str] = set()  # gates that are as simple as their inputs allow
    changed = True
    while changed:
        changed = False
        kept = []
        for gate in gates:
            new = tuple([find(net) if net in alias else net for net in gate.inputs])
            if new == gate.inputs and gate.name in settled:
                kept.append(gate)
                continue
            result = _simplify(b, gate.cell, new)
            if isinstance(result, int):
                alias[gate.output] = result
                changed = True
                continue
            for cell, ins, out in result:
                changed |= cell != gate.cell
                if out is None:
                    if cell == gate.cell:
                        settled.add(gate.name)
                    kept.append(Gate(cell, ins, gate.output, gate.name, gate.block))
                else:
                    kept.append(Gate(cell, ins, out, b.nets[out], gate.block))
        gates = kept

    def channel(c: Channel) -> Channel:
        return Channel(tuple(tuple(find(r) for r in digit) for digit in c.digits), find(c.a), c.hot)

    inputs = {name: channel(c) for name, c in inputs.items()}
    outputs = {name: channel(c) for name, c in outputs.items()}
    wires = {name: find(net) for name, net in b.wires.items()}
    gates = _live(gates, inputs, outputs, wires)
    _check_drivers(b, gates, inputs, outputs, wires)
    used = {net for gate in gates for net in gate.inputs}
    alive = {gate.block for gate in gates}
    channels = {name: channel(c) for name, c in b.channels.items()}
    return Netlist(b.name, list(b.nets), gates, b.rst if b.rst in used else 0, b.clk if b.clk in used else 0,
                   inputs, outputs, wires, channels,
                   {k: v for k, v in b.blocks.items() if k in alive or v[0]}, dict(b.consumers),
                   frozenset(b.timed & {gate.name for gate in gates}))


def _simplify(b: Builder, cell: str, ins: tuple[int, ...]) -> int | _Gates:
    """Return the net that replaces a gate, or the gates that do (output None: that of the gate)."""
    if cell.startswith("NG_OR"):
        ins = tuple(dict.fromkeys(net for net in ins if net != ZERO))
        return ZERO if not ins else ins[0] if len(ins) == 1 else [(f"NG_OR{len(ins)}", ins, None)]
    if cell in ("NG_AND2", "NG_C2", "NG_C3", "NG_C4"):
        if ZERO in ins:
            return ZERO
        ins = tuple(dict.fromkeys(ins))
        return ins[0] if len(ins) == 1 else [(cell[:-1] + str(len(ins)), ins, None)]
    if cell == "NG_NOR2":
        ins = tuple(dict.fromkeys(net for net in ins if net != ZERO))
        if not ins:
            raise ValueError(f"Gate of {b.name} must not be constant 1 ({cell})")
        return [("NG_INV", ins, None)] if len(ins) == 1 else [(cell, ins, None)]
    if cell == "NG_AO22" and ZERO in ins:
        left = [p for p in (ins[:2], ins[2:]) if ZERO not in p]
        return [("NG_AND2", left[0], None)] if left else ZERO
    if cell in ("NG_THXOR", "NG_THAND") and ZERO in ins:
        x, y, z, w = ins
        pairs = [(x, y), (z, w)] if cell == "NG_THXOR" else [(x, y), (y, z), (x, w)]
        return _sum_of_products(b, [p for p in pairs if ZERO not in p])
    if cell == "NG_TH23" and ZERO in ins:
        rest = [net for net in ins if net != ZERO]
        return _sum_of_products(b, [tuple(rest)] if len(rest) == 2 else [])
    if cell == "NG_TH34W2" and ZERO in ins:
        x, rest = ins[0], [net for net in ins[1:] if net != ZERO]
        if x == ZERO:
            return _sum_of_products(b, [tuple(rest)] if len(rest) == 3 else [])
        return _sum_of_products(b, [(x, net) for net in rest])
    if cell == "NG_C2R" and ZERO in ins[:2]:
        return ZERO
    return [(cell, ins, None)]


def _sum_of_products(b: Builder, products: list[tuple[int, ...]]) -> int | list:
    if not products:
        return ZERO
    if len(products) == 1:
        return [(f"NG_C{len(products[0])}", products[0], None)]
    nets = [b.net(f"{b.name}.fold{len(b.nets)}") for _ in products]
    return [*((f"NG_C{len(p)}", p, net) for p, net in zip(products, nets, strict=True)),
            (f"NG_OR{len(nets)}", tuple(nets), None)]


def _live(gates, inputs, outputs, wires):
    """Return the gates from which something outside can be reached."""
    roots = [c.a for c in inputs.values()] + [r for c in outputs.values() for r in c.rails]
    driver = {gate.output: gate for gate in gates}
    todo, live = [*roots, *wires.values()], set()
    while todo:
        gate = driver.get(todo.pop())
        if gate is not None and gate.name not in live:
            live.add(gate.name)
            todo += gate.inputs
    return [gate for gate in gates if gate.name in live]


def _check_drivers(b, gates, inputs, outputs, wires):
    drivers: dict[int, str] = {ZERO: "constant", b.rst: "reset", b.clk: "clock"}
    outside = [("input", r) for c in inputs.values() for r in c.rails]
    outside += [("output", c.a) for c in outputs.values()]
    known = {g.output for g in gates} | {net for _, net in outside}
    outside += [("wire", net) for net in dict.fromkeys(wires.values()) if net not in known]
    for name, net in [*outside, *((gate.name, gate.output) for gate in gates)]:
        if net in drivers and net != ZERO:
            raise ValueError(f"Net {b.nets[net]} must have one driver, not {drivers[net]} and {name}")
        drivers[net] = name
    needed = [net for gate in gates for net in gate.inputs] + [c.a for c in inputs.values()]
    for net in needed + [r for c in outputs.values() for r in c.rails]:
        if net not in drivers:
            raise ValueError(f"Net {b.nets[net]} must have a driver, not none")

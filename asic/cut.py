"""Circuits cut at registers and memory macros: what these hold is an input, what they take an output."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from asic.aig import Aig, Literal
from asic.expressions import parse_expression
from asic.gategraph import GateGraph
from asic.netlist import Instance, Netlist, NetlistError


__all__ = ["Circuit", "SUFFIX", "cut_netlist", "cut_words"]


SUFFIX = "_reg"  # of the names of registers in netlists, after the signal whose bit they hold


@dataclass(frozen=True)
class Circuit:
    """A circuit without its registers.

    Parameters
    ----------
    graph
        Its functions; inputs are ``port:NAME[BIT]``, ``register:NAME[BIT]``, and ``pin:INSTANCE.PIN[BIT]``.
    roots
        Literals of output ports, of the next values of registers, and of what macros take, named likewise.
    initial
        Values of registers at power-on in the RTL.
    names
        All names of registers, each with the one that `graph` uses.
    macros
        Input pins of macros by instance.
    """

    graph: Aig
    roots: dict[str, int]
    initial: dict[str, int]
    names: dict[str, str]
    macros: dict[str, frozenset[str]]


_GATES = {"$_AND_": ("A", "B"), "$_NOT_": ("A",)}


def cut_words(module: Mapping, outputs: Mapping[str, frozenset[str]]) -> Circuit:
    """Return a module that Yosys wrote as JSON: of ands, inverters, rising registers, and macros.

    Parameters
    ----------
    outputs
        Output pins by type of macro.

    Raises
    ------
    NetlistError
        If it has something else.
    """
    graph = Aig()
    known: dict[object, int] = {"0": 0, "1": 1, "x": 0, "z": 0}
    gates, flops, macros = {}, {}, {}
    for name, cell in module["cells"].items():
        pins, kind = cell["connections"], cell["type"]
        if kind in _GATES:
            gates[pins["Y"][0]] = [pins[pin][0] for pin in _GATES[kind]]
        elif kind == "$_DFF_P_":
            flops[pins["Q"][0]] = pins["D"][0]
        elif kind.startswith("$") and kind != "$scopeinfo":
            raise NetlistError(f"Cell {name} of type {kind} must have been mapped")
        elif kind != "$scopeinfo":
            macros[name] = cell
    aliases = _aliases(module, flops)
    names = {alias: found[0] for found in aliases.values() for alias in found}
    for name, port in module["ports"].items():
        if port["direction"] == "input":
            known |= {bit: graph.input(f"port:{name}[{index}]") for index, bit in enumerate(port["bits"])}
    known |= {bit: graph.input(f"register:{aliases[bit][0]}") for bit in flops}
    inputs = {}
    for name, cell in macros.items():
        inputs[name] = frozenset(cell["connections"]) - outputs[cell["type"]]
        for pin, bits in cell["connections"].items():
            if pin not in inputs[name]:
                known |= {bit: graph.input(f"pin:{name}.{pin}[{index}]") for index, bit in enumerate(bits)}

    def make(bit: object) -> int:
        parts = [known[part] for part in gates[bit]]
        return graph.both(*parts) if len(parts) == 2 else parts[0] ^ 1

    def literal(bit: object) -> int:
        return _grown(bit, known, gates, make)

    roots = {f"port:{name}[{index}]": literal(bit) for name, port in module["ports"].items()
             if port["direction"] == "output" for index, bit in enumerate(port["bits"])}
    roots |= {f"register:{aliases[bit][0]}": literal(data) for bit, data in flops.items()}
    roots |= {f"pin:{name}.{pin}[{index}]": literal(bit)
              for name, pins in inputs.items() for pin in sorted(pins)
              for index, bit in enumerate(macros[name]["connections"].get(pin, ())) if bit != "x"}
    values = _initial_bits(module["netnames"])
    initial = {f"register:{found[0]}": int(any(name in values for name in found))
               for found in aliases.values()}
    return Circuit(graph, roots, initial, names, inputs)


def _aliases(module: Mapping, flops: Mapping) -> dict[object, list[str]]:
    """Return all names of the registers' bits; public ones first."""
    aliases: dict[object, list[str]] = {bit: [] for bit in flops}
    for name, info in sorted(module["netnames"].items(), key=lambda item: item[0].startswith("$")):
        for index, bit in enumerate(info["bits"]):
            if bit in aliases:
                aliases[bit].append(f"{name}[{index}]")
    return {bit: found or [f"bit {bit}[0]"] for bit, found in aliases.items()}


def _initial_bits(nets: Mapping) -> set[str]:
    """Return the bits that are 1 at power-on."""
    return {f"{name}[{index}]" for name, info in nets.items()
            if isinstance(text := info.get("attributes", {}).get("init"), str)
            for index, bit in enumerate(reversed(text)) if bit == "1"}


def _grown(bit, known, gates, make) -> int:
    """Return the literal of a bit, after those of all that it depends on (without recursion)."""
    stack = [bit]
    while stack:
        at = stack[-1]
        if at in known:
            stack.pop()
            continue
        missing = [part for part in gates[at] if part not in known]
        if missing:
            stack += missing
        else:
            known[at] = make(at)
            stack.pop()
    return known[bit]


def cut_netlist(netlist: Netlist, like: Circuit, clock: str = "clk") -> Circuit:
    """Return a mapped netlist as a circuit with the names of ``like``.

    Registers of the netlist whose names ``like`` does not have keep theirs.

    Raises
    ------
    NetlistError
        If it has latches, other clocks, or loops.
    """
    gating = {out: (enable, parent) for out, enable, parent in GateGraph(netlist, clock).clocks}
    graph, library = Aig(), netlist.library
    known = {0: 0, 1: 1}
    for name, (direction, nets) in netlist.ports.items():
        if direction == "input":
            known |= {net: graph.input(f"port:{name}[{index}]") for index, net in enumerate(nets)}
    for macro in netlist.macros:
        for pin, nets in macro.pins.items():
            if pin not in like.macros.get(macro.name, ()):
                known |= {net: graph.input(f"pin:{macro.name}.{pin}[{index}]")
                          for index, net in enumerate(nets)}
    functions: dict[int, tuple] = {}
    flops: list[tuple[Instance, str, bool]] = []
    for instance in netlist.cells:
        cell = library[instance.kind]
        if cell.storage.get("kind") == "ff":
            flops.append(_flop(instance, cell, like, graph, known))
        elif not cell.clock_gate:
            for pin in cell.outputs:
                if pin in instance.pins and cell.pins[pin].function is not None:
                    functions[instance.pins[pin][0]] = (cell.pins[pin].function, instance)
    inputs = {net: [instance.pins[pin][0] for pin in function.pins]
              for net, (function, instance) in functions.items()}
    zero, one = Literal(graph, 0), Literal(graph, 1)

    def make(net: int) -> int:
        function, instance = functions[net]
        return _value(function, {pin: known[instance.pins[pin][0]] for pin in function.pins}, zero, one)

    def literal(net: int) -> int:
        return _grown(net, known, inputs, make)

    roots = {f"port:{name}[{index}]": literal(net) for name, (direction, nets) in netlist.ports.items()
             if direction == "output" for index, net in enumerate(nets)}
    for instance, name, inverted in flops:
        storage, state = library[instance.kind].storage, graph.input(name) ^ inverted
        function = parse_expression(storage["next_state"])
        pins = {pin: state if pin == storage["state"] else literal(instance.pins[pin][0])
                for pin in function.pins}
        data = _value(function, pins, zero, one) ^ inverted
        at = instance.pins[parse_expression(storage["clocked_on"]).pins[0]][0]
        roots[name] = graph.choose(_enable(at, gating, literal, graph), data, graph.input(name))
    roots |= {f"pin:{macro.name}.{pin}[{index}]": literal(net) for macro in netlist.macros
              for pin, nets in macro.pins.items() if pin in like.macros.get(macro.name, ())
              for index, net in enumerate(nets) if f"pin:{macro.name}.{pin}[{index}]" in like.roots}
    return Circuit(graph, roots, {}, {}, {})


def _flop(instance, cell, like, graph, known):
    """Add a register's outputs to ``known``; return it, its name, and whether it holds the inverse."""
    name = instance.name.removesuffix(SUFFIX)
    name = name if name.endswith("]") else f"{name}[0]"
    name = f"register:{like.names.get(name, name)}"
    storage = cell.storage
    function = parse_expression(storage["next_state"])
    # A cell that stores the inverse of its data holds the inverse of the RTL's register.
    inverted = len(function.pins) == 1 and not function({function.pins[0]: 1}) & 1
    state = graph.input(name) ^ inverted
    held = {storage["state"]: state, storage["inverse"]: state ^ 1}
    zero, one = Literal(graph, 0), Literal(graph, 1)
    for pin in cell.outputs:
        if pin in instance.pins:
            output = cell.pins[pin].function
            literals = {part: held[part] for part in output.pins}
            known[instance.pins[pin][0]] = _value(output, literals, zero, one)
    return instance, name, inverted


def _value(function, literals: Mapping[str, int], zero: Literal, one: Literal) -> int:
    return function({pin: Literal(zero.graph, value) for pin, value in literals.items()}, zero, one).value


def _enable(clock: int, gating: Mapping, literal, graph: Aig) -> int:
    """Return when a clock has an edge: the enables of all its gating cells."""
    number = {out: index for index, out in enumerate(gating)}
    chain: Iterable = list(gating.values())
    result, at = 1, number.get(clock, -1)
    while at >= 0:
        enable, at = chain[at]
        result = graph.both(result, literal(enable))
    return result

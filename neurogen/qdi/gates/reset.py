"""What a netlist is after reset: a three-valued simulation without delays."""

from itertools import product

from neurogen.qdi.gates.cells import HOLD
from neurogen.qdi.gates.netlist import Netlist


__all__ = ["reset_values", "unknown_nets", "untouched"]


def reset_values(netlist: Netlist) -> list[int | None]:
    """Return the value of each net at the end of reset (None: unknown); the border is neutral."""
    values: list[int | None] = [None] * len(netlist.nets)
    driven = {gate.output for gate in netlist.gates}
    for net in range(len(values)):
        if net not in driven:
            values[net] = 0
    if netlist.rst:
        values[netlist.rst] = 1
    readers: dict[int, list] = {}
    for gate in netlist.gates:
        for net in gate.inputs:
            readers.setdefault(net, []).append(gate)
    known: dict[tuple, int | None] = {}
    todo = list(netlist.gates)
    while todo:
        gate = todo.pop()
        if values[gate.output] is not None:
            continue
        key = (gate.cell, *(values[net] for net in gate.inputs))
        if key not in known:
            known[key] = _evaluate(netlist.cells[gate.cell], key[1:])
        new = known[key]
        if new is not None:
            values[gate.output] = new
            todo += readers.get(gate.output, ())
    return values


def _evaluate(cell, values):
    if not cell.table:  # flip-flops have an asynchronous reset
        return int(cell.name == "NG_DFFS")
    choices = [(v,) if v is not None else (0, 1) for v in values]
    results = {cell.table[sum(w for w, x in zip(cell.weights, inputs, strict=True) if x)]
               for inputs in product(*choices)}
    if len(results) == 1 and HOLD not in results:
        return results.pop()
    return None


def unknown_nets(netlist: Netlist) -> set[int]:
    """Return the nets that reset leaves unknown."""
    return {net for net, value in enumerate(reset_values(netlist)) if value is None}


def untouched(n: Netlist) -> list[bool]:
    """Return of each channel whether no state, and nothing that needs no input, comes before it."""
    outputs: dict[str, list[str]] = {}
    for name in n.channels:
        outputs.setdefault(name.rpartition(".")[0], []).append(name)
    todo = [block for block in outputs if n.blocks.get(block, ("init", ""))[0] in ("init", "reg", "source")]
    seen = set(todo)
    while todo:
        for name in outputs.get(todo.pop(), ()):
            block = n.consumers.get(name, ("", ""))[0]
            if block and block not in seen:
                seen.add(block)
                todo.append(block)
    return [name.rpartition(".")[0] not in seen for name in n.channels]

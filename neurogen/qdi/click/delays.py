"""Chains of delay cells, as long as the logic beside them takes by the delays of a kit."""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil

from neurogen.qdi.gates.mapping import Mapped
from neurogen.qdi.gates.timing import delays_of


__all__ = ["chain_lengths", "credit_of", "delay_cell", "lateness"]

Matched = Mapping[str, Sequence[Sequence[int]]]  # by chain: nets that must settle, nets where data starts


def chain_lengths(mapped: Mapped, matched: Matched, credits: Mapping[str, Sequence[int]],
                  margin: float) -> dict[str, int]:
    """Return the number of delay cells of each chain.

    Parameters
    ----------
    mapped
        The circuit without chains.
    matched
        Of each chain, nets that must have settled when it ends, and nets that are valid when it starts.
    credits
        Of a chain, outputs of gates that its request passes anyway.
    margin
        Delay of a chain over that of its logic.
    """
    cell = delay_cell(mapped)
    return {name: ceil(max(0.0, margin * delay - credit_of(mapped, credits.get(name, ()))) / cell)
            for name, delay in _paths(mapped, matched).items()}


def delay_cell(mapped: Mapped) -> float:
    """Return the least delay of one cell of a chain in ns."""
    kit = mapped.kit
    return min(kit.delay[next(name for name, _ in kit.recipes["NG_DELAY"])]) / 1000


def credit_of(mapped: Mapped, nets: Iterable[int]) -> float:
    """Return the least delay in ns of the gates that drive nets, one after the other."""
    delays, wanted = delays_of(mapped), set(nets)
    return sum(min(delays.rise[k], delays.fall[k]) for k, gate in enumerate(mapped.netlist.gates)
               if gate.output in wanted)


def lateness(mapped: Mapped) -> dict[int, float]:
    """Return how much later than the fastest each flip-flop's output is valid, in ns, by net.

    Data of a flip-flop with many readers is valid later than its request.
    """
    delays = delays_of(mapped)
    flops = [k for k, gate in enumerate(mapped.netlist.gates) if not mapped.netlist.cells[gate.cell].table]
    first = min((min(delays.rise[k], delays.fall[k]) for k in flops), default=0.0)
    return {mapped.netlist.gates[k].output: max(delays.rise[k], delays.fall[k]) - first for k in flops}


def _paths(mapped: Mapped, matched: Matched) -> dict[str, float]:
    """Return the longest delay in ns to the ends of each chain, from where its data was valid."""
    delays, late = delays_of(mapped), lateness(mapped)
    drivers = {gate.output: k for k, gate in enumerate(mapped.netlist.gates)
               if mapped.netlist.cells[gate.cell].table}
    result = {}
    for name, (ends, stops) in matched.items():
        known: dict[int, float] = {net: late.get(net, 0.0) for net in stops}

        def arrival(net: int, known: dict[int, float] = known) -> float:
            if net not in known:
                k = drivers.get(net)
                known[net] = late.get(net, 0.0) if k is None else max(delays.rise[k], delays.fall[k]) + max(
                    arrival(i) for i in mapped.netlist.gates[k].inputs)
            return known[net]
        result[name] = max([arrival(net) for net in ends], default=0.0)
    return result

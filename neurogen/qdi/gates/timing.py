"""Estimates before layout: delays from Liberty means, cycle time, margins of relative timing.

Model: a gate takes the mean delay of its cell at 8 fF (`neurogen.qdi.gates.mapping`) plus 10 ps for each
reader of its output. Wires, slews along the path and layout are not in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neurogen.qdi.gates.mapping import Mapped
from neurogen.qdi.gates.simulate import Delays, Result, Simulator


__all__ = ["PER_READER", "CycleTime", "Margin", "cycle_time", "delays_of", "margins"]

PER_READER = 0.010  # ns


@dataclass(frozen=True)
class CycleTime:
    """Mean time between two tokens of a channel, in ns.

    Parameters
    ----------
    channel
        Name of the channel (the control of a loop, or an output).
    tokens
        Tokens seen.
    ns
        Mean time from one to the next.
    transitions
        Mean number of transitions of gates between them: what energy is made of.
    """

    channel: str
    tokens: int
    ns: float
    transitions: float


@dataclass(frozen=True)
class Margin:
    """Relative timing of one cell with hysteresis that is made of several.

    Parameters
    ----------
    name
        Instance.
    ratio
        Time from the rise of the output to the first fall of an input, over the time that the hold path
        takes: hazards are possible below 1. Infinite if it never rose.
    slack
        The difference of the two in ns.
    """

    name: str
    ratio: float
    slack: float


def delays_of(mapped: Mapped) -> Delays:
    """Return the delays of the gates in ns."""
    readers = [0] * len(mapped.netlist.nets)
    for gate in mapped.netlist.gates:
        for net in set(gate.inputs):
            readers[net] += 1
    rows = [mapped.kit.delay[gate.cell] for gate in mapped.netlist.gates]
    extra = [PER_READER * readers[gate.output] for gate in mapped.netlist.gates]
    return Delays(tuple(r / 1000 + e for (r, _), e in zip(rows, extra, strict=True)),
                  tuple(f / 1000 + e for (_, f), e in zip(rows, extra, strict=True)))


def run(mapped: Mapped, tokens: Mapping[str, Sequence[int]], expected: Mapping[str, int], *,
        marks: Sequence[str] = (), trace: bool = False) -> Result:
    """Run a mapped netlist with its own delays; the environment answers at once."""
    return Simulator(mapped.netlist).run(tokens, expected, delays=delays_of(mapped), marks=marks, trace=trace)


def cycle_time(mapped: Mapped, tokens: Mapping[str, Sequence[int]], expected: Mapping[str, int], *,
               channel: str | None = None) -> CycleTime:
    """Return the mean time between tokens of a channel.

    Parameters
    ----------
    channel
        Name (``node.port``); by default the one that carries most tokens among the controls of loops, so the
        time of an iteration, or else the first output: the time of a call.

    Raises
    ------
    ValueError
        If the netlist does not give the expected tokens.
    """
    n = mapped.netlist
    controls = [name for name in n.channels if n.blocks.get(name.rpartition(".")[0], ("",))[0] == "loop"
                and name.endswith(".branch")]
    marks = [channel] if channel else controls
    result = run(mapped, tokens, expected, marks=marks)
    if not result.finished:
        raise ValueError(f"{n.name} must give all tokens before its time is taken: "
                         f"{'; '.join(result.waiting[:3])}")
    name = max(marks, key=lambda m: len(result.times[m])) if marks else next(iter(n.outputs))
    times = result.times[name]
    steps = max(1, len(times) - 1)
    span = times[-1] - times[0] if len(times) > 1 else result.time
    return CycleTime(name, len(times), span / steps, result.events / max(1, len(times)))


def margins(mapped: Mapped, tokens: Mapping[str, Sequence[int]],
            expected: Mapping[str, int]) -> list[Margin]:
    """Return the margin of each cell with a hold path, the smallest first.

    The constraint: after the output has risen, the hold path must have switched (its net falls) before the
    first input falls again, or the output may fall too early.
    """
    result = run(mapped, tokens, expected, trace=True)
    by_net: dict[int, list[int]] = {}
    state = []
    for k, (_, hold, output, inputs) in enumerate(mapped.holds):
        for net in {hold, output, *inputs}:
            by_net.setdefault(net, []).append(k)
        state.append([None, None, float("inf"), float("inf")])  # rise of y, fall of hold, ratio, slack
    for now, net, value in result.trace:
        for k in by_net.get(net, ()):
            _, hold, output, inputs = mapped.holds[k]
            s = state[k]
            if net == output and value:
                s[0], s[1] = now, None
            elif net == hold and not value and s[0] is not None:
                s[1] = now
            if net in inputs and not value and s[0] is not None:
                needed = (s[1] - s[0]) if s[1] is not None else float("inf")
                ratio = (now - s[0]) / needed if needed else float("inf")
                if ratio < s[2]:
                    s[2], s[3] = ratio, now - s[0] - needed
                s[0] = None
    found = [Margin(name, s[2], s[3]) for (name, *_), s in zip(mapped.holds, state, strict=True)]
    return sorted(found, key=lambda m: m.ratio)

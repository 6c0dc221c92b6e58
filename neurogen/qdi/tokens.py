"""Token simulator: a graph as bounded channels and blocks that fire in random order.

All blocks but ``mutex`` and ``arb_merge`` are deterministic in Kahn's sense, so the streams do not depend
on the order, the capacities or the seed; they are the reference of every backend. What depends on them is
whether a graph comes to a dead end, and that is told with the blocks that wait and their source lines.
"""

import random
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from neurogen.qdi.firing import rule
from neurogen.qdi.graph import Graph


__all__ = ["Channel", "Deadlock", "TokenResult", "Waiting", "simulate"]


class Deadlock(RuntimeError):
    """Results are missing and no block can fire; ``waiting`` names the blocks and what they wait for."""

    def __init__(self, name: str, waiting: "list[Waiting] | list[str]", missing: str):
        self.waiting = waiting
        lines = "\n".join(f"  {w}" for w in waiting[:12])
        super().__init__(f"{name} is deadlocked: {missing}; waiting:\n{lines}")


@dataclass(frozen=True)
class Waiting:
    """A block that holds a token and cannot fire: ports without a token, ports without room, source line."""

    node: str
    empty: tuple[str, ...]
    full: tuple[str, ...]
    where: str

    def __str__(self) -> str:
        parts = [f"for a token on {', '.join(self.empty)}"] * bool(self.empty)
        parts += [f"for room on {', '.join(self.full)}"] * bool(self.full)
        return f"{self.node} {' and '.join(parts) or 'for nothing'} ({self.where})"


@dataclass
class TokenResult:
    """What a simulation ends with.

    Parameters
    ----------
    outputs
        Tokens of each output by name, in order.
    firings
        Firings of each node by id.
    left
        Tokens that are still on channels, by (node, input port).
    """

    outputs: dict[str, list[int]]
    firings: dict[str, int]
    left: dict[tuple[str, str], tuple[int, ...]]


class Channel:
    """A queue of at most ``capacity`` tokens."""

    __slots__ = ("capacity", "reader", "tokens", "writer")

    def __init__(self, capacity: int, writer: str, reader: str):
        self.capacity, self.writer, self.reader = capacity, writer, reader
        self.tokens: deque[int] = deque()

    def __bool__(self) -> bool:
        return bool(self.tokens)

    @property
    def full(self) -> bool:
        """Whether no more tokens fit."""
        return len(self.tokens) >= self.capacity


def simulate(graph: Graph, inputs: Mapping[str, Iterable[int]], *, capacity: int = 1, seed: int = 0,
             expect: Mapping[str, int] | int | None = None, limit: int = 10_000_000) -> TokenResult:
    """Run a graph until nothing can fire.

    Parameters
    ----------
    inputs
        Tokens of each input by name; negative numbers are taken modulo 2 to its width.
    capacity
        Tokens that a channel holds.
    seed
        Of the order in which blocks fire.
    expect
        Results wanted of each output (by name, or of each). An output takes no more than that.
    limit
        Most firings; a graph that works on for ever would not come to an end.

    Raises
    ------
    Deadlock
        If there are fewer results than expected when no block can fire.
    ValueError
        If the inputs are not those of the graph.
    RuntimeError
        If the limit of firings is reached.
    """
    names = {graph.nodes[id].parameters["name"]: id for id in graph.inputs}
    if set(inputs) != set(names):
        raise ValueError(f"Inputs of {graph.name} must be {', '.join(names) or 'none'}, "
                         f"not {', '.join(inputs) or 'none'}")
    channels = {edge: Channel(capacity, edge.src[0], edge.dst[0]) for edge in graph.edges}
    ins: dict[str, dict[str, Channel]] = {id: {} for id in graph.nodes}
    outs: dict[str, dict[str, Channel]] = {id: {} for id in graph.nodes}
    for edge, channel in channels.items():
        outs[edge.src[0]][edge.src[1]] = channel
        ins[edge.dst[0]][edge.dst[1]] = channel
    results: dict[str, list[int]] = {}
    fire = {}
    for id, node in graph.nodes.items():
        if node.kind == "input":
            mask = (1 << node.parameters["width"]) - 1
            fire[id] = _input(deque(x & mask for x in inputs[node.parameters["name"]]), outs[id]["o"])
        elif node.kind == "output":
            name = node.parameters["name"]
            results[name] = []
            most = expect.get(name) if isinstance(expect, Mapping) else expect
            fire[id] = _output(results[name], ins[id]["i"], most)
        else:
            fire[id] = rule(node, ins[id], outs[id])
    near = {id: [id, *(c.writer for c in ins[id].values()), *(c.reader for c in outs[id].values())]
            for id in graph.nodes}
    firings = dict.fromkeys(graph.nodes, 0)
    chance = random.Random(seed)
    ready = list(graph.nodes)
    waiting = set(ready)
    total = 0
    while ready:
        k = int(chance.random() * len(ready))
        ready[k], ready[-1] = ready[-1], ready[k]
        id = ready.pop()
        waiting.discard(id)
        if fire[id]():
            firings[id] += 1
            total += 1
            for other in near[id]:
                if other not in waiting:
                    waiting.add(other)
                    ready.append(other)
            if total >= limit:
                raise RuntimeError(f"{graph.name} does not come to an end within {limit} firings")
    left = {edge.dst: tuple(channel.tokens) for edge, channel in channels.items() if channel}
    missing = []
    for name, got in results.items():
        most = expect.get(name) if isinstance(expect, Mapping) else expect
        if most is not None and len(got) < most:
            missing.append(f"{name} gave {len(got)} of {most} tokens")
    if missing:
        raise Deadlock(graph.name, _waiting(graph, ins, outs), ", ".join(missing))
    return TokenResult(results, firings, left)


def _input(tokens, channel):
    def fire():
        if not tokens or channel.full:
            return False
        channel.tokens.append(tokens.popleft())
        return True
    return fire


def _output(results, channel, most):
    def fire():
        if not channel or (most is not None and len(results) >= most):
            return False
        results.append(channel.tokens.popleft())
        return True
    return fire


def _waiting(graph, ins, outs):
    found = []
    for id, node in graph.nodes.items():
        if any(ins[id].values()):
            found.append(Waiting(id, tuple(p for p, c in ins[id].items() if not c),
                                 tuple(p for p, c in outs[id].items() if c.full),
                                 f"{node.loc}: {node.loc.text.strip()}" if node.loc else node.region))
    return found

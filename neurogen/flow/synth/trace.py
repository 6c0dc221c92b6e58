"""The flow of tokens through a graph, step by step: what the report's page plays.

In a step, each block fires at most once, consumers before producers, on channels of one token. That is one of
the many orders in which an asynchronous circuit may work; the streams are the same in all.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from neurogen.flow.drawing import rank_nodes
from neurogen.qdi.firing import rule
from neurogen.qdi.graph import Graph
from neurogen.qdi.tokens import Channel


__all__ = ["Step", "trace"]


@dataclass(frozen=True)
class Step:
    """The state after a step.

    Parameters
    ----------
    tokens
        Token on each channel that has one, by the number of its edge.
    fired
        Ids of the nodes that have fired in this step.
    results
        Results that have come so far, by name.
    """

    tokens: dict[int, int]
    fired: tuple[str, ...]
    results: dict[str, tuple[int, ...]]


def trace(graph: Graph, inputs: Mapping[str, Iterable[int]], *, limit: int = 400) -> list[Step]:
    """Return the steps until nothing can fire any more, but at most ``limit``.

    Parameters
    ----------
    inputs
        Tokens of each input by name; negative numbers are taken modulo 2 to its width.
    """
    channels = [Channel(1, edge.src[0], edge.dst[0]) for edge in graph.edges]
    ins: dict[str, dict[str, Channel]] = {id: {} for id in graph.nodes}
    outs: dict[str, dict[str, Channel]] = {id: {} for id in graph.nodes}
    for edge, channel in zip(graph.edges, channels, strict=True):
        outs[edge.src[0]][edge.src[1]] = channel
        ins[edge.dst[0]][edge.dst[1]] = channel
    results: dict[str, list[int]] = {}
    fire = {}
    for id, node in graph.nodes.items():
        name = node.parameters.get("name", "")
        if node.kind == "input":
            mask = (1 << node.parameters["width"]) - 1
            fire[id] = _move(deque(x & mask for x in inputs[name]), outs[id]["o"])
        elif node.kind == "output":
            fire[id] = _collect(ins[id]["i"], results.setdefault(name, []))
        else:
            fire[id] = rule(node, ins[id], outs[id])
    rank, _ = rank_nodes(list(graph.nodes), [(e.src[0], e.dst[0], 0) for e in graph.edges])
    order = sorted(graph.nodes, key=lambda id: -rank[id])
    steps = []
    while len(steps) < limit:
        fired = tuple(id for id in order if fire[id]())
        if not fired:
            break
        steps.append(Step({k: channel.tokens[0] for k, channel in enumerate(channels) if channel}, fired,
                          {name: tuple(tokens) for name, tokens in results.items()}))
    return steps


def _move(waiting, channel):
    def fire():
        if not waiting or channel.full:
            return False
        channel.tokens.append(waiting.popleft())
        return True
    return fire


def _collect(channel, tokens):
    def fire():
        if not channel:
            return False
        tokens.append(channel.tokens.popleft())
        return True
    return fire

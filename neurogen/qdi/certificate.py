"""The deadlock certificate: a graph's handshakes without its data, every choice explored.

Each channel keeps whether it is neutral or valid and its acknowledge; blocks are C-elements on these,
buffers are half buffers, and a number that steers (the control of a select or branch) takes any value each
time it is computed. All other transitions are persistent: whichever fires first, the others stay enabled,
so one order stands for all of them, and only the choices branch. Inputs always offer, outputs always take.
A graph is proved if from every reachable state each input and each output can still move: no dead state,
and no part that is dead while others run on, for all data. Blocks with an order of arrival (arbiter, mutex)
have no such proof.
"""

from collections import deque
from dataclasses import dataclass

from neurogen.qdi.graph import Graph
from neurogen.qdi.handshakes import Endless, Model


__all__ = ["Certificate", "certify"]


@dataclass(frozen=True)
class Certificate:
    """What is known about deadlocks.

    Parameters
    ----------
    status
        ``proved``; ``safe default`` (not explored to the end, a buffer on every fork); ``fuzz only`` (the
        rules of placement, tested with random programs); ``deadlock``.
    states
        States explored.
    reason
        Why it is not proved, in words.
    waiting
        Of a deadlock: the blocks that hold a token, what they wait for, and their source lines.
    """

    status: str
    states: int
    reason: str = ""
    waiting: tuple[str, ...] = ()


def certify(graph: Graph, *, budget: int = 2_000_000) -> Certificate:
    """Explore the handshakes of a graph with its buffers.

    Parameters
    ----------
    budget
        Most states.
    """
    safe = graph.notes.get("buffers") == "safe"
    fallback = "safe default" if safe else "fuzz only"
    try:
        model = Model(graph)
    except KeyError as error:
        return Certificate(fallback, 0, f"a block of kind {error.args[0]} has no handshake model")
    try:
        return _explore(model, budget, fallback)
    except Endless as error:
        return Certificate(fallback, 0, str(error))


def _explore(model: Model, budget: int, fallback: str) -> Certificate:
    index: dict[tuple, int] = {}
    back: list[list[tuple[int, int]]] = []
    states: list[tuple] = []

    def number(state):
        if state not in index:
            index[state] = len(states)
            states.append(state)
            back.append([])
            todo.append(state)
        return index[state]

    todo: deque[tuple] = deque()
    number(model.start())
    while todo:
        if len(states) > budget:
            return Certificate(fallback, len(states), f"more than {budget} states")
        state = todo.popleft()
        at = index[state]
        for after, moved in model.next(state):
            back[number(after)].append((at, moved))
            if len(states) > budget:
                break
    for bit, border in enumerate(model.borders):
        alive = {at for entries in back for at, moved in entries if moved >> bit & 1}
        stack = list(alive)
        while stack:
            for at, _ in back[stack.pop()]:
                if at not in alive:
                    alive.add(at)
                    stack.append(at)
        if len(alive) < len(states):
            dead = next(k for k in range(len(states)) if k not in alive)
            return Certificate("deadlock", len(states), f"{border} stops for ever",
                               model.waiting(states[dead]))
    return Certificate("proved", len(states))

"""Cycles of a network: which edge reads the spikes of the step before."""

from collections.abc import Mapping

from neurogen.frontend.graph import FloatConv, FloatDense, FloatNode, Input


__all__ = ["find_back_edge"]


def find_back_edge(nodes: Mapping[str, FloatNode],
                   edges: Mapping[tuple[str, str], int]) -> tuple[str, str] | None:
    """Return the edge into the last synapse of a cycle without delay, seen from the inputs.

    Parameters
    ----------
    edges
        Delay by source and target.
    """
    after: dict[str, list[str]] = {n: [] for n in nodes}
    for (source, target), delay in edges.items():
        if not delay:
            after[source].append(target)
    state: dict[str, int] = {}
    starts = sorted(nodes, key=lambda n: not isinstance(nodes[n], Input))
    for start in starts:
        path, stack = [], [(start, iter(after[start]))] if start not in state else []
        if stack:
            state[start], path = 1, [start]
        while stack:
            target = next(stack[-1][1], None)
            if target is None:
                state[path.pop()] = 2
                stack.pop()
            elif state.get(target) == 1:
                cycle = path[path.index(target):]
                last = max(i for i, n in enumerate(cycle)
                           if isinstance(nodes[n], FloatConv | FloatDense))
                return cycle[last - 1], cycle[last]
            elif target not in state:
                state[target] = 1
                path.append(target)
                stack.append((target, iter(after[target])))
    return None

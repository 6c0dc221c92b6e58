"""Comparison of gates with what is expected of them, at random delays."""

from collections.abc import Mapping, Sequence

from neurogen.qdi.gates.build import build
from neurogen.qdi.gates.simulate import Simulator
from neurogen.qdi.graph import Graph
from neurogen.qdi.tokens import simulate as tokens_of


__all__ = ["DELAYS", "GateMismatch", "check_gates"]

# mode and spread of the delays of each run
DELAYS = (("gate", 3.0), ("event", 30.0), ("gate", 300.0), ("event", 1000.0))


class GateMismatch(ValueError):
    """A run of gates that differs from what is expected, or is not clean; the text says how."""


def check_gates(graph: Graph, tokens: Mapping[str, Sequence[int]], expected: Mapping[str, Sequence[int]], *,
                threshold: bool = False, delays: Sequence[tuple[str, float]] = DELAYS, seed: int = 0) -> int:
    """Run the gates of a graph and compare all tokens; return the number of transitions.

    Parameters
    ----------
    tokens, expected
        Tokens of each input and output by name; taken modulo 2 to the width.
    threshold
        Build with threshold gates.
    delays
        Mode and spread of each run.

    Raises
    ------
    GateMismatch
        At the first run with another stream, a hazard, an illegal code, an unknown net, a deadlock, or
        without a return to rest.
    """
    width = {node.parameters["name"]: node.parameters["width"] for node in graph.nodes.values()
             if not node.is_block}
    ins, outs = ({name: [x & (1 << width[name]) - 1 for x in stream] for name, stream in side.items()}
                 for side in (tokens, expected))
    simulator = Simulator(build(graph, threshold=threshold))
    events = 0
    for k, (mode, spread) in enumerate(delays):
        result = simulator.run(ins, {name: len(stream) for name, stream in outs.items()}, seed=seed + k,
                               spread=spread, mode=mode)
        events += result.events
        where = f"{graph.name}, delays 1 to {spread:g} by {mode}, seed {seed + k}"
        problems = [f"{label} {', '.join(found[:3])}" for label, found in
                    (("unknown after reset:", result.unknown), ("hazards at", result.hazards),
                     ("illegal:", result.illegal), ("waits:", result.waiting)) if found]
        for name, stream in outs.items():
            got = result.streams.get(name, [])
            if got[:len(stream)] != stream:
                at = next((j for j, (a, b) in enumerate(zip(got, stream, strict=False)) if a != b),
                          min(len(got), len(stream)))
                problems.append(f"token {at} of {name} is {got[at] if at < len(got) else 'missing'}, "
                                f"not {stream[at] if at < len(stream) else 'there'}")
        ahead = {name: got for name, got in result.streams.items() if len(got) > len(outs.get(name, ()))}
        if ahead:  # what needs no input, a state that is only read, may come once more
            wanted = {name: len(got) for name, got in result.streams.items()}
            every = tokens_of(graph, ins, expect=wanted).outputs
            problems += [f"{name} gives a wrong token ahead" for name, got in ahead.items()
                         if got != every[name]]
        elif not problems and not result.clean:
            problems.append("does not come to rest as it was")
        if problems:
            raise GateMismatch(f"{where}: {'; '.join(problems)}")
    return events

"""From a process to its graph, and the comparison of the two, token for token."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from neurogen.qdi.captures import carry_captures, localize_constants, prune
from neurogen.qdi.certificate import certify
from neurogen.qdi.finish import add_forks, flatten
from neurogen.qdi.graph import Graph
from neurogen.qdi.ir import Program
from neurogen.qdi.lower import lower
from neurogen.qdi.passes.arms import common_expressions, convert_arms
from neurogen.qdi.passes.buffers import place_buffers, slack, widen_entries
from neurogen.qdi.passes.rewrite import rewrite
from neurogen.qdi.passes.tables import fuse_tables
from neurogen.qdi.passes.widths import infer_widths
from neurogen.qdi.python.errors import QdiWarning
from neurogen.qdi.python.process import Process
from neurogen.qdi.tokens import Deadlock, simulate


__all__ = ["PASSES", "Mismatch", "check", "compare", "compile", "optimise", "stimuli_of"]

# name: (what it does, whether it is on unless told otherwise)
PASSES = {
    "P1": ("folding of constants, of arms and loops whose condition is known", True),
    "P2": ("common expressions of a region", True),
    "P3": ("widths from intervals", True),
    "P4": ("if-conversion of small arms without side effects", True),
    "P5": ("choice between 1 and 0 is the condition", True),
    "P6": ("packing of loop-carried and steered numbers into one token", True),
    "P7": ("unpack instead of fork and slices", True),
    "P8": ("strength reduction: wires and cheaper blocks, shift registers for x[i]", True),
    "P9": ("reassociation of sums", True),
    "P11": ("slack: more buffers in loops, for speed", False),
    "P12": ("slack at the entries of loops: two half buffers there in one block", False),
}


class Mismatch(ValueError):
    """The first token of a graph that differs from the Python function, with the source line."""


def compile(function: Process, *, passes: Mapping[str, bool] | None = None, buffers: str = "rules",
            budget: int = 4_000) -> Graph:
    """Return the dataflow graph of a process; ``notes["deadlock"]`` says what is known about dead ends.

    Parameters
    ----------
    passes
        Switches by name (`PASSES`); what is not named keeps its default.
    buffers
        ``rules``, ``safe`` or ``none`` (`neurogen.qdi.passes.buffers`). If the rules cannot be proved for the
        graph, it is built again with the safe choice.
    budget
        States to explore for the certificate (`neurogen.qdi.certificate`); 0 for none.

    Raises
    ------
    QdiError
        If the function is not in the subset.
    ValueError
        If a pass or the kind of buffers is unknown.
    TypeError
        If ``function`` is no process.
    """
    if not isinstance(function, Process):
        raise TypeError(f"Function must be decorated with neurogen.qdi.process, not {function!r}")
    unknown = set(passes or ()) - set(PASSES)
    if unknown:
        raise ValueError(f"Passes must be of {', '.join(PASSES)}, not {', '.join(sorted(unknown))}")
    on = {name: default for name, (_, default) in PASSES.items()} | dict(passes or {})
    graph = _build(function, on, buffers)
    if not budget:
        return graph
    certificate = certify(graph, budget=budget)
    if certificate.status != "proved" and buffers == "rules":
        graph = _build(function, on, "safe")
        certificate = certify(graph, budget=budget)
    if certificate.status == "deadlock" and buffers != "none":
        raise Deadlock(graph.name, list(certificate.waiting), certificate.reason)
    graph.notes["deadlock"] = asdict(certificate)
    return graph


def _build(function: Process, on: Mapping[str, bool], buffers: str) -> Graph:
    _, program = function.program(on)
    optimise(program, on)
    localize_constants(program.top)
    carry_captures(program.top)
    graph = lower(program, packing=on["P6"])
    for id in graph.inputs:
        if not any(edge.src[0] == id for edge in graph.edges):
            name = graph.nodes[id].parameters["name"]
            warnings.warn(f"{program.loc}: QDI017 input '{name}' is not used; its tokens are dropped",
                          QdiWarning, stacklevel=2)
    add_forks(graph, fields=on["P7"])
    if on["P7"]:
        flatten(graph)
    place_buffers(graph, buffers)
    if on["P11"]:
        slack(graph)
    if on["P12"]:
        widen_entries(graph)
    graph.notes |= {"passes": dict(on), "buffers": buffers, "mode": function.mode}
    graph.verify(buffers=buffers != "none")
    return graph


def optimise(program: Program, on: Mapping[str, bool]) -> None:
    """Run the passes on the structured program: P1 to P5, P8 and P9."""
    prune(program)
    for _ in range(4):
        if on["P3"]:
            infer_widths(program)
        rewrite(program, on)
        if on["P2"]:
            common_expressions(program)
        changed = on["P4"] and convert_arms(program)
        prune(program)
        if not changed:
            break
    if on["P3"]:
        infer_widths(program)
    rewrite(program, on)
    prune(program)
    if on["P8"] and on["P3"]:
        fuse_tables(program)
        prune(program)


def stimuli_of(function: Process, stimuli: Sequence[Any] | Mapping[str, Iterable[int]]) -> dict[str,
                                                                                                list[int]]:
    """Return the tokens of each input for stimuli as `check` takes them, modulo 2 to their width."""
    if isinstance(stimuli, Mapping):
        tokens = {name: list(stream) for name, stream in stimuli.items()}
    else:
        rows = [s if isinstance(s, tuple) else (s,) for s in stimuli]
        tokens = {name: [row[k] for row in rows] for k, name in enumerate(function.inputs)}
    return {name: [int(x) & ((1 << function.type_of(name).width) - 1) for x in stream]
            for name, stream in tokens.items()}


def check(function: Process, stimuli: Sequence[Any] | Mapping[str, Iterable[int]], *,
          graph: Graph | None = None,
          capacities: tuple[int, ...] = (1, 2), seeds: Iterable[int] = range(3), **options: Any) -> dict:
    """Compare the graph of a process with the Python function, token for token.

    Parameters
    ----------
    stimuli
        For each call its arguments, a tuple or one number; for a process that yields, the tokens of each
        stream.
    graph
        The graph, if it is at hand; else it is compiled with ``options``.
    capacities, seeds
        Of the token simulations.

    Returns
    -------
    dict
        The streams of results.

    Raises
    ------
    Mismatch
        At the first token that differs.
    Deadlock
        If results are missing.
    RangeError
        In mode ``checked``, if a value of the Python run does not fit its type.
    """
    graph = graph or compile(function, **{"budget": 0} | options)
    expected = function.expected(stimuli)
    tokens = stimuli_of(function, stimuli)
    wanted = {name: len(stream) for name, stream in expected.items()}
    for capacity in capacities:
        for seed in seeds:
            result = simulate(graph, tokens, capacity=capacity, seed=seed, expect=wanted)
            compare(graph, expected, result.outputs, f"tokens (capacity {capacity}, seed {seed})")
    return expected


def compare(graph: Graph, expected: Mapping[str, list[int]], got: Mapping[str, list[int]],
            level: str) -> None:
    """Raise `Mismatch` at the first token that differs; numbers count modulo 2 to the output's width."""
    for id in graph.outputs:
        p = graph.nodes[id].parameters
        mask = (1 << p["width"]) - 1
        for k, (a, b) in enumerate(zip(expected[p["name"]], got[p["name"]], strict=True)):
            if a & mask != b & mask:
                loc = graph.nodes[id].loc
                raise Mismatch(f"{graph.name}: token {k} of {p['name']} is {b & mask} in {level}, "
                               f"not {a & mask} as in Python ({loc}: {loc.text.strip() if loc else ''})")

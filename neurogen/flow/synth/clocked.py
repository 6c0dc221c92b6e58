"""The clocked circuit of a graph in simulation: Amaranth's simulator, or Verilator for long runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from neurogen.flow.tools import SimulationError
from neurogen.flow.verilator import compile_model, to_verilog
from neurogen.qdi.clocked import build
from neurogen.qdi.graph import Graph
from neurogen.testing.streams import collect, drive, random_pauses, simulate


__all__ = ["ClockedRun", "emit_verilog", "run_amaranth", "run_verilator"]


@dataclass(frozen=True)
class ClockedRun:
    """What a clocked circuit did.

    Parameters
    ----------
    outputs
        Tokens of each result by name, as unsigned numbers.
    cycles
        Cycle of each of these tokens, by name.
    """

    outputs: dict[str, list[int]]
    cycles: dict[str, list[int]]

    def period(self) -> float | None:
        """Return the mean number of cycles from one token of the first result to the next, if there is."""
        times = next((times for times in self.cycles.values() if len(times) > 1), None)
        return None if times is None else sum(b - a for a, b in pairwise(times)) / (len(times) - 1)


def emit_verilog(graph: Graph) -> str:
    """Return the clocked circuit as Verilog; its ports have the names of the function's."""
    return to_verilog(build(graph), graph.name)


def _widths(graph, ids):
    return {graph.nodes[id].parameters["name"]: graph.nodes[id].parameters["width"] for id in ids}


def run_amaranth(graph: Graph, inputs: Mapping[str, Sequence[int]], expect: Mapping[str, int], *,
                 stalls: float = 0.0, seed: int = 0, cycles: int = 100_000) -> ClockedRun:
    """Run the circuit until each result has as many tokens as expected.

    Parameters
    ----------
    inputs
        Tokens by input.
    expect
        Tokens wanted by result.
    stalls
        Probability, per cycle and stream, of no input or of not taking a result.
    seed
        Of the stalls.
    cycles
        Limit.

    Raises
    ------
    SimulationError
        If they have not come by then.
    AssertionError
        If the circuit breaks the rule of streams.
    """
    dut = build(graph)
    results: dict[str, list[int]] = {name: [] for name in expect}
    times: dict[str, list[int]] = {name: [] for name in expect}
    sources = [drive(getattr(dut, name), _fit(tokens, getattr(dut, name)), random_pauses(seed + k, stalls))
               for k, (name, tokens) in enumerate(inputs.items())]
    sinks = [collect(getattr(dut, name), results[name], random_pauses(seed + 99 + k, stalls), count=count)
             for k, (name, count) in enumerate(expect.items())]
    try:
        # An input may hold more tokens than the results take.
        simulate(dut, *sinks, background=[*sources, _watch(dut, times)], cycles=cycles)
    except AssertionError as error:
        if "did not finish" not in str(error):
            raise
        found = ", ".join(f"{name} gave {len(results[name])} of {n}" for name, n in expect.items())
        raise SimulationError(f"Clocked circuit of {graph.name} stands still or is too slow: {found} "
                              f"in {cycles} cycles") from None
    widths = _widths(graph, graph.outputs)
    return ClockedRun({name: [x & (1 << widths[name]) - 1 for x in tokens]
                       for name, tokens in results.items()}, times)


def _watch(dut, times):
    """Return a bench that notes the cycle of each token that leaves."""
    async def bench(ctx):
        streams = [getattr(dut, name) for name in times]
        cycle = 0
        while True:
            _, _, *moved = await ctx.tick().sample(*(s.valid & s.ready for s in streams))
            for cycles, now in zip(times.values(), moved, strict=True):
                if now:
                    cycles.append(cycle)
            cycle += 1
    return bench


def _fit(tokens, stream):
    shape = stream.payload.shape()
    mask = (1 << shape.width) - 1
    half = 1 << shape.width - 1
    return [((x & mask) ^ half) - half if shape.signed else x & mask for x in tokens]


def run_verilator(graph: Graph, inputs: Mapping[str, Sequence[int]], expect: Mapping[str, int], *,
                  stalls: float = 0.0, seed: int = 0, cycles: int = 10_000_000) -> ClockedRun:
    """As `run_amaranth`, compiled: slow to start, a thousand times as fast.

    Raises
    ------
    SimulationError
        If the results have not come within ``cycles``.
    ToolError
        If Verilator or the C++ compiler is missing or fails.
    """
    # The words of a `ram` have first values, which zeros are as much as others.
    memories = any(node.kind == "ram" for node in graph.nodes.values())
    model = compile_model(emit_verilog(graph), graph.name, x_initial="zero" if memories else "random")
    widths = _widths(graph, graph.inputs)
    tokens = {name: [x & (1 << widths[name]) - 1 for x in values] for name, values in inputs.items()}
    try:
        run = model.run(cycles, inputs=tokens, outputs=dict(expect), until=_until(expect), idle=stalls,
                        backpressure=stalls, seed=seed, timestamps=True)
    finally:
        model.close()
    widths = _widths(graph, graph.outputs)
    return ClockedRun({name: [int(x) & (1 << widths[name]) - 1 for x in run[name]] for name in expect},
                      {name: [int(x) for x in run.times[name]] for name in expect})


def _until(expect):
    return "outputs" if any(expect.values()) else 64

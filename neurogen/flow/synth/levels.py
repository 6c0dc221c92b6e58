"""Comparison of the levels: Python, tokens, the clocked circuit with stalls, gates with random delays.

The function itself, run by CPython, says what is right. Each other level gets the same tokens and must give
the same streams, whatever the order of firing, the stalls and the delays.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from neurogen.flow.synth.clocked import run_amaranth, run_verilator
from neurogen.flow.synth.icarus import run_click_icarus, run_icarus
from neurogen.flow.tools import SimulationError
from neurogen.qdi import Graph, Process, click, simulate
from neurogen.qdi.compile import compare, compile, stimuli_of
from neurogen.qdi.gates import build
from neurogen.qdi.gates.mapping import load_kit
from neurogen.qdi.gates.simulate import MODES, Simulator
from neurogen.qdi.gates.simulate import Result as GateResult


__all__ = ["LEVELS", "Level", "Stimulus", "agree", "prepare"]

_STALLS = (0.0, 0.3, 0.7)
_SPREADS = (30.0, 1000.0, 3.0, 300.0)
_ICARUS_SPREADS = (30.0, 3.0, 100.0)
_VARIATIONS = (0.0, 0.1, 0.05)
_BUDGET = 20_000_000  # transitions


@dataclass(frozen=True)
class Level:
    """What a level showed: its name, runs, tokens compared, seconds, and a remark."""

    name: str
    runs: int
    tokens: int
    seconds: float
    remark: str = ""


@dataclass(frozen=True)
class Stimulus:
    """A graph and what it must do.

    Parameters
    ----------
    graph
        Of the process.
    inputs
        Tokens of each input.
    expected
        Tokens of each result, from CPython.
    """

    graph: Graph
    inputs: dict[str, list[int]]
    expected: dict[str, list[int]]

    @property
    def unsigned(self) -> dict[str, list[int]]:
        """The inputs as words of their widths."""
        parameters = (self.graph.nodes[id].parameters for id in self.graph.inputs)
        masks = {p["name"]: (1 << p["width"]) - 1 for p in parameters}
        return {name: [x & masks[name] for x in tokens] for name, tokens in self.inputs.items()}

    @property
    def wanted(self) -> dict[str, int]:
        """Number of tokens of each result."""
        return {name: len(tokens) for name, tokens in self.expected.items()}


def prepare(function: Process, stimuli: Sequence[Any] | Mapping[str, Sequence[int]], *,
            graph: Graph | None = None, **options: Any) -> Stimulus:
    """Return a process's graph (compiled with ``options``), its tokens, and what CPython makes of them.

    Raises
    ------
    QdiError, RangeError
        See `neurogen.qdi.compile` and `Process.expected`.
    """
    graph = graph or compile(function, **options)
    return Stimulus(graph, stimuli_of(function, stimuli), function.expected(stimuli))


def _tokens(s: Stimulus, runs: int, seed: int) -> str:
    for k in range(runs):
        capacity = 1 + k % 2
        result = simulate(s.graph, s.inputs, capacity=capacity, seed=seed + k, expect=s.wanted)
        compare(s.graph, s.expected, result.outputs, f"tokens (capacity {capacity}, seed {seed + k})")
    return "channels of one and two tokens, random order"


def _clocked(s: Stimulus, runs: int, seed: int) -> str:
    chosen = [_STALLS[(seed + k) % len(_STALLS)] for k in range(runs)]
    for k, stalls in enumerate(chosen):
        result = run_amaranth(s.graph, s.inputs, s.wanted, stalls=stalls, seed=seed + k)
        compare(s.graph, s.expected, result.outputs,
                f"the clocked circuit (stalls {stalls}, seed {seed + k})")
    return f"stalls in {', '.join(f'{stalls:.0%}' for stalls in chosen)} of the cycles"


def _verilog(s: Stimulus, runs: int, seed: int) -> str:
    for k in range(runs):
        stalls = _STALLS[k % len(_STALLS)]
        result = run_verilator(s.graph, s.inputs, s.wanted, stalls=stalls, seed=seed + k)
        compare(s.graph, s.expected, result.outputs, f"Verilog (stalls {stalls}, seed {seed + k})")
    return "Verilator, with stalls"


def _gates(s: Stimulus, runs: int, seed: int, *, threshold: bool = False) -> str:
    simulator = Simulator(build(s.graph, threshold=threshold))
    spreads = [_SPREADS[(seed + k) % len(_SPREADS)] for k in range(runs)]
    for k, spread in enumerate(spreads):
        mode = MODES[(seed + k) // len(_SPREADS) % len(MODES)]
        result = simulator.run(s.unsigned, s.wanted, seed=seed + k, spread=spread, mode=mode, budget=_BUDGET)
        where = f"gates (delays 1 to {spread:g} by {mode}, seed {seed + k})"
        if not result.clean:
            raise SimulationError(f"{s.graph.name}: {where}: {_trouble(result)}")
        compare(s.graph, s.expected, _streams(s, result), where)
    return f"random delays, spread to 1:{max(spreads):g}; no hazard or illegal code, quiet at the end"


def _icarus(s: Stimulus, runs: int, seed: int, *, threshold: bool = False) -> str:
    netlist = build(s.graph, threshold=threshold)
    spreads = [_ICARUS_SPREADS[(seed + k) % len(_ICARUS_SPREADS)] for k in range(runs)]
    for k, spread in enumerate(spreads):
        streams = run_icarus(netlist, s.unsigned, s.wanted, seed=seed + k, spread=spread)
        compare(s.graph, s.expected, streams, f"Icarus (delays 1 to {spread:g}, seed {seed + k})")
    return f"the emitted Verilog in Icarus, random delays, spread to 1:{max(spreads):g}"


def _click(s: Stimulus, runs: int, seed: int, *, kit: str) -> str:
    design = click.build(s.graph, load_kit(kit))
    chosen = [_VARIATIONS[(seed + k) % len(_VARIATIONS)] for k in range(runs)]
    for k, variation in enumerate(chosen):
        result = click.simulate(design, s.unsigned, s.wanted, variation=variation, seed=seed + k,
                                budget=_BUDGET)
        where = f"Click (delays of {kit}, ±{variation:.0%}, seed {seed + k})"
        if not result.clean:
            raise SimulationError(f"{s.graph.name}: {where}: {_trouble(result)}")
        compare(s.graph, s.expected, _streams(s, result), where)
    return f"delays from Liberty, each gate's up to ±{max(chosen):.0%}; data steady when it is stored"


def _click_icarus(s: Stimulus, runs: int, seed: int, *, kit: str) -> str:
    design = click.build(s.graph, load_kit(kit))
    chosen = [_VARIATIONS[(seed + k) % len(_VARIATIONS)] for k in range(runs)]
    for k, variation in enumerate(chosen):
        streams = run_click_icarus(design, s.unsigned, s.wanted, variation=variation, seed=seed + k)
        compare(s.graph, s.expected, streams, f"Icarus (delays of {kit}, ±{variation:.0%}, seed {seed + k})")
    return f"the emitted Verilog in Icarus, delays from Liberty, each gate's up to ±{max(chosen):.0%}"


def _streams(s: Stimulus, result: GateResult) -> dict[str, list[int]]:
    """Return what came out; with a state, results that need no input may come ahead of the next call."""
    if not any(node.kind in ("init", "source") for node in s.graph.nodes.values()):
        return result.streams
    return {name: tokens[:s.wanted[name]] for name, tokens in result.streams.items()}


def _trouble(result: GateResult) -> str:
    """Return what a simulation of gates found, the first of each kind."""
    found = [f"{text}: {lines[0]}" for text, lines in (
        ("unknown after reset", result.unknown), ("hazard", result.hazards), ("breach", result.illegal),
        ("waiting", result.waiting)) if lines]
    return "; ".join(found) or ("it does not come to rest" if result.finished else "tokens are missing")


# Name: function that runs a level and raises `Mismatch`, `Deadlock` or `SimulationError`.
LEVELS = {"tokens": _tokens, "clocked": _clocked, "verilog": _verilog, "gates": _gates,
          "threshold gates": partial(_gates, threshold=True), "icarus": _icarus,
          "icarus threshold gates": partial(_icarus, threshold=True), "click": partial(_click, kit="sky130"),
          "click ihp": partial(_click, kit="sg13g2"), "icarus click": partial(_click_icarus, kit="sky130"),
          "icarus click ihp": partial(_click_icarus, kit="sg13g2")}


def agree(stimulus: Stimulus, levels: Mapping[str, int], *, seed: int = 0) -> list[Level]:
    """Run levels and compare each with Python, token for token.

    Parameters
    ----------
    levels
        Runs by the name of a level (`LEVELS`).
    seed
        Of orders, stalls and delays.

    Raises
    ------
    Mismatch
        At the first token that differs.
    Deadlock, SimulationError
        If results are missing.
    ValueError
        If a level is unknown.
    """
    done = []
    count = sum(stimulus.wanted.values())
    for name, runs in levels.items():
        if name not in LEVELS:
            raise ValueError(f"Level must be one of {', '.join(LEVELS)}, not {name!r}")
        start = time.perf_counter()
        remark = LEVELS[name](stimulus, runs, seed)
        done.append(Level(name, runs, runs * count, time.perf_counter() - start, remark))
    return done

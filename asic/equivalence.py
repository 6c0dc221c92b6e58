"""Proves that a netlist does what its RTL does: every output and register, for all inputs and all states.

Both circuits are cut at their registers, and at the pins of memory macros: what they hold becomes an input,
what they take an output. ABC's `cec` (random simulation, SAT sweeping, SAT) then decides for each output
whether both circuits agree. From equal states they go on to equal states, so they agree for ever: there is no
bound.

The RTL's side is the Verilog after Yosys' `proc` and `flatten`, with memories as registers and without
optimisations. Where memories became macros, or where that does not prove it (multipliers are too hard; state
machines got other codes), it is the design in words after Yosys' coarse steps, which mapping starts from:
what lies before that is compared by simulation only (`asic.build.compare`). The netlist's side is made from
the functions in Liberty. A gated clock is an enable, whose value is that before the edge. Registers
correspond by name; those without one (around macros), by what they hold in a random simulation.

Synthesis drops registers that hold a constant or what another one holds. Such relations are guessed from a
random simulation, and proved by induction on the way: they hold in the initial state of the RTL, which keeps
them. Registers without reset that are only ever loaded with one value are different: the netlist has that
value from the beginning, the RTL from the first load on, and the proof is of what follows
(`Proof.settled`).

Yosys makes the states of state machines one-hot, and leaves open what happens in states that do not occur.
Where that matters, the proof is of states in which exactly one bit is set (`Proof.machines`), and that no
other state follows on them. A reset, or any other way into such a state, is only seen in the simulation.
"""

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asic.aig import Aig
from asic.cut import Circuit, cut_netlist, cut_words
from asic.invariants import exactly_one, find_machines, find_relations, simulate_traces
from asic.liberty import read_liberty
from asic.netlist import Netlist, read_netlist
from asic.pdk import Pdk
from asic.synth import map_memories
from asic.yosys import find_abc, run_yosys
from neurogen.flow.tools import ToolError, ToolTimeout, run_tool


__all__ = ["Proof", "prove"]


@dataclass(frozen=True)
class Proof:
    """What was compared, and what differed.

    Parameters
    ----------
    source
        What the netlist was compared with: "Verilog", or "words" after Yosys' coarse steps.
    registers, outputs, pins
        Registers of the netlist, bits of its output ports, bits that go to macros: each has been compared.
    constant, equal
        Registers of the RTL that the netlist does without, since they hold a constant, or what another one
        holds.
    settled
        Those of the constant ones that hold another value at first, until they are loaded once.
    machines
        State machines that are taken to have exactly one bit set, and are proved to keep that.
    undecided
        How many of all these ABC has not decided within the limit.
    failed
        Names of those that differ.
    seconds
        How long it took.
    """

    source: str
    registers: int
    outputs: int
    pins: int
    constant: int
    equal: int
    settled: int
    machines: int
    undecided: int
    failed: tuple[str, ...]
    seconds: float

    @property
    def proved(self) -> bool:
        """Whether nothing differs, and all is decided."""
        return not self.failed and not self.undecided


def prove(verilog: str, top: str, pdk: Pdk, netlist: Path, folder: Path, *, limit: int = 20,
          seconds: float = 900) -> Proof:
    """Compare a netlist with the Verilog it was made from.

    Parameters
    ----------
    verilog, top
        As given to `asic.synth.synthesise`.
    netlist
        Its ``netlist.json``.
    folder
        An existing, empty folder for scripts and graphs.
    limit
        Seconds that ABC is asked to spend on each comparison, which it takes roughly.
    seconds
        After which it is stopped: what it then has not said is undecided.

    Raises
    ------
    ToolError
        If Yosys or ABC fails.
    NetlistError
        If the netlist has latches or several clocks.
    """
    mapped = read_netlist(netlist, top, pdk.library, tuple(macro.name for macro in pdk.macros))
    source = "words" if mapped.macros else "Verilog"
    proof = _proved(verilog, top, pdk, mapped, folder, source, (limit, seconds))
    if not proof.proved and source == "Verilog":
        proof = _proved(verilog, top, pdk, mapped, folder, "words", (limit, seconds))
    return proof


def _proved(verilog: str, top: str, pdk: Pdk, mapped: Netlist, folder: Path, source: str,
            limits: tuple[int, float]) -> Proof:
    start = time.monotonic()
    kinds = {macro.kind for macro in mapped.macros}
    map_memories(verilog, top, pdk, folder, macros=bool(kinds), optimised=source == "words")
    # Words that a memory does not have are undefined, and free: here they are what `opt -full` makes of them
    # in a netlist. In one pass, `-mux_undef` would not see what `-undriven` finds.
    run_yosys(folder, "words", ["read_rtlil coarse.il", "memory_map", "opt_expr -undriven",
                                "opt_expr -mux_undef", "opt_clean", "techmap", "simplemap", "dffunmap",
                                "aigmap", "opt_clean", "write_json words.json"], "Equivalence")
    words = json.loads((folder / "words.json").read_text(encoding="utf-8"))["modules"][top]
    outputs = {kind: frozenset(read_liberty(pdk.sram_liberty(kind))[kind].outputs) for kind in kinds}
    gold = cut_words(words, outputs)
    gate = _matched(gold, cut_netlist(mapped, gold))
    failed = sorted(set(gate.roots) - set(gold.roots))
    names = [name for name in gate.roots if name in gold.roots]
    relations = find_relations(gold, gate, names)
    different, undecided = _compare(gold, gate, names, relations, folder, limits)
    machines = find_machines(gold, gate, relations) if different else []
    while different and machines:
        different, undecided = _compare(gold, gate, names, relations, folder, limits, machines)
        kept = [group for group in machines if f"one-hot:{group[0]}" not in different]
        if kept == machines:
            break
        machines = kept  # what was none is not assumed
    failed += different
    kinds = [name.partition(":")[0] for name in names]
    constant = sum(literal < 2 for literal in relations.values())
    settled = sum(literal < 2 and literal != gold.initial[name] for name, literal in relations.items())
    return Proof(source, kinds.count("register"), kinds.count("port"), kinds.count("pin"), constant,
                 len(relations) - constant, settled, len(machines), undecided, tuple(sorted(failed)),
                 round(time.monotonic() - start, 2))


def _matched(gold: Circuit, gate: Circuit) -> Circuit:
    """Give registers of the netlist that have no name the one of a register that seems to be the same."""
    unknown = [name for name in gate.roots if name.startswith("register:") and name not in gold.roots]
    if not unknown:
        return gate
    free = set(gold.initial) - set(gate.roots)
    places: dict[bytes, list[str]] = {}
    for name, trace in simulate_traces(gold, gold.initial).items():
        if name in free:
            places.setdefault(trace.tobytes(), []).append(name)
    known = {name: gold.initial.get(name, 0) for name in gate.roots if name.startswith("register:")}
    traces = simulate_traces(gate, known)
    found = {name: places[key].pop(0) for name in unknown if places.get(key := traces[name].tobytes())}
    gate.graph.inputs = {found.get(name, name): node for name, node in gate.graph.inputs.items()}
    return replace(gate, roots={found.get(name, name): literal for name, literal in gate.roots.items()})


def _compare(gold: Circuit, gate: Circuit, names: list[str], relations: Mapping[str, int], folder: Path,
             limits: tuple[int, float], machines: Sequence[Sequence[str]] = ()) -> tuple[list[str], int]:
    """Return the names of roots that differ and relations that fail, and how many are not decided."""
    back = {node: name for name, node in gold.graph.inputs.items()}
    graph, roots = gold.graph.replaced(gold.roots, relations, machines)
    other, ends = gate.graph.replaced(gate.roots, {}, machines)
    left = [roots[name] for name in names]
    right = [ends[name] for name in names]
    for name, literal in relations.items():
        left.append(roots[name])
        right.append(literal if literal < 2 else ends[back[literal >> 1]] ^ (literal & 1))
    for group in machines:
        left.append(exactly_one([roots[name] for name in group], 1, graph.both, lambda literal: literal ^ 1))
        right.append(1)
    names = [*names, *relations, *(f"one-hot:{group[0]}" for group in machines)]
    inputs = sorted({*graph.inputs, *other.inputs})
    graph.write(folder / "words.aig", inputs, left)
    other.write(folder / "gates.aig", inputs, right)
    limit, seconds = limits
    log = _abc(folder, f"cec -n -T {limit} -C 100000 words.aig gates.aig", seconds)
    if log is not None and "Networks are equivalent" in log:
        return [], 0
    if log is not None and "NOT EQUIVALENT" in log:
        return _different(graph, left, other, right, names, log, inputs) or ["something"], 0
    # Restructured multipliers are too hard as a whole: at least say how many functions are not decided.
    log = _abc(folder, f"&cec -n -T {limit} words.aig gates.aig", seconds)
    if log is None:
        return _different(graph, left, other, right, names, "", inputs), len(left)
    found = re.search(r"SAT =\s*(\d+)\.\s*UNDEC =\s*(\d+)", log.partition("UNSAT")[2])
    if found is None:
        raise ToolError(f"Equivalence failed: ABC does not say what it found:\n{log.strip()[-500:]}")
    if int(found[1]):
        return _different(graph, left, other, right, names, log, inputs) or ["something"], int(found[2])
    return [], int(found[2])


def _abc(folder: Path, command: str, seconds: float) -> str | None:
    """Return what ABC says, or None if it had to be stopped."""
    try:
        log = run_tool([str(find_abc()), "-c", command], what="Equivalence", cwd=folder, seconds=seconds)
    except ToolTimeout:
        return None
    (folder / "cec.log").write_text(log, encoding="utf-8")
    return log


def _different(graph: Aig, left: list[int], other: Aig, right: list[int], names: list[str], log: str,
               inputs: list[str]) -> list[str]:
    """Return the roots that ABC names, and those that differ in a random simulation."""
    numbers = {int(number) for number in re.findall(r"\bpo(\d+)\b", log)}
    draw = np.random.default_rng(0)
    values = {name: draw.integers(0, 2**64, 64, np.uint64) for name in inputs}
    sides = [side.simulate({name: values[name] for name in side.inputs} or {"": values[inputs[0]]},
                           {str(number): literal for number, literal in enumerate(roots)})
             for side, roots in ((graph, left), (other, right))]
    numbers |= {number for number in range(len(names))
                if (sides[0][str(number)] != sides[1][str(number)]).any()}
    return [names[number] for number in sorted(numbers) if number < len(names)]

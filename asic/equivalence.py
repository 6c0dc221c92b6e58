"""Proves that a netlist does what its RTL does: every output and register, for all inputs and all states.

Both circuits are cut at their registers, and at the pins of memory macros: what they hold becomes an input,
what they take an output. ABC's `cec` (random simulation, SAT sweeping, SAT) then decides for each output
whether both circuits agree. From equal states they go on to equal states, so they agree for ever: there is no
bound.

The RTL's side is the Verilog after Yosys' `proc` and `flatten`, with memories as registers and without
optimisations. Where memories became macros, or where that is too hard (multipliers), it is the design in
words after Yosys' coarse steps, which mapping starts from: what lies before that is compared by simulation
only (`asic.build.compare`). The netlist's side is made from the functions in Liberty. A gated clock is an
enable, whose value is that before the edge. Registers correspond by name; those without one (around macros),
by what they hold in a random simulation.

Synthesis drops registers that hold a constant or what another one holds. Such relations are guessed from a
random simulation, and proved by induction on the way: they hold in the initial state of the RTL, which keeps
them. Registers without reset that are only ever loaded with one value are different: the netlist has that
value from the beginning, the RTL from the first load on, and the proof is of what follows
(`Proof.settled`).
"""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asic.aig import Aig
from asic.cut import Circuit, cut_netlist, cut_words
from asic.liberty import read_liberty
from asic.netlist import Netlist, read_netlist
from asic.pdk import Pdk
from asic.synth import map_memories
from asic.yosys import find_abc, run_yosys
from neurogen.flow.tools import ToolError, run_tool


__all__ = ["Proof", "prove"]


_CYCLES, _RUNS = 200, 8  # of the random simulation; 64 cases in each run
_WORDS = 32              # of random states, 64 each
_TRIED = 8               # candidates for what a register that the netlist lacks holds, at most


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
    undecided: int
    failed: tuple[str, ...]
    seconds: float

    @property
    def proved(self) -> bool:
        """Whether nothing differs, and all is decided."""
        return not self.failed and not self.undecided


def prove(verilog: str, top: str, pdk: Pdk, netlist: Path, folder: Path, *, limit: int = 20) -> Proof:
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
        Seconds for each comparison, roughly.

    Raises
    ------
    ToolError
        If Yosys or ABC fails.
    NetlistError
        If the netlist has latches or several clocks.
    """
    mapped = read_netlist(netlist, top, pdk.library, tuple(macro.name for macro in pdk.macros))
    source = "words" if mapped.macros else "Verilog"
    proof = _proved(verilog, top, pdk, mapped, folder, source, limit)
    if proof.undecided and source == "Verilog":
        proof = _proved(verilog, top, pdk, mapped, folder, "words", limit)
    return proof


def _proved(verilog: str, top: str, pdk: Pdk, mapped: Netlist, folder: Path, source: str,
            limit: int) -> Proof:
    start = time.monotonic()
    kinds = {macro.kind for macro in mapped.macros}
    map_memories(verilog, top, pdk, folder, macros=bool(kinds), optimised=source == "words")
    # Words that a memory does not have are undefined, and free: a netlist makes of them what it likes.
    run_yosys(folder, "words", ["read_rtlil coarse.il", "memory_map", "opt_expr -undriven -mux_undef",
                                "opt_clean", "techmap", "simplemap", "dffunmap",
                                "aigmap", "opt_clean", "write_json words.json"], "Equivalence")
    words = json.loads((folder / "words.json").read_text(encoding="utf-8"))["modules"][top]
    outputs = {kind: frozenset(read_liberty(pdk.sram_liberty(kind))[kind].outputs) for kind in kinds}
    gold = cut_words(words, outputs)
    gate = _matched(gold, cut_netlist(mapped, gold))
    failed = sorted(set(gate.roots) - set(gold.roots))
    names = [name for name in gate.roots if name in gold.roots]
    relations = _relations(gold, gate, names)
    different, undecided = _compare(gold, gate, names, relations, folder, limit)
    failed += different
    kinds = [name.partition(":")[0] for name in names]
    constant = sum(literal < 2 for literal in relations.values())
    settled = sum(literal < 2 and literal != gold.initial[name] for name, literal in relations.items())
    return Proof(source, kinds.count("register"), kinds.count("port"), kinds.count("pin"), constant,
                 len(relations) - constant, settled, undecided, tuple(sorted(failed)),
                 round(time.monotonic() - start, 2))


def _relations(gold: Circuit, gate: Circuit, names: list[str]) -> dict[str, int]:
    """Return literals of ``gold`` for the registers that matter there, and are not in ``gate``."""
    needed: set[str] = set()
    new = set(names)
    while new:
        found = gold.graph.support([gold.roots[name] for name in new])
        new = {name for name in found if name.startswith("register:")} - set(gate.roots) - needed
        needed |= new
    if not needed:
        return {}
    traces = _traces(gold, gold.initial)
    same: dict[bytes, list[int]] = {}
    zero = np.zeros_like(next(iter(traces.values())))
    for key, literal in ((zero, 0), (~zero, 1)):
        same.setdefault(key.tobytes(), []).append(literal)
    for name in sorted(set(traces) & set(gate.roots)):
        literal, trace = 2 * gold.graph.inputs[name], traces[name]
        same.setdefault(trace.tobytes(), []).append(literal)
        same.setdefault((~trace).tobytes(), []).append(literal ^ 1)
    back = {node: name for name, node in gold.graph.inputs.items()}
    found = {name: list(same.get(traces[name].tobytes(), ())) for name in sorted(needed)}
    for name, literals in found.items():
        # One that loads the same is what merging registers leaves.
        literals.sort(key=lambda literal, name=name: (
            gold.roots.get(back.get(literal >> 1), -1) ^ (literal & 1) != gold.roots[name],
            *_distance(name, back.get(literal >> 1))))
        last = traces[name][-1]
        if (last == last[0]).all() and int(last[0]) in (0, 2**64 - 1):
            literals.append(int(last[0] > 0))
    return _agreed(gold, gate, names, _kept(gold, {name: some for name, some in found.items() if some}))


def _distance(name: str, other: str | None) -> tuple[bool, int]:
    """Return how far a register is from another one: copies of a sign, which are dropped most, are near."""
    if other is None:
        return False, 0
    (base, _, bit), (other_base, _, other_bit) = name.rpartition("["), other.rpartition("[")
    return base != other_base, abs(int(bit[:-1]) - int(other_bit[:-1])) if bit and other_bit else 0


def _agreed(gold: Circuit, gate: Circuit, names: list[str],
            candidates: Mapping[str, list[int]]) -> dict[str, int]:
    """Return the candidate of each register with which both circuits do the same in random states.

    Where several registers hold the same, the netlist may use another one than the first candidate.
    """
    back = {node: name for name, node in gold.graph.inputs.items()}
    draw = np.random.default_rng(2)
    values = {name: _states(draw) for name in sorted({*gold.graph.inputs, *gate.graph.inputs})}
    right = gate.graph.simulate({name: values[name] for name in gate.graph.inputs}, gate.roots)

    def wrong(choice: Mapping[str, int]) -> list[str]:
        states = {name: values[name] for name in gold.graph.inputs}
        states |= {name: _value(literal, values, back) for name, literal in choice.items()}
        left = gold.graph.simulate(states, {name: gold.roots[name] for name in [*names, *choice]})
        found = [name for name in names if (left[name] != right[name]).any()]
        return found + [name for name, literal in choice.items()
                        if (left[name] != _value(literal, right, back)).any()]

    choice = {name: literals[0] for name, literals in candidates.items()}
    bad = wrong(choice) if any(len(literals) > 1 for literals in candidates.values()) else []
    for name in sorted(gold.graph.support([gold.roots[name] for name in bad]) if bad else ()):
        for literal in candidates.get(name, ())[1:_TRIED]:
            worse = wrong(choice | {name: literal})
            if len(worse) < len(bad):
                choice, bad = choice | {name: literal}, worse
    return choice


def _kept(gold: Circuit, candidates: dict[str, list[int]]) -> dict[str, list[int]]:
    """Return candidates of each register, without the first ones that random states refute."""
    back = {node: name for name, node in gold.graph.inputs.items()}
    nexts = {name: gold.roots[name] for name in gold.initial}
    draw = np.random.default_rng(1)
    candidates = dict(candidates)
    while candidates:
        values = {name: _states(draw) for name in gold.graph.inputs}
        for name, literals in candidates.items():
            values[name] = _value(literals[0], values, back)
        after = gold.graph.simulate(values, nexts)
        wrong = [name for name, literals in candidates.items()
                 if (after[name] != _value(literals[0], after, back)).any()]
        if not wrong:
            break
        for name in wrong:
            candidates[name] = candidates[name][1:]
            if not candidates[name]:
                del candidates[name]
    return candidates


def _states(draw: np.random.Generator) -> np.ndarray:
    """Return words of random bits, half of them with few ones: else two addresses are never equal."""
    dense, *more = draw.integers(0, 2**64, (3, _WORDS), np.uint64)
    return np.where(np.arange(_WORDS) % 2, dense, dense & more[0] & more[1])


def _value(literal: int, values: Mapping[str, np.ndarray], back: Mapping[int, str]) -> np.ndarray:
    """Return the value of a constant, or of a register or its inverse."""
    word = values[back[literal >> 1]] if literal > 1 else np.zeros(_WORDS, np.uint64)
    return ~word if literal & 1 else word


def _matched(gold: Circuit, gate: Circuit) -> Circuit:
    """Give registers of the netlist that have no name the one of a register that seems to be the same."""
    unknown = [name for name in gate.roots if name.startswith("register:") and name not in gold.roots]
    if not unknown:
        return gate
    free = set(gold.initial) - set(gate.roots)
    places: dict[bytes, list[str]] = {}
    for name, trace in _traces(gold, gold.initial).items():
        if name in free:
            places.setdefault(trace.tobytes(), []).append(name)
    known = {name: gold.initial.get(name, 0) for name in gate.roots if name.startswith("register:")}
    traces = _traces(gate, known)
    found = {name: places[key].pop(0) for name in unknown if places.get(key := traces[name].tobytes())}
    gate.graph.inputs = {found.get(name, name): node for name, node in gate.graph.inputs.items()}
    return replace(gate, roots={found.get(name, name): literal for name, literal in gate.roots.items()})


def _traces(circuit: Circuit, initial: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Return what registers hold in a random simulation; the same in all circuits with the same names."""
    state = {name: np.full(_RUNS, 2**64 - 1 if one else 0, np.uint64) for name, one in initial.items()}
    nexts = {name: circuit.roots[name] for name in state}
    rows: dict[str, list[np.ndarray]] = {name: [] for name in state}
    draws = {name: np.random.default_rng(list(name.encode()))
             for name in circuit.graph.inputs if name not in state}
    for _ in range(_CYCLES):
        values = dict(state)
        for name, draw in draws.items():
            values[name] = draw.integers(0, 2**64, _RUNS, np.uint64)
            if name.startswith("port:rst"):
                for _ in range(5):
                    values[name] &= draw.integers(0, 2**64, _RUNS, np.uint64)
        for name, row in rows.items():
            row.append(state[name])
        state = circuit.graph.simulate(values, nexts)
    return {name: np.stack(row) for name, row in rows.items()}


def _compare(gold: Circuit, gate: Circuit, names: list[str], relations: Mapping[str, int], folder: Path,
             limit: int) -> tuple[list[str], int]:
    """Return the names of roots that differ and relations that fail, and how many are not decided."""
    back = {node: name for name, node in gold.graph.inputs.items()}
    graph, roots = gold.graph.replaced(gold.roots, relations)
    left = [roots[name] for name in names]
    right = [gate.roots[name] for name in names]
    for name, literal in relations.items():
        left.append(roots[name])
        right.append(literal if literal < 2 else gate.roots[back[literal >> 1]] ^ (literal & 1))
    inputs = sorted({*graph.inputs, *gate.graph.inputs})
    graph.write(folder / "words.aig", inputs, left)
    gate.graph.write(folder / "gates.aig", inputs, right)
    log = _abc(folder, f"cec -n -T {limit} -C 100000 words.aig gates.aig")
    if "Networks are equivalent" in log:
        return [], 0
    if "NOT EQUIVALENT" in log:
        return _different(graph, left, gate.graph, right, [*names, *relations], log, inputs), 0
    # Restructured multipliers are too hard as a whole: at least say how many functions are not decided.
    log = _abc(folder, f"&cec -n -T {limit} words.aig gates.aig")
    found = re.search(r"SAT =\s*(\d+)\.\s*UNDEC =\s*(\d+)", log.partition("UNSAT")[2])
    if found is None:
        raise ToolError(f"Equivalence failed: ABC does not say what it found:\n{log.strip()[-500:]}")
    if int(found[1]):
        return _different(graph, left, gate.graph, right, [*names, *relations], log, inputs), int(found[2])
    return [], int(found[2])


def _abc(folder: Path, command: str) -> str:
    log = run_tool([str(find_abc()), "-c", command], what="Equivalence", cwd=folder)
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
    return [names[number] for number in sorted(numbers) if number < len(names)] or ["something"]

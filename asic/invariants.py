"""What registers hold in all states that occur: guessed from a random simulation, for `asic.equivalence`.

Constants, what another register holds, and states of machines with exactly one bit set. Nothing here is
proved; what random states refute is dropped.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from asic.cut import Circuit


__all__ = ["exactly_one", "find_machines", "find_relations", "simulate_traces"]


_CYCLES, _RUNS = 200, 8  # of the random simulation; 64 cases in each run
_WORDS = 32              # of random states, 64 each
_TRIED = 8               # candidates for what a register that the netlist lacks holds, at most

_ALL = np.uint64(2**64 - 1)


def find_relations(gold: Circuit, gate: Circuit, names: list[str]) -> dict[str, int]:
    """Return literals of ``gold`` for the registers that matter there, and are not in ``gate``."""
    needed: set[str] = set()
    new = set(names)
    while new:
        found = gold.graph.support([gold.roots[name] for name in new])
        new = {name for name in found if name.startswith("register:")} - set(gate.roots) - needed
        needed |= new
    if not needed:
        return {}
    traces = simulate_traces(gold, gold.initial)
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


def find_machines(gold: Circuit, gate: Circuit, relations: Mapping[str, int]) -> list[list[str]]:
    """Return the bits of state machines that seem to be one-hot, and that both circuits have."""
    groups: dict[str, list[str]] = {}
    for name in gold.initial:
        groups.setdefault(name.rpartition("[")[0], []).append(name)
    known = set(gate.roots) - set(relations)
    machines = [group for group in groups.values() if len(group) > 2 and set(group) <= known]
    if not machines:
        return []
    traces = simulate_traces(gold, gold.initial)
    found = []
    for group in machines:
        one = two = np.zeros_like(traces[group[0]])
        for name in group:
            one, two = one | traces[name], two | one & traces[name]
        if one[-1].any() and not two.any():
            found.append(group)
    graph, roots = gold.graph.replaced(gold.roots, relations, found)
    draw = np.random.default_rng(3)
    after = graph.simulate({name: _states(draw) for name in graph.inputs}, roots)
    return [group for group in found if (exactly_one(
        [after[name] for name in group], _ALL, np.bitwise_and, np.invert) == _ALL).all()]


def exactly_one(bits: list[Any], true: Any, both: Callable[[Any, Any], Any],
                inverse: Callable[[Any], Any]) -> Any:
    """Return whether exactly one of some bits is set, in terms of these operations."""
    one = two = inverse(true)
    for bit in bits:
        two = inverse(both(inverse(two), inverse(both(one, bit))))
        one = inverse(both(inverse(one), inverse(bit)))
    return both(one, inverse(two))


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


def simulate_traces(circuit: Circuit, initial: Mapping[str, int]) -> dict[str, np.ndarray]:
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

"""Exhaustive proof of a small netlist: every order in which its gates can switch.

The netlist is closed with sources that choose any token and raise its rails in any order, and with sinks that
acknowledge at any time. Reset may fall at any time, too. In every reachable state it is checked that

* no excited gate is disabled by another transition (output persistency: with it, no delay of gates can cause
  a hazard),
* something can move (no deadlock), and every channel can still move some day (no starvation),
* acknowledges come only when all digits are valid, or all neutral, and outputs change only when they
  may (conformation),
* no digit has two rails high (illegal code).

Gates of mutual exclusion elements may be disabled: choosing is what they are for; so may gates marked as
timed, between flip-flops. The clock of border blocks rises at any time when those are stable.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from neurogen.qdi.gates.cells import HOLD, Cell
from neurogen.qdi.gates.environment import Sink, Source, Violation, worlds_of
from neurogen.qdi.gates.netlist import Gate, Netlist
from neurogen.qdi.gates.reset import reset_values


__all__ = ["Proof", "Violation", "explore"]

_KINDS = ("persistency", "deadlock", "starvation", "conformation", "code", "unknown")


@dataclass
class Proof:
    """The result of an exploration.

    Parameters
    ----------
    states
        Reachable states visited.
    violations
        One for each check and place; empty if the netlist is proved.
    complete
        Whether all states were visited.
    """

    states: int = 0
    violations: list[Violation] = field(default_factory=list)
    complete: bool = True

    @property
    def holds(self) -> bool:
        """Whether the netlist is proved."""
        return self.complete and not self.violations


def explore(netlist: Netlist, *, tokens: Mapping[str, set[int]] | None = None,
            exclusive: tuple[str, ...] = (), limit: int = 200_000) -> Proof:
    """Explore a netlist from its reset.

    Parameters
    ----------
    tokens
        Tokens that an input can carry, by name; any by default.
    exclusive
        Inputs of which one begins only when the others are at rest (for ``merge``).
    limit
        States after which the exploration gives up.

    Returns
    -------
    Proof
        ``holds`` if every check passed in every state.
    """
    return _Explorer(netlist, dict(tokens or {}), exclusive).run(limit)


class _Explorer:
    """State: an integer with one bit for each net."""

    def __init__(self, netlist: Netlist, tokens: dict[str, set[int]], exclusive: tuple[str, ...]):
        self.n = netlist
        self.gates = [gate for gate in netlist.gates if netlist.cells[gate.cell].table]
        self.flops = [gate for gate in netlist.gates if not netlist.cells[gate.cell].table]
        self.readers: dict[int, list[int]] = {}
        for k, gate in enumerate(self.gates):
            for net in {*gate.inputs, gate.output}:
                self.readers.setdefault(net, []).append(k)
        self.functions = [_evaluator(netlist.cells[gate.cell], gate) for gate in self.gates]
        self.free = {k for k, gate in enumerate(self.gates)
                     if gate.cell == "NG_MUTEX" or gate.name in netlist.timed}
        self.timed = sum(1 << k for k, gate in enumerate(self.gates) if gate.name in netlist.timed)
        self.exclusive = exclusive
        self.sources = [Source(name, c, tokens.get(name)) for name, c in netlist.inputs.items()]
        self.sinks = [Sink(name, c) for name, c in netlist.outputs.items()]
        self.watch: dict[int, list[Callable[[int, int, bool], Violation | None]]] = {}
        for end in (*self.sources, *self.sinks):
            for net in end.watched():
                self.watch.setdefault(net, []).append(end.check)
        self.worlds = worlds_of(netlist)
        self.acks = {c.a for c in (*netlist.inputs.values(), *netlist.outputs.values())}
        self.acks |= {world.answer for world in self.worlds}

    def run(self, limit: int) -> Proof:
        proof = Proof()
        values = reset_values(self.n)
        unknown = [self.n.nets[net] for net, value in enumerate(values) if value is None]
        if unknown:
            proof.violations.append(Violation("unknown", f"unknown after reset: {', '.join(unknown[:5])}"))
            return proof
        start = sum(1 << net for net, value in enumerate(values) if value)
        excited = sum(1 << k for k, f in enumerate(self.functions) if f(start))
        index = {start: 0}
        self.parents: list[tuple[int, int]] = [(0, 0)]  # (state, net toggled)
        self.before: list[list[int]] = [[]]
        moves: dict[int, set[int]] = {ack: set() for ack in self.acks}
        seen: set[tuple[str, str]] = set()
        todo = [(start, excited, 0)]

        def report(check: str, text: str, at: int, net: int | None = None) -> None:
            if (check, text) not in seen:
                seen.add((check, text))
                proof.violations.append(Violation(check, text, self._trace(at, net, start)))

        while todo:
            state, excited, at = todo.pop()
            any_move = False
            for toggled, fired in self._moves(state, excited):
                any_move = True
                after, still = state, excited
                for net in toggled:
                    after ^= 1 << net
                for net in toggled:
                    if net in moves:
                        moves[net].add(at)
                    for check in self.watch.get(net, ()):
                        problem = check(after, net, bool(after >> net & 1))
                        if problem:
                            report(problem.check, problem.text, at, net)
                    for k in self.readers.get(net, ()):
                        bit = 1 << k
                        if self.functions[k](after):
                            still |= bit
                        elif still & bit:
                            still &= ~bit
                            if k != fired and k not in self.free:
                                report("persistency", f"{self.n.nets[net]} disables {self.gates[k].name} "
                                       f"({self.gates[k].cell})", at, net)
                to = index.get(after)
                if to is None:
                    to = index[after] = len(index)
                    self.parents.append((at, toggled[0]))
                    self.before.append([])
                    todo.append((after, still, to))
                self.before[to].append(at)
            if not any_move:
                report("deadlock", "nothing can move", at)
            if len(index) > limit or len(proof.violations) >= 50:
                proof.complete = False
                break
        proof.states = len(index)
        if proof.complete and not proof.violations:
            self._starvation(moves, report)
        return proof

    def _moves(self, state: int, excited: int) -> Iterator[tuple[tuple[int, ...], int]]:
        """Yield (nets that toggle, gate or -1) for each thing that can happen."""
        rest = excited
        while rest:
            low = rest & -rest
            k = low.bit_length() - 1
            yield (self.gates[k].output,), k
            rest ^= low
        if self.n.rst and state >> self.n.rst & 1:
            yield (self.n.rst,), -1
        for source in self.sources:
            blocked = source.name in self.exclusive and any(
                other.busy(state) for other in self.sources
                if other.name in self.exclusive and other is not source)
            for net in source.moves(state, blocked):
                yield (net,), -1
        for sink in self.sinks:
            if sink.ready(state):
                yield (sink.c.a,), -1
        settled = not excited & self.timed
        for world in self.worlds:
            for nets in world.moves(state, settled):
                yield nets, -1
        if self.flops and settled:
            flips = tuple(gate.output for gate in self.flops
                          if (state >> gate.inputs[0] ^ state >> gate.output) & 1
                          and not state >> gate.inputs[2] & 1)
            for nets in self._clocked(state):
                if flips or nets:
                    yield (*flips, *nets), -1

    def _clocked(self, state: int) -> Iterator[tuple[int, ...]]:
        """Yield what streams can do at an edge of the clock."""
        choices: list[tuple[int, ...]] = [()]
        for world in self.worlds:
            choices = [(*a, *b) for a in choices for b in world.at_edge(state)]
        yield from choices

    def _starvation(self, moves, report) -> None:
        for ack, starts in moves.items():
            alive, todo = set(starts), list(starts)
            while todo:
                for before in self.before[todo.pop()]:
                    if before not in alive:
                        alive.add(before)
                        todo.append(before)
            if len(alive) < len(self.before):
                dead = next(k for k in range(len(self.before)) if k not in alive)
                report("starvation", f"{self.n.nets[ack]} never moves again", dead)

    def _trace(self, at: int, net: int | None, start: int) -> tuple[str, ...]:
        nets = [] if net is None else [net]
        while at:
            at, toggled = self.parents[at]
            nets.append(toggled)
        up, text = {k: start >> k & 1 for k in nets}, []
        for k in reversed(nets):
            up[k] ^= 1
            text.append(self.n.nets[k] + "-+"[up[k]])
        return tuple(text)


def _evaluator(cell: Cell, gate: Gate) -> Callable[[int], bool]:
    """Return whether a gate is excited in a state."""
    out, table = gate.output, cell.table
    if set(cell.weights) == {1} and len(set(gate.inputs)) == len(gate.inputs):
        mask = sum(1 << net for net in gate.inputs)
        return lambda s: table[(s & mask).bit_count()] == 1 - (s >> out & 1)
    pairs = list(zip(gate.inputs, cell.weights, strict=True))

    def excited(s: int) -> bool:
        new = table[sum(w for net, w in pairs if s >> net & 1)]
        return new != HOLD and new != s >> out & 1
    return excited

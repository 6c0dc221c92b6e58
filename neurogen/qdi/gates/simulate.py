"""Event-driven simulation of gates with random, or given, delays.

Two values, inertial delays, isochronic forks. What is checked on the way: a scheduled transition that is
cancelled is a hazard; a digit with two rails high is an illegal code; an acknowledge at the wrong time is a
breach of protocol; gates unknown after reset are named; and once the last token has gone, every channel
must be as it was before the first (quiescence). When tokens are missing, the report names the blocks that
wait, and their source lines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from math import exp, log
from random import Random

from neurogen.qdi.gates.cells import HOLD
from neurogen.qdi.gates.ends import Sink, Source, ends_of
from neurogen.qdi.gates.netlist import Channel, Gate, Netlist
from neurogen.qdi.gates.reset import reset_values, untouched


__all__ = ["MODES", "Delays", "Result", "Simulator", "simulate"]

MODES = ("gate", "event")
_MOVERS = {"init", "loop", "fork", "unpack", "slice", "not", "buffer", "fifo", "reg"}


@dataclass(frozen=True)
class Delays:
    """Delays of gates, in any unit.

    Parameters
    ----------
    rise, fall
        Delay of each gate of the netlist, in its order.
    """

    rise: tuple[float, ...]
    fall: tuple[float, ...]


@dataclass
class Result:
    """What a run showed.

    Parameters
    ----------
    streams
        Tokens of each output, in order.
    hazards
        Gates of which a transition was cancelled, at most 20.
    illegal
        Illegal codes and breaches of protocol, at most 20.
    unknown
        Nets that reset leaves unknown.
    waiting
        One line for each block that waits, if tokens are missing.
    quiet
        Whether the circuit came to rest as it was before the first token; None if it never rests. Where
        blocks compute on a state before any input, that is asked of the border only.
    finished
        Whether all expected tokens came.
    events, time
        Transitions of gates, and the time of the last, in the unit of the delays.
    times
        Time of each output token, by output; of each acknowledge+ of the channels asked for.
    trace
        Every transition as (time, net, new value), if asked for.
    """

    streams: dict[str, list[int]] = field(default_factory=dict)
    hazards: list[str] = field(default_factory=list)
    illegal: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    quiet: bool | None = None
    finished: bool = False
    events: int = 0
    time: float = 0.0
    times: dict[str, list[float]] = field(default_factory=dict)
    trace: list[tuple[float, int, int]] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing but the tokens remains to be looked at."""
        return (self.finished and self.quiet is not False
                and not (self.hazards or self.illegal or self.unknown or self.waiting))


def simulate(netlist: Netlist, tokens: Mapping[str, Sequence[int]], expected: Mapping[str, int], *,
             seed: int = 0, spread: float = 30.0, mode: str = "gate", budget: int = 2_000_000) -> Result:
    """Run a netlist once with random delays; see `Simulator.run`."""
    return Simulator(netlist).run(tokens, expected, seed=seed, spread=spread, mode=mode, budget=budget)


class Simulator:
    """A netlist made ready to be run many times.

    Parameters
    ----------
    netlist
        From `neurogen.qdi.gates.build`.
    """

    def __init__(self, netlist: Netlist):
        self.netlist = netlist
        self.gates = [gate for gate in netlist.gates if netlist.cells[gate.cell].table]
        self.flops = [gate for gate in netlist.gates if not netlist.cells[gate.cell].table]
        self.own = [(k, gate) for k, gate in enumerate(netlist.gates)  # flip-flops clocked by a gate
                    if not netlist.cells[gate.cell].table and gate.inputs[1] != netlist.clk]
        self.driver = {gate.output: k for k, gate in enumerate(self.gates)}
        self.place = [k for k, gate in enumerate(netlist.gates) if netlist.cells[gate.cell].table]
        self.out = [gate.output for gate in self.gates]
        self.table = [netlist.cells[gate.cell].table for gate in self.gates]
        self.fan: list[list[tuple[int, int]]] = [[] for _ in netlist.nets]
        for k, gate in enumerate(self.gates):
            for net, weight in zip(gate.inputs, netlist.cells[gate.cell].weights, strict=True):
                self.fan[net].append((k, weight))
        self.free = {k for k, gate in enumerate(self.gates)
                     if gate.cell == "NG_MUTEX" or gate.name in netlist.timed}
        self.reset = reset_values(netlist)
        self.unknown = [netlist.nets[net] for net, value in enumerate(self.reset) if value is None]
        self.partners: dict[int, set[int]] = {}
        for channel in netlist.channels.values():
            for digit in channel.digits:
                for rail in digit:
                    self.partners.setdefault(rail, set()).update(set(digit) - {rail})
        self.fixed = untouched(netlist)
        self.rivals = [tuple(sorted(self.partners.get(net, ()))) for net in range(len(netlist.nets))]

    def run(self, tokens: Mapping[str, Sequence[int]], expected: Mapping[str, int], *, seed: int = 0,
            spread: float = 30.0, mode: str = "gate", delays: Delays | None = None,
            budget: int = 2_000_000, marks: Sequence[str] = (), trace: bool = False) -> Result:
        """Send tokens and collect what comes out.

        Parameters
        ----------
        tokens
            Tokens of each input by name.
        expected
            Number of tokens due at each output by name.
        seed, spread, mode
            Random delays, log-uniform between 1 and ``spread``; drawn once for each gate (``gate``) or
            anew for each transition (``event``).
        delays
            Delays to use instead; the environment then answers within 0.01 of the unit.
        budget
            Transitions after which the run is given up.
        marks
            Channels of which the times of acknowledge+ are recorded.
        trace
            Record every transition.

        Raises
        ------
        ValueError
            If a name, a token, the spread or the mode is not valid.
        """
        if mode not in MODES:
            raise ValueError(f"Mode of delays must be one of {', '.join(MODES)}, not {mode!r}")
        if spread < 1:
            raise ValueError(f"Spread of delays must be at least 1, not {spread!r}")
        result = Result(unknown=self.unknown[:20])
        if result.unknown:
            return result
        run = _Run(self, result, Random(seed), spread, mode, delays)
        run.traced = trace
        run.go(tokens, expected, budget, marks)
        return result


class _Run:
    """The state of one run; the environment (`ends`) calls ``toggle`` and reads ``value``."""

    def __init__(self, simulator: Simulator, result: Result, rng: Random, spread: float, mode: str,
                 delays: Delays | None):
        self.s, self.result, self.rng, self.spread = simulator, result, rng, spread
        self.value = list(simulator.reset)
        n = len(simulator.gates)
        self.count = [sum(w for net, w in zip(g.inputs, simulator.netlist.cells[g.cell].weights, strict=True)
                          if self.value[net]) for g in simulator.gates]
        self.pending = [0] * n
        self.heap: list[tuple[float, int, int]] = []
        self.sequence = 1
        self.now = 0.0
        self.watch: dict[int, list] = {}
        self.traced = False
        self.period = 64.0 * spread  # of a clock: settles between edges
        scale = log(spread)
        self.pool: list[float] | None = None
        if delays is not None:
            self.up = [delays.rise[k] for k in simulator.place]
            self.down = [delays.fall[k] for k in simulator.place]
            self.outside = [0.01]
            self.period = 4 * sum(sorted(self.up)[-8:]) if n else 1.0
        else:
            self.up = self.down = [exp(rng.random() * scale) for _ in range(n)]
            self.outside = [exp(rng.random() * scale) for _ in range(211)]
            if mode == "event":
                self.pool = [exp(rng.random() * scale) for _ in range(4093)]

        for k, flop in simulator.own:
            late = None if delays is None else delays.rise[k]
            self.watch.setdefault(flop.inputs[1], []).append(partial(self._sample, flop, late))

    def _sample(self, flop: Gate, late: float | None, net: int, up: int) -> None:
        """Let a flip-flop take its data at a rise of its clock; data must not be about to change."""
        rst, data = self.s.netlist.rst, flop.inputs[0]
        if not up or (rst and self.value[rst]):
            return
        driver = self.s.driver.get(data)
        if driver is not None and self.pending[driver]:
            self.illegal(f"data of {flop.name} changes at its clock")
        if self.value[data] != self.value[flop.output]:
            self.toggle(flop.output, after=late)

    def toggle(self, net: int, *, after: float | None = None) -> None:
        """Let the environment toggle a net after a delay of its own."""
        self.sequence += 1
        delay = self.outside[self.sequence % len(self.outside)] if after is None else after
        heappush(self.heap, (self.now + delay, self.sequence, -1 - net))

    def illegal(self, text: str) -> None:
        """Record a breach of protocol."""
        if len(self.result.illegal) < 20:
            self.result.illegal.append(text)

    def go(self, tokens, expected, budget, marks) -> None:
        """Run: reset, rest, tokens, rest."""
        n = self.s.netlist
        ends = ends_of(self, n, tokens, expected)
        clocked = any(end.clocked for end in ends)
        for name in marks:
            self._mark(name)
        if n.rst:
            self.toggle(n.rst)
        home = None
        alone = max(50_000, 40 * len(self.s.gates))  # transitions, then it counts as never at rest
        if self._events(100 if clocked else min(budget // 4, alone)):
            home = self._at_rest()
        for end in ends:
            if isinstance(end, Source):
                end.start()
        sinks = [end for end in ends if isinstance(end, Sink)]
        done = self._events(budget, sinks if clocked or home is None else ())
        self.result.finished = all(len(end.tokens) >= end.expected for end in sinks)
        self.result.streams = {end.name: end.tokens for end in sinks}
        self.result.times |= {end.name: end.times for end in sinks}
        self.result.time = self.now
        if home is not None and done and not clocked:
            self.result.quiet = self._rests(home, sinks)
        if not self.result.finished:
            self.result.waiting = self._waiting(done)

    def _mark(self, name: str) -> None:
        times = self.result.times[name] = []
        net = self.s.netlist.channels[name].a
        self.watch.setdefault(net, []).append(lambda _, up: times.append(self.now) if up else None)

    def _events(self, budget: int, until: Sequence[Sink] = ()) -> bool:
        """Process events; return whether the circuit came to rest (or ``until`` have all their tokens)."""
        heap, value, count, pending = self.heap, self.value, self.count, self.pending
        fan, table, out, rivals = self.s.fan, self.s.table, self.s.out, self.s.rivals
        up, down, pool, watch, free = self.up, self.down, self.pool, self.watch, self.s.free
        sequence, left = self.sequence, budget
        trace = self.result.trace.append if self.traced else None
        while heap:
            now, number, gate = heappop(heap)
            if gate >= 0:
                if pending[gate] != number:
                    continue
                pending[gate] = 0
                net = out[gate]
            else:
                net = -1 - gate
            left -= 1
            if left < 0:
                heappush(heap, (now, number, gate))  # for who goes on
                if gate >= 0:
                    pending[gate] = number
                self.sequence = sequence
                self.result.events += budget
                return False
            new = value[net] = 1 - value[net]
            if trace:
                trace((now, net, new))
            if new:
                for other in rivals[net]:
                    if value[other]:
                        self.illegal(f"{self.s.netlist.nets[net]} and {self.s.netlist.nets[other]} are high")
            for reader, weight in fan[net]:
                total = count[reader] = count[reader] + weight if new else count[reader] - weight
                target = table[reader][total]
                if target != HOLD and target != value[out[reader]]:
                    if not pending[reader]:
                        sequence += 1
                        pending[reader] = sequence
                        delay = (up if target else down)[reader] if pool is None else pool[sequence % 4093]
                        heappush(heap, (now + delay, sequence, reader))
                elif pending[reader]:
                    pending[reader] = 0
                    if reader not in free and len(self.result.hazards) < 20:
                        self.result.hazards.append(self.s.gates[reader].name)
            if net in watch:
                self.now, self.sequence = now, sequence
                for call in watch[net]:
                    call(net, new)
                sequence = self.sequence
                if until and all(len(end.tokens) >= end.expected for end in until):
                    break
            self.now = now
        self.sequence = sequence
        self.result.events += budget - left
        return True

    def _state(self, c: Channel) -> tuple:
        return tuple(any(self.value[rail] for rail in digit) for digit in c.digits), self.value[c.a]

    def _at_rest(self) -> list[tuple]:
        return [self._state(c) for c in self.s.netlist.channels.values()]

    def _rests(self, home: list[tuple], sinks: Sequence[Sink]) -> bool:
        """Whether everything is as it was; where a state comes before any input, its border and the rest."""
        now, fixed = self._at_rest(), self.s.fixed
        if any(a != b for a, b, same in zip(now, home, fixed, strict=True) if same):
            return False
        return self._border_rests(sinks) if self._ahead(home) or self._ahead(now) else now == home

    def _ahead(self, states: list[tuple]) -> bool:
        """Whether blocks compute before any input has come: how far depends on the values of a state."""
        n = self.s.netlist
        kinds = (n.blocks.get(name.rpartition(".")[0], ("init", ""))[0] for name in n.channels)
        return any(any(valid) and not same and kind not in _MOVERS
                   for kind, (valid, _), same in zip(kinds, states, self.s.fixed, strict=True))

    def _border_rests(self, sinks) -> bool:
        """Whether inputs are neutral and outputs without a token; what needs no input may be there ahead."""
        n = self.s.netlist
        ahead = {end.name for end in sinks if len(end.tokens) > end.expected}
        inputs = [self._state(c) for c in n.inputs.values()]
        outputs = [self._state(c) for name, c in n.outputs.items() if name not in ahead]
        return not (any(any(valid) or ack for valid, ack in inputs)
                    or any(all(valid) or ack for valid, ack in outputs))

    def _waiting(self, stopped: bool) -> list[str]:
        """Return a line for each block that holds a token and lacks another, or that does not go on."""
        n, lines = self.s.netlist, []
        full: dict[str, list[str]] = {}
        empty: dict[str, list[str]] = {}
        for name, c in n.channels.items():
            block, port = n.consumers.get(name, ("", ""))
            if not block:
                continue
            valid = sum(any(self.value[rail] for rail in digit) for digit in c.digits)
            if valid and not self.value[c.a]:
                state = "" if valid == len(c.digits) else f" (only {valid} of {len(c.digits)} digits)"
                full.setdefault(block, []).append(port + state)
            elif not valid:
                empty.setdefault(block, []).append(port + (" (not released)" if self.value[c.a] else ""))
        for block, ports in full.items():
            kind, where = n.blocks.get(block, ("", ""))
            lacks = empty.get(block)
            lines.append(f"{block} ({kind}{', ' + where if where else ''}) has a token at {', '.join(ports)}"
                         + (f" and none at {', '.join(lacks)}" if lacks else " and cannot pass it on"))
        return lines or [f"no block holds a token{'' if stopped else ', but gates go on switching'}"]

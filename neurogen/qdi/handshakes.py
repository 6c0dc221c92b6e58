"""The handshakes of a graph as a state machine: what the certificate explores.

A channel is neutral or valid, and acknowledged or not; a number is kept only where it steers. Rules are
those of the gates: C-elements on the two, half buffers, a merge of acknowledges behind branch and select.
"""

from collections import deque
from itertools import product

from neurogen.qdi.graph import Graph, Node
from neurogen.qdi.steering import BUFFERS, SIMPLE, choices, phase_numbers


__all__ = ["Endless", "Model"]


class Model:
    """State: (valid, acknowledge) of each channel (0 neutral, else number + 1), then bits inside blocks."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.ends: dict[tuple[str, str], int] = {}  # channel of a port: outputs and inputs
        self.count = self.inner = 0
        self.rules: list = []
        self.slow: list = []
        self.borders: list[str] = []
        self.readers: list[list[int]] = []
        self.marked: list[tuple[int, int]] = []
        self.options = choices(graph)
        self.numbers = phase_numbers(graph)
        for edge in graph.edges:
            k = self._channel()
            self.ends[edge.src] = self.ends[edge.dst] = k
        for node in graph.nodes.values():
            self._node(node)
        self.users: list[list[int]] = [[] for _ in range(self.count)]
        for k, channels in enumerate(self.readers):
            for channel in channels:
                self.users[channel].append(k)

    def _channel(self):
        self.count += 1
        return self.count - 1

    def _rule(self, channels, rule):
        self.rules.append(rule)
        self.readers.append(channels)

    def _bits(self, n):
        self.inner += n
        return range(self.inner - n, self.inner)

    def _node(self, node: Node) -> None:
        ins = [self.ends[node.id, p.name] for p in node.ports[0]]
        outs = [self.ends[node.id, p.name] for p in node.ports[1]]
        kind = node.kind
        choice = [self.options.get((node.id, p.name)) for p in node.ports[1]]
        if kind == "input" or kind == "source":
            if kind == "input":
                self.borders.append(f"input {node.parameters['name']}")
            self._source(outs[0], choice[0] or (0,), len(self.borders) - 1 if kind == "input" else None)
        elif kind == "output" or kind == "sink_data":
            if kind == "output":
                self.borders.append(f"output {node.parameters['name']}")
            self._sink(ins[0], len(self.borders) - 1 if kind == "output" else None)
        elif kind in ("fork", "unpack"):
            self._fork(ins[0], outs, choice, self.numbers.get(node.id))
        elif kind in BUFFERS:
            self._chain(ins[0], outs[0], 1)
        elif kind == "fifo":
            self._chain(ins[0], outs[0], 2 * node.parameters["depth"])
        elif kind == "init":
            self._chain(ins[0], outs[0], 3, mark=node.parameters["value"])
        elif kind == "loop":
            first = self._channel()
            self._fork(ins[0], [outs[1], first], [None, None])
            self._chain(first, outs[0], 3, mark=0)
        elif kind in ("select", "select_n"):
            self._select(ins[0], ins[1:], outs[0], (1 << k for k in range(len(ins) - 1)) if kind[-1] == "n"
                         else (0, 1), choice[0])
        elif kind in ("branch", "branch_n"):
            self._branch(ins[0], ins[1], outs, (1 << k for k in range(len(outs))) if kind[-1] == "n"
                         else (0, 1), choice)
        elif kind in SIMPLE:
            self._operator(ins, outs[0], choice[0], self.numbers.get(node.id))
        else:
            raise KeyError(kind)

    def _source(self, out, values, border):
        def fast(v, a, x):
            if v[out] and a[out]:
                v[out] = 0
                return (out,)
            return ()

        self._rule([out], fast)
        self.slow.append((lambda v, a: not v[out] and not a[out], out, values, border))

    def _sink(self, i, border):
        def fast(v, a, x):
            want = int(v[i] != 0)
            if a[i] != want:
                a[i] = want
                if want and border is not None:
                    x[-1] |= 1 << border
                return (i,)
            return ()

        self._rule([i], fast)

    def _fork(self, i, outs, choice, fields=None):
        widths = fields or [None] * len(outs)
        number = {o: (lambda x: x) if w is None else lambda x, w=w: (x - 1 >> w[0]) % (1 << w[1]) + 1
                  for o, w in zip(outs, widths, strict=True)}
        free = [o for o, c in zip(outs, choice, strict=True) if c is None]

        def fast(v, a, x):
            changed = []
            for o in free if v[i] else outs:
                if (v[o] != 0) != (v[i] != 0):
                    v[o] = number[o](v[i]) if v[i] else 0
                    changed.append(o)
            acks = {a[o] for o in outs}
            if len(acks) == 1 and (ack := acks.pop()) != a[i] and all((v[o] != 0) == (v[i] != 0)
                                                                      for o in outs):
                a[i] = ack
                changed.append(i)
            return changed

        self._rule([i, *outs], fast)
        for o, values in zip(outs, choice, strict=True):
            if values is not None:
                self.slow.append((lambda v, a, o=o: v[i] and not v[o] and not a[i], o, values, None))

    def _chain(self, i, out, stages, mark=None):
        at = i
        for k in range(stages):
            after = out if k == stages - 1 else self._channel()
            self._half(at, after)
            if mark is not None and k == 1:
                self.marked.append((after, mark + 1))
            at = after

    def _half(self, i, o):
        def fast(v, a, x):
            changed = []
            if not v[o] and v[i] and not a[o]:
                v[o] = v[i]
                changed.append(o)
            elif v[o] and not v[i] and a[o]:
                v[o] = 0
                changed.append(o)
            want = int(v[o] != 0)
            if a[i] != want:
                a[i] = want
                changed.append(i)
            return changed

        self._rule([i, o], fast)

    def _operator(self, ins, o, values, function):
        def fast(v, a, x):
            changed = []
            if v[o]:
                if not any(v[i] for i in ins):
                    v[o] = 0
                    changed.append(o)
            elif values is None and all(v[i] for i in ins):
                v[o] = 1 if function is None else function([v[i] - 1 for i in ins]) + 1
                changed.append(o)
            for i in ins:
                if a[i] != a[o]:
                    a[i] = a[o]
                    changed.append(i)
            return changed

        self._rule([*ins, o], fast)
        if values is not None:
            self.slow.append((lambda v, a: not v[o] and all(v[i] for i in ins), o, values, None))

    def _select(self, s, ins, o, codes, values):
        codes = [c + 1 for c in codes]
        taken, acked = self._bits(len(ins)), self._bits(len(ins))
        chosen = self._bits(1)[0]

        def fast(v, a, x):
            changed = []
            for k, i in enumerate(ins):
                if x[taken[k]] != (mine := int(v[s] == codes[k])) and (mine != 0) == (v[i] != 0):
                    x[taken[k]] = mine
                if x[acked[k]] != mine and mine == a[o]:
                    x[acked[k]] = mine
                if a[i] != x[acked[k]]:
                    a[i] = x[acked[k]]
                    changed.append(i)
            want = any(x[k] for k in taken)
            if not want and v[o]:
                v[o] = 0
                changed.append(o)
            elif want and not v[o] and values is None:
                v[o] = max(1, max((v[i] for k, i in enumerate(ins) if x[taken[k]]), default=1))
                changed.append(o)
            x[chosen] = int(want)
            ack = int(any(x[k] for k in acked))
            if a[s] != ack:
                a[s] = ack
                changed.append(s)
            return changed

        self._rule([s, *ins, o], fast)
        if values is not None:
            self.slow.append((_Pending(chosen, o), o, values, None))

    def _branch(self, s, i, outs, codes, choice):
        codes = [c + 1 for c in codes]

        def fast(v, a, x):
            changed = []
            for k, o in enumerate(outs):
                mine = v[s] == codes[k]
                if not v[o] and mine and v[i] and choice[k] is None:
                    v[o] = v[i]
                    changed.append(o)
                elif v[o] and not mine and not v[i]:
                    v[o] = 0
                    changed.append(o)
            ack = int(any(a[o] for o in outs))
            for c in (s, i):
                if a[c] != ack:
                    a[c] = ack
                    changed.append(c)
            return changed

        self._rule([s, i, *outs], fast)
        for k, o in enumerate(outs):
            if choice[k] is not None:
                self.slow.append((lambda v, a, o=o, k=k: not v[o] and v[s] == codes[k] and v[i] and not a[s],
                                  o,
                                  choice[k], None))

    def start(self) -> tuple:
        """Return the first stable state."""
        v, a, x = [0] * self.count, [0] * self.count, [0] * self.inner + [0]
        for channel, number in self.marked:
            v[channel] = number
        return self._settle(v, a, x, range(len(self.rules)))[0]

    def _settle(self, v, a, x, rules) -> tuple[tuple, int]:
        todo, waiting = deque(rules), set(rules)
        left = 10_000 + 200 * len(self.rules)
        while todo:
            left -= 1
            if left < 0:
                raise Endless(f"{self.graph.name} goes on for ever without an input or a choice")
            k = todo.popleft()
            waiting.discard(k)
            for channel in self.rules[k](v, a, x):
                for other in self.users[channel]:
                    if other not in waiting:
                        waiting.add(other)
                        todo.append(other)
        moved, x[-1] = x[-1], 0
        return (bytes(v) if max(v, default=0) < 256 else tuple(v), bytes(a), bytes(x)), moved

    def next(self, state: tuple):
        """Yield the stable states after all inputs offer and all choices are made, with the borders that
        moved.
        """
        v, a, x = state
        ready = [(o, values, border) for test, o, values, border in self.slow
                 if (test.ready(v, x) if isinstance(test, _Pending) else test(v, a))]
        if not ready:
            return
        for numbers in product(*(values for _, values, _ in ready)):
            w, b, y = list(v), list(a), [*x[:-1], 0]
            rules = []
            for (o, _, border), number in zip(ready, numbers, strict=True):
                w[o] = number + 1
                rules += self.users[o]
                if border is not None:
                    y[-1] |= 1 << border
            yield self._settle(w, b, y, list(dict.fromkeys(rules)))

    def waiting(self, state: tuple) -> tuple[str, ...]:
        """Return the blocks that hold a valid input and do not move, with their lines."""
        v, a, _ = state
        found = []
        for node in self.graph.nodes.values():
            ins = {p.name: self.ends[node.id, p.name] for p in node.ports[0]}
            valid = [n for n, k in ins.items() if v[k]]
            neutral = [n for n, k in ins.items() if not v[k]]
            full = [p.name for p in node.ports[1] if a[self.ends[node.id, p.name]]]
            if valid and (neutral or full):
                where = f"{node.loc}: {node.loc.text.strip()}" if node.loc else node.region
                found.append(f"{node.id} has {', '.join(valid)}, waits for "
                             f"{', '.join(neutral) or 'release of ' + ', '.join(full)} ({where})")
        return tuple(found)


class Endless(RuntimeError):
    """A graph that works on by itself: it has no stable states to explore."""


class _Pending:
    """A select whose result steers: it chooses once its token is taken."""

    def __init__(self, bit, out):
        self.bit, self.out = bit, out

    def ready(self, v, x):
        """Whether the choice is due."""
        return x[self.bit] and not v[self.out]

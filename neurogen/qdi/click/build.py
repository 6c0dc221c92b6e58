"""From a dataflow graph to Click elements.

Tokens are events: a request toggles when its data is valid, an acknowledge toggles when it has been used.
What stores or steers a token is a controller; between controllers there is only logic, whose requests are
joined once and delayed to match it:

* register (``buffer``, ``fifo``, ``init``): a phase flip-flop toggles, and data is stored, when the input is
  new and the output free: click = (req ^ p) & not (ack ^ q). Without an initial token p and q are one.
  All but ``init`` and ``loop`` keep their data in latches that are open while they are empty: half the area
  of flip-flops.
* ``branch``: of two phases q0, q1 the one that s names toggles; i.ack = o0.ack ^ o1.ack.
* ``select``: q toggles when s and the input that it names are new; when the output is acknowledged, the
  phase of that input toggles: s.ack = a0 ^ a1.
* join and fork: a flip-flop toggles when all requests, or all acknowledges, differ from it.

A request is delayed by a chain that takes longer than the logic: the timing assumption of the style. The
logic is measured with the delays of a kit in a first pass, the chains come in a second.
"""

from dataclasses import dataclass, field
from math import ceil

from neurogen.qdi.click.logic import ONE, Logic
from neurogen.qdi.gates.mapping import Kit, Mapped, map_netlist
from neurogen.qdi.gates.netlist import ZERO, Builder, Channel
from neurogen.qdi.gates.timing import delays_of
from neurogen.qdi.graph import Graph


__all__ = ["MARGIN", "ClickDesign", "build"]

MARGIN = 1.3  # delay of a chain over that of the logic that it matches
_REGISTERS = ("buffer", "fifo", "init")


@dataclass
class ClickDesign:
    """A circuit of Click elements in cells of a kit.

    Parameters
    ----------
    mapped
        The cells.
    chains
        Delay cells of each controller.
    margin
        Delay of a chain over that of its logic.
    """

    mapped: Mapped
    chains: dict[str, int]
    margin: float

    @property
    def area(self) -> float:
        """Cell area in µm²."""
        return self.mapped.area


@dataclass
class _Event:
    """A token at the output of a controller: request, acknowledge, data, and who uses it."""

    name: str
    request: int
    ack: int
    bits: list[int]
    users: list[int] = field(default_factory=list)  # acknowledges


def build(graph: Graph, kit: Kit, *, margin: float = MARGIN) -> ClickDesign:
    """Return the circuit of a graph.

    Raises
    ------
    ValueError
        If a block has no Click form (state and borders but init), or the margin is below 1.
    """
    if margin < 1:
        raise ValueError(f"Margin must be at least 1, not {margin!r}")
    first = _Build(graph, {})
    mapped = map_netlist(first.netlist, kit)
    cell = min(kit.delay[next(name for name, _ in kit.recipes["NG_DELAY"])]) / 1000
    chains = {name: ceil(margin * delay / cell) for name, delay in _paths(mapped, first.paths).items()}
    return ClickDesign(map_netlist(_Build(graph, chains).netlist, kit), chains, margin)


def _paths(mapped: Mapped, matched: dict[str, tuple[list[int], ...]]) -> dict[str, float]:
    """Return the longest delay in ns to the ends of each chain, from where its data was valid."""
    delays = delays_of(mapped)
    drivers = {gate.output: k for k, gate in enumerate(mapped.netlist.gates)
               if mapped.netlist.cells[gate.cell].table}
    result = {}
    for name, (ends, stops) in matched.items():
        known: dict[int, float] = dict.fromkeys(stops, 0.0)

        def arrival(net: int, known: dict[int, float] = known) -> float:
            if net not in known:
                k = drivers.get(net)
                known[net] = 0.0 if k is None else max(delays.rise[k], delays.fall[k]) + max(
                    arrival(i) for i in mapped.netlist.gates[k].inputs)
            return known[net]
        result[name] = max([arrival(net) for net in ends], default=0.0)
    return result


class _Build:
    def __init__(self, graph: Graph, chains: dict[str, int]):
        self.g, self.chains = graph, chains
        self.b = Builder(graph.name)
        self.logic, self.control = Logic(self.b), Logic(self.b, data=False)
        self.by_src, self.by_dst = graph.links()
        self.words: dict[tuple[str, str], list[int]] = {}
        self.roots: dict[tuple[str, str], frozenset[str]] = {}
        self.events: dict[str, _Event] = {}
        self.matched: dict[str, tuple[list[int], set[int]]] = {}
        for node in graph.nodes.values():
            self.b.blocks[node.id] = (node.kind, str(node.loc) if node.loc else "")
            for name, width in self._outputs(node):
                self._event(node, name, width)
        for node in graph.nodes.values():
            self.b.block = node.id
            self._controller(node)
        for event in self.events.values():
            self.b.block = event.name.partition(".")[0]
            self._fork(event)
        # data at the ends and starts of chains, as channels so that aliases are resolved
        for name, (ends, stops) in self.matched.items():
            for side, nets in (("ends", ends), ("stops", stops)):
                self.b.channels[f"{name}/{side}"] = Channel(tuple((net,) for net in nets if net >= 0), ZERO)
        self.netlist = self.b.finish({}, {})
        self.paths = {name: tuple([net for (net,) in self.netlist.channels.pop(f"{name}/{side}").digits]
                                  for side in ("ends", "stops")) for name in self.matched}

    def _outputs(self, node):
        """Return the outputs at which a token is an event of its own."""
        if node.kind == "loop":
            return [("select", 1)]
        if node.kind in ("input", "branch", "select", *_REGISTERS):
            return [(port.name, port.width) for port in node.ports[1]]
        return []

    def _event(self, node, port, width):
        name, b = f"{node.id}.{port}", self.b
        if node.kind == "input":
            label = node.parameters["name"]
            bits = [b.net(f"{label}.data{k}") for k in range(width)]
            request, ack = b.net(f"{label}.treq"), b.net(f"{label}.tack")
            b.wires |= {b.nets[net]: net for net in (*bits, request, ack)}
        else:
            bits = [b.net(f"{name}.{k}") for k in range(width)]
            request, ack = b.net(f"{name}.req"), b.net(f"{name}.ack")
        self.events[name] = _Event(name, request, ack, bits)
        self.words[node.id, port], self.roots[node.id, port] = bits, frozenset({name})

    def _word(self, node_id: str, port: str) -> tuple[list[int], frozenset[str]]:
        """Return the data at an input port and the events that it depends on."""
        src = self.by_dst[node_id, port].src
        if src not in self.words:
            node, block = self.g.nodes[src[0]], self.b.block
            if src == (node.id, "branch") and node.kind == "loop":
                self.words[src], self.roots[src] = self._word(node.id, "c")
            else:
                ins = {p.name: self._word(node.id, p.name) for p in node.ports[0]}
                self.b.block = node.id
                outs = self.logic.operator(node.kind, node.parameters, {k: w for k, (w, _) in ins.items()})
                for name, word in outs.items():
                    self.words[node.id, name] = word
                    self.roots[node.id, name] = frozenset().union(*(r for _, r in ins.values()))
            self.b.block = block
        return self.words[src], self.roots[src]

    def _use(self, name: str, ack: int, *ports: tuple[list[int], frozenset[str]]) -> int:
        """Return the request of a user of words: joined, and delayed to match the logic."""
        events = [self.events[root] for root in sorted(frozenset().union(*(r for _, r in ports)))]
        for event in events:
            event.users.append(ack)
        self.matched[name] = ([net for word, _ in ports for net in word],
                              {bit for event in events for bit in event.bits})
        return self._chain(name, self._join([event.request for event in events]))

    def _chain(self, name: str, net: int) -> int:
        for _ in range(self.chains.get(name, 0)):
            net = self.b.gate("NG_DELAY", net)
        return net

    def _join(self, nets: list[int]) -> int:
        nets = list(dict.fromkeys(nets))
        if len(nets) == 1:
            return nets[0]
        phase = self.b.net(f"{self.b.block}.join{len(self.b.nets)}")
        return self._toggle(self.control.all([self._differ(net, phase) for net in nets]), phase)

    def _differ(self, request: int, phase: int) -> int:
        """Return whether a request is new; it may stay so if one token follows another at once."""
        return self.b.gate("NG_XOR2", request, phase, timed=True)

    def _toggle(self, click: int, phase: int, *, one: bool = False) -> int:
        """Add a flip-flop that toggles at the rise of ``click``."""
        self.b.gate("NG_DFFS" if one else "NG_DFF", self.b.inv(phase), click, self.b.rst, out=phase)
        return phase

    def _fork(self, event: _Event) -> None:
        users = list(dict.fromkeys(event.users))
        self.b.wire(event.ack, self._join(users) if users else event.request)

    def _controller(self, node) -> None:
        b, kind = self.b, node.kind
        if kind == "output":
            label = node.parameters["name"]
            ack, request = b.net(f"{label}.xack"), b.net(f"{label}.xreq")
            word = self._word(node.id, "i")
            b.wire(request, self._use(node.id, ack, word))
            nets = [b.net(f"{label}.data{k}") for k in range(len(word[0]))]
            for net, bit in zip(nets, word[0], strict=True):
                b.wire(net, b.gate("NG_INV", ZERO) if bit == ONE else bit)
            b.wires |= {b.nets[net]: net for net in (*nets, request, ack)}
        elif kind in _REGISTERS or kind == "loop":
            port, out = ("c", "select") if kind == "loop" else ("i", "o")
            value = 0 if kind == "loop" else node.parameters.get("value") if kind == "init" else None
            word = self._word(node.id, port)
            if kind == "init":  # a ring of one register would have no room to move
                word = self._register(node, word, self._between(node), None)
            self._register(node, word, self.events[f"{node.id}.{out}"], value)
        elif kind == "branch":
            self._branch(node)
        elif kind == "select":
            self._select(node)
        elif kind == "sink_data":
            self._word(node.id, "i")

    def _between(self, node) -> _Event:
        """Return the event between the two registers of an init."""
        b, width = self.b, node.parameters["width"]
        event = _Event(f"{node.id}.first", b.net(f"{node.id}.first.req"), b.net(f"{node.id}.first.ack"),
                       [b.net(f"{node.id}.first.{k}") for k in range(width)])
        self.events[event.name] = event
        return event

    def _register(self, node, word, out: _Event, value: int | None) -> tuple[list[int], frozenset[str]]:
        b = self.b
        used = b.net(f"{node.id}.used")
        request = self._use(out.name, used, word)
        new = self._differ(request, used)
        busy = b.gate("NG_XOR2", out.ack, out.request)
        click = b.gate("NG_NOR2", b.inv(new), busy)
        self._toggle(click, out.request, one=value is not None)
        if value is None:
            b.wire(used, out.request)
        else:
            self._toggle(click, used)
        latched = node.kind in ("buffer", "fifo")
        free = b.inv(busy) if latched else ZERO
        for k, (bit, target) in enumerate(zip(word[0], out.bits, strict=True)):
            source = b.gate("NG_INV", ZERO) if bit == ONE else bit
            if latched:
                b.gate("NG_LATCH", source, free, b.rst, out=target, timed=True)
                continue
            b.gate("NG_DFFS" if (value or 0) >> k & 1 else "NG_DFF", source, click, b.rst, out=target)
        return out.bits, frozenset({out.name})

    def _branch(self, node) -> None:
        b = self.b
        s, i = self._word(node.id, "s"), self._word(node.id, "i")
        outs = [self.events[f"{node.id}.o{k}"] for k in (0, 1)]
        ack = b.gate("NG_XOR2", outs[0].ack, outs[1].ack)
        request = self._use(node.id, ack, s, i)
        new = b.gate("NG_XOR2", request, b.gate("NG_XOR2", outs[0].request, outs[1].request))
        sides = (self.logic.inv(s[0][0]), s[0][0])
        self.matched[node.id][0].extend(sides)
        for out, up in zip(outs, sides, strict=True):
            self._toggle(self.control.and_(new, up), out.request)
            for bit, target in zip(i[0], out.bits, strict=True):
                b.wire(target, b.gate("NG_INV", ZERO) if bit == ONE else bit)

    def _select(self, node) -> None:
        b, out = self.b, self.events[f"{node.id}.o"]
        s, inputs = self._word(node.id, "s"), [self._word(node.id, f"i{k}") for k in (0, 1)]
        acks = [b.net(f"{node.id}.ack{k}") for k in (0, 1)]
        taken = b.gate("NG_XOR2", *acks)
        sides = (self.logic.inv(s[0][0]), s[0][0])
        fresh = [self._differ(self._use(f"{node.id}.i{k}", acks[k], inputs[k]), acks[k]) for k in (0, 1)]
        issued = b.net(f"{node.id}.issued")
        new = b.gate("NG_XOR2", self._use(f"{node.id}.s", taken, s), issued)
        there = b.gate("NG_AO22", sides[0], fresh[0], sides[1], fresh[1],
                       timed=True)  # may glitch when s changes: not while s is new
        self.matched[f"{node.id}.s"][0].append(there)  # s has chosen when it is new
        self._toggle(b.gate("NG_AND2", new, there), issued)
        b.wire(out.request, self._chain(f"{node.id}.o", issued))
        done = b.gate("NG_XOR2", out.ack, taken)
        for ack, side in zip(acks, sides, strict=True):
            self._toggle(b.gate("NG_AND2", done, side), ack)
        for target, zero, one in zip(out.bits, inputs[0][0], inputs[1][0], strict=True):
            bit = self.logic.mux(s[0][0], zero, one)
            b.wire(target, b.gate("NG_INV", ZERO) if bit == ONE else bit)
        # the multiplexer has settled when the output's request toggles
        self.matched[f"{node.id}.o"] = (list(out.bits), {*s[0], *inputs[0][0], *inputs[1][0]})

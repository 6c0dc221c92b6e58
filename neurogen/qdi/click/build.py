"""From a dataflow graph to Click elements.

Tokens are events: a request toggles when its data is valid, an acknowledge toggles when it has been used.
What stores or steers a token is a controller; between controllers there is only logic, whose requests are
joined once and delayed to match it:

* register (``buffer``, ``fifo``, ``init``): a phase flip-flop toggles, and data is stored, when the input is
  new and the output free: click = (req ^ p) & not (ack ^ q). Without an initial token p and q are one.
  All but ``init`` and ``loop`` keep their data in latches that are open while they are empty: half the area
  of flip-flops.
* ``branch``: of the phases q0, q1, ... the one that s names toggles; i.ack = o0.ack ^ o1.ack ^ ...
* ``select``: q toggles when s and the input that it names are new; when the output is acknowledged, the
  phase of that input toggles: s.ack = a0 ^ a1 ^ ... (``branch_n`` and ``select_n``: s is one-hot.)
* ``ram``: a register for the old word, with one more for each word of the array
  (`neurogen.qdi.click.memory`).
* ``source``: the request is the inverse of the acknowledge.
* join and fork: a flip-flop toggles when all requests, or all acknowledges, differ from it.

A request is delayed by a chain that takes longer than the logic: the timing assumption of the style. The
logic is measured with the delays of a kit in a first pass, the chains come in a second.
"""

from dataclasses import dataclass, field

from neurogen.qdi.click.delays import chain_lengths
from neurogen.qdi.click.logic import LOGIC, Logic
from neurogen.qdi.click.memory import Words
from neurogen.qdi.click.steering import Event, Steering
from neurogen.qdi.gates.mapping import Kit, Mapped, map_netlist
from neurogen.qdi.gates.netlist import ZERO, Builder, Channel
from neurogen.qdi.graph import Graph, Node


__all__ = ["MARGIN", "ClickDesign", "build", "lacking"]

MARGIN = 1.3  # delay of a chain over that of the logic that it matches
_REGISTERS = ("buffer", "fifo", "init")
_BRANCHES, _SELECTS = ("branch", "branch_n"), ("select", "select_n")
_SIDES = ("ends", "stops", "span")
_CONTROLLERS = ("input", "output", "loop", "ram", "source", "sink_data", *_REGISTERS, *_BRANCHES, *_SELECTS)


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
    paths
        Of each chain, nets that must have settled when it ends, and nets that are valid when it starts.
    credits
        Of a chain, outputs of gates that its request passes anyway.
    spans
        Of each chain, the net before its first delay cell and the net behind its last.
    """

    mapped: Mapped
    chains: dict[str, int]
    margin: float
    paths: dict[str, tuple[list[int], list[int]]] = field(default_factory=dict)
    credits: dict[str, list[int]] = field(default_factory=dict)
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def area(self) -> float:
        """Cell area in µm²."""
        return self.mapped.area


def lacking(graph: Graph) -> list[Node]:
    """Return the blocks of a graph that have no Click form: arbiters, borders, blocks of hand-made graphs."""
    return [node for node in graph.nodes.values()
            if node.kind not in _CONTROLLERS and node.kind not in LOGIC]


def build(graph: Graph, kit: Kit, *, margin: float = MARGIN) -> ClickDesign:
    """Return the circuit of a graph.

    Raises
    ------
    ValueError
        If a block has no Click form (`lacking`), or the margin is below 1.
    """
    for node in lacking(graph):
        raise ValueError(f"Kind of a block must have a Click form, not {node.kind!r}")
    if margin < 1:
        raise ValueError(f"Margin must be at least 1, not {margin!r}")
    first = _Build(graph, {})
    mapped = map_netlist(first.netlist, kit)
    chains = chain_lengths(mapped, first.paths, first.credits, margin)
    last = _Build(graph, chains)
    return ClickDesign(map_netlist(last.netlist, kit), chains, margin, last.paths, last.credits, last.spans)


class _Build(Steering):
    def __init__(self, graph: Graph, chains: dict[str, int]):
        self.g, self.chains = graph, chains
        self.b = Builder(graph.name)
        self.logic, self.control = Logic(self.b), Logic(self.b, data=False)
        self.by_src, self.by_dst = graph.links()
        self.words: dict[tuple[str, str], list[int]] = {}
        self.roots: dict[tuple[str, str], frozenset[str]] = {}
        self.events: dict[str, Event] = {}
        self.matched: dict[str, tuple[list[int], set[int]]] = {}
        self.spans: dict[str, tuple[int, ...]] = {}
        self.credits: dict[str, list[int]] = {}  # what a chain need not take: outputs of gates beside it
        for node in graph.nodes.values():
            self.b.blocks[node.id] = (node.kind, str(node.loc) if node.loc else "")
            for name, width in self._outputs(node):
                self._event(node, name, width)
        for node in graph.nodes.values():
            self.b.block = node.id
            self._controller(node)
        for event in self.events.values():
            self.b.block = event.name.rpartition(".")[0]
            self._fork(event)
        # data at the ends and starts of chains, as channels so that aliases are resolved
        marked = {name: (*self.matched[name], self.spans.get(name, ())) for name in self.matched}
        for name, parts in marked.items():
            for side, nets in zip(_SIDES, parts, strict=True):
                self.b.channels[f"{name}/{side}"] = Channel(tuple((net,) for net in nets if net >= 0), ZERO)
        # where an input is acknowledged by the environment itself, that wire is the one that comes in
        self.b.wires = dict(sorted(self.b.wires.items(), key=lambda wire: not self._incoming(wire[0])))
        self.netlist = self.b.finish({}, {})
        found = {name: [[net for (net,) in self.netlist.channels.pop(f"{name}/{side}").digits]
                        for side in _SIDES] for name in marked}
        self.paths = {name: (ends, stops) for name, (ends, stops, _) in found.items()}
        self.spans = {name: (span[0], span[1]) for name, (_, _, span) in found.items() if span}

    def _incoming(self, wire: str) -> bool:
        port, _, kind = wire.rpartition(".")
        return kind == "xack" or (kind != "tack" and f"{port}.treq" in self.b.wires)

    def _outputs(self, node):
        """Return the outputs at which a token is an event of its own."""
        if node.kind == "loop":
            return [("select", 1)]
        if node.kind in ("input", "ram", "source", *_BRANCHES, *_SELECTS, *_REGISTERS):
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
        self.events[name] = Event(name, request, ack, bits)
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
        first = net
        for _ in range(self.chains.get(name, 0)):
            net = self.b.gate("NG_DELAY", net)
        self.spans[name] = first, net
        return net

    def _join(self, nets: list[int]) -> int:
        nets = list(dict.fromkeys(nets))
        if len(nets) == 1:
            return nets[0]
        phase = self.b.net(f"{self.b.block}.join{len(self.b.nets)}")
        return self._toggle(self.control.all([self._differ(net, phase) for net in nets]), phase)

    def _fork(self, event: Event) -> None:
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
                self._drive(net, bit)
            b.wires |= {b.nets[net]: net for net in (*nets, request, ack)}
        elif kind in _REGISTERS or kind == "loop":
            port, out = ("c", "select") if kind == "loop" else ("i", "o")
            value = 0 if kind == "loop" else node.parameters.get("value") if kind == "init" else None
            word = self._word(node.id, port)
            # a ring of one register would have no room to move; a queue holds as many tokens as it is deep
            before = {"init": 1, "fifo": node.parameters.get("depth", 1) - 1}.get(kind, 0)
            for number in range(before):
                word = self._register(node, word, self._between(node, number), None)
            self._register(node, word, self.events[f"{node.id}.{out}"], value)
        elif kind == "ram":
            self._ram(node)
        elif kind == "source":
            event = self.events[f"{node.id}.o"]
            b.wire(event.request, self._after_reset(b.inv(event.ack)))
            for bit, target in zip(self.logic.constant(node.parameters["value"], len(event.bits)), event.bits,
                                   strict=True):
                self._drive(target, bit)
        elif kind in _BRANCHES:
            self._branch(node)
        elif kind in _SELECTS:
            self._select(node)
        elif kind == "sink_data":
            self._word(node.id, "i")

    def _after_reset(self, request: int) -> int:
        """Return a request that is there from the start, hidden in reset: its reader needs an edge."""
        return self.b.gate("NG_NOR2", self.b.inv(request), self.b.rst)

    def _between(self, node, number: int) -> Event:
        """Return the event behind a register of an init or a queue that is not its last."""
        b, width, name = self.b, node.parameters["width"], f"{node.id}.stage{number}"
        event = Event(name, b.net(f"{name}.req"), b.net(f"{name}.ack"),
                      [b.net(f"{name}.{k}") for k in range(width)])
        self.events[event.name] = event
        return event

    def _register(self, node, word, out: Event, value: int | None) -> tuple[list[int], frozenset[str]]:
        b = self.b
        used = b.net(f"{node.id}.used")
        phase = b.net(f"{node.id}.phase") if node.kind == "init" and value is not None else out.request
        click, busy = self._click(self._use(out.name, used, word), used, out, phase)
        latched = node.kind in ("buffer", "fifo")
        if latched:  # the latches open when the click comes: their data must be there before the request
            name = f"{out.name.removesuffix('.o')}.click"
            self.matched[name] = (list(out.bits), {busy, *word[0]})
            self.credits[name] = [click, phase]
            click = self._chain(name, click)
        self._toggle(click, phase, one=value is not None)
        if phase != out.request:
            b.wire(out.request, self._after_reset(phase))
        if value is None:
            b.wire(used, out.request)
        else:
            self._toggle(click, used)
        free = b.inv(busy) if latched else ZERO
        for k, (bit, target) in enumerate(zip(word[0], out.bits, strict=True)):
            source = self._net(bit)
            if latched:
                b.gate("NG_LATCH", source, free, b.rst, out=target, timed=True)
                continue
            b.gate("NG_DFFS" if (value or 0) >> k & 1 else "NG_DFF", source, click, b.rst, out=target)
        return out.bits, frozenset({out.name})

    def _click(self, request: int, used: int, out: Event, phase: int) -> tuple[int, int]:
        """Return the click of a register, and whether its output still holds a token."""
        busy = self.b.gate("NG_XOR2", out.ack, phase)
        return self.b.gate("NG_NOR2", self.b.inv(self._differ(request, used)), busy), busy

    def _ram(self, node) -> None:
        b, out = self.b, self.events[f"{node.id}.o"]
        write, address, data = (self._word(node.id, port) for port in ("write", "a", "d"))
        words = Words(b, self.logic, node.id, node.parameters, write[0][0], address[0])
        used = b.net(f"{node.id}.used")
        request = self._use(out.name, used, write, address, data)
        self.matched[out.name][0].extend([*words.read, *words.stores])
        click, _ = self._click(request, out.request, out, out.request)
        self._toggle(click, out.request)
        b.gate("NG_DFF", out.request, b.inv(click), b.rst, out=used)  # only now may the address change
        words.store(self.control, click, [self._net(bit) for bit in data[0]])
        for bit, target in zip(words.read, out.bits, strict=True):
            b.gate("NG_DFF", self._net(bit), click, b.rst, out=target)

"""What steers tokens in a Click circuit: branches and selects."""

from dataclasses import dataclass, field

from neurogen.qdi.click.logic import ONE, Logic
from neurogen.qdi.gates.netlist import ZERO, Builder


__all__ = ["Event", "Steering"]


@dataclass
class Event:
    """A token at the output of a controller: request, acknowledge, data, and who uses it."""

    name: str
    request: int
    ack: int
    bits: list[int]
    users: list[int] = field(default_factory=list)  # acknowledges


class Steering:
    """The part of the builder that is for branches and selects.

    The builder has the words at the ports of blocks (``_word``), the requests of who uses them (``_use``),
    and chains of delay cells (``_chain``).
    """

    b: Builder
    logic: Logic
    control: Logic
    events: dict[str, Event]
    matched: dict[str, tuple[list[int], set[int]]]

    def _differ(self, request: int, phase: int) -> int:
        """Return whether a request is new; it may stay so if one token follows another at once."""
        return self.b.gate("NG_XOR2", request, phase, timed=True)

    def _toggle(self, click: int, phase: int, *, one: bool = False) -> int:
        """Add a flip-flop that toggles at the rise of ``click``."""
        self.b.gate("NG_DFFS" if one else "NG_DFF", self.b.inv(phase), click, self.b.rst, out=phase)
        return phase

    def _drive(self, target: int, bit: int) -> None:
        """Let a bit, perhaps a constant, drive a net."""
        self.b.wire(target, self._net(bit))

    def _net(self, bit: int) -> int:
        return self.b.gate("NG_INV", ZERO) if bit == ONE else bit

    def _sides(self, node, word: list[int]) -> list[int]:
        """Return what is 1 for each way that s can name."""
        bits = word if "n" in node.parameters else [self.logic.inv(word[0]), word[0]]
        return [self._net(bit) for bit in bits]

    def _branch(self, node) -> None:
        s, i = self._word(node.id, "s"), self._word(node.id, "i")
        sides = self._sides(node, s[0])
        outs = [self.events[f"{node.id}.o{k}"] for k in range(len(sides))]
        request = self._use(node.id, self._parity([out.ack for out in outs]), s, i)
        new = self.b.gate("NG_XOR2", request, self._parity([out.request for out in outs]))
        self.matched[node.id][0].extend(sides)
        for out, up in zip(outs, sides, strict=True):
            self._toggle(self.control.and_(new, up), out.request)
            for bit, target in zip(i[0], out.bits, strict=True):
                self._drive(target, bit)

    def _select(self, node) -> None:
        b, out = self.b, self.events[f"{node.id}.o"]
        s = self._word(node.id, "s")
        sides = self._sides(node, s[0])
        inputs = [self._word(node.id, f"i{k}") for k in range(len(sides))]
        acks = [b.net(f"{node.id}.ack{k}") for k in range(len(sides))]
        taken = self._parity(acks)
        fresh = [self._differ(self._use(f"{node.id}.i{k}", ack, word), ack)
                 for k, (ack, word) in enumerate(zip(acks, inputs, strict=True))]
        issued = b.net(f"{node.id}.issued")
        new = b.gate("NG_XOR2", self._use(f"{node.id}.s", taken, s), issued)
        there = self._choice(sides, fresh)  # may glitch when s changes: not while s is new
        self.matched[f"{node.id}.s"][0].append(there)  # s has chosen when it is new
        self._toggle(b.gate("NG_AND2", new, there), issued)
        b.wire(out.request, self._chain(f"{node.id}.o", issued))
        done = b.gate("NG_XOR2", out.ack, taken)
        for ack, side in zip(acks, sides, strict=True):
            self._toggle(b.gate("NG_AND2", done, side), ack)
        for target, *bits in zip(out.bits, *(word for word, _ in inputs), strict=True):
            self._drive(target, self.logic.mux(s[0][0], *bits) if len(bits) == 2 and "n" not in
                        node.parameters else self.logic.pick(sides, bits))
        # the multiplexer has settled when the output's request toggles
        self.matched[f"{node.id}.o"] = (list(out.bits), {*s[0], *(net for word, _ in inputs for net in word)})

    def _choice(self, sides: list[int], fresh: list[int]) -> int:
        """Return whether the input that s names is new."""
        pairs = [*zip(sides, fresh, strict=True)]
        terms = [self.b.gate("NG_AO22", *pairs[k], *pairs[k + 1], timed=True) if k + 1 < len(pairs)
                 else self.b.gate("NG_AND2", *pairs[k], timed=True) for k in range(0, len(pairs), 2)]
        return self._tree("NG_OR2", terms)

    def _parity(self, phases: list[int]) -> int:
        """Return the XOR of phases, of which one at a time toggles."""
        return self._tree("NG_XOR2", phases)

    def _tree(self, cell: str, nets: list[int]) -> int:
        timed = cell == "NG_OR2"
        while len(nets) > 1:
            nets = [self.b.gate(cell, *nets[k:k + 2], timed=timed) if k + 1 < len(nets) else nets[k]
                    for k in range(0, len(nets), 2)]
        return nets[0]

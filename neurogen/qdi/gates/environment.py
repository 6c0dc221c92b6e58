"""What surrounds a netlist that is explored: sources, sinks, clocked streams and bundles of AER."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from neurogen.qdi.gates.netlist import Channel, Netlist


__all__ = ["Sink", "Source", "Violation", "World", "worlds_of"]


@dataclass(frozen=True)
class Violation:
    """A broken property.

    Parameters
    ----------
    check
        persistency, deadlock, starvation, conformation, code or unknown.
    text
        What happened and where.
    trace
        Transitions from reset to it, as ``net+`` and ``net-``.
    """

    check: str
    text: str
    trace: tuple[str, ...] = ()


def _mask(nets: Iterable[int]) -> int:
    """Return the bits of nets; two digits of a constant can share one."""
    mask = 0
    for net in nets:
        mask |= 1 << net
    return mask


class _End:
    """What a source and a sink are: a channel at the border."""

    def __init__(self, name: str, c: Channel):
        self.name, self.c = name, c
        self.masks = [_mask(digit) for digit in c.digits]
        self.all = _mask(c.rails)
        self.ack = 1 << c.a

    def neutral(self, state: int) -> bool:
        """Return whether all rails are low."""
        return not state & self.all

    def valid(self, state: int) -> bool:
        """Return whether each digit has a rail that is high."""
        return all(state & mask for mask in self.masks)

    def busy(self, state: int) -> bool:
        """Return whether a handshake is under way."""
        return bool(state & (self.all | self.ack))


class Source(_End):
    """Raises rails while the acknowledge is low, lowers them while it is high."""

    def __init__(self, name: str, c: Channel, tokens: set[int] | None):
        super().__init__(name, c)
        self.codes = None if tokens is None else [_mask(c.rails_of(t)) for t in sorted(tokens)]

    def watched(self) -> set[int]:
        """Return the nets after whose transitions `check` has to look."""
        return {self.c.a}

    def moves(self, state: int, blocked: bool) -> Iterator[int]:
        """Yield the rails that may toggle; none for a new token while ``blocked``."""
        if state & self.ack:
            yield from (rail for rail in self.c.rails if state >> rail & 1)
        elif not (blocked and self.neutral(state)):
            for digit, mask in zip(self.c.digits, self.masks, strict=True):
                if not state & mask:
                    for rail in digit:
                        up = state & self.all | 1 << rail
                        if rail and (self.codes is None or any(up & code == up for code in self.codes)):
                            yield rail

    def check(self, state: int, net: int, up: bool) -> Violation | None:
        """Return what is wrong with a transition of the acknowledge that led to ``state``."""
        if up and not self.valid(state):
            return Violation("conformation", f"{self.name} is acknowledged before all of it is valid")
        if not up and not self.neutral(state):
            return Violation("conformation", f"{self.name} is released before all of it is neutral")
        return None


class Sink(_End):
    """Acknowledges what is complete."""

    def watched(self) -> set[int]:
        """Return the nets after whose transitions `check` has to look."""
        return set(self.c.rails)

    def ready(self, state: int) -> bool:
        """Return whether the acknowledge may toggle."""
        return self.neutral(state) if state & self.ack else self.valid(state)

    def check(self, state: int, net: int, up: bool) -> Violation | None:
        """Return what is wrong with a transition of a rail that led to ``state``."""
        for mask in self.masks:
            if mask >> net & 1 and (state & mask).bit_count() > 1:
                return Violation("code", f"{self.name} has a digit with two rails high")
        if up == bool(state & self.ack):
            return Violation("conformation", f"{self.name} {'rises' if up else 'falls'} when it must not")
        return None


class World:
    """A clocked stream or a bundle of AER at the border."""

    def __init__(self, data: list[int], request: int, answer: int, role: str):
        self.data, self.request, self.answer, self.role = data, request, answer, role

    def moves(self, state: int, settled: bool) -> Iterator[tuple[int, ...]]:
        """Yield what happens apart from a clock (AER, driven by its sender)."""
        if self.role != "aer":
            return
        request, answer = state >> self.request & 1, state >> self.answer & 1
        if not request and not answer:
            yield from ((net,) for net in self.data)
            if settled:
                yield (self.request,)
        elif request and answer:
            yield (self.request,)

    def at_edge(self, state: int) -> Iterator[tuple[int, ...]]:
        """Yield what may happen with an edge of the clock."""
        request, answer = state >> self.request & 1, state >> self.answer & 1
        yield ()
        if self.role == "in" and (not request or answer):  # a new word, or none
            for pattern in range(1 << len(self.data)):
                nets = tuple(net for k, net in enumerate(self.data) if pattern >> k & 1)
                if nets:
                    yield nets
                yield (*nets, self.request)
        elif self.role == "out":
            yield (self.answer,)


def worlds_of(netlist: Netlist) -> list[World]:
    """Return the borders of a netlist that are no channels."""
    groups: dict[str, dict[str, int]] = {}
    for name, net in netlist.wires.items():
        port, _, wire = name.rpartition(".")
        groups.setdefault(port, {})[wire] = net
    driven = {gate.output for gate in netlist.gates}
    worlds = []
    for wires in groups.values():
        data = [wires[f"data{k}"] for k in range(len(wires) - 2)]
        if "req" in wires:
            worlds.append(World(data, wires["req"], wires["ack"], "aer"))
        else:
            role = "out" if wires["valid"] in driven else "in"
            worlds.append(World(data, wires["valid"], wires["ready"], role))
    return worlds

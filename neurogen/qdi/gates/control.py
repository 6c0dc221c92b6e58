"""Gate equations of the blocks that steer tokens (qdi.md, section 4 C)."""

from collections.abc import Mapping, Sequence
from typing import Any

from neurogen.qdi.gates.data import groups, half_buffer, init_stage
from neurogen.qdi.gates.netlist import Builder, Channel


__all__ = ["CONTROL"]

Channels = Mapping[str, Channel]


def _one_hot(b: Builder, s: Channel) -> list[int]:
    """Return the rails of a one-hot word; one that comes bit by bit is joined first."""
    if s.hot:
        return list(s.digits[0])
    return [b.c(*(digit[k == hot] for k, digit in enumerate(s.digits))) for hot in range(s.width)]


def _held(b: Builder, up: int, ack: int, digits: int) -> tuple[list[int], int]:
    """Return a steering rail that stands until ``ack`` falls, and the acknowledge that waits for its fall.

    So what it gates falls with the data, whose return to zero is seen at the output: ANDs do for gating where
    there would be C-elements for both to be seen. There is a copy of the rail for each digit.
    """
    copies = [b.any(up, ack) for _ in groups(digits)]
    return [held for held, at in zip(copies, groups(digits), strict=True) for _ in at], b.c(ack, *copies)


def _merge_gated(b: Builder, steering: Sequence[int], s: Channel, inputs: Sequence[Channel],
                 o: Channel) -> None:
    """Emit the input that steering names; acknowledge steering by the inputs, not by out.a: not SI else."""
    held = []
    for up, i in zip(steering, inputs, strict=True):
        taken = b.net(f"{b.block}.taken{len(held)}")
        copies, ack = _held(b, up, taken, len(o.digits))
        b.gate("NG_AND2", copies[0], o.a, out=taken)
        b.wire(i.a, ack)
        held.append(copies)
    for k, digit in enumerate(o.digits):
        for rail, target in enumerate(digit):
            b.wire(target, b.choose([copies[k] for copies in held], [i.digits[k][rail] for i in inputs]))
    b.wire(s.a, b.any(*(i.a for i in inputs)))


def _select(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    _merge_gated(b, ins["s"].digits[0], ins["s"], (ins["i0"], ins["i1"]), outs["o"])


def _select_n(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    inputs = [ins[f"i{k}"] for k in range(p["n"])]
    _merge_gated(b, _one_hot(b, ins["s"]), ins["s"], inputs, outs["o"])


def _steer(b: Builder, steering: Sequence[int], s: Channel, i: Channel, outs: Sequence[Channel]) -> None:
    acks = []
    for up, o in zip(steering, outs, strict=True):
        held, ack = _held(b, up, o.a, len(i.digits))
        acks.append(ack)
        for stands, digit, target in zip(held, i.digits, o.digits, strict=True):
            for source, rail in zip(digit, target, strict=True):
                b.wire(rail, b.gate("NG_AND2", stands, source))
    b.wires_to((s.a, i.a), b.any(*acks))


def _branch(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    _steer(b, ins["s"].digits[0], ins["s"], ins["i"], (outs["o0"], outs["o1"]))


def _branch_n(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    _steer(b, _one_hot(b, ins["s"]), ins["s"], ins["i"], [outs[f"o{k}"] for k in range(p["n"])])


def _merge(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    o = outs["o"]
    for k, rail in enumerate(o.rails):
        b.wire(rail, b.any(*(i.rails[k] for i in ins.values())))
    for i in ins.values():
        b.wire(i.a, b.c(b.complete(i), o.a))


def _else_condition(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    """The chain stops at the first true condition; the acknowledge waits for the others."""
    o = outs["o"]
    conditions = [ins[f"c{k}"] for k in range(p["n"])]
    none, first = conditions[0].digits[0]
    hot = [first]
    for c in conditions[1:]:
        f, t = c.digits[0]
        hot.append(b.c(none, t))
        none = b.c(none, f)
    for rail, net in zip(o.digits[0], [*hot, none], strict=True):
        b.wire(rail, net)
    waits = [b.valid(c.digits[0]) for c in conditions[1:]]
    b.wires_to((c.a for c in conditions), b.c(o.a, b.c(*waits)) if waits else o.a)


def _parallel(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    b.wires_to((o.digits[0][0] for o in outs.values()), b.c(*(i.digits[0][0] for i in ins.values())))
    b.wires_to((i.a for i in ins.values()), b.c(*(o.a for o in outs.values())))


def _loop(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    c, branch = ins["c"], outs["branch"]
    again = b.like(f"{b.block}.again", c)
    for source, left, right in zip(c.rails, again.rails, branch.rails, strict=True):
        b.wires_to((left, right), source)
    init_stage(b, again, outs["select"], 0)
    b.wire(c.a, b.c(again.a, branch.a))


def _gate(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    """Branch with one side sunk: the completion of i serves both sides."""
    c, i, o = ins["c"], ins["i"], outs["o"]
    drop, keep = c.digits[0]
    for rail, source in zip(o.rails, i.rails, strict=True):
        b.wire(rail, b.c(keep, source))
    b.wires_to((c.a, i.a), b.c(b.any(o.a, drop), b.complete(i)))


def _hold(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    """Keep the word in a half buffer x and gate it with ``go`` once for each emission.

    ``done`` stands from the first emission until x is empty again; ``idle`` says that an emission is over,
    its return to zero included, and lets the next c in.
    """
    i, c, o = ins["i"], ins["c"], outs["o"]
    x = b.like(f"{b.block}.x", i)
    half_buffer(b, i, x)
    there = i.a  # the completion of x
    done = b.net(f"{b.block}.done")
    not_done = b.inv(done)
    b.gate("NG_C2", there, o.a, out=done)
    first = b.gate("NG_AND2", there, not_done)
    idle = b.gate("NG_NOR2", o.a, not_done)
    drop, again = (b.c(rail, idle) for rail in c.digits[0])
    go = b.any(first, again)
    for rail, source in zip(o.rails, x.rails, strict=True):
        b.wire(rail, b.gate("NG_AND2", source, go))
    b.wire(x.a, drop)
    b.wire(c.a, b.any(b.c(again, o.a), b.gate("NG_AND2", drop, not_done)))


CONTROL = {"select": _select, "branch": _branch, "merge": _merge, "select_n": _select_n,
           "branch_n": _branch_n, "else_condition": _else_condition, "parallel": _parallel, "loop": _loop,
           "gate": _gate, "hold": _hold}

"""Gate equations of the blocks that handle data: sources, buffers, forks, wires (qdi.md, section 4 A)."""

from collections.abc import Mapping, Sequence
from typing import Any

from neurogen.qdi.gates.netlist import ZERO, Builder, Channel


__all__ = ["DATA", "groups", "half_buffer", "init_stage"]

Channels = Mapping[str, Channel]


def groups(digits: int) -> list[range]:
    """Return the digits in groups of at most twelve: each has a copy of a control and acknowledges it.

    One net to all rails of a wide word would be slow.
    """
    count = -(-digits // 12)
    return [range(digits * k // count, digits * (k + 1) // count) for k in range(count)]


def half_buffer(b: Builder, i: Channel, o: Channel, *, value: int | None = None,
                reset: bool | None = None) -> None:
    """Add a weak-conditioned half buffer (WCHB): out = C(in, not out.a), in.a = completion of out.

    Parameters
    ----------
    value
        Token that it holds after reset; none if it is empty then.
    reset
        Whether its C-elements are reset; by default if the build found that nothing else clears them. An
        unreset one takes no token while reset is on, because it gates its enable.
    """
    reset = (b.block in b.resets) if reset is None else reset
    full = set(o.rails_of(value)) if value is not None else set()
    for at in groups(len(i.digits)):
        enable = b.inv(o.a) if reset or full else b.gate("NG_NOR2", o.a, b.rst)
        pairs = [pair for k in at for pair in zip(i.digits[k], o.digits[k], strict=True)]
        for source, target in pairs:
            if reset or full:
                b.gate("NG_C2S" if target in full else "NG_C2R", source, enable, b.rst, out=target)
            else:
                b.gate("NG_C2", source, enable, out=target)
    b.wire(i.a, b.complete(o))


def init_stage(b: Builder, i: Channel, o: Channel, value: int) -> None:
    """Add empty, full and empty half buffers; the empty ones give a ring its bubbles."""
    first, second = (b.like(f"{b.block}.s{k}", i) for k in (1, 2))
    half_buffer(b, i, first)
    half_buffer(b, first, second, value=value)
    half_buffer(b, second, o, reset=True)  # it sees a token while reset is on


def _source(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    o = outs["o"]
    up = b.gate("NG_NOR2", o.a, b.rst)
    _constant(b, o, p["value"], up)


def _constant(b: Builder, o: Channel, value: int, up: int) -> None:
    high = set(o.rails_of(value & (1 << o.width) - 1))
    for rail in o.rails:
        b.wire(rail, up if rail in high else ZERO)


def _const(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    _constant(b, outs["o"], p["value"], b.complete(ins["i"]))
    b.wire(ins["i"].a, outs["o"].a)


def _buffer(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    half_buffer(b, ins["i"], outs["o"])


def _fifo(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    last = ins["i"]
    for k in range(2 * p["depth"] - 1):
        channel = b.like(f"{b.block}.s{k}", last)
        half_buffer(b, last, channel, reset=k == 0 and b.block in b.resets)  # one clears those behind it
        last = channel
    half_buffer(b, last, outs["o"], reset=False)


def _init(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    init_stage(b, ins["i"], outs["o"], p["value"] & (1 << ins["i"].width) - 1)


def _copy(b: Builder, i: Channel, outs: Sequence[Channel]) -> None:
    for o in outs:
        for source, target in zip(i.rails, o.rails, strict=True):
            b.wire(target, source)


def _fork(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    _copy(b, ins["i"], list(outs.values()))
    b.wire(ins["i"].a, b.c(*(o.a for o in outs.values())))


def _pack(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    o = outs["o"]
    channels = [ins[f"i{k}"] for k in range(len(p["widths"]))]
    requests = [c.digits[0][0] for c in channels if not c.width]
    digits = [digit for c in channels if c.width for digit in c.digits]
    if not digits:
        digits, requests = [(requests[0],)], requests[1:]
    for k, (digit, target) in enumerate(zip(digits, o.digits, strict=True)):
        for source, rail in zip(digit, target, strict=True):  # requests join the first digit
            b.wire(rail, source if k or not requests else b.c(source, *requests))
    for c in channels:
        b.wire(c.a, o.a)


def _unpack(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    i, at = ins["i"], 0
    for k, width in enumerate(p["widths"]):
        o = outs[f"o{k}"]
        digits = i.digits[at:at + width]
        if width:
            for source, target in zip(digits, o.digits, strict=True):
                for rail, net in zip(target, source, strict=True):
                    b.wire(rail, net)
        else:  # a dataless field: any digit tells when the token is there
            b.wire(o.digits[0][0], b.valid(i.digits[0]))
        at += width
    b.wire(i.a, b.c(*(o.a for o in outs.values())))


def _sink(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    b.wire(ins["i"].a, b.complete(ins["i"]))


def _slice(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    """Wire bits; a constant 0 is raised by digits that are dropped, if any, else by one that is used."""
    i, o = ins["i"], outs["o"]
    low, shift, width = p["low"], p["shift"], p["width"]
    sources: list[int | None] = []
    for k in range(p["out_width"]):
        bit = k - shift + low
        if k < shift or (bit >= width and not p["signed"]) or not width:
            sources.append(None)
        else:
            sources.append(min(bit, width - 1))
    used = {bit for bit in sources if bit is not None}
    dropped = [digit for k, digit in enumerate(i.digits) if k not in used]
    there = None
    if dropped:
        there = b.complete_digits(dropped)
    zeros = [k for k, bit in enumerate(sources) if bit is None]
    if zeros or not o.width:
        zero = b.valid(i.digits[min(used)]) if there is None else there
        if not o.width:
            b.wire(o.digits[0][0], zero)
        for k in zeros:
            b.wire(o.digits[k][0], zero)
            b.wire(o.digits[k][1], ZERO)
        there = None
    for k, bit in enumerate(sources):
        if bit is not None:
            for rail, net in zip(o.digits[k], i.digits[bit], strict=True):
                b.wire(rail, net)
    b.wire(i.a, o.a if there is None else b.c(there, o.a))


DATA = {"source": _source, "const": _const, "buffer": _buffer, "fifo": _fifo, "init": _init, "fork": _fork,
        "pack": _pack, "unpack": _unpack, "sink_data": _sink, "slice": _slice}

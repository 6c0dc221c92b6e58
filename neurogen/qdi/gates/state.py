"""Gate equations of state, memory, arbitration and borders (qdi.md, section 4 D and E)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neurogen.qdi.gates.data import init_stage
from neurogen.qdi.gates.decide import decode
from neurogen.qdi.gates.netlist import Builder, Channel


__all__ = ["BORDER_KINDS", "STATE", "Bundle"]

Channels = Mapping[str, Any]
BORDER_KINDS = {"stream_to_qdi": "i", "qdi_to_stream": "o", "aer_port": "i"}  # kind: port of the other world


@dataclass(frozen=True)
class Bundle:
    """A channel of the other world: data with a request and an answer.

    Parameters
    ----------
    data
        Nets, lowest bit first.
    request
        ``valid`` of a stream, or the request of AER.
    answer
        ``ready`` of a stream, or the acknowledge of AER.
    """

    data: tuple[int, ...]
    request: int
    answer: int


def _reg(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    """An initialised word, copied to the readers that ask; the next comes when all have read."""
    w = ins["w"]
    word = b.like(f"{b.block}.word", w)
    init_stage(b, w, word, p["value"] & (1 << w.width) - 1)
    readers = [outs[f"o{k}"] for k in range(p["readers"])]
    for k, o in enumerate(readers):
        request = ins[f"r{k}"]
        for rail, source in zip(o.rails, word.rails, strict=True):
            b.wire(rail, b.c(request.digits[0][0], source))
        b.wire(request.a, o.a)
    b.wire(word.a, b.c(*(o.a for o in readers)))


def _latch(b: Builder, clear: int, fill: int, value: int) -> tuple[int, int]:
    """Return (not q, q) of a NOR latch that is ``value`` after reset."""
    q, low = b.net(f"{b.block}.q{len(b.nets)}"), b.net(f"{b.block}.n{len(b.nets)}")
    if value:
        b.gate("NG_NOR2", clear, low, out=q)
        b.gate("NG_NOR3", fill, q, b.rst, out=low)
    else:
        b.gate("NG_NOR3", clear, low, b.rst, out=q)
        b.gate("NG_NOR2", fill, q, out=low)
    return low, q


def _ram(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    """Read, let the output return to zero, then write or not; only then acknowledge."""
    write, a, d, o = ins["write"], ins["a"], ins["d"], outs["o"]
    words = decode(b, a.digits, len(p["values"]))
    done = b.net(f"{b.block}.done")
    not_done = b.inv(done)
    b.gate("NG_C2", b.any(*words), o.a, out=done)
    idle = b.gate("NG_NOR2", o.a, not_done)  # the word has been read
    keep, store = (b.c(rail, idle) for rail in write.digits[0])
    reads = [b.gate("NG_AND2", word, not_done) for word in words]
    stores = [b.c(word, store) for word in words]
    written = []
    rails: list[list[int]] = [[] for _ in o.rails]
    for k, digit in enumerate(d.digits):
        acks = []
        for value, read, up in zip(p["values"], reads, stores, strict=True):
            clear, fill = (b.c(up, rail) for rail in digit)
            latch = _latch(b, clear, fill, value >> k & 1)
            for bit, state in enumerate(latch):
                rails[2 * k + bit].append(b.gate("NG_AND2", read, state))
            acks += [b.gate("NG_AND2", clear, latch[0]), b.gate("NG_AND2", fill, latch[1])]
        written.append(b.any(*acks))
    for rail, sources in zip(o.rails, rails, strict=True):
        b.wire(rail, b.any(*sources))
    after = b.any(b.c(*written), keep)
    b.wires_to((write.a, a.a, d.a), b.c(after, b.complete(d)))


def _mutex(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    grants = [outs[f"g{k}"].digits[0][0] for k in (0, 1)]
    for k in (0, 1):
        b.gate("NG_MUTEX", ins[f"r{k}"].digits[0][0], grants[1 - k], out=grants[k])
        b.wire(ins[f"r{k}"].a, outs[f"g{k}"].a)


def _arb_merge(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    """A grant stands until its input has gone through completely, its return to zero included."""
    o = outs["o"]
    grants = [b.net(f"{b.block}.grant{k}") for k in (0, 1)]
    gated: list[list[int]] = []
    for k in (0, 1):
        i, grant = ins[f"i{k}"], grants[k]
        there = b.complete(i)
        passed = b.c(there, b.gate("NG_AND2", grant, o.a))
        b.gate("NG_MUTEX", b.any(there, passed), grants[1 - k], out=grant)
        gated.append([b.gate("NG_AND2", grant, rail) for rail in i.rails])
        b.wire(i.a, b.c(passed, grant))
    for rail, sources in zip(o.rails, zip(*gated, strict=True), strict=True):
        b.wire(rail, b.any(*sources))


def _seq(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    """An S-element starts; each done starts the next; i is acknowledged with o."""
    i, o, go = ins["i"], outs["o"], outs["go0"]
    request = i.digits[0][0]
    done = b.net(f"{b.block}.done")
    not_done = b.inv(done)
    b.wire(go.digits[0][0], b.gate("NG_AND2", request, not_done))
    b.gate("NG_C2", request, go.a, out=done)
    for k in range(p["n"] - 1):
        finished, following = ins[f"done{k}"], outs[f"go{k + 1}"]
        b.wire(following.digits[0][0], finished.digits[0][0])
        b.wire(finished.a, following.a)
    last = ins[f"done{p['n'] - 1}"]
    b.wire(o.digits[0][0], b.c(request, last.digits[0][0]))
    b.wire(last.a, o.a)
    b.wire(i.a, b.c(o.a, b.gate("NG_NOR2", go.a, not_done)))  # go0 has returned to zero


def _synchronised(b: Builder, net: int) -> int:
    return b.gate("NG_DFF", b.gate("NG_DFF", net, b.clk, b.rst), b.clk, b.rst)


def _timed(b: Builder, cell: str, *inputs: int) -> int:
    return b.gate(cell, *inputs, timed=True)


def _rails_from(b: Builder, go: int, data: tuple[int, ...], o: Channel) -> None:
    if not data:
        b.wire(o.digits[0][0], go)
    for (f, t), bit in zip(o.digits if data else (), data, strict=True):
        b.wire(t, b.gate("NG_AND2", go, bit))
        b.wire(f, b.gate("NG_AND2", go, _timed(b, "NG_INV", bit)))


def _stream_to_qdi(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    """Flip-flops raise ``go`` while data is valid; ready comes after the return to zero.

    Data is valid one clock before ``go`` and stands until ready, so its inverters have settled. The
    acknowledge is the only wire that crosses into the clock's domain; two flip-flops synchronise it.
    """
    i, o = ins["i"], outs["o"]
    acked = _synchronised(b, o.a)
    go, busy = b.net(f"{b.block}.go"), b.net(f"{b.block}.busy")
    free, ready_again, stopped = (_timed(b, "NG_INV", net) for net in (busy, acked, go))
    start = _timed(b, "NG_AND2", _timed(b, "NG_AND2", i.request, free), ready_again)
    ready = _timed(b, "NG_AND2", _timed(b, "NG_AND2", busy, stopped), ready_again)
    b.gate("NG_DFF", _timed(b, "NG_OR2", start, _timed(b, "NG_AND2", go, ready_again)), b.clk, b.rst, out=go)
    b.gate("NG_DFF", _timed(b, "NG_OR2", start, _timed(b, "NG_AND2", busy, _timed(b, "NG_INV", ready))),
           b.clk, b.rst, out=busy)
    b.wire(i.answer, ready)
    _rails_from(b, go, i.data, o)


def _qdi_to_stream(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    """The completion is synchronised; the rails t are the data, which stand until the acknowledge."""
    i, o = ins["i"], outs["o"]
    there = _synchronised(b, b.complete(i))
    taken = b.net(f"{b.block}.taken")
    b.wire(o.request, _timed(b, "NG_AND2", there, _timed(b, "NG_INV", taken)))
    b.gate("NG_DFF", _timed(b, "NG_AND2", there, _timed(b, "NG_OR2", taken, o.answer)), b.clk, b.rst,
           out=taken)
    for net, digit in zip(o.data, i.digits if p["width"] else (), strict=True):
        b.wire(net, digit[1])
    b.wire(i.a, taken)


def _aer_port(b: Builder, p: Mapping[str, Any], ins: Channels, outs: Channels) -> None:
    """Data has settled before the request rises and stands until it falls: the bundling constraint."""
    i, o = ins["i"], outs["o"]
    _rails_from(b, i.request, i.data, o)
    b.wire(i.answer, o.a)


STATE = {"reg": _reg, "ram": _ram, "mutex": _mutex, "arb_merge": _arb_merge, "seq": _seq,
         "stream_to_qdi": _stream_to_qdi, "qdi_to_stream": _qdi_to_stream, "aer_port": _aer_port}

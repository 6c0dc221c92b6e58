"""Firing rules of the blocks on integer tokens: what each takes and what it gives.

Operators are functions of their inputs (`OPERATORS`); what chooses among its ports or keeps a state has a
rule of its own. A rule returns whether it fired, and it fires as a whole: all tokens it takes and gives, at
once.
"""

from collections.abc import Callable, Mapping
from typing import Any

from neurogen.qdi.graph import Node


__all__ = ["OPERATORS", "evaluate", "rule"]


def _mask(width):
    return (1 << width) - 1


def _signed(x, width):
    return x - (1 << width) if width and x >> (width - 1) else x


def _order(p, x):
    return _signed(x, p["width"]) if p["signed"] else x


def _join(tokens, widths):
    word, at = 0, 0
    for x, width in zip(tokens, widths, strict=True):
        word |= x << at
        at += width
    return word


def _split(word, widths):
    fields = []
    for width in widths:
        fields.append(word & _mask(width))
        word >>= width
    return fields


def _slice(p, i):
    word = i >> p["low"]
    if p["signed"] and i >> (p["i_width"] - 1) & 1:
        word |= -1 << (p["i_width"] - p["low"])
    return word << p["shift"] & _mask(p["out_width"])


def _slice_rule(p, v):
    return _slice({"i_width": p["width"], **p}, v["i"])


_LOGIC = {"and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b}

# kind -> function of (parameters, tokens by port) -> token of port o
OPERATORS: dict[str, Callable[[Mapping[str, Any], Mapping[str, int]], int]] = {
    "const": lambda p, v: p["value"] & _mask(p["width"]),
    "pack": lambda p, v: _join((v[f"i{k}"] for k in range(len(p["widths"]))), p["widths"]),
    "slice": _slice_rule,
    "adder": lambda p, v: v["a"] + v["b"] & _mask(p["width"]),
    "sub": lambda p, v: v["a"] - v["b"] & _mask(p["width"]),
    "addc": lambda p, v: v["a"] + p["value"] & _mask(p["width"]),
    "logic": lambda p, v: _LOGIC[p["op"]](v["a"], v["b"]),
    "not": lambda p, v: v["a"] ^ _mask(p["width"]),
    "neg": lambda p, v: -v["a"] & _mask(p["width"]),
    "lt": lambda p, v: int(_order(p, v["a"]) < _order(p, v["b"])),
    "le": lambda p, v: int(_order(p, v["a"]) <= _order(p, v["b"])),
    "ltc": lambda p, v: int(_order(p, v["a"]) < p["value"]),
    "equal": lambda p, v: int(v["a"] == v["b"]),
    "eqc": lambda p, v: int(v["a"] == p["value"] & _mask(p["width"])),
    "mask": lambda p, v: v["x"] if v["c"] else 0,
    "ternary": lambda p, v: v["x"] if v["c"] else v["y"],
    "mul": lambda p, v: v["a"] * v["b"] & _mask(p["width"]),
    "lut": lambda p, v: p["table"][_join((v[f"i{k}"] for k in range(len(p["in_widths"]))), p["in_widths"])],
    "rom": lambda p, v: p["values"][v["a"]] & _mask(p["width"]),
    "buffer": lambda p, v: v["i"],
    "stream_to_qdi": lambda p, v: v["i"],
    "qdi_to_stream": lambda p, v: v["i"],
    "aer_port": lambda p, v: v["i"],
    "else_condition": lambda p, v: 1 << next((k for k in range(p["n"]) if v[f"c{k}"]), p["n"]),
}


def evaluate(kind: str, parameters: Mapping[str, Any], tokens: Mapping[str, int]) -> int:
    """Return the result of a block with one output that takes one token of each input.

    Raises
    ------
    KeyError
        If the kind is not in `OPERATORS`.
    """
    return OPERATORS[kind](parameters, tokens)


def rule(node: Node, ins: Mapping, outs: Mapping) -> Callable[[], bool]:
    """Return the function that fires a block once if it can.

    Parameters
    ----------
    ins, outs
        Channels of `neurogen.qdi.tokens` by port.

    Raises
    ------
    ValueError
        If the kind has no rule on tokens.
    """
    if node.kind in OPERATORS:
        return _together(ins, outs, lambda v: {"o": OPERATORS[node.kind](node.parameters, v)})
    if node.kind in _ALL:
        return _together(ins, outs, lambda v: _ALL[node.kind](node.parameters, v))
    if node.kind in _RULES:
        return _RULES[node.kind](node.parameters, ins, outs)
    raise ValueError(f"Kind of {node.id} must have a firing rule, not {node.kind!r}")


def _together(ins, outs, function):
    """Take one token of each input, give one to each output that the function names."""
    sources, targets = list(ins.items()), list(outs.values())

    def fire():
        for _, channel in sources:
            if not channel:
                return False
        for channel in targets:
            if channel.full:
                return False
        for name, value in function({port: channel.tokens.popleft() for port, channel in sources}).items():
            outs[name].tokens.append(value)
        return True
    return fire


_ALL = {
    "source": lambda p, v: {"o": p["value"] & _mask(p["width"])},
    "fork": lambda p, v: {f"o{k}": v["i"] for k in range(p["n"])},
    "unpack": lambda p, v: {f"o{k}": x for k, x in enumerate(_split(v["i"], p["widths"]))},
    "sink_data": lambda p, v: {},
    "parallel": lambda p, v: {f"o{k}": 0 for k in range(p["n"])},
}


def _fifo(p, ins, outs):
    held = []

    def fire():
        moved = False
        if held and not outs["o"].full:
            outs["o"].tokens.append(held.pop(0))
            moved = True
        if ins["i"] and len(held) < p["depth"]:
            held.append(ins["i"].tokens.popleft())
            moved = True
        return moved
    return fire


def _init(p, ins, outs):
    return _fifo_with([p["value"] & _mask(p["width"])], ins["i"], outs["o"])


def _fifo_with(held, source, target):
    def fire():
        if held and not target.full:
            target.tokens.append(held.pop(0))
            return True
        if source and not held:
            held.append(source.tokens.popleft())
            return True
        return False
    return fire


def _loop(p, ins, outs):
    first = [True]

    def fire():
        if first[0] and not outs["select"].full:
            outs["select"].tokens.append(0)
            first[0] = False
            return True
        if first[0] or not ins["c"] or outs["select"].full or outs["branch"].full:
            return False
        c = ins["c"].tokens.popleft()
        outs["select"].tokens.append(c)
        outs["branch"].tokens.append(c)
        return True
    return fire


def _select(index):
    def build(p, ins, outs):
        def fire():
            if not ins["s"] or outs["o"].full:
                return False
            channel = ins[f"i{index(ins['s'].tokens[0])}"]
            if not channel:
                return False
            ins["s"].tokens.popleft()
            outs["o"].tokens.append(channel.tokens.popleft())
            return True
        return fire
    return build


def _branch(index):
    def build(p, ins, outs):
        def fire():
            if not ins["s"] or not ins["i"]:
                return False
            channel = outs[f"o{index(ins['s'].tokens[0])}"]
            if channel.full:
                return False
            ins["s"].tokens.popleft()
            channel.tokens.append(ins["i"].tokens.popleft())
            return True
        return fire
    return build


def _merge(p, ins, outs):
    channels = list(ins.values())

    def fire():
        if outs["o"].full:
            return False
        for channel in channels:
            if channel:
                outs["o"].tokens.append(channel.tokens.popleft())
                return True
        return False
    return fire


def _gate(p, ins, outs):
    def fire():
        if not ins["c"] or not ins["i"] or (ins["c"].tokens[0] and outs["o"].full):
            return False
        x = ins["i"].tokens.popleft()
        if ins["c"].tokens.popleft():
            outs["o"].tokens.append(x)
        return True
    return fire


def _hold(p, ins, outs):
    held = []

    def fire():
        if not held:
            if not ins["i"] or outs["o"].full:
                return False
            held.append(ins["i"].tokens.popleft())
        elif not ins["c"] or (ins["c"].tokens[0] and outs["o"].full):
            return False
        elif not ins["c"].tokens.popleft():
            held.clear()
            return True
        outs["o"].tokens.append(held[0])
        return True
    return fire


def _reg(p, ins, outs):
    state = {"word": p["value"] & _mask(p["width"]), "read": set()}

    def fire():
        for k in range(p["readers"]):
            if k not in state["read"] and ins[f"r{k}"] and not outs[f"o{k}"].full:
                ins[f"r{k}"].tokens.popleft()
                outs[f"o{k}"].tokens.append(state["word"])
                state["read"].add(k)
                return True
        if ins["w"] and len(state["read"]) == p["readers"]:
            state.update(word=ins["w"].tokens.popleft(), read=set())
            return True
        return False
    return fire


def _ram(p, ins, outs):
    words = [x & _mask(p["width"]) for x in p["values"]]

    def access(v):
        old = words[v["a"]]
        if v["write"]:
            words[v["a"]] = v["d"]
        return {"o": old}
    return _together(ins, outs, access)


def _seq(p, ins, outs):
    at = [-1]  # -1: idle; k: waits for done k

    def fire():
        k = at[0]
        if k < 0:
            if not ins["i"] or outs["go0"].full:
                return False
            ins["i"].tokens.popleft()
            outs["go0"].tokens.append(0)
        elif k < p["n"] - 1:
            if not ins[f"done{k}"] or outs[f"go{k + 1}"].full:
                return False
            ins[f"done{k}"].tokens.popleft()
            outs[f"go{k + 1}"].tokens.append(0)
        else:
            if not ins[f"done{k}"] or outs["o"].full:
                return False
            ins[f"done{k}"].tokens.popleft()
            outs["o"].tokens.append(0)
            at[0] = -1
            return True
        at[0] += 1
        return True
    return fire


def _mutex(p, ins, outs):
    """Grant one request; the token model has no release, so a grant is the whole handshake."""
    def fire():
        for k in (0, 1):
            if ins[f"r{k}"] and not outs[f"g{k}"].full:
                ins[f"r{k}"].tokens.popleft()
                outs[f"g{k}"].tokens.append(0)
                return True
        return False
    return fire


def _bit(s):
    return s


def _one_hot(s):
    return s.bit_length() - 1


_RULES = {
    "fifo": _fifo, "init": _init, "loop": _loop, "merge": _merge, "arb_merge": _merge, "gate": _gate,
    "hold": _hold, "reg": _reg, "ram": _ram, "seq": _seq, "mutex": _mutex,
    "select": _select(_bit), "select_n": _select(_one_hot),
    "branch": _branch(_bit), "branch_n": _branch(_one_hot),
}

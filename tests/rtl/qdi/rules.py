"""The firing rule of each kind of block in plain Python, and parameters to try.

A rule fires its block once if it can: it pops tokens from ``ins`` (queues by port), appends to ``outs``
(lists by port), keeps what it remembers in ``mem``, and returns whether it fired.
"""

from collections import deque
from itertools import count

from neurogen.spec.qdi import BLOCKS


def _signed(value, width):
    return value - (1 << width) if value >> width - 1 else value


def _operator(function):
    def rule(p, ins, outs, mem):
        if not all(ins.values()):
            return False
        outs["o"].append(function(p, *(queue.popleft() for queue in ins.values())) % (1 << p["width"]))
        return True
    return rule


def _compare(function):
    def rule(p, ins, outs, mem):
        if not all(ins.values()):
            return False
        words = [queue.popleft() for queue in ins.values()]
        if p.get("signed"):
            words = [_signed(word, p["width"]) for word in words]
        outs["o"].append(int(function(p, *words)))
        return True
    return rule


def _copy(p, ins, outs, mem):
    if not ins["i"]:
        return False
    token = ins["i"].popleft()
    for tokens in outs.values():
        tokens.append(token)
    return True


def _const(p, ins, outs, mem):
    if not ins["i"]:
        return False
    ins["i"].popleft()
    outs["o"].append(p["value"])
    return True


def _init(p, ins, outs, mem):
    if not mem:
        mem["started"] = True
        outs["o"].append(p["value"])
        return True
    return _copy(p, ins, outs, mem)


def _pack(p, ins, outs, mem):
    if not all(ins.values()):
        return False
    word, low = 0, 0
    for width, queue in zip(p["widths"], ins.values(), strict=True):
        word |= queue.popleft() << low
        low += width
    outs["o"].append(word)
    return True


def _unpack(p, ins, outs, mem):
    if not ins["i"]:
        return False
    word = ins["i"].popleft()
    for width, tokens in zip(p["widths"], outs.values(), strict=True):
        tokens.append(word % (1 << width))
        word >>= width
    return True


def _sink(p, ins, outs, mem):
    return bool(ins["i"]) and ins["i"].popleft() is not None


def _slice(p, ins, outs, mem):
    if not ins["i"]:
        return False
    word = ins["i"].popleft()
    if p["signed"]:
        word = _signed(word, p["width"])
    outs["o"].append(((word >> p["low"]) << p["shift"]) % (1 << p["out_width"]))
    return True


def _lut(p, ins, outs, mem):
    if not all(ins.values()):
        return False
    index, low = 0, 0
    for width, queue in zip(p["in_widths"], ins.values(), strict=True):
        index += queue.popleft() * 2**low
        low += width
    outs["o"].append(p["table"][index])
    return True


def _select(one_hot):
    def rule(p, ins, outs, mem):
        if not ins["s"]:
            return False
        chosen = ins["s"][0].bit_length() - 1 if one_hot else ins["s"][0]
        if not ins[f"i{chosen}"]:
            return False
        ins["s"].popleft()
        outs["o"].append(ins[f"i{chosen}"].popleft())
        return True
    return rule


def _branch(one_hot):
    def rule(p, ins, outs, mem):
        if not (ins["s"] and ins["i"]):
            return False
        s = ins["s"].popleft()
        outs[f"o{s.bit_length() - 1 if one_hot else s}"].append(ins["i"].popleft())
        return True
    return rule


def _merge(p, ins, outs, mem):
    for queue in ins.values():
        if queue:
            outs["o"].append(queue.popleft())
            return True
    return False


def _else_condition(p, ins, outs, mem):
    if not all(ins.values()):
        return False
    conditions = [queue.popleft() for queue in ins.values()]
    outs["o"].append(1 << next((k for k, c in enumerate(conditions) if c), p["n"]))
    return True


def _parallel(p, ins, outs, mem):
    if not all(ins.values()):
        return False
    for queue in ins.values():
        queue.popleft()
    for tokens in outs.values():
        tokens.append(0)
    return True


def _loop(p, ins, outs, mem):
    if not mem:
        mem["started"] = True
        outs["select"].append(0)
        return True
    if not ins["c"]:
        return False
    outs["branch"].append(ins["c"][0])
    outs["select"].append(ins["c"].popleft())
    return True


def _gate(p, ins, outs, mem):
    if not (ins["c"] and ins["i"]):
        return False
    token = ins["i"].popleft()
    if ins["c"].popleft():
        outs["o"].append(token)
    return True


def _hold(p, ins, outs, mem):
    if "word" not in mem:
        if not ins["i"]:
            return False
        mem["word"] = ins["i"].popleft()
        outs["o"].append(mem["word"])
        return True
    if not ins["c"]:
        return False
    if ins["c"].popleft():
        outs["o"].append(mem["word"])
    else:
        del mem["word"]
    return True


def _reg(p, ins, outs, mem):
    # Reader k's j-th read gives word j; a write may come one word ahead of the slowest reader.
    words = mem.setdefault("words", [p["value"]])
    reads = mem.setdefault("reads", [0] * p["readers"])
    if ins["w"]:
        words.append(ins["w"].popleft())
        return True
    for k in range(p["readers"]):
        if ins[f"r{k}"] and reads[k] < len(words):
            ins[f"r{k}"].popleft()
            outs[f"o{k}"].append(words[reads[k]])
            reads[k] += 1
            return True
    return False


def _ram(p, ins, outs, mem):
    if not all(ins.values()):
        return False
    words = mem.setdefault("words", list(p["values"]))
    write, a, d = (queue.popleft() for queue in ins.values())
    outs["o"].append(words[a])
    if write:
        words[a] = d
    return True


def _seq(p, ins, outs, mem):
    step = mem.setdefault("step", 0)
    if step == 0 and not ins["i"]:
        return False
    k, waiting = divmod(step, 2)
    if waiting:
        if not ins[f"done{k}"]:
            return False
        ins[f"done{k}"].popleft()
    elif k == p["n"]:
        ins["i"].popleft()
        outs["o"].append(0)
        mem["step"] = 0
        return True
    else:
        outs[f"go{k}"].append(0)
    mem["step"] += 1
    return True


RULES = {
    "source": lambda p, ins, outs, mem: outs["o"].append(p["value"]) or True,
    "const": _const, "buffer": _copy, "fifo": _copy, "init": _init, "fork": _copy, "pack": _pack,
    "unpack": _unpack, "sink_data": _sink, "slice": _slice,
    "adder": _operator(lambda p, a, b: a + b),
    "sub": _operator(lambda p, a, b: a - b),
    "addc": _operator(lambda p, a: a + p["value"]),
    "logic": _operator(lambda p, a, b: {"and": a & b, "or": a | b, "xor": a ^ b}[p["op"]]),
    "not": _operator(lambda p, a: ~a),
    "neg": _operator(lambda p, a: -a),
    "lt": _compare(lambda p, a, b: a < b),
    "le": _compare(lambda p, a, b: a <= b),
    "ltc": _compare(lambda p, a: a < p["value"]),
    "equal": _compare(lambda p, a, b: a == b),
    "eqc": _compare(lambda p, a: a == p["value"]),
    "mask": _operator(lambda p, c, x: x if c else 0),
    "ternary": _operator(lambda p, c, x, y: x if c else y),
    "mul": _operator(lambda p, a, b: a * b),
    "lut": _lut,
    "rom": _operator(lambda p, a: p["values"][a]),
    "select": _select(False), "branch": _branch(False), "merge": _merge, "select_n": _select(True),
    "branch_n": _branch(True), "else_condition": _else_condition, "parallel": _parallel, "loop": _loop,
    "gate": _gate, "hold": _hold, "reg": _reg, "ram": _ram, "seq": _seq,
    "stream_to_qdi": _copy, "qdi_to_stream": _copy,
}

W = {"width": 4}
PARAMETERS = {
    "source": [{"width": 4, "value": 9}],
    "const": [{"width": 4, "value": 9, "trigger_width": 2}, {"width": 4, "value": 9, "trigger_width": 0}],
    "buffer": [W, {"width": 0}],
    "fifo": [{"width": 4, "depth": depth} for depth in (1, 2, 3, 5)] + [{"width": 0, "depth": 2}],
    "init": [{"width": 4, "value": 9}, {"width": 0, "value": 0}],
    "fork": [{"width": 4, "n": n} for n in (1, 2, 3)] + [{"width": 0, "n": 2}],
    "pack": [{"widths": (3, 1)}, {"widths": (2, 0, 5)}],
    "unpack": [{"widths": (3, 1)}, {"widths": (2, 0, 5)}],
    "sink_data": [W, {"width": 0}],
    "slice": [{"width": 6, "low": low, "out_width": out, "shift": shift, "signed": signed}
              for low, out, shift, signed in ((2, 3, 0, False), (0, 9, 0, True), (0, 9, 2, False),
                                              (3, 8, 1, True), (0, 0, 0, False))],
    **{kind: [{"width": width} for width in (1, 4)]
       for kind in ("adder", "sub", "not", "neg", "equal", "mask", "ternary", "mul")},
    "addc": [{"width": 4, "value": 11}],
    "logic": [{"width": 4, "op": op} for op in ("and", "or", "xor")],
    **{kind: [{"width": 4, "signed": signed} for signed in (False, True)] for kind in ("lt", "le")},
    "ltc": [{"width": 4, "value": value, "signed": signed}
            for value, signed in ((5, False), (12, False), (5, True), (-4, True))],
    "eqc": [{"width": 2, "value": 2}],
    "lut": [{"in_widths": (2, 1), "out_width": 3, "table": (5, 0, 7, 1, 2, 6, 3, 4)},
            {"in_widths": (1,), "out_width": 1, "table": (1, 0)}],
    "rom": [{"width": 5, "values": (3, 30, 7, 0, 21)}, {"width": 2, "values": (3,)}],
    "select": [W, {"width": 0}], "branch": [W, {"width": 0}],
    "merge": [{"width": 4, "n": 3}],
    "select_n": [{"width": 4, "n": 3}, {"width": 0, "n": 1}],
    "branch_n": [{"width": 4, "n": 3}, {"width": 0, "n": 1}],
    "else_condition": [{"n": 1}, {"n": 3}],
    "parallel": [{"n": 1}, {"n": 3}],
    "loop": [{}], "gate": [W, {"width": 0}], "hold": [W],
    "reg": [{"width": 4, "value": 9, "readers": 1}, {"width": 4, "value": 0, "readers": 3}],
    "ram": [{"width": 4, "values": (3, 1, 4, 1, 5)}, {"width": 2, "values": (0,)}],
    "mutex": [{}], "arb_merge": [W],
    "seq": [{"n": 1}, {"n": 3}],
    "stream_to_qdi": [W], "qdi_to_stream": [W], "aer_port": [W],
}
CASES = [(kind, parameters) for kind, choices in PARAMETERS.items() for parameters in choices]


def stimulus(kind, parameters, rng, tokens):
    """Return random tokens for each input: ``{port: [token, ...]}``."""
    inputs, _ = BLOCKS[kind].ports(**parameters)
    made = {port.name: [rng.getrandbits(port.width) if port.width else 0 for _ in range(tokens)]
            for port in inputs}
    if kind in ("select_n", "branch_n"):
        made["s"] = [1 << rng.randrange(parameters["n"]) for _ in range(tokens)]
    if kind in ("rom", "ram"):
        made["a"] = [rng.randrange(len(parameters["values"])) for _ in range(tokens)]
    return made


def fire(kind, parameters, tokens, limit=10**6):
    """Fire until nothing can; return what came out and how much of each input was taken."""
    inputs, outputs = BLOCKS[kind].ports(**parameters)
    ins = {port.name: deque(tokens[port.name]) for port in inputs}
    outs = {port.name: [] for port in outputs}
    mem = {}
    for fired in count(1):
        if not RULES[kind](parameters, ins, outs, mem) or fired == limit:
            return outs, {name: len(tokens[name]) - len(queue) for name, queue in ins.items()}

"""Verilog of Amaranth, rewritten into Verilog that simulates faster and means the same.

Amaranth writes next-state logic as combinational blocks, and every subexpression as a wire. Verilator
evaluates all of them in every cycle, some again when an input may have changed. Three rewritings, on the
text of each module, leave it less to do:

- A combinational block that computes the next value of one register, and nothing else, moves into the clocked
  block of that register.
- Wires that nobody reads go.
- Wires that are read under one condition of clocked blocks only become variables inside of it, so that they
  are evaluated in the cycles in which it holds. An enable in the gateware saves time here as it saves energy
  there.

Text that does not look like Amaranth's own is left as it is. Names inside of the design change, which matters
to waveforms only.

`without_zeros` is for synthesis as well.
"""

import re
from collections import Counter, defaultdict


__all__ = ["rewrite", "without_zeros"]


# Yosys writes words of 32 bits as decimals, and others as hexadecimals.
_ZEROS = re.compile(r"  initial begin\n(?:    \S+\[\d+\] = \d+'[hd]0+;\n)+  end\n")
_NAME = r"(?:\\\S+ |[A-Za-z_][\w$]*)"  # Yosys writes a space after each escaped name, and no other
_WORD = re.compile(_NAME)
_MODULE = re.compile(r"(?<=\nendmodule\n)")
_COMB = re.compile(r"  always @\* begin\n    if \(\\\S+ \) begin end\n((?:    .*\n)+)  end\n")
_TARGET = re.compile(rf"^ +({_NAME})(?:\[[^\]]*\])? = ", re.MULTILINE)
_REGISTER = re.compile(rf"  always @\(posedge clk\)\n    ({_NAME}) <= ({_NAME});\n")
_ASSIGN = re.compile(rf"  assign ({_NAME}) = .*;\n")
_WIRE = re.compile(rf"  wire ((?:signed )?(?:\[\d+:0\] )?)({_NAME});\n")
_GUARDED = re.compile(rf"  always @\(posedge clk\) begin\n    ({_NAME}) <= ({_NAME});\n"
                      r"    if \((.*)\) begin\n((?:      .*\n)+)    end\n  end\n")


def without_zeros(verilog: str) -> str:
    """Return Verilog that Amaranth wrote without the zeros in which its memories start.

    SRAM macros start with anything, block RAMs at zero without being told. A memory in which one word is
    not 0 keeps its contents.
    """
    return _ZEROS.sub("", verilog)


def rewrite(verilog: str) -> str:
    """Return Verilog for simulation that behaves as ``verilog``, which Amaranth wrote."""
    return "".join("".join(_sink(_prune(_move(_items(module))))) for module in _MODULE.split(verilog))


def _items(module: str) -> list[str]:
    """Split a module into declarations, assignments, blocks, and what else there is."""
    items, part, block = [], [], False
    for line in module.splitlines(keepends=True):
        block = block or (not part and line.startswith("  ") and line.endswith(" begin\n"))
        part.append(line)
        if line == "  end\n" if block else line.endswith(";\n") or not line.startswith("  "):
            items.append("".join(part))
            part, block = [], False
    return [*items, *part]


def _move(items: list[str]) -> list[str]:
    """Move next-state logic into clocked blocks."""
    uses = Counter(word for item in items for word in _WORD.findall(item))
    registers = {match[2]: match[1] for match in map(_REGISTER.fullmatch, items) if match}
    moved = set()
    for number, item in enumerate(items):
        comb = _COMB.fullmatch(item)
        target = comb and _TARGET.search(comb[1])
        if not target or target[1] not in registers:
            continue
        name = target[1]
        pattern = re.compile(rf"^( +){re.escape(name)}((?:\[[^\]]*\])?) = ", re.MULTILINE)
        body, count = pattern.subn(lambda m, name=name: f"{m[1]}{registers[name]}{m[2]} <= ", comb[1])
        # There may be its declaration, its register and these assignments, but nobody else who reads it.
        if uses[name] == count + 2 and _WORD.findall(comb[1]).count(name) == count:
            items[number] = f"  always @(posedge clk) begin\n{body}  end\n"
            moved.add(name)
    return [item for item in items if not (m := _REGISTER.fullmatch(item)) or m[2] not in moved]


def _prune(items: list[str]) -> list[str]:
    """Remove wires that nobody reads, and then those that only they read."""
    uses = Counter(word for item in items for word in _WORD.findall(item))
    wires = {match[2] for match in map(_WIRE.fullmatch, items) if match}
    assigns = {match[1]: item for item in items if (match := _ASSIGN.fullmatch(item))}
    gone = set()
    waiting = [name for name in wires & assigns.keys() if uses[name] == 2]  # declared and assigned
    while waiting:
        name = waiting.pop()
        gone.add(name)
        for word in _WORD.findall(assigns[name]):
            uses[word] -= 1
            if word in wires and word in assigns and uses[word] == 2 and word not in gone:
                waiting.append(word)
    kept = []
    for item in items:
        match = _ASSIGN.fullmatch(item) or _WIRE.fullmatch(item)
        if not match or match[match.lastindex] not in gone:
            kept.append(item)
    return kept


def _sink(items: list[str]) -> list[str]:
    """Join clocked blocks of one condition, and make wires that only they read their variables."""
    groups = defaultdict(list)
    for number, item in enumerate(items):
        match = _GUARDED.fullmatch(item)
        if match and match[1] == match[2] and "\n    end else " not in item:
            groups[match[3]].append(number)
    wires = {match[2]: number for number, item in enumerate(items) if (match := _WIRE.fullmatch(item))}
    assigns = {match[1]: number for number, item in enumerate(items)
               if (match := _ASSIGN.fullmatch(item)) and match[1] in wires}
    variables = defaultdict(list)
    for name, condition in _owners(items, groups, assigns).items():
        variables[condition].append(name)
    items = list(items)
    for count, (condition, members) in enumerate(groups.items()):
        names = variables[condition]
        # Variables of a task: Verilator makes them those of a C++ function, and those of a block global.
        text = [f"  task automatic rewritten_{count};\n"]
        text += [items[wires[name]].replace("wire", "    reg", 1) for name in names]
        text += ["    begin\n"]
        text += [items[assigns[name]].replace("assign", "   ", 1) for name in reversed(names)]
        text += [_GUARDED.fullmatch(items[number])[4] for number in members]
        text += [f"    end\n  endtask\n  always @(posedge clk)\n    if ({condition}) rewritten_{count};\n"]
        for number in (*members, *(place[name] for name in names for place in (wires, assigns))):
            items[number] = ""
        items[members[0]] = "".join(text)
    return items


def _owners(items: list[str], groups: dict[str, list[int]], assigns: dict[str, int]) -> dict[str, str]:
    """Return the wires to sink and their conditions; readers stand before what they read."""
    owner: dict[int, str | None] = dict.fromkeys(range(len(items)))  # of each item
    owner |= {number: condition for condition, members in groups.items() for number in members}
    names = {number: name for name, number in assigns.items()}
    reads, readers = {}, defaultdict(list)
    for number, item in enumerate(items):
        if not _WIRE.fullmatch(item):
            reads[number] = (set(_WORD.findall(item)) & assigns.keys()) - {names.get(number)}
            for name in reads[number]:
                readers[name].append(number)
    for condition in groups:  # evaluated in every cycle
        for name in _WORD.findall(condition):
            readers[name].append(-1)
    owner[-1] = None
    left = {name: sum(number in names for number in readers[name]) for name in assigns}
    waiting = [name for name, count in left.items() if not count]
    sunk = {}
    while waiting:
        name = waiting.pop()
        owners = {owner[number] for number in readers[name]}
        if len(owners) == 1 and None not in owners:
            sunk[name] = owner[assigns[name]] = owners.pop()
        for word in reads[assigns[name]]:
            left[word] -= 1
            if not left[word]:
                waiting.append(word)
    return sunk

"""The catalogue of the block library.

``python -m neurogen.qdi.gates.catalogue docs/reference/qdi_blocks.md`` writes it: for each block its firing
rule, gates, area on both kits and states of its proof. Only the sentences on how a block works are text here.
"""

import sys
from pathlib import Path
from typing import Any

from neurogen.qdi.gates.build import build_block
from neurogen.qdi.gates.mapping import KITS, load_kit, map_netlist
from neurogen.qdi.gates.proofs import EXEMPT, proof_cases, prove
from neurogen.spec.qdi import BLOCKS


__all__ = ["WIDTH", "catalogue", "example", "main"]

WIDTH = 8  # of the areas
_INTRODUCTION = """\
# Blocks of asynchronous circuits

<!-- Written by `python -m neurogen.qdi.gates.catalogue docs/reference/qdi_blocks.md`; do not edit. -->

The {count} blocks from which `neurogen synth` builds. Channels are dual-rail, four-phase, with an active-high
acknowledge `a`. `C` is a Muller C-element, `CD` the completion of a word (a C-element of all digits), and a
rail that names a bit stands for its 1. Areas are those of the cells at the parameters given, {libraries}.
*States* are those of the exhaustive proof of speed independence at widths 1 and 2 (the largest of the cases
proved, two-input C-elements): no excited gate is ever disabled, nothing can come to a dead end or starve, the
environment is never acknowledged at a wrong time, no illegal code. `mutex` is exempt: choosing is disabling.

Differences from the textbook forms are marked *early* (the result is emitted as soon as it is known, and the
acknowledge waits for the rest) and *held* (a steering rail stands until the output is neutral again, so that
ANDs gate the data, not C-elements).
"""
_HEADINGS = {"data": "Data handling", "operator": "Operators", "control": "Flow control",
             "state": "State, memory, arbitration", "border": "Borders"}
# How the gates of a block work: C(x, y) is a C-element, CD(x) the completion of a word
_GATES = {
    "source": "rail(value) = NOR(o.a, rst)",
    "const": "rail(value) = CD(i); i.a = o.a",
    "buffer": "o = C(i, not o.a), the enable 0 in reset; i.a = CD(o)",
    "fifo": "2 · depth half buffers",
    "init": "half buffers: empty, full with value, empty",
    "fork": "rails shared; i.a = C of all acknowledges",
    "pack": "rails side by side; the acknowledge to all",
    "unpack": "rails split; i.a = C of all acknowledges",
    "sink_data": "i.a = CD(i)",
    "slice": "wires; constant zeros are raised by the dropped digits, else i.a = C(CD(dropped), o.a)",
    "adder": "p = C(a, not b) or C(not a, b); g = C(a, b); k = C(not a, not b); carry early: "
             "g or C(p, carry); the highest carry does not exist. Threshold gates: TH23, TH34w2",
    "sub": "adder with the rails of b swapped and a carry in",
    "addc": "wires below the lowest 1 of the value, half adders above",
    "logic": "one C for each pair of rails, ORs; OR by De Morgan. Threshold: THand0, THxor0",
    "not": "rails swapped",
    "neg": "not, then addc 1",
    "lt": "chain from the lowest bit: t = less or C(same, t), early; a.a = C(o.a, all links valid)",
    "le": "lt with operands and result swapped",
    "ltc": "chain of 2 C for each bit above the lowest 1 of the value; early as lt",
    "equal": "a tree of early ANDs on the equal bits; a.a = C(o.a, what it did not wait for)",
    "eqc": "as equal, with the bits of the value as wires",
    "mask": "logic and, with c at each bit",
    "ternary": "o = C(c, x) or C(not c, y); c.a = C(o.a, CD(x, y))",
    "mul": "ANDs and adders, columns beyond the width left out",
    "lut": "walk through the decision diagram: C(node, rail) from level to level, ORs where ways meet",
    "rom": "as lut",
    "select": "held = s or taken; taken = held and o.a; o = held0·i0 or held1·i1; "
              "ik.a = C(taken, held); s.a = i0.a or i1.a",
    "branch": "held = s or ok.a; ok = held·i; s.a = i.a = C(o0.a, held0) or C(o1.a, held1)",
    "merge": "o = OR of the inputs; ik.a = C(CD(ik), o.a)",
    "select_n": "as select, with one rail for each input",
    "branch_n": "as branch, with one rail for each output",
    "else_condition": "chain: C(none so far, condition); acknowledged with C(o.a, all conditions valid)",
    "parallel": "C of all requests to all; C of all acknowledges to all",
    "loop": "fork of c to branch and to an init of 0, which is select",
    "gate": "o = C(c, i); c.a = i.a = C(o.a or not c, CD(i))",
    "hold": "half buffer x; o = x and go; go = first emission or c = 1; done = C(CD(x), o.a) tells them "
            "apart; c = 0 empties x",
    "reg": "init, then o = C(r, word) for each reader",
    "ram": "word lines by C; NOR latches; read, return to zero, write, acknowledge",
    "mutex": "two halves r and not the other grant: a macro on silicon",
    "arb_merge": "mutex on the completions; a grant stands until its input has gone through completely",
    "seq": "S-element for go0 (done = C(i, go0.a)), the others as wires; o = C(i, last done)",
    "stream_to_qdi": "two flip-flops synchronise o.a; two raise go while the word stands; rails = go, data",
    "qdi_to_stream": "two flip-flops synchronise CD(i); a third acknowledges; data are the rails t",
    "aer_port": "rails = request and data; acknowledge = o.a",
}


def example(kind: str) -> dict[str, Any]:
    """Return the parameters for which the catalogue gives an area."""
    given = {"width": WIDTH, "value": 91, "trigger_width": 1, "depth": 1, "n": 2, "widths": (WIDTH, WIDTH),
             "low": 0, "out_width": WIDTH + 1, "shift": 0, "signed": False, "op": "and", "in_widths": (4, 4),
             "table": tuple((x & 15) * (x >> 4) for x in range(256)), "values": (3, 1, 4, 1, 5, 9, 2, 6),
             "readers": 1}
    if kind == "lut":
        given["out_width"] = WIDTH
    return {name: given[name] for name in BLOCKS[kind].parameters}


def catalogue() -> str:
    """Return the page as Markdown."""
    kits = [load_kit(name) for name in KITS]
    cases: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for kind, width, parameters in proof_cases():
        cases.setdefault((kind, width), []).append(parameters)
    libraries = " and ".join(f"{kit.title} (`{kit.source}`)" for kit in kits)
    head = " | ".join(f"{kit.name} µm²" for kit in kits)
    lines = [_INTRODUCTION.format(count=len(BLOCKS), libraries=libraries)]
    for group, heading in _HEADINGS.items():
        lines += [f"## {heading}", "", f"| # | Block | Fires | Gates | {head} | States |",
                  "|---|---|---|---|---|---|---|"]
        for block in BLOCKS.values():
            if block.group == group:
                lines.append(_row(block, kits, cases))
        lines.append("")
    return "\n".join(lines)


def _row(block: Any, kits: list, cases: dict) -> str:
    parameters = example(block.kind)
    areas = []
    for kit in kits:
        netlist = build_block(block.kind, parameters, threshold=kit.threshold)
        areas.append(f"{map_netlist(netlist, kit).area:.0f}")
    proved = []
    for width in (1, 2):
        proofs = [prove(block.kind, p) for p in cases[block.kind, width]]
        if block.kind not in EXEMPT and not all(proof.holds for proof in proofs):
            raise ValueError(f"Proof of {block.kind} must hold, not fail")
        proved.append(max(proof.states for proof in proofs))
    states = "exempt" if block.kind in EXEMPT else f"{proved[0]:,}, {proved[1]:,}"
    text = ", ".join(f"{k}={_short(v)}" for k, v in parameters.items())
    name = f"`{block.kind}`<br>{text}" if text else f"`{block.kind}`"
    cells = [str(block.number), name, block.rule, _GATES[block.kind], *areas, states]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _short(value: Any) -> str:
    return "…" if isinstance(value, tuple) and len(value) > 4 else str(value)


def main(arguments: list[str]) -> int:
    """Write the page to the path given."""
    if len(arguments) != 1:
        sys.stderr.write("Usage: python -m neurogen.qdi.gates.catalogue PAGE.md\n")
        return 1
    Path(arguments[0]).write_text(catalogue(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

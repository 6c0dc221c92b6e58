"""At which parameters the blocks are proved, and what their environments promise."""

from typing import Any

from neurogen.qdi.gates.build import build_block
from neurogen.qdi.gates.explore import Proof, explore
from neurogen.qdi.gates.netlist import Netlist
from neurogen.spec.qdi import BLOCKS


__all__ = ["EXEMPT", "proof_cases", "promises", "prove"]

EXEMPT = ("mutex",)  # choosing disables a gate: the one non-persistent element, a macro on silicon


def proof_cases() -> list[tuple[str, int, dict[str, Any]]]:
    """Return (kind, width, parameters): each kind at widths 1 and 2, with its special cases.

    Kinds without a width take it as their number of ports. ``reg`` has two readers at width 1 and one at 2,
    ``ram`` two words at width 1 and one at width 2: more would take longer than a second.
    """
    cases = []
    for width in (1, 2):
        full = (1 << width) - 1
        for kind, block in BLOCKS.items():
            common = {"width": width, "value": 1, "n": 2, "signed": False}
            for more in _variants(width, full).get(kind, [{}]):
                given = common | more
                cases.append((kind, width, {name: given[name] for name in block.parameters}))
    return cases


def _variants(width: int, full: int) -> dict[str, list[dict[str, Any]]]:
    constants = [{"value": value} for value in range(full + 1)]
    size = 2 << width
    return {
        "source": constants, "init": constants, "addc": constants, "eqc": constants,
        "const": [{"trigger_width": trigger, "value": value}
                  for trigger in (0, width) for value in (0, full)],
        "fifo": [{"depth": 1}], "fork": [{"n": width + 1}],
        "pack": [{"widths": (width, 1)}, {"widths": (width, 0)}],
        "unpack": [{"widths": (width, 1)}, {"widths": (width, 0)}],
        "slice": [{"low": low, "out_width": out, "shift": shift, "signed": signed}
                  for low, out, shift, signed in ((0, width + 1, 0, False), (0, width + 1, 1, False),
                                                  (0, width + 1, 0, True), (width - 1, 1, 0, False),
                                                  (0, 0, 0, False))],
        "logic": [{"op": op} for op in ("and", "or", "xor")],
        "lt": [{"signed": False}, {"signed": True}], "le": [{"signed": False}, {"signed": True}],
        "ltc": [{"value": value - (full + 1) // 2 * signed, "signed": signed}
                for signed in (False, True) for value in range(full + 1)],
        "lut": [{"in_widths": (width, 1), "out_width": 2, "table": tuple(3 * k % 4 for k in range(size))},
                {"in_widths": (width, 0), "out_width": 1,
                 "table": tuple(k.bit_count() & 1 for k in range(size // 2))}],
        "rom": [{"values": (1, 0, full)[:width + 1]}],
        "select_n": [{"n": 4 - width}], "branch_n": [{"n": width + 1}],
        "else_condition": [{"n": width}, {"n": width + 1}], "parallel": [{"n": width + 1}],
        "reg": [{"readers": 3 - width}], "ram": [{"values": (1, 0)[:3 - width]}], "seq": [{"n": width}],
    }


def promises(kind: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what `explore` is told of the environment of a block."""
    if kind == "merge":
        return {"exclusive": tuple(f"i{k}" for k in range(parameters["n"]))}
    if kind in ("rom", "ram"):
        return {"tokens": {"a": set(range(len(parameters["values"])))}}
    return {}


def prove(kind: str, parameters: dict[str, Any], *, threshold: bool = False,
          netlist: Netlist | None = None, limit: int = 200_000) -> Proof:
    """Explore a block (or a netlist that claims to be one) in the environment that it is made for."""
    netlist = netlist or build_block(kind, parameters, threshold=threshold)
    return explore(netlist, limit=limit, **promises(kind, parameters))

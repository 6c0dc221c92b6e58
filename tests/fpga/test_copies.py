"""What steers many lanes is copied for each neighbourhood, and a netlist with copies does what it did."""

from collections import Counter
from copy import deepcopy

import pytest

from fpga.copies import copy_controls


UNUSED = 5000  # a wire that has a name and nothing else
RAMS = [(4, 22), (6, 46), (111, 22), (113, 82)]


def cell(kind, inputs, output=None, **attributes):
    """Return a cell as Yosys writes it, with ports A, B, ... and Z."""
    pins = {port: [wire] for port, wire in zip("ABCD", inputs, strict=False)}
    directions = dict.fromkeys(pins, "input")
    if output is not None:
        pins["Z"], directions["Z"] = [output], "output"
    return {"type": kind, "parameters": {}, "attributes": attributes, "port_directions": directions,
            "connections": pins}


def netlist(sinks, *, kind="TRELLIS_FF", placed=True, pin="DIA", other=True):
    """A driver of LUTs, each of which leads through a carry to a block RAM of states, and of a flip-flop."""
    cells = {"go": cell(kind, [1, "0"], 2)} | ({"other": cell("TRELLIS_FF", [2], 3)} if other else {})
    for number in range(sinks):
        wire = 10 + 2 * number
        cells[f"lut{number}"] = cell("LUT4", ["1", 2], wire)
        cells[f"sum{number}"] = cell("CCU2C", [wire], wire + 1)
    for number, (x, y) in enumerate(RAMS):
        data = [10 + 2 * sink + 1 for sink in range(number, sinks, len(RAMS))]
        ram = cells[f"top.states{number}.memory.0.0"] = cell("DP16KD", [])
        ram["connections"][pin], ram["port_directions"][pin] = data, "input"
        if placed:
            ram["attributes"]["BEL"] = f"X{x}/Y{y}/EBR0"
    return {"cells": cells, "netnames": {"all": {"bits": [UNUSED, "x"]}}}


def copied(top):
    top = deepcopy(top)
    return copy_controls(top), top["cells"]


def merged(before, after):
    """Return the cells with all copies, and what they drive, taken for their originals."""
    name = {added: added.split("$copy")[0] for added in after}
    wires = {after[added]["connections"]["Z"][0]: before[original]["connections"]["Z"][0]
             for added, original in name.items() if "Z" in after[added]["connections"]}
    found = {}
    for added, original in name.items():
        one = deepcopy(after[added])
        for pins in one["connections"].values():
            pins[:] = [wires.get(wire, wire) for wire in pins]
        assert found.setdefault(original, one) == one
    return found


def test_each_neighbourhood_gets_a_register_and_all_are_the_same():
    design = netlist(200)
    before = design["cells"]
    count, after = copied(design)
    assert count == 4 and set(after) - set(before) == {f"go$copy{n}" for n in range(4)}
    assert merged(before, after) == before
    drivers = Counter((after[f"lut{n}"]["connections"]["B"][0], n % len(RAMS)) for n in range(200))
    assert sorted(drivers.values()) == [50] * 4  # those of a block RAM share one, of their own
    assert after["other"]["connections"]["A"] == [2]
    assert min(after[f"go$copy{n}"]["connections"]["Z"][0] for n in range(4)) > UNUSED


def test_without_other_sinks_the_original_drives_a_group():
    design = netlist(200, other=False)
    before = design["cells"]
    count, after = copied(design)
    assert count == 3 and merged(before, after) == before
    used = Counter(after[f"lut{n}"]["connections"]["B"][0] for n in range(200))
    assert used == {after[name]["connections"]["Z"][0]: 50
                    for name in ("go", "go$copy0", "go$copy1", "go$copy2")}


@pytest.mark.parametrize("design", [
    netlist(149), netlist(200, placed=False), netlist(200, kind="LUT4"),
    *(netlist(200, pin=pin) for pin in ("ADA3", "WEA", "OCEB", "RSTA", "CSA0", "CLKA"))],
    ids=["few", "no places", "no register", *("to an address only", "WE", "OCE", "RST", "CS", "CLK")])
def test_others_keep_their_driver(design):
    before = deepcopy(design["cells"])
    assert copied(design) == (0, before)

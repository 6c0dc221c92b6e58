import json
import re
from collections import Counter

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from asic.buffers import buffer_nets
from asic.equivalence import prove
from asic.netlist import read_netlist
from asic.pdk import Pdk, load_pdk
from asic.slews import Timing
from asic.synth import synthesise
from neurogen.flow.errors import UserError
from neurogen.flow.verilator import to_verilog
from tests.asic.netlists import write_netlist
from tests.asic.test_synth import Store
from tests.asic.toy import needs_pdk, require, toy_pdk


require("libparse", "pyosys")


class Wide(wiring.Component):
    """Registers whose enable and whose choice are one bit each; a part of its own for half of them."""

    d: In(24)
    en: In(1)
    choice: In(1)
    q: Out(24)

    def __init__(self, depth=1):
        self.depth = depth
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        if self.depth:
            m.submodules.inner = inner = Wide(self.depth - 1)
            m.d.comb += [inner.d.eq(self.d), inner.en.eq(self.en), inner.choice.eq(self.choice)]
            other = inner.q
        else:
            other = Signal(24)
        held, late = Signal(24), Signal()
        m.d.sync += late.eq(self.choice)
        with m.If(self.en):
            m.d.sync += held.eq(late.replicate(24) & self.d | other)
        m.d.comb += self.q.eq(held)
        return m


def fanouts(path, pdk):
    """Return the inputs that each net of each module drives, and those that are clocks: counted apart."""
    found, clocks = Counter(), Counter()
    modules = json.loads(path.read_text())["modules"]
    for name, module in modules.items():
        for cell in module["cells"].values():
            for pin, bits in cell["connections"].items():
                if cell["type"] in modules:
                    output = modules[cell["type"]]["ports"][pin]["direction"] == "output"
                    clock = pin == "clk"
                elif cell["type"] in pdk.library:
                    output = pin in pdk.library[cell["type"]].outputs
                    clock = pin in ("C", "CK", "CLK")
                else:
                    output, clock = "DOUT" in pin, "CLK" in pin
                for bit in bits:
                    if not output and bit not in ("0", "1"):
                        (clocks if clock else found)[name, bit] += 1
    return found, clocks


def drivers(path, *kinds):
    """Return the nets that cells of these types drive."""
    modules = json.loads(path.read_text())["modules"]
    return {(name, cell["connections"]["Y"][0]) for name, module in modules.items()
            for cell in module["cells"].values() if cell["type"] in kinds}


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("gate_clocks", [True, False])
def test_no_gate_drives_more_than_the_limit(tmp_path, flat, gate_clocks):
    text, pdk = to_verilog(Wide(), "wide"), toy_pdk()
    options = {"flat": flat, "gate_clocks": gate_clocks, "script": "plain"}
    bare = synthesise(text, "wide", pdk, tmp_path, fanout=None, **options)
    assert bare["buffers"] == 0 and max(fanouts(tmp_path / "netlist.json", pdk)[0].values()) >= 24
    report = synthesise(text, "wide", pdk, tmp_path, fanout=4, **options)
    found, clocks = fanouts(tmp_path / "netlist.json", pdk)
    assert max(found.values()) == 4 and max(clocks.values()) >= 24
    assert report["buffers"] == report["cells"]["BUF"] - bare["cells"].get("BUF", 0) > 12
    assert report["area_um2"] - bare["area_um2"] == pytest.approx(report["buffers"] * pdk.library["BUF"].area)
    (tmp_path / "proof").mkdir()
    proof = prove(text, "wide", pdk, tmp_path / "netlist.json", tmp_path / "proof")
    assert proof.proved and proof.registers == report["registers"] >= 49


def test_pins_of_macros_get_buffers_and_their_clocks_do_not(tmp_path):
    text, pdk = to_verilog(Store(24, 64, 8), "store"), toy_pdk()
    report = synthesise(text, "store", pdk, tmp_path, fanout=2)
    assert report["macros"] and report["buffers"] > 8
    found, clocks = fanouts(tmp_path / "netlist.json", pdk)
    constants = drivers(tmp_path / "netlist.json", "TIELO", "TIEHI")
    assert max(n for net, n in found.items() if net not in constants) == 2
    assert max(clocks.values()) >= 6
    (tmp_path / "proof").mkdir()
    assert prove(text, "store", pdk, tmp_path / "netlist.json", tmp_path / "proof").proved


def test_trees_are_balanced_and_keep_the_names_of_nets(tmp_path):
    cells = {f"i{n}": ("INV", {"A": [9], "Y": [100 + n]}) for n in range(41)}
    cells["d"] = ("INV", {"A": [2], "Y": [9]})
    path = write_netlist(tmp_path / "n.json", {"a": ("input", [2]), "y": ("output", [9])}, cells)
    module = json.loads(path.read_text())["modules"]["top"]
    assert buffer_nets({"top": module}, "top", toy_pdk(), 4) == 11 + 3
    assert module["ports"]["y"]["bits"] == module["cells"]["d"]["connections"]["Y"] == [9]
    drives = {cell["connections"]["Y"][0]: cell["connections"]["A"][0] for cell in module["cells"].values()}
    sizes = Counter(drives[100 + n] for n in range(41))
    assert sorted(sizes.values()) == [3] * 3 + [4] * 8
    assert sorted(Counter(drives[net] for net in sizes).values()) == [3, 4, 4]
    assert {drives[drives[net]] for net in sizes} == {9}
    names = {bit for info in module["netnames"].values() for bit in info["bits"]}
    assert set(sizes) <= names


def test_constants_stay_with_one_cell(tmp_path):
    cells = {f"i{n}": ("INV", {"A": [9], "Y": [100 + n]}) for n in range(9)} | {"t": ("TIEHI", {"Y": [9]})}
    path = write_netlist(tmp_path / "n.json", {"a": ("input", [2])}, cells)
    module = json.loads(path.read_text())["modules"]["top"]
    assert buffer_nets({"top": module}, "top", toy_pdk(), 2) == 0


def test_ports_of_parts_are_loads_or_clocks(tmp_path):
    def module(cells):
        path = write_netlist(tmp_path / "n.json", {"clk": ("input", [2]), "a": ("input", [3])}, cells)
        return json.loads(path.read_text())["modules"]["top"]

    inner = module({"f": ("DFF", {"C": [2], "D": [3], "Q": [4]})})
    cells = {f"part{n}": ("inner", {"clk": [2], "a": [3]}) for n in range(6)}
    outer = module(cells)
    assert buffer_nets({"inner": inner, "top": outer}, "top", toy_pdk(), 4) == 2
    assert {outer["cells"][name]["connections"]["clk"][0] for name in cells} == {2}
    sizes = Counter(outer["cells"][name]["connections"]["a"][0] for name in cells)
    assert list(sizes.values()) == [3, 3] and 3 not in sizes


def test_limits_below_two_and_kits_without_buffers_are_refused(tmp_path):
    cells = {f"i{n}": ("INV", {"A": [2], "Y": [100 + n]}) for n in range(9)}
    path = write_netlist(tmp_path / "n.json", {"a": ("input", [2])}, cells)
    modules = json.loads(path.read_text())["modules"]
    with pytest.raises(ValueError, match=r"^Fan-out must be at least 2, not 1$"):
        buffer_nets(modules, "top", toy_pdk(), 1)
    toy = toy_pdk()
    poor = Pdk("toy", toy.root, {**toy.data, "cells": {**toy.data["cells"], "avoid": ["BUF"]}})
    with pytest.raises(UserError, match=r"^Toy has no buffer, and a net needs one$"):
        buffer_nets(modules, "top", poor, 4)


@needs_pdk
@pytest.mark.parametrize("name, kind, pins", [
    ("sg13g2", "sg13g2_inv_1", "AY"),
    ("sky130", "sky130_fd_sc_hd__inv_1", "AY"),
    ("asap7", "INVx1_ASAP7_75t_R", "AY"),
])
def test_buffers_fit_their_loads(tmp_path, name, kind, pins):
    """By `asic.slews`, no other buffer would be more than a tenth faster; heavy loads get larger ones."""
    pdk, (a, y), areas = load_pdk(name), pins, []
    single = [cell for cell in pdk.library if re.search(r"buf_\d|BUFx\d", cell) and not pdk.avoided(cell)]
    assert len(single) >= 5
    for load in (kind, max(single, key=lambda cell: pdk.library[cell].pins["A"].capacitance)):
        (pin,), (out,) = pdk.library[load].inputs, pdk.library[load].outputs
        cells = {f"i{n}": (load, {pin: [9], out: [100 + n]}) for n in range(24)}
        cells["d"] = (kind, {a: [2], y: [9]})
        path = write_netlist(tmp_path / "n.json", {"a": ("input", [2])}, cells)
        data = json.loads(path.read_text())
        assert buffer_nets(data["modules"], "top", pdk, 12) == 2
        inside = data["modules"]["top"]["cells"]
        (chosen,) = {cell["type"] for cell_name, cell in inside.items() if cell_name not in cells}
        delays = {}
        for other in single:
            for cell_name, cell in inside.items():
                if cell_name not in cells:
                    cell["type"] = other
                    bits = list(cell["connections"].values())
                    names = (*pdk.library[other].inputs, *pdk.library[other].outputs)
                    cell["connections"] = dict(zip(names, bits, strict=True))
            path.write_text(json.dumps(data))
            delays[other] = path_delay(read_netlist(path, "top", pdk.library))
        assert delays[chosen] <= 1.1 * min(delays.values()), delays
        areas.append(pdk.library[chosen].area)
    assert areas[0] < areas[1]


def path_delay(netlist):
    """Return the delay of the driver and of a buffer behind it."""
    timing, library = Timing(netlist), netlist.library
    driver = next(number for number, cell in enumerate(netlist.cells) if cell.name == "d")
    (out,) = library[netlist.cells[driver].kind].outputs
    (net,) = netlist.cells[driver].pins[out]
    buffer = netlist.loads[net][0][0]
    (pin,) = library[netlist.cells[buffer].kind].outputs
    return max(timing.delay(driver, out, netlist.ports["a"][1][0])) + max(timing.delay(buffer, pin, net))

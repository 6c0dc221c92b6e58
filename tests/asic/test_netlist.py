import json

from asic.liberty import read_liberty
from asic.netlist import read_netlist
from tests.asic.toy import FOLDER


def module(ports, cells):
    return {"ports": {name: {"direction": way, "bits": bits} for name, (way, bits) in ports.items()},
            "cells": {name: {"type": kind, "connections": pins} for name, (kind, pins) in cells.items()},
            "netnames": {name: {"bits": bits, "hide_name": 0} for name, (_, bits) in ports.items()}}


def test_a_port_may_be_constant_or_twice_or_fed_through(tmp_path):
    inner = module({"a": ("input", [2]), "same": ("output", [2]), "one": ("output", ["1"]),
                    "first": ("output", [3]), "second": ("output", [3])},
                   {"g": ("INV", {"A": [2], "Y": [3]})})
    middle = module({"a": ("input", [2]), "o": ("output", [3, 4, 5, 6])},
                    {"low": ("inner", {"a": [2], "same": [3], "one": [4], "first": [5], "second": [6]})})
    top = module({"a": ("input", [2]), "y": ("output", [7, 8, 9, 10])},
                 {"m": ("middle", {"a": [2], "o": [3, 4, 5, 6]}),
                  **{f"g{n}": ("INV", {"A": [3 + n], "Y": [7 + n]}) for n in range(4)}})
    path = tmp_path / "n.json"
    path.write_text(json.dumps({"modules": {"inner": inner, "middle": middle, "top": top}}))
    netlist = read_netlist(path, "top", read_liberty(FOLDER / "toy.lib"))
    pins = {cell.name: cell.pins for cell in netlist.cells}
    assert pins["g0"]["A"] == netlist.ports["a"][1] == pins["m.low.g"]["A"]
    assert pins["g1"]["A"] == (1,)
    assert pins["g2"]["A"] == pins["g3"]["A"] == pins["m.low.g"]["Y"]

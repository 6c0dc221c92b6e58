"""Small netlists as Yosys writes them, of the toy library's cells."""

import json


__all__ = ["write_netlist"]


def write_netlist(path, ports, cells, names=()):
    """Write a module ``top``: ports name -> (direction, bits), cells name -> (type, {pin: bits})."""
    bits = {bit: name for name, (_, found) in ports.items() for bit in found} | dict(names)
    module = {
        "ports": {
            name: {"direction": direction, "bits": found} for name, (direction, found) in ports.items()
        },
        "cells": {name: {"type": kind, "connections": pins} for name, (kind, pins) in cells.items()},
        "netnames": {name: {"bits": found, "hide_name": 0} for name, (_, found) in ports.items()}
        | {name: {"bits": [bit], "hide_name": 0} for bit, name in dict(names).items()},
    }
    path.write_text(json.dumps({"modules": {"top": module}}))
    assert bits
    return path

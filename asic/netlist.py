"""A mapped netlist as flat lists: nets, instances of cells and macros, ports."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from asic.cells import Cell
from neurogen.flow.errors import UserError


__all__ = ["Instance", "Netlist", "NetlistError", "read_netlist"]


class NetlistError(UserError):
    """A netlist is not one of the kit's cells, or has something that estimates cannot handle."""


@dataclass(frozen=True)
class Instance:
    """A cell or a macro: its path, its type, and its nets by pin (lowest bit first)."""

    name: str
    kind: str
    pins: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Netlist:
    """A flat netlist. Net 0 is the constant 0, net 1 the constant 1.

    Parameters
    ----------
    top
        Name of the top module.
    names
        Name of each net.
    ports
        Direction and nets by name of the port.
    cells
        Instances of standard cells.
    macros
        Instances of everything else: memories.
    library
        The cells by type.
    """

    top: str
    names: list[str]
    ports: dict[str, tuple[str, tuple[int, ...]]]
    cells: list[Instance]
    macros: list[Instance]
    library: Mapping[str, Cell] = field(repr=False)

    @cached_property
    def drivers(self) -> dict[int, tuple[int, str]]:
        """Number of the cell, and its pin, that drives a net."""
        result = {}
        for number, instance in enumerate(self.cells):
            for pin in self.library[instance.kind].outputs:
                for net in instance.pins.get(pin, ()):
                    result[net] = (number, pin)
        return result

    @cached_property
    def loads(self) -> dict[int, list[tuple[int, str]]]:
        """Numbers of the cells, and their pins, that a net feeds."""
        result: dict[int, list[tuple[int, str]]] = {}
        for number, instance in enumerate(self.cells):
            for pin in self.library[instance.kind].inputs:
                for net in instance.pins.get(pin, ()):
                    result.setdefault(net, []).append((number, pin))
        return result


def read_netlist(
    path: Path | str, top: str, library: Mapping[str, Cell], macros: tuple[str, ...] = ()
) -> Netlist:
    """Return the netlist that Yosys wrote as JSON, with its hierarchy flattened.

    Parameters
    ----------
    library
        Standard cells.
    macros
        Names of cells that are not in the library.

    Raises
    ------
    NetlistError
        If a cell is neither, or there is no module ``top``.
    """
    try:
        modules = json.loads(Path(path).read_text(encoding="utf-8"))["modules"]
    except (ValueError, KeyError) as error:
        raise NetlistError(f"Netlist must be JSON of Yosys, not {path}: {error}") from None
    if top not in modules:
        raise NetlistError(f"Netlist {path} must have a module {top}, and has {', '.join(modules)}")
    reader = _Reader(modules, library, frozenset(macros))
    ports = reader.walk(top, "", None)
    return reader.joined(Netlist(top, reader.names, ports, reader.cells, reader.macros, library))


class _Reader:
    """Walks the hierarchy, and numbers nets."""

    def __init__(self, modules, library, macros):
        self.modules, self.library, self.known = modules, library, macros
        self.names = ["0", "1"]
        self.cells: list[Instance] = []
        self.macros: list[Instance] = []
        # Nets that a port makes one with another: outputs of one net, or constant, or fed through.
        self.same: dict[int, int] = {}

    def root(self, net: int) -> int:
        """Return the net that stands for this one and all that are the same."""
        while net in self.same:
            net = self.same[net]
        return net

    def joined(self, netlist: Netlist) -> Netlist:
        """Return a netlist in which nets that are the same have one number."""
        if not self.same:
            return netlist

        def renamed(instances):
            return [Instance(one.name, one.kind, {pin: tuple(map(self.root, nets))
                                                  for pin, nets in one.pins.items()}) for one in instances]

        ports = {name: (way, tuple(map(self.root, nets))) for name, (way, nets) in netlist.ports.items()}
        return replace(netlist, ports=ports, cells=renamed(netlist.cells), macros=renamed(netlist.macros))

    def walk(self, module, path, outer):
        """Add a module's instances; ``outer`` has the nets of its ports, or is None at the top."""
        data = self.modules[module]
        nets: dict[object, int] = {"0": 0, "1": 1, "x": 0, "z": 0}
        if outer is not None:
            for name, port in data["ports"].items():
                for bit, net in zip(port["bits"], outer.get(name, ()), strict=False):
                    # The lower number stands for both: constants have the lowest.
                    low, high = sorted((self.root(nets.setdefault(bit, net)), self.root(net)))
                    if low != high:
                        self.same[high] = low
        labels = {}
        for name, info in sorted(data["netnames"].items(), key=lambda item: item[1].get("hide_name", 0)):
            for index, bit in enumerate(info["bits"]):
                labels.setdefault(bit, f"{path}{name}[{index}]" if len(info["bits"]) > 1 else f"{path}{name}")

        def number(bit):
            if bit not in nets:
                nets[bit] = len(self.names)
                self.names.append(labels.get(bit, f"{path}n{bit}"))
            return nets[bit]

        ports = {
            name: (port["direction"], tuple(number(bit) for bit in port["bits"]))
            for name, port in data["ports"].items()
        }
        for name, cell in data["cells"].items():
            pins = {pin: tuple(number(bit) for bit in bits) for pin, bits in cell["connections"].items()}
            kind = cell["type"]
            if kind in self.library:
                self.cells.append(Instance(f"{path}{name}", kind, pins))
            elif kind in self.modules and kind not in self.known:
                self.walk(kind, f"{path}{name}.", pins)
            elif kind in self.known:
                self.macros.append(Instance(f"{path}{name}", kind, pins))
            else:
                raise NetlistError(f"Cell {path}{name} of type {kind} is neither in the library nor a macro")
        return ports

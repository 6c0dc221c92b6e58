"""Generic cells as cells of a PDK: netlists of library cells, areas, and the hold paths to be watched.

A kit is two files: ``kits/<name>.yaml`` says how each generic cell is made, ``kits/<name>_cells.yaml`` holds
areas and mean delays from Liberty (written by ``python -m asic.qdi_cells``).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import yaml

from neurogen.qdi.gates.cells import CELLS, HOLD, Cell
from neurogen.qdi.gates.netlist import Gate, Netlist


__all__ = ["KITS", "Kit", "Mapped", "kit_files", "load_kit", "map_netlist"]

KITS = ("sky130", "sg13g2")


@dataclass(frozen=True)
class Kit:
    """How a PDK makes the generic cells.

    Parameters
    ----------
    name, title
        Short and full name.
    threshold
        Whether blocks are to be built with threshold gates.
    prefix
        Of the names of the library's cells.
    cells
        Library cells as tables, by full name; flip-flops have none.
    pins
        Input pins and output pin of each library cell.
    recipes
        Instances for each generic cell: (library cell, nets by pin).
    area
        In µm², of each library cell.
    delay
        Rise and fall in ps at the load of the file, of each library cell.
    source
        Liberty file of areas and delays.
    """

    name: str
    title: str
    threshold: bool
    prefix: str
    cells: Mapping[str, Cell]
    pins: Mapping[str, tuple[tuple[str, ...], str]]
    recipes: Mapping[str, tuple[tuple[str, Mapping[str, str]], ...]]
    area: Mapping[str, float]
    delay: Mapping[str, tuple[float, float]]
    source: str

    def generic_area(self, cell: str) -> float:
        """Return the area of a generic cell in µm².

        Raises
        ------
        ValueError
            If the kit has no recipe for it.
        """
        return sum(self.area[name] for name, _ in self._recipe(cell))

    def _recipe(self, cell: str) -> tuple[tuple[str, Mapping[str, str]], ...]:
        if cell not in self.recipes:
            raise ValueError(f"Cells of {self.name} must have a recipe for {cell}; "
                             f"build with threshold={self.threshold}")
        return self.recipes[cell]


@dataclass
class Mapped:
    """A netlist of library cells.

    Parameters
    ----------
    netlist
        Its gates are library cells; ``cells`` of the netlist holds their tables.
    kit
        Where they come from.
    holds
        Hold paths: for each generic cell with hysteresis made of several cells, its instance name, the net
        of the hold path, its output and its inputs.
    feedback
        Inputs of instances (name, number) at which a cell with hysteresis reads its own output.
    """

    netlist: Netlist
    kit: Kit
    holds: list[tuple[str, int, int, tuple[int, ...]]] = field(default_factory=list)
    feedback: list[tuple[str, int]] = field(default_factory=list)

    @property
    def area(self) -> float:
        """Cell area in µm²."""
        return sum(self.kit.area[gate.cell] for gate in self.netlist.gates)

    def area_of_blocks(self) -> dict[str, float]:
        """Return the cell area of each block in µm², in the order of the netlist."""
        areas: dict[str, float] = dict.fromkeys(self.netlist.blocks, 0.0)
        for gate in self.netlist.gates:
            areas[gate.block] = areas.get(gate.block, 0.0) + self.kit.area[gate.cell]
        return areas


def kit_files(name: str) -> tuple[Path, Path]:
    """Return the paths of the recipes and of the areas of a kit.

    Raises
    ------
    ValueError
        If there is no such kit.
    """
    if name not in KITS:
        raise ValueError(f"Kit must be one of {', '.join(KITS)}, not {name!r}")
    folder = Path(__file__).parent / "kits"
    return folder / f"{name}.yaml", folder / f"{name}_cells.yaml"


@cache
def load_kit(name: str) -> Kit:
    """Return a kit by name (``sky130``, ``sg13g2``).

    Raises
    ------
    ValueError
        If there is no such kit.
    """
    recipes, numbers = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in kit_files(name))
    prefix = recipes["prefix"]
    cells, pins = {}, {}
    for short, (inputs, text, output) in recipes["functions"].items():
        names = tuple(inputs.split())
        cells[prefix + short] = _table(prefix + short, names, text)
        pins[prefix + short] = names, output
    for short, (*names, output) in recipes["flops"].items():
        kind = "NG_DFFS" if names[2].startswith("SET") else "NG_DFF"
        cells[prefix + short] = Cell(kind, tuple(names), (0, 0, 0), (), f"flip-flop with {names[2]}")
        pins[prefix + short] = tuple(names), output
    for short, (*names, output) in recipes["latches"].items():  # data, gate, reset (active low)
        table = (0, 0, 0, 0, HOLD, HOLD, 0, 1)
        cells[prefix + short] = Cell("NG_LATCH", tuple(names), (1, 2, 4), table, "latch")
        pins[prefix + short] = tuple(names), output
    parsed = {generic: tuple(_instance(prefix, text) for text in texts)
              for generic, texts in recipes["cells"].items()}
    return Kit(name, recipes["title"], recipes["threshold"], prefix, cells, pins, parsed,
               {prefix + short: row[0] for short, row in numbers["cells"].items()},
               {prefix + short: (row[1], row[2]) for short, row in numbers["cells"].items()},
               numbers["source"])


def _table(name: str, pins: tuple[str, ...], text: str) -> Cell:
    """Return a cell for an expression over its pins (of the kit's file, and only there)."""
    if not re.fullmatch(r"[\w\s()+><!=1]+", text):
        raise ValueError(f"Function of {name} must be a logical expression, not {text!r}")
    table = []
    for index in range(1 << len(pins)):
        values = {pin: index >> k & 1 for k, pin in enumerate(pins)}
        table.append(int(bool(eval(text, {"__builtins__": {}}, values))))
    return Cell(name, pins, tuple(1 << k for k in range(len(pins))), tuple(table), text)


def _instance(prefix: str, text: str) -> tuple[str, Mapping[str, str]]:
    cell, *pins = text.split()
    return prefix + cell, dict(pin.split("=") for pin in pins)


def map_netlist(netlist: Netlist, kit: Kit) -> Mapped:
    """Return a netlist in library cells; cells without a state that have the same inputs become one.

    Raises
    ------
    ValueError
        If the kit has no recipe for a cell of the netlist.
    """
    nets = list(netlist.nets)
    gates: list[Gate] = []
    holds, feedback = [], []
    same: dict[tuple, int] = {}
    timed = set()
    for gate in netlist.gates:
        generic = CELLS[gate.cell]
        recipe = kit._recipe(gate.cell)
        local = dict(zip(generic.pins, gate.inputs, strict=True)) | {"y": gate.output}
        for number, (cell, pins) in enumerate(recipe):
            inputs, output = kit.pins[cell]
            driven = pins[output]
            names = [pins[pin] for pin in inputs]
            if driven != "y":
                known = "y" not in names and driven not in names and all(name in local for name in names)
                key = (gate.block, cell, tuple(local[name] for name in names)) if known else None
                if key in same:
                    local[driven] = same[key]
                    continue
                if driven not in local:
                    nets.append(f"{gate.name}.{driven}")
                    local[driven] = len(nets) - 1
                if key and kit.cells[cell].table:
                    same[key] = local[driven]
            for name in names:
                if name not in local:
                    nets.append(f"{gate.name}.{name}")
                    local[name] = len(nets) - 1
            made = gate.name if len(recipe) == 1 else f"{gate.name}.{number}"
            gates.append(Gate(cell, tuple(local[name] for name in names), local[driven], made, gate.block))
            feedback += [(made, k) for k, name in enumerate(names) if name == "y"]
            if gate.name in netlist.timed:
                timed.add(made)
        if "hold" in local:
            holds.append((gate.name, local["hold"], gate.output, gate.inputs[:len(generic.pins) - (
                generic.pins[-1] == "rst")]))
    mapped = replace(netlist, nets=nets, gates=gates, timed=frozenset(timed), cells=kit.cells)
    return Mapped(mapped, kit, holds, feedback)

"""Reads cell libraries in the Liberty format.

The text is parsed by `libparse`, Yosys' own parser; this module gives the parts that estimators need a
meaning, in SI units. Cells are converted when they are first looked at: libraries have hundreds, netlists
use a few.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from asic.cells import Arc, Cell, InternalPower, Leakage, Pin, Table
from asic.expressions import parse_expression
from neurogen.flow.errors import UserError


__all__ = [
    "Arc",
    "Cell",
    "InternalPower",
    "Leakage",
    "Library",
    "LibertyError",
    "Pin",
    "Table",
    "read_liberty",
]


class LibertyError(UserError):
    """A Liberty file does not parse, or lacks what is needed; the text names file and line, or cell."""


class Library(Mapping[str, Cell]):
    """Cells by name, of one or several files; ``voltage`` in V, ``name`` of the first file."""

    def __init__(self, parts: list["_File"]):
        self.name = parts[0].name
        self.voltage = parts[0].voltage
        self._where = {name: part for part in reversed(parts) for name in part.cells}
        self._cells: dict[str, Cell] = {}

    def __getitem__(self, name: str) -> Cell:
        if name not in self._cells:
            self._cells[name] = self._where[name].cell(name)
        return self._cells[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


def read_liberty(*paths: Path | str) -> Library:
    """Return the cells of Liberty files; where a name occurs twice, the first file counts.

    Raises
    ------
    LibertyError
        If a file does not parse (names file and line), or is no library.
    """
    return Library([_File(Path(path)) for path in paths])


class _File:
    """One file: its tree, its units and its table templates."""

    def __init__(self, path: Path):
        from libparse import LibertyParser  # the extra `asic` is needed from here on

        self.path = path
        try:
            with path.open(encoding="latin-1") as stream:
                tree = LibertyParser(stream).ast
        except RuntimeError as error:
            line = re.search(r"line (\d+)", str(error))
            where = f"{path}:{line[1]}" if line else str(path)
            raise LibertyError(
                f"Liberty file does not parse: {where}: {' '.join(str(error).split())}"
            ) from None
        if tree is None or tree.id != "library":
            raise LibertyError(f"Liberty file must begin with a library, and {path} does not")
        self.name = _text(tree.args[0]) if tree.args else path.stem
        self.cells, self.templates, self.head = {}, {}, {}
        for node in tree.children:
            if node.id == "cell":
                self.cells[_text(node.args[0])] = node
            elif node.id in ("lu_table_template", "power_lut_template"):
                self.templates[_text(node.args[0])] = _attributes(node)
            elif node.value:
                self.head[node.id] = _text(node.value)
            elif node.args:
                self.head[node.id] = [_text(arg) for arg in node.args]
        self.voltage = self._number(self.head.get("nom_voltage", "1"), "nom_voltage")
        self.time = self._unit("time_unit", "1ns", {"s": 1.0})
        scale, unit = self.head.get("capacitive_load_unit", ["1", "pf"])
        self.farad = self._number(scale, "capacitive_load_unit") * {"ff": 1e-15, "pf": 1e-12}[unit.lower()]
        self.watt = self._unit("leakage_power_unit", "1nW", {"w": 1.0})
        volt = self._unit("voltage_unit", "1V", {"v": 1.0})
        self.joule = self.farad * volt * volt  # of internal_power: the unit of a load times a voltage squared

    def _number(self, text: str, what: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise LibertyError(f"Attribute {what} of {self.path} must be a number, not {text!r}") from None

    def _unit(self, name: str, default: str, base: dict[str, float]) -> float:
        text = self.head.get(name, default)
        found = re.fullmatch(r"\s*([\d.eE+-]*?)\s*([munpf]?)([a-zA-Z])\s*", text)
        if not found or found[3].lower() not in base:
            raise LibertyError(f"Attribute {name} of {self.path} must be a unit, not {text!r}")
        prefix = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}[found[2]]
        return self._number(found[1] or "1", name) * prefix * base[found[3].lower()]

    def cell(self, name: str) -> Cell:
        node = self.cells[name]
        attributes, pins, leakage, storage, memory = {}, {}, [], {}, False
        for child in node.children:
            match child.id:
                case "pin":
                    for pin in child.args:
                        pins[_text(pin)] = self._pin(name, _text(pin), child)
                case "bus":
                    pins[_text(child.args[0])] = self._bus(name, child)
                case "leakage_power":
                    leakage.append(self._leakage(name, child))
                case "ff" | "latch":
                    state, inverse = [_text(arg) for arg in child.args][:2]
                    storage = {"kind": child.id, "state": state, "inverse": inverse, **_attributes(child)}
                case "statetable":
                    storage = storage or {"kind": "statetable"}
                case "memory":
                    memory = True
                case _ if child.value:
                    attributes[child.id] = _text(child.value)
        default = self._number(
            attributes.get("cell_leakage_power", self.head.get("default_cell_leakage_power", "0")), "leakage"
        )
        return Cell(
            name,
            self._number(attributes.get("area", "0"), f"area of {name}"),
            pins,
            tuple(leakage),
            default * self.watt,
            storage,
            attributes.get("clock_gating_integrated_cell", ""),
            memory,
        )

    def _bus(self, cell, node):
        """Return a bus as one pin: what stands in its own pins counts for each bit."""
        inner = [child for child in node.children if child.id == "pin"]
        return self._pin(cell, _text(node.args[0]), node, *inner)

    def _pin(self, cell, name, node, *more):
        attributes = {}
        internal, arcs = [], []
        for source in (*more, node):
            attributes |= {key: value for key, value in _attributes(source).items() if isinstance(value, str)}
        for source in (node, *more):
            for child in source.children:
                if child.id == "internal_power":
                    internal.append(self._internal(cell, child))
                elif child.id == "timing":
                    arcs.append(self._arc(cell, child))
        caps = [
            self._number(attributes[key], f"{key} of {cell}")
            for key in ("capacitance", "rise_capacitance", "fall_capacitance")
            if key in attributes
        ]
        mean = caps[0] if caps else 0.0
        if len(caps) == 3:
            mean = (caps[1] + caps[2]) / 2
        largest = max([*caps, *self._capacitance_range(node)], default=0.0)
        function = attributes.get("function")
        return Pin(
            name,
            attributes.get("direction", "input"),
            mean * self.farad,
            largest * self.farad,
            attributes.get("clock", "false") == "true",
            self._expression(cell, function),
            tuple(internal),
            tuple(arc for arc in arcs if arc is not None),
        )

    def _capacitance_range(self, node):
        for child in node.children:
            if child.id in ("rise_capacitance_range", "fall_capacitance_range"):
                yield from (
                    self._number(part, child.id) for arg in child.args for part in _text(arg).split(",")
                )

    def _expression(self, cell, text):
        if text is None:
            return None
        try:
            return parse_expression(text)
        except ValueError as error:
            raise LibertyError(f"Expression {text!r} of cell {cell} in {self.path}: {error}") from None

    def _leakage(self, cell, node):
        data = _attributes(node)
        return Leakage(
            self._number(data.get("value", "0"), f"leakage of {cell}") * self.watt,
            self._expression(cell, data.get("when")),
            data.get("related_pg_pin", ""),
        )

    def _internal(self, cell, node):
        data = _attributes(node)
        tables = {
            child.id: self._table(cell, child, self.joule)
            for child in node.children
            if child.id in ("rise_power", "fall_power", "power")
        }
        both = tables.get("power")
        return InternalPower(
            tuple(data.get("related_pin", "").split()),
            self._expression(cell, data.get("when")),
            data.get("related_pg_pin", ""),
            tables.get("rise_power", both),
            tables.get("fall_power", both),
        )

    def _arc(self, cell, node):
        data = _attributes(node)
        kind = data.get("timing_type", "combinational")
        if not (
            kind.startswith("combinational") or kind in ("rising_edge", "falling_edge", "preset", "clear")
        ):
            return None  # constraints
        tables = {
            child.id: self._table(cell, child, self.time)
            for child in node.children
            if child.id in ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
        }
        return Arc(
            tuple(data.get("related_pin", "").split()),
            data.get("timing_sense", "non_unate"),
            kind,
            self._expression(cell, data.get("when")),
            (tables.get("cell_rise"), tables.get("cell_fall")),
            (tables.get("rise_transition"), tables.get("fall_transition")),
        )

    def _table(self, cell, node, unit):
        template = self.templates.get(_text(node.args[0]) if node.args else "", {})
        data = {**template, **_attributes(node)}
        axes = {}
        for number in "12":
            if f"index_{number}" in data and f"variable_{number}" in data:
                axes[data[f"variable_{number}"]] = self._numbers(cell, data[f"index_{number}"])
        rows = data.get("values", ["0"])
        values = self._numbers(cell, rows) * unit
        names = list(axes)
        slews, loads = np.zeros(1), np.zeros(1)
        if values.size > 1:
            try:
                values = values.reshape([len(axes[name]) for name in names] or [1])
            except ValueError:
                raise LibertyError(
                    f"Table of cell {cell} in {self.path} has {values.size} values for axes of "
                    f"{[len(axis) for axis in axes.values()]}"
                ) from None
            values = np.atleast_2d(values)
            is_slew = ["transition" in name for name in names]
            if len(names) == 1:
                values = values.T if is_slew[0] else values
            elif is_slew == [False, True]:
                values = values.T
            for name, slew in zip(names, is_slew, strict=True):
                if slew:
                    slews = axes[name] * self.time
                else:
                    loads = axes[name] * self.farad
        return Table(slews, loads, np.atleast_2d(values))

    @cached_property
    def _cache(self):
        return {}

    def _numbers(self, cell, rows):
        key = tuple(rows) if isinstance(rows, list) else (rows,)
        if len(key) == 1 and key in self._cache:
            return self._cache[key]  # axes repeat thousands of times
        try:
            result = np.array([float(part) for row in key for part in row.replace(",", " ").split()])
        except ValueError as error:
            raise LibertyError(f"Table of cell {cell} in {self.path}: {error}") from None
        if len(key) == 1:
            self._cache[key] = result
        return result


def _text(value: str) -> str:
    return value.strip().strip('"').strip()


def _attributes(node) -> dict[str, str | list[str]]:
    """Return attributes: simple ones as text, complex ones as lists of their arguments."""
    result: dict[str, str | list[str]] = {}
    for child in node.children:
        if child.value:
            result[child.id] = _text(child.value)
        elif child.args and not child.children:
            result[child.id] = [_text(arg).replace("\\\n", " ") for arg in child.args]
    return result

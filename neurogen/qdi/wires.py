"""Channels while a graph is built: a port with what its bits mean, conversions, packing into one token."""

from dataclasses import dataclass
from typing import NamedTuple

from neurogen.qdi.graph import Graph, Loc
from neurogen.qdi.ir import Value


__all__ = ["Field", "Wire", "Wiring", "field_of", "shape"]


class Wire(NamedTuple):
    """An output port; its bits are a number of ``width`` bits, in two's complement if ``signed``."""

    node: str
    port: str
    width: int
    signed: bool

    @property
    def src(self) -> tuple[str, str]:
        """The port as an edge wants it."""
        return self.node, self.port


class Field(NamedTuple):
    """Width and sign of a number in a packed token."""

    width: int
    signed: bool


def shape(*ranges: tuple[int, int]) -> Field:
    """Return the narrowest field for all numbers of the intervals."""
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    if low >= 0:
        return Field(max(1, high.bit_length()), False)
    return Field(max(max(high, 0).bit_length(), (~low).bit_length()) + 1, True)


@dataclass
class _Place:
    loc: Loc | None = None
    region: str = "main"


class Wiring:
    """Adds blocks to a graph. A port may get several edges; forks and sinks come last
    (`neurogen.qdi.finish`).
    """

    def __init__(self, graph: Graph):
        self.graph = graph
        self.at = _Place()
        self._converted: dict[tuple, Wire] = {}

    def block(self, kind: str, parameters: dict, inputs: dict[str, Wire], out: str = "o",
              signed: bool = False, region: str | None = None) -> Wire:
        """Add a block; return its output ``out``."""
        id = self.graph.add(kind, parameters, loc=self.at.loc, region=region or self.at.region)
        for port, wire in inputs.items():
            self.graph.connect(wire.src, (id, port))
        widths = {p.name: p.width for p in self.graph.nodes[id].ports[1]}
        return Wire(id, out, widths.get(out, 0), signed)

    def port(self, wire: Wire, name: str, signed: bool = False) -> Wire:
        """Return another output of a wire's block."""
        widths = {p.name: p.width for p in self.graph.nodes[wire.node].ports[1]}
        return Wire(wire.node, name, widths[name], signed)

    def fit(self, wire: Wire, width: int, signed: bool = False) -> Wire:
        """Return a number modulo 2**width: cut, or extended by its own sign."""
        if wire.width == width:
            return wire._replace(signed=signed)
        key = (wire.src, wire.signed and width > wire.width, width)
        if key not in self._converted:
            self._converted[key] = self.block("slice", {
                "width": wire.width, "low": 0, "out_width": width, "shift": 0,
                "signed": wire.signed and width > wire.width}, {"i": wire})
        return self._converted[key]._replace(signed=signed)

    def slice(self, wire: Wire, low: int, width: int, *, shift: int = 0, sign: bool = False,
              signed: bool = False) -> Wire:
        """Return bits of a wire, shifted up."""
        if (low, shift, width) == (0, 0, wire.width):
            return wire._replace(signed=signed)
        return self.block("slice", {"width": wire.width, "low": low, "out_width": width, "shift": shift,
                                    "signed": sign}, {"i": wire}, signed=signed)

    def const(self, value: int, field: Field, trigger: Wire) -> Wire:
        """Return a constant, once for each token of a trigger."""
        return self.block("const", {"width": field.width, "value": value & ((1 << field.width) - 1),
                                    "trigger_width": trigger.width}, {"i": trigger}, signed=field.signed)

    def pack(self, wires: list[Wire], fields: list[Field]) -> Wire:
        """Join numbers into one token, the first lowest."""
        fitted = [self.fit(w, f.width, f.signed) for w, f in zip(wires, fields, strict=True)]
        if len(fitted) == 1:
            return fitted[0]
        return self.block("pack", {"widths": tuple(f.width for f in fields)},
                          {f"i{k}": w for k, w in enumerate(fitted)})

    def unpack(self, wire: Wire, fields: list[Field], wanted: list[bool]) -> list[Wire | None]:
        """Split a token into the wanted fields; the rest is left for a slice or a sink to drop."""
        if len(fields) == 1:
            return [wire._replace(signed=fields[0].signed) if wanted[0] else None]
        low = [sum(f.width for f in fields[:k]) for k in range(len(fields))]
        if sum(wanted) <= 1:
            return [self.slice(wire, low[k], f.width, signed=f.signed) if wanted[k] else None
                    for k, f in enumerate(fields)]
        groups: list[list[int]] = []
        for k in range(len(fields)):
            if groups and not wanted[k] and not wanted[groups[-1][-1]]:
                groups[-1].append(k)
            else:
                groups.append([k])
        first = self.block("unpack", {"widths": tuple(sum(fields[k].width for k in g) for g in groups)},
                           {"i": wire}, out="o0")
        result: list[Wire | None] = [None] * len(fields)
        for number, group in enumerate(groups):
            if wanted[group[0]]:
                result[group[0]] = self.port(first, f"o{number}", fields[group[0]].signed)
        return result


def field_of(value: Value) -> Field:
    """Return the narrowest field of a value."""
    return shape(value.range)

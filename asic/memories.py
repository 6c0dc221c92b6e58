"""Which memories of a design become SRAM macros: the candidates, and Yosys' descriptions of them."""

import json
from dataclasses import dataclass
from pathlib import Path

from asic.liberty import read_liberty
from asic.pdk import Pdk, SramMacro
from neurogen.flow.errors import UserError


__all__ = ["MacroData", "Memory", "SramError", "candidates", "macro_data", "read_memories", "write_mapping"]


class SramError(UserError):
    """A memory of the design has no macro that fits, and is too large for flip-flops."""


@dataclass(frozen=True)
class Memory:
    """A memory before mapping: words, bits of a word, ports, the least bits that are written alone.

    ``cell`` is its cell in Yosys' terms.
    """

    name: str
    cell: str
    words: int
    bits: int
    reads: int
    writes: int
    write_bits: int

    @property
    def size(self) -> int:
        """Bits in all."""
        return self.words * self.bits


@dataclass(frozen=True)
class MacroData:
    """A macro: words, bits, ports, area in µm², energies in J per access, leakage in W, access time in s.

    ``usable`` says whether the energies are measured or characterised values.
    """

    name: str
    words: int
    bits: int
    ports: int
    area: float
    read: float
    write: float
    leakage: float
    access: float
    usable: bool


def macro_data(pdk: Pdk, macro: SramMacro) -> MacroData:
    """Return what the Liberty file of a macro says about it."""
    cell = read_liberty(pdk.sram_liberty(macro.name))[macro.name]
    if pdk.data["sram"]["style"] == "ihp":
        clock, read, write = (
            "A_CLK",
            {"A_MEN": 1, "A_REN": 1, "A_WEN": 0},
            {"A_MEN": 1, "A_REN": 0, "A_WEN": 1},
        )
        output = "A_DOUT"
    else:
        clock, read, write = "clk0", {"csb0": 0, "web0": 1}, {"csb0": 0, "web0": 0}
        output = "dout0"
    return MacroData(
        macro.name,
        macro.words,
        macro.bits,
        macro.ports,
        cell.area,
        _energy(cell.pins[clock], read),
        _energy(cell.pins[clock], write),
        max([cell.default_leakage, *(state.watts for state in cell.leakage)]),
        max(
            (
                table(20e-12, 10e-15)
                for arc in cell.pins[output].arcs
                for table in arc.delay
                if table is not None
            ),
            default=0.0,
        ),
        pdk.data["sram"]["energy"] == "characterised",
    )


def _energy(pin, state) -> float:
    """Return the energy of a whole clock cycle in a state."""
    total = 0.0
    for power in pin.internal:
        if power.when is None or (set(power.when.pins) <= set(state) and power.when(state, 0, 1) & 1):
            total += sum(table(20e-12, 0) for table in (power.rise, power.fall) if table is not None)
    return total


def read_memories(path: Path) -> list[Memory]:
    """Return the memories (``$mem_v2``) of a JSON netlist of Yosys, in order of their names."""
    found = []
    for module_name, module in json.loads(path.read_text(encoding="utf-8"))["modules"].items():
        for name, cell in module["cells"].items():
            if cell["type"] != "$mem_v2":
                continue
            value = {
                key: int(text, 2)
                for key, text in cell["parameters"].items()
                if key in ("SIZE", "WIDTH", "RD_PORTS", "WR_PORTS")
            }
            enables = cell["connections"]["WR_EN"][: value["WIDTH"]]
            parts = len({str(bit) for bit in enables}) or 1
            label = cell["parameters"].get("MEMID", name).lstrip("\\")
            found.append(
                Memory(
                    f"{module_name}.{label}",
                    f"{module_name}/{name}",
                    value["SIZE"],
                    value["WIDTH"],
                    value["RD_PORTS"],
                    value["WR_PORTS"],
                    value["WIDTH"] // parts,
                )
            )
    return sorted(found, key=lambda memory: memory.name)


def candidates(memory: Memory, macros: list[MacroData], flop_area: float) -> list[dict]:
    """Return what a memory costs in each macro that can hold it, and in flip-flops; smallest area first.

    A macro holds it by tiling: in width, in depth, and in copies for more read ports. A macro with one port
    serves one read and one write only if they never meet in a cycle, so that at least two ports are asked for
    where a memory has both, and Yosys may still prove that one is enough.

    Parameters
    ----------
    flop_area
        µm² of one bit in flip-flops, its share of the selection included.
    """
    rows = []
    for macro in macros:
        wide, deep = -(-memory.bits // macro.bits), -(-memory.words // macro.words)
        copies = max(1, -(-memory.reads // max(1, macro.ports - memory.writes)))
        tiles = wide * deep * copies
        rows.append(
            {
                "macro": macro.name,
                "wide": wide,
                "deep": deep,
                "copies": copies,
                "tiles": tiles,
                "shared_port": macro.ports < memory.writes + 1,
                "area_um2": round(tiles * macro.area, 1),
                "read_pJ": round(wide * macro.read * 1e12, 3),
                "write_pJ": round(wide * copies * macro.write * 1e12, 3),
                "leakage_uW": round(tiles * macro.leakage * 1e6, 4),
                "access_ns": round(macro.access * 1e9, 3),
                "energy_usable": macro.usable,
            }
        )
    rows.append({"macro": "flip-flops", "area_um2": round(memory.size * flop_area, 1)})
    return sorted(rows, key=lambda row: row["area_um2"])


def write_mapping(folder: Path, pdk: Pdk, macros: list[MacroData], unit_area: float) -> None:
    """Write ``sram.mem`` and ``sram_map.v``: how Yosys maps memories to the macros of a kit.

    Parameters
    ----------
    unit_area
        µm² that count as one unit of Yosys' costs.
    """
    style = _Ihp if pdk.data["sram"]["style"] == "ihp" else _OpenRam
    blocks, modules = zip(*(style(macro).describe(macro.area / unit_area) for macro in macros), strict=True)
    (folder / "sram.mem").write_text("\n".join(blocks), encoding="utf-8")
    (folder / "sram_map.v").write_text("\n".join(modules), encoding="utf-8")


class _Ihp:
    """IHP's macros: every port reads and writes, with write-through and (most of them) a mask of bits."""

    def __init__(self, macro: MacroData):
        self.macro = macro

    def describe(self, cost: float) -> tuple[str, str]:
        macro, masked = self.macro, self.macro.name.endswith("_bm_bist")
        names = ("A", "B")[: macro.ports]
        abits = (macro.words - 1).bit_length()
        ports = "".join(
            f'  port srsw "{name}" {{\n    clock posedge;\n    clken;\n    rden;\n    rdwr new;\n'
            f"{'    wrbe_separate;' if masked else ''}\n  }}\n"
            for name in names
        )
        block = (
            f"ram block $__SRAM_{macro.name} {{\n  abits {abits};\n  width {macro.bits};\n"
            f"  cost {max(1, round(cost))};\n  {'byte 1;' if masked else ''}\n{ports}}}\n"
        )
        return block, self._module(names, abits, masked)

    def _module(self, names, abits, masked):
        bits, name = self.macro.bits, self.macro.name
        heads, pins = [], []
        for port in names:
            heads += [
                f"  input PORT_{port}_CLK, PORT_{port}_CLK_EN, PORT_{port}_RD_EN, PORT_{port}_WR_EN,",
                f"  input [{abits - 1}:0] PORT_{port}_ADDR,",
                f"  input [{bits - 1}:0] PORT_{port}_WR_DATA,",
                *([f"  input [{bits - 1}:0] PORT_{port}_WR_BE,"] if masked else []),
                f"  output [{bits - 1}:0] PORT_{port}_RD_DATA,",
            ]
            pins += [
                f".{port}_CLK(PORT_{port}_CLK)",
                f".{port}_MEN(PORT_{port}_CLK_EN & (PORT_{port}_RD_EN | PORT_{port}_WR_EN))",
                # Low while the macro rests: by IHP's Liberty files, clocks then take nothing.
                f".{port}_WEN(PORT_{port}_CLK_EN & PORT_{port}_WR_EN)",
                f".{port}_REN(PORT_{port}_CLK_EN & PORT_{port}_RD_EN)",
                f".{port}_ADDR(PORT_{port}_ADDR)",
                f".{port}_DIN(PORT_{port}_WR_DATA)",
                f".{port}_DLY(1'b1)",
                f".{port}_DOUT(PORT_{port}_RD_DATA)",
            ]
            if masked:
                zeros = {
                    "CLK": "1'b0",
                    "EN": "1'b0",
                    "MEN": "1'b0",
                    "WEN": "1'b0",
                    "REN": "1'b0",
                    "ADDR": f"{abits}'b0",
                    "DIN": f"{bits}'b0",
                    "BM": f"{bits}'b0",
                }
                pins += [
                    f".{port}_BM(PORT_{port}_WR_BE)",
                    *(f".{port}_BIST_{pin}({value})" for pin, value in zeros.items()),
                ]
        heads[-1] = heads[-1].rstrip(",")
        return (
            f"module \\$__SRAM_{name} (\n" + "\n".join(heads) + "\n);\n"
            f"  {name} _TECHMAP_REPLACE_ (" + ", ".join(pins) + ");\nendmodule\n"
        )


class _OpenRam:
    """OpenRAM's macros of SKY130: a port that reads and writes, with a mask of bytes, and one that reads."""

    def __init__(self, macro: MacroData):
        self.macro = macro

    def describe(self, cost: float) -> tuple[str, str]:
        macro = self.macro
        abits, bytes_ = (macro.words - 1).bit_length(), macro.bits // 8
        port = "    clock posedge;\n    clken;\n"
        block = (
            f"ram block $__SRAM_{macro.name} {{\n  abits {abits};\n  width {macro.bits};\n"
            f"  cost {max(1, round(cost))};\n  byte 8;\n"
            f'  port srsw "A" {{\n{port}    rdwr no_change;\n    wrbe_separate;\n  }}\n'
            f'  port sr "B" {{\n{port}  }}\n}}\n'
        )
        bits, name = macro.bits, macro.name
        module = f"""module \\$__SRAM_{name} (
  input PORT_A_CLK, PORT_A_CLK_EN, PORT_A_WR_EN, PORT_B_CLK, PORT_B_CLK_EN,
  input [{abits - 1}:0] PORT_A_ADDR, PORT_B_ADDR, input [{bits - 1}:0] PORT_A_WR_DATA,
  input [{bytes_ - 1}:0] PORT_A_WR_BE, output [{bits - 1}:0] PORT_A_RD_DATA, PORT_B_RD_DATA
);
  {name} _TECHMAP_REPLACE_ (.clk0(PORT_A_CLK), .csb0(~PORT_A_CLK_EN), .web0(~PORT_A_WR_EN),
    .wmask0(PORT_A_WR_BE), .addr0(PORT_A_ADDR), .din0(PORT_A_WR_DATA), .dout0(PORT_A_RD_DATA),
    .clk1(PORT_B_CLK), .csb1(~PORT_B_CLK_EN), .addr1(PORT_B_ADDR), .dout1(PORT_B_RD_DATA));
endmodule
"""
        return block, module

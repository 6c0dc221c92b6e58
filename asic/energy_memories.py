"""Memories that cost nothing, for the energy of a design's logic on kits without usable SRAM macros."""

from pathlib import Path

from asic.pdk import Pdk


__all__ = ["without_memories"]


_SIZES = [(words, bits) for words in (64, 256, 1024) for bits in (8, 32)]
_SHARE = 0.5  # of the area of as many flip-flops: small memories stay flip-flops

_PORT = """    pin ({p}_MEN, {p}_WEN, {p}_REN, {p}_DLY) {{ direction : input; capacitance : 0; }}
    bus ({p}_ADDR) {{ direction : input; capacitance : 0; }}
    bus ({p}_DIN) {{ direction : input; capacitance : 0; }}
    pin ({p}_CLK) {{ direction : input; clock : true; capacitance : 0; }}
    bus ({p}_DOUT) {{ direction : output; timing () {{ related_pin : "{p}_CLK"; timing_type : rising_edge;
      cell_rise (scalar) {{ values ("0"); }} cell_fall (scalar) {{ values ("0"); }} }} }}
"""


class _Boundary(Pdk):
    """A kit whose macros are files that were written a moment ago."""

    def sram_liberty(self, macro: str) -> Path:
        return Path(self.data["sram"]["written"]) / f"{macro}.lib"


def without_memories(pdk: Pdk, folder: Path) -> Pdk:
    """Return the kit with two-port memories that take no energy, in place of its macros.

    A netlist for it ends where memories begin: what drives them and what they feed is there, without the
    load of their pins. Memories of less than some hundred bits stay flip-flops.

    Parameters
    ----------
    folder
        An existing folder, for Liberty files of these memories; must stay there as long as the kit is used.
    """
    flop = min(cell.area for name, cell in pdk.library.items()
               if cell.storage.get("kind") == "ff" and not pdk.avoided(name) and cell.area > 0)
    macros = {}
    for words, bits in _SIZES:
        name = f"BOUNDARY_2P_{words}x{bits}"
        (folder / f"{name}.lib").write_text(
            f'library ({name}) {{ time_unit : "1ns"; voltage_unit : "1V"; leakage_power_unit : "1nW";\n'
            f'  capacitive_load_unit (1, pf); nom_voltage : {pdk.library.voltage};\n'
            f"  cell ({name}) {{ area : {words * bits * flop * _SHARE:.4f}; cell_leakage_power : 0;\n"
            f"    memory () {{ type : ram; address_width : {(words - 1).bit_length()}; "
            f"word_width : {bits}; }}\n" + _PORT.format(p="A") + _PORT.format(p="B") + "  }\n}\n",
            encoding="utf-8")
        macros[name] = [words, bits, 2]
    sram = {"energy": "unusable", "style": "ihp", "written": str(folder), "macros": macros, "lef": "",
            "liberty": "", "folder": "", "power": []}
    return _Boundary(pdk.name, pdk.root, {**pdk.data, "sram": sram})

"""A die large enough for a netlist, with its memory macros on shelves: somewhere to start from."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from asic.pdk import Pdk, PdkError


__all__ = ["Floorplan", "make_floorplan", "read_lef_size"]


MARGIN = 20.0   # µm between die and macros, for the ring of power
HALO = 30.0     # µm between macros, for wires and the power grid's straps


@dataclass(frozen=True)
class Floorplan:
    """Width and height of the die in µm, and the lower left corner of each macro by instance, all upright."""

    width: float
    height: float
    places: dict[str, tuple[float, float]]


def read_lef_size(pdk: Pdk, macro: str) -> tuple[float, float]:
    """Return width and height of a macro in µm, from its LEF file.

    Raises
    ------
    PdkError
        If the file is missing, or says no size.
    """
    path = pdk.file(pdk.data["sram"]["lef"].format(macro=macro))
    found = re.search(r"^\s*SIZE\s+([\d.]+)\s+BY\s+([\d.]+)\s*;", Path(path).read_text(encoding="latin-1"),
                      re.MULTILINE)
    if found is None:
        raise PdkError(f"LEF file must say the SIZE of {macro}, and {path} does not")
    return float(found[1]), float(found[2])


def make_floorplan(logic: float, macros: Mapping[str, tuple[float, float]], *,
                   utilisation: float = 0.45) -> Floorplan:
    """Return a roughly square floorplan: macros on shelves from the bottom, logic above them.

    Parameters
    ----------
    logic
        Area of all standard cells, in µm².
    macros
        Width and height by instance, in µm.
    utilisation
        Part of the space for logic that cells shall fill.
    """
    space = logic / utilisation + sum((w + HALO) * (h + HALO) for w, h in macros.values())
    width = max([math.sqrt(space), *(w for w, _ in macros.values())]) + 2 * MARGIN
    places, x, y, shelf = {}, MARGIN, MARGIN, 0.0
    # Tall ones first; of one height, in the order of their names: macros of a memory stay together.
    for name, (w, h) in sorted(macros.items(), key=lambda item: (-item[1][1], item[0])):
        if x > MARGIN and x + w > width - MARGIN:
            x, y, shelf = MARGIN, y + shelf + HALO, 0.0
        places[name] = (round(x, 3), round(y, 3))
        x, shelf = x + w + HALO, max(shelf, h)
    top = y + shelf + (HALO if places else 0.0)
    height = top + logic / utilisation / (width - 2 * MARGIN) + MARGIN
    return Floorplan(math.ceil(width), math.ceil(height), places)

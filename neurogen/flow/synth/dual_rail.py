"""The dual-rail circuit of a graph in the cells of the PDKs: netlist, areas, times, constraints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from neurogen.flow.synth.levels import Stimulus
from neurogen.flow.synth.page import Table
from neurogen.qdi import Graph
from neurogen.qdi.gates import build
from neurogen.qdi.gates.mapping import Mapped, load_kit, map_netlist
from neurogen.qdi.gates.timing import CycleTime, cycle_time, margins
from neurogen.qdi.gates.verilog import cells_verilog, isochronic_forks, sdc, verilog


__all__ = ["ESTIMATE", "PDKS", "DualRail", "area_table", "cell_table", "make_dual_rail"]

PDKS = {"sky130": "sky130", "ihp": "sg13g2"}
"""Kit of each PDK, by the name of the PDK in commands."""
ESTIMATE = ("Areas and times are estimates before layout: sums of cell areas, and mean Liberty delays at "
             "8 fF plus 10 ps a reader; no wires.")


@dataclass
class DualRail:
    """A circuit in one PDK, with what to tell about it and about the other PDKs.

    Parameters
    ----------
    figures, tables, notes
        For the report.
    files
        Text by name.
    areas
        Cell area in µm² of each PDK.
    times
        Time between tokens of the busiest channel, of each PDK.
    """

    figures: dict[str, str] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    areas: dict[str, float] = field(default_factory=dict)
    times: dict[str, CycleTime] = field(default_factory=dict)


def make_dual_rail(stimulus: Stimulus, pdk: str) -> DualRail:
    """Map a graph to all PDKs, and write the files for one of them.

    Parameters
    ----------
    stimulus
        Graph and tokens; they are run once more in each PDK, with its own delays.
    pdk
        Key of `PDKS`.
    """
    graph = stimulus.graph
    made = DualRail()
    mapped = {}
    for name, kit_name in PDKS.items():
        kit = load_kit(kit_name)
        mapped[name] = map_netlist(build(graph, threshold=kit.threshold), kit)
        made.areas[name] = mapped[name].area
        made.times[name] = cycle_time(mapped[name], stimulus.unsigned, stimulus.wanted)
    chosen = mapped[pdk]
    time = made.times[pdk]
    loop = time.channel.endswith(".branch")
    made.figures |= {f"cells, {pdk}": f"{len(chosen.netlist.gates):,}",
                     f"µm², {pdk}": f"{chosen.area:,.0f}",
                     f"ns per {'iteration' if loop else 'result'}, {pdk}": f"{time.ns:.1f}",
                     f"transitions per {'iteration' if loop else 'result'}": f"{time.transitions:,.0f}"}
    made.tables += [area_table(graph, mapped), cell_table(chosen)]
    made.notes.append(ESTIMATE)
    if chosen.holds:
        worst = margins(chosen, stimulus.unsigned, stimulus.wanted)[0]
        made.figures[f"least margin, {pdk}"] = f"{worst.ratio:.1f}×"
        made.notes.append(f"{chosen.kit.title} has no C-element: cells with a hold path take its place, "
                          f"which is not speed-independent. The least margin of an input's fall over the "
                          f"hold path is {worst.ratio:.2f}, at {worst.name}, if the environment answers at "
                          f"once; layout must keep it above 1.")
    made.files |= {f"{graph.name}.v": verilog(chosen), f"{graph.name}.sdc": sdc(chosen),
                   f"{graph.name}_generic.v": verilog(build(graph, threshold=chosen.kit.threshold)),
                   "cells.v": cells_verilog(),
                   "isochronic_forks.txt": "\n".join([*isochronic_forks(chosen.netlist), ""])}
    return made


def area_table(graph: Graph, mapped: Mapping[str, Mapped]) -> Table:
    """Return the area of each kind of block in each PDK, in µm²."""
    by_kind: dict[str, dict[str, float]] = {}
    counts: dict[str, int] = {}
    for node in graph.blocks:
        counts[node.kind] = counts.get(node.kind, 0) + 1
    for name, design in mapped.items():
        for id, area in design.area_of_blocks().items():
            kind = graph.nodes[id].kind if id in graph.nodes else "other"
            row = by_kind.setdefault(kind, dict.fromkeys(mapped, 0.0))
            row[name] += area
    order = sorted(by_kind, key=lambda kind: -max(by_kind[kind].values()))
    rows: list[Sequence[str]] = [(f"QDI_{kind}", str(counts.get(kind, "")),
                                  *(f"{by_kind[kind][name]:,.0f}" for name in mapped)) for kind in order]
    sources = ", ".join(f"{name}: {load_kit(kit).source}" for name, kit in PDKS.items())
    return Table("Area by block", ("block", "count", *(f"µm², {name}" for name in mapped)), rows,
                 ("all", str(sum(counts.values())), *(f"{design.area:,.0f}" for design in mapped.values())),
                 notes=[f"Areas from {sources}."])


def cell_table(design: Mapped) -> Table:
    """Return instances and area of each cell."""
    rows = [(cell, f"{count:,}", f"{count * design.kit.area[cell]:,.0f}")
            for cell, count in design.netlist.count().items()]
    return Table(f"Cells, {design.kit.title}", ("cell", "instances", "µm²"), rows,
                 ("all", f"{len(design.netlist.gates):,}", f"{design.area:,.0f}"))

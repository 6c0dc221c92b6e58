"""A graph as Click elements in the cells of the PDKs: netlist, matched delays, areas, times."""

from collections.abc import Mapping

from neurogen.flow.errors import UserError
from neurogen.flow.synth.dual_rail import ESTIMATE, PDKS, DualRail, area_table, cell_table
from neurogen.flow.synth.levels import Stimulus
from neurogen.flow.synth.page import Table
from neurogen.qdi import Graph
from neurogen.qdi.click import ClickDesign, build, click_sdc, cycle_time, lacking, models_verilog
from neurogen.qdi.gates.mapping import load_kit
from neurogen.qdi.gates.verilog import verilog


__all__ = ["check_click", "make_click"]

_STYLE = ("Requests and acknowledges are two-phase: each change is an event, and data is valid before its "
          "request changes. Data stays for 0.5 ns after its acknowledge, and a result is acknowledged 0.5 ns "
          "after its request at the earliest.")


def check_click(graph: Graph) -> None:
    """Check that each block of a graph has a Click form.

    Raises
    ------
    UserError
        That names those that have none, with their source lines.
    """
    found = lacking(graph)
    if found:
        names = dict.fromkeys(f"QDI_{node.kind} ({node.loc})" if node.loc else f"QDI_{node.kind}"
                              for node in found)
        raise UserError(f"{graph.name} needs blocks that Click lacks: {', '.join(names)}; "
                        "take --backend qdi or clocked")


def make_click(stimulus: Stimulus, pdk: str) -> DualRail:
    """Map a graph to Click elements in all PDKs, and write the files for one of them.

    Parameters
    ----------
    stimulus
        Graph and tokens; they are run once more in each PDK for the time of an iteration.
    pdk
        Key of `neurogen.flow.synth.dual_rail.PDKS`.

    Raises
    ------
    UserError
        If a block has no Click form.
    """
    graph = stimulus.graph
    check_click(graph)
    made = DualRail()
    designs = {name: build(graph, load_kit(kit)) for name, kit in PDKS.items()}
    for name, design in designs.items():
        made.areas[name] = design.area
        made.times[name] = cycle_time(design, stimulus.unsigned, stimulus.wanted)
    chosen, time = designs[pdk], made.times[pdk]
    what = "iteration" if time.channel.endswith(".select") else "result"
    made.figures |= {f"cells, {pdk}": f"{len(chosen.mapped.netlist.gates):,}",
                     f"µm², {pdk}": f"{chosen.area:,.0f}",
                     f"ns per {what}, {pdk}": f"{time.ns:.1f}",
                     f"transitions per {what}": f"{time.transitions:,.0f}",
                     f"delay cells, {pdk}": f"{sum(chosen.chains.values()):,}"}
    made.tables += [area_table(graph, {name: design.mapped for name, design in designs.items()}),
                    cell_table(chosen.mapped), _delays(chosen, pdk)]
    made.notes += [ESTIMATE, _STYLE]
    made.files |= {f"{graph.name}.v": verilog(chosen.mapped), f"{graph.name}.sdc": click_sdc(chosen),
                   "cells.v": models_verilog(chosen.mapped.kit)}
    return made


def _delays(design: ClickDesign, pdk: str) -> Table:
    """Return the matched delay of each controller."""
    kit = design.mapped.kit
    cell = min(kit.delay[kit.recipes["NG_DELAY"][0][0]]) / 1000
    blocks = design.mapped.netlist.blocks
    rows = [(name, _line(blocks, name), str(count), f"{count * cell:.2f}")
            for name, count in sorted(design.chains.items(), key=lambda item: -item[1]) if count]
    note = (f"Each is at least {design.margin:g} times the longest way through the logic that it matches, "
            f"with the Liberty delays of {kit.source}, before layout.")
    return Table(f"Matched delays, {kit.title}", ("controller", "source", "delay cells", "ns"), rows,
                 ("all", "", str(sum(design.chains.values())), ""), notes=[note])


def _line(blocks: Mapping[str, tuple[str, str]], name: str) -> str:
    """Return the source line of a controller: its block, and perhaps one of the block's registers."""
    while name and name not in blocks:
        name = name.rpartition(".")[0]
    return blocks[name][1] if name else ""

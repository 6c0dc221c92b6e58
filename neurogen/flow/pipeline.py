"""From a network and a configuration to results: what the commands of a design do.

`build` and `verify_job` write a folder of results each and return the data of its report; `neurogen.flow.job`
has their inputs.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from neurogen.flow.accelerator import Accelerator
from neurogen.flow.errors import UserError
from neurogen.flow.job import Job
from neurogen.flow.measure import (
    MeasuringRunner,
    classify,
    golden_accuracy,
    layer_table,
    memory_table,
    raster,
)
from neurogen.flow.report import describe_network, write_report
from neurogen.flow.results import peak_memory, result_folder, versions, write_plan
from neurogen.flow.simulated import SimulatedPort
from neurogen.flow.verify import Runner, RunResult, Verification, verify
from neurogen.flow.verilator import compile_model, to_verilog
from neurogen.golden.network import run
from neurogen.rtl.mega import Mega
from neurogen.spec.events import Events
from neurogen.spec.mega import COUNTERS, MegaSpec
from neurogen.spec.network import Network


__all__ = ["TARGETS", "AsicOptions", "build", "find_kit", "run_job", "verify_job"]


TARGETS = ("verilog", "sim", "fpga", "asic")
# Cycles of the first recording that a bench for netlists repeats, at most.
_BENCH_CYCLES = 100_000


@lru_cache(maxsize=4)
def _verilog(spec: MegaSpec) -> str:
    return to_verilog(Mega(spec), "mega")


def _simulate(spec: MegaSpec, trace: str | bool = False) -> Accelerator:
    """Return the simulated accelerator: the same Verilog that a build leaves."""
    return Accelerator(spec, SimulatedPort(compile_model(_verilog(spec), "mega", trace=trace), spec))


# -- Verification -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Verified:
    verification: Verification
    layers: list[dict]
    accuracy: dict[str, dict]
    seconds: float


def _verify(job: Job, every_step: bool, trace: Path | None = None) -> _Verified:
    """Run all recordings through golden and RTL."""
    job.progress("Compiling the simulator", 0, 0)
    accelerator = _simulate(job.spec, trace.suffix[1:] if trace else False)
    runner = MeasuringRunner(accelerator, job.plan)
    samples, total = job.samples, len(job.samples.events)
    model = accelerator.port.model
    waves = model.trace(trace.with_name(f".{trace.stem}.part{trace.suffix}")) if trace else None
    job.progress("Verifying", 0, total)

    def after(number: int, verification: Verification) -> None:
        if waves and number == 0:  # one recording fills enough screens
            model.end_trace()
        job.progress("Verifying", number + 1, total)

    begin = time.monotonic()
    try:
        verification = verify(runner, job.loaded.network, samples.events, every_step=every_step,
                              progress=after)
        if waves:
            waves.replace(trace)
    finally:
        if waves:
            waves.unlink(missing_ok=True)
    seconds = time.monotonic() - begin
    return _Verified(verification, layer_table(job.loaded.network, job.plan, runner.counters),
                     _accuracy(job, runner.spikes), seconds)


def _accuracy(job, spikes):
    """Return the accuracy of golden and RTL, where the classes are known."""
    labels, network = job.samples.labels, job.loaded.network
    if labels is None or len(network.outputs) != 1:
        return {}
    (output,) = network.outputs
    right = sum(classify(found[output]) == label for found, label in zip(spikes, labels, strict=True))
    return {"golden": golden_accuracy(network, job.samples.events, labels),
            "RTL": {"correct": int(right), "total": len(labels)}}


def verify_job(job: Job, *, out: str | Path | None = None, every_step: bool = True,
               trace: str | Path | None = None) -> dict:
    """Compare golden and RTL on the job's recordings, and return the data of the report.

    Parameters
    ----------
    out
        Folder for the report, if one is wanted.
    every_step
        Compare potentials after every step, not only after the last.
    trace
        ``.fst`` or ``.vcd`` file for the waveforms of the first recording.
    """
    trace = Path(trace).absolute() if trace is not None else None
    if trace is not None and trace.suffix not in (".fst", ".vcd"):
        raise UserError(f"Waveforms must go to a .fst or .vcd file, not {trace.name}")
    if trace is not None and not trace.parent.is_dir():
        raise UserError(f"Folder of the waveforms must exist, and {trace.parent} does not")
    if out is None:
        return _report(job, _verify(job, every_step, trace))
    with result_folder(out, _about(job, "verify")) as folder:
        data = _report(job, _verify(job, every_step, trace))
        write_report(folder, data)
    return data


@dataclass(frozen=True, kw_only=True)
class AsicOptions:
    """What ``--target asic`` is for: the kit's name and root, the flow, the clock period in s.

    ``proof_seconds`` is the longest that one run of ABC may take in the proof that the netlist does what the
    RTL does; then it is "undecided".
    """

    pdk: str
    root: Path | None = None
    flow: str = "librelane"
    period: float = 20e-9
    proof_seconds: float = 900


# -- Builds -------------------------------------------------------------------------------------------


def build(job: Job, target: str, out: str | Path, *, every_step: bool = True,
          asic: AsicOptions | None = None) -> dict:
    """Write a folder of results and return the data of its report.

    All targets leave ``plan.json`` and the images of the plan, ``report.html``, ``report.json`` and
    ``manifest.json``. "verilog" adds ``mega.v``; "sim" adds that and verifies it in the compiled
    simulator; "fpga" verifies, then adds a bitstream for the job's board in ``fpga/``; "asic" verifies, then
    adds what OpenROAD's flows take in ``asic/``.

    Parameters
    ----------
    target
        One of `TARGETS`.
    out
        Folder; replaced as a whole at the end.
    every_step
        Verify potentials after every step, not only after the last.
    asic
        For the target "asic".
    """
    if target not in TARGETS:
        raise UserError(f"Target must be one of {', '.join(TARGETS)}, not {target!r}")
    if target == "fpga":
        from fpga.build import check_buildable  # the tools of the extra `fpga` are needed from here on only
        check_buildable(job.spec, job.board)
    if target == "asic":
        if asic is None:
            raise UserError("Target 'asic' needs a PDK")
        pdk = find_kit(asic.pdk, asic.root, asic.flow)  # missed before the first minutes are spent
    with result_folder(out, _about(job, target)) as folder:
        write_plan(folder, job.plan)
        found, resources = None, None
        if target in ("verilog", "sim"):
            job.progress("Writing Verilog", 0, 0)
            (folder / "mega.v").write_text(_verilog(job.spec))
        if target in ("sim", "fpga", "asic"):
            found = _verify(job, every_step)
        if target == "fpga" and found.verification.passed:
            resources = _bitstream(job, folder)
        if target == "asic" and found.verification.passed:
            resources = _handover(job, pdk, asic, folder)
        data = _report(job, found, resources)
        write_report(folder, data)
    return data


def _bitstream(job: Job, folder: Path) -> dict:
    """Build the bitstream into ``folder/fpga``; return what the report says about it."""
    from fpga.build import build_fpga

    def step(name: str) -> None:
        job.progress(f"{job.board}: {name}", 0, 0)
    return build_fpga(job.spec, job.board, folder / "fpga", on_step=step)


def find_kit(name: str, root: Path | None, flow: str) -> Any:
    """Return the kit of that name (an `asic.pdk.Pdk`), if it has the flow: "librelane" or "orfs"."""
    from asic.build import check_flow  # the tools of the extra `asic` are needed from here on only
    from asic.pdk import load_pdk
    pdk = load_pdk(name, root)
    check_flow(pdk, flow)
    return pdk


def _handover(job: Job, pdk, options: AsicOptions, folder: Path) -> dict:
    """Write the hand-over into ``folder/asic``; return what the report says about it."""
    from asic.build import build_asic, describe, record

    runs = []

    def drive(model) -> None:
        runner = Runner(Accelerator(job.spec, SimulatedPort(model, job.spec)), job.plan)
        runs.append(runner.run(job.samples.events[0]))

    def step(name: str) -> None:
        job.progress(f"{pdk.name}: {name}", 0, 0)

    verilog = _verilog(job.spec)
    step("recording the ports")
    recording = record(verilog, "mega", drive, folder, cycles=_BENCH_CYCLES)
    whole = len(recording[0]["rst"][1]) < _BENCH_CYCLES
    found = build_asic(verilog, "mega", pdk, folder / "asic", flow=options.flow, period=options.period,
                       recording=recording, operations=_sops(job, runs[0]) if whole else None,
                       root=options.root, proof_seconds=options.proof_seconds, on_step=step)
    return {"resources": None, "notes": describe(found, options.flow), "versions": {},
            "seconds": found["seconds"]}


def run_job(job: Job, engine: str) -> tuple[dict[str, Events], dict]:
    """Run the first recording; return the spikes of the observed populations, and figures.

    Parameters
    ----------
    engine
        "rtl" (the compiled simulator) or "golden".
    """
    events = job.samples.events[0]
    if engine == "golden":
        job.progress("Running the golden model", 0, 0)
        result = run(job.loaded.network, events, record="spikes")
        return ({name: result.spikes[name] for name in job.plan.observed},
                {"SOPs": int(sum(values.sum() for values in result.sops.values()))})
    job.progress("Compiling the simulator", 0, 0)
    runner = Runner(_simulate(job.spec), job.plan)
    job.progress("Running the simulator", 0, 0)
    result = runner.run(events)
    return ({name: _recorded(job, result.spikes, name, events) for name in job.plan.observed},
            {"SOPs": _sops(job, result), "cycles": result.cycles})


def _sops(job: Job, result: RunResult) -> int:
    """Return the synaptic operations of a run."""
    return sum(int(total["sops"]) for name, total in job.plan.totals(result.counters).items()
               if name in job.loaded.network.populations)


def _recorded(job, spikes, name, events):
    """Return the spikes of a population in raster order; a read-out sends none."""
    if name in spikes:
        return Events.from_counts(spikes[name].counts())
    return Events(job.loaded.network.shapes[name], next(iter(events.values())).steps, [], [])


# -- Reports ------------------------------------------------------------------------------------------


def _about(job: Job, target: str) -> dict:
    return {"target": target, "command": job.command, "network": job.loaded.network.digest,
            "config": job.config, "board": job.board or None, "versions": versions(), "inputs": job.hashes}


def _report(job: Job, found: _Verified | None, built: dict | None = None) -> dict:
    """Return the data of a report: what was found out, and where it comes from."""
    network = job.loaded.network
    data = {"network": describe_network(network, job.loaded.path.stem),
            "config": {"name": job.config, **job.spec.to_dict()}, "versions": versions(),
            "memory": memory_table(job.plan), "hashes": job.hashes, "command": job.command,
            "notes": _notes(job), "raster": raster(network, job.samples.events[0]),
            "layers": found.layers if found else _empty_layers(job)}
    if job.board:
        data["board"] = job.board
    if found:
        data["verify"] = found.verification.to_dict() | {"seconds": round(found.seconds, 3)}
        if found.accuracy:
            data["accuracy"] = found.accuracy
    if job.loaded.quantisation:
        data["quantisation"] = job.loaded.quantisation
    if built and "notes" in built:
        steps = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in built["seconds"].items())
        data["notes"] = [*data["notes"], *built["notes"], f"Hand-over: {steps}."]
    elif built:
        data["versions"] |= built["versions"]
        data["resources"] = built["resources"]
        steps = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in built["seconds"].items())
        data["notes"] = [*data["notes"], f"Bitstream: fpga/{Path(built['bitstream']).name} ({steps})."]
    return data | {"wall_time": time.monotonic() - job.started, "peak_memory": peak_memory()}


_UNMEASURED = ("events", "sops", "spikes", "cycles", "stalls", "bound_cycles", "utilisation",
               "stalls_by_cause", "words")


def _empty_layers(job: Job) -> list[dict]:
    """Return the table of layers with nothing measured: what each of them takes of the memories."""
    zeros = [np.zeros((len(part.instructions), len(COUNTERS)), np.int64) for part in job.plan.passes]
    return [{key: None if key in _UNMEASURED else value for key, value in row.items()}
            for row in layer_table(job.loaded.network, job.plan, zeros)]


def _arithmetic(network: Network) -> list[str]:
    """Return which populations clip their additions, and why; the others need not."""
    clipping = [name for name in network.populations if network.nodes[name].saturate]
    if not clipping:
        return ["Sums are exact: none can leave the width of the states, whatever the input."]
    proofs = {name: network.proof(name) for name in clipping}
    why = "; ".join(f"{name} has states of {network.nodes[name].state_bits} bits, and sums from "
                    f"{proof.low:,} to {proof.high:,} need {proof.bits}" for name, proof in proofs.items())
    all_of_them = len(clipping) == len(network.populations)
    others = "" if all_of_them else " The sums of the other populations are exact."
    return [f"Additions are clipped, in the raster order of the events: {why}.{others}"]


def _notes(job: Job) -> Sequence[str]:
    """Return what a reader should know: how the work was split, which recordings, how it was imported."""
    how = {"resident": "The whole network stays on the accelerator."}.get(
        job.plan.strategy, f"The work is split ({job.plan.strategy}) into {len(job.plan.passes)} passes.")
    metadata = job.loaded.network.metadata
    notes = [how, *_arithmetic(job.loaded.network), job.samples.source]
    if "rule" in metadata:
        dt = metadata.get("dt")
        notes.append(f"Discretised as {metadata['rule']} does, reset {metadata.get('reset')}"
                     + (f", dt = {dt:g} s." if isinstance(dt, int | float) else "."))
    return notes + [str(note) for note in metadata.get("notes", ())]

"""The command line: build, verify, adapt."""

import json
import shlex
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress

from designs.learner.configs import BOARD_CONFIG, CONFIGS
from designs.learner.pages import adapt_page, build_page
from designs.learner.targets import bitstream, find_buildable, handover
from designs.learner.work import (
    Work,
    adapt,
    cells,
    load_weights,
    random_work,
    save_weights,
    starting_weights,
)
from neurogen.flow.errors import UserError, user_errors
from neurogen.flow.learning import compare, simulate
from neurogen.flow.pipeline import find_kit
from neurogen.flow.report import write_report
from neurogen.flow.results import result_folder
from neurogen.flow.terminal import show_progress
from neurogen.flow.verilator import to_verilog
from neurogen.frontend.export import export_nir
from neurogen.frontend.learnt import learnt_network
from neurogen.golden.learning import Simulator
from neurogen.rtl.learning import LearnEngine
from neurogen.spec.learning import Learner
from neurogen.spec.learning_bus import Csr, Status


__all__ = ["app", "main"]


app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
                  help="A spiking network that learns on the chip: from its size to Verilog and simulation.")


class Target(StrEnum):
    """What `build` makes."""

    VERILOG = "verilog"
    SIM = "sim"
    SYNTH = "synth"
    FPGA = "fpga"
    ASIC = "asic"


class Engine(StrEnum):
    """What `adapt` runs on."""

    RTL = "rtl"
    GOLDEN = "golden"


Config = Annotated[str, typer.Option(help=f"Size: {', '.join(CONFIGS)}.")]
Weights = Annotated[Path | None, typer.Option(help="Weights to start from, as `adapt` writes them (.npz).",
                                              show_default="random")]


_FLAGS = {
    Status.LABEL: "a label was out of range: its sample did not learn",
    Status.SATURATED: "a weight has reached its limit",
    Status.LOADING: "memories were used while the engine was busy",
    Status.ADDRESS: "a spike of an input that does not exist was left out",
    Status.SILENT: "in some sample, no neuron of a layer fired",
    Status.FIRING: "in some step, all inputs spiked, or all neurons of a layer",
}


def _spec(name: str) -> Learner:
    if name not in CONFIGS:
        raise UserError(f"Configuration must be one of {', '.join(CONFIGS)}, not {name!r}")
    return CONFIGS[name]


def _progress() -> Progress:
    return Progress(console=Console(stderr=True), transient=True)


@app.command("build")
def build_command(
        target: Annotated[Target, typer.Option(
            help="Verilog; with a compiled simulation; with the cells of an ECP5; a bitstream; a hand-over "
                 "to OpenROAD.")] = Target.VERILOG,
        config: Annotated[str | None, typer.Option(
            help=f"Size: {', '.join(CONFIGS)}.", show_default=f"digits; {BOARD_CONFIG} for a board")] = None,
        board: Annotated[str | None, typer.Option(help="Board of a bitstream.",
                                                  show_default="ulx3s-85f")] = None,
        pdk: Annotated[str | None, typer.Option(help="Kit of a hand-over: sky130 or ihp-sg13g2.")] = None,
        pdk_root: Annotated[Path | None, typer.Option(help="Folder of the kits.",
                                                      show_default="$PDK_ROOT")] = None,
        flow: Annotated[str, typer.Option(help="Who takes a hand-over: librelane or orfs.")] = "librelane",
        period: Annotated[float, typer.Option(min=0.1, help="Clock period of a hand-over, in ns.")] = 20.0,
        out: Annotated[Path | None, typer.Option(help="Folder of the results; replaced.",
                                                 show_default="build/learner-CONFIG")] = None) -> None:
    """Write the learner as Verilog, and a report of its memories; synthesise it, compile it, or build it."""
    with user_errors():
        start, line = time.monotonic(), shlex.join(["python", "-m", "designs.learner", *sys.argv[1:]])
        config = config or (BOARD_CONFIG if target is Target.FPGA else "digits")
        spec = _spec(config)
        if target is Target.ASIC and pdk is None:
            raise UserError("--target asic needs --pdk, such as sky130 or ihp-sg13g2")
        kit = find_kit(pdk, pdk_root, flow) if target is Target.ASIC else None
        name = find_buildable(spec, board) if target is Target.FPGA else None
        out = out or Path("build") / f"learner-{config}"
        report = {"config": config, "weight_words": spec.weight_words, "bytes": spec.state_bytes,
                  "learning_overhead": spec.learning_overhead}
        about = {"target": target.value, "config": config, "command": line}
        with show_progress() as progress, result_folder(out, about) as folder:
            def step(what: str) -> None:
                progress(what, 0, 0)
            text = to_verilog(LearnEngine(spec), "learner")
            (folder / "learner.v").write_text(text, encoding="utf-8")
            if target is Target.SIM:
                simulate(spec)
            if target is Target.SYNTH:
                report["cells"] = cells(spec)
            built = bitstream(spec, name, folder / "fpga", step) if target is Target.FPGA else None
            handed = handover(spec, text, kit, folder / "asic", flow, period * 1e-9, pdk_root,
                              step) if target is Target.ASIC else None
            notes = [note for found in (built, handed) if found for note in found["notes"]]
            if built:
                report |= {"board": name, "resources": built["resources"]}
            (folder / "learner.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
            write_report(folder, build_page(spec, config, line, notes, time.monotonic() - start, built))
        for name, size in spec.state_bytes.items():
            typer.echo(f"{name}: {size:,} bytes")
        typer.echo(_overhead(spec))
        for name, count in report.get("cells", {}).items():
            typer.echo(f"{name}: {count:,}")
        for note in notes:
            typer.echo(note)
        typer.echo(f"results: {out}")


def _overhead(spec: Learner) -> str:
    """Return what learning costs in memory, in words."""
    found = spec.learning_overhead
    return (f"learning adds {found['bytes']:,} bytes, {found['per_neuron']:.1f} per neuron, to those of "
            f"inference: {100 * found['share']:.1f} %, or {100 * found['share_without_prototypes']:.1f} % "
            f"without prototypes (ReckOn: 0.8 %)")


@app.command("verify")
def verify_command(
        config: Config = "digits",
        samples: Annotated[int, typer.Option(min=1, help="Samples that both learn from.")] = 100,
        every: Annotated[int, typer.Option(min=1, help="Compare weights after each so many samples.")] = 100,
        every_step: Annotated[bool, typer.Option(help="Compare the state after each step.")] = False,
        seed: Annotated[int, typer.Option(min=1, help="Of weights, samples, random register.")] = 1
        ) -> None:
    """Let gateware and golden model learn the same samples, and compare all that they have learnt."""
    with user_errors(), _progress() as progress:
        spec = _spec(config)
        work = Work.digits() if spec.inputs == 64 else random_work(spec, samples, seed)
        order = np.random.RandomState(seed).randint(len(work.labels), size=samples)
        weights = starting_weights(spec, seed)
        task = progress.add_task("Compiling", total=None)
        port = simulate(spec)
        port.load(weights, seed=seed)
        port.model.write(Csr.COUNTER, 0)
        progress.update(task, description="Comparing", total=samples)
        result = compare(port, Simulator(spec, weights, seed=seed),
                         ((work.rasters[k], int(work.labels[k])) for k in order), every_step=every_step,
                         weights_every=every, progress=lambda done: progress.update(task, completed=done))
        counters = port.counters()
    typer.echo(f"{'PASS' if not result.differences else 'FAIL'}  {result.differences} differences in "
               f"{result.samples:,} samples: {result.weights:,} weights, {result.states:,} values of state, "
               f"{result.counters:,} counters compared")
    typer.echo(", ".join(f"{value:,} {name}" for name, value in counters.items()))
    if result.differences:
        typer.echo(f"first difference: {result.first}")
        raise typer.Exit(1)


@app.command("adapt")
def adapt_command(
        out: Annotated[Path, typer.Option(help="Write the weights before and after to this .npz file.")],
        config: Config = "digits",
        samples: Annotated[int, typer.Option(min=1, help="Labelled samples to learn from.")] = 1437,
        engine: Annotated[Engine, typer.Option(help="Compiled gateware, or golden model.")] = Engine.GOLDEN,
        weights: Weights = None,
        nir: Annotated[Path | None, typer.Option(help="Write the network as it has learnt to this .nir file.",
                                                 show_default="none")] = None,
        page: Annotated[Path | None, typer.Option(
            "--report", show_default="none",
            help="Write report.html and report.json, with the accuracy as a curve, to this folder.")] = None,
        undo: Annotated[bool, typer.Option(help="Start from the weights before it learnt.")] = False,
        seed: Annotated[int, typer.Option(min=1, help="Of order, weights and random register.")] = 1) -> None:
    """Stream labelled digits to the learner, watch the accuracy rise, and read the weights back."""
    with user_errors():
        spec = _spec(config)
        if spec.inputs != 64 or spec.classes != 10:
            raise UserError(f"Configuration must take digits, such as 'digits', not {config!r}")
        if out.suffix != ".npz":
            raise UserError(f"Weights must go to a .npz file, not {out}")
        if nir is not None and nir.suffix != ".nir":
            raise UserError(f"Network must go to a .nir file, not {nir}")
        for path in (out, nir):
            if path is not None and path.is_dir():
                raise UserError(f"Results must go to a file, and {path} is a folder")
        if page is not None and page.exists() and not page.is_dir():
            raise UserError(f"Report must go to a folder, and {page} is a file")
        if undo and weights is None:
            raise UserError("Undo needs --weights: a file that `adapt` wrote")
        start, line = time.monotonic(), shlex.join(["python", "-m", "designs.learner", *sys.argv[1:]])
        before = starting_weights(spec, seed) if weights is None else load_weights(weights, spec, undo=undo)
        curve: list[tuple[int, float]] = []
        with _progress() as progress:
            task = progress.add_task("Learning", total=samples)

            def show(done: int, accuracy: float) -> None:
                curve.append((done, accuracy))
                progress.update(task, completed=done, description=f"Learning, {accuracy:.1f} % correct")
                typer.echo(f"{done:6,} samples: {accuracy:.1f} % of the test digits")
            after, flags = adapt(spec, before, samples, seed, show, rtl=engine is Engine.RTL)
        for flag in sorted(flags):
            typer.echo(_FLAGS[flag])
        save_weights(out, before, after)  # first: minutes of learning are in them
        typer.echo(f"weights: {out}")
        if nir is not None:
            export_nir(learnt_network(spec, after), nir)
            typer.echo(f"network: {nir}")
        if page is not None:
            write_report(page, adapt_page(spec, config, after, curve, engine.value, line,
                                          time.monotonic() - start))
            typer.echo(f"report: {page / 'report.html'}")


def main() -> None:
    """Run the command line."""
    app(prog_name="python -m designs.learner")


if __name__ == "__main__":
    main()

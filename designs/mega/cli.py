"""The command line: build, verify, run, report."""

import json
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from neurogen.flow.errors import UserError, user_errors
from neurogen.flow.event_files import save_events
from neurogen.flow.job import Job, prepare
from neurogen.flow.load import ImportOptions
from neurogen.flow.pipeline import AsicOptions, build, run_job, verify_job
from neurogen.flow.report import KEYS, write_report
from neurogen.flow.terminal import print_report, show_progress
from neurogen.frontend.rules import RULES


__all__ = ["app", "main"]


DEFAULT_NETWORK = Path(__file__).parents[1] / "networks" / "digits.npz"
DEFAULT_CONFIG = "default"

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
                  help="The event-driven accelerator: from a trained network to Verilog, simulation or FPGA.")


class Target(StrEnum):
    """What `build` makes."""

    VERILOG = "verilog"
    SIM = "sim"
    FPGA = "fpga"
    ASIC = "asic"


class Flow(StrEnum):
    """Who takes a hand-over."""

    LIBRELANE = "librelane"
    ORFS = "orfs"


class Engine(StrEnum):
    """What `run` runs on."""

    RTL = "rtl"
    GOLDEN = "golden"


class Observe(StrEnum):
    """Which populations' spikes leave the accelerator."""

    OUTPUTS = "outputs"
    ALL = "all"


class Scale(StrEnum):
    """What shares one scale."""

    LAYER = "layer"
    CHANNEL = "channel"
    NEURON = "neuron"


class ResetRule(StrEnum):
    """Reset of a spiking neuron."""

    ZERO = "zero"
    SUBTRACT = "subtract"


def _dt(text: str) -> float | str:
    if text == "infer":
        return text
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"must be a number of seconds or 'infer', not {text!r}") from None


_IMPORT = "Import of a .nir file"
_ASIC = "--target asic"
Network = Annotated[Path, typer.Option(help="Network: a .nir file, or an integer network (.npz).",
                                       show_default="the digits network that ships")]
Config = Annotated[str | None, typer.Option(
    help="Configuration: mini, edge, default, wide, max, or a YAML file.",
    show_default=f"the board's, or {DEFAULT_CONFIG}")]
BoardName = Annotated[str | None, typer.Option(help="Board.", show_default="ULX3S-85F, for --target fpga")]
EventFile = Annotated[Path | None, typer.Option(
    help="Events to run: an .npz file with t, c/y/x or index, shape and steps.",
    show_default="held-out digits, or random events for other networks")]
Count = Annotated[int, typer.Option(min=1, help="Number of recordings, without --events.")]
EveryStep = Annotated[bool, typer.Option(help="Compare potentials after every step, or after the last only.")]
Rule = Annotated[str, typer.Option(rich_help_panel=_IMPORT, metavar="NAME",
                                   help=f"Discretisation: {', '.join(RULES)}.")]
Step = Annotated[str, typer.Option(rich_help_panel=_IMPORT, metavar="SECONDS", callback=_dt,
                                   help="Length of a time step, or 'infer' (from r, as exporters write it).")]
Reset = Annotated[ResetRule | None, typer.Option(rich_help_panel=_IMPORT,
                                                 help="Reset, instead of the rule's own.")]
Multiplicity = Annotated[int, typer.Option(rich_help_panel=_IMPORT, min=1,
                                           help="Most events at one address in one step of the input.")]
WeightBits = Annotated[int | None, typer.Option(
    rich_help_panel=_IMPORT, min=2, max=8, help="Width of weights.", show_default="the configuration's")]
ScaleOf = Annotated[Scale, typer.Option(rich_help_panel=_IMPORT, help="What shares one scale.")]
StateBits = Annotated[int | None, typer.Option(
    rich_help_panel=_IMPORT, min=4, max=24, help="Width of states.", show_default="the configuration's")]
FractionBits = Annotated[int | None, typer.Option(
    rich_help_panel=_IMPORT, min=0, max=8, help="Bits of potentials below one weight LSB.",
    show_default="the most that fit")]


@contextmanager
def _command() -> Iterator[None]:
    """Turn errors into one line and a status, and a termination into an exit that cleans up."""
    with user_errors():
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)


def _options(rule, dt, reset, multiplicity, weight_bits, scale, state_bits, fraction_bits) -> ImportOptions:
    return ImportOptions(rule=rule, dt=dt, reset=reset.value if reset else None, multiplicity=multiplicity,
                         weight_bits=weight_bits, scale=scale.value, state_bits=state_bits,
                         fraction_bits=fraction_bits)


def _board(name: str | None, needed: bool) -> tuple[str, str]:
    """Return the name of the board and its configuration; both empty if none is asked for."""
    if name is None and not needed:
        return "", DEFAULT_CONFIG
    from fpga.boards import DEFAULT_BOARD, find_board
    board = find_board(name or DEFAULT_BOARD)
    return board.name, board.config


def _line() -> str:
    return shlex.join(["python", "-m", "designs.mega", *sys.argv[1:]])


def _out(out: Path | None, job: Job, what: str) -> Path:
    return out if out is not None else Path("build") / f"mega-{job.config}" / what


@app.command("build")
def build_command(
        target: Annotated[Target, typer.Option(help="What to make.")] = Target.FPGA,
        network: Network = DEFAULT_NETWORK, config: Config = None, board: BoardName = None,
        out: Annotated[Path | None, typer.Option(
            help="Folder of the results; replaced as a whole.",
            show_default="build/mega-CONFIG/TARGET")] = None,
        events: EventFile = None, samples: Count = 10, every_step: EveryStep = True, rule: Rule = "snntorch",
        dt: Step = "infer", reset: Reset = None, multiplicity: Multiplicity = 1,
        weight_bits: WeightBits = None, scale: ScaleOf = Scale.LAYER, state_bits: StateBits = None,
        fraction_bits: FractionBits = None,
        pdk: Annotated[str | None, typer.Option(
            rich_help_panel=_ASIC, metavar="NAME", help="Kit: sky130, ihp-sg13g2 or asap7.")] = None,
        pdk_root: Annotated[Path | None, typer.Option(
            rich_help_panel=_ASIC, help="Folder of the kits.", show_default="$PDK_ROOT")] = None,
        flow: Annotated[Flow, typer.Option(rich_help_panel=_ASIC, help="Who takes over.")] = Flow.LIBRELANE,
        period: Annotated[float, typer.Option(
            rich_help_panel=_ASIC, min=0.1, help="Clock period, in ns.")] = 20.0,
        proof_seconds: Annotated[float, typer.Option(
            rich_help_panel=_ASIC, min=1, help="Longest run of the prover.")] = 900) -> None:
    """Make Verilog, a verified simulation, a verified bitstream, or a hand-over to OpenROAD; and a report."""
    with _command():
        if target is Target.ASIC and pdk is None:
            raise UserError("--target asic needs --pdk, such as sky130 or ihp-sg13g2")
        asic = None if pdk is None else AsicOptions(
            pdk=pdk, root=pdk_root, flow=flow.value, period=period * 1e-9, proof_seconds=proof_seconds)
        options = _options(rule, dt, reset, multiplicity, weight_bits, scale, state_bits, fraction_bits)
        name, usual = _board(board, target is Target.FPGA)
        with show_progress() as progress:
            job = prepare(network=network, config=config or usual, board=name, events=events, samples=samples,
                          options=options, command=_line(), progress=progress)
            folder = _out(out, job, target.value)
            data = build(job, target.value, folder, every_step=every_step, asic=asic)
        print_report(data, Console())
        typer.echo(f"report: {folder / 'report.html'}")
        _verdict(data)


@app.command("verify")
def verify_command(
        network: Network = DEFAULT_NETWORK, config: Config = None, board: BoardName = None,
        events: EventFile = None, samples: Count = 100, every_step: EveryStep = True,
        observe: Annotated[Observe, typer.Option(
            help="Populations whose spikes leave the accelerator and are compared.")] = Observe.ALL,
        trace: Annotated[Path | None, typer.Option(
            help="Write the waveforms of the first recording to this .fst or .vcd file.")] = None,
        out: Annotated[Path | None, typer.Option(help="Folder for report.html and report.json.",
                                                 show_default="no report")] = None,
        rule: Rule = "snntorch", dt: Step = "infer", reset: Reset = None, multiplicity: Multiplicity = 1,
        weight_bits: WeightBits = None, scale: ScaleOf = Scale.LAYER, state_bits: StateBits = None,
        fraction_bits: FractionBits = None) -> None:
    """Compare gateware and golden model: every spike, every potential, every counter."""
    with _command():
        options = _options(rule, dt, reset, multiplicity, weight_bits, scale, state_bits, fraction_bits)
        name, usual = _board(board, False)
        with show_progress() as progress:
            job = prepare(network=network, config=config or usual, board=name, events=events, samples=samples,
                          options=options, observe=observe.value, command=_line(), progress=progress)
            data = verify_job(job, out=out, every_step=every_step, trace=trace)
        print_report(data, Console())
        if out is not None:
            typer.echo(f"report: {out / 'report.html'}")
        _verdict(data)


def _verdict(data):
    """End with status 1 if something differs."""
    if data.get("verify", {}).get("mismatches"):
        raise SystemExit(1)


@app.command("run")
def run_command(
        network: Network = DEFAULT_NETWORK, config: Config = None, events: EventFile = None,
        engine: Annotated[Engine, typer.Option(help="Compiled gateware, or the golden model.")] = Engine.RTL,
        out: Annotated[Path | None, typer.Option(help="Write the spikes to this .npz or .csv file.",
                                                 show_default="a summary only")] = None,
        observe: Annotated[Observe, typer.Option(
            help="Populations whose spikes are wanted.")] = Observe.OUTPUTS,
        rule: Rule = "snntorch", dt: Step = "infer", reset: Reset = None, multiplicity: Multiplicity = 1,
        weight_bits: WeightBits = None, scale: ScaleOf = Scale.LAYER, state_bits: StateBits = None,
        fraction_bits: FractionBits = None) -> None:
    """Run events through the network: events in, spikes out."""
    with _command():
        if out is not None and out.suffix not in (".npz", ".csv"):
            raise UserError(f"Spikes must go to a .npz or .csv file, not {out.name}")
        options = _options(rule, dt, reset, multiplicity, weight_bits, scale, state_bits, fraction_bits)
        with show_progress() as progress:
            job = prepare(network=network, config=config or DEFAULT_CONFIG, events=events, samples=1,
                          options=options, observe=observe.value, command=_line(), progress=progress)
            spikes, figures = run_job(job, engine.value)
        if out is not None:
            save_events(out, spikes)
        for name, found in spikes.items():
            counts = found.counts().reshape(found.steps, -1).sum(0)
            busy = f", most of neuron {int(counts.argmax())} ({int(counts.max())})" if len(found) else ""
            typer.echo(f"{name}: {len(found):,} spikes in {found.steps} steps{busy}")
        typer.echo(", ".join(f"{value:,} {key}" for key, value in figures.items()))
        if out is not None:
            typer.echo(f"spikes: {out}")


@app.command("report")
def report_command(
        folder: Annotated[Path, typer.Argument(help="Folder of a build or a verification.")]) -> None:
    """Show what a build found, and draw its page anew."""
    with _command():
        path = folder / "report.json"
        if not path.is_file():
            raise UserError(f"Folder must hold the results of a build, and {path} does not exist")
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["format"] != "neurogen.report" or data["version"] != 1:
                raise ValueError(f"format {data['format']!r}, version {data['version']!r}")
            data = {key: value for key, value in data.items() if key in KEYS}
            print_report(data, Console())
            write_report(folder, data)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"Report must be one that neurogen wrote, not {path}: {error}") from None
        typer.echo(f"report: {folder / 'report.html'}")


def main() -> None:
    """Run the command line."""
    app(prog_name="python -m designs.mega")


if __name__ == "__main__":
    main()

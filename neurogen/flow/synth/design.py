"""A design that is a Python function: its command line, the same for all, and its sweep of widths."""

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from neurogen.flow.errors import UserError, user_errors
from neurogen.flow.files import staged
from neurogen.flow.synth.dual_rail import PDKS
from neurogen.flow.synth.pipeline import (
    BACKENDS,
    Progress,
    Result,
    Settings,
    Subject,
    subject_of,
    synthesise,
    verify,
)
from neurogen.flow.synth.terminal import print_result
from neurogen.flow.terminal import show_progress
from neurogen.qdi import Process


__all__ = ["WIDTHS", "Backend", "Design", "Pdk", "Peer", "Slack"]

WIDTHS = (4, 8, 12, 16)
Backend = StrEnum("Backend", {name.upper(): name for name in BACKENDS})
Backend.__doc__ = "The circuits that can be made."
Pdk = StrEnum("Pdk", {name.upper(): name for name in PDKS})
Pdk.__doc__ = "The PDKs that netlists can be made for."
_CLOCKED, _SKY130 = Backend("clocked"), Pdk("sky130")
_CAVEAT = "Ours are figures before layout. What others have not published stands with their figure."


Slack = Annotated[bool, typer.Option("--slack", help="More half buffers in loops: faster, larger.")]
DesignSlack = Annotated[bool | None, typer.Option(
    "--slack/--no-slack", help="More half buffers in loops, at each fork or nowhere: faster, larger.",
    show_default="as the design has it for the PDK")]
Width = Annotated[int, typer.Option(min=4, max=32, help="Bits of numbers.")]
PdkName = Annotated[Pdk, typer.Option(help="PDK of the netlist, for --backend qdi and click.")]
BackendName = Annotated[Backend, typer.Option(help="Circuit to make.")]
Calls = Annotated[int, typer.Option(min=1, help="Random calls on which levels are compared.")]
Seed = Annotated[int, typer.Option(min=0, help="Of calls, orders, stalls and delays.")]


@dataclass(frozen=True)
class Peer:
    """A published figure of somebody else: what it is, its value, its source and what is not known of it."""

    figure: str
    value: str
    source: str


@dataclass(frozen=True)
class Design:
    """A function that is made for any width.

    Parameters
    ----------
    name
        Name of the design, of its module and of its function.
    make
        Process of a width.
    peers
        Figures to stand beside ours.
    iterations
        Iterations of the loop in a call, if it always takes so many.
    slack
        PDKs in which its dual-rail circuit has more half buffers at the entries of loops (pass P12), unless
        told otherwise.
    """

    name: str
    make: Callable[[int], Process]
    peers: tuple[Peer, ...] = ()
    iterations: int | None = None
    slack: tuple[str, ...] = ()

    def subject(self, width: int, settings: Settings, progress: Progress | None = None) -> Subject:
        """Return the function of a width with random calls."""
        return subject_of(self.make(width), settings, progress=progress)

    def result(self, width: int, settings: Settings, progress: Progress | None = None) -> Result:
        """Return a verification of one width, with the figures per iteration."""
        result = verify(self.subject(width, settings), settings, progress)
        self.per_iteration(result)
        return result

    def per_iteration(self, result: Result) -> None:
        """Add what an iteration takes to a result."""
        cycles = result.figures.get("cycles per result")
        if self.iterations and cycles:
            result.figures["cycles per iteration"] = f"{float(cycles) / self.iterations:.2f}"

    def main(self) -> None:
        """Run the command line."""
        _app(self)(prog_name=f"python -m designs.{self.name}")


def _app(design: Design) -> typer.Typer:
    app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
                      help=f"{design.name}: a Python function as a circuit.")

    @app.command("build")
    def build(width: Width = 8, backend: BackendName = _CLOCKED, pdk: PdkName = _SKY130,
              slack: DesignSlack = None, calls: Calls = 20, seed: Seed = 0,
              out: Annotated[Path | None, typer.Option(
                  help="Folder of the results; replaced as a whole.",
                  show_default=f"build/{design.name}-BACKEND-WIDTH")] = None) -> None:
        """Make a netlist and a report, after all levels agree with Python."""
        with user_errors():
            folder = out or Path("build") / f"{design.name}-{backend}-{width}"
            command = shlex.join(["python", "-m", f"designs.{design.name}", *sys.argv[1:]])
            with show_progress() as progress:
                settings = _settings(design, backend, pdk, slack, calls, seed)
                result = synthesise(design.subject(width, settings, progress), folder, settings,
                                    command=command, progress=progress, finish=design.per_iteration)
            print_result(result, Console())
            typer.echo(f"results: {folder}")

    @app.command("verify")
    def verify_(width: Width = 8, backend: BackendName = _CLOCKED, pdk: PdkName = _SKY130,
                slack: DesignSlack = None, calls: Calls = 100, seed: Seed = 0) -> None:
        """Compare all levels with Python, token for token."""
        with user_errors():
            with show_progress() as progress:
                result = design.result(width, _settings(design, backend, pdk, slack, calls, seed), progress)
            print_result(result, Console())

    @app.command("report")
    def report(backend: BackendName = _CLOCKED, pdk: PdkName = _SKY130,
               slack: DesignSlack = None, calls: Calls = 20, seed: Seed = 0,
               widths: Annotated[str, typer.Option(help="Widths to compare.")] = ",".join(map(str, WIDTHS)),
               out: Annotated[Path | None, typer.Option(help="Folder for sweep.json.",
                                                        show_default="none")] = None) -> None:
        """Show figures of several widths, beside what others have published."""
        with user_errors():
            results = {width: design.result(width, _settings(design, backend, pdk, slack, calls, seed))
                       for width in _widths(widths)}
            _print_sweep(design, results, Console())
            if out is not None:
                with staged(out) as part:
                    data = {str(width): result.plain() for width, result in results.items()}
                    (part / "sweep.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")

    return app


def _settings(design: Design, backend: Backend, pdk: Pdk, slack: bool | None, calls: int,
              seed: int) -> Settings:
    passes = {"P11": True} if slack else {}
    if slack is None and str(backend) == "qdi" and str(pdk) in design.slack:
        passes = {"P12": True}
    return Settings(backend=str(backend), pdk=str(pdk), calls=calls, seed=seed, passes=passes)


def _widths(text: str) -> list[int]:
    try:
        widths = [int(part) for part in text.split(",")]
    except ValueError:
        widths = []
    if not widths or not all(4 <= width <= 32 for width in widths):
        raise UserError(f"Widths must be numbers from 4 to 32 with commas between, not {text}")
    return widths


def _print_sweep(design: Design, results: dict[int, Result], console: Console) -> None:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 1))
    table.add_column(f"{design.name}, bits")
    for width in results:
        table.add_column(str(width), justify="right")
    rows = {"blocks": [str(sum(result.blocks.values())) for result in results.values()]}
    for name in dict.fromkeys(key for result in results.values() for key in result.figures):
        rows[name] = [result.figures.get(name, "–") for result in results.values()]
    rows["tokens compared"] = [f"{sum(level.tokens for level in result.levels):,}"
                               for result in results.values()]
    rows["deadlock"] = [result.certificate for result in results.values()]
    for name, cells in rows.items():
        table.add_row(name, *cells)
    console.print(table)
    for peer in design.peers:
        console.print(Text(f"{peer.figure}: {peer.value} ({peer.source})" if peer.figure else peer.source),
                      soft_wrap=True)
    console.print(Text(_CAVEAT, "dim"), soft_wrap=True)

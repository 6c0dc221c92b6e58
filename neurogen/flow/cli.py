"""The command ``neurogen``: from a Python function to a verified circuit."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from neurogen.flow.errors import UserError, user_errors
from neurogen.flow.synth.campaign import DEFAULT_LEVELS, run_campaign
from neurogen.flow.synth.design import Backend, Pdk, Slack
from neurogen.flow.synth.levels import LEVELS
from neurogen.flow.synth.load import load_process
from neurogen.flow.synth.pipeline import Settings, subject_of, synthesise
from neurogen.flow.synth.terminal import print_result
from neurogen.flow.terminal import show_progress


__all__ = ["app", "main"]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
                  help="Python functions to asynchronous and clocked circuits.")
_CLOCKED, _SKY130 = Backend("clocked"), Pdk("sky130")


@app.command("synth")
def synth_command(
        function: Annotated[str, typer.Argument(metavar="FILE.py:FUNCTION", help="The function.")],
        backend: Annotated[Backend, typer.Option(help="Circuit to make.")] = _CLOCKED,
        out: Annotated[Path | None, typer.Option(help="Folder of the results; replaced as a whole.",
                                                 show_default="build/FUNCTION-BACKEND")] = None,
        pdk: Annotated[Pdk, typer.Option(help="PDK of the netlist, for --backend qdi and click.")] = _SKY130,
        slack: Slack = False,
        width: Annotated[int | None, typer.Option(
            min=1, max=64, help="Bits of numbers without a type, for a function without decorator.")] = None,
        calls: Annotated[int, typer.Option(min=1, help="Random calls on which levels are compared.")] = 20,
        seed: Annotated[int, typer.Option(min=0, help="Of calls, orders, stalls and delays.")] = 0) -> None:
    """Make a verified netlist and a report with the flow of tokens from a Python function."""
    with user_errors():
        process = load_process(function, width=width)
        folder = out if out is not None else Path("build") / f"{process.__name__}-{backend}"
        with show_progress() as progress:
            settings = Settings(backend=str(backend), calls=calls, seed=seed, pdk=str(pdk),
                                passes={"P11": True} if slack else {})
            result = synthesise(subject_of(process, settings, progress=progress), folder, settings,
                                command=shlex.join(["neurogen", *sys.argv[1:]]), progress=progress)
        console = Console()
        print_result(result, console)
        console.print(f"results: {escape(str(folder))}", soft_wrap=True, highlight=False)


@app.command("agree")
def agree_command(
        programs: Annotated[int, typer.Option(min=1, help="Random programs.")] = 300,
        first: Annotated[int, typer.Option(min=0, help="Seed of the first.")] = 0,
        levels: Annotated[str, typer.Option(help=f"Levels, of {', '.join(LEVELS)}.")] =
        ",".join(DEFAULT_LEVELS),
        safe: Annotated[bool, typer.Option(help="A half buffer at every output of a fork.")] = False) -> None:
    """Compare random programs at all levels, token for token; 5,000 take an hour on one core."""
    with user_errors():
        chosen = {name.strip(): 1 for name in levels.split(",")}
        if not set(chosen) <= set(LEVELS):
            raise UserError(f"Levels must be of {', '.join(LEVELS)}, not {levels}")
        with show_progress() as progress:
            failures = run_campaign(range(first, first + programs), chosen,
                                    buffers="safe" if safe else "rules",
                                    progress=lambda seed: progress("Programs", seed - first + 1, programs))
        for failure in failures:
            typer.echo(f"FAIL  program {failure.seed}: {type(failure.error).__name__}: {failure.error}\n"
                       f"{failure.program.text}calls: {failure.program.stimuli}")
        if failures:
            raise SystemExit(1)
        typer.echo(f"PASS  {programs:,} programs: {', '.join(chosen)} = Python")


def main() -> None:
    """Run the command line."""
    app(prog_name="neurogen")


if __name__ == "__main__":
    main()

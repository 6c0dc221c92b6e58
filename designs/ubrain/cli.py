"""``python -m designs.ubrain build|verify|report``."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from designs.ubrain.digits import accuracy, digit_steps
from designs.ubrain.network import Config, find_config, load_layers
from designs.ubrain.top import Chip
from designs.ubrain.verify import compare_golden, make_subject, random_steps
from neurogen.flow.errors import user_errors
from neurogen.flow.synth.design import Backend
from neurogen.flow.synth.pipeline import Progress, Result, Settings, synthesise, verify
from neurogen.flow.synth.terminal import print_result
from neurogen.flow.terminal import show_progress
from neurogen.flow.verilator import to_verilog


__all__ = ["app", "main"]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
                  help="A µBrain-class chip: a recurrent network of three self-timed layers, AER in and out.")
_CLOCKED = Backend("clocked")
ConfigName = Annotated[str, typer.Option("--config", help="tiny, small, digits, chip, or a YAML file.")]
Network = Annotated[Path | None, typer.Option(help="A .nir file, instead of the configuration's network.")]
BackendName = Annotated[Backend, typer.Option(help="Circuit to make.")]
Steps = Annotated[int, typer.Option(min=1, help="Time steps of input.")]
Seed = Annotated[int, typer.Option(min=0, help="Of input, orders, stalls and delays.")]


@app.command("build")
def build_command(config: ConfigName = "tiny", network: Network = None, backend: BackendName = _CLOCKED,
                  steps: Steps = 10, seed: Seed = 0,
                  out: Annotated[Path | None, typer.Option(
                      help="Folder of the results; replaced as a whole.",
                      show_default="build/ubrain-CONFIG-BACKEND")] = None) -> None:
    """Make the chip and a report, after all levels agree."""
    with user_errors():
        chosen = _config(config, network)
        folder = out or Path("build") / f"ubrain-{chosen.name}-{backend}"
        command = shlex.join(["python", "-m", "designs.ubrain", *sys.argv[1:]])
        with show_progress() as progress, TemporaryDirectory() as work:
            layers = load_layers(chosen, Path(work) / f"{chosen.name}.nir")
            counts = _input(chosen, layers, steps, seed)
            golden = compare_golden(layers, counts)

            def finish(result: Result) -> None:
                _describe(result, chosen, layers, golden)
                if str(backend) == "clocked":
                    result.files["ubrain_aer.v"] = to_verilog(Chip(result.graph), "ubrain_aer")

            result = synthesise(make_subject(layers, counts), folder, _settings(backend, seed),
                                command=command, progress=progress, finish=finish)
        print_result(result, Console())
        typer.echo(f"results: {folder}")


@app.command("verify")
def verify_command(config: ConfigName = "tiny", network: Network = None, backend: BackendName = _CLOCKED,
                   steps: Steps = 50, seed: Seed = 0) -> None:
    """Compare the functions with the golden network, and all circuits with the functions."""
    with user_errors():
        chosen = _config(config, network)
        with show_progress() as progress:
            result = _verify(chosen, backend, steps, seed, progress)
        print_result(result, Console())


@app.command("report")
def report_command(configs: Annotated[str, typer.Option(help="Configurations to compare.")] = "tiny,small",
                   backend: BackendName = _CLOCKED, steps: Steps = 10, seed: Seed = 0) -> None:
    """Show figures of several configurations."""
    with user_errors():
        for name in configs.split(","):
            with show_progress() as progress:
                result = _verify(find_config(name), backend, steps, seed, progress)
            print_result(result, Console())


def _config(name: str, network: Path | None) -> Config:
    config = find_config(name)
    return config if network is None else replace(config, network=network)


def _input(config, layers, steps, seed):
    return digit_steps(steps) if config.data == "digits" else random_steps(layers, steps, seed)


def _settings(backend: Backend, seed: int) -> Settings:
    # Compiled, since an event takes thousands of cycles.
    levels = {"tokens": 1, "verilog": 2}
    if str(backend) != "clocked":
        levels[Settings(str(backend)).gates] = 2
    return Settings(backend=str(backend), seed=seed, levels=levels)


def _verify(config: Config, backend: Backend, steps: int, seed: int, progress: Progress) -> Result:
    with TemporaryDirectory() as work:
        layers = load_layers(config, Path(work) / f"{config.name}.nir")
    counts = _input(config, layers, steps, seed)
    golden = compare_golden(layers, counts)
    result = verify(make_subject(layers, counts), _settings(backend, seed), progress)
    _describe(result, config, layers, golden)
    return result


def _describe(result, config, layers, golden):
    sizes = [layer.lif.neurons for layer in layers.layers]
    result.levels.insert(0, golden)
    result.figures = {"configuration": config.name, "neurons": f"{sum(sizes):,}",
                      "synapses": f"{layers.synapses:,}", **result.figures}
    if config.data == "digits":
        right, count = accuracy(layers)
        result.figures["held-out digits right, golden"] = f"{right} of {count} ({right / count:.1%})"
    result.notes.append(f"Network {layers.source}: {layers.inputs} inputs, layers of "
                        f"{', '.join(map(str, sizes))}; the published chip has 336 neurons and 38,000 "
                        f"synapses in one account, 300 and 200,000 in another.")


def main() -> None:
    """Run the command line."""
    app(prog_name="python -m designs.ubrain")


if __name__ == "__main__":
    main()

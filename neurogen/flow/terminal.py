"""Reports and progress in a terminal."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from neurogen.flow.job import Progress as ProgressCall
from neurogen.flow.report import accuracies
from neurogen.frontend.quantise_report import QuantisationReport


__all__ = ["print_report", "quantisation_table", "show_progress"]


@contextmanager
def show_progress() -> Iterator[ProgressCall]:
    """Give a function that shows progress on stderr: a bar in a terminal, else a line for each stage."""
    console = Console(stderr=True)
    if not console.is_terminal:
        stages: list[str] = []

        def say(what: str, done: int, total: int) -> None:
            if what not in stages:
                stages.append(what)
                console.print(f"{what} ...", highlight=False, soft_wrap=True, markup=False)

        yield say
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(),
               MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Starting", total=None)

        def update(what: str, done: int, total: int) -> None:
            if progress.tasks[0].description != what:
                progress.reset(task, description=what, total=total or None)
            progress.update(task, completed=done, total=total or None)

        yield update


def print_report(data: Mapping, console: Console) -> None:
    """Print what `neurogen.flow.report.write_report` takes: verdicts, layers, memory, resources."""
    board = f" · {data['board']}" if data.get("board") else ""
    _say(console, f"{data['network']['name']} on {data['config']['name']}{board} · "
                  f"network {data['network']['digest'][:12]}", "bold")
    if data.get("layers"):
        console.print(_layers(data))
    if data.get("memory"):
        parts = (f"{name} {m['used']} of {m['available']} {m.get('unit', '')}".strip()
                 for name, m in data["memory"].items())
        _say(console, f"memory: {', '.join(parts)}")
    if data.get("resources"):
        _print_resources(data["resources"], console)
    for name, value in accuracies(data.get("accuracy")):
        share = "–" if value["fraction"] is None else f"{value['fraction']:.1%}"
        _say(console, f"accuracy, {name}: {value['text']} ({share})" if value["text"] else
             f"accuracy, {name}: {share}")
    for note in data.get("notes") or ():
        _say(console, note, "dim")
    if data.get("verify"):
        _print_verdict(data["verify"], console)


def _say(console, text, style=""):
    """Print a line as it is, however long."""
    console.print(Text(text, style), soft_wrap=True)


def _layers(data):
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 1))
    measured = any(layer.get("cycles") is not None for layer in data["layers"])
    columns = {"events": "events", "sops": "SOPs", "spikes": "spikes", "cycles": "cycles",
               "bound_cycles": "bound"} if measured else \
        {"state_rows": "state rows", "weight_rows": "weight rows", "spike_rows": "spike rows"}
    table.add_column("layer")
    for title in (*columns.values(), *(("÷bound", "SOP/cycle") if measured else ())):
        table.add_column(title, justify="right", no_wrap=True)
    for layer in data["layers"]:
        cells = [_count(layer.get(key)) for key in columns]
        if measured:
            cycles, bound = layer.get("cycles"), layer.get("bound_cycles")
            cells += [f"{cycles / bound:.2f}" if cycles and bound else "–",
                      f"{layer['sops'] / cycles:.1f}" if cycles and layer.get("sops") is not None else "–"]
        table.add_row(Text(layer["name"]), *cells)
    return table


def _count(value):
    return "–" if value is None else f"{value:,}"


def _print_resources(resources, console):
    cells = ", ".join(f"{name} {cell['used']:,} of {cell['available']:,}"
                      for name, cell in (resources.get("cells") or {}).items())
    if cells:
        _say(console, f"{resources.get('device', 'device')}: {cells}")
    if resources.get("fmax") is not None:
        target = resources.get("target")
        wanted = f" (target {target:.1f} MHz)" if target is not None else ""
        _say(console, f"highest clock {resources['fmax']:.1f} MHz{wanted}")


def _print_verdict(verify, console):
    good = not verify["mismatches"]
    compared = ", ".join(f"{verify[key]:,} {text}" for key, text in (
        ("spikes_compared", "spike counts"), ("potentials_compared", "potentials"),
        ("counters_compared", "counters")) if verify.get(key) is not None)
    verdict = "PASS  golden = RTL" if good else f"FAIL  {verify['mismatches']:,} values differ"
    _say(console, f"{verdict} in {verify['samples']} recordings, {verify['steps']} steps: {compared}",
         "bold green" if good else "bold red")
    if verify.get("first_difference"):
        _say(console, f"first difference: {verify['first_difference']}")


def quantisation_table(report: QuantisationReport) -> Table:
    """Return what quantisation did, a row for each layer."""
    table = Table(title="Quantisation")
    for title in ("layer", "weights", "scale", "SQNR dB", "clipped", "threshold", "input of a step",
                  "state bits", "spikes float", "integer", "differing", "guard hits"):
        table.add_column(title, justify="left" if title == "layer" else "right")
    for layer in report.layers:
        table.add_row(
            layer.name, f"{layer.weights} x {layer.weight_bits} b", _span(layer.scale, ".3g"),
            "exact" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f}", str(layer.clipped),
            _span(layer.threshold, "d"), f"{layer.negative} … {layer.positive}",
            f"{layer.state_bits} ({layer.comfortable_bits})",
            *("-" if value is None else str(value) for value in (
                layer.spikes_float, layer.spikes_integer, layer.spikes_differing, layer.guard_hits)))
    return table


def _span(values, form):
    low, high = min(values), max(values)
    return f"{low:{form}}" if low == high else f"{low:{form}} … {high:{form}}"

"""What all benchmarks share: a table for people, the same figures as JSON, and where they were measured."""

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table


__all__ = ["Stopwatch", "chosen", "kept", "machine", "peak_memory", "report", "save", "stopwatch"]


class Stopwatch:
    """Seconds that a block took: wall time, and processor time of this process and its children."""

    def __init__(self):
        self.wall = 0.0
        self.cpu = 0.0


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Measure the time of a ``with`` block; the figures are there when it ends."""
    result = Stopwatch()
    wall, before = time.perf_counter(), os.times()
    try:
        yield result
    finally:
        after = os.times()
        result.wall = time.perf_counter() - wall
        result.cpu = sum(after[:4]) - sum(before[:4])


def chosen(parser: argparse.ArgumentParser, what: str, text: str, known: Collection[str]) -> list[str]:
    """Return the names of an option that takes some, separated by commas; all that are known if it is empty.

    Parameters
    ----------
    parser
        Ends the program if a name is not known.
    what
        What the names are of, for the error.
    text
        Value of the option.
    known
        Names that there are.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            parser.error(f"{what} must be one of {', '.join(known)}, not {name!r}")
    return names or list(known)


def peak_memory() -> int:
    """Return the most memory that this process or one of its finished children held, in bytes."""
    unit = 1 if platform.system() == "Darwin" else 1024  # Linux counts KiB
    return unit * max(resource.getrusage(who).ru_maxrss
                      for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def machine(*packages: str) -> dict[str, str]:
    """Return where figures come from: processor, cores, Python, and versions of packages."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        model = f"{model} (no /proc/cpuinfo)"
    versions = {}
    for package in ("neurogen", *packages):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {"processor": model, "cores": str(os.cpu_count()), "python": platform.python_version(), **versions}


def report(title: str, columns: Mapping[str, str], rows: Sequence[Mapping], *, path: str | Path | None = None,
           packages: Sequence[str] = ()) -> None:
    """Print a table, and write the same rows as JSON.

    Parameters
    ----------
    title
        What was measured.
    columns
        Key in the rows -> heading with the unit. A row without a key has a dash there.
    rows
        Figures, unrounded.
    path
        JSON file; none if ``None``. Keys are sorted, so that files of two runs can be compared.
    packages
        Packages whose versions matter.
    """
    unknown = sorted({key for row in rows for key in row} - set(columns))
    if unknown:
        raise ValueError(f"Rows of {title!r} must have the keys {', '.join(columns)}, not {unknown[0]!r}")
    where = machine(*packages)
    table = Table(title=title, caption=", ".join(f"{key} {value}" for key, value in where.items()))
    for heading in columns.values():
        table.add_column(heading, justify="left" if not table.columns else "right")
    for row in rows:
        table.add_row(*(_text(row.get(key)) for key in columns))
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # in a file or a pipe, nothing is cut
    console.print(table)
    if path is not None:
        save(path, title, rows, packages)


def save(path: str | Path, title: str, rows: Sequence[Mapping], packages: Sequence[str] = ()) -> None:
    """Write rows as JSON, the whole file or nothing; see `report`. Long runs save what they have so far."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    data = {"title": title, "machine": machine(*packages), "rows": [dict(row) for row in rows]}
    part.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(part, path)


def kept(path: Path | None, keys: Collection[str], *, resume: bool) -> list[dict]:
    """Return the rows that `save` wrote to a file, if there is one and a run is to ``resume`` from it.

    Raises
    ------
    ValueError
        If the file holds something else, or a row lacks one of the keys.
    """
    if not (resume and path and path.exists()):
        return []
    wrong = f"File to resume from must be one of this benchmark, not {path}"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        missing = sorted({key for row in rows for key in keys if key not in row})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{wrong}: {error!r}") from None
    if missing:
        raise ValueError(f"{wrong}: a row has no {missing[0]!r}")
    return rows


def _text(value):
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)

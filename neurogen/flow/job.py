"""The inputs of a command, read and checked before anything slow starts."""

import time
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from neurogen.flow.load import ImportOptions, LoadedNetwork, Samples, load_network, load_samples
from neurogen.flow.results import file_hash
from neurogen.mapping.compile import compile_network
from neurogen.mapping.config import CONFIGS, load_config
from neurogen.mapping.plan import Plan
from neurogen.spec.mega import MegaSpec


__all__ = ["Job", "Progress", "prepare"]


class Progress(Protocol):
    """Told what is going on, how much of it is done, and how much there is (0: unknown)."""

    def __call__(self, what: str, done: int, total: int) -> None: ...


def _silent(what: str, done: int, total: int) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """The inputs of a command, read and checked.

    Parameters
    ----------
    loaded
        The network.
    spec, config
        The configuration, and what messages call it.
    board
        Name of the board, or an empty string.
    plan
        The network's program.
    samples
        Recordings.
    hashes
        SHA-256 by input: "network: FILE", "configuration: FILE", "events: FILE".
    command
        The command line, for the report.
    progress
        Told what is going on.
    started
        `time.monotonic` at the start.
    """

    loaded: LoadedNetwork
    spec: MegaSpec
    config: str
    board: str
    plan: Plan
    samples: Samples
    hashes: dict[str, str]
    command: str = ""
    progress: Progress = _silent
    started: float = field(default_factory=time.monotonic)


def prepare(*, network: str | Path, config: str | Path, board: str = "", events: str | Path | None = None,
            samples: int = 10, options: ImportOptions | None = None, observe: str = "outputs",
            command: str = "", progress: Progress = _silent) -> Job:
    """Read the inputs of a command, and compile the network.

    Parameters
    ----------
    network
        ``.nir`` or ``.npz`` file.
    config
        Name of a configuration that ships, or a YAML file.
    board
        Name of a board; only reported.
    events
        File of events; without, see `load_samples`.
    samples
        Number of recordings without ``events``.
    options
        How a ``.nir`` file is imported.
    observe
        See `compile_network`.
    command, progress
        See `Job`.
    """
    started = time.monotonic()
    spec = load_config(config)
    name = str(config) if str(config) in CONFIGS else Path(config).stem
    progress("Reading the network", 0, 0)
    loaded = load_network(network, options or ImportOptions(), spec)
    recordings = load_samples(loaded, events, samples)
    progress("Compiling the network", 0, 0)
    plan = compile_network(loaded.network, spec, observe=observe, name_of_config=name)
    inputs = {"network": loaded.path, "configuration": _config_file(config), "events": recordings.path}
    return Job(loaded=loaded, spec=spec, config=name, board=board, plan=plan, samples=recordings,
               hashes={f"{what}: {path.name}": file_hash(path) for what, path in inputs.items() if path},
               command=command, progress=progress, started=started)


def _config_file(config):
    if str(config) in CONFIGS:
        return Path(str(files("neurogen.mapping").joinpath("configs", f"{config}.yaml")))
    return Path(config)

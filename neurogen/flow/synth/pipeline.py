"""From a process to a folder of results: netlist, drawings, verdicts, report."""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import neurogen
from neurogen.flow.files import staged
from neurogen.flow.synth.clocked import emit_verilog, run_amaranth
from neurogen.flow.synth.drawing import stand_alone
from neurogen.flow.synth.levels import Level, Stimulus, agree, prepare
from neurogen.flow.synth.load import random_stimuli, source_lines
from neurogen.flow.synth.page import Facts, Table, render
from neurogen.qdi import Graph, Process
from neurogen.qdi.clocked import all_slots
from neurogen.spec.qdi import BLOCKS


__all__ = ["BACKENDS", "Result", "Settings", "synthesise", "verify"]

BACKENDS = ("clocked",)
_SHOWN = 6  # calls whose tokens the page plays
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    """How to synthesise.

    Parameters
    ----------
    backend
        One of `BACKENDS`.
    calls
        Random calls (or tokens of each stream) on which all levels are compared.
    seed
        Of calls, orders, stalls and delays.
    passes
        Switches of `neurogen.qdi.compile.PASSES`.
    buffers
        Placement of half buffers, see `neurogen.qdi.compile.compile`.
    """

    backend: str = "clocked"
    calls: int = 20
    seed: int = 0
    passes: dict[str, bool] = field(default_factory=dict)
    buffers: str = "rules"


@dataclass
class Result:
    """What a synthesis found; plain values for ``report.json`` but for the graph and the files.

    Parameters
    ----------
    name, backend, mode
        Function, circuit, and meaning of numbers.
    graph
        The dataflow graph.
    blocks
        Number of blocks by kind.
    levels
        Verdict of each level.
    certificate
        What is known about deadlock.
    figures
        Named figures with their units, as text.
    tables
        More tables for the page.
    files
        Text of each file, by name.
    notes
        What has to be said with the figures.
    """

    name: str
    backend: str
    mode: str
    graph: Graph
    stimulus: Stimulus
    blocks: dict[str, int] = field(default_factory=dict)
    levels: list[Level] = field(default_factory=list)
    certificate: str = ""
    figures: dict[str, str] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def plain(self) -> dict[str, Any]:
        """Return what ``report.json`` holds."""
        return {"format": "neurogen.synth", "version": 1, "neurogen": neurogen.__version__, "name": self.name,
                "backend": self.backend, "mode": self.mode, "blocks": self.blocks,
                "levels": [asdict(level) for level in self.levels], "certificate": self.certificate,
                "figures": self.figures, "notes": self.notes, "files": sorted(self.files),
                "seconds": round(self.seconds, 3)}


def verify(function: Process, settings: Settings, stimuli: Any = None,
           progress: Progress | None = None) -> Result:
    """Compile a process and compare all levels with it.

    Parameters
    ----------
    stimuli
        As `neurogen.qdi.check` takes them; random ones by default.

    Raises
    ------
    QdiError
        If the function is not in the subset.
    Mismatch, Deadlock, SimulationError
        If a level does not agree.
    UserError
        If there are no stimuli that fit the types.
    """
    start = time.perf_counter()
    say = progress or (lambda *_: None)
    say("Compiling", 0, 0)
    graph = _compile(function, settings)
    say("Running Python", 0, 0)
    if stimuli is None:
        stimuli = random_stimuli(function, settings.calls, settings.seed)
    stimulus = prepare(function, stimuli, graph=graph)
    result = Result(function.__name__, settings.backend, function.mode, graph, stimulus,
                    blocks=dict(sorted(Counter(node.kind for node in graph.blocks).items())))
    for name, runs in _levels(settings).items():
        say(f"Comparing {name} with Python", 0, 0)
        result.levels += agree(stimulus, {name: runs}, seed=settings.seed)
    result.certificate = _certificate(graph)
    say("Measuring", 0, 0)
    _MEASURE[settings.backend](result)
    result.seconds = time.perf_counter() - start
    return result


def synthesise(function: Process, out: Path, settings: Settings, *, command: str = "", stimuli: Any = None,
               progress: Progress | None = None, finish: Callable[[Result], None] | None = None) -> Result:
    """Verify a process and write the results into a folder, which is replaced as a whole.

    Parameters
    ----------
    command
        What the page says it was made with.
    finish
        Called with the result before it is written.

    Raises
    ------
    As `verify`; earlier results are then untouched.
    """
    result = verify(function, settings, stimuli, progress)
    if finish is not None:
        finish(result)
    graph = result.graph
    result.files |= {"graph.json": graph.to_json() + "\n", "graph.dot": graph.to_dot(),
                     "graph.svg": stand_alone(graph)}
    with staged(out) as part:
        page = render(graph, source_lines(function), _shown(result.stimulus), _facts(result, command))
        for name, text in {**result.files, "report.html": page}.items():
            (part / name).write_text(text, encoding="utf-8")
        (part / "report.json").write_text(json.dumps(result.plain(), indent=1) + "\n", encoding="utf-8")
    return result


def _compile(function: Process, settings: Settings) -> Graph:
    from neurogen.qdi.compile import compile

    return compile(function, passes=settings.passes, buffers=settings.buffers)


def _levels(settings: Settings) -> dict[str, int]:
    return {"tokens": 4, "clocked": 3}


def _certificate(graph: Graph) -> str:
    return str(graph.notes.get("deadlock", "fuzz-only"))


def _measure_clocked(result: Result) -> None:
    graph, stimulus = result.graph, result.stimulus
    run = run_amaranth(graph, stimulus.inputs, stimulus.wanted)
    period = run.period()
    if period is not None:
        result.figures["cycles per result"] = f"{period:.2f}"
    bits = sum(2 * (edge.width + 1) for edge in all_slots(graph))
    result.figures["register bits on channels"] = str(bits)
    result.files[f"{graph.name}.v"] = emit_verilog(graph)


_MEASURE: dict[str, Callable[[Result], None]] = {"clocked": _measure_clocked}


def _shown(stimulus: Stimulus) -> dict[str, Sequence[int]]:
    return {name: tokens[:_SHOWN] for name, tokens in stimulus.inputs.items()}


def _facts(result: Result, command: str) -> Facts:
    total = sum(result.blocks.values())
    certificate = {"proved": ("free of deadlock: proved", "good"),
                   "safe default": ("free of deadlock: safe default", "good")}
    chips = [(f"{level.name} = Python, {level.tokens} tokens", "good") for level in result.levels]
    chips.append(certificate.get(result.certificate, (f"deadlock: {result.certificate}", "")))
    tiles = [(str(total), "blocks"), *((value, text) for text, value in result.figures.items())]
    blocks = Table("Blocks", ("block", "count", "rule"),
                   [(f"QDI_{kind}", count, BLOCKS[kind].rule) for kind, count in result.blocks.items()],
                   ("all", total, ""), fill=True)
    levels = Table("Verification", ("level", "runs", "tokens compared", "seconds", ""),
                   [(level.name, level.runs, level.tokens, f"{level.seconds:.2f}", level.remark)
                    for level in result.levels],
                   notes=["The reference is the function itself, run by CPython."], fill=True)
    about = (f"{result.backend} circuit of a Python function, numbers {result.mode} · "
             f"neurogen {neurogen.__version__}")
    return Facts(about, chips, tiles, [levels, blocks, *result.tables], result.notes, command)

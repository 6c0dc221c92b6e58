"""From a process to a folder of results: netlist, drawings, verdicts, report."""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import neurogen
from neurogen.flow.files import staged
from neurogen.flow.synth.bundled import check_click, make_click
from neurogen.flow.synth.clocked import emit_verilog, run_amaranth, run_verilator
from neurogen.flow.synth.drawing import stand_alone
from neurogen.flow.synth.dual_rail import PDKS, make_dual_rail
from neurogen.flow.synth.icarus import installed
from neurogen.flow.synth.levels import Level, Stimulus, agree, prepare
from neurogen.flow.synth.load import random_stimuli, source_lines
from neurogen.flow.synth.page import Facts, Table, render
from neurogen.flow.tools import SimulationError
from neurogen.qdi import Graph, Process
from neurogen.qdi.clocked import all_slots
from neurogen.qdi.compile import compile
from neurogen.qdi.gates.mapping import load_kit
from neurogen.spec.qdi import BLOCKS


__all__ = ["BACKENDS", "Result", "Settings", "Subject", "subject_of", "synthesise", "verify"]

BACKENDS = ("clocked", "qdi", "click")
_ASYNCHRONOUS = {"qdi": make_dual_rail, "click": make_click}
_TRIAL = 4  # calls that show whether half buffers are missing
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
        Placement of half buffers, see `neurogen.qdi.compile.compile`; ``auto``: the rules, or a buffer at
        every output of a fork where a short simulation of the gates stands still with them.
    levels
        Runs by level, instead of the backend's own (`neurogen.flow.synth.levels.LEVELS`).
    pdk
        PDK of the netlist of ``qdi`` and ``click``, one of `neurogen.flow.synth.dual_rail.PDKS`.
    """

    backend: str = "clocked"
    calls: int = 20
    seed: int = 0
    passes: dict[str, bool] = field(default_factory=dict)
    buffers: str = "auto"
    levels: dict[str, int] | None = None
    pdk: str = "sky130"

    @property
    def gates(self) -> str:
        """Level at which the gates of the PDK are simulated."""
        if self.backend == "click":
            return "click" if self.pdk == "sky130" else f"click {self.pdk}"
        return "threshold gates" if load_kit(PDKS[self.pdk]).threshold else "gates"


@dataclass(frozen=True)
class Subject:
    """What is to be synthesised.

    Parameters
    ----------
    name
        Of the function.
    mode
        What numbers mean: ``checked`` or ``wrap``.
    stimulus
        Its graph, tokens for it, and what CPython makes of them.
    source
        Number and text of the lines of its source.
    """

    name: str
    mode: str
    stimulus: Stimulus
    source: Sequence[tuple[int, str]]


@dataclass
class Result:
    """What a synthesis found; plain values for ``report.json`` but for the graph and the files.

    Parameters
    ----------
    subject, backend
        What was made into which circuit.
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

    subject: Subject
    backend: str
    blocks: dict[str, int] = field(default_factory=dict)
    levels: list[Level] = field(default_factory=list)
    certificate: str = ""
    figures: dict[str, str] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def graph(self) -> Graph:
        """The dataflow graph."""
        return self.subject.stimulus.graph

    def plain(self) -> dict[str, Any]:
        """Return what ``report.json`` holds."""
        return {"format": "neurogen.synth", "version": 1, "neurogen": neurogen.__version__,
                "name": self.subject.name, "backend": self.backend, "mode": self.subject.mode,
                "blocks": self.blocks,
                "levels": [asdict(level) for level in self.levels], "certificate": self.certificate,
                "figures": self.figures, "notes": self.notes, "files": sorted(self.files),
                "seconds": round(self.seconds, 3)}


def subject_of(function: Process, settings: Settings, stimuli: Any = None,
               progress: Progress | None = None) -> Subject:
    """Compile a process and run it.

    Parameters
    ----------
    stimuli
        As `neurogen.qdi.check` takes them; random ones by default.

    Raises
    ------
    QdiError
        If the function is not in the subset.
    UserError
        If there are no stimuli that fit the types, or the backend lacks a block.
    """
    say = progress or (lambda *_: None)
    say("Compiling", 0, 0)
    automatic = settings.buffers == "auto"
    graph = compile(function, passes=settings.passes, buffers="rules" if automatic else settings.buffers)
    say("Running Python", 0, 0)
    if settings.backend == "click":
        check_click(graph)
    if automatic and settings.backend in _ASYNCHRONOUS:
        trial = prepare(function, random_stimuli(function, _TRIAL, settings.seed), graph=graph)
        try:
            agree(trial, {settings.gates: 1}, seed=settings.seed)
        except SimulationError:
            graph = compile(function, passes=settings.passes, buffers="safe")
    if stimuli is None:
        stimuli = random_stimuli(function, settings.calls, settings.seed)
    return Subject(function.__name__, function.mode, prepare(function, stimuli, graph=graph),
                   source_lines(function))


def verify(subject: Subject, settings: Settings, progress: Progress | None = None) -> Result:
    """Compare all levels of a subject with Python, and measure its circuit.

    Raises
    ------
    Mismatch, Deadlock, SimulationError
        If a level does not agree.
    UserError
        If the backend lacks a block.
    """
    start = time.perf_counter()
    say = progress or (lambda *_: None)
    graph = subject.stimulus.graph
    if settings.backend == "click":
        check_click(graph)
    result = Result(subject, settings.backend, certificate=_certificate(graph),
                    blocks=dict(sorted(Counter(node.kind for node in graph.blocks).items())))
    for name, runs in _levels(settings).items():
        say(f"Comparing {name} with Python", 0, 0)
        result.levels += agree(subject.stimulus, {name: runs}, seed=settings.seed)
    if settings.backend in _ASYNCHRONOUS and not installed():
        result.notes.append("Icarus Verilog: not run: iverilog is not on PATH")
    say("Measuring", 0, 0)
    _MEASURE[settings.backend](result, settings)
    result.seconds = time.perf_counter() - start
    return result


def synthesise(subject: Subject, out: Path, settings: Settings, *, command: str = "",
               progress: Progress | None = None, finish: Callable[[Result], None] | None = None) -> Result:
    """Verify a subject and write the results into a folder, which is replaced as a whole.

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
    result = verify(subject, settings, progress)
    if finish is not None:
        finish(result)
    graph = result.graph
    result.files |= {"graph.json": graph.to_json() + "\n", "graph.dot": graph.to_dot(),
                     "graph.svg": stand_alone(graph)}
    if "deadlock" in graph.notes:
        result.files["certificate.json"] = json.dumps(graph.notes["deadlock"], indent=1) + "\n"
    with staged(out) as part:
        page = render(graph, subject.source, _shown(subject.stimulus), _facts(result, command))
        for name, text in {**result.files, "report.html": page}.items():
            (part / name).write_text(text, encoding="utf-8")
        (part / "report.json").write_text(json.dumps(result.plain(), indent=1) + "\n", encoding="utf-8")
    return result


def _levels(settings: Settings) -> dict[str, int]:
    if settings.levels is not None:
        return settings.levels
    levels = {"tokens": 4, "clocked": 3}
    if settings.backend in _ASYNCHRONOUS:
        levels[settings.gates] = 4
    if settings.backend in _ASYNCHRONOUS and installed():
        levels["icarus" if settings.gates == "gates" else f"icarus {settings.gates}"] = 1
    return levels


def _certificate(graph: Graph) -> str:
    known = graph.notes.get("deadlock")
    if isinstance(known, Mapping):
        return str(known["status"])
    return "safe default" if graph.notes.get("buffers") == "safe" else "fuzz only"


def _measure_clocked(result: Result, settings: Settings) -> None:
    graph, stimulus = result.graph, result.subject.stimulus
    compiled = any(level.name == "verilog" for level in result.levels)
    run = (run_verilator if compiled else run_amaranth)(graph, stimulus.inputs, stimulus.wanted)
    period = run.period()
    if period is not None:
        result.figures["cycles per result"] = f"{period:.2f}"
    bits = sum(2 * (edge.width + 1) for edge in all_slots(graph))
    result.figures["register bits on channels"] = str(bits)
    result.files[f"{graph.name}.v"] = emit_verilog(graph)


def _measure_gates(result: Result, settings: Settings) -> None:
    made = _ASYNCHRONOUS[settings.backend](result.subject.stimulus, settings.pdk)
    result.figures |= made.figures
    result.tables += made.tables
    result.notes += made.notes
    result.files |= made.files


_MEASURE: dict[str, Callable[[Result, Settings], None]] = {
    "clocked": _measure_clocked, "qdi": _measure_gates, "click": _measure_gates}


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
    about = (f"{result.backend} circuit of a Python function, numbers {result.subject.mode} · "
             f"neurogen {neurogen.__version__}")
    return Facts(about, chips, tiles, [levels, blocks, *result.tables], result.notes, command)

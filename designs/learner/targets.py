"""Bitstreams and hand-overs of the learner: what `fpga` and `asic` make of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from designs.learner.work import random_work, starting_weights
from neurogen.flow.learning import LearnPort
from neurogen.flow.model import Model
from neurogen.spec.learning import Learner


__all__ = ["bitstream", "drive", "find_buildable", "handover"]


_BENCH_CYCLES = 20_000  # of the recording that a bench for netlists repeats, at most


def find_buildable(spec: Learner, board: str | None) -> str:
    """Return the name of a board, if there is all that a bitstream for it needs."""
    from fpga.boards import DEFAULT_BOARD, find_board  # the tools of the extra `fpga` are needed from here
    from fpga.build import check_buildable
    found = find_board(board or DEFAULT_BOARD)
    check_buildable(spec, found)
    return found.name


def bitstream(spec: Learner, board: str, folder: Path, on_step: Callable[[str], None]) -> dict[str, Any]:
    """Build a bitstream into ``folder``; return what `build_fpga` says, and ``notes`` about it."""
    from fpga.build import build_fpga
    built = build_fpga(spec, board, folder, on_step=on_step)
    resources = built["resources"]
    cells = ", ".join(f"{cell['used']:,} of {cell['available']:,} {name}"
                      for name, cell in resources["cells"].items() if cell["used"])
    return built | {"notes": [f"{board}: {cells}.",
                              f"Clock: {resources['fmax']:.2f} MHz, wanted {resources['target']:.2f}."]}


def drive(model: Model, spec: Learner, samples: int = 1) -> None:
    """Load weights, learn from samples, and read the weights back."""
    port = LearnPort(model, spec)
    port.load(starting_weights(spec, 1), seed=1)
    work = random_work(spec, samples, 1, steps=4)
    for raster, label in zip(work.rasters, work.labels, strict=True):
        port.run(np.asarray(raster), int(label))
    port.weights()


def handover(spec: Learner, verilog: str, kit: Any, folder: Path, flow: str, period: float,
             root: Path | None, on_step: Callable[[str], None]) -> dict[str, Any]:
    """Write a hand-over to OpenROAD into ``folder``; return what `build_asic` says, and ``notes`` on it."""
    from asic.build import build_asic, describe, record
    on_step("recording the ports")
    recording = record(verilog, "learner", lambda model: drive(model, spec), folder.parent,
                       cycles=_BENCH_CYCLES)
    found = build_asic(verilog, "learner", kit, folder, flow=flow, period=period, recording=recording,
                       root=root, on_step=on_step)
    return found | {"notes": describe(found, flow)}

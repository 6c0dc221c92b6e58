"""Measure the energy of learning on standard cells: digits with learning on, less the same with it frozen.

A learner of scikit-learn's digits (64 inputs, 128 neurons, 10 classes), trained in golden beforehand, is
synthesised for each kit. Its netlist takes the same samples with all layers frozen and with learning on,
gate by gate, without delays and with those of Liberty's tables, and does what the RTL has done; the RTL's
weights, states and counters have been compared with the golden model's. What learning takes more (errors,
modulations, updates, and the clock of the cycles that they last) is divided by the weights that were
updated: those of all lanes of a word that is read, changed and written back. ``changed`` are the weights
among them that got another value; rounding leaves most as they are. See `benchmarks.energy` for what is
counted.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asic.build import record
from asic.energy import PARTS, Engine, Work
from asic.synth import SCRIPTS, synthesise
from benchmarks.common import report
from benchmarks.energy import memory_kit
from benchmarks.learning import digits
from designs.learner.configs import CONFIGS
from neurogen.flow.learning import LearnPort, compare_now
from neurogen.flow.tools import SimulationError
from neurogen.flow.verilator import to_verilog
from neurogen.golden.learning import Simulator, random_weights
from neurogen.rtl.learning import LearnEngine
from neurogen.spec.learning import Learner, Loss
from neurogen.spec.learning_bus import Csr


__all__ = ["LearningEnergy", "learner_work", "learning_energy", "main", "measure", "trained"]


KITS = ("sky130hd", "sg13g2")
_RESET = 4  # cycles that `record` puts in front
_TRAINING, _PASSES = 400, 2  # digits that it has learnt before, and how often
_COLUMNS = {
    "design": "design", "pdk": "kit", "samples": "samples", "updates": "weights updated",
    "changed": "changed",
    "cycles": "cycles a sample", "cycles_learning": "learning", **{part: part for part in PARTS},
    "total": "pJ/update", "sop": "pJ/SOP frozen", "sop_learning": "learning", "sample": "nJ a sample frozen",
    "sample_learning": "learning",
}
_NETLISTS = {"design": "design", "pdk": "kit", "cells": "cells", "registers": "registers",
             "gates": "gating cells", "area": "area µm² without SRAM", "macros": "macros"}


@dataclass(frozen=True)
class LearningEnergy:
    """What samples took, in pJ by `PARTS`: ``frozen``, and ``learning`` with learning on.

    Parameters
    ----------
    frozen, learning
        Energies.
    cycles
        Of the window, of both.
    operations
        Weights that were added to potentials, of both: words read, times lanes. They differ slightly, as
        weights change while it learns.
    updates, changed
        Weights of words that were updated, and how often one got another value.
    """

    frozen: dict[str, float]
    learning: dict[str, float]
    cycles: tuple[int, int]
    operations: tuple[int, int]
    updates: int
    changed: int

    def per_update(self) -> dict[str, float]:
        """Return pJ per update, by `PARTS`, and their sum ``total``."""
        found = {part: (self.learning[part] - self.frozen[part]) / self.updates for part in PARTS}
        return found | {"total": sum(found.values())}

    def per_operation(self) -> tuple[float, float]:
        """Return pJ per synaptic operation, of all that was spent: frozen, and learning."""
        return tuple(sum(energies.values()) / operations for energies, operations
                     in zip((self.frozen, self.learning), self.operations, strict=True))


def trained(spec: Learner, samples: int = _TRAINING, passes: int = _PASSES) -> list[np.ndarray]:
    """Return weights after so many of the first digits, each of them ``passes`` times."""
    simulator = Simulator(spec, random_weights(spec, 1), seed=1)
    rasters, labels = digits("train")
    for _ in range(passes):
        for raster, label in zip(rasters[:samples], labels[:samples], strict=True):
            simulator.run(raster, int(label))
    return [layer.weights for layer in simulator.layers]


def learner_work(verilog: str, spec: Learner, weights: Sequence[np.ndarray],
                 samples: Sequence[tuple[np.ndarray, int]], folder: Path, *,
                 frozen: bool) -> tuple[Work, Simulator, int]:
    """Return the work of a learner, the golden model that has done the same, and how often a weight changed.

    The window has the samples; weights are loaded before it, and weights and states read after it. The
    ``operations`` of the work are 1, so that energies are sums.

    Parameters
    ----------
    samples
        ``(raster[steps, inputs], label)``.
    frozen
        Whether all layers are frozen.

    Raises
    ------
    SimulationError
        If the RTL ends with other weights, states, counters or random bits than the golden model.
    """
    golden, marks, changed = Simulator(spec, weights, seed=1), [], 0
    golden.frozen = [frozen] * len(spec.layers)
    for raster, label in samples:
        golden.begin(label)
        for row in raster:
            before = [layer.weights.copy() for layer in golden.layers]
            golden.step(np.flatnonzero(row))
            changed += sum(int((layer.weights != old).sum())
                           for layer, old in zip(golden.layers, before, strict=True))

    def drive(model):
        marks.append(model.cycles)
        port = LearnPort(model, spec)
        port.load(weights, seed=1)
        model.write(Csr.FREEZE, int(frozen) * ((1 << len(spec.layers)) - 1))
        model.write(Csr.COUNTER, 0)
        marks.append(model.cycles)
        for raster, label in samples:
            port.run(raster, label)
        marks.append(model.cycles)
        result = compare_now(port, golden)
        if result.differences:
            raise SimulationError(f"Learner must do what the golden model does, and {result.differences} "
                                  f"values differ, first {result.first}")

    inputs, outputs = record(verilog, "learner", drive, folder)
    window = tuple(mark - marks[0] + _RESET for mark in marks[1:])
    return Work(inputs, outputs, window, 1, skip=_RESET), golden, changed


def learning_energy(engine: Engine, verilog: str, spec: Learner, weights: Sequence[np.ndarray],
                    samples: Sequence[tuple[np.ndarray, int]], folder: Path, *,
                    period: float = 20e-9) -> LearningEnergy:
    """Return the energies of a netlist that takes the samples, frozen and learning.

    Raises
    ------
    SimulationError
        If RTL and golden model, or netlist and RTL, differ, or nothing was updated.
    """
    found, counters = [], []
    for frozen in (True, False):
        work, golden, changed = learner_work(verilog, spec, weights, samples, folder, frozen=frozen)
        found.append(engine.measure(work, period=period))
        counters.append(golden.counters)
    if not counters[1].updates:
        raise SimulationError("Samples must update weights, and none was updated")
    frozen, learning = ({part: values[part] for part in PARTS} for values in found)
    return LearningEnergy(frozen, learning, tuple(values["cycles"] for values in found),
                          tuple(counter.reads * spec.lanes for counter in counters),
                          counters[1].updates * spec.lanes, changed)


def measure(lanes: int, kit: str, samples: int, folder: Path, *, loss: Loss = Loss.SOFTMAX,
            script: str = "plain", period: float = 20e-9) -> tuple[dict, dict]:
    """Return the row of energies, and that of the netlist; what is in ``folder`` is used again.

    Parameters
    ----------
    lanes, loss
        Of the learner.
    samples
        Digits that are measured: those after the ones it was trained with.
    script
        One of `asic.synth.SCRIPTS`.
    period
        Clock period in s.
    """
    spec = replace(CONFIGS["digits"], lanes=lanes, loss=loss)
    title = f"learner-{lanes}" + ("" if loss is Loss.SOFTMAX else f"-{loss}")
    folder = folder / f"{title}-{kit}-{script}"
    folder.mkdir(parents=True, exist_ok=True)
    pdk, verilog = memory_kit(kit, folder), to_verilog(LearnEngine(spec), "learner")
    if not (folder / "area.json").exists():  # written last
        synthesise(verilog, "learner", pdk, folder, script=script, period=period)
    area = json.loads((folder / "area.json").read_text(encoding="utf-8"))
    rasters, labels = digits("train")
    chosen = [(rasters[k], int(labels[k])) for k in range(_TRAINING, _TRAINING + samples)]
    found = learning_energy(Engine(folder / "netlist.json", "learner", pdk), verilog, spec, trained(spec),
                            chosen, folder, period=period)
    sops, sums = found.per_operation(), [sum(part.values()) for part in (found.frozen, found.learning)]
    row = {"design": title, "pdk": kit, "samples": samples, "updates": found.updates,
           "changed": found.changed,
           "cycles": found.cycles[0] / samples, "cycles_learning": found.cycles[1] / samples,
           **found.per_update(), "sop": sops[0], "sop_learning": sops[1],
           "sample": sums[0] / samples / 1e3, "sample_learning": sums[1] / samples / 1e3}
    return row, {"design": title, "pdk": kit, "cells": area["cell_count"], "registers": area["registers"],
                 "gates": area["clock_gates"], "area": area["area_um2"] - area["sram_um2"],
                 "macros": sum(map(len, area["macros"].values()))}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pdk", action="append", choices=KITS, help="this kit only")
    parser.add_argument("--lanes", type=int, default=16, choices=(2, 4, 8, 16), help="of the learner")
    parser.add_argument("--loss", type=Loss, default=Loss.SOFTMAX, choices=tuple(Loss), help="of the learner")
    parser.add_argument("--samples", type=int, default=2, help="digits that are measured (default: 2)")
    parser.add_argument("--script", choices=tuple(SCRIPTS), default="plain", help="of the synthesis")
    parser.add_argument("--folder", type=Path, default=Path("build/energy"), help="netlists")
    parser.add_argument("--json", metavar="FILE", help="write the table as JSON")
    options = parser.parse_args()
    if options.samples < 1:
        parser.error(f"Samples must be at least 1, not {options.samples}")
    rows, netlists = zip(*(measure(options.lanes, kit, options.samples, options.folder.absolute(),
                                   loss=options.loss, script=options.script)
                           for kit in options.pdk or KITS), strict=True)
    report("Netlists", _NETLISTS, netlists)
    report("Energy of learning, after synthesis (no wires, no clock tree): pJ per weight updated, by parts",
           _COLUMNS, rows, path=options.json, packages=("amaranth", "pyosys"))


if __name__ == "__main__":
    main()

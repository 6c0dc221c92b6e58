"""What a network costs on an accelerator, layer by layer, from the counters in the hardware."""

from dataclasses import dataclass

import numpy as np

from neurogen.flow.accelerator import Accelerator
from neurogen.flow.verify import Runner, RunResult
from neurogen.golden.network import run
from neurogen.mapping.plan import Pass, Plan
from neurogen.spec.events import Events
from neurogen.spec.mega import BANKS, COUNTERS, Op
from neurogen.spec.network import Network


__all__ = ["MeasuringRunner", "classify", "golden_accuracy", "layer_table", "memory_table", "raster"]


class MeasuringRunner(Runner):
    """A `Runner` that adds up the counters of all recordings, and keeps what each of them put out.

    Runs that stop after every step are left out: steps do not overlap in them.
    """

    def __init__(self, accelerator: Accelerator, plan: Plan):
        super().__init__(accelerator, plan)
        self.counters: list[np.ndarray] = []
        self.spikes: list[dict[str, Events]] = []

    def run(self, events: dict[str, Events], *, every_step: bool = False) -> RunResult:
        """Run one recording; see `Runner.run`."""
        result = super().run(events, every_step=every_step)
        if every_step:
            return result
        self.counters = [old + new for old, new in zip(self.counters, result.counters, strict=True)] \
            if self.counters else [np.asarray(values).copy() for values in result.counters]
        self.spikes.append(result.spikes)
        return result


def classify(spikes: Events) -> int:
    """Return the neuron with the most spikes, the first one of several."""
    return int(spikes.counts().reshape(spikes.steps, -1).sum(0).argmax())


def golden_accuracy(network: Network, samples: list[dict[str, Events]], labels: np.ndarray) -> dict[str, int]:
    """Return how many recordings the golden model puts into the right class."""
    (output,) = network.outputs
    found = [classify(run(network, events, record="spikes").spikes[output]) for events in samples]
    return {"correct": int((np.array(found) == labels).sum()), "total": len(labels)}


@dataclass
class _Rows:
    """Memory that a population takes, at most at a time."""

    state: int = 0
    weight: int = 0
    spike: int = 0
    passes: int = 0
    bound: int = 0
    output: int = 0  # cycles in which a full output held up its events


def _weight_spans(part: Pass, name: str):
    """Yield (first row, rows) of the weights and parameters of a population."""
    for ins in part.instructions:
        f = ins.fields
        if ins.population == name and ins.op is Op.INTEGRATE:
            channels = f["in_channels"] * (f.get("in_h", 1) * f.get("in_w", 1) if f.get("dense") else 1)
            yield f.get("weight_base", 0), channels * f["words_per_channel"]
        elif ins.population == name and ins.op is Op.SWEEP:
            rows = f["rows"] * BANKS if f.get("per_neuron") else 1
            yield f.get("weight_base", 0), rows * part.spec.parameter_rows


def layer_table(network: Network, plan: Plan, counters: list[np.ndarray]) -> list[dict]:
    """Return a row for each population: work, cycles against their bound, memory.

    Parameters
    ----------
    counters
        For each pass ``int[instructions, COUNTERS]``, of one recording or the sum of several.

    Cycles are those in which no unit before the one that counts them was busy (see
    `neurogen.spec.mega.COUNTERS`), so that they add up. With ``traffic``, ``stalls_by_cause`` divides the
    stalls, and ``words`` holds the words that each memory of a cluster read and wrote.
    """
    totals = plan.totals(counters)
    rows: dict[str, _Rows] = {name: _Rows() for name in network.populations}
    for part, values in zip(plan.passes, counters, strict=True):
        for name in dict.fromkeys(part.populations):
            row = rows.setdefault(name, _Rows())
            mine = np.array([ins.population == name for ins in part.instructions])
            row.bound += part.lower_bound(np.asarray(values) * mine[:, None])
            places = [p for p in part.placements if p.population == name]
            row.state = max(row.state, sum(p.rows * (2 if p.current_base >= 0 else 1) for p in places))
            row.spike = max(row.spike, sum(p.spike_rows for p in places))
            row.weight = max(row.weight, sum(count for _, count in set(_weight_spans(part, name))))
            row.passes += 1
            row.output += sum(int(line[COUNTERS.index("stalls")]) for ins, line in
                              zip(part.instructions, np.asarray(values), strict=True)
                              if ins.population == name and ins.op is Op.EMIT)
    result = []
    for name, row in rows.items():
        total = totals.get(name)
        if total is None:
            continue
        peak = total["cycles"] * plan.spec.sops_per_cycle
        result.append({
            "name": name, "kind": _kind(network, name), "events": total["events"], "sops": total["sops"],
            "spikes": total["spikes"], "cycles": total["cycles"], "stalls": total["stalls"],
            "bound_cycles": row.bound, "utilisation": total["sops"] / peak if peak else None,
            "passes": row.passes, "state_rows": row.state, "weight_rows": row.weight,
            "spike_rows": row.spike, **(_traffic(total, row.output) if plan.spec.traffic else {})})
    return result


def _traffic(total, output):
    """Return stalls by cause, and words by memory."""
    starved, waiting = total["starved"], total["waiting"]
    return {
        "stalls_by_cause": {"input": starved, "sweep": waiting, "output": output,
                            "synapse": total["stalls"] - starved - waiting - output},
        "words": {memory: {"read": total[f"{memory}_reads"], "written": total[f"{memory}_writes"]}
                  for memory in ("state", "weight", "spike")}}


def _kind(network, name):
    """Return the kinds of the synapses that reach a population."""
    if name not in network.nodes:  # a relay of the compiler
        return "relay"
    return ", ".join(dict.fromkeys(type(network.nodes[e.source]).__name__.lower()
                                   for e in network.sources(name)))


_UNITS = {"state_depth": ("states", "rows"), "weight_depth": ("weights", "rows"),
          "spike_depth": ("spikes", "rows"), "program_depth": ("program", "words"),
          "max_pool_rows": ("max pooling", "rows")}


def memory_table(plan: Plan) -> dict[str, dict]:
    """Return use and size of each memory; of the pass that uses most."""
    result = {}
    for key, (title, unit) in _UNITS.items():
        used, available = (max(part.usage[key][i] for part in plan.passes) for i in (0, 1))
        if available:
            result[title] = {"used": used, "available": available, "unit": unit}
    return result


def raster(network: Network, events: dict[str, Events]) -> dict[str, dict]:
    """Return the spikes of inputs and populations in one recording, as the golden model computes them."""
    spikes = {**events, **run(network, events, record="spikes").spikes}
    return {name: {"t": spikes[name].t, "n": spikes[name].index, "neurons": int(np.prod(spikes[name].shape))}
            for name in (*network.inputs, *network.populations) if name in spikes}

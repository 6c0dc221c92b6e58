"""Compares an accelerator with the golden model: every spike, every potential, every count."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from neurogen.flow.accelerator import Accelerator
from neurogen.golden.network import run
from neurogen.mapping.plan import Plan, merge_events
from neurogen.spec.events import EventError, Events
from neurogen.spec.network import Network


__all__ = ["Difference", "RunResult", "Runner", "Verification", "verify"]


@dataclass(frozen=True)
class Difference:
    """The first place where the accelerator and the golden model differ.

    Parameters
    ----------
    sample, layer, step
        Recording, population (or synapse, for counters) and time step (-1: the whole run).
    quantity
        What differs: ``spikes``, ``potential``, ``current``, or a counter: ``events``, ``sops``, ``spikes``.
    neuron
        Address of the neuron, or None.
    expected, found
        Values of the golden model and of the accelerator.
    causes
        Events that reached the layer in that step: ``source (address)``, at most 20.
    """

    sample: int
    layer: str
    step: int
    quantity: str
    neuron: tuple[int, ...] | None
    expected: int
    found: int
    causes: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" of neuron {self.neuron}" if self.neuron is not None else ""
        text = (f"{self.quantity}{where} of {self.layer!r} in step {self.step} of sample "
                f"{self.sample} must be {self.expected}, not {self.found}")
        if self.causes:
            text += "\n  events that led there: " + ", ".join(self.causes)
        return text


@dataclass
class Verification:
    """What was compared, and how it came out."""

    samples: int = 0
    steps: int = 0
    spikes: int = 0
    potentials: int = 0
    counters: int = 0
    cycles: int = 0
    differences: int = 0
    first: Difference | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing differed."""
        return self.differences == 0

    def to_dict(self) -> dict:
        """Return plain values for reports."""
        return {"passed": self.passed, "samples": self.samples, "steps": self.steps,
                "spikes_compared": self.spikes, "potentials_compared": self.potentials,
                "counters_compared": self.counters, "cycles": self.cycles,
                "mismatches": self.differences,
                "first_difference": str(self.first) if self.first else None}


@dataclass(frozen=True)
class RunResult:
    """What an accelerator gave for one recording.

    Parameters
    ----------
    spikes
        Events of every observed population.
    potentials, currents
        ``int64[steps, *shape]`` of every population; only the last step is filled unless they were
        read after every step.
    counters
        Per pass ``int64[instructions, COUNTERS]``.
    cycles
        Clock cycles of all passes.
    """

    spikes: dict[str, Events]
    potentials: dict[str, np.ndarray]
    currents: dict[str, np.ndarray]
    counters: list[np.ndarray]
    cycles: int


class Runner:
    """Runs recordings through a plan; a plan of one pass is loaded only once.

    Parameters
    ----------
    accelerator
        Where it runs.
    plan
        What `neurogen.mapping.compile.compile_network` returned.
    """

    def __init__(self, accelerator: Accelerator, plan: Plan):
        self.accelerator = accelerator
        self.plan = plan
        self._loaded: object = None

    def run(self, events: dict[str, Events], *, every_step: bool = False) -> RunResult:
        """Run one recording.

        Parameters
        ----------
        events
            Events of each input, all over the same number of steps.
        every_step
            Read all potentials after every step (slow), not only after the last.

        Raises
        ------
        EventError
            If the recording has no step.
        """
        steps = next(iter(events.values())).steps
        if steps == 0:
            raise EventError("Recording must have at least 1 step, not 0")
        streams = dict(events)
        parts: dict[str, list[Events]] = {}
        potentials: dict[str, np.ndarray] = {}
        currents: dict[str, np.ndarray] = {}
        counters, cycles = [], 0
        for part in self.plan.passes:
            def read(t, device, part=part):
                found = device.potentials(part)
                for store, values in zip((potentials, currents), found, strict=True):
                    for name, array in values.items():
                        whole = store.setdefault(name, np.zeros((steps, *array.shape), np.int64))
                        whole[t] += array  # windows do not overlap, and are 0 elsewhere

            loaded, self._loaded = self._loaded, None  # after an error a load ends what still runs
            if loaded is not part:
                self.accelerator.load(part)
            emitted = self.accelerator.run(part, streams, steps,
                                           each_step=read if every_step else None)
            if not every_step:
                read(steps - 1, self.accelerator)
            counters.append(self.accelerator.counters(part))
            cycles += self.accelerator.cycles()
            self._loaded = part
            for name, recording in emitted.items():
                parts.setdefault(name, []).append(recording)
                streams[name] = merge_events(parts[name])
        spikes = {name: streams[name] for name in parts}
        return RunResult(spikes, potentials, currents, counters, cycles)


def verify(runner: Runner, network: Network, samples: Iterable[dict[str, Events]], *,
           every_step: bool = True,
           progress: Callable[[int, Verification], None] | None = None) -> Verification:
    """Run recordings through the golden model and an accelerator, and compare.

    Compared are the spikes of every population that the plan observes, all potentials (and
    currents), and the counters of events and SOPs of each synapse and of spikes of each population.

    Each recording runs step by step, for the potentials in between, and as a whole, in which steps overlap.

    Parameters
    ----------
    every_step
        Compare potentials after every step, not only after the last.
    progress
        Called after each recording.
    """
    report = Verification()
    for number, events in enumerate(samples):
        expected = run(network, events)
        if every_step:  # first, as it finds the step of a difference
            found = runner.run(events, every_step=True)
            _compare(report, number, network, runner.plan, events, expected, found, True)
        found = runner.run(events)
        _compare(report, number, network, runner.plan, events, expected, found, False)
        report.samples += 1
        report.steps += next(iter(events.values())).steps
        report.cycles += found.cycles
        if progress is not None:
            progress(number, report)
    return report


def _compare(report, sample, network, plan, events, expected, found, every_step):
    candidates: list[Difference] = []
    steps = next(iter(events.values())).steps

    def differ(layer, step, quantity, neuron, wanted, got):
        candidates.append(Difference(sample, layer, step, quantity, neuron, int(wanted), int(got)))

    for name in plan.observed:
        wanted = expected.spikes[name].counts()
        got = (found.spikes[name].counts() if name in found.spikes else np.zeros_like(wanted))
        report.spikes += wanted.size
        _first(report, differ, name, "spikes", wanted, got)
    moments = slice(None) if every_step else slice(steps - 1, steps)
    for quantity, golden, device in (("potential", expected.potentials, found.potentials),
                                     ("current", expected.currents, found.currents)):
        for name, got in device.items():
            if name not in golden:  # a relay that the compiler inserted
                continue
            wanted, got = golden[name][moments], got[moments]
            report.potentials += wanted.size
            _first(report, differ, name, quantity, wanted, got, 0 if every_step else steps - 1)
    totals = plan.totals(found.counters)
    for quantity, golden in (("events", expected.events_in), ("sops", expected.sops),
                             ("spikes", expected.spike_counts)):
        for name in sorted(set(golden) & set(totals)):
            wanted, got = int(golden[name].sum()), totals[name][quantity]
            report.counters += 1
            if wanted != got:
                report.differences += 1
                differ(name, -1, quantity, None, wanted, got)
    if candidates and report.first is None:
        order = {name: i for i, name in enumerate(network.order)}
        first = min(candidates, key=lambda d: (d.step < 0, d.step, order[d.layer]))
        report.first = replace(first, causes=_causes(network, {**events, **expected.spikes}, first))


def _first(report, differ, name, quantity, wanted, got, offset=0):
    where = np.argwhere(wanted != got)
    if len(where):
        report.differences += len(where)
        t, *neuron = (int(i) for i in where[0])
        differ(name, t + offset, quantity, tuple(neuron), wanted[tuple(where[0])],
               got[tuple(where[0])])


def _causes(network, recordings, difference):
    """Return the events that reached a population in the step of a difference."""
    if difference.step < 0:
        return ()
    causes = []
    waiting = [(edge.source, 0) for edge in network.sources(difference.layer)]
    while waiting:
        name, delay = waiting.pop(0)
        recording = recordings.get(name)
        if recording is None:
            waiting += [(edge.source, delay + edge.delay) for edge in network.sources(name)]
            continue
        step = difference.step - delay
        for index in recording.step(step) if step >= 0 else ():
            address = tuple(int(i) for i in np.unravel_index(index, recording.shape))
            causes.append(f"{name} {address}" + (f" of step {step}" if delay else ""))
    return tuple(causes[:20]) + ((f"... {len(causes) - 20} more",) if len(causes) > 20 else ())

"""What is measured: a LIF array, and the accelerator on one layer; each is compared with the golden model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from asic.build import record
from asic.energy import Work
from neurogen.flow.accelerator import Accelerator
from neurogen.flow.simulated import SimulatedPort
from neurogen.flow.tools import SimulationError
from neurogen.golden import conv, lif
from neurogen.golden.network import run
from neurogen.mapping.compile import compile_network
from neurogen.rtl.lif import EventKind
from neurogen.spec.conv import Conv
from neurogen.spec.events import Events
from neurogen.spec.lif import Lif
from neurogen.spec.mega import COUNTERS, MegaSpec
from neurogen.spec.network import Edge, Input, Network


__all__ = ["accelerator_work", "array_neurons", "array_work", "layer", "recording"]


_RESET = 4  # cycles that `record` puts in front


def array_neurons(neurons: int = 64) -> Lif:
    """Return the neurons of the array: 12-bit potentials, a leak of 1/16, threshold 512."""
    return Lif(shape=(neurons,), threshold=512, decay=3840, state_bits=12, v_lo=-1024, v_hi=1023)


def array_work(verilog: str, neurons: Lif, density: float, folder: Path, *, steps: int,
               seed: int = 1) -> Work:
    """Return the work of a `LifArray` of 8-bit weights: in each step each neuron has an event or none.

    The window has all steps but the first.

    Raises
    ------
    SimulationError
        If the RTL does not spike as the golden model does, or its potentials differ in the end.
    """
    draw, number = np.random.default_rng(seed), neurons.neurons
    weights = (draw.random((steps, number)) < density) * draw.integers(-32, 96, (steps, number))
    bits = (number - 1).bit_length()
    states, wanted = lif.initial_state(neurons), []
    for row in weights:
        states, spikes = lif.step(neurons, states, row)
        wanted += np.flatnonzero(spikes).tolist()
    marks, found, potentials = [], [], []

    def words(rows):
        return [word for row in rows for word in (
            *(EventKind.INTEGRATE.value | int(n) << 1 | (int(row[n]) & 255) << 1 + bits
              for n in np.flatnonzero(row)), EventKind.TICK.value)]

    def drive(model):
        for rows in (weights[:1], weights[1:]):
            done = model.run(10_000_000, inputs={"i_events": words(rows)}, outputs={"o_spikes": None},
                             until=number + 8)  # a tick without spikes is silent for as long
            found.extend(done["o_spikes"].tolist())
            marks.append(model.cycles)
        for n in range(number):
            model.set("r_neuron", n)
            model.run(2)
            potentials.append(model.get("r_potential"))

    started, (inputs, outputs) = _recorded(verilog, "lif", drive, folder)
    mask = (1 << neurons.state_bits) - 1
    if found != wanted or potentials != [int(v) & mask for v in states.v.reshape(-1)]:
        raise SimulationError("LIF array must spike and keep potentials as the golden model does")
    first, last = (mark - started + _RESET for mark in (marks[0], marks[-1]))
    # Until all potentials are set, what the array shows is random.
    return Work(inputs, outputs, (first, last), int((weights[1:] != 0).sum()), skip=_RESET + number + 8)


def recording(density: float, steps: int, shape: tuple[int, int, int], seed: int = 1) -> Events:
    """Return events: each address spikes in each step with probability ``density``."""
    return Events.from_counts(np.random.default_rng(seed).random((steps, *shape)) < density)


def layer(events: Events, spec: MegaSpec, *, seed: int = 0, firing: float = 0.05) -> Network:
    """Return a 3x3 layer of LIF neurons, a channel for each lane, of which about ``firing`` spike in a step.

    Weights use all of the configuration's bits, states three quarters of their range.
    """
    draw = np.random.default_rng(seed)
    weight = draw.laplace(0.15, 1.0, (spec.total_lanes, events.shape[0], 3, 3))
    rows = weight.reshape(len(weight), -1)
    largest = max(np.maximum(rows, 0).sum(1).max(), np.maximum(-rows, 0).sum(1).max())
    limit, half = (1 << spec.weight_bits - 1) - 1, 1 << spec.state_bits - 1
    scale = min(3 * half / 4 / largest, 2 * limit / np.abs(weight).max())
    synapse = Conv(weight=np.clip(np.rint(weight * scale), -limit, limit).astype(np.int64), padding=1)
    most = [int(np.maximum(w, 0).sum((1, 2, 3)).max()) for w in (synapse.weight, -synapse.weight)]
    neuron = Lif(shape=synapse.output_shape(events.shape), threshold=1, decay=3600,
                 state_bits=spec.state_bits, v_lo=most[1] - half, v_hi=half - 1 - most[0])
    drive = [conv.currents(synapse, events.shape, events.step(t))[0] for t in range(events.steps)]
    low, high = 1, half - 1
    while low < high:
        middle = (low + high) // 2
        trial = replace(neuron, threshold=middle)
        states, fired = lif.initial_state(trial), 0
        for current in drive:
            states, spikes = lif.step(trial, states, current)
            fired += int(spikes.sum())
        low, high = (middle + 1, high) if fired > firing * neuron.neurons * len(drive) else (low, middle)
    network = Network({"input": Input(shape=events.shape), "conv": synapse,
                       "lif": replace(neuron, threshold=low)},
                      (Edge("input", "conv"), Edge("conv", "lif")), ("lif",), {"task": "energy"})
    network.check_widths()
    return network


def accelerator_work(verilog: str, spec: MegaSpec, network: Network, events: Events, folder: Path) -> Work:
    """Return the work of the accelerator: the layer's events, step by step; in the end potentials are read.

    The window has all steps but the first, in which states are set. Operations are those of the RTL's
    counters.

    Raises
    ------
    SimulationError
        If the layer needs more than one pass, or spikes, potentials or operations are not those of the golden
        model.
    """
    plan = compile_network(network, spec)
    if len(plan.passes) != 1:
        raise SimulationError(f"Layer must be one pass, not {len(plan.passes)}")
    (part,) = plan.passes
    marks, seen, potentials = [], [], {}

    def each(step: int, accelerator: Accelerator) -> None:
        if step not in (0, events.steps - 1):
            return
        last = accelerator.port.model.cycles
        seen.append(int(accelerator.counters(part)[:, COUNTERS.index("sops")].sum()))
        marks.append(last if step else accelerator.port.model.cycles)  # without the reading of counters
        if step:
            potentials.update(accelerator.potentials(part)[0])

    spikes = {}

    def drive(model):
        accelerator = Accelerator(spec, SimulatedPort(model, spec))
        accelerator.load(part)
        spikes.update(accelerator.run(part, {"input": events}, events.steps, each_step=each))

    started, (inputs, outputs) = _recorded(verilog, "mega", drive, folder)
    golden = run(network, {"input": events}, record="spikes")
    operations = golden.sops["conv"]
    if seen != [int(operations[0]), int(operations.sum())]:
        raise SimulationError(f"Operations must be {int(operations.sum())}, not {seen[-1]}")
    if not (np.array_equal(spikes["lif"].counts(), golden.spikes["lif"].counts())
            and np.array_equal(potentials["lif"], golden.state["lif"].v)):
        raise SimulationError("Accelerator must spike and keep potentials as the golden model does")
    window = tuple(mark - started + _RESET for mark in marks)
    return Work(inputs, outputs, window, seen[1] - seen[0], skip=_RESET)


def _recorded(verilog: str, top: str, drive: Callable, folder: Path) -> tuple[int, tuple[dict, dict]]:
    """Return the cycle with which a recording of the RTL begins, and the recording."""
    started = []

    def begin(model):
        started.append(model.cycles)
        drive(model)

    found = record(verilog, top, begin, folder)
    return started[0], found

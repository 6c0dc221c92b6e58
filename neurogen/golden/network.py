"""Bit-exact model of a whole network: spikes, potentials and the counts that the contract determines."""

from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np

from neurogen.golden import conv, dense, lif, pool, saturate
from neurogen.golden.lif import LifState
from neurogen.spec.checks import check_choice, check_int
from neurogen.spec.conv import Conv
from neurogen.spec.dense import Dense
from neurogen.spec.events import EventError, Events
from neurogen.spec.lif import Lif
from neurogen.spec.network import Input, Network


__all__ = ["Result", "Simulator", "StepResult", "run"]


_NOTHING = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class StepResult:
    """What one step did.

    Parameters
    ----------
    spikes
        By population: flat addresses of its events, with repeats, in raster order (y, x, c).
    state
        By population: `LifState` after the step.
    events_in
        By synapse: events that reached it, after pooling.
    sops
        By synapse: synaptic operations. (One that feeds several populations does them for each.)
    updates
        By population: neurons that received at least one addition.
    """

    spikes: dict[str, np.ndarray] = field(default_factory=dict)
    state: dict[str, LifState] = field(default_factory=dict)
    events_in: dict[str, int] = field(default_factory=dict)
    sops: dict[str, int] = field(default_factory=dict)
    updates: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Result:
    """What a run did.

    Parameters
    ----------
    spikes
        By population: its events; in a step in raster order (y, x, c).
    potentials
        By population: ``V`` at the end of each step, ``int64[steps, *shape]``. Empty unless recorded.
    currents
        By population with a synaptic current: ``I``, likewise.
    state
        By population: `LifState` after the last step.
    events_in, sops
        By synapse: see `StepResult`; ``int64[steps]``.
    spike_counts, updates
        By population: events that left it, and see `StepResult`; ``int64[steps]``.
    """

    spikes: dict[str, Events]
    potentials: dict[str, np.ndarray]
    currents: dict[str, np.ndarray]
    state: dict[str, LifState]
    events_in: dict[str, np.ndarray]
    sops: dict[str, np.ndarray]
    spike_counts: dict[str, np.ndarray]
    updates: dict[str, np.ndarray]


class Simulator:
    """A network that is run step by step.

    Parameters
    ----------
    network
        The network. Its widths need not be proven: a sum that does not fit raises `OverflowError`.
    """

    def __init__(self, network: Network):
        self.network = network
        self._sources = {name: network.sources(name) for name in network.nodes}
        self._fanout = {name: len(network.targets(name)) for name in network.nodes}
        self._saturates = any(network.nodes[name].saturate for name in network.populations)
        self._bias = {name: network.total_bias(name) for name in network.populations}
        self._longest = {name: max((e.delay for e in network.targets(name)), default=0)
                         for name in network.nodes}
        self.reset()

    def reset(self) -> None:
        """Return to the state before the first step."""
        network = self.network
        self.time = 0
        self.state = {name: lif.initial_state(network.nodes[name]) for name in network.populations}
        # Events of earlier steps, of the previous one last.
        self._past = {name: deque(maxlen=longest) for name, longest in self._longest.items() if longest}

    def step(self, inputs: dict[str, np.ndarray] | None = None) -> StepResult:
        """Run one step.

        Parameters
        ----------
        inputs
            Flat addresses of the events of each input, with repeats; an input left out has none.

        Raises
        ------
        EventError
            If an input is unknown, or an event is out of range. The state is then unchanged.
        OverflowError
            If a sum does not fit its ``state_bits``. The simulator must then be reset.
        """
        events = self._check(inputs or {})
        result = StepResult()
        arriving: dict[str, tuple] = {}
        ordered: dict[str, saturate.Stream] = {}
        for name in self.network.order:
            node = self.network.nodes[name]
            if isinstance(node, Input):
                continue
            if isinstance(node, Lif):
                events[name] = self._update(name, node, arriving, ordered, result)
                continue
            sources = self._sources[name]
            shapes = [self.network.shapes[edge.source] for edge in sources]
            indices = [self._read(edge, events) for edge in sources]
            if isinstance(node, Conv | Dense):
                index = np.concatenate(indices)
                model = conv if isinstance(node, Conv) else dense
                arriving[name] = model.currents(node, shapes[0], index)
                ordered[name] = node, shapes[0], index
                result.events_in[name] = len(index)
                result.sops[name] = arriving[name][1] * self._fanout[name]
            else:
                events[name] = pool.transform(node, shapes, indices)
        for name, past in self._past.items():
            past.append(events[name])
        self.time += 1
        return result

    def _check(self, inputs):
        """Return the events of each input, checked."""
        unknown = sorted(set(inputs) - set(self.network.inputs))
        if unknown:
            raise EventError(f"Events must be of the inputs {_names(self.network.inputs)}, "
                             f"not of {unknown[0]!r}")
        events = {name: _check_addresses(name, self.network.nodes[name], inputs[name])
                  if name in inputs else _NOTHING for name in self.network.inputs}
        if self._saturates:
            events = {name: saturate.raster(self.network.shapes[name], index)
                      for name, index in events.items()}
        return events

    def _read(self, edge, events):
        """Return the events that arrive over an edge in this step."""
        if not edge.delay:
            return events[edge.source]
        past = self._past[edge.source]
        return past[-edge.delay] if edge.delay <= len(past) else _NOTHING

    def _update(self, name, node, arriving, ordered, result):
        """Run a population; return the addresses of its spikes."""
        sources = [arriving[edge.source] for edge in self._sources[name]]
        if not sources:
            sources = [(np.zeros(node.shape, np.int64), 0, np.zeros(node.shape, bool))]
        total, _, touched = sources[0]
        for currents, _, reached in sources[1:]:
            total, touched = np.add(total, currents, dtype=np.int64), touched | reached
        if node.fraction_bits:
            total = np.left_shift(total, node.fraction_bits, dtype=np.int64)
        if self._bias[name].any():
            total = total + self._bias[name]
        try:
            if node.saturate:
                streams = [ordered[edge.source] for edge in self._sources[name]]
                state, spikes = saturate.step(node, self.state[name], streams, self._bias[name])
            else:
                state, spikes = lif.step(node, self.state[name], total)
        except OverflowError as error:
            raise OverflowError(f"Node {name!r}, step {self.time}: {error}") from None
        self.state[name] = result.state[name] = state
        result.updates[name] = _count(touched)
        result.spikes[name] = _addresses(spikes)
        return result.spikes[name]


def run(network: Network, events: dict[str, Events], *, steps: int | None = None,
        record: str = "all") -> Result:
    """Return what a network does with recordings: the fold of `Simulator.step`.

    Parameters
    ----------
    network
        The network.
    events
        A recording for every input, all of the same number of steps.
    steps
        Number of steps to run, not less than the recordings have; theirs by default.
    record
        "all", or "spikes" to leave out potentials and currents (they take much memory).

    Raises
    ------
    EventError
        If the recordings do not fit the network.
    OverflowError
        If a sum does not fit its ``state_bits``; names the population and the step.
    """
    check_choice("Record", record, ("all", "spikes"))
    steps = _check_recordings(network, events, steps)
    simulator = Simulator(network)
    synapses = [name for name, node in network.nodes.items() if isinstance(node, Conv | Dense)]
    populations = network.populations
    kept = populations if record == "all" else ()
    potentials = {n: np.empty((steps, *network.nodes[n].shape), np.int64) for n in kept}
    currents = {n: np.empty_like(potentials[n]) for n in kept if network.nodes[n].cuba}
    results = []
    for t in range(steps):
        result = simulator.step({name: recording.step(t) for name, recording in events.items()})
        for name, array in potentials.items():
            array[t] = result.state[name].v
        for name, array in currents.items():
            array[t] = result.state[name].i
        results.append(replace(result, state={}))  # or every state would stay in memory
    return Result(
        spikes={n: _join([r.spikes[n] for r in results], network.nodes[n].shape) for n in populations},
        potentials=potentials, currents=currents, state=dict(simulator.state),
        events_in=_series(results, "events_in", synapses), sops=_series(results, "sops", synapses),
        spike_counts={n: np.array([len(r.spikes[n]) for r in results], np.int64) for n in populations},
        updates=_series(results, "updates", populations))


def _check_recordings(network, events, steps):
    """Return the number of steps to run."""
    for name in events:
        if name not in network.inputs:
            raise EventError(f"Events must be of the inputs {_names(network.inputs)}, not of {name!r}")
    for name in network.inputs:
        if name not in events:
            raise EventError(f"Events must be given for every input; there are none for {name!r}")
        if not isinstance(events[name], Events):
            raise TypeError(f"Input {name!r}: a recording must be Events, not {type(events[name]).__name__}")
        if events[name].shape != network.nodes[name].shape:
            raise EventError(f"Input {name!r}: events must have shape {network.nodes[name].shape}, "
                             f"not {events[name].shape}")
    lengths = {name: recording.steps for name, recording in events.items()}
    if len(set(lengths.values())) > 1:
        raise EventError(f"Recordings of all inputs must have the same number of steps, not {lengths}")
    longest = max(lengths.values(), default=0)
    return longest if steps is None else check_int("Number of steps", steps, minimum=longest)


def _check_addresses(name, node, index):
    index = np.asarray(index)
    if index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
        raise EventError(f"Input {name!r}: addresses must be a vector of integers, not "
                         f"{index.dtype}{list(index.shape)}")
    if not index.size:
        return _NOTHING
    index = index.astype(np.int64)
    size = int(np.prod(node.shape))
    if index.min() < 0 or index.max() >= size:
        outside = index[(index < 0) | (index >= size)]
        raise EventError(f"Input {name!r}: addresses must be from 0 to {size - 1}, not {outside[0]}")
    seen = np.zeros(size, bool)
    seen[index] = True
    if np.count_nonzero(seen) < len(index) and (counts := np.bincount(index)).max() > node.max_multiplicity:
        raise EventError(f"Input {name!r}: multiplicity must be at most {node.max_multiplicity}, "
                         f"not {counts.max()} at address {counts.argmax()}")
    return index


def _addresses(spikes):
    """Return the flat addresses of multiplicities, with repeats, in raster order (y, x, c)."""
    index = np.flatnonzero(spikes != 0)
    if spikes.ndim == 3:
        pixels = int(np.prod(spikes.shape[1:]))
        pixel = index % pixels
        # Numbers of 16 bits are sorted by radix, several times as fast; channels ascend already.
        index = index[np.argsort(pixel.astype(np.uint16) if pixels <= 1 << 16 else pixel, kind="stable")]
    return np.repeat(index, spikes.reshape(-1)[index])


def _count(touched):
    """Return how many are True; of channels that are views of one map, one is counted."""
    if touched.ndim == 3 and touched.strides[0] == 0:
        return len(touched) * int(np.count_nonzero(touched[0]))
    return int(np.count_nonzero(touched))


def _names(names):
    return ", ".join(map(repr, names))


def _join(indices, shape):
    """Return the events of consecutive steps as one recording."""
    t = np.repeat(np.arange(len(indices)), [len(index) for index in indices])
    return Events(shape, len(indices), t, np.concatenate([_NOTHING, *indices]))


def _series(results, counter, names):
    return {name: np.array([getattr(r, counter)[name] for r in results], np.int64) for name in names}

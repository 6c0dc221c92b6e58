"""The learning engine in the compiled simulator, and its comparison with the golden model."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurogen.flow.verilator import Model, compile_model
from neurogen.golden.learning import LayerState, Simulator
from neurogen.rtl.learning import LearnEngine
from neurogen.spec.learning import SCORE_BITS, Learner, Rule
from neurogen.spec.learning_bus import COUNTERS, LABELLED, Csr, Kind, Region, Status


__all__ = ["Comparison", "LearnPort", "compare", "compare_now", "simulate"]


class LearnPort:
    """A learning engine behind its bus and its stream of events, with NumPy arrays on this side.

    Parameters
    ----------
    model
        Model of a `LearnEngine` (as Verilog's top).
    spec
        The network.
    idle
        Probability per cycle of offering no event.
    """

    def __init__(self, model: Model, spec: Learner, *, idle: float = 0.0):
        self.model, self.spec, self._idle = model, spec, idle

    def send(self, kinds: Sequence[int], values: Sequence[int]) -> int:
        """Send events and wait until the engine is idle; return the cycles it took."""
        words = np.asarray(kinds, np.int64) << 16 | np.asarray(values, np.int64)
        return self.model.run(1_000_000 + 100_000 * len(words), inputs={"i_events": words}, until="idle",
                              idle=self._idle, seed=int(words.sum()) % 1000).cycles

    def begin(self, label: int | None = None) -> None:
        """Start a sample."""
        self.send([Kind.BEGIN], [0 if label is None else LABELLED | label])

    def step(self, inputs: Iterable[int]) -> int:
        """Take the input spikes of a step; return its cycles."""
        inputs = np.asarray(inputs, np.int64)
        return self.send([*[Kind.SPIKE] * len(inputs), Kind.STEP], [*inputs, 0])

    def run(self, raster: np.ndarray, label: int | None = None) -> int:
        """Take a sample, ``[steps, inputs]``; return its cycles."""
        _, address = np.nonzero(np.pad(raster, ((0, 0), (0, 1)), constant_values=1))
        step = address == raster.shape[1]
        begin = 0 if label is None else LABELLED | label
        return self.send([Kind.BEGIN, *np.where(step, Kind.STEP, Kind.SPIKE)],
                         [begin, *np.where(step, 0, address)])

    def read(self, region: Region, first: int, count: int, bits: int, lanes: int = 1, *,
             signed: bool = False) -> np.ndarray:
        """Read ``count`` words of numbers of ``bits`` bits, ``int64[count, lanes]``."""
        parts = -(-self._width(region) // 32)
        self.model.write(Csr.SELECT, region << 24 | first)
        words = self.model.read(Csr.DATA, count * parts, step=0).reshape(count, parts)
        stream = np.unpackbits(words.astype("<u4").view(np.uint8), axis=1, bitorder="little")
        fields = stream[:, :lanes * bits].reshape(count, lanes, bits).astype(np.int64)
        weights = 1 << np.arange(bits, dtype=np.int64)
        if signed:
            weights[-1] = -weights[-1]
        return fields @ weights

    def _width(self, region: Region) -> int:
        spec = self.spec
        return {Region.WEIGHTS: spec.lanes * spec.weight_bits, Region.MEANS: spec.lanes * spec.weight_bits,
                Region.POTENTIALS: spec.lanes * spec.state_bits, Region.NEURONS: 11 * spec.lanes,
                Region.PRE_TRACES: 8 * spec.lanes,
                Region.SIMILARITY: spec.similarity_bits, Region.SCORES: SCORE_BITS}[region]

    def load(self, weights: Sequence[np.ndarray], *, seed: int | None = None) -> None:
        """Write all weights, their averages where the rule has some, and the state of the random register."""
        spec = self.spec
        columns = [array.reshape(len(array), -1, spec.lanes).swapaxes(0, 1).reshape(-1, spec.lanes)
                   for array in weights]
        words = np.concatenate(columns)[:, :, None] >> np.arange(spec.weight_bits) & 1
        stream = words.reshape(len(words), -1).astype(np.uint8)
        stream = np.pad(stream, ((0, 0), (0, -stream.shape[1] % 32)))
        words = np.packbits(stream, axis=1, bitorder="little").view("<u4").reshape(-1)
        for region in (Region.WEIGHTS, *([Region.MEANS] if spec.rule is Rule.FPTT else [])):
            self.model.write(Csr.SELECT, region << 24)
            self.model.write(Csr.DATA, words, step=0)
        if seed is not None:
            self.model.write(Csr.SEED, seed)

    def weights(self, region: Region = Region.WEIGHTS) -> list[np.ndarray]:
        """Read all weights, or averages: ``int64[rows, N]`` for each layer, as the golden model has them."""
        spec, first, result = self.spec, 0, []
        for index, layer in enumerate(spec.layers):
            count = spec.words(layer.neurons) * spec.column(index)
            words = self.read(region, first, count, spec.weight_bits, spec.lanes, signed=True)
            columns = words.reshape(-1, spec.column(index), spec.lanes)
            result.append(columns.swapaxes(0, 1).reshape(spec.column(index), -1))
            first += count
        return result

    def layer(self, index: int, weights: np.ndarray, means: np.ndarray) -> LayerState:
        """Read the state of a layer; ``weights`` and ``means`` are taken as they are."""
        spec, lanes = self.spec, self.spec.lanes
        words = [spec.words(layer.neurons) for layer in spec.layers]
        rows = [sum(spec.row_words(k)) for k in range(len(words))]
        first, count = sum(words[:index]), words[index]
        neurons = self.read(Region.NEURONS, first, count, 1, 11 * lanes)
        e = neurons[:, :8 * lanes].reshape(count, lanes, 8) @ (1 << np.arange(8))
        z = self.read(Region.SIMILARITY, 0, (len(words) + 1) * spec.classes, spec.similarity_bits,
                      signed=True)
        scores = self.read(Region.SCORES, 0, 2 * spec.classes, SCORE_BITS, signed=True)
        return LayerState(
            weights=weights, means=means, e=e.reshape(-1), spikes=neurons[:, 10 * lanes:].reshape(-1),
            v=self.read(Region.POTENTIALS, first, count, spec.state_bits, lanes, signed=True).reshape(-1),
            x=self.read(Region.PRE_TRACES, sum(rows[:index]), rows[index], 8, lanes).reshape(-1),
            z=z[index * spec.classes:(index + 1) * spec.classes, 0], o=z[-spec.classes:, 0],
            scores=scores[:spec.classes, 0], readout_scores=scores[spec.classes:, 0])

    def flags(self) -> set[Status]:
        """Read the sticky bits that are set."""
        value = self.model.read(Csr.STATUS)
        return {bit for bit in Status if bit is not Status.BUSY and value >> bit & 1}

    def counters(self) -> dict[str, int]:
        """Read the counters."""
        return dict(zip(COUNTERS, self.model.read(Csr.COUNTER, len(COUNTERS)).tolist(), strict=True))


def simulate(spec: Learner, *, cache_dir: Path | None = None, idle: float = 0.0) -> LearnPort:
    """Return a simulated learning engine: through Verilog and Verilator."""
    return LearnPort(compile_model(LearnEngine(spec), "learner", cache_dir=cache_dir), spec, idle=idle)


@dataclass
class Comparison:
    """Values that were compared, and differ, between engine and golden model.

    Parameters
    ----------
    samples, weights, states, counters
        How many were compared; weights of all comparisons together.
    differences
        How many differ.
    first
        The first difference, in words.
    cycles
        Of the engine.
    """

    samples: int = 0
    weights: int = 0
    states: int = 0
    counters: int = 0
    differences: int = 0
    first: str = ""
    cycles: int = 0

    def check(self, what: str, golden: np.ndarray, found: np.ndarray) -> int:
        """Compare two arrays; return how many values."""
        wrong = np.flatnonzero(np.asarray(golden).reshape(-1) != np.asarray(found).reshape(-1))
        if len(wrong) and not self.first:
            at = wrong[0]
            self.first = (f"{what}[{at}]: golden {np.asarray(golden).reshape(-1)[at]}, "
                          f"RTL {np.asarray(found).reshape(-1)[at]}")
        self.differences += len(wrong)
        return int(np.size(golden))


def compare(port: LearnPort, golden: Simulator, samples: Iterable[tuple[np.ndarray, int | None]], *,
            every_step: bool = False, weights_every: int = 1,
            progress: Callable[[int], None] | None = None) -> Comparison:
    """Run samples through both, and compare weights, traces, potentials, spikes, scores and counters.

    Parameters
    ----------
    port, golden
        With the same weights and the same random state.
    samples
        ``(raster[steps, inputs], label)``.
    every_step
        Compare after each step, not only after each sample.
    weights_every
        Compare the weights after each so many samples, and after the last.
    progress
        Called with the number of samples that are done.
    """
    result, samples = Comparison(), list(samples)
    for k, (raster, label) in enumerate(samples):
        whole = (k + 1) % weights_every == 0 or k == len(samples) - 1
        golden.begin(label)
        if every_step:
            port.begin(label)
            for t, row in enumerate(raster):
                inputs = np.flatnonzero(row)
                golden.step(inputs)
                result.cycles += port.step(inputs)
                _compare_state(result, f"sample {k}, step {t}", port, golden, whole)
        else:
            for row in raster:
                golden.step(np.flatnonzero(row))
            result.cycles += port.run(raster, label)
            _compare_state(result, f"sample {k}", port, golden, whole)
        result.samples += 1
        if progress:
            progress(result.samples)
    return result


def compare_now(port: LearnPort, golden: Simulator) -> Comparison:
    """Compare weights, state, counters, random register and sticky bits as they are."""
    result = Comparison()
    _compare_state(result, "now", port, golden, whole=True)
    return result


def _compare_state(result: Comparison, where: str, port: LearnPort, golden: Simulator, whole: bool) -> None:
    weights = port.weights() if whole else [state.weights for state in golden.layers]
    averaged = whole and port.spec.rule is Rule.FPTT
    means = port.weights(Region.MEANS) if averaged else [state.means for state in golden.layers]
    for index, state in enumerate(golden.layers):
        found = port.layer(index, weights[index], means[index])
        if whole:
            result.weights += result.check(f"{where}, layer {index}, weights", state.weights, found.weights)
        if averaged:
            result.weights += result.check(f"{where}, layer {index}, averages", state.means, found.means)
        names = ["spikes", "v", "e", "x", "z"]
        if index == len(golden.layers) - 1:
            names += ["o", "scores", "readout_scores"]
        for name in names:
            result.states += result.check(f"{where}, layer {index}, {name}", getattr(state, name),
                                          getattr(found, name))
    counters = port.counters()
    for name, value in vars(golden.counters).items():
        result.counters += result.check(f"{where}, counter {name}", np.array(value), np.array(counters[name]))
    result.counters += result.check(f"{where}, random register", np.array(golden.random),
                                    np.array(port.model.read(Csr.SEED)))
    result.counters += result.check(f"{where}, sticky bits", np.array(_bits(golden.flags)),
                                    np.array(_bits(port.flags())))


def _bits(flags: Iterable[Status]) -> int:
    return sum(1 << bit for bit in flags)

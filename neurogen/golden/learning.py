"""Bit-exact model of learning on chip: `neurogen.spec.learning`, a word row at a time."""

from collections.abc import Iterable, Sequence

import numpy as np

from neurogen.golden.learning_state import Counters, LayerState, random_weights
from neurogen.golden.lfsr import random_numbers
from neurogen.spec.checks import check_array, check_int
from neurogen.spec.learning import (
    EXP2,
    HINGE_ERROR,
    RECIPROCAL,
    SCORE_BITS,
    TRACE_MAX,
    TRACE_STEP,
    Learner,
    Loss,
    Prototypes,
    Rule,
)
from neurogen.spec.learning_bus import Status


__all__ = ["Counters", "LayerState", "Simulator", "hinge_error", "infer", "random_weights", "softmax255"]


_SCORE_MAX = (1 << (SCORE_BITS - 1)) - 1
_EXP2 = np.array(EXP2)
_RECIPROCAL = np.array(RECIPROCAL)


# -- Arithmetic ------------------------------------------------------------------------------------------

def _fade(x: np.ndarray, shift: int) -> np.ndarray:
    return x - ((x + ((1 << shift) - 1)) >> shift)


def _trace(x: np.ndarray, spikes: np.ndarray, shift: int) -> np.ndarray:
    return np.minimum(_fade(x, shift) + TRACE_STEP * spikes, TRACE_MAX)


def _saturate(value: np.ndarray) -> np.ndarray:
    return np.clip(value, -_SCORE_MAX - 1, _SCORE_MAX)


def softmax255(values: np.ndarray, shift: int) -> np.ndarray:
    """Return ``softmax255(values >> shift)``, integers 0 to 255, along the last axis."""
    values = np.asarray(values) >> shift
    below = values.max(-1, keepdims=True) - values
    powers = _EXP2[below & 7] >> np.minimum(below >> 3, 8)
    total = powers.sum(-1, keepdims=True)
    bits = np.frexp(total)[1]
    reciprocal = _RECIPROCAL[total >> (bits - 5) & 15]
    return np.minimum(powers * reciprocal >> (bits - 1), 255)


def hinge_error(values: np.ndarray, label: int, shift: int, margin: int) -> np.ndarray:
    """Return errors by ``Loss.HINGE``: of the label and its rival, where it is not ahead by ``margin``."""
    others = np.delete(np.arange(len(values)), label)
    rival = others[values[others].argmax()]
    error = np.zeros_like(values)
    if (values[label] >> shift) - (values[rival] >> shift) < margin:
        error[label], error[rival] = HINGE_ERROR, -HINGE_ERROR
    return error


class Simulator:
    """A network that learns, step by step.

    ``flags`` are the sticky bits `Status.SATURATED`, `SILENT` and `FIRING`; they stay until they are removed.

    Parameters
    ----------
    spec
        The network.
    weights
        ``int[rows, N]`` for each layer; see `LayerState`. Copied.
    seed
        State of the random register, not 0.
    """

    def __init__(self, spec: Learner, weights: Sequence[np.ndarray], *, seed: int = 1):
        self.spec = spec
        self.random = seed
        self.frozen = [False] * len(spec.layers)
        self.counters = Counters()
        if len(weights) != len(spec.layers):
            raise ValueError(f"Weights must be one array per layer, not {len(weights)} "
                             f"for {len(spec.layers)}")
        self.layers = []
        for index, (layer, array) in enumerate(zip(spec.layers, weights, strict=True)):
            n = spec.words(layer.neurons) * spec.lanes
            array = check_array("Weights", array, shapes=((spec.column(index), n),),
                                minimum=-spec.weight_max, maximum=spec.weight_max)
            zeros = {name: np.zeros(size, np.int32) for name, size in (
                ("v", n), ("e", n), ("spikes", n), ("x", spec.rows(index)), ("z", spec.classes),
                ("o", spec.classes))}
            zeros |= {name: np.zeros(spec.classes, np.int64) for name in ("scores", "readout_scores")}
            array = array.astype(np.int32)
            means = array.copy() if spec.rule is Rule.FPTT else array
            self.layers.append(LayerState(weights=array, means=means, **zeros))
        self.flags: set[Status] = set()
        self.label: int | None = None
        self._t = 0
        self._fired: list[bool] | None = None  # which layers have, in this sample

    @property
    def random(self) -> int:
        """State of the random register, not 0."""
        return int(self._numbers[self._taken])

    @random.setter
    def random(self, state: int) -> None:
        state = check_int("Seed", state, minimum=1, maximum=(1 << 32) - 1)
        self._numbers, self._taken = np.array([state], np.uint32), 0

    def _take(self, count: int) -> np.ndarray:
        """Return the states for the next words, and step the register behind them."""
        if self._taken + count >= len(self._numbers):  # many at once cost little more than a few
            self._numbers = random_numbers(self.random, max(1 << 14, count + 1))[0]
            self._taken = 0
        self._taken += count
        return self._numbers[self._taken - count:self._taken]

    def begin(self, label: int | None = None) -> None:
        """Start a sample, clear all but the weights and the random register; learn if there is a label."""
        if label is not None:
            check_int("Label", label, minimum=0, maximum=self.spec.classes - 1)
        if self._fired is not None and not all(self._fired):
            self.flags.add(Status.SILENT)
        self.label, self._t, self._fired = label, 0, [False] * len(self.layers)
        for layer in self.layers:
            for name in ("v", "e", "spikes", "x", "z", "o", "scores", "readout_scores"):
                getattr(layer, name)[:] = 0

    def step(self, inputs: Iterable[int]) -> list[np.ndarray]:
        """Take the input spikes (addresses) of a step; return the spikes of each layer, ``int32[N]``."""
        spec, spikes = self.spec, np.zeros(self.spec.inputs, np.int32)
        spikes[np.asarray(inputs, np.int64)] = 1
        self._t += 1
        learning = self.label is not None and self._t % spec.period == 0
        self.counters.steps += 1
        for index, layer in enumerate(self.layers):
            self._fire(index, layer, spikes)
            if learning and not self.frozen[index]:
                self.counters.learning_steps += 1
                self._learn(index, layer)
            spikes = layer.spikes[:spec.layers[index].neurons]
        return [layer.spikes for layer in self.layers]

    def run(self, raster: np.ndarray, label: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Take a sample, ``[steps, inputs]``; return the scores of similarity and read-out, ``int64[C]``."""
        self.begin(label)
        for row in raster:
            self.step(np.flatnonzero(row))
        return self.layers[-1].scores.copy(), self.layers[-1].readout_scores.copy()

    def _fire(self, index: int, state: LayerState, spikes: np.ndarray) -> None:
        spec, layer = self.spec, self.spec.layers[index]
        rows, classes = spec.rows(index), spec.classes
        active = np.zeros(rows, np.int32)
        active[:len(spikes)] = spikes
        if layer.recurrent:
            active[rows - len(state.spikes):] = state.spikes
        state.x = _trace(state.x, active, spec.pre_shift)
        events = np.flatnonzero(active)
        u = state.v + state.weights[events].sum(0, dtype=np.int32)
        state.spikes = fired = (u >= layer.threshold).astype(np.int32)
        # Padding lanes have no weights: they stay silent, and their drives and modulations are 0.
        distance = np.abs(u - layer.threshold)
        self._psi = (distance < spec.window_full).astype(np.int32) + (distance < spec.window_half)
        u = u - layer.threshold * fired
        up = np.where(u >= 0, (1 << layer.leak_shift) - 1, 0)
        state.v = np.clip(u - ((u + up) >> layer.leak_shift), -spec.v_max - 1, spec.v_max)
        state.e = _trace(state.e, fired, spec.trace_shift)
        firing = np.flatnonzero(fired)
        state.z = (state.z - (state.z >> spec.trace_shift)
                   + state.weights[rows:rows + classes, firing].sum(1, dtype=np.int32))
        if index == len(self.layers) - 1:
            state.o = (state.o - (state.o >> spec.trace_shift)
                       + state.weights[rows + classes:, firing].sum(1, dtype=np.int32))
            state.scores = _saturate(state.scores + state.z)
            state.readout_scores = _saturate(state.readout_scores + state.o)
        if self._fired is not None:
            self._fired[index] |= bool(len(firing))
        if spikes.all() or len(firing) == layer.neurons:
            self.flags.add(Status.FIRING)
        self.counters.events += len(events)
        self.counters.reads += len(events) * spec.words(layer.neurons)
        self.counters.spikes += len(firing)

    def _error(self, values: np.ndarray, shift: int) -> np.ndarray:
        if self.spec.loss is Loss.HINGE:
            return hinge_error(values, self.label, shift, self.spec.margin)
        error = -softmax255(values, shift)
        error[self.label] += 255
        return error

    def _modulation(self, state: LayerState, error: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
        spec = self.spec
        if spec.rule is Rule.RSTDP:
            reward = 1 if int(state.z.argmax()) == self.label else -1
            drive, psi = reward * np.where(state.spikes, state.e, -(state.e >> 2)), 2
        else:
            drive, psi = error @ prototypes >> spec.modulation_shift, self._psi
        if spec.calm_shift is not None:
            drive = drive - (np.maximum(state.e - spec.calm_from, 0) << spec.calm_shift)
        return np.clip(drive * psi >> 1, -127, 127)

    def _learn(self, index: int, state: LayerState) -> None:
        spec, lanes = self.spec, self.spec.lanes
        rows, classes, last = spec.rows(index), spec.classes, index == len(self.layers) - 1
        error = self._error(state.z, spec.similarity_shift)
        m = self._modulation(state, error, state.weights[rows:rows + classes]).reshape(-1, lanes)
        e = state.e.reshape(-1, lanes)
        open_rows = np.flatnonzero(state.x)
        inputs = spec.row_words(index)[0] * lanes
        class_rows, class_errors = [], []
        if spec.prototypes is Prototypes.LEARN:
            class_rows, class_errors = [rows + np.flatnonzero(error)], [error[error != 0]]
        learnt = len(class_rows) and len(class_rows[0])
        if last:
            error = self._error(state.o, spec.readout_shift)
            class_rows.append(rows + classes + np.flatnonzero(error))
            class_errors.append(error[error != 0])
        class_rows = np.concatenate([np.zeros(0, np.int64), *class_rows])
        # Places of the words in the order of updates, and with them in the sequence of random numbers.
        modulated, traced = m.any(1), e.any(1)
        counts = len(open_rows) * modulated + len(class_rows) * traced
        firsts = np.cumsum(counts) - counts
        numbers = self._take(int(counts.sum()))
        self.counters.updates += int(counts.sum())
        self.counters.skipped += len(open_rows) * int((~modulated).sum())
        split = int(np.searchsorted(open_rows, inputs))
        open_words, traced_words = np.flatnonzero(modulated), np.flatnonzero(traced)
        firsts_w, firsts_c = firsts[open_words], (firsts + len(open_rows) * modulated)[traced_words]
        for part, first, rate in ((open_rows[:split], 0, spec.rate_w),
                                  (open_rows[split:], split, spec.rate_r)):
            self._update(state, part, open_words, state.x[part][:, None, None] * m[open_words],
                         numbers, firsts_w + first, rate)
        for begin, end, rate in ((0, learnt, spec.rate_p), (learnt, len(class_rows), spec.rate_q)):
            if end > begin:
                errors = np.concatenate(class_errors)[begin:end, None, None]
                self._update(state, class_rows[begin:end], traced_words, errors * e[traced_words],
                             numbers, firsts_c + begin, rate)

    def _update(self, state: LayerState, rows: np.ndarray, columns: np.ndarray, products: np.ndarray,
                numbers: np.ndarray, firsts: np.ndarray, rate: int) -> None:
        """Add ``(products + r) >> rate`` to words; ``firsts`` are the places of the first row's numbers."""
        if not len(rows) or not len(columns):
            return
        states = numbers[firsts + np.arange(len(rows))[:, None]].astype(np.uint64)
        states |= states << np.uint64(32)
        lanes = np.arange(0, 2 * self.spec.lanes, 2, dtype=np.uint64)

        def noise(first: int, bits: int) -> np.ndarray:
            turned = (states[:, :, None] >> (lanes + np.uint64(first)) % np.uint64(32))
            return (turned & np.uint64((1 << bits) - 1)).astype(np.int32)
        place, limit = np.ix_(rows, columns), self.spec.weight_max
        words, means = (array.reshape(len(array), -1, self.spec.lanes)
                        for array in (state.weights, state.means))
        wanted = words[place] + ((products + noise(0, rate)) >> rate)
        if self.spec.rule is Rule.FPTT:
            anchor, average = self.spec.anchor_shift, self.spec.average_shift
            mean = means[place]
            wanted -= (words[place] - mean + noise(16, anchor)) >> anchor
            means[place] = mean + ((np.clip(wanted, -limit, limit) - mean + noise(8, average)) >> average)
        words[place] = np.clip(wanted, -limit, limit)
        saturated = int((np.abs(wanted) > limit).any(2).sum())
        self.counters.saturated += saturated
        if saturated:
            self.flags.add(Status.SATURATED)


def infer(spec: Learner, weights: Sequence[np.ndarray],
          rasters: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Run many samples at once, without learning.

    Parameters
    ----------
    rasters
        ``[samples, steps, inputs]``, 0 or 1.

    Returns
    -------
    Scores of similarity and of read-out, ``int64[samples, C]``, and the number of spikes of neurons.
    """
    samples, steps, _ = rasters.shape
    state, total = [], 0
    for index, layer in enumerate(spec.layers):
        n = weights[index].shape[1]
        state.append({"w": weights[index].astype(np.float32), "v": np.zeros((samples, n), np.int32),
                      "s": np.zeros((samples, n), np.float32),
                      "c": np.zeros((samples, spec.class_rows(index)), np.int64),
                      "scores": np.zeros((samples, spec.class_rows(index)), np.int64), "layer": layer})
    for t in range(steps):
        spikes = rasters[:, t].astype(np.float32)
        for index, part in enumerate(state):
            rows, layer = spec.rows(index), part["layer"]
            # Exact: sums of products of a spike and a weight stay far below 2**24.
            u = part["v"] + (spikes @ part["w"][:spikes.shape[1]]).astype(np.int32)
            if layer.recurrent:
                u += (part["s"] @ part["w"][rows - part["s"].shape[1]:rows]).astype(np.int32)
            fired = u >= layer.threshold
            u -= layer.threshold * fired
            up = np.where(u >= 0, (1 << layer.leak_shift) - 1, 0)
            part["v"] = np.clip(u - ((u + up) >> layer.leak_shift), -spec.v_max - 1, spec.v_max)
            part["s"] = fired.astype(np.float32)
            total += int(fired.sum())
            change = (part["s"] @ part["w"][rows:].T).astype(np.int64)
            part["c"] += change - (part["c"] >> spec.trace_shift)
            part["scores"] = _saturate(part["scores"] + part["c"])
            spikes = part["s"][:, :layer.neurons]
    scores = state[-1]["scores"]
    return scores[:, :spec.classes], scores[:, spec.classes:], total

"""Drives an accelerator through its control bus and its streams, simulated or on a board."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from neurogen.mapping.plan import Pass, gather_potentials, read_stream, stream_for
from neurogen.spec.events import Events
from neurogen.spec.mega import (
    BANKS,
    COUNTER_WORDS,
    COUNTERS,
    DEVICE_ID,
    ControlBit,
    Csr,
    MegaSpec,
    MemorySelect,
)


__all__ = ["Accelerator", "AcceleratorError", "Port"]


class AcceleratorError(Exception):
    """The accelerator does not answer as its configuration says, or does not finish."""


class Port(Protocol):
    """What an `Accelerator` needs: a bus, two streams and the external memory."""

    def write(self, address: int, words: np.ndarray) -> None:
        """Write words, one after the other, to one register."""

    def read(self, address: int, count: int) -> np.ndarray:
        """Read one register ``count`` times; ``uint32[count]``."""

    def exchange(self, words: np.ndarray, ticks: int) -> np.ndarray:
        """Send words to the input stream until ``ticks`` end-of-step words have come back.

        Returns all words received.
        """

    def fill(self, words: np.ndarray) -> None:
        """Write the external memory, from its first word on."""


class Accelerator:
    """One accelerator behind a `Port`.

    Parameters
    ----------
    spec
        Its configuration; checked against the device's registers.
    port
        Where it is.
    """

    def __init__(self, spec: MegaSpec, port: Port):
        self.spec = spec
        self.port = port
        identity = self._register(Csr.ID)
        config = self._register(Csr.CONFIG)
        if identity != DEVICE_ID or config != spec.config_word:
            raise AcceleratorError(f"Device must be an accelerator with configuration word "
                                   f"{spec.config_word:#010x}, not {identity:#010x} with {config:#010x}")

    def _register(self, register: Csr) -> int:
        return int(self.port.read(register, 1)[0])

    def _set(self, register: Csr, value: int) -> None:
        self.port.write(register, np.array([value], np.uint32))

    def _window(self, select: MemorySelect, row: int = 0, bank: int = 0, cluster: int = 0) -> None:
        self._set(Csr.MEM_ADDRESS, select << 28 | cluster << 24 | bank << 20 | row)

    def load(self, part: Pass) -> None:
        """Write the program and the weights of a pass, and the external memory."""
        self._set(Csr.CONTROL, ControlBit.ABORT | ControlBit.CLEAR)
        self._window(MemorySelect.PROGRAM)
        self.port.write(Csr.MEM_DATA, part.program)
        lanes = self.spec.lanes
        weights = np.asarray(part.weights, np.int64)
        for cluster in range(self.spec.clusters):
            for tap in range(BANKS):
                self._window(MemorySelect.WEIGHT, 0, tap, cluster)
                rows = weights[:, tap, cluster * lanes:(cluster + 1) * lanes]
                if rows.size:
                    self.port.write(Csr.MEM_DATA, rows.reshape(-1).astype(np.uint32))
        if len(part.external):
            self.port.fill(part.external)

    def run(self, part: Pass, events: dict[str, Events], steps: int, *,
            each_step: Callable[[int, "Accelerator"], None] | None = None) -> dict[str, Events]:
        """Run a loaded pass from step 0 and return the events that it emits.

        Parameters
        ----------
        events
            Events of the pass's ``sources``.
        steps
            Number of steps.
        each_step
            Called after every step with its number; may read potentials. Slower: the device stops
            after each step.
        """
        words = stream_for(part, events)
        if each_step is None:
            self._set(Csr.STEPS, steps)
            self._set(Csr.CONTROL, ControlBit.START | ControlBit.CLEAR)
            received = self.port.exchange(words, steps)
        else:
            received = self._stepwise(part, words, steps, each_step)
        self._check()
        return read_stream(part, received, steps)

    def _stepwise(self, part, words, steps, each_step):
        ends = np.flatnonzero((words >> 28) == 8)  # control word, kind 0
        per_step = len(part.sources)
        received = []
        self._set(Csr.STEPS, 1)
        first = 0
        for t in range(steps):
            last = int(ends[(t + 1) * per_step - 1]) + 1 if per_step else 0
            self._set(Csr.CONTROL, ControlBit.PROCEED if t else ControlBit.START | ControlBit.CLEAR)
            received.append(self.port.exchange(words[first:last], 1))
            first = last
            self._check()
            each_step(t, self)
        return np.concatenate(received) if received else np.zeros(0, np.uint32)

    def _check(self) -> None:
        for _ in range(1000):
            status = self._register(Csr.STATUS)
            if not status & 1:
                break
        else:
            raise AcceleratorError("Accelerator must be idle after its last step, and is busy")
        if status & 2:
            raise AcceleratorError("Accelerator dropped an event outside its input")
        if status & 4:
            raise AcceleratorError("Accelerator stopped at an unknown instruction")

    def states(self, rows: range) -> np.ndarray:
        """Return rows of the state memory, ``int64[len(rows), 9, total_lanes]``."""
        spec = self.spec
        result = np.zeros((len(rows), BANKS, spec.total_lanes), np.int64)
        for cluster in range(spec.clusters):
            for bank in range(BANKS):
                self._window(MemorySelect.STATE, rows.start, bank, cluster)
                words = self.port.read(Csr.MEM_DATA, len(rows) * spec.lanes)
                result[:, bank, cluster * spec.lanes:(cluster + 1) * spec.lanes] = (
                    words.astype(np.uint32).view(np.int32).reshape(len(rows), spec.lanes))
        return result

    def potentials(self, part: Pass) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Return ``V`` and ``I`` of the populations of a pass; outside its windows they are 0."""
        ends = [base + place.rows for place in part.placements
                for base in (place.membrane_base, place.current_base)]
        rows = self.states(range(max(ends, default=0)))
        return gather_potentials(part, rows), gather_potentials(part, rows, currents=True)

    def counters(self, part: Pass) -> np.ndarray:
        """Return the counters of each instruction since step 0, ``int64[instructions, COUNTERS]``."""
        count = len(part.instructions)
        self._window(MemorySelect.COUNTER)
        words = self.port.read(Csr.MEM_DATA, count * COUNTER_WORDS * 2).astype(np.int64)
        values = (words[0::2] | words[1::2] << 32).reshape(count, COUNTER_WORDS)
        return values[:, :len(COUNTERS)]

    def cycles(self) -> int:
        """Return the cycles since the last start, modulo 2**32."""
        return self._register(Csr.CYCLES)

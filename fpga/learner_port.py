"""A learning engine on a board, or a simulated one behind its pins, as a `LearnPort`."""

from collections.abc import Sequence

import numpy as np

from fpga.driver import Host
from neurogen.flow.accelerator import AcceleratorError
from neurogen.flow.learning import LearnPort
from neurogen.spec.learning import Learner
from neurogen.spec.learning_bus import COUNTERS, Csr


__all__ = ["LearnBoard"]


_CYCLES = Csr.COUNTER + COUNTERS.index("cycles")
# Requests to the device until which it must be idle: each takes longer than a thousand cycles.
_PATIENCE = 1 << 20


class LearnBoard(LearnPort):
    """The `neurogen.flow.learning.LearnPort` of a device with a host link.

    Parameters
    ----------
    host
        The host's end of the link.
    spec
        The network.
    """

    def __init__(self, host: Host, spec: Learner):
        super().__init__(_Registers(host), spec)
        self.host = host

    def send(self, kinds: Sequence[int], values: Sequence[int]) -> int:
        """Send events and wait until the engine is idle; return the cycles in which it was not."""
        words = np.asarray(kinds, np.int64) << 16 | np.asarray(values, np.int64)
        before = self.model.read(_CYCLES)
        self.host.send_events(words)
        for _ in range(_PATIENCE):
            if not self.model.read(Csr.STATUS) & 1:
                return (self.model.read(_CYCLES) - before) % (1 << 32)
        raise AcceleratorError(f"Learning engine must be idle after its events, and is busy "
                               f"({_PATIENCE} times asked)")


class _Registers:
    """The bus of a device with the calls of `neurogen.flow.model.Model` that a `LearnPort` makes."""

    def __init__(self, host: Host):
        self._host = host

    def write(self, address: int, values: int | np.ndarray, *, step: int = 1) -> None:
        self._host.write(int(address), np.atleast_1d(values), increment=bool(step))

    def read(self, address: int, count: int | None = None, *, step: int = 1) -> int | np.ndarray:
        words = self._host.read(int(address), 1 if count is None else count, increment=bool(step))
        return int(words[0]) if count is None else words

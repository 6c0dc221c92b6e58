"""An accelerator on a board, or a simulated one behind its pins, as a `Port`."""

import numpy as np

from fpga.driver import Host
from neurogen.flow.accelerator import AcceleratorError
from neurogen.spec.events import CONTROL, END_OF_STEP
from neurogen.spec.mega import ControlBit, Csr


__all__ = ["BoardPort"]


# Clock cycles of a run without an event word after which it counts as stuck.
_QUIET = 1 << 28


class BoardPort:
    """The `neurogen.flow.accelerator.Port` of a device with a host link.

    Parameters
    ----------
    host
        The host's end of the link.
    """

    def __init__(self, host: Host):
        self.host = host

    def write(self, address: int, words: np.ndarray) -> None:
        """Write words, one after the other, to one register; few bytes of each travel if they are small."""
        values = np.asarray(words, np.int64).astype(np.uint32).view(np.int32).astype(np.int64)
        low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
        size = next(size for size in (1, 2, 4) if -(1 << 8 * size - 1) <= low and high < 1 << 8 * size - 1)
        self.host.write(int(address), values, size=size, increment=False)
        if address == Csr.CONTROL and any(value & ControlBit.ABORT for value in values.tolist()):
            self.host.forget_events()  # as the device does

    def read(self, address: int, count: int) -> np.ndarray:
        """Read one register ``count`` times; ``uint32[count]``."""
        return self.host.read(int(address), count, increment=False).astype(np.uint32)

    def exchange(self, words: np.ndarray, ticks: int) -> np.ndarray:
        """Send words until ``ticks`` end-of-step words are back and the accelerator is idle.

        Returns all words received.

        Raises
        ------
        AcceleratorError
            If it becomes idle with fewer or more, or sends nothing for very long.
        """
        self.host.send_events(np.asarray(words))
        parts, heard = [], None
        while True:
            # The order matters: what was sent before the device became idle is in the link's queue by then.
            busy = self._register(Csr.STATUS) & 1
            received = self.host.receive_events()
            parts.append(received)
            if len(received):
                heard = None
            elif not busy:
                break
            else:
                cycles = self._register(Csr.CYCLES)
                heard = cycles if heard is None else heard
                if (cycles - heard) % (1 << 32) > _QUIET:
                    raise AcceleratorError(f"Accelerator must send {ticks} end-of-step words, and has sent "
                                           f"none of them for {_QUIET} cycles after {_ends(parts)}")
        if _ends(parts) != ticks:
            raise AcceleratorError(f"Accelerator must send {ticks} end-of-step words, not {_ends(parts)}")
        return np.concatenate(parts).astype(np.uint32)

    def fill(self, words: np.ndarray) -> None:
        """Refuse: boards have no external memory."""
        raise AcceleratorError(f"Board must have external memory for {len(words)} words of weights, "
                               f"and has none")

    def _register(self, register: Csr) -> int:
        return int(self.read(register, 1)[0])


def _ends(parts: list[np.ndarray]) -> int:
    words = np.concatenate(parts)
    return int(((words & CONTROL != 0) & ((words >> 28 & 7) == END_OF_STEP)).sum())

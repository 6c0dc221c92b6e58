"""Byte channels between a host and a device: a serial port, and a UART in software on simulated pins."""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable


__all__ = ["LinkError", "PinTransport", "SerialTransport", "Transport"]


class LinkError(Exception):
    """The link or the device failed, and repeating did not help."""


class Transport(ABC):
    """A byte channel that may lose, change and invent bytes, but not reorder them."""

    @abstractmethod
    def write(self, sent: bytes) -> None:
        """Send bytes; may return before they are on the wire."""

    @abstractmethod
    def close(self) -> None:
        """Release the channel."""

    @abstractmethod
    def read(self, timeout: float) -> bytes:
        """Return what has arrived; wait up to ``timeout`` seconds for the first byte."""

    def now(self) -> float:
        """Return the time in seconds, from any start."""
        return time.monotonic()


class SerialTransport(Transport):
    """A serial port, through pyserial.

    Parameters
    ----------
    port
        Name of the port, such as ``/dev/ttyUSB0``.
    baud
        Bits per second.
    """

    def __init__(self, port: str, baud: int):
        try:
            import serial
        except ModuleNotFoundError as error:
            raise LinkError("Serial ports need pyserial: install it with `pip install pyserial`") from error
        try:
            self._serial = serial.Serial(port, baud, timeout=0)
        except (OSError, ValueError) as error:  # SerialException is an OSError
            raise LinkError(f"Serial port {port!r} cannot be opened at {baud} bit/s: {error}") from error

    def write(self, sent: bytes) -> None:
        self._serial.write(sent)

    def read(self, timeout: float) -> bytes:
        self._serial.timeout = timeout
        return self._serial.read(max(1, self._serial.in_waiting))

    def close(self) -> None:
        self._serial.close()


class PinTransport(Transport):
    """A UART in software, on the pins of a simulated device; reading makes time pass.

    Parameters
    ----------
    cycle
        Function that sets the device's ``rx`` pin to its argument, simulates one clock cycle, and returns
        the device's ``tx`` pin.
    divisor
        Clock cycles of a bit.
    clock_hz
        Clock frequency: the scale between cycles and seconds.
    """

    def __init__(self, cycle: Callable[[int], int], divisor: int, clock_hz: float = 1e6):
        self._cycle = cycle
        self._divisor = divisor
        self._clock_hz = clock_hz
        self._cycles = 0
        self._levels: deque[int] = deque()  # of bits to send
        self._start: int | None = None      # cycle in which the byte being received began
        self._bits: list[int] = []
        self._received = bytearray()

    def write(self, sent: bytes) -> None:
        for byte in sent:
            self._levels.extend([0, *(byte >> bit & 1 for bit in range(8)), 1])

    def read(self, timeout: float) -> bytes:
        end = self._cycles + timeout * self._clock_hz
        while not self._received and self._cycles < end:
            self._pass_bit()
        received, self._received = bytes(self._received), bytearray()
        return received

    def close(self) -> None:
        self._levels.clear()

    def now(self) -> float:
        return self._cycles / self._clock_hz

    def _pass_bit(self) -> None:
        level = self._levels.popleft() if self._levels else 1
        for _ in range(self._divisor):
            self._sample(self._cycle(level))
            self._cycles += 1

    def _sample(self, level: int) -> None:
        if self._start is None:
            if not level:
                self._start, self._bits = self._cycles, []
            return
        middle = self._start + self._divisor // 2 + len(self._bits) * self._divisor
        if self._cycles == middle:
            self._bits.append(level)
            if len(self._bits) == 10:
                if level:  # the stop bit
                    self._received.append(sum(bit << i for i, bit in enumerate(self._bits[1:9])))
                self._start = None

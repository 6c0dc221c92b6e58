"""The host's end of the host link: bus accesses and event streams over a serial port.

>>> with Host(SerialTransport("/dev/ttyUSB0", 1_000_000)) as host:
...     host.write(0x0000, [1, 2, 3])
...     host.read(0x0000, 3)
...     host.send_events(words)
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from fpga.transports import LinkError, Transport
from neurogen.spec.hostlink import (
    HEADER_BYTES,
    SEQUENCES,
    VERSION,
    WINDOW,
    Command,
    Deframer,
    Reply,
    Request,
    Status,
    frame,
    max_words,
)


__all__ = ["Host"]


class Host:
    """Access to the bus and the event streams of a device.

    Requests are repeated until the device has executed each of them exactly once; two are under way at
    a time.

    Parameters
    ----------
    transport
        The byte channel; closed by `close`.
    timeout
        Seconds without a valid reply before a request is sent again; longer than a request and its reply
        take on the line. Events that make no progress are waited for ``timeout * retries``.
    retries
        How often a request is sent again before the link counts as broken.

    Attributes
    ----------
    max_words
        32-bit words of one frame, as the device says.
    device_errors, host_errors
        Frames that the device (modulo 256) and this side have dropped.
    resent
        Requests that were sent again.
    """

    def __init__(self, transport: Transport, *, timeout: float = 0.5, retries: int = 8):
        self._transport = transport
        self._timeout = timeout
        self._retries = retries
        self._patience = timeout * retries  # seconds without an event
        self._deframer = Deframer()
        self._seq = 0
        self._replies: deque[Reply] = deque()
        self._rejected: int | None = None  # sequence number of a request that came too early
        self._events: list[np.ndarray] = []  # received while something else was going on
        self._free = 0
        self.max_words = 0
        self.device_errors = 0
        self.resent = 0
        self.connect()

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the byte channel."""
        self._transport.close()

    @property
    def host_errors(self) -> int:
        """Frames that this side has dropped."""
        return self._deframer.dropped

    def connect(self) -> None:
        """Start a session. Event words of an earlier one are forgotten, on both sides."""
        deadline = self._transport.now() + self._timeout
        while self._transport.now() < deadline and self._transport.read(self._timeout / 10):
            pass  # replies to whoever spoke before
        self._replies.clear()
        self._rejected = None
        self.forget_events()
        (reply,) = self._transact([Request(Command.HELLO, 0)])
        if reply.done >> 4 != VERSION:
            raise LinkError(f"Device must speak version {VERSION} of the protocol, not {reply.done >> 4}")
        self.max_words = max_words(reply.done & 15)

    def write(self, address: int, values: int | Iterable[int] | np.ndarray, *, size: int = 4,
              increment: bool = True) -> None:
        """Write words to the bus.

        Parameters
        ----------
        address
            Word address of the first.
        values
            One number or ``int[n]``; 32-bit ones may be signed or unsigned.
        size
            Bytes of each on the line, 1, 2 or 4; the device extends their sign.
        increment
            Whether the address counts up, or all go to the same.
        """
        size_log2 = _size_log2(size)
        values = np.atleast_1d(np.asarray(values if np.isscalar(values) else list(values), np.int64))
        low, high = -(1 << 8 * size - 1), (1 << 8 * size) - 1 if size == 4 else (1 << 8 * size - 1) - 1
        if len(values) and not low <= values.min() <= values.max() <= high:
            raise ValueError(f"Values of {size} bytes must be between {low} and {high}, not "
                             f"{values.min()} to {values.max()}")
        _check_range(address, len(values), increment)
        data = (values & (1 << 8 * size) - 1).astype(f"<u{size}").tobytes()
        chunk = self.max_words * 4

        def requests():
            for start in range(0, len(data), chunk):
                yield Request(Command.WRITE, 0, size_log2, increment,
                              address + increment * (start // size), data=data[start:start + chunk])

        for _ in self._transact(requests()):
            pass

    def read(self, address: int, count: int = 1, *, size: int = 4, increment: bool = True) -> np.ndarray:
        """Return ``count`` words of the bus, ``uint32[count]``.

        With a ``size`` of 1 or 2 bytes only the low bytes travel: ``uint8[count]`` or ``uint16[count]``.
        """
        size_log2 = _size_log2(size)
        _check_range(address, count, increment)
        chunk = self.max_words

        def requests():
            for start in range(0, count, chunk):
                yield Request(Command.READ, 0, size_log2, increment, address + increment * start,
                              min(chunk, count - start))

        data = b"".join(reply.data for reply in self._transact(requests()))
        if len(data) != count * size:
            raise LinkError(f"Device must answer with {count * size} bytes, not {len(data)}")
        return np.frombuffer(data, f"<u{size}")

    def send_events(self, words: Iterable[int] | np.ndarray) -> None:
        """Send ``uint32[n]`` to the accelerator; return when all are in its input queue.

        Words that come out meanwhile are kept for `receive_events`, so that the accelerator never waits
        for this host to read.
        """
        words = np.asarray(words if isinstance(words, np.ndarray) else list(words), np.int64)
        if len(words) and not 0 <= words.min() <= words.max() < 1 << 32:
            raise ValueError("Event words must be between 0 and 4294967295")
        data = words.astype("<u4").tobytes()
        underway: deque[int] = deque()  # words offered in each request that is not answered yet
        sent, moved, stuck = 0, self._transport.now(), False

        def requests():
            nonlocal sent
            while sent < len(words) and not stuck:
                offered = min(self.max_words, len(words) - sent, self._free - sum(underway))
                part = data[4 * sent:4 * (sent + offered)]
                sent += offered
                underway.append(offered)
                yield Request(Command.EVENTS, 0, count=self.max_words, data=part)

        for reply in self._transact(requests()):
            offered = underway.popleft()
            if reply.done != offered % 256:
                raise LinkError(f"Device must accept {offered} event words, as it promised, not {reply.done}")
            if self._keep(reply) or offered:
                moved = self._transport.now()
            else:
                # Not raised here: the requests under way may still bring events.
                stuck = self._transport.now() - moved > self._patience
        if sent < len(words):
            raise LinkError(f"Accelerator stands still: it has taken no event for {self._patience:g} s "
                            f"({sent} of {len(words)} sent)")

    def receive_events(self, count: int | None = None) -> np.ndarray:
        """Return ``uint32[count]`` from the accelerator, or what is there now if ``count`` is None."""
        moved, stuck = self._transport.now(), False

        def here():
            return sum(map(len, self._events))

        def requests():
            if count is None:
                yield Request(Command.EVENTS, 0, count=self.max_words)
                return
            while here() < count and not stuck:
                yield Request(Command.EVENTS, 0, count=self.max_words)

        for reply in self._transact(requests()):
            if self._keep(reply):
                moved = self._transport.now()
            else:
                stuck = self._transport.now() - moved > self._patience
        if count is not None and here() < count:
            raise LinkError(f"Accelerator must send {count} event words, not {here()} and then none for "
                            f"{self._patience:g} s")
        words = np.concatenate([np.zeros(0, np.uint32), *self._events])
        split = len(words) if count is None else count
        self._events = [words[split:]]
        return words[:split]

    def forget_events(self) -> None:
        """Drop the words that were received and not fetched: their run is over."""
        self._events = []

    def _keep(self, reply: Reply) -> bool:
        if len(reply.data) % 4:
            raise LinkError(f"Device must answer with whole event words, not {len(reply.data)} bytes")
        self._events.append(np.frombuffer(reply.data, "<u4"))
        return bool(reply.data)

    def _transact(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Send ``requests``, `WINDOW` at a time; yield their replies in order."""
        source = iter(requests)
        waiting: deque[Request] = deque()
        failure = None
        while True:
            while failure is None and len(waiting) < WINDOW:
                request = next(source, None)
                if request is None:
                    break
                waiting.append(replace(request, seq=self._seq))
                self._seq = (self._seq + 1) % SEQUENCES
                self._send(waiting[-1])
            if not waiting:
                break
            request, reply = waiting[0], self._answer(waiting)
            # Those under way are always waited for: the device must see every sequence number.
            if reply.status == Status.OK and failure is None:
                self._free = reply.free
                yield reply
            elif failure is None:
                failure = (request, reply)
        if failure is not None:
            request, reply = failure
            where = f" at word address {request.address + request.increment * reply.done:#06x}"
            raise LinkError(f"Bus did not acknowledge in time{where}" if reply.status == Status.BUS
                            else f"Device refused a malformed {request.command.name} request")

    def _send(self, request: Request) -> None:
        self._transport.write(frame(request.encode()))

    def _answer(self, waiting: deque[Request]) -> Reply:
        """Return the reply to the oldest of ``waiting`` and remove that."""
        attempts, deadline = 0, self._transport.now() + self._timeout
        while True:
            again = []
            while self._replies:
                reply = self._replies.popleft()
                self.device_errors = reply.errors
                if reply.status == Status.NACK:
                    # One frame for one that was lost: more would fill a bad line with repetitions.
                    again = [waiting[0]]
                elif reply.seq != waiting[0].seq:
                    if reply.status == Status.ORDER:
                        self._rejected = reply.seq  # what came before it was lost
                elif reply.status == Status.ORDER:
                    raise LinkError("Device has lost the session (was it reset?): connect again")
                else:
                    waiting.popleft()
                    if waiting and waiting[0].seq == self._rejected:
                        self._repeat([waiting[0]])
                    self._rejected = None
                    return reply
            left = deadline - self._transport.now()
            if left <= 0:
                again = list(waiting)
            if again and attempts == self._retries:
                raise LinkError(f"Device did not answer a {waiting[0].command.name} request that was sent "
                                f"{attempts + 1} times ({self.host_errors} damaged replies)")
            if again:
                attempts += 1
                deadline = self._transport.now() + self._timeout
                self._repeat(again)
            else:
                self._receive(left)

    def _repeat(self, requests: list[Request]) -> None:
        self.resent += len(requests)
        for request in requests:
            self._send(request)

    def _receive(self, timeout: float) -> None:
        for body in self._deframer.feed(self._transport.read(timeout)):
            if len(body) >= HEADER_BYTES and body[0] >> 4 in set(Status):
                self._replies.append(Reply.decode(body))


def _size_log2(size: int) -> int:
    if size not in (1, 2, 4):
        raise ValueError(f"Element size must be 1, 2 or 4 bytes, not {size!r}")
    return size.bit_length() - 1


def _check_range(address: int, count: int, increment: bool) -> None:
    last = address + increment * max(0, count - 1)
    if not 0 <= address <= last <= 0xFFFF:
        raise ValueError(f"Word addresses must be between 0x0000 and 0xffff, "
                         f"not {address:#06x} to {last:#06x}")

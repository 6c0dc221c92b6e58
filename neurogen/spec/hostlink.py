"""The host link: frames between a host and an accelerator over an unreliable byte channel (a UART).

**Framing.** A frame on the wire is ``0x7E``, the stuffed body, the stuffed CRC, ``0x7E`` (as HDLC in
asynchronous mode): inside, ``0x7E`` and ``0x7D`` travel as ``0x7D`` and the byte xor ``0x20``. Empty
frames mean nothing. The CRC is CRC-16/IBM-3740 (polynomial 0x1021, start 0xFFFF), high byte first.

====  ============================  ====  =====================================================
byte  request                       byte  reply
====  ============================  ====  =====================================================
0     seq (3:0), command (7:4)      0     seq (3:0), status (7:4)
1     mode: log2 of element bytes   1     frames that the device dropped, modulo 256
      (1:0), increment (2)
2, 3  address, low byte first       2     elements written or read, event words accepted,
                                          modulo 256; HELLO: version (7:4), log2 of the slot (3:0)
4     count                         3, 4  free words of the event input queue, low byte first
5...  elements, low byte first      5...  elements or event words, low byte first
====  ============================  ====  =====================================================

======  =============================================================================================
HELLO   Starts a session: the next request has ``seq + 1``, and both event queues are empty. Never
        refused; carries no elements.
WRITE   Writes the elements, each sign-extended to 32 bits, to ``address`` (and on, if increment).
READ    Reads ``count`` words; the reply holds the low 1, 2 or 4 bytes of each.
EVENTS  Offers event words (mode: 4 bytes) to the accelerator and takes up to ``count`` from it.
        Never waits: words that find the input queue full are not accepted.
======  =============================================================================================

**Exactly once.** The device executes a request only if its sequence number is the expected one. It keeps
the replies to the last two requests: if it sees one of those again, it repeats the reply and does nothing
else. So the host may have `WINDOW` requests under way, and send them again after a ``NACK`` (the device
dropped a damaged frame) or a time-out, as often as it likes. ``ORDER``: neither expected nor among the
last two, or no session; nothing was done. ``BAD``: unknown command or half an element; ``BUS``: no
acknowledge in time; in both, the elements before the fault were executed.

**Nothing is lost.** A host that has two EVENTS requests under way offers no more words than the device has
reported free, minus those under way; then every word is accepted and they stay in order.
"""

import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from neurogen.spec.checks import check_int


__all__ = ["CRC_START", "END", "ESCAPE", "ESCAPE_XOR", "HEADER_BYTES", "SEQUENCES", "VERSION", "WINDOW",
           "Command", "Deframer", "HostLinkSpec", "Reply", "Request", "Status", "crc16", "frame",
           "max_words"]


END = 0x7E
ESCAPE = 0x7D
ESCAPE_XOR = 0x20
CRC_START = 0xFFFF
HEADER_BYTES = 5
SEQUENCES = 16
WINDOW = 2
VERSION = 1


class Command(IntEnum):
    """What a request asks for."""

    HELLO = 0
    WRITE = 1
    READ = 2
    EVENTS = 3


class Status(IntEnum):
    """How a request ended."""

    OK = 0
    NACK = 1
    ORDER = 2
    BAD = 3
    BUS = 4


@dataclass(frozen=True)
class HostLinkSpec:
    """Parameters of the device's end.

    Parameters
    ----------
    divisor
        Clock cycles of one bit, 4 to 65535.
    slot_log2
        Log2 of the bytes of the longest frame body with its CRC, 6 to 10. The device keeps two received
        frames and two replies: ``4 << slot_log2`` bytes of memory.
    in_words, out_words
        Depth of the queues towards and from the accelerator, 1 to 32768 words.
    addr_bits
        Width of a bus word address, 1 to 16 bits.
    timeout_log2
        Log2 of the cycles that the bus may take to acknowledge, 2 to 24.
    """

    divisor: int
    slot_log2: int = 8
    in_words: int = 128
    out_words: int = 128
    addr_bits: int = 16
    timeout_log2: int = 12

    def __post_init__(self):
        check_int("UART divisor", self.divisor, minimum=4, maximum=65535, unit="cycles")
        check_int("Log2 of the slot", self.slot_log2, minimum=6, maximum=10)
        check_int("Input queue depth", self.in_words, minimum=1, maximum=32768, unit="words")
        check_int("Output queue depth", self.out_words, minimum=1, maximum=32768, unit="words")
        check_int("Address width", self.addr_bits, minimum=1, maximum=16, unit="bits")
        check_int("Log2 of the bus time-out", self.timeout_log2, minimum=2, maximum=24)

    @classmethod
    def for_clock(cls, clock_hz: int, baud: int, **parameters: int) -> "HostLinkSpec":
        """Return the parameters for a clock and a baud rate (bit/s), if they agree within 2 %."""
        check_int("Clock frequency", clock_hz, minimum=1, unit="Hz")
        check_int("Baud rate", baud, minimum=1, unit="bit/s")
        divisor = max(1, round(clock_hz / baud))
        if divisor < 4 or abs(clock_hz / divisor / baud - 1) > 0.02:
            raise ValueError(f"Baud rate must be within 2 % of the clock divided by a whole number of at "
                             f"least 4 ({clock_hz} Hz / {divisor} = {clock_hz / divisor:.0f} bit/s), "
                             f"not {baud}")
        return cls(divisor=divisor, **parameters)

    @property
    def max_words(self) -> int:
        """32-bit words that fit in one frame, in either direction."""
        return max_words(self.slot_log2)


def max_words(slot_log2: int) -> int:
    """Return the 32-bit words that fit in a frame; 8 bytes of a slot are the device's own."""
    return ((1 << slot_log2) - HEADER_BYTES - 8) // 4


@dataclass(frozen=True)
class Request:
    """What the host sends.

    Parameters
    ----------
    command
        What to do.
    seq
        Sequence number, 0 to 15.
    size_log2
        Log2 of the bytes of an element, 0 to 2.
    increment
        Whether the address counts up.
    address
        Word address of the first element, 0 to 65535.
    count
        Elements to read, or most event words to take, 0 to 255.
    data
        The elements, low byte first.
    """

    command: Command
    seq: int
    size_log2: int = 2
    increment: bool = False
    address: int = 0
    count: int = 0
    data: bytes = b""

    def __post_init__(self):
        check_int("Sequence number", self.seq, minimum=0, maximum=SEQUENCES - 1)
        check_int("Log2 of the element size", self.size_log2, minimum=0, maximum=2)
        check_int("Address", self.address, minimum=0, maximum=0xFFFF)
        check_int("Count", self.count, minimum=0, maximum=255)

    def encode(self) -> bytes:
        """Return the body of the frame."""
        mode = self.size_log2 | self.increment << 2
        return bytes([self.command << 4 | self.seq, mode, self.address & 0xFF, self.address >> 8,
                      self.count]) + self.data


@dataclass(frozen=True)
class Reply:
    """What the device sends back.

    Parameters
    ----------
    status
        How the request ended.
    seq
        Sequence number of the request; after a ``NACK``, the expected one.
    errors
        Frames that the device dropped, modulo 256.
    done
        Elements written or read, or event words accepted, modulo 256.
    free
        Free words of the event input queue.
    data
        The elements or event words, low byte first.
    """

    status: Status
    seq: int
    errors: int = 0
    done: int = 0
    free: int = 0
    data: bytes = b""

    @classmethod
    def decode(cls, body: bytes) -> "Reply":
        """Return the reply in the body of a frame."""
        if len(body) < HEADER_BYTES:
            raise ValueError(f"Reply must have at least {HEADER_BYTES} bytes, not {len(body)}")
        return cls(Status(body[0] >> 4), body[0] & 15, body[1], body[2], body[3] | body[4] << 8, body[5:])


def crc16(body: bytes) -> int:
    """Return the CRC-16/IBM-3740 of ``body``; that of a body followed by its CRC is zero."""
    return binascii.crc_hqx(body, CRC_START)


def frame(body: bytes) -> bytes:
    """Return ``body`` as it travels on the wire."""
    stuffed = bytearray([END])
    for byte in body + crc16(body).to_bytes(2, "big"):
        stuffed += bytes([ESCAPE, byte ^ ESCAPE_XOR] if byte in (END, ESCAPE) else [byte])
    stuffed.append(END)
    return bytes(stuffed)


class Deframer:
    """Find frames in a byte stream that may start anywhere and be damaged.

    ``dropped`` counts what lay between two `END` bytes and was no frame.
    """

    def __init__(self, limit: int = 1024):
        self._limit = limit
        self._body = bytearray()
        self._escaped = False
        self.dropped = 0

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Yield the bodies, without their CRC, of the frames that ``received`` completes."""
        for byte in received:
            if byte == END:
                body, self._body, self._escaped = bytes(self._body), bytearray(), False
                if 2 < len(body) <= self._limit and crc16(body) == 0:
                    yield body[:-2]
                elif body:
                    self.dropped += 1
            elif byte == ESCAPE:
                self._escaped = True
            elif len(self._body) <= self._limit:  # a longer one is dropped at its end
                self._body.append(byte ^ ESCAPE_XOR if self._escaped else byte)
                self._escaped = False

"""Events in time steps, and the 32-bit words in which they travel on streams and in files.

An *event* is one spike at one address in one time step. Addresses are ``(c, y, x)`` in maps; a
neuron ``n`` of a vector has the address ``(n, 0, 0)``. The same address twice in one step is two
events.

===== =====================================================================
bits  event word (bit 31 = 0)
===== =====================================================================
8:0   ``x``
17:9  ``y``
30:18 ``c``
31    0
===== =====================================================================

===== =====================================================================
bits  control word (bit 31 = 1)
===== =====================================================================
23:0  argument
30:28 kind: 0 = end of step (argument: step, modulo 2**24);
      1 = the following events belong to population *argument*
31    1
===== =====================================================================
"""

from dataclasses import dataclass

import numpy as np

from neurogen.spec.checks import check_int


__all__ = ["C_BITS", "CONTROL", "END_OF_STEP", "POPULATION", "X_BITS", "Y_BITS", "EventError",
           "Events", "control_word", "pack_words", "unpack_words"]


X_BITS = 9
Y_BITS = 9
C_BITS = 13
CONTROL = 1 << 31
END_OF_STEP = 0
POPULATION = 1


class EventError(ValueError):
    """Events that are out of range, out of order, or after the end of the recording."""


@dataclass(frozen=True, eq=False)
class Events:
    """A recording: events sorted by time step.

    Parameters
    ----------
    shape
        Shape of the population: ``(C, H, W)`` or ``(N,)``.
    steps
        Number of time steps.
    t
        Time step of each event, not decreasing, ``0 <= t < steps``; ``int64[events]``.
    index
        Flat address of each event in C order; ``int64[events]``.
    """

    shape: tuple[int, ...]
    steps: int
    t: np.ndarray
    index: np.ndarray

    def __post_init__(self):
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        check_int("Number of steps", self.steps, minimum=0)
        for name in ("t", "index"):
            array = np.asarray(getattr(self, name))
            if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
                raise EventError(f"Events' {name} must be a vector of integers, not "
                                 f"{array.dtype}{list(array.shape)}")
            array = array.astype(np.int64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if len(self.t) != len(self.index):
            raise EventError(f"Events must have as many addresses as times, not "
                             f"{len(self.index)} and {len(self.t)}")
        if not len(self.t):
            return
        late = np.flatnonzero((self.t < 0) | (self.t >= self.steps))
        if len(late):
            raise EventError(f"Event {late[0]} must be in a step from 0 to {self.steps - 1}, "
                             f"not {self.t[late[0]]}")
        back = np.flatnonzero(np.diff(self.t) < 0)
        if len(back):
            raise EventError(f"Event {back[0] + 1} must not be earlier than the one before it "
                             f"(step {self.t[back[0]]}), not in step {self.t[back[0] + 1]}")
        size = int(np.prod(self.shape))
        outside = np.flatnonzero((self.index < 0) | (self.index >= size))
        if len(outside):
            raise EventError(f"Event {outside[0]} must have an address from 0 to {size - 1}, "
                             f"not {self.index[outside[0]]}")

    def __len__(self) -> int:
        return len(self.t)

    @classmethod
    def from_counts(cls, counts: np.ndarray) -> "Events":
        """Return the events of ``int[steps, *shape]`` multiplicities, in raster order (y, x, c)."""
        counts = np.asarray(counts)
        if counts.dtype.kind not in "iub" or (counts.size and counts.min() < 0):
            raise EventError("Multiplicities must be non-negative integers")
        shape = counts.shape[1:]
        moved = counts if len(shape) == 1 else counts.transpose(0, 2, 3, 1)
        where = np.nonzero(moved)
        repeat = moved[where].astype(np.int64)
        t, *address = (np.repeat(axis, repeat) for axis in where)
        if len(shape) == 3:
            address = [address[2], address[0], address[1]]
        index = np.ravel_multi_index(address, shape) if len(t) else np.zeros(0, np.int64)
        return cls(shape, counts.shape[0], t, index)

    def counts(self) -> np.ndarray:
        """Return the multiplicities, ``int64[steps, *shape]``."""
        size = int(np.prod(self.shape))
        flat = np.bincount(self.t * size + self.index, minlength=self.steps * size)
        return flat.reshape(self.steps, *self.shape)

    def address(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ``c``, ``y`` and ``x`` of each event."""
        if len(self.shape) == 1:
            zero = np.zeros_like(self.index)
            return self.index, zero, zero
        return np.unravel_index(self.index, self.shape)

    def step(self, t: int) -> np.ndarray:
        """Return the flat addresses of the events of step ``t``."""
        first, last = np.searchsorted(self.t, [t, t + 1])
        return self.index[first:last]


def control_word(kind: int, argument: int = 0) -> int:
    """Return a control word."""
    return CONTROL | kind << 28 | argument & 0xFFFFFF


def pack_words(events: Events) -> np.ndarray:
    """Return the stream of a recording, ``uint32[len(events) + steps]``.

    Each step is its events and an end-of-step word.
    """
    c, y, x = events.address()
    for name, value, bits in (("c", c, C_BITS), ("y", y, Y_BITS), ("x", x, X_BITS)):
        if len(value) and value.max() >> bits:
            raise EventError(f"Coordinate {name} must be below {1 << bits}, not {value.max()}")
    words = (x | y << X_BITS | c << (X_BITS + Y_BITS)).astype(np.uint32)
    ends = np.array([control_word(END_OF_STEP, t) for t in range(events.steps)], np.uint32)
    position = np.searchsorted(events.t, np.arange(events.steps), side="right")
    return np.insert(words, position, ends)


def unpack_words(words: np.ndarray, shapes: dict[int, tuple[int, ...]],
                 steps: int) -> dict[int, Events]:
    """Return the events of each population in an output stream.

    Parameters
    ----------
    words
        ``uint32[n]``: population words, events and end-of-step words.
    shapes
        Shape of each population that may occur, by its number.
    steps
        Number of steps that the stream must hold.
    """
    words = np.asarray(words, np.int64)
    control = (words & CONTROL) != 0
    kind = words >> 28 & 7
    end = control & (kind == END_OF_STEP)
    if end.sum() != steps:
        raise EventError(f"Stream must hold {steps} end-of-step words, not {int(end.sum())}")
    t = np.cumsum(end) - end
    change = np.where(control & (kind == POPULATION), np.arange(len(words)), -1)
    last = np.maximum.accumulate(change) if len(words) else change
    population = np.where(last >= 0, words[last] & 0xFFFFFF, -1)
    result = {}
    known = np.isin(population, list(shapes)) | control
    if not known.all():
        raise EventError(f"Stream must hold events of populations {sorted(shapes)}, "
                         f"not {population[~known][0]}")
    for number, shape in shapes.items():
        mine = words[~control & (population == number)]
        times = t[~control & (population == number)]
        x = mine & (1 << X_BITS) - 1
        y = mine >> X_BITS & (1 << Y_BITS) - 1
        c = mine >> X_BITS + Y_BITS & (1 << C_BITS) - 1
        index = c if len(shape) == 1 else (c * shape[1] + y) * shape[2] + x
        height, width = shape[1:] if len(shape) == 3 else (1, 1)
        if ((y >= height) | (x >= width)).any():
            raise EventError(f"Stream must hold events inside {shape} for population {number}")
        result[number] = Events(shape, steps, times, index)
    return result

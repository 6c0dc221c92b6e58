"""Types of channels and variables, as they stand in annotations.

``U[8]`` and ``S[8]`` are unsigned and signed integers, ``Bit`` is ``U[1]``. ``State[U[8]]`` is a parameter
whose value at the end of a call is what the next call starts with (first its default). ``Rom[U[4], 16]`` is
a tuple of constants, ``Mem[U[8], 16]`` an array that the process owns, ``Stream[U[8]]`` an input that a
process reads with ``next`` or ``for``.
"""

from dataclasses import dataclass


__all__ = ["Bit", "Mem", "MemType", "Num", "Rom", "RomType", "S", "State", "StateType", "Stream",
           "StreamType", "U", "Word", "join"]


@dataclass(frozen=True)
class Num:
    """An integer of ``width`` bits, in two's complement if ``signed``."""

    width: int
    signed: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.width, bool) or not isinstance(self.width, int):
            raise TypeError(f"Width of a type must be an integer, not {self.width!r}")
        if not 1 <= self.width <= 64:
            raise ValueError(f"Width of a type must be between 1 and 64, not {self.width!r}")

    @property
    def low(self) -> int:
        """The lowest value."""
        return -(1 << self.width - 1) if self.signed else 0

    @property
    def high(self) -> int:
        """The highest value."""
        return (1 << self.width - self.signed) - 1

    def fits(self, value: int) -> bool:
        """Whether a value can be told."""
        return self.low <= value <= self.high

    def wrap(self, value: int) -> int:
        """Return the value of this type that equals ``value`` modulo 2**width."""
        value &= (1 << self.width) - 1
        return value - (1 << self.width) if self.signed and value >> self.width - 1 else value

    def __call__(self, value: int) -> int:
        """Return `wrap` of a value: ``U[4](x)`` is a conversion, in Python and in the circuit."""
        return self.wrap(int(value))

    def __str__(self) -> str:
        return f"{'S' if self.signed else 'U'}[{self.width}]"

    __repr__ = __str__


@dataclass(frozen=True)
class Word(Num):
    """Several numbers side by side in one token: of any width, and no type of a variable."""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"Width of a word must be at least 1 bit, not {self.width!r}")


@dataclass(frozen=True)
class StateType:
    """Type of a state parameter."""

    type: Num


@dataclass(frozen=True)
class RomType:
    """Type of a table of ``depth`` constants."""

    type: Num
    depth: int


@dataclass(frozen=True)
class MemType:
    """Type of an array of ``depth`` words."""

    type: Num
    depth: int


@dataclass(frozen=True)
class StreamType:
    """Type of an input that is read token by token."""

    type: Num


class U:
    """``U[n]``: unsigned, n bits."""

    def __class_getitem__(cls, width: int) -> Num:
        return Num(width)


class S:
    """``S[n]``: signed, n bits."""

    def __class_getitem__(cls, width: int) -> Num:
        return Num(width, True)


class State:
    """``State[type]``: a parameter that keeps its value from call to call."""

    def __class_getitem__(cls, type: Num) -> StateType:
        return StateType(_num("State", type))


class Stream:
    """``Stream[type]``: an input that a persistent process reads."""

    def __class_getitem__(cls, type: Num) -> StreamType:
        return StreamType(_num("Stream", type))


class Rom:
    """``Rom[type, depth]``: a tuple of constants."""

    def __class_getitem__(cls, item: tuple[Num, int]) -> RomType:
        return RomType(_num("Rom", item[0]), item[1])


class Mem:
    """``Mem[type, depth]``: an array of the process."""

    def __class_getitem__(cls, item: tuple[Num, int]) -> MemType:
        return MemType(_num("Mem", item[0]), item[1])


Bit = Num(1)


def _num(name, type):
    if not isinstance(type, Num):
        raise TypeError(f"Type of {name} must be U[n], S[n] or Bit, not {type!r}")
    return type


def join(a: Num, b: Num) -> Num:
    """Return the narrowest type that holds all values of two."""
    if a.signed == b.signed:
        return Num(max(a.width, b.width), a.signed)
    signed, unsigned = (a, b) if a.signed else (b, a)
    return Num(min(64, max(signed.width, unsigned.width + 1)), True)

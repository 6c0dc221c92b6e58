"""Gates, channels and the builder with which blocks are described.

A channel is a row of digits, each a tuple of rails of which at most one is high (1-of-n): a bit is (f, t),
a dataless token is one request rail, a one-hot word of the library's ``select_n``, ``branch_n`` and
``else_condition`` is one digit of n rails. The acknowledge ``a`` is active high. Protocol, four-phase return
to zero: neutral, a = 0; all digits valid, in any order; a+; all digits neutral; a-.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from neurogen.qdi.gates.cells import CELLS, Cell


__all__ = ["ZERO", "Builder", "Channel", "Gate", "Netlist"]

ZERO = 0  # the net that is always 0


@dataclass(frozen=True)
class Channel:
    """A channel: nets of its rails and of its acknowledge.

    Parameters
    ----------
    digits
        Rails of each digit, lowest bit first; (f, t) for a bit.
    a
        Acknowledge, active high.
    hot
        Whether the token is a one-hot word, carried as one digit.
    """

    digits: tuple[tuple[int, ...], ...]
    a: int
    hot: bool = False

    @property
    def width(self) -> int:
        """Bits of a token."""
        return len(self.digits[0]) if self.hot else sum(len(digit) == 2 for digit in self.digits)

    @property
    def rails(self) -> list[int]:
        """All rails."""
        return [rail for digit in self.digits for rail in digit]

    def rails_of(self, token: int) -> list[int]:
        """Return the rail that a token raises in each digit.

        Raises
        ------
        ValueError
            If the token does not fit.
        """
        if self.hot:
            if token.bit_count() != 1 or token >> self.width:
                raise ValueError(f"Token must be one-hot in {self.width} bits, not {token!r}")
            return [self.digits[0][token.bit_length() - 1]]
        if not 0 <= token < 1 << self.width:
            raise ValueError(f"Token must be between 0 and {(1 << self.width) - 1}, not {token!r}")
        return [digit[token >> k & 1] if len(digit) == 2 else digit[0] for k, digit in enumerate(self.digits)]

    def token(self, high: Sequence[int]) -> int:
        """Return the token of a valid code; ``high[k]`` is the rail that is up in digit k."""
        if self.hot:
            return 1 << high[0]
        return sum(rail << k for k, rail in enumerate(high) if len(self.digits[k]) == 2)


@dataclass(frozen=True)
class Gate:
    """An instance of a cell.

    Parameters
    ----------
    cell
        Key of ``CELLS``.
    inputs
        Nets, in the order of the cell's pins.
    output
        Net.
    name
        Instance name, unique in the netlist: the block's id and a number.
    block
        Id of the block (node) that it belongs to.
    """

    cell: str
    inputs: tuple[int, ...]
    output: int
    name: str
    block: str


@dataclass
class Netlist:
    """A flat netlist.

    Parameters
    ----------
    name
        Name of the module.
    nets
        Name of each net; number 0 is constant 0.
    gates
        Instances.
    rst
        Reset, active high; 0 if nothing needs it.
    clk
        Clock of border blocks; 0 if there is none.
    inputs, outputs
        Channels at the border by name.
    wires
        Other nets at the border by name: clocked streams, bundled data.
    channels
        All channels by name (``producer.port``), those at the border included.
    blocks
        Kind and source line (``file:line:column`` or an empty text) of each block.
    consumers
        Block and port that read each channel, by the channel's name.
    cells
        The cells by name: generic ones, or those of a library.
    timed
        Gates that have settled before the clock or a bundled request rises (a timing assumption).
    """

    name: str
    nets: list[str]
    gates: list[Gate]
    rst: int
    clk: int
    inputs: dict[str, Channel]
    outputs: dict[str, Channel]
    wires: dict[str, int] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    blocks: dict[str, tuple[str, str]] = field(default_factory=dict)
    consumers: dict[str, tuple[str, str]] = field(default_factory=dict)
    timed: frozenset[str] = frozenset()
    cells: Mapping[str, Cell] = field(default_factory=lambda: CELLS)

    def count(self) -> dict[str, int]:
        """Return the number of instances of each cell."""
        result: dict[str, int] = {}
        for gate in self.gates:
            result[gate.cell] = result.get(gate.cell, 0) + 1
        return dict(sorted(result.items()))


class Builder:
    """Collects gates; blocks call its methods, `finish` makes the netlist.

    Parameters
    ----------
    name
        Name of the netlist.
    threshold
        Use threshold gates with hysteresis where they replace several C-elements (smaller where C-elements
        are made of several cells); otherwise C-elements of two inputs and simple gates only.
    """

    def __init__(self, name: str, *, threshold: bool = False):
        self.name = name
        self.threshold = threshold
        self.nets = ["zero", "rst", "clk"]
        self.rst, self.clk = 1, 2
        self.gates: list[Gate] = []
        self.block = name
        self.blocks: dict[str, tuple[str, str]] = {}
        self.channels: dict[str, Channel] = {}
        self.consumers: dict[str, tuple[str, str]] = {}
        self.wires: dict[str, int] = {}
        self.timed: set[str] = set()
        self.resets: set[str] = set()  # blocks whose half buffers must be reset
        self._alias: dict[int, int] = {}
        self._numbers: dict[str, int] = {}

    def net(self, name: str) -> int:
        """Return a new net."""
        self.nets.append(name)
        return len(self.nets) - 1

    def channel(self, name: str, width: int, *, hot: bool = False) -> Channel:
        """Return a new channel of fresh nets."""
        if hot:
            digits = (tuple(self.net(f"{name}.h{k}") for k in range(width)),)
        elif width:
            digits = tuple((self.net(f"{name}.f{k}"), self.net(f"{name}.t{k}")) for k in range(width))
        else:
            digits = ((self.net(f"{name}.r"),),)
        channel = Channel(digits, self.net(f"{name}.a"), hot)
        self.channels[name] = channel
        return channel

    def like(self, name: str, other: Channel) -> Channel:
        """Return a new channel of the same code."""
        return self.channel(name, other.width, hot=other.hot)

    def gate(self, cell: str, *inputs: int, out: int | None = None, timed: bool = False) -> int:
        """Add an instance; return its output (a new net unless ``out`` is given)."""
        number = self._numbers[self.block] = self._numbers.get(self.block, -1) + 1
        name = f"{self.block}.{number}"
        if out is None:
            out = self.net(name)
        self.gates.append(Gate(cell, inputs, out, name, self.block))
        if timed:
            self.timed.add(name)
        return out

    def wire(self, target: int, source: int) -> None:
        """Make a net that nothing drives another name of ``source``."""
        self._alias[target] = source

    def wires_to(self, targets: Iterable[int], source: int) -> None:
        """Make several nets other names of ``source``."""
        for target in targets:
            self.wire(target, source)

    def inv(self, a: int) -> int:
        """Return the inverse."""
        return self.gate("NG_INV", a)

    def any(self, *inputs: int) -> int:
        """Return the OR of nets: a tree of OR2 to OR4."""
        return self._tree("NG_OR", inputs, 4)

    def c(self, *inputs: int) -> int:
        """Return the C-element of nets: a tree."""
        return self._tree("NG_C", inputs, 4 if self.threshold else 2)

    def _tree(self, cell: str, inputs: Sequence[int], arity: int) -> int:
        """Reduce by the fewest levels, each gate as small as the level allows."""
        level = list(inputs)
        if not level:
            raise ValueError(f"Inputs of a tree of {cell} must be at least one net, not none")
        while len(level) > 1:
            groups = -(-len(level) // arity)
            size, larger = divmod(len(level), groups)
            parts, at = [], 0
            for k in range(groups):
                end = at + size + (k < larger)
                parts.append(level[at:end])
                at = end
            level = [self.gate(f"{cell}{len(p)}", *p) if len(p) > 1 else p[0] for p in parts]
        return level[0]

    def choose(self, ups: Sequence[int], nets: Sequence[int]) -> int:
        """Return the OR of each net ANDed with its ``up``; at most one ``up`` is high while nets move."""
        pairs = [(u, n) for u, n in zip(ups, nets, strict=True) if ZERO not in (u, n)]
        halves = [self.gate("NG_AO22", *p, *q) for p, q in zip(pairs[::2], pairs[1::2], strict=False)]
        if len(pairs) % 2:
            halves.append(self.gate("NG_AND2", *pairs[-1]))
        return self.any(*halves) if halves else ZERO

    def two_of(self, a: int, b: int, c: int, d: int) -> int:
        """Return C(a, b) or C(c, d), of which at most one rises."""
        if self.threshold and ZERO not in (a, b, c, d):
            return self.gate("NG_THXOR", a, b, c, d)
        return self.any(self.c(a, b), self.c(c, d))

    def valid(self, digit: Sequence[int]) -> int:
        """Return the net that says that a digit is valid."""
        return self.any(*digit)

    def complete(self, *channels: Channel) -> int:
        """Return the completion of channels: rises when all digits are valid, falls when all are neutral."""
        return self.complete_digits([digit for channel in channels for digit in channel.digits])

    def complete_digits(self, digits: Sequence[Sequence[int]]) -> int:
        """Return the completion of digits: the C-element of their ORs.

        Pairs of rails are joined as neutral ones, C of NORs, inverted: smaller and faster than with ORs.
        """
        if len(digits) > 1 and all(len(digit) == 2 and len({*digit, ZERO}) == 3 for digit in digits):
            return self.inv(self.c(*(self.gate("NG_NOR2", *digit) for digit in digits)))
        return self.c(*(self.valid(digit) for digit in digits))

    def finish(self, inputs: dict[str, Channel], outputs: dict[str, Channel]) -> Netlist:
        """Return the netlist: aliases resolved, constants folded, gates that nothing reads left out.

        The last is a matter of correctness: a gate without readers is acknowledged by nobody.
        """
        from neurogen.qdi.gates.fold import fold

        return fold(self, self._alias, inputs, outputs)


for _gate in ("NG_OR4", "NG_C4"):
    if _gate not in CELLS:  # the trees above count on them
        raise ImportError(f"Cells must hold {_gate}")

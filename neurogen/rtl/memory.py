"""The one memory component that all others store into, and its form in registers."""

from amaranth.hdl import Cat, Module, Shape, ShapeLike, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory, ReadPort, WritePort
from amaranth.lib.wiring import Out

from neurogen.spec.checks import check_choice, check_int


__all__ = ["RAM_STYLES", "Ram", "RegisterFile"]


# Values of `ram_style`, and the attributes by which Yosys (and Vivado) choose the kind of memory.
RAM_STYLES = {
    "auto":        {},
    "block":       {"ram_style": "block"},
    "distributed": {"ram_style": "distributed"},
}


class Ram(wiring.Component):
    """Simple dual-port memory: one synchronous read port, one write port, one clock.

    ``r_port.data`` shows, from the cycle after ``r_port.en`` on, the word that ``r_port.addr``
    selected then; it keeps it while ``r_port.en`` is low. A read in the cycle of a write to the
    same address returns the **old** word, as block RAMs and SRAM macros in read-first mode do.

    Nobody may rely on the contents at power-on (SRAM macros have none), and a reset changes
    nothing. This is the boundary at which ASIC flows put SRAM macros.

    Parameters
    ----------
    shape
        Shape of a word, of at least one bit.
    depth
        Number of words, at least 2; it need not be a power of two.
    granularity
        Bits (or elements, if ``shape`` is an array layout) that one bit of ``w_port.en`` writes;
        a whole word if None.
    ram_style
        ``"block"``, ``"distributed"`` (LUTs or flip-flops) or ``"auto"`` (the tool chooses).
    collisions
        Whether reads in the cycle of a write to the same word matter. If not, what they return is
        undefined (the old word in simulation), and block RAMs of ECP5 need no logic around them
        (a 416-bit memory: 433 LUTs and 843 flip-flops less).

    Members
    -------
    r_port : ``Out(ReadPort.Signature(...))``
        ``addr`` and ``en`` (high if left alone) in, ``data`` out.
    w_port : ``Out(WritePort.Signature(...))``
        ``addr``, ``data`` and ``en`` in.
    """

    def __init__(self, shape: ShapeLike, depth: int, *, granularity: int | None = None,
                 ram_style: str = "auto", collisions: bool = True):
        check_int("Word width", Shape.cast(shape).width, minimum=1, unit="bits")
        self._depth = check_int("Memory depth", depth, minimum=2, unit="words")
        self._ram_style = check_choice("RAM style", ram_style, tuple(RAM_STYLES))
        self._shape = shape
        self._granularity = granularity
        self._attrs = dict(RAM_STYLES[ram_style])
        if not collisions:
            self._attrs["no_rw_check"] = True  # Yosys: no logic around block RAMs for collisions
        addr_width = (depth - 1).bit_length()
        super().__init__({
            "r_port": Out(ReadPort.Signature(addr_width=addr_width, shape=shape)),
            "w_port": Out(WritePort.Signature(addr_width=addr_width, shape=shape,
                                              granularity=granularity)),
        })

    @property
    def depth(self) -> int:
        """Number of words."""
        return self._depth

    @property
    def ram_style(self) -> str:
        """Kind of memory that synthesis shall use."""
        return self._ram_style

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=self._shape, depth=self._depth, init=[],
                                              attrs=self._attrs)
        r_port = memory.read_port()
        w_port = memory.write_port(granularity=self._granularity)
        m.d.comb += [
            r_port.en.eq(self.r_port.en),
            r_port.addr.eq(self.r_port.addr),
            self.r_port.data.eq(r_port.data),
            w_port.en.eq(self.w_port.en),
            w_port.addr.eq(self.w_port.addr),
            w_port.data.eq(self.w_port.data),
        ]
        return m


class RegisterFile(wiring.Component):
    """Ports and timing of a `Ram` without collisions, in registers: for few wide words on ASICs.

    A word is clocked when it is written (its enable gates the clock), and only the outgoing and the incoming
    word move wires when it is read. While a word is shown it must not be written: it would change.

    Parameters
    ----------
    width
        Bits of a word.
    depth
        Number of words, at least 2.
    granularity
        Bits that one bit of ``w_port.en`` writes; divides the width.

    Members
    -------
    r_port, w_port
        As those of `Ram`.
    """

    def __init__(self, width: int, depth: int, *, granularity: int):
        check_int("Word width", width, minimum=1, unit="bits")
        self._depth = check_int("Memory depth", depth, minimum=2, unit="words")
        check_int("Granularity", granularity, minimum=1, maximum=width, unit="bits")
        if width % granularity:
            raise ValueError(f"Granularity must divide {width}, not {granularity!r}")
        self._granularity = granularity
        addr_width = (depth - 1).bit_length()
        super().__init__({
            "r_port": Out(ReadPort.Signature(addr_width=addr_width, shape=width)),
            "w_port": Out(WritePort.Signature(addr_width=addr_width, shape=width, granularity=granularity)),
        })

    @property
    def depth(self) -> int:
        """Number of words."""
        return self._depth

    def elaborate(self, platform):
        m = Module()
        read, write = self.r_port, self.w_port
        words = [Signal(len(read.data), name=f"word{n}", reset_less=True) for n in range(self._depth)]
        shown = Signal(self._depth, reset_less=True)
        with m.If(read.en):
            m.d.sync += shown.eq(Cat(read.addr == n for n in range(self._depth)))
        for n, word in enumerate(words):
            for part, enable in enumerate(write.en):
                with m.If(enable & (write.addr == n)):
                    m.d.sync += word.word_select(part, self._granularity).eq(
                        write.data.word_select(part, self._granularity))
        masked = [word & bit.replicate(len(word)) for word, bit in zip(words, shown, strict=True)]
        while len(masked) > 1:  # a tree
            masked = [left | right for left, right in zip(masked[::2], masked[1::2], strict=False)] + (
                masked[-1:] if len(masked) % 2 else [])
        m.d.comb += read.data.eq(masked[0])
        return m

"""An accelerator, or a learning engine, behind its host link, and what feeds it a clock on a board."""

from math import ceil

from amaranth.build import Platform
from amaranth.hdl import ClockDomain, ClockSignal, Const, Instance, Module, Signal, Value
from amaranth.lib import io, stream, wiring
from amaranth.lib.cdc import FFSynchronizer, ResetSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from fpga.boards import Board
from fpga.pll import ecp5_pll, ice40_pll
from neurogen.rtl.hostlink import HostLink
from neurogen.rtl.learning import LearnEngine
from neurogen.rtl.mega import Mega
from neurogen.rtl.streams import Queue, pipe
from neurogen.rtl.uart import UartRx, UartTx
from neurogen.spec.hostlink import HostLinkSpec
from neurogen.spec.learning import Learner
from neurogen.spec.mega import MegaSpec


__all__ = ["BoardDesign", "BoardSpec", "BoardTop", "PinBench"]


BoardSpec = MegaSpec | Learner  # what boards run


# iCE40 block RAMs read as zeros for about 3 us after configuration; 15 us leave room for slow silicon.
_POWER_ON_SECONDS = 15e-6


class BoardTop(wiring.Component):
    """An accelerator, or a learning engine, whose only data pins are those of a UART.

    Parameters
    ----------
    spec
        Parameters of the accelerator, which must do without external memory, or of the learning engine.
    divisor
        Clock cycles of a bit on the line, 4 to 65535.

    Members
    -------
    rx : ``In(1)``
        Pin from the host; may be asynchronous.
    tx : ``Out(1)``
        Pin to the host.
    idle : ``Out(1)``
        No program runs; nothing is computed.
    """

    def __init__(self, spec: BoardSpec, divisor: int):
        if not isinstance(spec, BoardSpec):
            raise TypeError(f"Board top parameters must be a MegaSpec or a Learner, not {spec!r}")
        if isinstance(spec, MegaSpec) and spec.external:
            raise ValueError("Board top must have a configuration without external memory")
        self._spec = spec
        self._link = HostLinkSpec(divisor=divisor, addr_bits=16 if isinstance(spec, MegaSpec) else 5)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "idle": Out(1)})

    @property
    def spec(self) -> BoardSpec:
        """Parameters of what is behind the link."""
        return self._spec

    @property
    def link(self) -> HostLinkSpec:
        """Parameters of the host link."""
        return self._link

    def elaborate(self, platform):
        m = Module()
        m.submodules.link = link = HostLink(self._link)
        if isinstance(self._spec, MegaSpec):
            m.submodules.mega = engine = Mega(self._spec)
            pipe(m, link.o_events, engine.i_events)
            pipe(m, engine.o_events, link.i_events)
            m.d.comb += link.flush.eq(engine.flush)
        else:
            m.submodules.learner = engine = LearnEngine(self._spec)
            # Events on the link are words of 32 bits; those of the engine are its lowest.
            m.d.comb += [engine.i_events.valid.eq(link.o_events.valid),
                         link.o_events.ready.eq(engine.i_events.ready),
                         Value.cast(engine.i_events.payload).eq(link.o_events.payload)]
        connect(m, link.bus, engine.bus)
        m.d.comb += [link.rx.eq(self.rx), self.tx.eq(link.tx), self.idle.eq(engine.idle)]
        return m


class PinBench(wiring.Component):
    """A `BoardTop` with a UART on its pins, for simulation: every bit passes the pins, and Python sees bytes.

    Members
    -------
    i_bytes : ``In(stream.Signature(8))``
        Sent to the board, one after the other.
    o_bytes : ``Out(stream.Signature(8))``
        Received from the board. A byte that finds the queue of 64 full, or has no stop bit, is lost.
    rx, tx : ``Out(1)``
        The pins, to look at.
    """

    def __init__(self, spec: BoardSpec, divisor: int):
        self._top = BoardTop(spec, divisor)
        super().__init__({"i_bytes": In(stream.Signature(8)), "o_bytes": Out(stream.Signature(8)),
                          "rx": Out(1), "tx": Out(1)})

    @property
    def link(self) -> HostLinkSpec:
        """Parameters of the host link."""
        return self._top.link

    def elaborate(self, platform):
        m = Module()
        m.submodules.top      = top = self._top
        m.submodules.sender   = sender = UartTx(top.link.divisor)
        m.submodules.receiver = receiver = UartRx(top.link.divisor)
        m.submodules.received = received = Queue(8, 64)
        pipe(m, flipped(self.i_bytes), sender.i)
        pipe(m, received.o, flipped(self.o_bytes))
        m.d.comb += [
            top.rx.eq(sender.tx), receiver.rx.eq(top.tx), self.rx.eq(top.rx), self.tx.eq(top.tx),
            received.i.payload.eq(receiver.data), received.i.valid.eq(receiver.valid),
        ]
        return m


class BoardDesign(wiring.Component):
    """A `BoardTop` on a board of the table: its clock, reset, UART and, where there is one, a LED.

    Reset ends some microseconds after the clock is stable. The LED shines while it computes.

    Parameters
    ----------
    spec
        Parameters of what the board runs.
    board
        Row of `fpga.boards.BOARDS`.
    """

    def __init__(self, spec: BoardSpec, board: Board):
        self._board = board
        self._top = BoardTop(spec, board.divisor)
        super().__init__({})

    def elaborate(self, platform: Platform):
        board = self._board
        m = Module()
        m.domains.sync = ClockDomain()
        m.submodules.clocking = _Clocking(board)
        m.submodules.top = top = self._top
        uart = platform.request("uart", 0, dir={"rx": "-", "tx": "-"} | _unused(platform))
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [top.rx.eq(rx.i), tx.o.eq(top.tx)]
        if board.led is not None:
            name, part = board.led
            pin = platform.request(name, 0, dir="-" if part is None else dict.fromkeys("rgb", "-"))
            m.submodules.led = led = io.Buffer("o", pin if part is None else getattr(pin, part))
            m.d.comb += led.o.eq(~top.idle)
        return m


def _unused(platform):
    """Return directions for the UART's other lines: none is driven or read."""
    return {line.name: "-" for line in platform.lookup("uart", 0).ios if line.name not in ("rx", "tx")}


class _Clocking(wiring.Component):
    """Drives the domain ``sync`` with the board's target clock."""

    def __init__(self, board):
        self._board = board
        super().__init__({})

    def elaborate(self, platform):
        board = self._board
        m = Module()
        clock, locked = Signal(), Signal()
        m.submodules.pin = pin = io.Buffer("i", platform.request(platform.default_clk, 0, dir="-"))
        if board.target_hz == board.clock_hz:
            m.d.comb += [clock.eq(pin.i), locked.eq(1)]
        else:
            pll = {"ecp5": _ecp5, "ice40": _ice40}[board.family]
            m.submodules.pll = pll(board, pin.i, clock, locked)
        m.domains.start = ClockDomain(reset_less=True, local=True)
        m.d.comb += [ClockSignal("sync").eq(clock), ClockSignal("start").eq(clock)]

        last = ceil(_POWER_ON_SECONDS * board.target_hz)
        waited, stable, ready = Signal(range(last + 1)), Signal(), Signal()
        m.submodules.stable = FFSynchronizer(locked, stable, o_domain="start")
        with m.If(stable & (waited != last)):
            m.d.start += waited.eq(waited + 1)
        m.d.start += ready.eq(waited == last)
        m.submodules.reset = ResetSynchronizer(~ready, domain="sync")
        return m


def _ecp5(board, source, clock, locked):
    pll = ecp5_pll(board.clock_hz, board.target_hz)
    return Instance(
        "EHXPLLL", a_FREQUENCY_PIN_CLKI=f"{board.clock_hz / 1e6:g}",
        a_FREQUENCY_PIN_CLKOP=f"{pll.out_hz / 1e6:g}", a_ICP_CURRENT="12", a_LPF_RESISTOR="8",
        a_MFG_ENABLE_FILTEROPAMP="1", a_MFG_GMCREF_SEL="2",
        p_CLKI_DIV=pll.reference, p_CLKFB_DIV=pll.feedback, p_CLKOP_DIV=pll.output,
        p_CLKOP_ENABLE="ENABLED", p_CLKOP_CPHASE=pll.output - 1, p_CLKOP_FPHASE=0,
        p_FEEDBK_PATH="CLKOP", p_OUTDIVIDER_MUXA="DIVA", p_PLLRST_ENA="DISABLED",
        p_STDBY_ENABLE="DISABLED", p_DPHASE_SOURCE="DISABLED", p_INTFB_WAKE="DISABLED",
        i_CLKI=source, i_CLKFB=clock, i_RST=Const(0), i_STDBY=Const(0), i_ENCLKOP=Const(1),
        i_PHASESEL0=Const(0), i_PHASESEL1=Const(0), i_PHASEDIR=Const(0), i_PHASESTEP=Const(0),
        i_PHASELOADREG=Const(0), i_PLLWAKESYNC=Const(0), o_CLKOP=clock, o_LOCK=locked)


def _ice40(board, source, clock, locked):
    pll = ice40_pll(board.clock_hz, board.target_hz)
    return Instance(
        "SB_PLL40_CORE", p_FEEDBACK_PATH="SIMPLE", p_PLLOUT_SELECT="GENCLK",
        p_DIVR=Const(pll.reference - 1, 4), p_DIVF=Const(pll.feedback - 1, 7),
        p_DIVQ=Const(pll.output.bit_length() - 1, 3), p_FILTER_RANGE=Const(pll.filter_range, 3),
        i_REFERENCECLK=source, i_RESETB=Const(1), i_BYPASS=Const(0), o_PLLOUTGLOBAL=clock, o_LOCK=locked)

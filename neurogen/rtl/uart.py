"""The two ends of a UART's line."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from neurogen.spec.checks import check_int


__all__ = ["UartRx", "UartTx"]


class UartRx(wiring.Component):
    """UART receiver: 8 data bits, no parity, 1 stop bit, sampled in the middle of each bit.

    ``valid`` is high for one cycle per byte, half a bit before its stop bit ends; this is no stream, as
    nobody can make a UART wait. A byte without a stop bit makes ``damaged`` high for one cycle instead.
    A reset abandons the byte that is coming in.

    Parameters
    ----------
    divisor
        Cycles of a bit, 4 to 65535.

    Members
    -------
    rx : ``In(1)``
        The pin; may be asynchronous.
    data : ``Out(8)``
    valid, damaged : ``Out(1)``
    """

    def __init__(self, divisor: int):
        self._divisor = check_int("UART divisor", divisor, minimum=4, maximum=65535, unit="cycles")
        super().__init__({"rx": In(1, init=1), "data": Out(8), "valid": Out(1), "damaged": Out(1)})

    def elaborate(self, platform):
        m = Module()
        level = Signal(init=1)
        m.submodules.pin = FFSynchronizer(self.rx, level, init=1)
        wait = Signal(range(self._divisor))
        left = Signal(range(10))  # bits after the one that is sampled next; 9 in the start bit
        busy = Signal()

        with m.If(~busy):
            m.d.sync += [busy.eq(~level), wait.eq(self._divisor // 2 - 1), left.eq(9)]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [wait.eq(self._divisor - 1), left.eq(left - 1)]
            with m.If(left == 0):
                m.d.sync += busy.eq(0)
                m.d.comb += [self.valid.eq(level), self.damaged.eq(~level)]
            with m.Elif(left == 9):
                m.d.sync += busy.eq(~level)  # a glitch is no start bit
            with m.Else():
                m.d.sync += self.data.eq(Cat(self.data[1:], level))
        return m


class UartTx(wiring.Component):
    """UART transmitter: 8 data bits, no parity, 1 stop bit; a byte takes ``10 * divisor`` cycles.

    Parameters
    ----------
    divisor
        Cycles of a bit, 1 to 65535.

    Members
    -------
    i : ``In(stream.Signature(8))``
    tx : ``Out(1)``
    """

    def __init__(self, divisor: int):
        self._divisor = check_int("UART divisor", divisor, minimum=1, maximum=65535, unit="cycles")
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        wait = Signal(range(self._divisor))
        left = Signal(range(10))  # bits after the one that is on the line
        bits = Signal(9, init=~0)
        last = Signal()  # cycle of a bit

        m.d.comb += [self.tx.eq(bits[0]), last.eq(wait == 0), self.i.ready.eq(last & (left == 0))]
        m.d.sync += wait.eq(Mux(last, self._divisor - 1, wait - 1))
        with m.If(last):
            m.d.sync += bits.eq(Cat(bits[1:], Const(1, 1)))
            with m.If(left != 0):
                m.d.sync += left.eq(left - 1)
            with m.Elif(self.i.valid):
                m.d.sync += [bits.eq(Cat(Const(0, 1), self.i.payload)), left.eq(9)]
        return m

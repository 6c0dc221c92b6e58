"""A small accelerator with every kind of port that the simulator drives."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import memory, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out


__all__ = ["TALLY_GAIN", "TALLY_SUM", "TALLY_COUNT", "Tally", "Wide"]

TALLY_GAIN, TALLY_SUM, TALLY_COUNT = range(3)


class Tally(wiring.Component):
    """For each 12-bit signed ``x`` on ``i_events``, emit ``x * gain + memory[x mod 64]`` and store it there.

    Members
    -------
    bus : word 0 is the gain, 1 the sum of all results, 2 their number; from 64 on: an internal memory.
    mem : external memory of 32-bit words.
    """

    def __init__(self):
        bus = {"cyc": Out(1), "stb": Out(1), "we": Out(1), "adr": Out(8), "dat_w": Out(32),
               "dat_r": In(32), "ack": In(1)}
        super().__init__({"i_events": In(stream.Signature(signed(12))),
                          "o_sums": Out(stream.Signature(signed(32))),
                          "bus": In(wiring.Signature(bus)), "mem": Out(wiring.Signature(bus)),
                          "offset": In(5), "idle": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=12, depth=8)
        m.submodules.scratch = scratch = memory.Memory(shape=32, depth=16, init=[])
        r_port, w_port = scratch.read_port(domain="comb"), scratch.write_port()
        gain, total, count, result = Signal(signed(8), init=1), Signal(32), Signal(32), Signal(signed(32))
        x = Signal(signed(12))
        m.d.comb += [
            fifo.w_data.eq(self.i_events.payload), fifo.w_en.eq(self.i_events.valid),
            self.i_events.ready.eq(fifo.w_rdy), x.eq(fifo.r_data),
            r_port.addr.eq(self.bus.adr), w_port.addr.eq(self.bus.adr), w_port.data.eq(self.bus.dat_w),
            self.o_sums.payload.eq(result), self.mem.adr.eq(x[:6] + self.offset), self.mem.dat_w.eq(result),
        ]
        with m.If(self.bus.cyc & self.bus.stb & ~self.bus.ack):
            m.d.sync += self.bus.ack.eq(1)
            with m.If(self.bus.adr >= 64):
                m.d.sync += self.bus.dat_r.eq(r_port.data)
                m.d.comb += w_port.en.eq(self.bus.we)
            with m.Else():
                with m.Switch(self.bus.adr):
                    for adr, value in ((TALLY_GAIN, gain), (TALLY_SUM, total), (TALLY_COUNT, count)):
                        with m.Case(adr):
                            m.d.sync += self.bus.dat_r.eq(value)
                with m.If(self.bus.we & (self.bus.adr == TALLY_GAIN)):
                    m.d.sync += gain.eq(self.bus.dat_w)
        with m.Else():
            m.d.sync += self.bus.ack.eq(0)

        with m.FSM():
            with m.State("Read"):
                m.d.comb += [self.mem.cyc.eq(fifo.r_rdy), self.mem.stb.eq(fifo.r_rdy),
                             self.idle.eq(fifo.level == 0)]
                with m.If(self.mem.ack):
                    m.d.sync += result.eq(x * gain + self.mem.dat_r)
                    m.next = "Write"
            with m.State("Write"):
                m.d.comb += [self.mem.cyc.eq(1), self.mem.stb.eq(1), self.mem.we.eq(1)]
                with m.If(self.mem.ack):
                    m.d.sync += [total.eq(total + result), count.eq(count + 1)]
                    m.next = "Emit"
            with m.State("Emit"):
                m.d.comb += [self.o_sums.valid.eq(1), fifo.r_en.eq(self.o_sums.ready)]
                with m.If(self.o_sums.ready):
                    m.next = "Read"
        return m


class Wide(wiring.Component):
    """Pass words of 100 bits through a queue, upside down, and add up words of 64 bits without one."""

    def __init__(self):
        super().__init__({"i_words": In(stream.Signature(100)), "o_words": Out(stream.Signature(100)),
                          "i_long": In(stream.Signature(64)), "o_long": Out(stream.Signature(64)),
                          "tag": In(70), "tag_out": Out(70)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=100, depth=4)
        total = Signal(64)
        m.d.comb += [
            fifo.w_data.eq(self.i_words.payload[::-1]), fifo.w_en.eq(self.i_words.valid),
            self.i_words.ready.eq(fifo.w_rdy), self.o_words.payload.eq(fifo.r_data),
            self.o_words.valid.eq(fifo.r_rdy), fifo.r_en.eq(self.o_words.ready), self.tag_out.eq(~self.tag),
            self.o_long.valid.eq(self.i_long.valid), self.i_long.ready.eq(self.o_long.ready),
            self.o_long.payload.eq(total + self.i_long.payload),
        ]
        with m.If(self.i_long.valid & self.i_long.ready):
            m.d.sync += total.eq(self.o_long.payload)
        return m

"""A small system behind AXI ports, and the benches that `test_bus` runs in a Verilog simulator."""

import itertools
import random

import cocotb
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamSink, AxiStreamSource

from neurogen.rtl.bus import (
    AxiLiteSignature,
    AxiLiteToWishbone,
    AxiStreamSignature,
    AxiStreamToStream,
    StreamToAxiStream,
    last_layout,
)
from neurogen.rtl.memory import Ram
from neurogen.rtl.streams import Queue, pipe
from neurogen.testing.cocotb_streams import start


class System(wiring.Component):
    """64 words of memory behind AXI4-Lite, and a queue between two AXI4-Streams."""

    s_axil: In(AxiLiteSignature(8))
    s_axis: In(AxiStreamSignature(32, last=True))
    m_axis: Out(AxiStreamSignature(32, last=True))

    def elaborate(self, platform):
        m = Module()
        m.submodules.bridge = bridge = AxiLiteToWishbone(6)
        m.submodules.ram = ram = Ram(32, 64)
        m.submodules.inwards = inwards = AxiStreamToStream(32, last=True)
        m.submodules.queue = queue = Queue(last_layout(32), 5)
        m.submodules.outwards = outwards = StreamToAxiStream(32, last=True)
        wiring.connect(m, wiring.flipped(self.s_axil), bridge.s_axil)
        wiring.connect(m, wiring.flipped(self.s_axis), inwards.s_axis)
        wiring.connect(m, outwards.m_axis, wiring.flipped(self.m_axis))
        pipe(m, inwards.o, queue.i)
        pipe(m, queue.o, outwards.i)
        bus = bridge.bus
        m.d.comb += [
            ram.r_port.addr.eq(bus.adr), bus.dat_r.eq(ram.r_port.data),
            ram.w_port.addr.eq(bus.adr), ram.w_port.data.eq(bus.dat_w),
            ram.w_port.en.eq(bus.cyc & bus.we & bus.ack),
        ]
        m.d.sync += bus.ack.eq(bus.cyc & ~bus.ack)
        return m


def pauses(seed):
    rng = random.Random(seed)
    return (rng.random() < 0.5 for _ in itertools.count())


async def open_ports(dut):
    """Start the clock, and return the drivers of the ports."""
    axil = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil_"), dut.clk, dut.rst)
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis_"), dut.clk, dut.rst)
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_"), dut.clk, dut.rst)
    await start(dut, cycles=3)
    return axil, source, sink


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def memory_behind_axi_lite(dut):
    axil, _, _ = await open_ports(dut)
    write, read = axil.write_if, axil.read_if
    channels = write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel
    for number, channel in enumerate(channels):
        channel.set_pause_generator(pauses(number))
    words = [random.Random(1).randrange(1 << 32) for _ in range(64)]
    await axil.write_dwords(0, words)
    assert await axil.read_dwords(0, 64) == words
    answer = await axil.write(4, b"\x01\x02")
    assert answer.resp == 2, "half a word must be refused"
    assert await axil.read_dword(4) == words[1]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def packets_through_axi_stream(dut):
    _, source, sink = await open_ports(dut)
    source.set_pause_generator(pauses(5))
    sink.set_pause_generator(pauses(6))
    rng = random.Random(2)
    packets = [rng.randbytes(4 * rng.randrange(1, 20)) for _ in range(10)]
    for packet in packets:
        await source.send(packet)
    for packet in packets:
        assert bytes((await sink.recv()).tdata) == packet
    assert sink.empty()

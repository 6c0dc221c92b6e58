"""Bench that runs inside the simulator; `test_axi_conv` starts it."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from examples.axi_conv import SPEC, Register
from examples.window import load_weights, read_states
from neurogen.spec.mega import COUNTERS
from neurogen.testing.cocotb_streams import start
from neurogen.testing.streams import random_pauses
from tests.examples.layer import STEPS, Layer


class Host:
    """The component's drivers, and what a host does with its registers."""

    def __init__(self, dut, pause):
        self.dut = dut
        axil = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil_"), dut.clk, dut.rst)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis_"), dut.clk, dut.rst)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis_"), dut.clk, dut.rst)
        self.write, self.read = axil.write_dword, axil.read_dword
        writing, reading = axil.write_if, axil.read_if
        channels = (writing.aw_channel, writing.w_channel, writing.b_channel, reading.ar_channel,
                    reading.r_channel, self.source, self.sink)
        if pause:
            for seed, channel in enumerate(channels):
                channel.set_pause_generator(random_pauses(seed, pause))

    async def load(self, layer):
        await load_weights(layer.part, Register.WINDOW, Register.DATA, self.write)
        for i, words in enumerate(layer.program()):
            for w, word in enumerate(words):
                await self.write(Register.PROGRAM + 64 * i + 4 * w, word)

    async def run(self, words, steps, *, control=1):
        """Send words, run, and return the words of each step."""
        await self.write(Register.STEPS, steps)
        await self.write(Register.CONTROL, control)
        packets = await self.exchange(words, steps)
        while not self.dut.idle.value:
            await RisingEdge(self.dut.clk)
        return packets

    async def exchange(self, words, steps):
        await self.source.send(AxiStreamFrame(np.array(words, "<u4").tobytes()))
        return [np.frombuffer(bytes((await self.sink.recv()).tdata), "<u4").tolist() for _ in range(steps)]

    async def counters(self):
        return [await self.read(Register.COUNTERS + 4 * k) for k in range(len(COUNTERS))]


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def layer_equals_golden_with_pauses_on_all_channels(dut):
    layer, host = Layer(SPEC, seed=1), Host(dut, pause=0.3)
    await start(dut, cycles=3)
    await host.load(layer)
    packets = await host.run(layer.words, STEPS)
    layer.check_spikes([word for packet in packets for word in packet])
    place, = layer.part.placements
    layer.check_potentials(
        await read_states(SPEC, place, Register.WINDOW, Register.DATA, host.write, host.read))
    layer.check_counters(await host.counters())
    assert await host.read(Register.STATUS) == 0
    assert await host.read(Register.STEP) == STEPS
    assert host.sink.empty() and host.source.empty()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def run_goes_on_and_restarts(dut):
    layer, host = Layer(SPEC, seed=2), Host(dut, pause=0)
    await start(dut, cycles=3)
    await host.load(layer)
    # A first run leaves states behind, which the second one must not see.
    await host.run(layer.words, STEPS)
    stop = 1 + [k for k, word in enumerate(layer.words) if word >> 31][1]
    # Channel 2 does not exist: the event is dropped, and remembered until step 0.
    packets = await host.run([2 << 18, *layer.words[:stop]], 2)
    assert await host.read(Register.STATUS) == 2
    packets += await host.run(layer.words[stop:], STEPS - 2, control=2)
    assert await host.read(Register.STATUS) == 2
    layer.check_spikes([word for packet in packets for word in packet])
    assert [packet[-1] & 0xFFFFFF for packet in packets] == list(range(STEPS))
    layer.check_counters(await host.counters())
    await host.run([1 << 31], 1)
    assert await host.read(Register.STATUS) == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def registers_are_closed_during_a_run(dut):
    layer, host = Layer(SPEC, seed=3), Host(dut, pause=0)
    await start(dut, cycles=3)
    await host.load(layer)
    await host.write(Register.STEPS, STEPS)
    await host.write(Register.CONTROL, 1)  # waits for events
    assert await host.read(Register.STATUS) == 1
    # None of these may do anything now.
    await host.write(Register.CONTROL, 1)
    for word in range(16):
        await host.write(Register.PROGRAM + 4 * word + 64 * 2, 0xFFFFFFFF)
    await host.write(Register.WINDOW, 0)
    for _ in range(SPEC.lanes):
        await host.write(Register.DATA, 5)
        assert await host.read(Register.DATA) is not None
    packets = await host.exchange(layer.words, STEPS)
    layer.check_spikes([word for packet in packets for word in packet])

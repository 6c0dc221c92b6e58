"""Bench that runs inside the simulator; `test_wishbone_conv` starts it."""

import cocotb

from examples.window import load_weights, read_states
from examples.wishbone_conv import NO_EVENT, SPEC, Register
from neurogen.spec.mega import COUNTERS, Op
from neurogen.testing.cocotb_streams import start
from neurogen.testing.cocotb_wishbone import WishboneMaster
from neurogen.testing.streams import random_pauses
from tests.examples.layer import STEPS, Layer


BUSY, BAD_EVENT, LOST, ROOM, WAITING = (1 << bit for bit in range(5))


class Host:
    """What the software of a processor does with the peripheral."""

    def __init__(self, dut, pauses=None):
        self.dut, self.bus = dut, WishboneMaster(dut, pauses=pauses)
        self.read, self.write = self.bus.read, self.bus.write
        self.waiting, self.received = [], []

    async def begin(self, words):
        for w, word in enumerate(words):
            await self.write(Register.INSTRUCTION + w, word)
        await self.write(Register.EXECUTE, 0)

    async def finish(self):
        """Move events between the queues and the lists until the instruction is done."""
        while (status := await self.read(Register.STATUS)) & BUSY:
            if self.waiting and status & ROOM:
                await self.write(Register.EVENT, self.waiting.pop(0))
            if status & WAITING:
                self.received.append(await self.read(Register.EVENT))
        while (word := await self.read(Register.EVENT)) != NO_EVENT:
            self.received.append(word)

    async def execute(self, words):
        await self.begin(words)
        await self.finish()
        return [await self.read(Register.COUNTERS + k) for k in range(len(COUNTERS))]


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def layer_equals_golden(dut):
    layer, host = Layer(SPEC, seed=4), Host(dut, random_pauses(1, 0.3))
    await start(dut, cycles=3)
    await load_weights(layer.part, Register.WINDOW, Register.DATA, host.write)
    host.waiting = list(layer.words)
    totals = [0] * len(COUNTERS)
    for step in range(STEPS):
        await host.write(Register.STEP, step)
        for instruction, words in zip(layer.part.instructions, layer.program(), strict=True):
            if step == 0 or not instruction.fields.get("once"):
                counts = await host.execute(words)
                totals = [total + count for total, count in zip(totals, counts, strict=True)]
    assert host.waiting == []
    layer.check_spikes(host.received)
    place, = layer.part.placements
    layer.check_potentials(
        await read_states(SPEC, place, Register.WINDOW, Register.DATA, host.write, host.read))
    layer.check_counters(totals)
    assert await host.read(Register.STATUS) == ROOM


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def status_tells_what_went_wrong(dut):
    layer, host = Layer(SPEC, seed=5), Host(dut)
    await start(dut, cycles=3)
    assert await host.read(Register.STATUS) == ROOM
    assert await host.read(Register.EVENT) == NO_EVENT
    integrate, = (words for instruction, words in zip(layer.part.instructions, layer.program(), strict=True)
                  if instruction.op is Op.INTEGRATE)
    await host.begin(integrate)
    assert await host.read(Register.STATUS) == BUSY | ROOM
    await host.begin([0xFFFFFFFF] * len(integrate))  # refused: it would be unknown, or never end
    host.waiting = [2 << 18, 1 << 31]  # there is no channel 2
    await host.finish()
    assert await host.read(Register.STATUS) == BAD_EVENT | ROOM
    await host.write(Register.STATUS, 0)
    assert await host.read(Register.STATUS) == ROOM
    room = 0
    while await host.read(Register.STATUS) & ROOM:
        await host.write(Register.EVENT, 0)
        room += 1
    assert room >= 16
    await host.write(Register.EVENT, 0)
    assert await host.read(Register.STATUS) == LOST
    assert dut.interrupt.value == 1  # nothing is under way
    await host.begin(integrate)
    host.waiting = [1 << 31]
    await host.finish()
    assert await host.read(Register.COUNTERS + COUNTERS.index("events")) == room  # without the lost one

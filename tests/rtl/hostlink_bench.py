"""A simulated device behind the host link, for the tests of both ends."""

import random
from collections import deque

from amaranth.sim import Simulator

from fpga.transports import Transport


class Device:
    """A host link with a memory on its bus and an accelerator that answers each event ``w`` with ``w + 1``.

    ``bus_pause``, ``take_pause`` and ``give_pause`` are the probabilities of a wait state on the bus and of
    an idle cycle of the accelerator's input and output; words from 0x8000 on never acknowledge.
    """

    def __init__(self, dut, *, seed=0, bus_pause=0.0, take_pause=0.0, give_pause=0.0):
        self.dut = dut
        self.memory = {}
        self.writes = []
        self.taken = []
        self.outputs = deque()
        self.cycles = 0
        self.flush = False  # level of the port
        self._rng = random.Random(seed)
        self.bus_pause, self.take_pause, self.give_pause = bus_pause, take_pause, give_pause
        self.simulator = Simulator(dut)
        self.simulator.add_clock(1e-6)
        for bench in (self._bus, self._accelerator, self._channel):
            self.simulator.add_testbench(bench, background=True)

    def cycle(self):
        """Simulate one clock cycle."""
        last = self.cycles
        while self.cycles == last:
            self.simulator.advance()

    async def _bus(self, ctx):
        bus = self.dut.bus
        ctx.set(bus.dat_r, 0xBAD0BAD0)
        while True:
            if ctx.get(bus.cyc & bus.stb) and ctx.get(bus.adr) < 0x8000 and self._happens(self.bus_pause):
                address = ctx.get(bus.adr)
                ctx.set(bus.ack, 1)
                ctx.set(bus.dat_r, self.memory.get(address, 0))
                if ctx.get(bus.we):
                    self.writes.append((address, ctx.get(bus.dat_w)))
                    self.memory[address] = ctx.get(bus.dat_w)
                await ctx.tick()
                ctx.set(bus.ack, 0)
                ctx.set(bus.dat_r, 0xBAD0BAD0)
            else:
                await ctx.tick()

    def _happens(self, pause):
        return pause == 0.0 or self._rng.random() >= pause

    async def _accelerator(self, ctx):
        i, o = self.dut.o_events, self.dut.i_events
        offering = False
        while True:
            if self.outputs and not offering and self._happens(self.give_pause):
                offering = True
                ctx.set(o.valid, 1)
                ctx.set(o.payload, self.outputs[0])
            ctx.set(i.ready, self._happens(self.take_pause))
            ctx.set(self.dut.flush, self.flush)
            _, _, taken, word, given = await ctx.tick().sample(
                i.valid & i.ready, i.payload, o.valid & o.ready)
            if given:
                self.outputs.popleft()
                offering = False
                ctx.set(o.valid, 0)
                ctx.set(o.payload, 0xDEAD)
            if taken:
                self.taken.append(word)
                self.outputs.append((word + 1) & 0xFFFFFFFF)

    async def _channel(self, ctx):
        raise NotImplementedError


class PinDevice(Device):
    """A `HostLink`, driven through its pins."""

    rx = tx = 1

    async def _channel(self, ctx):
        while True:
            ctx.set(self.dut.rx, self.rx)
            await ctx.tick()
            self.tx = ctx.get(self.dut.tx)
            self.cycles += 1

    def step(self, rx):
        """Simulate one cycle with ``rx`` on the pin; return ``tx``."""
        self.rx = rx
        self.cycle()
        return self.tx


class ByteDevice(Device, Transport):
    """A `LinkCore`, driven byte by byte: one each way every ``byte_cycles`` cycles.

    ``harm`` may replace any byte on its way, in either direction: ``harm(byte, inwards)`` returns bytes.
    """

    def __init__(self, dut, *, byte_cycles=6, harm=None, **pauses):
        super().__init__(dut, **pauses)
        self.byte_cycles = byte_cycles
        self.harm = harm or (lambda byte, inwards: bytes([byte]))
        self.inwards, self.outwards = deque(), bytearray()

    async def _channel(self, ctx):
        i, o = self.dut.i_bytes, self.dut.o_bytes
        while True:
            turn = self.cycles % self.byte_cycles == 0
            ctx.set(i.valid, turn and bool(self.inwards))
            if turn and self.inwards:
                ctx.set(i.payload, self.inwards.popleft())
            ctx.set(o.ready, turn)
            _, _, sent, byte = await ctx.tick().sample(o.valid & o.ready, o.payload)
            if sent:
                self.outwards += self.harm(byte, False)
            self.cycles += 1

    def write(self, sent):
        for byte in sent:
            self.inwards.extend(self.harm(byte, True))

    def read(self, timeout):
        end = self.now() + timeout
        while not self.outwards and self.now() < end:
            self.cycle()
        received, self.outwards = bytes(self.outwards), bytearray()
        return received

    def now(self):
        return self.cycles * 1e-6

    def close(self):
        pass

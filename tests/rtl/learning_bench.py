"""`neurogen.flow.learning` on Amaranth's own simulator: slower, and without a compiler."""

import random

import numpy as np
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from neurogen.flow.learning import LearnPort
from neurogen.flow.model import Run
from neurogen.rtl.learning import LearnEngine


class SlowModel:
    """The calls of `neurogen.flow.model.Model` that `LearnPort` needs."""

    def __init__(self, dut):
        self._dut, self._job = dut, None
        self._reset = Signal()
        self._simulator = Simulator(ResetInserter(self._reset)(dut))
        self._simulator.add_clock(1e-6)
        self._simulator.add_testbench(self._bench)

    def _do(self, *job):
        self._job, self._answer = job, None
        while self._job is not None:
            self._simulator.advance()
        return self._answer

    def write(self, adr, values, *, step=1):
        self._do("bus", [(adr + k * step, int(v)) for k, v in enumerate(np.atleast_1d(values))])

    def read(self, adr, count=None, *, step=1):
        answers = self._do("bus", [(adr + k * step, None) for k in range(count or 1)])
        return answers[0] if count is None else np.array(answers, np.uint32)

    def run(self, cycles, *, inputs, until, idle, seed):
        return Run(self._do("events", inputs["i_events"].tolist(), cycles, idle, random.Random(seed)), {}, {})

    def start_events(self, words, *, cycles=0):
        """Send events and return some cycles after the last, without waiting for the engine."""
        self._do("feed", words, cycles)

    def wait(self):
        """Wait until the engine is idle."""
        self._do("events", [], 10_000, 0.0, random.Random(0))

    def reset(self):
        """Reset for a cycle."""
        self._do("restart")

    async def _bench(self, ctx):
        while True:
            if self._job is None:
                await ctx.tick()
            else:
                self._answer = await getattr(self, f"_{self._job[0]}")(ctx, *self._job[1:])
                self._job = None

    async def _bus(self, ctx, operations):
        bus, answers = self._dut.bus, []
        for adr, value in operations:
            ctx.set(bus.cyc, 1)
            ctx.set(bus.stb, 1)
            ctx.set(bus.we, value is not None)
            ctx.set(bus.adr, adr)
            ctx.set(bus.dat_w, 0 if value is None else value & 0xFFFFFFFF)
            ack = False
            while not ack:
                _, _, ack, answer = await ctx.tick().sample(bus.ack, bus.dat_r)
            answers.append(answer)
        ctx.set(bus.cyc, 0)
        ctx.set(bus.stb, 0)
        await ctx.tick()
        return answers

    async def _restart(self, ctx):
        ctx.set(self._reset, 1)
        await ctx.tick()
        ctx.set(self._reset, 0)

    async def _feed(self, ctx, words, cycles):
        for word in words:
            ctx.set(self._dut.i_events.payload, {"value": word & 0xFFFF, "kind": word >> 16})
            ctx.set(self._dut.i_events.valid, 1)
            ready = False
            while not ready:
                _, _, ready = await ctx.tick().sample(self._dut.i_events.ready)
            ctx.set(self._dut.i_events.valid, 0)
        for _ in range(cycles):
            await ctx.tick()

    async def _events(self, ctx, words, limit, idle, rng):
        stream, cycles = self._dut.i_events, 0
        for word in words:
            while rng.random() < idle:
                await ctx.tick()
                cycles += 1
            ctx.set(stream.payload, {"value": word & 0xFFFF, "kind": word >> 16})
            ctx.set(stream.valid, 1)
            ready = False
            while not ready:
                _, _, ready = await ctx.tick().sample(stream.ready)
                cycles += 1
                assert cycles < limit
            ctx.set(stream.valid, 0)
        while not ctx.get(self._dut.idle):
            await ctx.tick()
            cycles += 1
            assert cycles < limit
        return cycles


def slow_port(spec, **options):
    """Return a `LearnPort` of a learning engine."""
    return LearnPort(SlowModel(LearnEngine(spec)), spec, **options)

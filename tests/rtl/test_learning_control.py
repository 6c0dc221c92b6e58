import random

from amaranth.sim import Simulator

from neurogen.rtl.learning_control import LearnControl
from neurogen.spec.learning_bus import COUNTERS, Csr
from tests.learning import SPECS


def test_counters_carry_and_a_write_clears_them():
    dut, rng, sums = LearnControl(SPECS["one"]), random.Random(1), [0] * len(COUNTERS)
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def access(ctx, adr, write=False):
        for signal, value in ((dut.bus.adr, adr), (dut.bus.we, write), (dut.bus.cyc, 1), (dut.bus.stb, 1)):
            ctx.set(signal, value)
        await ctx.tick()
        assert ctx.get(dut.bus.ack)
        found = ctx.get(dut.bus.dat_r)
        for signal in (dut.bus.cyc, dut.bus.stb, dut.bus.we):
            ctx.set(signal, 0)
        await ctx.tick()
        return found

    async def read(ctx):
        return [await access(ctx, Csr.COUNTER + k) for k in range(len(COUNTERS))]

    async def bench(ctx):
        for _ in range(300):
            amounts = [rng.choice((0, 1, rng.randrange(1 << 13), (1 << 13) - 1)) for _ in COUNTERS]
            for k, amount in enumerate(amounts):
                ctx.set(dut.amounts[k], amount)
                sums[k] += amount
            await ctx.tick()
        for k in range(len(COUNTERS)):
            ctx.set(dut.amounts[k], 0)
        assert min(sums) > 1 << 18
        assert await read(ctx) == sums
        await access(ctx, Csr.COUNTER + 2, write=True)
        assert await read(ctx) == [0] * len(COUNTERS)

    simulator.add_testbench(bench)
    simulator.run()

# amaranth: UnusedElaboratable=no

import random

import pytest
from amaranth.sim import Simulator

from neurogen.rtl.control import Control
from neurogen.spec.mega import Csr, MegaSpec, MemorySelect


SPEC = MegaSpec(lanes=4, clusters=2, weight_bits=5, state_bits=11, state_depth=64, weight_depth=96,
                spike_depth=32, program_depth=64)
PULSES = ("start", "proceed", "abort", "program_en", "counter_en", "place", "weight_en", "state_read")


class Bench:
    """A control block with memories that answer from their addresses, and a record of its pulses."""

    def __init__(self, spec=SPEC):
        self.spec, self.dut, self.pulses = spec, Control(spec), []

    async def watch(self, ctx):
        dut = self.dut
        loaded = [None, None]
        while True:
            ports = (*PULSES, "program_addr", "program_data", "counter_addr", "cluster", "bank", "row",
                     "weight")
            _, _, *values = await ctx.tick().sample(*(getattr(dut, name) for name in ports))
            now = dict(zip(ports, values, strict=True))
            for name in PULSES:
                if now[name]:
                    self.pulses.append((name, now))
            if now["counter_en"]:
                ctx.set(dut.counter_data, counter(now["counter_addr"]))
            if loaded[0] is not None:  # a row arrives two cycles after, and is loaded in the next
                self.row = loaded[0]
            loaded = [loaded[1], now["row"] if now["state_read"] else None]

    async def access(self, ctx, address, data=None):
        """Return what a read gives, and the cycles of the access."""
        bus = self.dut.bus
        for name, value in (("cyc", 1), ("stb", 1), ("we", int(data is not None)), ("adr", address),
                            ("dat_w", data or 0)):
            ctx.set(getattr(bus, name), value)
        cycles = 0
        while True:
            if address == Csr.MEM_DATA and data is None:
                lane = ctx.get(self.dut.state_lane)
                ctx.set(self.dut.state_data, state(getattr(self, "row", 0), ctx.get(self.dut.bank),
                                                   ctx.get(self.dut.cluster), lane))
            _, _, ack, value = await ctx.tick().sample(bus.ack, bus.dat_r)
            cycles += 1
            if ack:
                ctx.set(bus.cyc, 0)
                ctx.set(bus.stb, 0)
                await ctx.tick()
                assert not ctx.get(bus.ack)
                return value, cycles
            assert cycles < 10

    def run(self, scenario):
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(scenario)
        simulator.add_testbench(self.watch, background=True)
        simulator.run()

    def named(self, name):
        return [now for pulse, now in self.pulses if pulse == name]


def counter(address):
    return (address * 0x9E3779B97F4A) & (1 << 48) - 1


def state(row, bank, cluster, lane):
    return (row * 331 + bank * 71 + cluster * 17 + lane * 5) % 2048 - 1024


def window(select, row=0, bank=0, cluster=0):
    return select << 28 | cluster << 24 | bank << 20 | row


def test_registers():
    bench = Bench()

    async def scenario(ctx):
        dut = bench.dut
        for address, value in ((Csr.ID, 0x4E47_0001), (Csr.CONFIG, 4 | 2 << 8 | 11 << 16 | 5 << 24),
                               (Csr.DEPTH, 64 | 96 << 16), (Csr.STATUS, 0), (Csr.STEPS, 1), (Csr.STEP, 0),
                               (Csr.CYCLES, 0), (Csr.MEM_ADDRESS, 0), (Csr.CONTROL, 0), (10, 0), (0xFFFF, 0)):
            assert await bench.access(ctx, address) == (value, 2), address
        assert await bench.access(ctx, Csr.STEPS, 0x89ABCDEF) == (0, 2)
        assert (await bench.access(ctx, Csr.STEPS))[0] == ctx.get(dut.steps) == 0x89ABCDEF
        ctx.set(dut.step, 0xFEDCBA98)
        assert (await bench.access(ctx, Csr.STEP))[0] == 0xFEDCBA98
        assert bench.pulses == []
        for bits, names in ((1, ["start"]), (2, ["proceed"]), (4, ["abort"]), (8, []), (12, ["abort"])):
            bench.pulses.clear()
            await bench.access(ctx, Csr.CONTROL, bits)
            assert [name for name, _ in bench.pulses] == names  # each for one cycle

    bench.run(scenario)


def test_status_and_cycles():
    bench = Bench()

    async def scenario(ctx):
        dut = bench.dut
        for name, bit in (("busy", 1), ("unknown", 4)):
            ctx.set(getattr(dut, name), 1)
            assert (await bench.access(ctx, Csr.STATUS))[0] == bit
            ctx.set(getattr(dut, name), 0)
        ctx.set(dut.bad_event, 1)
        await ctx.tick()
        ctx.set(dut.bad_event, 0)
        await ctx.tick()
        await bench.access(ctx, Csr.CONTROL, 0b111)
        assert (await bench.access(ctx, Csr.STATUS))[0] == 2  # sticky
        await bench.access(ctx, Csr.CONTROL, 8)
        assert (await bench.access(ctx, Csr.STATUS))[0] == 0
        await bench.access(ctx, Csr.CONTROL, 1)
        for busy, expected in ((7, 7), (5, 12)):
            ctx.set(dut.busy, 1)
            for _ in range(busy):
                await ctx.tick()
            ctx.set(dut.busy, 0)
            for _ in range(3):
                await ctx.tick()
            assert (await bench.access(ctx, Csr.CYCLES))[0] == expected  # frozen when idle
        await bench.access(ctx, Csr.CONTROL, 2)  # going on does not restart it
        assert (await bench.access(ctx, Csr.CYCLES))[0] == 12
        ctx.set(dut.busy, 1)
        await bench.access(ctx, Csr.CONTROL, 1)  # ignored: a program runs
        assert (await bench.access(ctx, Csr.CYCLES))[0] > 12
        ctx.set(dut.busy, 0)
        await bench.access(ctx, Csr.CONTROL, 1)
        assert (await bench.access(ctx, Csr.CYCLES))[0] == 0

    bench.run(scenario)


def test_program_and_weights_are_written_in_order():
    bench, rng = Bench(), random.Random(1)
    words = [rng.getrandbits(32) for _ in range(12)]

    async def scenario(ctx):
        await bench.access(ctx, Csr.MEM_ADDRESS, window(MemorySelect.PROGRAM, 5))
        for word in words:
            assert await bench.access(ctx, Csr.MEM_DATA, word) == (0, 2)
        assert [(now["program_addr"], now["program_data"]) for now in bench.named("program_en")] == [
            (5 + n, word) for n, word in enumerate(words)]
        assert (await bench.access(ctx, Csr.MEM_ADDRESS))[0] == window(MemorySelect.PROGRAM, 17)
        bench.pulses.clear()
        await bench.access(ctx, Csr.MEM_ADDRESS, window(MemorySelect.WEIGHT, 7, 8, 1))
        assert [(now["row"], now["bank"], now["cluster"]) for now in bench.named("place")] == [(7, 8, 1)]
        for word in words:
            await bench.access(ctx, Csr.MEM_DATA, word)
        assert [now["weight"] for now in bench.named("weight_en")] == [word % 32 for word in words]
        # Three rows of four lanes.
        assert (await bench.access(ctx, Csr.MEM_ADDRESS))[0] == window(MemorySelect.WEIGHT, 10, 8, 1)
        assert (await bench.access(ctx, Csr.MEM_DATA))[0] == 0  # neither can be read
        assert bench.named("program_en") == []

    bench.run(scenario)


@pytest.mark.parametrize("lanes", [1, 4])
def test_states_are_read_lane_by_lane(lanes):
    spec = MegaSpec(lanes=lanes, clusters=2, weight_bits=5, state_bits=11, state_depth=64, weight_depth=96,
                    spike_depth=32)
    bench = Bench(spec)

    async def scenario(ctx):
        await bench.access(ctx, Csr.MEM_ADDRESS, window(MemorySelect.STATE, 61, 6, 1))
        for row in (61, 62, 63):
            for lane in range(lanes):
                assert await bench.access(ctx, Csr.MEM_DATA) == (state(row, 6, 1, lane) % 2 ** 32, 6)
        assert [now["row"] for now in bench.named("state_read")] == [61, 62, 63]  # once a row
        # A new address begins at lane 0, even in the middle of a row.
        await bench.access(ctx, Csr.MEM_DATA)
        await bench.access(ctx, Csr.MEM_ADDRESS, window(MemorySelect.STATE, 3))
        assert (await bench.access(ctx, Csr.MEM_DATA))[0] == state(3, 0, 0, 0) % 2 ** 32
        await bench.access(ctx, Csr.MEM_DATA, 0)  # cannot be written
        assert bench.named("weight_en") == bench.named("program_en") == []

    bench.run(scenario)


def test_counters_are_read_in_halves():
    bench = Bench()

    async def scenario(ctx):
        await bench.access(ctx, Csr.MEM_ADDRESS, window(MemorySelect.COUNTER, 6))
        found = [await bench.access(ctx, Csr.MEM_DATA) for _ in range(6)]
        assert {cycles for _, cycles in found} == {3}
        words = [value for value, _ in found]
        assert [low | high << 32 for low, high in zip(words[::2], words[1::2], strict=True)] == [
            counter(n) for n in (3, 4, 5)]

    bench.run(scenario)


def test_memories_are_protected_while_busy():
    bench = Bench()

    async def scenario(ctx):
        for select in MemorySelect:
            ctx.set(bench.dut.busy, 1)
            await bench.access(ctx, Csr.MEM_ADDRESS, window(select, 9))
            bench.pulses.clear()
            assert await bench.access(ctx, Csr.MEM_DATA) == (0, 2)
            await bench.access(ctx, Csr.MEM_DATA, 3)
            assert bench.pulses == [], select

    bench.run(scenario)

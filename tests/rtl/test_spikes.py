# amaranth: UnusedElaboratable=no

import random

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from neurogen.rtl.address import EVENT
from neurogen.rtl.spikes import Extractor, SpikeMemory
from neurogen.spec.events import C_BITS
from neurogen.spec.mega import MegaSpec


def spec(lanes, depth, clusters=1, frugal=False):
    return MegaSpec(lanes=lanes, clusters=clusters, weight_bits=4, state_bits=12, state_depth=64,
                    weight_depth=64, spike_depth=depth, frugal=frugal)


class Bench(wiring.Component):
    """An extractor and its memory."""

    def __init__(self, mega):
        self.mega = mega
        self.dut = Extractor(mega)
        self.memory = SpikeMemory(mega)
        super().__init__({"o": Out(stream.Signature(EVENT)), "unused": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut, m.submodules.memory = dut, memory = self.dut, self.memory
        wiring.connect(m, dut.o_events, wiring.flipped(self.o))
        m.d.comb += [memory.r_en.eq(dut.r_en), memory.r_row.eq(dut.r_row),
                     dut.r_data.eq(memory.r_data), memory.sr_block.eq(dut.sr_block),
                     dut.sr_flags.eq(memory.sr_flags)]
        return m


def oracle(mega, rows, *, tiles, tiles_x, vector):
    """Events of a list of rows, naively."""
    total, events = mega.total_lanes, []
    for index, row in enumerate(rows):
        for bank in range(9):
            for lane in range(total):
                if row >> bank * total + lane & 1:
                    tile = 0 if vector else index % tiles
                    events.append(((index * 9 + bank) * total + lane, 0, 0) if vector else (
                        index // tiles * total + lane, 3 * (tile // tiles_x) + bank // 3,
                        3 * (tile % tiles_x) + bank % 3))
    return events


def random_rows(rng, mega, count, density):
    bits = 9 * mega.total_lanes
    return [sum((rng.random() < density) << i for i in range(bits)) for _ in range(count)]


def extract(mega, regions, *, stall=0.0, seed=0, together=False):
    """Return events, cycles from start to done, and to the first event, of regions (base, rows, shape).

    Regions that are in the memory together are extracted without a pause.
    """
    bench, rng = Bench(mega), random.Random(seed)
    dut, memory, results = bench.dut, bench.memory, []

    async def fill(ctx, base, rows):
        ctx.set(memory.w_en, 1)
        padded = rows + [0] * (-len(rows) % 8)
        for i in range(len(padded)):
            # Empty rows, and rows after the region, hold rubbish.
            beyond = i >= len(rows)
            ctx.set(memory.w_row, base + i)
            ctx.set(memory.w_data, padded[i] or rng.getrandbits(9 * mega.total_lanes))
            ctx.set(memory.s_en, i % 8 == 7)
            ctx.set(memory.s_block, (base + i) // 8)
            first = i - i % 8
            flags = sum((bool(padded[first + k]) or first + k >= len(rows)) << k for k in range(8))
            ctx.set(memory.s_flags, flags if i % 8 == 7 or beyond else rng.getrandbits(8))
            await ctx.tick()
        ctx.set(memory.w_en, 0)
        ctx.set(memory.s_en, 0)

    async def run(ctx):
        for base, rows, _ in regions if together else ():
            await fill(ctx, base, rows)
        for base, rows, shape in regions:
            if not together:
                await fill(ctx, base, rows)
            for name, value in {"base": base, "rows": len(rows), **shape}.items():
                ctx.set(getattr(dut, name), value)
            events, cycles, offered, first = [], 0, None, None
            ctx.set(dut.start, 1)
            while True:
                ctx.set(bench.o.ready, rng.random() >= stall)
                _, _, valid, ready, p = await ctx.tick().sample(bench.o.valid, bench.o.ready,
                                                                bench.o.payload)
                ctx.set(dut.start, 0)
                event = (p.c, p.y, p.x)
                assert offered is None or (valid and event == offered)
                offered = event if valid and not ready else None
                if valid and first is None:
                    first = cycles
                events += [event] if valid and ready else []
                cycles += 1
                assert cycles < 60_000
                if ctx.get(dut.done):
                    assert not ctx.get(dut.busy) and not ctx.get(bench.o.valid)
                    break
                assert ctx.get(dut.busy)
            results.append((events, cycles, first))

    simulator = Simulator(bench)
    simulator.add_clock(1e-6)
    simulator.add_testbench(run)
    simulator.run()
    return results


SHAPES = [  # rows, tiles, tiles_x, vector
    (0, 4, 2, 0), (1, 1, 1, 0), (5, 5, 5, 0), (8, 8, 4, 0), (45, 15, 5, 0), (60, 20, 10, 0),
    (64, 32, 16, 0), (42, 6, 1, 0), (51, 51, 17, 0), (12, 1, 1, 0), (0, 0, 0, 1), (1, 0, 0, 1),
    (21, 0, 0, 1), (64, 7, 3, 1),
]


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("lanes, clusters, frugal", [(2, 1, False), (4, 2, True), (16, 4, False)])
def test_events_equal_the_naive_scan(lanes, clusters, frugal, stall):
    mega, rng = spec(lanes, 256, clusters, frugal), random.Random(lanes)
    regions, expected = [], []
    densities = [0.0, 0.001, 0.01, 0.05, 0.2] + ([1.0] if lanes == 2 and not stall else [])
    for density in densities:
        for rows, tiles, tiles_x, vector in SHAPES:
            if vector:
                rows = min(rows, (1 << C_BITS) // (9 * mega.total_lanes))
            bitmap = random_rows(rng, mega, rows, density)
            shape = {"tiles": tiles, "tiles_x": tiles_x, "vector": vector}
            regions.append((rng.randrange(0, 256 - 72, 8), bitmap, shape))
    for region in regions:
        expected.append(oracle(mega, region[1], **region[2]))
    assert any(expected)
    step = 1 + mega.total_lanes // 4  # big ones are slow
    regions, expected = regions[::step], expected[::step]
    for (events, _, _), wanted in zip(extract(mega, regions, stall=stall), expected, strict=True):
        assert events == wanted


def test_regions_follow_each_other():
    mega, rng = spec(4, 128), random.Random(1)
    shape = {"tiles": 12, "tiles_x": 4, "vector": 0}
    regions = [(base, random_rows(rng, mega, rows, 0.05), shape)
               for base, rows in ((0, 24), (24, 0), (32, 36), (120, 8), (72, 12))]
    for (events, _, _), (_, rows, _) in zip(extract(mega, regions, together=True), regions, strict=True):
        assert events == oracle(mega, rows, **shape)


def test_one_spike_in_any_row():
    mega, shape = spec(2, 64), {"tiles": 22, "tiles_x": 11, "vector": 0}
    regions = [(8, [(i == index) << index % 18 for i in range(44)], shape) for index in range(44)]
    for (events, _, _), (_, rows, _) in zip(extract(mega, regions), regions, strict=True):
        assert events == oracle(mega, rows, **shape)


@pytest.mark.parametrize("base, count, low, high", [(0, 6, 0, 6), (2, 5, 4, 6), (1, 4, 6, 8), (4, 3, 0, 3)])
def test_extraction_follows_a_sweep_at_a_distance(base, count, low, high):
    # Blocks low to high - 1 hold rubbish until a sweep writes them, some blocks faster than others.
    mega, rng = spec(2, 64), random.Random(base)
    shape = {"tiles": 8 * count, "tiles_x": 4, "vector": 0}
    bench, events, waited = Bench(mega), [], 0
    dut, memory = bench.dut, bench.memory
    final = random_rows(rng, mega, 64, 0.05)

    async def write(ctx, row, value):
        ctx.set(memory.w_en, 1)
        ctx.set(memory.w_row, row)
        ctx.set(memory.w_data, value)
        await ctx.tick()
        ctx.set(memory.w_en, 0)

    async def summary(ctx, block, flags):
        ctx.set(memory.s_en, 1)
        ctx.set(memory.s_block, block)
        ctx.set(memory.s_flags, flags)
        await ctx.tick()
        ctx.set(memory.s_en, 0)

    async def sweep(ctx):
        for row in range(64):
            old = low <= row // 8 < high
            await write(ctx, row, rng.getrandbits(18) if old else final[row])
        for block in range(8):
            await summary(ctx, block, 0xFF if low <= block < high else sum(
                bool(final[8 * block + k]) << k for k in range(8)))
        ctx.set(dut.guarded, 1)
        ctx.set(dut.guard_low, low)
        ctx.set(dut.guard_high, high)
        ctx.set(dut.start, 1)
        for name, value in {"base": 8 * base, "rows": 8 * count, **shape}.items():
            ctx.set(getattr(dut, name), value)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for block in range(low, high):
            for row in range(8 * block, 8 * block + 8):
                await write(ctx, row, final[row])
            await summary(ctx, block, sum(bool(final[8 * block + k]) << k for k in range(8)))
            await ctx.tick()  # what is written is not read in the same cycle
            ctx.set(dut.guard_low, block + 1)
            for _ in range(rng.choice((0, 1, 40))):
                await ctx.tick()
        ctx.set(dut.guarded, 0)

    async def receive(ctx):
        nonlocal waited
        ctx.set(bench.o.ready, 1)
        while not ctx.get(dut.done):
            _, _, valid, p, busy = await ctx.tick().sample(bench.o.valid, bench.o.payload, dut.busy)
            events.extend([(p.c, p.y, p.x)] if valid else [])
            waited += busy

    simulator = Simulator(bench)
    simulator.add_clock(1e-6)
    simulator.add_testbench(sweep)
    simulator.add_testbench(receive)
    simulator.run()
    assert events == oracle(mega, final[8 * base:8 * (base + count)], **shape)
    if low >= base + count or high <= base:  # others are not waited for
        assert waited < 60


def test_cycles():
    mega, shape = spec(32, 512), {"tiles": 512, "tiles_x": 32, "vector": 0}
    (_, cycles, _), = extract(mega, [(0, [], shape)])
    assert cycles == 1
    (_, cycles, _), = extract(mega, [(0, [0] * 512, shape)])
    assert cycles <= 512 // 8 + 5
    (_, _, first), = extract(mega, [(0, [1] + [0] * 7, shape)])
    assert first == 10
    for density, bound in ((0.005, 1.15), (0.05, 1.03), (1.0, 1.01)):
        rows = random_rows(random.Random(2), mega, {0.005: 512, 0.05: 100, 1.0: 8}[density], density)
        (events, cycles, _), = extract(mega, [(0, rows, shape)])
        assert cycles <= bound * len(events) + 10, density


def test_wrong_parameters():
    with pytest.raises(TypeError, match=r"^Extractor parameters must be a MegaSpec, not 8$"):
        Extractor(8)
    with pytest.raises(TypeError, match=r"^Spike memory parameters must be a MegaSpec, not None$"):
        SpikeMemory(None)


def test_verilog_ports():
    text = verilog.convert(Extractor(spec(32, 512)), name="extractor", emit_src=False)
    for port in ("input [287:0] r_data;", "output [5:0] sr_block;", "output [8:0] r_row;",
                 "output o_events__valid;", "output [30:0] o_events__payload;", "input start;"):
        assert port in text
    text = verilog.convert(SpikeMemory(spec(32, 512)), name="memory", emit_src=False)
    for port in ("input [287:0] w_data;", "input [7:0] s_flags;", "output [7:0] sr_flags;"):
        assert port in text
    assert "[-1:0]" not in verilog.convert(Extractor(spec(2, 8)), name="smallest", emit_src=False)

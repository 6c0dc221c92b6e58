# amaranth: UnusedElaboratable=no

import random

import pytest
from amaranth.back import verilog
from amaranth.hdl import ResetInserter, Signal, signed
from amaranth.lib import data
from amaranth.sim import Simulator

from neurogen.rtl.memory import RAM_STYLES, Ram, RegisterFile


def run(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


async def write(ctx, dut, addr, value, en=1):
    ctx.set(dut.w_port.addr, addr)
    ctx.set(dut.w_port.data, value)
    ctx.set(dut.w_port.en, en)
    await ctx.tick()
    ctx.set(dut.w_port.en, 0)


@pytest.mark.parametrize("depth", [2, 5, 16])
@pytest.mark.parametrize("granularity", [None, 4])
def test_equals_a_list_of_words(depth, granularity):
    dut, rng = Ram(12, depth, granularity=granularity), random.Random(depth)
    lanes = 12 // (granularity or 12)
    seen = set()

    async def bench(ctx):
        words = [rng.randrange(1 << 12) for _ in range(depth)]
        for addr, word in enumerate(words):
            await write(ctx, dut, addr, word, (1 << lanes) - 1)
        expected = None
        for _ in range(400):
            r_addr, w_addr, r_en = rng.randrange(depth), rng.randrange(depth), rng.random() < 0.7
            w_en, word = rng.randrange(1 << lanes), rng.randrange(1 << 12)
            ctx.set(dut.r_port.addr, r_addr)
            ctx.set(dut.r_port.en, r_en)
            if r_en:
                expected = words[r_addr]  # the old word, also in the cycle in which it is written
                seen.update(["collision"] * (w_en > 0 and r_addr == w_addr))
            else:
                seen.add("held")
            mask = sum(((1 << 12 // lanes) - 1) << lane * (12 // lanes)
                       for lane in range(lanes) if w_en >> lane & 1)
            seen.update(["partial"] * (0 < w_en < (1 << lanes) - 1))
            words[w_addr] = words[w_addr] & ~mask | word & mask
            await write(ctx, dut, w_addr, word, w_en)
            if expected is not None:
                assert ctx.get(dut.r_port.data) == expected

    run(dut, bench)
    assert seen == {"collision", "held"} | ({"partial"} if granularity else set())


@pytest.mark.parametrize("depth, granularity", [(2, 12), (5, 4), (16, 3)])
def test_register_file_equals_a_list_of_words(depth, granularity):
    dut, rng = RegisterFile(12, depth, granularity=granularity), random.Random(depth)
    lanes, seen = 12 // granularity, set()

    async def bench(ctx):
        words = [rng.randrange(1 << 12) for _ in range(depth)]
        for addr, word in enumerate(words):
            await write(ctx, dut, addr, word, (1 << lanes) - 1)
        shown = None
        for _ in range(400):
            r_addr, r_en, w_en = rng.randrange(depth), rng.random() < 0.7, rng.randrange(1 << lanes)
            w_addr, word = rng.randrange(depth), rng.randrange(1 << 12)
            shows = r_addr if r_en else shown
            if w_addr == shows:  # it would change
                w_en = 0
            ctx.set(dut.r_port.addr, r_addr)
            ctx.set(dut.r_port.en, r_en)
            mask = sum(((1 << granularity) - 1) << part * granularity
                       for part in range(lanes) if w_en >> part & 1)
            seen.update(["partial"] * (0 < w_en < (1 << lanes) - 1) + ["held"] * (not r_en))
            words[w_addr] = words[w_addr] & ~mask | word & mask
            await write(ctx, dut, w_addr, word, w_en)
            shown = shows
            if shown is not None:
                assert ctx.get(dut.r_port.data) == words[shown]

    run(dut, bench)
    assert seen == {"held"} | ({"partial"} if lanes > 1 else set())


def test_read_is_enabled_if_left_alone():
    dut = Ram(8, 4)

    async def bench(ctx):
        await write(ctx, dut, 3, 99)
        ctx.set(dut.r_port.addr, 3)
        await ctx.tick()
        assert ctx.get(dut.r_port.data) == 99

    run(dut, bench)


def test_reset_keeps_the_contents():
    dut, reset = Ram(8, 4), Signal()

    async def bench(ctx):
        await write(ctx, dut, 2, 77)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        ctx.set(dut.r_port.addr, 2)
        await ctx.tick()
        assert ctx.get(dut.r_port.data) == 77

    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_words_may_be_arrays_with_one_enable_each():
    dut = Ram(data.ArrayLayout(signed(4), 3), 4, granularity=1)

    async def bench(ctx):
        await write(ctx, dut, 1, [-8, 7, -1], 0b111)
        await write(ctx, dut, 1, [0, 0, 3], 0b100)
        ctx.set(dut.r_port.addr, 1)
        await ctx.tick()
        assert [ctx.get(dut.r_port.data[i]) for i in range(3)] == [-8, 7, 3]

    run(dut, bench)


@pytest.mark.parametrize("style", RAM_STYLES)
def test_verilog_carries_the_style(style):
    text = verilog.convert(Ram(8, 16, ram_style=style), name="ram", emit_src=False)
    assert (f'ram_style = "{style}"' in text) == (style != "auto")
    for port in ("input [3:0] r_port__addr;", "output [7:0] r_port__data;", "input w_port__en;"):
        assert port in text


@pytest.mark.parametrize("build, message", [
    (lambda: Ram(8, 1), "Memory depth must be at least 2 words, not 1"),
    (lambda: Ram(0, 4), "Word width must be at least 1 bits, not 0"),
    (lambda: Ram(8, 4, ram_style="ultra"),
     "RAM style must be one of 'auto', 'block', 'distributed', not 'ultra'"),
    (lambda: RegisterFile(8, 1, granularity=8), "Memory depth must be at least 2 words, not 1"),
    (lambda: RegisterFile(8, 4, granularity=3), "Granularity must divide 8, not 3"),
])
def test_wrong_parameters(build, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        build()

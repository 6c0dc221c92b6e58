# amaranth: UnusedElaboratable=no

import random

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from neurogen.rtl.pool import MaxPoolFilter
from neurogen.spec.mega import MegaSpec


def spec(lanes, depth):
    return MegaSpec(lanes=lanes, weight_bits=4, state_bits=12, state_depth=64, weight_depth=64,
                    spike_depth=64, max_pool_rows=depth)


def once(events):
    """The events without repeats, naively."""
    return list(dict.fromkeys(events))


def run(mega, steps, *, shape, idle=0.0, stall=0.0, seed=0):
    """Return per step the output, the cycles of clearing, and those from first input to the end."""
    dut, rng, results = MaxPoolFilter(mega), random.Random(seed), []
    groups, in_h, in_w = shape

    async def bench(ctx):
        ctx.set(dut.in_h, in_h)
        ctx.set(dut.in_w, in_w)
        ctx.set(dut.groups, groups)
        for events in steps:
            ctx.set(dut.start, 1)
            # An event that is there too early waits.
            ctx.set(dut.i_events.valid, 1)
            _, _, ready = await ctx.tick().sample(dut.i_events.ready)
            assert not ready
            ctx.set(dut.start, 0)
            ctx.set(dut.i_events.valid, 0)
            clear = 0
            while ctx.get(dut.busy):
                assert not ctx.get(dut.i_events.ready)
                await ctx.tick()
                clear += 1
            waiting, out, cycles, offered = list(events), [], 0, None
            valid = False
            while waiting or ctx.get(dut.pending):
                valid = bool(waiting) and (valid or rng.random() >= idle)
                ctx.set(dut.i_events.valid, valid)
                if waiting:
                    ctx.set(dut.i_events.payload, dict(zip("cyx", waiting[0], strict=True)))
                ctx.set(dut.o_events.ready, rng.random() >= stall)
                _, _, i_ready, o_valid, o_ready, p = await ctx.tick().sample(
                    dut.i_events.ready, dut.o_events.valid, dut.o_events.ready, dut.o_events.payload)
                event = (p.c, p.y, p.x)
                assert offered is None or (o_valid and event == offered)
                offered = event if o_valid and not o_ready else None
                if valid and i_ready:
                    waiting.pop(0)
                    valid = False
                out += [event] if o_valid and o_ready else []
                cycles += 1
                assert cycles < 20_000
            ctx.set(dut.i_events.valid, 0)
            results.append((out, clear, cycles))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return results


@pytest.mark.parametrize("idle, stall", [(0, 0), (0.5, 0), (0, 0.5), (0.3, 0.3)])
@pytest.mark.parametrize("lanes, depth, shape", [
    (2, 1, (1, 1, 1)), (2, 30, (5, 2, 3)), (4, 70, (2, 5, 7)), (32, 12, (3, 2, 2)),
])
def test_events_pass_once(lanes, depth, shape, idle, stall):
    mega, rng = spec(lanes, depth), random.Random(depth)
    groups, in_h, in_w = shape
    steps = []
    for count in (0, 1, 300, 200):
        events = [(rng.randrange(groups * lanes), rng.randrange(in_h), rng.randrange(in_w))
                  for _ in range(count)]
        # Runs of one word: other lanes, and repeats at distances of 1 to 3.
        for _ in range(count // 8):
            at = rng.randrange(count)
            c, y, x = events[at]
            events[at:at] = [(c, y, x), (c ^ 1, y, x), (c, y, x), (c ^ 1, y, x)][:rng.randint(1, 4)]
        steps.append(events)
    results = run(mega, steps, shape=shape, idle=idle, stall=stall)
    for events, (out, clear, _) in zip(steps, results, strict=True):
        assert out == once(events)
        assert clear == groups * in_h * in_w


def test_every_address_has_a_bit_of_its_own():
    groups, in_h, in_w = shape = (3, 4, 5)
    events = [(c, y, x) for c in range(groups * 4) for y in range(in_h) for x in range(in_w)]
    (out, _, cycles), (again, _, _) = run(spec(4, 60), [events + events, events], shape=shape)
    assert out == again == events
    assert cycles == 2 * len(events) + 3


def test_latency():
    (_, _, cycles), = run(spec(4, 60), [[(1, 2, 3)]], shape=(3, 4, 5))
    assert cycles == 5  # taken in the first, at the output in the fifth


def test_wrong_parameters():
    with pytest.raises(TypeError, match=r"^Max-pool filter parameters must be a MegaSpec, not 8$"):
        MaxPoolFilter(8)
    with pytest.raises(ValueError, match=r"^MaxPool depth of a max-pool filter must be at least 1 "
                                         r"rows, not 0$"):
        MaxPoolFilter(spec(2, 0))


def test_verilog_ports():
    text = verilog.convert(MaxPoolFilter(spec(2, 1)), name="pool", emit_src=False)
    for port in ("input start;", "input [9:0] in_h;", "input [12:0] groups;", "output busy;",
                 "input [30:0] i_events__payload;", "output [30:0] o_events__payload;"):
        assert port in text
    assert "[-1:0]" not in text

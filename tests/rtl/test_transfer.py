# amaranth: UnusedElaboratable=no

import random

import pytest
from amaranth.sim import Simulator

from neurogen.rtl.transfer import Emitter, Feeder
from neurogen.spec.events import END_OF_STEP, POPULATION, control_word
from neurogen.spec.mega import MegaSpec, Source


SPEC = MegaSpec(lanes=2, weight_bits=4, state_bits=12, state_depth=32, weight_depth=64, spike_depth=32)
PAUSES = [(0, 0), (0.5, 0), (0, 0.5), (0.4, 0.4)]


def word(event):
    c, y, x = event
    return x | y << 9 | c << 18


def payload(event):
    return dict(zip("cyx", event, strict=True))


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


class Offer:
    """Offers items, with pauses; what is offered stays."""

    def __init__(self, interface, items, idle, rng):
        self.interface, self.items, self.idle, self.rng = interface, list(items), idle, rng
        self.valid = False

    def set(self, ctx, convert):
        self.valid = bool(self.items) and (self.valid or self.rng.random() >= self.idle)
        ctx.set(self.interface.valid, self.valid)
        if self.valid:
            ctx.set(self.interface.payload, convert(self.items[0]))

    def take(self, ready):
        if self.valid and ready:
            self.valid = False
            return [self.items.pop(0)]
        return []


class FeederBench:
    """A feeder before a synapse whose map holds events with ``y < height``."""

    def __init__(self, seed=0, idle=0.0, stall=0.0, height=10):
        self.dut, self.rng, self.idle, self.stall = Feeder(SPEC), random.Random(seed), idle, stall
        self.height = height
        self.bad, self.stalled, self.cycles = [], 0, 0

    async def step(self, ctx, instruction, words=(), spikes=(), held=0):
        """Run one INTEGRATE; return the events that left, and the words that were not taken."""
        dut, out = self.dut, []
        ctx.set(dut.instruction, instruction)
        stream, extractor = Offer(dut.i_words, words, self.idle, self.rng), Offer(
            dut.i_events, spikes, self.idle, self.rng)
        ctx.set(dut.start, 1)
        assert ctx.get(dut.done)
        await ctx.tick()
        ctx.set(dut.start, 0)
        self.cycles = 0
        ended, ending = False, next((w for w in words if w >> 28 == 8), None)
        while not ctx.get(dut.done):
            stream.set(ctx, lambda value: value)
            extractor.set(ctx, payload)
            ctx.set(dut.extracted, not extractor.items)
            ready = self.rng.random() >= self.stall
            ctx.set(dut.o_events.ready, ready)
            event = ctx.get(dut.o_events.payload)
            event = (event.c, event.y, event.x)
            ctx.set(dut.inside, event[1] < self.height)
            ctx.set(dut.held, self.cycles < held)
            sample = dut.o_events.valid, dut.i_words.ready, dut.i_events.ready, dut.bad_event, dut.stalled
            _, _, valid, words_ready, events_ready, bad, stalled = await ctx.tick().sample(*sample)
            out += [event] if valid and ready else []
            taken = stream.take(words_ready)
            extractor.take(events_ready)
            if bad:
                self.bad += taken
                assert taken
            empty = instruction["source"] == Source.STREAM and not ended and not stream.valid and not taken
            ended |= taken[:1] == [ending]
            assert stalled == (empty or bool(valid and not ready))
            self.stalled += stalled
            self.cycles += 1
            assert self.cycles < 2000
        return out, stream.items


@pytest.mark.parametrize("idle, stall", PAUSES)
def test_feeder_takes_one_step_of_the_stream(idle, stall):
    bench, rng = FeederBench(1, idle, stall), random.Random(2)
    i = {"source": Source.STREAM, "in_channels": 5}
    steps = [[(rng.randrange(5), rng.randrange(10), rng.randrange(512)) for _ in range(n)]
             for n in (20, 0, 1, 30)]

    async def scenario(ctx):
        for t, events in enumerate(steps):
            later = [word((0, 0, 1)), control_word(END_OF_STEP, t + 1)]
            words = [control_word(POPULATION, 3), *map(word, events), control_word(END_OF_STEP, t)]
            assert await bench.step(ctx, i, words + later) == (events, later)
            if not idle and not stall:
                assert bench.cycles == len(words) + 1  # one a cycle; one to see that nothing is held
                assert bench.stalled == 0
        assert bench.bad == []

    simulate(bench.dut, scenario)
    assert (bench.stalled > 0) == (idle + stall > 0)


def test_bad_events_are_dropped_and_flagged():
    bench = FeederBench()
    good, channel, line = [(4, 9, 511), (0, 0, 0)], [(5, 1, 1), (8191, 0, 0)], [(1, 10, 0)]
    events = [good[0], channel[0], line[0], good[1], channel[1]]
    words = [*map(word, events), control_word(END_OF_STEP)]

    async def scenario(ctx):
        i = {"source": Source.STREAM, "in_channels": 5}
        out, left = await bench.step(ctx, i, words)
        # Events outside the map go on to the address generator, which drops them.
        assert (out, left) == ([good[0], line[0], good[1]], [])
        assert bench.bad == [word(e) for e in (channel[0], line[0], channel[1])]
        bench.bad.clear()
        await bench.step(ctx, i | {"pool_log2": 1}, words)  # pools drop incomplete windows
        assert bench.bad == [word(e) for e in channel]

    simulate(bench.dut, scenario)


def test_bad_channels_do_not_wait_for_the_synapse():
    bench = FeederBench(stall=0.999)
    words = [word((7, 0, 0))] * 20 + [control_word(END_OF_STEP)]

    async def scenario(ctx):
        assert await bench.step(ctx, {"source": Source.STREAM, "in_channels": 5}, words) == ([], [])
        assert bench.cycles == len(words) + 1
        assert len(bench.bad) == 20

    simulate(bench.dut, scenario)


@pytest.mark.parametrize("idle, stall", PAUSES)
def test_feeder_takes_all_spikes(idle, stall):
    bench, rng = FeederBench(3, idle, stall), random.Random(4)
    words = [word((0, 0, 0)), control_word(END_OF_STEP)]

    async def scenario(ctx):
        for count in (0, 1, 40):
            events = [(rng.randrange(8192), rng.randrange(512), rng.randrange(512)) for _ in range(count)]
            out, left = await bench.step(ctx, {"source": Source.SPIKES, "in_channels": 1}, words, events)
            assert (out, left) == (events, words)  # the stream is not touched
        assert bench.bad == []  # of spikes there are no bad ones

    simulate(bench.dut, scenario)


def test_feeder_waits_for_what_is_held():
    bench = FeederBench()

    async def scenario(ctx):
        await bench.step(ctx, {"source": Source.SPIKES}, held=0)
        free = bench.cycles
        await bench.step(ctx, {"source": Source.SPIKES}, held=9)
        assert bench.cycles > free + 5

    simulate(bench.dut, scenario)


@pytest.mark.parametrize("idle, stall", PAUSES)
@pytest.mark.parametrize("tick", [0, 1])
def test_emitter(idle, stall, tick):
    dut, rng, moved = Emitter(SPEC), random.Random(5), random.Random(6)

    async def scenario(ctx):
        for step, count in enumerate((0, 1, 25)):
            rows = min(count, 3)
            step += 0xFFFFFE
            i = {"rows": rows, "population": rng.randrange(256), "tick": tick, "off_c": rng.randrange(4000),
                 "off_y": rng.randrange(200), "off_x": rng.randrange(200)}
            events = [(rng.randrange(4000), rng.randrange(300), rng.randrange(300)) for _ in range(count)]
            ctx.set(dut.instruction, i)
            ctx.set(dut.step, step & 0xFFFFFF)
            extractor, out = Offer(dut.i_events, events, idle, moved), []
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            cycles, offered = 0, None
            while not ctx.get(dut.done):
                extractor.set(ctx, payload)
                ctx.set(dut.extracted, not extractor.items)
                ready = moved.random() >= stall
                ctx.set(dut.o_words.ready, ready)
                _, _, valid, value, events_ready, stalled = await ctx.tick().sample(
                    dut.o_words.valid, dut.o_words.payload, dut.i_events.ready, dut.stalled)
                assert offered is None or (valid and value == offered)
                offered = value if valid and not ready else None
                assert stalled == (valid and not ready)
                out += [value] if valid and ready else []
                extractor.take(events_ready)
                cycles += 1
                assert cycles < 2000
            moves = [(c + i["off_c"], y + i["off_y"], x + i["off_x"]) for c, y, x in events]
            assert out == [*([control_word(POPULATION, i["population"])] if rows else []), *map(word, moves),
                           *([control_word(END_OF_STEP, step)] if tick else [])]
            if not idle and not stall:
                assert cycles == 1 + len(events) + 1 + tick  # one to see that there are no more

    simulate(dut, scenario)

# amaranth: UnusedElaboratable=no

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from amaranth.sim import Simulator

from neurogen.rtl.sequencer import Sequencer
from neurogen.spec.mega import COUNTER_WORDS, COUNTERS, MegaSpec, Op, encode


SPEC = MegaSpec(lanes=2, weight_bits=4, state_bits=12, state_depth=32, weight_depth=64, spike_depth=32,
                program_depth=128, cuba=True, external=True)
ALONE = replace(SPEC, overlap=False)


class Bench:
    """A sequencer whose unit takes random times, goes on in the background, and counts random numbers."""

    def __init__(self, program, seed=0, longest=8, spec=SPEC):
        self.dut, self.program, self.rng = Sequencer(spec), program, random.Random(seed)
        self.longest = longest
        self.executed, self.executions, self.waits = [], [], []  # fields, cycle of execute, cycles of work
        self.counters = [[0] * len(COUNTERS) for _ in program]
        self.background = []  # (cycle of the end, tag, counts)

    async def write(self, ctx):
        words = [word for i in self.program for word in encode(self.dut.spec, i)]
        ctx.set(self.dut.w_en, 1)
        for address, word in enumerate(words):
            ctx.set(self.dut.w_addr, address)
            ctx.set(self.dut.w_data, word)
            await ctx.tick()
        ctx.set(self.dut.w_en, 0)

    async def unit(self, ctx):
        """Execute: `done` is still high in the cycle after `execute`, as of a unit that starts late."""
        dut, left, cycle, running = self.dut, 0, 0, None
        ctx.set(dut.done, 1)
        ctx.set(dut.idle, 1)
        while True:
            _, _, execute, i, tag, step, taken = await ctx.tick().sample(
                dut.execute, dut.instruction, dut.tag, dut.step, dut.counts.ready)
            cycle += 1
            if running:  # what is executed stays there
                assert (i, tag, step) == running
            if left:
                left -= 1
                ctx.set(dut.done, left == 0)
                running = running if left else None
            if taken:
                self.background.pop(0)
            if execute:
                assert left == 0
                number = i.state_base
                self.executed.append((step, {name: getattr(i, name) for name in self.program[number]}))
                self.executions.append(cycle)
                left = self.rng.randint(1, self.longest)
                self.waits.append(left)
                running = i, tag, step
                values = [self.rng.choice((0, 1, self.rng.getrandbits(32))) for _ in COUNTERS]
                old = self.counters[number] if step else [0] * len(COUNTERS)
                self.counters[number] = [a + b for a, b in zip(old, values, strict=True)]
                end = max(cycle + left + self.rng.randrange(self.longest),
                          *(end for end, *_ in self.background), 0)
                self.background.append((end, tag, values))
            ready = bool(self.background) and self.background[0][0] <= cycle
            ctx.set(dut.counts.valid, ready)
            if ready:
                ctx.set(dut.counts.payload, {"tag": self.background[0][1], "values": self.background[0][2]})
            ctx.set(dut.idle, not self.background and left == 0)

    async def go(self, ctx, name, steps):
        ctx.set(self.dut.steps, steps)
        ctx.set(getattr(self.dut, name), 1)
        await ctx.tick()
        ctx.set(getattr(self.dut, name), 0)
        cycles = 1
        while ctx.get(self.dut.busy):
            await ctx.tick()
            cycles += 1
            assert cycles < 10_000
        return cycles

    async def read(self, ctx):
        """Read all counters, beginning in the first cycle without busy."""
        found = []
        for number in range(len(self.program)):
            row = []
            for k in range(len(COUNTERS)):
                ctx.set(self.dut.r_en, 1)
                ctx.set(self.dut.r_addr, number * COUNTER_WORDS + k)
                await ctx.tick()
                row.append(ctx.get(self.dut.r_data))
            found.append(row)
        ctx.set(self.dut.r_en, 0)
        return found

    def run(self, scenario):
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(scenario)
        simulator.add_testbench(self.unit, background=True)
        simulator.run()


def program(count=4, seed=1):
    rng, instructions = random.Random(seed), []
    for number in range(count):
        fields = {name: rng.getrandbits(width) - (1 << width - 1 if signed else 0)
                  for name, (width, signed) in SPEC.instruction_fields().items()}
        last = int(number == count - 1)
        instructions.append(fields | {"op": rng.choice(list(Op)), "once": int(number == 1),
                                      "state_base": number, "end_of_step": last})
    return instructions


@pytest.mark.parametrize("spec", [SPEC, ALONE])
def test_order_once_and_counters(spec):
    bench = Bench(program(), spec=spec)
    order = bench.program

    async def scenario(ctx):
        await bench.write(ctx)
        for start, steps, first in (("start", 3, 0), ("proceed", 2, 3), ("proceed", 1, 5), ("start", 2, 0)):
            bench.executed.clear()
            await bench.go(ctx, start, steps)
            assert await bench.read(ctx) == bench.counters
            assert ctx.get(bench.dut.step) == first + steps
            wanted = [(t, i) for t in range(first, first + steps) for i in order if not (i["once"] and t)]
            assert bench.executed == wanted

    bench.run(scenario)
    assert max(max(row) for row in bench.counters) > 1 << 32  # sums are wider than increments


@pytest.mark.parametrize("spec", [SPEC, ALONE])
def test_counters_can_be_read_as_soon_as_it_is_idle(spec):
    # One instruction: its own counters are the last to be flushed.
    bench = Bench([{"op": Op.SWEEP, "state_base": 0, "end_of_step": 1}], longest=1, spec=spec)

    async def scenario(ctx):
        await bench.write(ctx)
        for _ in range(3):
            await bench.go(ctx, "start", 1)
            assert await bench.read(ctx) == bench.counters

    bench.run(scenario)


@pytest.mark.parametrize("spec, cost", [(SPEC, 2), (ALONE, SPEC.instruction_words + 4)])
def test_cost_of_an_instruction(spec, cost):
    # Long work: the next instruction is there when it ends.
    bench = Bench(program(5), longest=1, spec=spec)
    bench.rng.randint = lambda low, high: SPEC.instruction_words + 4

    async def scenario(ctx):
        await bench.write(ctx)
        await bench.go(ctx, "start", 4)

    bench.run(scenario)
    costs = []
    for n, (at, after) in enumerate(pairwise(bench.executions)):
        skipped = bench.executed[n][0] > 0 and bench.executed[n][1]["state_base"] == 0
        if not skipped:
            costs.append(after - at - bench.waits[n])
    assert set(costs) == {cost}


def test_what_is_executed_once_is_not_even_fetched_later():
    instructions = program(5)
    for number, i in enumerate(instructions):
        i["once"] = int(number < 3)
    bench = Bench(instructions, longest=1)
    bench.rng.randint = lambda low, high: SPEC.instruction_words + 4

    async def scenario(ctx):
        await bench.write(ctx)
        for name in ("start", "proceed"):
            bench.executed.clear()
            bench.executions.clear()
            await bench.go(ctx, name, 3)
            first = 3 if name == "start" else 0
            assert [i["state_base"] for _, i in bench.executed] == [*range(first), *(3, 4) * 3]
            gaps = [b - a for a, b in pairwise(bench.executions)]
            assert set(gaps) == {SPEC.instruction_words + 4 + 2}
            assert await bench.read(ctx) == bench.counters

    bench.run(scenario)


def test_start_is_ignored_while_busy():
    bench = Bench(program(2), longest=40)

    async def scenario(ctx):
        await bench.write(ctx)
        ctx.set(bench.dut.steps, 2)
        ctx.set(bench.dut.start, 1)
        await ctx.tick()
        ctx.set(bench.dut.steps, 7)
        ctx.set(bench.dut.proceed, 1)
        while ctx.get(bench.dut.step) < 1 or len(bench.executed) < 3:
            await ctx.tick()
        ctx.set(bench.dut.start, 0)
        ctx.set(bench.dut.proceed, 0)
        while ctx.get(bench.dut.busy):
            await ctx.tick()
        assert ctx.get(bench.dut.step) == 2

    bench.run(scenario)


@pytest.mark.parametrize("op", range(max(Op) + 1, 8))
def test_unknown_operation_stops(op):
    instructions = program(3)
    instructions[1] |= {"op": op, "once": 0}
    bench = Bench(instructions)

    async def scenario(ctx):
        await bench.write(ctx)
        await bench.go(ctx, "start", 5)
        assert ctx.get(bench.dut.unknown)
        assert [i["state_base"] for _, i in bench.executed] == [0]
        assert (await bench.read(ctx))[0] == bench.counters[0]
        instructions[1]["op"] = Op.INIT
        await bench.write(ctx)
        await bench.go(ctx, "start", 1)
        assert not ctx.get(bench.dut.unknown)
        assert len(bench.executed) == 4

    bench.run(scenario)


def test_going_on_after_a_stop_runs_as_many_steps_as_asked_for():
    """The steps that the stopped run did not get to are not made up for."""
    good, bad = program(2), program(2)
    bad[1] |= {"op": 7, "once": 0}
    bench = Bench(good)

    async def scenario(ctx):
        await bench.write(ctx)
        await bench.go(ctx, "start", 1)
        bench.program = bad
        await bench.write(ctx)
        await bench.go(ctx, "proceed", 5)
        assert ctx.get(bench.dut.unknown) and ctx.get(bench.dut.step) == 1
        bench.program = good
        await bench.write(ctx)
        await bench.go(ctx, "proceed", 2)
        assert ctx.get(bench.dut.step) == 3 and not ctx.get(bench.dut.unknown)

    bench.run(scenario)


def test_load_without_external_memory_is_an_unknown_operation():
    inside = replace(SPEC, external=False)
    with pytest.raises(ValueError, match=r"^Instruction LOAD must have a configuration with external "):
        encode(inside, {"op": Op.LOAD, "rows": 1})
    bench = Bench([{"op": Op.INIT, "state_base": 0, "end_of_step": 1}], spec=inside)

    async def scenario(ctx):
        await bench.write(ctx)
        await bench.go(ctx, "start", 1)
        assert not ctx.get(bench.dut.unknown) and len(bench.executed) == 1
        ctx.set(bench.dut.w_en, 1)  # the operation is in the lowest bits of the first word
        ctx.set(bench.dut.w_addr, 0)
        ctx.set(bench.dut.w_data, encode(inside, bench.program[0])[0] & ~7 | Op.LOAD)
        await ctx.tick()
        ctx.set(bench.dut.w_en, 0)
        await bench.go(ctx, "start", 1)
        assert ctx.get(bench.dut.unknown) and len(bench.executed) == 1

    bench.run(scenario)


def test_parameters_are_checked():
    with pytest.raises(TypeError, match=r"^Sequencer parameters must be a MegaSpec, not None$"):
        Sequencer(None)

# amaranth: UnusedElaboratable=no

import random
from dataclasses import replace

import pytest
from amaranth.sim import Simulator

from neurogen.rtl.cluster import Cluster, Forward
from neurogen.rtl.sweep_datapath import lif_latency
from neurogen.spec.mega import BANKS, PARAMETERS, MegaSpec, ResetMode


SPEC = MegaSpec(lanes=4, weight_bits=4, state_bits=14, state_depth=8, weight_depth=36, spike_depth=32,
                fraction_bits=(0, 3, 1), cuba=True, sweep_cycles=2)
LANES = SPEC.lanes
STEPS = 3  # cycles from reading a row to writing it, beside ``sweep_cycles`` and the data paths'


def wrap(value, bits):
    return (value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


class Bench:
    """A cluster, and its memories as lists of numbers: ``weights[tap][row][lane]``, ``states[bank][...]``."""

    def __init__(self, spec=SPEC, seed=0):
        self.spec, self.dut, self.rng = spec, Cluster(spec), random.Random(seed)
        self.weights = [[[self.rng.randrange(-8, 8) for _ in range(LANES)] for _ in range(spec.weight_depth)]
                        for _ in range(BANKS)]
        self.clipped = set()
        self.states = [[[0] * LANES for _ in range(spec.state_depth)] for _ in range(BANKS)]

    def total(self, value):
        low, high = -(1 << self.spec.state_bits - 1), (1 << self.spec.state_bits - 1) - 1
        if not self.spec.saturate:
            return wrap(value, self.spec.state_bits)
        self.clipped |= {"low"} if value < low else {"high"} if value > high else set()
        return min(max(value, low), high)

    def run(self, scenario):
        async def bench(ctx):
            await self.fill(ctx)
            await scenario(ctx)

        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()

    async def fill(self, ctx):
        dut, bits = self.dut, self.spec.weight_bits
        for row in range(self.spec.weight_depth):
            for tap in range(BANKS):
                ctx.set(dut.w_tap, 1 << tap)
                ctx.set(dut.w_row, row)
                ctx.set(dut.w_data, sum(w % (1 << bits) << bits * lane
                                        for lane, w in enumerate(self.weights[tap][row])))
                await ctx.tick()
        ctx.set(dut.w_tap, 0)

    async def operate(self, ctx, operations):
        """Run operations (weight row, turn_y, turn_x, fraction, writes, rows) or None, one a cycle."""
        dut, spec = self.dut, self.spec
        forwarded = set()
        for cycle in range(len(operations) + 5 + 2 * spec.staggered):
            def at(age, cycle=cycle):
                n = cycle - age
                return operations[n] if 0 <= n < len(operations) else None

            now, read, add = at(0), at(1), at(3)
            ctx.set(dut.weight_en, now is not None)
            ctx.set(dut.weight_row, now[0] if now else self.rng.randrange(spec.weight_depth))
            ctx.set(dut.read.weights, read is not None)
            ctx.set(dut.read.states, read is not None)
            if read:
                _, turn_y, turn_x, fraction, _, rows = read
                ctx.set(dut.read.turn_y, turn_y)
                ctx.set(dut.read.turn_x, turn_x)
                ctx.set(dut.read.fraction, fraction)
                ctx.set(dut.read.rows, rows)
            ctx.set(dut.add.write, add[4] if add else [0] * BANKS)
            if add:
                ctx.set(dut.add.rows, add[5])
                for b in range(BANKS):
                    def same(other, b=b, add=add):
                        return other is not None and other[4][b] and other[5][b] == add[5][b]
                    forward = Forward.ADDED if same(at(4)) else Forward.MEMORY
                    forwarded.add((forward, bool(add[4][b])))
                    ctx.set(dut.add.forward[b], forward)
            await ctx.tick()
        for operation in filter(None, operations):
            row, turn_y, turn_x, fraction, writes, rows = operation
            for b in range(BANKS):
                tap = (b // 3 - turn_y) % 3 * 3 + (b % 3 - turn_x) % 3
                if writes[b]:
                    state = self.states[b][rows[b]]
                    for lane in range(LANES):
                        add = self.weights[tap][row][lane] << spec.fraction_bits[fraction]
                        state[lane] = self.total(state[lane] + add)
        return forwarded

    async def check(self, ctx):
        """Read all states through the register of the sweep."""
        dut = self.dut
        for row in range(self.spec.state_depth):
            ctx.set(dut.read.states, 1)
            ctx.set(dut.read.rows, [row] * BANKS)
            await ctx.tick()
            ctx.set(dut.read.states, 0)
            ctx.set(dut.r_load, 1)
            await ctx.tick().repeat(2 + 2 * self.spec.staggered)
            found = []
            for index in range(BANKS * LANES):
                ctx.set(dut.r_index, index)
                await ctx.tick().repeat(1 + self.spec.staggered)
                found.append(ctx.get(dut.r_data))
            ctx.set(dut.r_load, 0)
            assert found == [value for b in range(BANKS) for value in self.states[b][row]], row


def operation(rng, spec, rows=4, writes=None):
    return (rng.randrange(spec.weight_depth), rng.randrange(3), rng.randrange(3),
            rng.randrange(len(spec.fraction_bits)), writes or [rng.randrange(2) for _ in range(BANKS)],
            [rng.randrange(rows) for _ in range(BANKS)])


@pytest.mark.parametrize("staggered", [False, True])
def test_random_operations(staggered):
    bench, rng = Bench(replace(SPEC, sweep_cycles=3, staggered=staggered)), random.Random(1)
    # Few rows, so that operations on one word follow each other at all distances; some pauses.
    operations = [None if rng.random() < 0.1 else operation(rng, SPEC, rows=2) for _ in range(200)]

    async def scenario(ctx):
        forwarded = await bench.operate(ctx, operations)
        assert forwarded == {(f, w) for f in (Forward.MEMORY, Forward.ADDED) for w in (0, 1)}
        await bench.check(ctx)

    bench.run(scenario)


@pytest.mark.parametrize("bits", [8, 9])
def test_sums_are_clipped(bits):
    """States narrower than a shifted weight, and forwarded sums: 200 operations on two rows."""
    spec = replace(SPEC, state_bits=bits, fraction_bits=(0, 6), saturate=True)
    bench, rng = Bench(spec), random.Random(2)
    operations = [operation(rng, spec, rows=2) for _ in range(200)]

    async def scenario(ctx):
        await bench.operate(ctx, operations)
        await bench.check(ctx)

    bench.run(scenario)
    assert bench.clipped == {"low", "high"}


@pytest.mark.parametrize("distance", [1, 2, 3])
def test_operations_on_one_word_at_a_distance(distance):
    bench, rng = Bench(seed=distance), random.Random(distance)
    operations = []
    for row in (0, 3, 3, 5):
        *most, _ = operation(rng, SPEC, writes=[1] * BANKS)
        operations += [(*most, [row] * BANKS), *[None] * (distance - 1)]

    async def scenario(ctx):
        await bench.operate(ctx, operations)
        await bench.check(ctx)

    bench.run(scenario)


def test_every_rotation_of_taps():
    bench = Bench(seed=9)
    operations = [(3 * y + x, y, x, 0, [1] * BANKS, [y] * BANKS) for y in range(3) for x in range(3)]

    async def scenario(ctx):
        await bench.operate(ctx, operations)
        await bench.check(ctx)

    bench.run(scenario)


def neurons(v, p, i, *, bits, membrane=False):
    """One neuron after a sweep: spike, potential."""
    s = wrap(v + p["bias"], bits)
    spike = i["fire"] and i["reset"] != ResetMode.NONE and s >= p["threshold"]
    u = s if not spike else s - p["threshold"] if i["reset"] == ResetMode.SUBTRACT else p["reset_value"]
    a = 4096 - p["leak"] if i["leaky"] else 4096
    d = abs(u) * a // 4096 * (-1 if u < 0 else 1)
    return int(spike), min(max(d, i["lo"]), i["hi"])


class SweepBench(Bench):
    """Weight rows from 32 on hold a set of parameters for each lane; random states in four rows."""

    FIRST = 32

    def __init__(self, spec, seed=0):
        super().__init__(spec, seed)
        rng, self.parameters = self.rng, []
        for lane in range(LANES):
            p = {"threshold": rng.randint(1, 60), "leak": rng.randint(0, 4096), "bias": rng.randint(-20, 20),
                 "reset_value": rng.randint(-100, 50), "synapse_leak": rng.randint(0, 4096)}
            self.parameters.append(p)
            bits = "".join(format(p[name] % (1 << spec.state_bits), f"0{spec.state_bits}b")
                           for name in reversed(PARAMETERS if spec.cuba else PARAMETERS[:-1]))
            word, width = int(bits, 2), spec.weight_bits
            for number in range(spec.parameter_rows * BANKS):
                self.weights[number % BANKS][self.FIRST + number // BANKS][lane] = wrap(
                    word >> width * number & (1 << width) - 1, width)

    async def load(self, ctx):
        for part in range(self.spec.parameter_rows + 1):
            ctx.set(self.dut.weight_en, part < self.spec.parameter_rows)
            ctx.set(self.dut.weight_row, self.FIRST + part)
            ctx.set(self.dut.lif.parameters, [int(part == n + 1) for n in range(self.spec.parameter_rows)])
            await ctx.tick()
        ctx.set(self.dut.lif.parameters, [0] * self.spec.parameter_rows)

    async def sweep(self, ctx, rows, writes, period, **controls):
        """Pass rows, read ``period`` cycles apart, through the neurons; return (spikes, nonzero) of each."""
        dut, cycles, latency, results = self.dut, self.spec.sweep_cycles, lif_latency(self.spec), []
        staggered = self.spec.staggered
        write = latency + STEPS + (1 if staggered else cycles)
        for name, value in controls.items():
            ctx.set(getattr(dut.lif, name), value)
        for cycle in range((len(rows) - 1) * period + cycles + latency + STEPS + 3):
            ages = {cycle - n * period: row for n, row in enumerate(rows) if cycle >= n * period}
            ctx.set(dut.read.states, 0 in ages)
            ctx.set(dut.read.rows, [ages.get(0, 0)] * BANKS)
            loading = [age for age in ages if 2 <= age < 2 + (3 if staggered else 1)]
            ctx.set(dut.lif.load, bool(loading))
            shifting = [age for age in ages if 3 <= age < 3 + cycles]
            ctx.set(dut.lif.shift, bool(shifting))
            ctx.set(dut.lif.chunk, loading[0] - 2 if staggered and loading else
                    shifting[0] - 3 if shifting and not staggered else 0)
            first = 3 + latency
            ctx.set(dut.lif.collect, any(first <= age < first + cycles for age in ages))
            ctx.set(dut.lif.first, first in ages)
            ctx.set(dut.add.write, writes if write in ages else [0] * BANKS)
            ctx.set(dut.add.forward, [Forward.SWEPT if write in ages else Forward.MEMORY] * BANKS)
            ctx.set(dut.add.rows, [ages.get(write, 0)] * BANKS)
            if cycles + latency + STEPS in ages:
                results.append((ctx.get(dut.spikes), ctx.get(dut.nonzero)))
            await ctx.tick()
        return results


@pytest.mark.parametrize("cycles, cuba, staggered", [
    (1, True, False), (2, False, False), (3, True, False), (12, True, False), (36, False, False),
    (3, True, True), (3, False, True)])
def test_rows_pass_through_the_neurons(cycles, cuba, staggered):
    spec = replace(SPEC, sweep_cycles=cycles, cuba=cuba, staggered=staggered)
    bench, rng = SweepBench(spec, cycles), random.Random(cycles)
    period = cycles if cycles < BANKS else cycles + lif_latency(spec) + STEPS + 2
    fired = set()

    async def scenario(ctx):
        await bench.load(ctx)
        for reset in ResetMode:
            for leaky, fire in ((1, 1), (0, 1), (1, 0)):
                operations = [operation(rng, spec, rows=4) for _ in range(40)]
                await bench.operate(ctx, operations)
                controls = {"reset": reset, "leaky": leaky, "fire": fire, "lo": -rng.randint(50, 300),
                            "hi": rng.randint(50, 300)}
                writes = [int(rng.random() < 0.8) for _ in range(BANKS)]
                rows = [0, 1, 2, 3, 7]
                results = await bench.sweep(ctx, rows, writes, period, **controls)
                assert len(results) == len(rows)
                for row, (spikes, nonzero) in zip(rows, results, strict=True):
                    live = 0
                    for b in range(BANKS):
                        for lane in range(LANES):
                            spike, v = neurons(bench.states[b][row][lane], bench.parameters[lane], controls,
                                               bits=spec.state_bits)
                            assert spikes >> b * LANES + lane & 1 == spike
                            fired.add(spike)
                            live |= v != 0
                            if writes[b]:
                                bench.states[b][row][lane] = v
                    assert nonzero == live
                await bench.check(ctx)

    bench.run(scenario)
    assert fired == {0, 1}


def test_zero_rows_are_not_nonzero():
    bench = SweepBench(SPEC)
    for p in bench.parameters:
        assert p["bias"]  # clipped away here

    async def scenario(ctx):
        await bench.load(ctx)
        await bench.operate(ctx, [(row, 0, 0, 0, [1] * BANKS, [2] * BANKS) for row in range(4)])
        clear = {"reset": 0, "leaky": 0, "fire": 0, "lo": 0, "hi": 0}
        assert await bench.sweep(ctx, [2, 2], [1] * BANKS, 2, **clear) == [(0, 0)] * 2
        bench.states = [[[0] * LANES for _ in bank] for bank in bench.states]
        await bench.check(ctx)

    bench.run(scenario)


@pytest.mark.parametrize("cycles, staggered", [(1, False), (3, False), (12, False), (3, True)])
def test_currents_reach_the_membranes(cycles, staggered):
    spec = replace(SPEC, sweep_cycles=cycles, staggered=staggered)
    bench, rng = SweepBench(spec, cycles), random.Random(cycles)
    currents, membranes, all_banks = 1, 5, [1] * BANKS

    async def scenario(ctx):
        await bench.load(ctx)
        for _ in range(3):
            await bench.operate(ctx, [operation(rng, spec, rows=2) for _ in range(30)])
            first = {"reset": 0, "leaky": 1, "fire": 0, "lo": -90, "hi": 90, "synapse": 1, "membrane": 0}
            await bench.sweep(ctx, [currents], all_banks, 1, **first)
            second = {"reset": 0, "leaky": 1, "fire": 1, "lo": -200, "hi": 400, "synapse": 0, "membrane": 1}
            (spikes, _), = await bench.sweep(ctx, [membranes], all_banks, 1, **second)
            for b in range(BANKS):
                for lane in range(LANES):
                    p, i, v = bench.parameters[lane], bench.states[b][currents], bench.states[b][membranes]
                    current = i[lane] + p["bias"]
                    i[lane] = neurons(i[lane], p | {"leak": p["synapse_leak"]}, first, bits=14)[1]
                    spike, v[lane] = neurons(v[lane], p | {"bias": current}, second, bits=14)
                    assert spikes >> b * LANES + lane & 1 == spike
        await bench.check(ctx)

    bench.run(scenario)


def test_parameters_are_checked():
    with pytest.raises(TypeError, match=r"^Cluster parameters must be a MegaSpec, not 'x'$"):
        Cluster("x")

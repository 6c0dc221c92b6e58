# amaranth: UnusedElaboratable=no

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from amaranth.sim import Simulator

from neurogen.rtl.address import OPERATION_LATENCY, AddressGenerator
from neurogen.spec.mega import MegaSpec


SPEC = MegaSpec(lanes=2, clusters=2, weight_bits=4, state_bits=12, state_depth=512, weight_depth=1024,
                spike_depth=64)
ALONE = replace(SPEC, overlap=False)
FRUGAL = replace(SPEC, frugal=True)


def ceil(a, b):
    return -(-a // b)


def convolution(rng, kernel, stride, padding, in_h, in_w, *, tile=False, groups=2):
    """Return a random INTEGRATE of a convolution, for a map after pooling."""
    sizes = [(n + 2 * padding - kernel) // stride + 1 for n in (in_h, in_w)]
    off = [rng.randrange(n) if tile else 0 for n in sizes]
    out_h, out_w = (rng.randint(1, n - o) if tile else n for n, o in zip(sizes, off, strict=True))
    subs = ceil(ceil(kernel, stride), 3)
    tiles_x = ceil(out_w, 3)
    return {"in_h": in_h, "in_w": in_w, "in_channels": 8, "kernel": kernel, "stride2": stride - 1,
            "pad_y": padding, "pad_x": padding, "off_y": off[0], "off_x": off[1], "subs": subs,
            "words_per_channel": stride ** 2 * subs ** 2 * groups, "ops": subs ** 2 * groups,
            "groups": groups, "group_rows": ceil(out_h, 3) * tiles_x,
            "last_lanes": rng.randint(1, SPEC.total_lanes),
            "out_h": out_h, "out_w": out_w, "out_tiles_x": tiles_x, "state_base": 8 * rng.randrange(8),
            "weight_base": rng.randrange(64), "pool_log2": rng.choice((0, 0, 1, 2))}


def dense(rng, in_h, in_w, groups):
    return {"in_h": in_h, "in_w": in_w, "in_channels": 8, "dense": 1, "words_per_channel": groups,
            "weight_x": 8 * groups, "weight_y": in_w * 8 * groups, "ops": groups, "groups": groups,
            "last_lanes": rng.randint(1, 9 * SPEC.total_lanes), "state_base": 8 * rng.randrange(8),
            "weight_base": rng.randrange(64), "pool_log2": rng.choice((0, 1)),
            "kernel": rng.randrange(8), "pad_y": rng.randrange(8), "pad_x": rng.randrange(8)}


def expected(i, event):
    """Return the operations of an event by the words of `neurogen.spec.mega`, or None outside the map.

    An operation is its weight row, its SOPs and the set of (bank, state row, tap) that it adds.
    """
    c, y, x = event[0], event[1] >> i["pool_log2"], event[2] >> i["pool_log2"]
    if y >= i["in_h"] or x >= i["in_w"]:
        return None
    first = i["weight_base"] + c * i["words_per_channel"]
    if i.get("dense"):
        first += y * i["weight_y"] + x * i["weight_x"]
        lanes = [9 * SPEC.total_lanes] * (i["groups"] - 1) + [i["last_lanes"]]
        return [((first + g) % SPEC.weight_depth, lanes[g],
                 {(b, i["state_base"] + g, b) for b in range(9)}) for g in range(i["groups"])]
    stride, subs = i["stride2"] + 1, i["subs"]
    parity = [(y + i["pad_y"]) % stride, (x + i["pad_x"]) % stride]
    anchor = [(y + i["pad_y"]) // stride - i["off_y"], (x + i["pad_x"]) // stride - i["off_x"]]
    count = [ceil(i["kernel"] - p, stride) for p in parity]
    operations = []
    for sub_y in range(subs):
        for sub_x in range(subs):
            s = ((parity[0] * stride + parity[1]) * subs + sub_y) * subs + sub_x
            hits = []
            for tap_y in range(3):
                for tap_x in range(3):
                    j = 3 * sub_y + 2 - tap_y, 3 * sub_x + 2 - tap_x
                    oy, ox = anchor[0] - j[0], anchor[1] - j[1]
                    inside = 0 <= oy < i["out_h"] and 0 <= ox < i["out_w"]
                    if j[0] < count[0] and j[1] < count[1] and inside:
                        hits.append((oy, ox, 3 * tap_y + tap_x))
            for g in range(i["groups"]):
                base = i["state_base"] + g * i["group_rows"]
                lanes = i["last_lanes"] if g == i["groups"] - 1 else SPEC.total_lanes
                operations.append(((first + s * i["groups"] + g) % SPEC.weight_depth, len(hits) * lanes, {
                    (3 * (oy % 3) + ox % 3, base + oy // 3 * i["out_tiles_x"] + ox // 3, tap)
                    for oy, ox, tap in hits}))
    return operations


def seen(o, sops):
    """Return the operation that the gateware describes."""
    added = set()
    for bank in range(9):
        if o.write[bank]:
            tap = (bank // 3 - o.turn_y) % 3 * 3 + (bank % 3 - o.turn_x) % 3
            added.add((bank, o.rows[bank], tap))
    return o.weight_row, sops, added


class Sweep:
    """The guard of an address generator: a range of rows that gets smaller, and ports that are taken."""

    def __init__(self, low, high, pace=0.3, taken=0.5, seed=0):
        self.low, self.high, self.pace, self.rate = low, high, pace, taken
        self.rng, self.past, self.held = random.Random(seed), [(low, high, 0)] * 3, 0

    def set(self, ctx, dut):
        self.low += self.rng.random() < self.pace
        taken = self.rng.random() < self.rate
        ctx.set(dut.guarded, self.low < self.high)
        ctx.set(dut.guard_low, self.low)
        ctx.set(dut.guard_high, self.high)
        ctx.set(dut.taken, taken)
        self.past = [*self.past[1:], (self.low, self.high, taken)]
        self.held += ctx.get(dut.held)

    def check(self, o):
        """Compare an operation on ``o`` with the guard two cycles ago, and the ports one cycle ago."""
        (low, high, _), (*_, taken), _ = self.past
        assert not taken
        assert not {o.rows[b] for b in range(9) if o.write[b]} & set(range(low, high))


def run(jobs, *, idle=0.0, seed=0, pooled=False, spec=SPEC, sweeps=None):
    """Return for each job (instruction, events): operations, their cycles, those of transfers, accepted."""
    dut, rng, results = AddressGenerator(spec), random.Random(seed), []

    async def bench(ctx):
        ctx.set(dut.pooled, pooled)
        for number, (instruction, events) in enumerate(jobs):
            ctx.set(dut.instruction, instruction)
            sweep = sweeps[number] if sweeps else None
            waiting, operations, times, taken, accepted = list(events), [], [], [], 0
            cycle = 0
            valid = False
            while waiting or ctx.get(dut.busy):
                valid = bool(waiting) and (valid or rng.random() >= idle)
                ctx.set(dut.i_events.valid, valid)
                if sweep:
                    sweep.set(ctx, dut)
                if waiting:
                    ctx.set(dut.i_events.payload, dict(zip("cyx", waiting[0], strict=True)))
                _, _, ready, inside, o_valid, o, sops = await ctx.tick().sample(
                    dut.i_events.ready, dut.accepted, dut.o_valid, dut.o, dut.sops)
                if valid and ready:
                    taken.append(cycle)
                    waiting.pop(0)
                    valid = False
                accepted += inside
                if o_valid:
                    if sweep:
                        sweep.check(o)
                    operations.append(seen(o, sops))
                    times.append(cycle)
                else:
                    assert sops == 0
                cycle += 1
                assert cycle < 5000
            ctx.set(dut.i_events.valid, 0)
            results.append((operations, times, taken, accepted))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return results


def random_events(rng, i, count):
    scale = 1 << i["pool_log2"]
    return [(rng.randrange(8), rng.randrange(i["in_h"] * scale + 1), rng.randrange(i["in_w"] * scale + 1))
            for _ in range(count)]


def check(jobs, results):
    for (instruction, events), (operations, _, _, accepted) in zip(jobs, results, strict=True):
        wanted = [expected(instruction, event) for event in events]
        assert accepted == sum(one is not None for one in wanted)
        assert operations == [op for one in wanted for op in one or ()], instruction


@pytest.mark.parametrize("idle, spec", [(0, SPEC), (0.4, SPEC), (0.4, ALONE), (0.4, FRUGAL)])
def test_convolutions(idle, spec):
    rng, jobs = random.Random(1), []
    for kernel in (1, 3, 5, 7):
        for stride in (1, 2):
            for padding in {0, kernel // 2, kernel - 1}:
                for tile in (False, True):
                    i = convolution(rng, kernel, stride, padding, rng.randint(kernel, 13),
                                    rng.randint(kernel, 13), tile=tile, groups=rng.randint(1, 3))
                    jobs.append((i, random_events(rng, i, 12)))
    results = run(jobs, idle=idle, seed=1, spec=spec)
    check(jobs, results)
    situations = [op for operations, *_ in results for op in operations]
    assert any(op[1] == 0 for op in situations)  # windows without a tap inside the map
    assert {len(op[2]) for op in situations} >= {0, 1, 2, 3, 4, 6, 9}
    assert any(accepted < len(events) for (_, events), (*_, accepted) in zip(jobs, results, strict=True))


def test_every_pixel_of_a_large_map():
    # All residues of rows and columns, and tiles far from the origin.
    rng = random.Random(2)
    i = convolution(rng, 3, 1, 1, 9, 108, groups=1) | {"pool_log2": 0, "state_base": 0}
    events = [(0, y, x) for y in range(9) for x in (0, 1, 2, *range(90, 108))]
    jobs = [(i, events)]
    check(jobs, run(jobs))


def test_coordinates_at_the_end_of_their_range():
    rng = random.Random(8)
    i = convolution(rng, 3, 1, 1, 512, 512, groups=1)
    i |= {"pool_log2": 0, "off_y": 500, "off_x": 505, "out_h": 12, "out_w": 7, "out_tiles_x": 3}
    jobs = [(i, [(0, y, x) for y in (0, 255, 498, 499, 500, 511) for x in (0, 503, 504, 510, 511)])]
    check(jobs, run(jobs))


def test_dense_rows():
    rng, jobs = random.Random(3), []
    for groups in (1, 2, 5):
        i = dense(rng, 3, 4, groups)
        jobs.append((i, random_events(rng, i, 12)))
    results = run(jobs, idle=0.2)
    check(jobs, results)
    full = {op[1] for op in results[2][0]}
    assert full == {9 * SPEC.total_lanes, jobs[2][0]["last_lanes"]}


def test_coordinates_that_are_pooled_already_are_not_shifted():
    rng = random.Random(4)
    i = convolution(rng, 3, 1, 1, 6, 6) | {"pool_log2": 2}
    events = random_events(rng, i | {"pool_log2": 0}, 10)
    operations, *_ = run([(i, events)], pooled=True)[0]
    assert operations == [op for e in events for op in expected(i | {"pool_log2": 0}, e) or ()]


def test_events_follow_a_sweep_at_a_distance():
    rng, jobs, sweeps = random.Random(11), [], []
    for seed in range(12):
        i = (dense(rng, 2, 3, rng.randint(1, 3)) if seed % 4 == 3 else
             convolution(rng, rng.choice((1, 3, 5)), rng.choice((1, 2)), 1, 11, 11, groups=rng.randint(1, 2),
                         tile=seed % 4 == 2))
        i["state_base"] = rng.choice((0, 8, 504 if i.get("dense") else 24))
        size = i["groups"] * i.get("group_rows", 1)
        low = i["state_base"] + rng.choice((0, i.get("group_rows", 0) * (i["groups"] - 1)))
        jobs.append((i, random_events(rng, i, 25)))
        sweeps.append(Sweep(low, i["state_base"] + size, rng.choice((0.05, 0.3)), rng.choice((0, 0.5)), seed))
    for base in (0, 8, 511):  # one row, and who is slow
        i = dense(rng, 2, 3, 1) | {"state_base": base}
        jobs.append((i, random_events(rng, i, 5)))
        sweeps.append(Sweep(base, base + 1, 0.02, 0, base))
    check(jobs, run(jobs, idle=0.2, sweeps=sweeps))
    assert sum(sweep.held > 10 for sweep in sweeps) >= 9


def test_a_sweep_of_other_rows_holds_nothing_up():
    rng = random.Random(12)
    i = convolution(rng, 3, 1, 1, 9, 9, groups=1) | {"pool_log2": 0, "state_base": 64}
    jobs = [(i, [(c, y, x) for c in range(2) for y in range(9) for x in range(9)])]
    free = run(jobs)[0]
    # Rows of the map, and a line of tiles and one behind them, are another population's at the earliest.
    for low, high in ((0, 64 - 4), (64 + 9 + 4, 512), (64 + 9 + 4, 1024)):
        sweep = Sweep(low, high, pace=0, taken=0)
        assert run(jobs, sweeps=[sweep])[0] == free
        assert not sweep.held


@pytest.mark.parametrize("kernel, groups", [(3, 1), (3, 3), (7, 1), (5, 2)])
def test_one_operation_a_cycle_after_the_latency(kernel, groups):
    i = convolution(random.Random(5), kernel, 1, kernel // 2, 9, 9, groups=groups) | {"pool_log2": 0}
    events = [(c, 4, 4) for c in range(8)] * 2
    assert OPERATION_LATENCY == 6  # as documented
    for spec in (ALONE, SPEC):
        operations, times, taken, _ = run([(i, events)], spec=spec)[0]
        ops = i["ops"]
        assert len(operations) == ops * len(events)
        assert times[0] == taken[0] + OPERATION_LATENCY + spec.overlap
        assert times == list(range(times[0], times[0] + len(times)))  # no gap
        # Two events fit in before the pace of the operations shows.
        assert all(b - a == ops for a, b in pairwise(taken[3:]))


def test_events_outside_are_dropped_at_one_a_cycle():
    i = convolution(random.Random(6), 3, 1, 1, 5, 5) | {"pool_log2": 0}
    events = [(0, 5, 0), (0, 0, 5), (0, 511, 511)] * 5
    operations, _, taken, accepted = run([(i, events)])[0]
    assert (operations, accepted) == ([], 0)
    assert taken == list(range(len(events)))


def test_parameters_are_checked():
    with pytest.raises(TypeError, match=r"^Address generator parameters must be a MegaSpec, not 3$"):
        AddressGenerator(3)

# amaranth: UnusedElaboratable=no

import random

import pytest
from amaranth.sim import Simulator

from neurogen.rtl.weights import WeightWriter
from neurogen.spec.mega import BANKS, MegaSpec


def spec(lanes, clusters):
    return MegaSpec(lanes=lanes, clusters=clusters, weight_bits=5, state_bits=12, state_depth=16,
                    weight_depth=32, spike_depth=16)


def run(mega, pushes, *, place, walk, pause=0.0, seed=0):
    """Return the writes (cycle, cluster, tap, row, lanes) and the cycles of the pushes."""
    dut, rng, writes, pushed = WeightWriter(mega), random.Random(seed), [], []

    async def bench(ctx):
        waiting, cycle = list(pushes), 0
        for name, value in zip(("cluster", "tap", "row"), place, strict=True):
            ctx.set(getattr(dut, name), value)
        # Half a row that nobody finishes: a new position begins at lane 0.
        ctx.set(dut.push, mega.lanes > 1)
        await ctx.tick()
        ctx.set(dut.push, 0)
        ctx.set(dut.place, 1)
        await ctx.tick()
        ctx.set(dut.place, 0)
        ctx.set(dut.walk, walk)
        for _ in range(2 + len(pushes) * (1 if not pause else 5)):
            pushing = bool(waiting) and rng.random() >= pause
            ctx.set(dut.push, pushing)
            ctx.set(dut.weight, waiting[0] if pushing else rng.getrandbits(5))
            if pushing:
                pushed.append(cycle)
                waiting.pop(0)
            _, _, data, row, *taps = await ctx.tick().sample(dut.w_data, dut.w_row, *dut.w_tap)
            for cluster, bits in enumerate(taps):
                for tap in range(BANKS):
                    if bits >> tap & 1:
                        words = tuple(data >> 5 * lane & 31 for lane in range(mega.lanes))
                        writes.append((cycle, cluster, tap, row, words))
            cycle += 1
        assert not waiting

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return writes, pushed


@pytest.mark.parametrize("lanes, clusters, pause", [(1, 1, 0), (1, 2, 0.5), (4, 1, 0.5), (2, 4, 0)])
def test_walk_goes_through_clusters_taps_and_rows(lanes, clusters, pause):
    rng = random.Random(lanes)
    count = lanes * clusters * BANKS * 2
    weights = [rng.getrandbits(5) for _ in range(count)]
    writes, pushed = run(spec(lanes, clusters), weights, place=(0, 0, 30), walk=1, pause=pause)
    places = [(c, tap, row) for row in (30, 31) for tap in range(BANKS) for c in range(clusters)]
    assert [(c, tap, row) for _, c, tap, row, _ in writes] == places
    assert [w for *_, words in writes for w in words] == weights
    # One cycle after the last lane.
    assert [cycle for cycle, *_ in writes] == [cycle + 1 for cycle in pushed[lanes - 1::lanes]]


@pytest.mark.parametrize("lanes", [1, 4])
def test_rows_of_one_tap(lanes):
    weights = [n % 32 for n in range(3 * lanes)]
    writes, _ = run(spec(lanes, 2), weights, place=(1, 8, 5), walk=0)
    assert [write[1:] for write in writes] == [
        (1, 8, 5 + r, tuple(weights[lanes * r:lanes * (r + 1)])) for r in range(3)]

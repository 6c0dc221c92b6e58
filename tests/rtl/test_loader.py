# amaranth: UnusedElaboratable=no

import random
from itertools import pairwise

import pytest
from amaranth.sim import Simulator

from neurogen.rtl.loader import Loader, ReadGuard
from neurogen.spec.mega import BANKS, MegaSpec


def spec(lanes, clusters=1):
    return MegaSpec(lanes=lanes, clusters=clusters, weight_bits=6, state_bits=12, state_depth=16,
                    weight_depth=32, spike_depth=16, external=True)


def run(mega, memory, jobs, latency):
    """Return per job (address, rows): weights, addresses of the bus, cycles of busy, cycles of pushes."""
    dut, rng, results = Loader(mega), random.Random(1), []

    async def bench(ctx):
        bus = dut.mem
        for address, rows in jobs:
            ctx.set(dut.address, address)
            ctx.set(dut.rows, rows)
            assert not ctx.get(dut.busy)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.address, 0)  # taken with the start
            weights, addresses, pushes, cycles, waited = [], [], [], 0, 0
            wait = latency(rng)
            while ctx.get(dut.busy):
                strobe = ctx.get(bus.stb)
                assert strobe == ctx.get(bus.cyc) and not ctx.get(bus.we)
                waited = waited + 1 if strobe else 0
                ctx.set(bus.ack, strobe and waited == wait)
                at = ctx.get(bus.adr)
                ctx.set(bus.dat_r, memory[at] if waited == wait else rng.getrandbits(32))
                if waited == wait:
                    addresses.append(at)
                    waited, wait = 0, latency(rng)
                _, _, push, weight = await ctx.tick().sample(dut.push, dut.weight)
                if push:
                    weights.append(weight)
                    pushes.append(cycles)
                cycles += 1
                assert cycles < 5000
            assert not ctx.get(dut.push)
            results.append((weights, addresses, cycles, pushes))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return results


@pytest.mark.parametrize("lanes, clusters", [(1, 1), (2, 1), (4, 2)])
@pytest.mark.parametrize("latency", [lambda rng: 1, lambda rng: rng.randint(1, 7)])
def test_bytes_of_rows(lanes, clusters, latency):
    mega, rng = spec(lanes, clusters), random.Random(2)
    memory = [rng.getrandbits(32) for _ in range(200)]
    size = BANKS * lanes * clusters
    words = -(-size // 4)
    jobs = [(0, 1), (17, 3), (5, 0), (100, 2)]
    for (address, rows), (weights, addresses, *_) in zip(jobs, run(mega, memory, jobs, latency), strict=True):
        assert addresses == list(range(address, address + rows * words))
        data = b"".join(word.to_bytes(4, "little") for word in memory)
        wanted = [data[4 * (address + row * words) + n] % 64 for row in range(rows) for n in range(size)]
        assert weights == wanted


@pytest.mark.parametrize("wait", [1, 3])
def test_a_word_takes_its_access_and_four_cycles(wait):
    mega = spec(4)  # 36 weights: nine words a row
    *_, cycles, pushes = run(mega, list(range(30)), [(0, 2)], lambda rng: wait)[0]
    first = pushes[::4]
    gaps = {b - a for a, b in pairwise(first)}
    assert gaps == {wait + 4, wait + 5}  # and a cycle for each row
    # A cycle for each row and to find that there are no more; one until the last weight is written.
    assert cycles == 2 * 9 * (wait + 4) + 3 + 1


@pytest.mark.parametrize("wait", [0, 1, 4])
@pytest.mark.parametrize("cut_at", range(12))
def test_an_access_that_is_cut_is_finished_and_its_answer_dropped(wait, cut_at):
    """An initiator reads 5, 6, 7 ...; it is reset once, and then reads 50, 51 ..."""
    dut, answers, transfers = ReadGuard(7), [], []
    memory = [1000 + n for n in range(128)]

    async def bench(ctx):
        inner, outer = dut.initiator, dut.bus
        address, waited, strobed = 5, 0, None
        for cycle in range(40):
            ctx.set(inner.cyc, 1)
            ctx.set(inner.stb, 1)
            ctx.set(inner.adr, address)
            ctx.set(dut.cut, cycle == cut_at)
            at = ctx.get(outer.adr)
            # The protocol: it stays as it is until the acknowledge.
            assert ctx.get(outer.cyc) and ctx.get(outer.stb) and not ctx.get(outer.we)
            assert strobed in (None, at)
            acknowledge = waited == wait
            ctx.set(outer.ack, acknowledge)
            ctx.set(outer.dat_r, memory[at] if acknowledge else 0)
            if acknowledge:
                transfers.append(at)
            strobed, waited = (None, 0) if acknowledge else (at, waited + 1)
            if ctx.get(inner.ack):
                answers.append((address, ctx.get(inner.dat_r)))
                address += 1
            await ctx.tick()
            if cycle == cut_at:
                address = 50

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert all(answer == memory[address] for address, answer in answers)
    found = [address for address, _ in answers]
    old = [address for address in found if address < 50]
    new = found[len(old):]
    assert old == list(range(5, 5 + len(old))) and new == list(range(50, 50 + len(new))) and len(new) >= 4
    # One access more than answers, unless the cut met an acknowledge.
    assert [t for t in transfers if t < 50] in (old, [*old, 5 + len(old)])
    assert (len([t for t in transfers if t < 50]) == len(old)) == (cut_at % (wait + 1) == wait)

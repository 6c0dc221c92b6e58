import random

from amaranth.sim import Simulator

from neurogen.rtl.learning_lanes import UpdateLanes
from neurogen.spec.learning import Learner, LearnLayer, lfsr_next


SPEC = Learner(inputs=20, layers=[LearnLayer(neurons=30)], classes=3, lanes=4)


def test_updates_leave_after_three_cycles_with_the_registers_noise():
    dut, rng, seed = UpdateLanes(SPEC), random.Random(1), 0x8BADF00D
    jobs = [(rng.randrange(SPEC.weight_words), rng.randint(-255, 255), rng.randint(1, 16), rng.random() < 0.8,
             [rng.randint(-127, 127) for _ in range(4)]) for _ in range(200)]
    lanes = [rng.randint(-127, 255) for _ in range(4)]
    written, busy = [], []
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def bench(ctx):
        ctx.set(dut.seed, seed)
        ctx.set(dut.seed_en, 1)
        ctx.set(dut.lanes, lanes)
        await ctx.tick()
        ctx.set(dut.seed_en, 0)
        word = [0] * 4
        for address, factor, rate, valid, weights in [*jobs, *[(0, 0, 1, False, [0] * 4)] * 4]:
            ctx.set(dut.address, address)
            ctx.set(dut.factor, factor)
            ctx.set(dut.rate, rate)
            ctx.set(dut.valid, valid)
            ctx.set(dut.word, word)  # of the address one cycle before
            word = weights
            _, _, en, at, data, saturated, working = await ctx.tick().sample(
                dut.w_en, dut.w_address, dut.w_data, dut.saturated, dut.busy)
            written.append((at, [data[k] for k in range(4)], saturated) if en else None)
            busy.append(working)
        assert ctx.get(dut.random) == state

    state, expected, clipped, same = seed, [], 0, 0
    for address, factor, rate, valid, weights in jobs:
        if not valid:
            expected.append(None)
            continue
        noise = [((state >> 2 * k | state << 32 - 2 * k) & 0xFFFFFFFF) % (1 << rate) for k in range(4)]
        wanted = [w + ((factor * m + r) >> rate) for w, m, r in zip(weights, lanes, noise, strict=True)]
        # A word that stays as it is is not written.
        expected.append((address, [max(-127, min(127, w)) for w in wanted],
                         int(any(abs(w) > 127 for w in wanted))) if wanted != weights else None)
        clipped += any(abs(w) > 127 for w in wanted)
        same += wanted == weights
        state = lfsr_next(state)
    simulator.add_testbench(bench)
    simulator.run()
    assert written[3:3 + len(jobs)] == expected
    under_way = [0, 0, 0, *(job[3] for job in jobs), 0]  # as long for a word that is not written
    assert busy[:len(jobs) + 1] == [max(under_way[t:t + 3]) for t in range(len(jobs) + 1)]
    assert 20 < clipped < len(jobs) and same > 5

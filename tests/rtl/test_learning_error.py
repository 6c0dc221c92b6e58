import numpy as np
import pytest
from amaranth.sim import Simulator

from neurogen.golden.learning import softmax255
from neurogen.rtl.learning_error import ErrorUnit
from neurogen.spec.learning import Learner, LearnLayer


def run(spec, jobs):
    """Return the errors of each job (values, label, readout), whether the winner is right, and the cycles."""
    dut, results = ErrorUnit(spec), []
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def bench(ctx):
        for values, label, readout in jobs:
            ctx.set(dut.label, label)
            ctx.set(dut.readout, readout)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            cycles = 0
            while ctx.get(dut.busy):
                at = ctx.get(dut.class_address)
                await ctx.tick()
                ctx.set(dut.value, int(values[min(at, len(values) - 1)]))
                cycles += 1
                assert cycles < 1000
            errors = []
            for c in range(spec.classes):
                ctx.set(dut.address, c + spec.classes * readout)
                await ctx.tick()
                errors.append(ctx.get(dut.error))
            results.append((errors, ctx.get(dut.right), cycles))

    simulator.add_testbench(bench)
    simulator.run()
    return results


@pytest.mark.parametrize("classes", [2, 10, 64])
def test_errors_are_goldens_and_take_the_documented_cycles(classes):
    spec = Learner(inputs=4, layers=[LearnLayer(neurons=64)], classes=classes,
                   similarity_shift=3, readout_shift=5)
    random = np.random.RandomState(classes)
    jobs = [(random.randint(-scale, scale + 1, classes), int(random.randint(classes)), int(k % 2))
            for k, scale in enumerate((0, 3, 50, 50, 700, 700, 5000, 20000))]
    right = 0
    for (values, label, readout), (errors, winner, cycles) in zip(jobs, run(spec, jobs), strict=True):
        expected = -softmax255(values, spec.readout_shift if readout else spec.similarity_shift)
        expected[label] += 255
        assert errors == expected.tolist()
        assert cycles == 3 * classes + 9
        if not readout:
            right = int(values.argmax() == label)
        assert winner == right


@pytest.mark.parametrize("classes", [2, 5, 64])
def test_errors_of_the_hinge_are_those_of_label_and_rival(classes):
    spec = Learner(inputs=4, layers=[LearnLayer(neurons=64)], classes=classes, similarity_shift=1,
                   readout_shift=2, loss="hinge", margin=7)
    random = np.random.RandomState(classes)
    jobs = [(random.randint(-scale, scale + 1, classes), k % classes, int(k % 3 == 2))
            for k, scale in enumerate((0, 3, 3, 3, 9, 9, 30, 30, 30, 90, 90, 90, 3000, 3000))]
    far = np.full(classes, -40)  # then one below the margin, and at it
    jobs += [(np.where(np.arange(classes) == y, ahead, far), y, readout) for y in (0, classes - 1)
             for readout, ahead in ((0, -27), (0, -26), (1, -13), (1, -12))]
    jobs += [(np.where(np.arange(classes) == 0, 14, 1), 0, 0)]  # 7 ahead: shifted first, then taken off
    sizes = []
    for (values, label, readout), (errors, _, cycles) in zip(jobs, run(spec, jobs), strict=True):
        rival = max((c for c in range(classes) if c != label), key=lambda c: (values[c], -c))
        ahead = (values[label] >> 1 + readout) - (values[rival] >> 1 + readout)
        sizes.append(127 if ahead < 7 else 0)
        assert errors == [sizes[-1] * ((c == label) - (c == rival)) for c in range(classes)]
        assert cycles == 2 * classes + 6
    assert sizes[-9:] == [127, 0] * 4 + [0]

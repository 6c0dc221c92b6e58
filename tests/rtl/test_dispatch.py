# amaranth: UnusedElaboratable=no

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from amaranth.sim import Simulator

from neurogen.rtl.dispatch import Dispatcher, Unit, happenings
from neurogen.spec.mega import BLOCK, COUNTERS, MegaSpec, Op, Source


SPEC = MegaSpec(lanes=2, weight_bits=4, state_bits=12, state_depth=64, weight_depth=64, spike_depth=128,
                program_depth=1024, external=True)
ALONE = replace(SPEC, overlap=False)
OF = {Op.INTEGRATE: Unit.WORK, Op.LOAD: Unit.WORK, Op.SWEEP: Unit.SWEEP, Op.INIT: Unit.SWEEP,
      Op.EMIT: Unit.EMIT}


class Job:
    """One instruction on its way: when it began, settles and ends, and what it counts."""

    def __init__(self, i, tag, spike_row, rng, longest):
        self.i, self.tag, self.unit = i, tag, OF[i["op"]]
        self.blocks = range(spike_row // BLOCK, spike_row // BLOCK + -(-i["rows"] // BLOCK))
        self.settles = rng.randint(3, longest)
        self.ends = rng.randint(self.settles, 3 * longest) + 40 * (self.unit == Unit.EMIT)
        self.counted = dict.fromkeys(COUNTERS, 0)
        self.begun = self.ended = self.taken = None


def fields(spec, unit):
    return list(happenings(spec)[unit.name.lower()].shape)


def forbidden(spec, job, others, cycle):
    """Why a job may not begin in this cycle, by the rules that the component documents."""
    for other in others:
        under_way = other.ended is None
        if (other.unit == job.unit or not spec.overlap) and other.taken is None:
            return "unit"
        if not under_way:
            continue
        if job.i["op"] == Op.INIT:
            return "init"
        if job.unit != Unit.SWEEP and other.unit == Unit.SWEEP and cycle < other.begun + other.settles:
            return "parameters"
        if job.i["op"] == Op.INTEGRATE and job.i["source"] == Source.SPIKES and other.unit == Unit.EMIT:
            return "extractor"
        if job.i["op"] == Op.SWEEP and other.unit == Unit.EMIT:
            mine, theirs = job.blocks, other.blocks  # an empty one inside the other waits as well
            if mine.start < theirs.stop and mine.stop > theirs.start:
                return "blocks"
    return None


def run(spec, seed, count=120, longest=12):
    """Give random instructions; check each cycle; return the jobs and why they had to wait."""
    dut, rng, jobs, waited = Dispatcher(spec), random.Random(seed), [], set()

    async def bench(ctx):
        cycle, current, pending, taking = 0, None, 0, None
        running = {}
        while pending < count or running or any(job.taken is None for job in jobs):
            assert ctx.get(dut.idle) == (current is None and all(job.taken is not None for job in jobs))
            execute = pending < count and bool(ctx.get(dut.done)) and rng.random() < 0.7
            ctx.set(dut.execute, execute)
            if execute:
                assert current is None
                i = {"op": rng.choice(list(Op)), "rows": rng.choice((0, 8, 20, 24)),
                     "source": rng.choice(list(Source))}
                current = Job(i, pending, 8 * rng.randrange(13), rng, longest)
                since = cycle
                pending += 1
                ctx.set(dut.instruction, i)
                ctx.set(dut.tag, current.tag)
            elif current and cycle == since + 1:
                ctx.set(dut.spike_row, 8 * current.blocks.start)
            for unit in Unit:
                job = running.get(unit)
                ctx.set(dut.ended[unit.value], not (job and job.begun + spec.overlap < cycle
                                                    < job.begun + job.ends))
            sweep = running.get(Unit.SWEEP)
            ctx.set(dut.settled, not sweep or sweep.begun + sweep.settles <= cycle)
            happened = {unit: {name: rng.getrandbits(field.width) if unit in running else 0
                               for name, field in fields(spec, unit)} for unit in Unit}
            for unit in set(Unit) - set(running):
                if "stalls" in happened[unit]:  # those of who comes next
                    happened[unit]["stalls"] = rng.getrandbits(1)
            ctx.set(dut.happens, {unit.name.lower(): values for unit, values in happened.items()})
            ready = rng.random() < 0.2
            ctx.set(dut.counts.ready, ready)

            begin, start, valid, counts = (ctx.get(port) for port in (
                dut.begin, dut.start, dut.counts.valid, dut.counts.payload))
            first = min((unit.value for unit in running), default=None)
            for unit, job in running.items():
                assert cycle == job.begun + 1 or not start >> unit.value & 1 or not spec.overlap
                for name, value in happened[unit].items():
                    job.counted[name] += value
                job.counted["cycles"] += unit.value == first
            if begin:
                assert current and begin == 1 << current.unit.value and cycle > since
                reason = forbidden(spec, current, jobs, cycle)
                assert reason is None, (reason, cycle)
                current.begun = cycle
                jobs.append(current)
            elif current and current.begun is None and cycle > since:
                reason = forbidden(spec, current, jobs, cycle)
                assert reason, cycle  # it begins as soon as it may
                waited.add(reason)
            if valid:
                job = next(job for job in jobs if job.tag == counts.tag)
                assert job.ended is not None and job.taken is None
                assert dict(zip(COUNTERS, counts.values, strict=True)) == job.counted
                assert taking in (None, job.tag)  # it stays until it is taken
                taking = None if ready else job.tag
                if ready:
                    job.taken = cycle
            for unit, job in list(running.items()):
                if cycle >= job.begun + job.ends:
                    job.ended = cycle
                    del running[unit]
            if begin:
                running[current.unit] = current
            await ctx.tick()
            background = spec.overlap and current and current.i["op"] in (Op.SWEEP, Op.EMIT)
            if current and current.begun is not None and (current.ended is not None or (
                    background and cycle > current.begun)):
                if ctx.get(dut.done):
                    current = None
            cycle += 1
            assert cycle < 20_000

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return jobs, waited


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_instructions_begin_as_soon_as_they_may(seed):
    jobs, waited = run(SPEC, seed)
    assert waited == {"unit", "init", "parameters", "extractor", "blocks"}
    beside = sum(later.begun < job.ended for job, later in pairwise(jobs))
    assert beside > len(jobs) / 10
    assert all(sum(job.counted[name] for job in jobs) for name in COUNTERS)


def test_without_overlap_there_is_one_at_a_time():
    jobs, waited = run(ALONE, 4)
    assert waited == {"unit"}  # for its counts
    for job, later in pairwise(jobs):
        assert later.begun > job.taken


def test_parameters_are_checked():
    with pytest.raises(TypeError, match=r"^Dispatcher parameters must be a MegaSpec, not 1$"):
        Dispatcher(1)

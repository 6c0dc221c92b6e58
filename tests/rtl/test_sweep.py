# amaranth: UnusedElaboratable=no

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from amaranth.sim import Simulator

from neurogen.rtl.sweep import NOTICE, SweepControl
from neurogen.rtl.sweep_datapath import lif_latency
from neurogen.spec.mega import BANKS, BLOCK, MegaSpec, Op, ResetMode


SPEC = MegaSpec(lanes=2, clusters=2, weight_bits=4, state_bits=12, state_depth=64, weight_depth=64,
                spike_depth=128, cuba=True)
ALONE = replace(SPEC, overlap=False)
WIDE = replace(SPEC, lanes=4, clusters=1)  # as many lanes in all
STAGGERED = replace(SPEC, sweep_cycles=3, staggered=True)
TOTAL = SPEC.total_lanes
EMPTY = 0.3  # share of rows of zeros


def draw(key, bits):
    return random.Random(repr(key)).getrandbits(bits)


def spikes_of(turn, row, bank):
    """What the clusters answer to a row: a word of spikes, and whether a state is not zero."""
    word = draw(("spikes", turn, row, bank), BANKS * TOTAL)
    return (word if draw(("any", turn, row, bank), 10) / 1024 > EMPTY else 0,
            draw(("live", turn, row, bank), 10) / 1024 > 0.9)


class Oracle:
    """What a sweep has to do, in the words of the contract."""

    def __init__(self):
        self.dirty = set()
        self.turn = 0
        self.situations = set()

    def touch(self, row):
        self.dirty.add(row // BLOCK)

    def sweep(self, i, spike_row):
        """Return reads (row, bank or None, synapse), written spikes, written summaries."""
        self.turn += 1
        init = i["op"] == Op.INIT
        per_neuron = i.get("per_neuron", 0) or (init and i.get("fill", 0))
        cuba = i.get("cuba", 0) and not init
        whole = init or cuba or i.get("vector", 0) or i.get("always", 0)
        reads, spikes, flags = [], {}, {}
        for first in range(0, i["rows"], BLOCK):
            block = (i["state_base"] + first) // BLOCK
            rows = range(first, min(first + BLOCK, i["rows"]))
            if not whole and block not in self.dirty:
                flags[(spike_row + first) // BLOCK] = 0
                self.situations.add("skipped")
                continue
            live = summary = 0
            for row in rows:
                word = 0
                for bank in range(BANKS) if per_neuron else (None,):
                    for synapse in (True, False) if cuba else (False,):
                        base = i["state_base"] if synapse or not cuba else i["membrane_base"]
                        reads.append((base, row, bank, synapse))
                    fired, nonzero = spikes_of(self.turn, row, bank)
                    live |= nonzero
                    for b in range(BANKS) if bank is None else (bank,):
                        word |= fired & (1 << TOTAL) - 1 << b * TOTAL if self.inside(i, row, b) else 0
                spikes[spike_row + row] = word
                summary |= (word != 0) << row % BLOCK
            if not init:
                flags[(spike_row + first) // BLOCK] = summary
            if not cuba:
                self.situations.add("lives" if live else "dies")
                (self.dirty.add if live else self.dirty.discard)(block)
        return reads, {} if init else spikes, flags

    @staticmethod
    def inside(i, row, b):
        if not i.get("always", 0) or i.get("vector", 0):
            return True
        tiles_x = -(-i["out_w"] // 3)
        inside = 3 * (row // tiles_x) + b // 3 < i["out_h"] and 3 * (row % tiles_x) + b % 3 < i["out_w"]
        return inside


def run(spec, jobs, oracle):
    """Run jobs (touched rows, instruction, first spike row); compare; return cycles of reads per job."""
    dut, delay, results = SweepControl(spec), spec.sweep_cycles + 3 + lif_latency(spec), []
    sooner = 2 if spec.staggered else 0  # of the first line of banks; the last is as late as spikes

    async def bench(ctx):
        for touched, i, spike_row in jobs:
            for number in range(0, len(touched), 4):
                four = (touched[number:number + 4] * 4)[:4]
                ctx.set(dut.touch, 1)
                for port, row in enumerate(four):
                    ctx.set(dut.touched[port], row)
                await ctx.tick()
            for row in touched:
                oracle.touch(row)
            ctx.set(dut.touch, 0)
            for port in range(4):  # not looked at without `touch`
                ctx.set(dut.touched[port], draw(port, spec.state_address_bits))
            await ctx.tick()
            reads, spikes, flags = oracle.sweep(i, spike_row)
            ctx.set(dut.instruction, i)
            ctx.set(dut.spike_row, spike_row)
            ctx.set(dut.start, 1)
            assert ctx.get(dut.done)
            await ctx.tick()
            ctx.set(dut.start, 0)
            cycle, times, due, written, summaries, parameters, swept = 0, [], {}, {}, {}, [], 0
            starts = []
            wanted = list(reads)
            shared = []
            while not ctx.get(dut.done):
                answer = due.get(cycle)
                fired, nonzero = spikes_of(oracle.turn, *answer[1:3]) if answer else (
                    draw(cycle, BANKS * TOTAL), draw(cycle, 1))
                ctx.set(dut.spikes, fired)
                ctx.set(dut.nonzero, nonzero)
                if spec.overlap:
                    front = ctx.get(dut.front)
                    exclusive = i["op"] == Op.INIT or i.get("cuba", 0) or i.get("per_neuron", 0)
                    if ctx.get(dut.touch):
                        ctx.set(dut.touch, 0)
                    elif front and not exclusive and draw(("touch", cycle, oracle.turn), 2) == 0:
                        # An event of the next step, at rows that have been swept.
                        row = i["state_base"] + draw(("row", cycle), 20) % (BLOCK * front)
                        ctx.set(dut.touch, 1)
                        for port in range(4):
                            ctx.set(dut.touched[port], row)
                        oracle.touch(row)
                    shared.append([ctx.get(port) for port in (dut.taken, dut.front, dut.settled,
                                                              dut.weight_en)])
                now = await ctx.tick().sample(
                    dut.read, dut.read_row, dut.write, dut.write_row, dut.w_en, dut.w_row, dut.w_data,
                    dut.s_en, dut.s_block, dut.s_flags, dut.swept, dut.weight_en, dut.weight_row, dut.lif)
                (_, _, read, read_row, write, write_row, w_en, w_row, w_data, s_en, s_block, s_flags, counted,
                 weight_en, weight_row, lif) = now
                if read:
                    base, row, bank, synapse = wanted.pop(0)
                    assert read_row == base + row
                    assert counted == (not synapse)
                    times.append(cycle)
                    due[cycle + delay] = base, row, bank
                    starts.append((cycle, synapse))
                swept += counted
                first = due.get(cycle + sooner)
                if first:
                    base, row, bank = first
                    assert (write, write_row) == (0x1FF if bank is None else 1 << bank, base + row)
                else:
                    assert write == 0
                if w_en:
                    assert w_row not in written
                    written[w_row] = w_data
                if s_en:
                    assert s_block not in summaries
                    summaries[s_block] = s_flags
                if weight_en:
                    parameters.append((cycle, weight_row))
                check_controls(spec, i, cycle, starts, lif)
                cycle += 1
                assert cycle < 20_000
            assert not wanted
            assert (written, summaries) == (spikes, flags)
            assert swept == sum(not synapse for *_, synapse in reads)
            await ctx.tick()  # the last touch
            ctx.set(dut.touch, 0)
            check_parameters(spec, i, parameters, reads)
            if spec.overlap:
                check_sharing(i, shared, times, delay, sooner, reads)
            results.append((times, cycle))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return results


def check_controls(spec, i, cycle, starts, lif):
    """Load, shift and collect of the rows that were read at ``starts``, and what is done to them."""
    cycles, init, first = spec.sweep_cycles, i["op"] == Op.INIT, 3 + lif_latency(spec)
    ages = {cycle - start: synapse for start, synapse in starts}
    loading = [age for age in ages if 2 <= age < 2 + (3 if spec.staggered else 1)]
    assert lif.load == bool(loading)
    shifting = [age for age in ages if 3 <= age < 3 + cycles]
    collecting = [age for age in ages if first <= age < first + cycles]
    assert (lif.shift, lif.collect, lif.first) == (bool(shifting), bool(collecting), first in ages)
    assert not spec.staggered or not loading or lif.chunk == loading[0] - 2
    if shifting:
        synapse = ages[shifting[0]]
        assert cycles == 1 or spec.staggered or lif.chunk == shifting[0] - 3
        fill = i.get("fill", 0)
        half = 1 << spec.state_bits - 1
        band = ((-half, half - 1) if fill else (0, 0)) if init else (
            (i["i_lo"], i["i_hi"]) if synapse else (i["v_lo"], i["v_hi"]))
        assert (lif.lo, lif.hi) == band
        assert lif.fire == (bool(fill) if init else not synapse)
        assert lif.leaky == (bool(synapse or i["leaky"]) and not init)
        assert lif.reset == (ResetMode.ZERO if init else i["reset"])
        if spec.cuba:
            assert (lif.synapse, lif.membrane) == (synapse, i.get("cuba", 0) and not init and not synapse)


def check_sharing(i, shared, times, delay, sooner, reads):
    """When the ports are taken, and what may begin beside the sweep, and where."""
    taken, front, settled, weights = zip(*shared, strict=True)
    writes = [time + delay for time in times]
    # Two cycles before a read, and four before a write: those of an operation that leaves its generator.
    wanted = {time - 2 for time in times} | {time - 4 - sooner for time in writes}
    assert {cycle for cycle, bit in enumerate(taken) if bit} == wanted
    exclusive = i.get("cuba", 0) or i.get("per_neuron", 0) or (i["op"] == Op.INIT and i.get("fill", 0))
    if i["op"] == Op.SWEEP:
        assert any(settled) == (not exclusive)
    if any(settled):
        assert not any(weights[settled.index(True):])
    if not exclusive and i["rows"]:
        last = {}  # block -> cycle of the last write
        for (_, row, *_), time in zip(reads, writes, strict=True):
            last[row // BLOCK] = time
        for cycle, blocks in enumerate(front):
            assert all(time < cycle for block, time in last.items() if block < blocks)
            # It keeps up, until nothing is left to do.
            if cycle < max(writes, default=0):
                assert blocks >= sum(block < min((b for b, time in last.items() if time >= cycle), default=0)
                                     for block in last)


def check_parameters(spec, i, parameters, reads):
    rows = spec.parameter_rows
    own = i.get("per_neuron", 0) or (i["op"] == Op.INIT and i.get("fill", 0))
    sets = i["rows"] * BANKS if own else bool(i["rows"])
    assert [row for _, row in parameters] == [
        (i["weight_base"] + n) % spec.weight_depth for n in range(sets * rows)]


def job(rng, touched=(), **fields):
    i = {"op": Op.SWEEP, "rows": 16, "state_base": 8 * rng.randrange(4), "membrane_base": 8,
         "weight_base": rng.randrange(2), "reset": rng.randrange(3), "leaky": rng.randrange(2),
         "v_lo": -rng.randrange(2048), "v_hi": rng.randrange(2048), "i_lo": -rng.randrange(2048),
         "i_hi": rng.randrange(2048), "out_h": 3, "out_w": 3}
    return list(touched), i | fields, 8 * rng.randrange(8)


@pytest.mark.parametrize("base, cuba, cycles", [
    (SPEC, False, 1), (SPEC, False, 2), (WIDE, False, 3), (SPEC, True, 2), (SPEC, False, 6), (SPEC, True, 18),
    (ALONE, False, 2), (ALONE, False, 18), (STAGGERED, False, 3)])
def test_dirty_blocks_are_swept_and_clean_ones_skipped(base, cuba, cycles):
    rng, oracle = random.Random(cycles), Oracle()
    spec = replace(base, cuba=cuba, sweep_cycles=cycles)
    jobs = [job(rng, state_base=0, rows=64)]
    jobs += [job(rng, [rng.randrange(64) for _ in range(rng.randrange(6))], state_base=0,
                 rows=rng.choice((64, 61, 9))) for _ in range(8)]
    jobs += [job(rng, [63], state_base=8 * 7, rows=8), job(rng, rows=0), job(rng, [3, 12, 22, 31], rows=3)]
    if not cuba:
        for _, i, _ in jobs:
            del i["i_lo"], i["i_hi"]
    results = run(spec, jobs, oracle)
    assert oracle.situations == {"skipped", "lives", "dies"}
    times, cycles_taken = results[0]
    assert times == []  # after a reset all is clean: a block a cycle
    assert cycles_taken <= 64 // BLOCK + spec.parameter_rows + 4
    busy, _ = max(results, key=lambda result: len(result[0]))
    period = cycles if cycles < BANKS else cycles + 8 + NOTICE * spec.overlap
    assert min(b - a for a, b in pairwise(busy)) == period


@pytest.mark.parametrize("base, cycles", [
    (SPEC, 1), (SPEC, 2), (ALONE, 2), (WIDE, 3), (SPEC, 6), (SPEC, 18), (STAGGERED, 3)])
def test_bias_vectors_masks_and_parameters_of_neurons(base, cycles):
    rng, oracle = random.Random(cycles + 1), Oracle()
    spec = replace(base, sweep_cycles=cycles)
    jobs = [
        job(rng, always=1, rows=8, out_h=4, out_w=11),   # partly outside: 2 x 4 tiles
        job(rng, always=1, rows=9, out_h=7, out_w=9),
        job(rng, vector=1, rows=3),
        job(rng, vector=1, always=1, rows=2),
        job(rng, vector=1, per_neuron=1, rows=3),
        job(rng, always=1, per_neuron=1, rows=2, out_h=2, out_w=5),
        job(rng, cuba=1, rows=3, state_base=0, membrane_base=16),
        job(rng, cuba=1, vector=1, per_neuron=1, rows=2, state_base=40),
        job(rng, op=Op.INIT, rows=9),
        job(rng, op=Op.INIT, fill=1, rows=10, state_base=0),
        job(rng, rows=64, state_base=0),
        job(rng, op=Op.INIT, rows=64, state_base=0),
        job(rng, rows=64, state_base=0),
    ]
    run(spec, jobs, oracle)


def test_every_bank_of_a_block_keeps_it_dirty(monkeypatch):
    # Only one bank's turn of one row leaves a state.
    rng = random.Random(7)
    for row, bank in ((0, 0), (3, 8), (15, 4)):
        for fields in ({"op": Op.INIT, "fill": 1}, {"per_neuron": 1, "always": 1}):
            monkeypatch.setitem(globals(), "spikes_of", lambda turn, r, b, at=(row, bank): (
                0, (r, b) == at or (turn == 2 and r == at[0])))
            oracle = Oracle()
            results = run(SPEC, [job(rng, state_base=0, **fields), job(rng, state_base=0)], oracle)
            assert len(results[1][0]) == BLOCK


@pytest.mark.parametrize("cycles", [1, 2, 3, 6, 18])
def test_rate_of_rows(cycles):
    oracle, rng = Oracle(), random.Random(3)
    for base in (WIDE, replace(WIDE, overlap=False)) if cycles == 3 else (ALONE, SPEC):
        spec, notice = replace(base, sweep_cycles=cycles), NOTICE * base.overlap
        times, total = run(spec, [job(rng, vector=1, rows=40, state_base=0)], oracle)[0]
        period = cycles if cycles < BANKS else cycles + 8 + notice
        assert {b - a for a, b in pairwise(times)} == {period}
        assert times[0] == spec.parameter_rows + 1 + notice
        assert total <= spec.parameter_rows + 40 * period + cycles + 13 + notice


def test_parameters_are_checked():
    with pytest.raises(TypeError, match=r"^Sweep parameters must be a MegaSpec, not \(\)$"):
        SweepControl(())

# amaranth: UnusedElaboratable=no
"""The engine alone, in Amaranth's simulator: no compiler, a few seconds for all of it."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from neurogen.golden.network import run as golden
from neurogen.mapping.compile import compile_network
from neurogen.mapping.plan import gather_potentials, read_stream, stream_for
from neurogen.rtl.conv import ConvEngine
from neurogen.rtl.sweep_datapath import lif_latency
from neurogen.spec.conv import Conv
from neurogen.spec.events import END_OF_STEP, Events, control_word
from neurogen.spec.mega import BANKS, COUNTERS, MegaSpec, Op, Source, decode
from neurogen.testing.streams import collect, drive, simulate
from tests.mapping.networks import chain


SPEC = MegaSpec(lanes=2, weight_bits=4, state_bits=12, state_depth=64, weight_depth=64, spike_depth=64,
                program_depth=256, fraction_bits=(0, 2), sweep_cycles=2)
TICK = control_word(END_OF_STEP)


class Bench:
    """An engine, what drives it by hand, and what it has sent and counted."""

    def __init__(self, spec=SPEC):
        self.spec, self.dut, self.reset = spec, ConvEngine(spec), Signal()
        self.sent, self.counted = [], []

    @property
    def counts(self):
        """What each instruction has counted, by name, in the order of their ends."""
        return [dict(zip(COUNTERS, list(counts["values"]), strict=True)) for counts in self.counted]

    def run(self, host, words=(), cycles=20_000):
        """Run ``host(self)`` while events come as fast as they are taken."""
        dut = self.dut

        async def foreground(ctx):
            self.ctx = ctx
            await host(self)
        simulate(ResetInserter(self.reset)(dut), foreground, cycles=cycles, background=[
            drive(dut.i_events, words), collect(dut.o_events, self.sent), collect(dut.counts, self.counted)])
        return self

    async def tick(self, count=1):
        for _ in range(count):
            await self.ctx.tick()

    async def pulse(self, port):
        self.ctx.set(port, 1)
        await self.tick()
        self.ctx.set(port, 0)

    async def execute(self, step=0, tag=0, **fields):
        """Execute an instruction; return the cycles from ``execute`` to ``done``."""
        ctx, dut = self.ctx, self.dut
        ctx.set(dut.instruction, fields)
        ctx.set(dut.step, step)
        ctx.set(dut.tag, tag)
        await self.pulse(dut.execute)
        return 1 + await self.until(dut.done)

    async def until(self, flag):
        cycles = 0
        while not self.ctx.get(flag):
            await self.tick()
            cycles += 1
        return cycles

    async def load(self, image):
        """Write the rows of weights, ``[row, 9, total_lanes]``."""
        ctx, dut, lanes = self.ctx, self.dut, self.spec.lanes
        for cluster in range(self.spec.clusters):
            for tap in range(BANKS):
                ctx.set(dut.cluster, cluster)
                ctx.set(dut.bank, tap)
                ctx.set(dut.row, 0)
                await self.pulse(dut.place)
                for weight in image[:, tap, cluster * lanes:(cluster + 1) * lanes].flat:
                    ctx.set(dut.weight, int(weight) % (1 << self.spec.weight_bits))
                    await self.pulse(dut.weight_en)

    async def states(self, rows):
        """Return rows of the state memory, ``[rows, 9, total_lanes]``; there in four cycles or six."""
        ctx, dut, lanes = self.ctx, self.dut, self.spec.lanes
        found = np.zeros((rows, BANKS, self.spec.total_lanes), np.int64)
        for row in range(rows):
            ctx.set(dut.row, row)
            await self.pulse(dut.state_read)
            for number in range(found[0].size):
                bank, place = divmod(number, self.spec.total_lanes)
                ctx.set(dut.bank, bank)
                ctx.set(dut.cluster, place // lanes)
                ctx.set(dut.state_lane, place % lanes)
                await self.tick(3 + 2 * self.spec.staggered if number == 0 else 1 + self.spec.staggered)
                found[row, bank, place] = ctx.get(dut.state_data)
        return found


def integrate(height, width, channels=3, spec=SPEC, **fields):
    """Return the fields of a 3x3 convolution with padding; `map_of` reads its states."""
    return {"op": Op.INTEGRATE, "source": Source.STREAM, "in_channels": channels, "in_h": height,
            "in_w": width, "kernel": 3, "pad_y": 1, "pad_x": 1, "subs": 1, "words_per_channel": 1, "ops": 1,
            "groups": 1, "group_rows": rows_of(height, width), "last_lanes": spec.total_lanes,
            "out_h": height, "out_w": width, "out_tiles_x": -(-width // 3)} | fields


def rows_of(height, width):
    return -(-height // 3) * -(-width // 3)


def map_of(states, height, width):
    """Return the potentials of a map in states, ``[lanes, height, width]``."""
    y, x = np.mgrid[:height, :width]
    return states[y // 3 * -(-width // 3) + x // 3, 3 * (y % 3) + x % 3].transpose(2, 0, 1)


def kernels(spec, channels=3, seed=0):
    """Return weights ``[channel, ky, kx, lane]``, all of them different from each other where they can be."""
    return np.random.default_rng(seed).integers(-7, 8, (channels, 3, 3, spec.total_lanes))


def image(weights):
    return weights.reshape(len(weights), BANKS, -1)[:, ::-1]  # tap row i holds kernel row 2 - i


def summed(weights, events, height, width):
    """Return the potentials after events, one weight after the other."""
    v = np.zeros((weights.shape[-1], height + 2, width + 2), np.int64)
    for c, y, x in events:
        v[:, y:y + 3, x:x + 3] += weights[c, ::-1, ::-1].transpose(2, 0, 1)
    return v[:, 1:-1, 1:-1]


def packed(events):
    return [x | y << 9 | c << 18 for c, y, x in events] + [TICK]


def some(count):
    return [(k % 3, k % 8, 3 * k % 8) for k in range(count)]


def check_sums(height, width, *runs, spec=SPEC, **fields):
    """Compare a map after an INTEGRATE of each run's events at full speed; return the map of each."""
    weights, found = kernels(spec), []

    async def host(bench):
        await bench.load(image(weights))
        for _ in runs:
            await bench.execute(op=Op.INIT, rows=rows_of(height, width))
            await bench.execute(**integrate(height, width, spec=spec, **fields))
            await bench.until(bench.dut.idle)  # with `idle`, the last sum is there
            found.append(map_of(await bench.states(rows_of(height, width)), height, width))

    bench = Bench(spec).run(host, [word for events in runs for word in packed(events)])
    assert [counts["events"] for counts in bench.counts[1::2]] == [len(events) for events in runs]
    if fields.get("kernel") == 1:  # the last tap is all that it has
        weights[:, 1, 1], weights[:, ::2], weights[:, 1, ::2] = weights[:, 0, 0].copy(), 0, 0
    for number, (events, sums) in enumerate(zip(runs, found, strict=True)):
        assert (sums == summed(weights, events, height, width)).all(), number
        assert sums.any()
    return found


# -- Sums ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("frugal", [False, True])
def test_operations_on_one_word_at_a_distance(frugal):
    # Between two events on one word there are some on others: what is forwarded depends on the distance.
    others, runs = [(1, 0, 0), (2, 0, 7), (0, 7, 0)], []
    for distance in (1, 2, 3, 4):
        runs.append([event for k in range(8) for event in ((k % 3, 4, 4), *others[:distance - 1])])
        # Events side by side share some words and not others: banks write in one operation, not in the next.
        runs[-1] += [(k % 3, 4, 3 + k % (distance + 1)) for k in range(20)]
    check_sums(8, 8, *runs, spec=replace(SPEC, frugal=frugal))


def test_banks_without_a_tap_are_left_alone():
    # Of a 1x1 kernel, eight banks have the row of their neighbour, and do not write it.
    events = np.random.default_rng(2).integers(0, (3, 5, 5), (90, 3)).tolist()
    check_sums(8, 9, events, kernel=1, pad_y=0, pad_x=0)


def test_events_at_every_place_of_a_map():
    places = [(c, y, x) for y in range(7) for x in range(8) for c in range(3)]
    events = [places[k] for k in np.random.default_rng(1).permutation(len(places))]
    found, = check_sums(7, 8, events, spec=replace(SPEC, clusters=2))
    assert len(np.unique(found)) > 20


def test_idle_means_that_the_last_sum_is_in_memory():
    check_sums(8, 8, [(0, 4, 4)], [(0, 0, 0)])  # what is written last is read at once


def test_after_a_reset_another_run_gives_the_same():
    # The engine is reset in the middle of events, at several places of its pipeline, and of a sweep.
    weights, rows, found = kernels(SPEC), rows_of(8, 8), []

    async def host(bench):
        await bench.load(image(weights))
        for cycles in (1, 9, 11, 12, 13):
            bench.ctx.set(bench.dut.instruction, integrate(8, 8))
            await bench.pulse(bench.dut.execute)
            await bench.tick(cycles)
            await bench.pulse(bench.reset)
            assert bench.ctx.get(bench.dut.done)
            await bench.execute(op=Op.INIT, rows=rows)
            await bench.until(bench.dut.idle)
            found.append(await bench.states(rows))

    Bench().run(host, packed(some(400)))
    assert not np.any(found)


# -- Whole layers ----------------------------------------------------------------------------------------

LAYERS = {
    "3x3": ((2, 8, 7), {"kernel": 3, "padding": 1}, {}),
    "3x3 stride 2": ((2, 9, 8), {"kernel": 3, "stride": 2, "padding": 1}, {}),
    "5x5 stride 2": ((1, 9, 10), {"kernel": 5, "stride": 2, "padding": 2}, {}),
    "5x5": ((1, 7, 8), {"kernel": 5, "padding": 0}, {"overlap": False}),
    "oblong padding": ((2, 6, 8), {"kernel": 3, "padding": (2, 0)}, {"sweep_cycles": 1}),
    "1x1, 2 clusters": ((4, 5, 7), {"kernel": 1}, {"clusters": 2, "sweep_cycles": 6}),
    "frugal": ((3, 9, 9), {"kernel": 3, "padding": 1}, {"frugal": True, "lanes": 4}),
    "frugal and staggered": ((3, 8, 7), {"kernel": 3, "padding": 1},
                             {"sweep_cycles": 3, "staggered": True, "frugal": True}),
    "frugal, 1x1": ((4, 5, 7), {"kernel": 1},
                    {"frugal": True, "overlap": False, "weight_registers": True, "fraction_bits": (0, 2)}),
    "staggered": ((3, 7, 8), {"kernel": 3, "padding": 1}, {"sweep_cycles": 3, "staggered": True}),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_equal_golden(name):
    shape, synapse, changes = LAYERS[name]
    spec, rng = replace(SPEC, **changes), np.random.default_rng(len(name))
    kernel = synapse["kernel"]
    conv = Conv(weight=rng.integers(-3, 6, (5, shape[0], kernel, kernel)),
                **{key: value for key, value in synapse.items() if key != "kernel"})
    network = chain(shape, conv, state_bits=12, fraction_bits=2, threshold=rng.integers(16, 40, 5),
                    v_lo=-400, v_hi=400)
    network.check_widths()
    part, = compile_network(network, spec).passes
    place, = part.placements
    events, steps = {"input": Events.from_counts(rng.random((4, *shape)) < 0.25)}, 4
    wanted, found = golden(network, events), []

    async def host(bench):
        await bench.load(part.weights)
        for step in range(steps):
            for number, ins in enumerate(part.instructions):
                if step == 0 or not ins.fields.get("once"):
                    await bench.execute(step, number, **decode(spec, encoded[number]))
            if step == 1:  # a look at the states changes nothing of what follows
                await bench.until(bench.dut.idle)
                await bench.states(1)
        await bench.until(bench.dut.idle)
        found.append(await bench.states(place.membrane_base + place.rows))

    encoded = part.program.reshape(len(part.instructions), -1)
    bench = Bench(spec).run(host, [int(word) for word in stream_for(part, events)])
    spikes = read_stream(part, np.array(bench.sent, np.uint32), steps)["lif0"]
    assert len(spikes) > 30
    assert (spikes.counts() == wanted.spikes["lif0"].counts()).all()
    assert (gather_potentials(part, found[0])["lif0"] == wanted.potentials["lif0"][-1]).all()
    assert sorted({c["tag"] for c in bench.counted}) == list(range(len(part.instructions)))
    total = {name: sum(counts[name] for counts in bench.counts) for name in COUNTERS}
    assert total["events"] == wanted.events_in["conv0"].sum()
    assert total["sops"] == wanted.sops["conv0"].sum()
    assert total["spikes"] == len(spikes)


# -- Cycles ----------------------------------------------------------------------------------------------

def counted(spec, *programs, words=()):
    """Return, of the last instruction of each program: cycles to ``done`` and ``idle``, counts, words sent.

    All weights are zero, as Amaranth's simulator starts. The last but one may go on beside the last.
    """
    found = []

    async def host(bench):
        for program in programs:
            await bench.until(bench.dut.idle)
            await bench.tick(3)  # for the last words
            sent = len(bench.sent)
            for fields in program:
                done = await bench.execute(**fields)
            idle = done + await bench.until(bench.dut.idle)
            await bench.tick(3)
            found.append((done, idle, bench.counts[-1], len(bench.sent) - sent))

    Bench(spec).run(host, words)
    return found


def sweep(rows, **fields):
    """Return the fields of a SWEEP in which every neuron fires: thresholds are zero."""
    return {"op": Op.SWEEP, "rows": rows, "weight_base": 40, "always": 1, "v_lo": -2000, "v_hi": 2000,
            "out_h": 12, "out_w": 12} | fields


VARIANTS = [replace(SPEC, sweep_cycles=cycles, overlap=overlap)
            for cycles, overlap in ((1, True), (2, True), (18, True), (2, False), (18, False))]
# A chunk that is not full, and other latencies.
VARIANTS += [replace(SPEC, lanes=4, sweep_cycles=3), replace(SPEC, sweep_cycles=3, staggered=True)]


@pytest.mark.parametrize("spec", VARIANTS,
                         ids=lambda spec: f"{spec.sweep_cycles}-{spec.overlap}-{spec.staggered}")
def test_documented_cycles(spec):
    beside = int(spec.overlap)
    layers = [(1, 1), (1, 2), (30, 1), (30, 2)]
    words = [word for events, _ in layers for word in packed(some(events))]
    scan = {"tiles": 16, "tiles_x": 4}
    emit = {"op": Op.EMIT, **scan, "tick": 1}
    found = iter(counted(
        spec, *([integrate(8, 8, spec=spec, ops=ops, groups=ops)] for _, ops in layers),
        [sweep(1)], [sweep(9)], [emit | {"rows": 1}], [emit | {"rows": 9, "tick": 0}],
        [integrate(12, 12, spec=spec, source=Source.SPIKES, rows=9, **scan)], words=words))

    for events, ops in layers:
        done, idle, counts, _ = next(found)
        assert counts["cycles"] == events * ops + 7 + 2 * beside
        assert (done, idle) == (counts["cycles"] + 3, counts["cycles"] + 5)

    pipelined = spec.sweep_cycles < 9
    a_row = spec.sweep_cycles + (0 if pipelined else 8 + 3 * beside)
    for rows in (1, 9):
        done, idle, counts, _ = next(found)
        assert counts["cycles"] == rows * a_row + spec.parameter_rows + (
            lif_latency(spec) + 8 + 4 * beside if pipelined else 3 + beside)
        assert (done, idle) == (3 if spec.overlap else idle - 1, counts["cycles"] + 4)

    for rows, tick in ((1, 1), (9, 0)):
        done, idle, counts, sent = next(found)
        assert sent == 1 + 9 * rows * spec.total_lanes + tick
        assert counts["cycles"] == sent + 11 + beside
        assert (done, idle) == (3 if spec.overlap else idle - 1, counts["cycles"] + 4)

    done, _, counts, _ = next(found)
    assert counts["events"] == 9 * 9 * spec.total_lanes
    assert counts["cycles"] == counts["events"] + 16 + 2 * beside
    assert done == counts["cycles"] + 3


@pytest.mark.parametrize("lanes, cycles, staggered, taken", [
    (2, 1, False, 1), (2, 2, False, 1), (4, 3, False, 1), (2, 6, False, 1), (8, 5, False, 1),
    (8, 7, False, 2), (2, 3, True, 1)])
def test_operations_beside_a_sweep_wait_for_its_ports(lanes, cycles, staggered, taken):
    spec = replace(SPEC, lanes=lanes, sweep_cycles=cycles, staggered=staggered)
    words = packed(some(170))
    found = counted(spec, *([sweep(rows, state_base=32, spike_base=32), integrate(8, 8, spec=spec)]
                            for rows in (16, 24)), words=[*words, *words])
    few, many = (counts for _, _, counts, _ in found)
    for counts in (few, many):
        assert counts["cycles"] == 170 + 9 + counts["waiting"]
    assert many["waiting"] - few["waiting"] == (24 - 16) * taken


def test_spikes_are_cleared_before_what_follows():
    spec = replace(SPEC, spike_depth=1024, sweep_cycles=1)  # clearing takes longer than a short sweep
    (_, _, _, sent), = counted(spec, [
        {"op": Op.INIT, "spikes": 1, "rows": 1024}, sweep(9),
        {"op": Op.EMIT, "rows": 9, "tiles": 16, "tiles_x": 4, "tick": 1}])
    assert sent == 1 + 9 * 9 * spec.total_lanes + 1


def test_spikes_are_cleared_up_to_the_last_block():
    clear = {"op": Op.INIT, "spikes": 1}
    emit = {"op": Op.EMIT, "tiles": 16, "tiles_x": 4, "rows": 16, "tick": 1}
    found = counted(SPEC, [sweep(16), clear | {"rows": 16}, emit], [sweep(16), clear | {"rows": 8}, emit])
    assert [sent for *_, sent in found] == [2, 2 + 8 * 9 * SPEC.total_lanes]


def test_events_mark_the_blocks_that_they_touch():
    # A line of 48 pixels is two blocks of eight tiles.
    touched = {(4, 4): 1, (2, 4): 2, (4, 23): 2, (4, 24): 2, (3, 23): 4, (5, 24): 4}
    spec = replace(SPEC, state_depth=128, spike_depth=128)
    dirty = sweep(64, always=0, out_h=12, out_w=48)
    programs = [{"op": Op.INIT, "rows": 128}, integrate(12, 48, spec=spec), dirty], [dirty]
    found = counted(spec, *programs * len(touched),
                    words=[word for event in touched for word in packed([(0, *event)])])
    rows = [counts["rows"] for _, _, counts, _ in found]
    assert dict(zip(touched, rows[::2], strict=True)) == {at: 8 * blocks for at, blocks in touched.items()}
    assert not any(rows[1::2])


def test_slots_of_a_ring():
    ring = {"rows": 8, "ring_mask": 3, "ring_stride": 8, "step": 6}
    emit = {"op": Op.EMIT, "tiles": 8, "tiles_x": 4, "tick": 1}
    others = [[emit | {"rows": 8, "spike_base": 8 * slot}] for slot in (1, 2, 3)]
    found = counted(SPEC, [{"op": Op.INIT, "spikes": 1, "rows": 64}, sweep(8) | ring | {"ring_phase": 3},
                           emit | ring], *others)
    # Slot (6 + 3) % 4; without the phase it would be 2. Two words are there always.
    assert [sent - 2 for *_, sent in found] == [0, 8 * 9 * SPEC.total_lanes, 0, 0]


def test_events_wait_for_the_rows_that_are_swept():
    spec = replace(SPEC, state_depth=128, spike_depth=128)
    layers = [[sweep(64, out_w=48), integrate(12, 48, spec=spec)] for _ in range(3)]
    layers.append([sweep(64, out_w=48, state_base=64), integrate(12, 48, spec=spec)])
    words = [word for event in ((0, 1, 1), (0, 5, 46), (0, 11, 47), (0, 4, 4)) for word in packed([event])]
    first, middle, last, other = (done for done, *_ in counted(spec, *layers, words=words))
    # A sweep takes two cycles a row, and frees blocks of eight; without one, 13 cycles are enough.
    assert other < 20 < first < 80 < middle < 140 < last < 160

# amaranth: UnusedElaboratable=no

from dataclasses import replace

import numpy as np
import pytest

import neurogen.rtl.conv
from neurogen.rtl.cluster import Cluster
from neurogen.spec.mega import BANKS, Op
from tests.rtl.test_conv import SPEC, Bench, image, integrate, kernels, map_of, packed, rows_of, summed


HEIGHT, WIDTH = 6, 9


def traffic(monkeypatch, spec, events):
    """Return reads and writes of banks during one INTEGRATE, and whether the sums are right."""
    made, counts, found = [], [0, 0], []

    def remember(spec):
        made.append(Cluster(spec))
        return made[-1]

    monkeypatch.setattr(neurogen.rtl.conv, "Cluster", remember)
    weights = kernels(spec)

    async def host(bench):
        await bench.load(image(weights))
        await bench.execute(op=Op.INIT, rows=rows_of(HEIGHT, WIDTH))
        await bench.until(bench.dut.idle)
        counting.append(True)
        await bench.execute(**integrate(HEIGHT, WIDTH, spec=spec))
        await bench.until(bench.dut.idle)
        counting.clear()
        found.append(map_of(await bench.states(rows_of(HEIGHT, WIDTH)), HEIGHT, WIDTH))

    counting = []
    bench = Bench(spec)
    plain = bench.tick

    async def tick(cycles=1):
        for _ in range(cycles):
            (cluster,) = made
            if counting:
                frugal = spec.frugal
                counts[0] += (bench.ctx.get(cluster.read.banks.as_value()).bit_count() if frugal
                              else BANKS * bench.ctx.get(cluster.read.states))
                written = cluster.add.store if frugal else cluster.add.write
                counts[1] += bench.ctx.get(written.as_value()).bit_count()
            await plain(1)

    bench.tick = tick
    bench.run(host, packed(events))
    return *counts, (found[0] == summed(weights, events, HEIGHT, WIDTH)).all()


def changes(events):
    """Return how often banks get to another word, by a model of its own: no registers, no pipeline."""
    words, reads = [None] * BANKS, 0
    for _, y, x in events:
        for v in range(max(0, y - 1), min(HEIGHT, y + 2)):
            for u in range(max(0, x - 1), min(WIDTH, x + 2)):
                bank, word = v % 3 * 3 + u % 3, (v // 3, u // 3)
                reads += words[bank] != word
                words[bank] = word
    return reads


@pytest.mark.parametrize("order", ["raster", "one pixel"])
def test_a_word_is_read_and_written_once_for_neighbouring_events(monkeypatch, order):
    pixels = [(y, x) for y in range(2, 4) for x in range(1, 8)] if order == "raster" else [(3, 4)] * 12
    events = [(c, y, x) for y, x in pixels for c in range(3)]
    frugal = traffic(monkeypatch, replace(SPEC, frugal=True), events)
    plain = traffic(monkeypatch, SPEC, events)
    assert frugal[2] and plain[2]
    assert plain[:2] == (BANKS * len(events),) * 2
    assert frugal[:2] == (changes(events),) * 2
    assert frugal[0] * 5 < plain[0]


def test_banks_outside_the_map_are_left_alone(monkeypatch):
    rng = np.random.default_rng(3)
    places = rng.permutation([(y, x) for y in (0, HEIGHT - 1) for x in (0, WIDTH - 1)]).tolist()
    events = [(k % 3, *places[k % 4]) for k in range(16)]  # corners: four of nine banks each
    frugal = traffic(monkeypatch, replace(SPEC, frugal=True), events)
    assert frugal == (4 * 16, 4 * 16, True)

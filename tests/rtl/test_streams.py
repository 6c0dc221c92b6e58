# amaranth: UnusedElaboratable=no

import random

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import data
from amaranth.sim import Simulator

from neurogen.rtl.streams import Queue, SkidBuffer, pipe


LAYOUT = data.StructLayout({"neuron": 4, "weight": 4})
STAGES = {
    "skid": lambda: SkidBuffer(16),
    "frugal skid": lambda: SkidBuffer(16, frugal=True),
    **{f"queue-{depth}": (lambda depth=depth: Queue(16, depth)) for depth in (1, 2, 3, 4, 5, 16)},
}


def transfer(dut, words, *, idle=0.0, backpressure=0.0, seed=0):
    """Send ``words`` through ``dut``; return what came out, and in which cycles words went in and out."""
    rng = random.Random(seed)
    received, entered, left = [], [], []

    async def bench(ctx):
        waiting, offering, offered, cycle = list(words), False, None, 0
        while len(received) < len(words):
            assert cycle < 100 * len(words) + 100
            offering = bool(waiting) and (offering or rng.random() >= idle)
            ctx.set(dut.i.valid, offering)
            ctx.set(dut.i.payload, waiting[0] if waiting else words[0])
            ctx.set(dut.o.ready, rng.random() >= backpressure)
            if isinstance(dut, Queue):
                inside = len(entered) - len(left)
                assert ctx.get(dut.level) == inside - ctx.get(dut.o.valid)
                assert ctx.get(dut.i.ready) == (ctx.get(dut.level) < dut.depth)
            _, _, ready, valid, taken, word = await ctx.tick().sample(
                dut.i.ready, dut.o.valid, dut.o.ready, dut.o.payload)
            if offered is not None:
                assert valid and word == offered, "a word was withdrawn or changed"
            offered = word if valid and not taken else None
            if offering and ready:
                entered.append(cycle)
                waiting.pop(0)
                offering = False
            if valid and taken:
                left.append(cycle)
                received.append(word)
            cycle += 1

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return received, entered, left


@pytest.mark.parametrize("idle", [0.0, 0.5])
@pytest.mark.parametrize("backpressure", [0.0, 0.6])
@pytest.mark.parametrize("make", STAGES.values(), ids=STAGES)
def test_words_stay_in_order(make, idle, backpressure):
    words = [random.Random(7).randrange(1 << 16) for _ in range(100)]
    assert transfer(make(), words, idle=idle, backpressure=backpressure)[0] == words


@pytest.mark.parametrize("make", STAGES.values(), ids=STAGES)
def test_one_word_per_cycle(make):
    _, entered, left = transfer(make(), range(50))
    assert entered == list(range(50))
    latency = left[0] - entered[0]
    assert left == [cycle + latency for cycle in entered]
    dut = make()
    assert latency == (1 if isinstance(dut, SkidBuffer) or dut.depth == 1 else 2)


@pytest.mark.parametrize("make", STAGES.values(), ids=STAGES)
def test_capacity(make):
    dut, accepted = make(), []

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        for _ in range(40):
            _, _, ready = await ctx.tick().sample(dut.i.ready)
            accepted.append(ready)
        if isinstance(dut, Queue):
            assert ctx.get(dut.level) == dut.depth

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert sum(accepted) == (2 if isinstance(dut, SkidBuffer) else dut.depth + 1)
    assert not accepted[-1]


@pytest.mark.parametrize("make", STAGES.values(), ids=STAGES)
def test_reset_empties(make):
    dut, reset = make(), Signal()

    async def bench(ctx):
        ctx.set(dut.i.valid, 1)
        for _ in range(10):
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        ctx.set(dut.o.ready, 1)
        for _ in range(10):
            _, _, valid, ready = await ctx.tick().sample(dut.o.valid, dut.i.ready)
            assert not valid and ready

    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("make", STAGES.values(), ids=STAGES)
def test_no_combinational_path(make):
    dut, rng = make(), random.Random(3)

    async def bench(ctx):
        for _ in range(60):
            seen = set()
            for valid, ready in [(0, 0), (0, 1), (1, 1), (1, 0), (rng.getrandbits(1), rng.getrandbits(1))]:
                ctx.set(dut.i.valid, valid)
                ctx.set(dut.o.ready, ready)
                seen.add((ctx.get(dut.i.ready), ctx.get(dut.o.valid)))
            assert len(seen) == 1
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("make", [lambda: SkidBuffer(LAYOUT), lambda: Queue(LAYOUT, 1),
                                  lambda: Queue(LAYOUT, 4)])
def test_structured_payloads(make):
    words = [{"neuron": i, "weight": 15 - i} for i in range(5)]
    received, _, _ = transfer(make(), words)
    assert [{"neuron": word.neuron, "weight": word.weight} for word in received] == words


def test_verilog_ports():
    text = verilog.convert(Queue(LAYOUT, 4), name="queue", emit_src=False)
    for port in ("input [7:0] i__payload;", "output [7:0] o__payload;", "output [2:0] level;"):
        assert port in text


def test_pipe_connects_equal_shapes_only():
    m = Module()
    source = SkidBuffer(LAYOUT)
    pipe(m, source.o, SkidBuffer(LAYOUT).i)
    for sink in (SkidBuffer(data.StructLayout({"weight": 4, "neuron": 4})), SkidBuffer(7)):
        with pytest.raises(TypeError, match=r"^Cannot connect a stream of StructLayout.* to a stream of "):
            pipe(m, source.o, sink.i)


@pytest.mark.parametrize("build, message", [
    (lambda: Queue(8, 0), "Queue depth must be at least 1 words, not 0"),
    (lambda: Queue(0, 4), "Payload width must be at least 1 bits, not 0"),
    (lambda: SkidBuffer(range(1)), "Payload width must be at least 1 bits, not 0"),
])
def test_wrong_parameters(build, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        build()

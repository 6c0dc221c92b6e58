# amaranth: UnusedElaboratable=no

import random
from itertools import pairwise

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from neurogen.rtl.qdi.borders import AerSender
from neurogen.rtl.qdi.library import make_block
from neurogen.testing.streams import collect, drive, random_pauses, simulate


EVENTS = [random.Random(1).randrange(1 << 6) for _ in range(40)]


@pytest.mark.parametrize("patience", [0, 7], ids=["prompt", "slow"])
def test_port_receives_each_event_of_a_sender_of_any_speed(patience):
    dut, received = make_block("aer_port", width=6), []
    rng = random.Random(patience)

    async def sender(ctx):
        async def until(level):
            while ctx.get(dut.i.ack) != level:
                await ctx.tick()
            for _ in range(rng.randint(0, patience)):
                await ctx.tick()
        for event in EVENTS:
            await until(0)
            ctx.set(dut.i.data, event)
            ctx.set(dut.i.req, 1)
            await until(1)
            ctx.set(dut.i.data, rng.randrange(1 << 6))  # nobody may look at it any more
            ctx.set(dut.i.req, 0)

    simulate(dut, sender, collect(dut.o, received, random_pauses(3, 0.5), count=len(EVENTS)), cycles=4000)
    assert received == EVENTS


@pytest.mark.parametrize("patience", [0, 7], ids=["prompt", "slow"])
def test_sender_speaks_four_phases(patience):
    dut, received = AerSender(6), []
    rng = random.Random(patience)

    async def receiver(ctx):
        async def until(level):
            while ctx.get(dut.o.req) != level:
                await ctx.tick()
            return [ctx.get(dut.o.data) for _ in range(1 + rng.randint(0, patience)) if await ctx.tick() or 1]
        while len(received) < len(EVENTS):
            seen = await until(1)
            assert len(set(seen)) == 1, "data changed during the request"
            received.append(seen[0])
            ctx.set(dut.o.ack, 1)
            await until(0)
            ctx.set(dut.o.ack, 0)

    simulate(dut, receiver, drive(dut.i, EVENTS, random_pauses(4, 0.5)), cycles=4000)
    assert received == EVENTS


def test_an_event_takes_fourteen_cycles():
    m, received, cycles = Module(), [], []
    m.submodules.sender = sender = AerSender(6)
    m.submodules.port = port = make_block("aer_port", width=6)
    wiring.connect(m, sender.o, port.i)

    async def bench(ctx):
        ctx.set(port.o.ready, 1)
        for cycle in range(300):
            valid, event = ctx.get(port.o.valid), ctx.get(port.o.payload)
            if valid:
                received.append(event)
                cycles.append(cycle)
            await ctx.tick()

    simulate(m, bench, background=[drive(sender.i, EVENTS)], cycles=400)
    assert received == EVENTS[:len(received)]
    assert {b - a for a, b in pairwise(cycles)} == {14}

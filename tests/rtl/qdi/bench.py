"""Random stalls around a block, and what must hold in every cycle."""

import random
from dataclasses import dataclass, field

from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator


@dataclass
class Seen:
    """What a run has shown."""

    outs: dict
    taken: dict
    order: list = field(default_factory=list)  # inputs in the order in which their tokens were taken
    cycles: int = 0


def _look(ctx, dut, names, *members):
    return {name: tuple(ctx.get(getattr(getattr(dut, name), member)) for member in members) for name in names}


def _probe(ctx, dut, ins, outs, readies, rng):
    """Check that outputs do not depend on ``ready``, and that only declared paths exist."""
    shown = _look(ctx, dut, outs, "valid", "payload")
    asked = _look(ctx, dut, ins, "ready")
    paths = dut.paths(**dut.parameters)
    for o in outs:
        ctx.set(getattr(dut, o).ready, not readies[o])
        assert _look(ctx, dut, outs, "valid", "payload") == shown, f"an output depends on {o}.ready"
        for i, ready in _look(ctx, dut, ins, "ready").items():
            assert ready == asked[i] or (o, i) in paths.backward, f"{i}.ready depends on {o}.ready"
        ctx.set(getattr(dut, o).ready, readies[o])
    for i in ins:
        stream = getattr(dut, i)
        before = ctx.get(stream.valid), ctx.get(stream.payload)
        ctx.set(stream.valid, not before[0])
        ctx.set(stream.payload, rng.getrandbits(len(stream.payload)))
        for o, now in _look(ctx, dut, outs, "valid", "payload").items():
            same = now == shown[o] or not (now[0] or shown[o][0])
            assert same or (i, o) in paths.forward, f"{o} depends on {i}"
        ctx.set(stream.valid, before[0])
        ctx.set(stream.payload, before[1])


def run_block(dut, tokens, *, seed=0, idle=0.0, backpressure=0.0, one_at_a_time=False, cycles=2000,
              blocked=(), probing=0.3):
    """Offer ``tokens`` (by input), take what comes until nothing moves for 30 cycles; return what was `Seen`.

    ``one_at_a_time`` offers a token to one input only; ``blocked`` outputs are never taken.
    """
    rng = random.Random(seed)
    ins, outs = list(dut._inputs), list(dut._outputs)
    seen = Seen({name: [] for name in outs}, dict.fromkeys(ins, 0))

    async def bench(ctx):
        offering = dict.fromkeys(ins, False)
        waiting = {}
        quiet = 0
        while quiet < 30 and seen.cycles < cycles:
            for name in ins:
                left = seen.taken[name] < len(tokens[name])
                alone = not one_at_a_time or not any(offering.values())
                offering[name] = left and (offering[name] or (alone and rng.random() >= idle))
                ctx.set(getattr(dut, name).valid, offering[name])
                ctx.set(getattr(dut, name).payload,
                        tokens[name][seen.taken[name]] if offering[name] else rng.getrandbits(1))
            readies = {name: name not in blocked and rng.random() >= backpressure for name in outs}
            for name in outs:
                ctx.set(getattr(dut, name).ready, readies[name])
            if rng.random() < probing:
                _probe(ctx, dut, ins, outs, readies, rng)
            now = _look(ctx, dut, outs, "valid", "payload")
            for name, token in waiting.items():
                assert now[name] == (1, token), f"{name}: {token} was withdrawn or changed to {now[name]}"
            accepted = _look(ctx, dut, ins, "ready")
            await ctx.tick()
            seen.cycles += 1
            quiet += 1
            waiting = {name: token for name, (valid, token) in now.items() if valid and not readies[name]}
            for name, (valid, token) in now.items():
                if valid and readies[name]:
                    seen.outs[name].append(token)
                    quiet = 0
            for name in ins:
                if offering[name] and accepted[name][0]:
                    seen.taken[name] += 1
                    seen.order.append(name)
                    offering[name], quiet = False, 0

    m = Module()
    m.submodules.dut = dut
    m.d.sync += Signal().eq(1)  # many blocks have no register, and would have no clock
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen

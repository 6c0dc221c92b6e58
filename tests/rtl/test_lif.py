# amaranth: UnusedElaboratable=no

import random
from fractions import Fraction
from math import trunc

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from neurogen.rtl.lif import EventKind, LifArray
from neurogen.rtl.lif_datapath import LifDatapath
from neurogen.spec.lif import Lif, Reset
from neurogen.spec.mega import ResetMode


def step(s, threshold, leak, reset_value, *, reset, leaky, fire, lo, hi):
    """The contract, naively: next potential, spike."""
    spike = bool(fire and reset != ResetMode.NONE and s >= threshold)
    u = s
    if spike:
        u = s - threshold if reset == ResetMode.SUBTRACT else reset_value
    d = trunc(Fraction(u * (4096 - leak), 4096)) if leaky else u
    return min(max(d, lo), hi), spike


def random_vector(rng, lanes, bits):
    """Inputs of one cycle of a data path: controls, and a list of values per lane."""
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    control = {"reset": rng.choice(list(ResetMode)), "leaky": rng.random() < 0.7,
               "fire": rng.random() < 0.8, "lo": rng.choice([low, rng.randint(low, 0), 0]),
               "hi": rng.choice([high, rng.randint(0, high), 0])}
    lane_values = []
    for _ in range(lanes):
        threshold = rng.choice([1, rng.randint(1, high), high, low, rng.randint(low, high)])
        s = rng.choice([rng.randint(low, high), threshold, max(threshold - 1, low), low, high, 0, -1,
                        control["lo"], control["hi"], rng.randint(-9, 9)])
        if control["reset"] == ResetMode.SUBTRACT and s >= threshold:
            s = min(s, high + threshold)  # a difference beyond the width has no meaning
        addend = rng.randint(max(low, s - high), min(high, s - low))
        leak = rng.choice([0, 1, 4096, 4095, rng.randint(0, 4096), 2048]) % (1 << bits)
        lane_values.append({"v": s - addend, "addend": addend, "threshold": threshold, "leak": leak,
                            "reset_value": rng.randint(low, high)})
    return control, lane_values


@pytest.mark.parametrize("bits, registers, frugal", [
    (8, 0, False), (12, 2, False), (12, 0, True), (16, 1, False), (24, 2, True)])
def test_datapath_equals_the_contract(bits, registers, frugal):
    lanes, rng, seen = 3, random.Random(bits), set()
    dut = LifDatapath(lanes, bits, registers=registers, frugal=frugal)
    stimulus = [random_vector(rng, lanes, bits) for _ in range(600)]

    async def bench(ctx):
        for cycle in range(len(stimulus) + dut.latency):
            if cycle < len(stimulus):
                control, values = stimulus[cycle]
                for name, value in control.items():
                    ctx.set(getattr(dut, name), value)
                for lane, value in enumerate(values):
                    for name in value:
                        ctx.set(getattr(dut, name)[lane], value[name])
            if cycle >= dut.latency:
                control, values = stimulus[cycle - dut.latency]
                for lane, value in enumerate(values):
                    s = value["v"] + value["addend"]
                    v_next, spike = step(s, value["threshold"], value["leak"], value["reset_value"],
                                         **control)
                    got = (ctx.get(dut.integrated[lane]), ctx.get(dut.v_next[lane]),
                           ctx.get(dut.spike) >> lane & 1)
                    assert got == (s, v_next, spike), (control, value)
                    seen.update({("spike", control["reset"])} if spike else {"silent"})
                    seen.update({"at guard"} if v_next in (control["lo"], control["hi"]) else ())
                    seen.add(("exact", s == value["threshold"]))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == {("spike", ResetMode.SUBTRACT), ("spike", ResetMode.ZERO), "silent", "at guard",
                    ("exact", True), ("exact", False)}


@pytest.mark.parametrize("bits", [8, 16])
def test_sums_are_clipped(bits):
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    dut, rng, seen = LifDatapath(1, bits, saturate=True), random.Random(bits), set()
    stimulus = [(rng.choice([low, high, rng.randint(low, high)]),
                 rng.choice([low, high, rng.randint(low, high)]),
                 rng.choice([1, high, rng.randint(1, high)])) for _ in range(300)]

    async def bench(ctx):
        ctx.set(dut.fire, 1)
        ctx.set(dut.lo, low)
        ctx.set(dut.hi, high)
        for cycle in range(len(stimulus) + LifDatapath.LATENCY):
            for name, value in zip(("v", "addend", "threshold"), stimulus[min(cycle, len(stimulus) - 1)],
                                   strict=True):
                ctx.set(getattr(dut, name)[0], value)
            if cycle >= LifDatapath.LATENCY:
                v, addend, threshold = stimulus[cycle - LifDatapath.LATENCY]
                s = min(max(v + addend, low), high)
                seen.add((s > v + addend) - (s < v + addend))
                v_next, spike = step(s, threshold, 0, 0, reset=ResetMode.SUBTRACT, leaky=False, fire=True,
                                     lo=low, hi=high)
                assert (ctx.get(dut.integrated[0]), ctx.get(dut.v_next[0]), ctx.get(dut.spike)) == (
                    s, v_next, spike)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == {-1, 0, 1}


def test_datapath_keeps_its_outputs_without_valid_inputs():
    lanes, bits, rng = 2, 12, random.Random(3)
    dut = LifDatapath(lanes, bits)
    stimulus = [(rng.random() < 0.4, *random_vector(rng, lanes, bits)) for _ in range(150)]

    async def bench(ctx):
        changes = 0
        for cycle, (valid, control, values) in enumerate(stimulus):
            for name, value in {**control, "valid": valid}.items():
                ctx.set(getattr(dut, name), value)
            for lane, value in enumerate(values):
                for name in value:
                    ctx.set(getattr(dut, name)[lane], value[name])
            past = [entry[1:] for entry in stimulus[:max(0, cycle - LifDatapath.LATENCY + 1)] if entry[0]]
            if past:
                control, values = past[-1]
                for lane, value in enumerate(values):
                    s = value["v"] + value["addend"]
                    wanted = step(s, value["threshold"], value["leak"], value["reset_value"], **control)
                    assert ctx.get(dut.integrated[lane]) == s
                    assert (ctx.get(dut.v_next[lane]), ctx.get(dut.spike) >> lane & 1) == wanted
                changes += not stimulus[cycle - LifDatapath.LATENCY][0]
            await ctx.tick()
        assert changes > 30

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


SPECS = {
    "subtract": Lif(shape=(5,), threshold=40, decay=3000, bias=3, fraction_bits=2, state_bits=12,
                    v_lo=-500, v_hi=300, initial=-3),
    "zero":     Lif(shape=(2, 1, 2), threshold=9, decay=4096, reset=Reset.ZERO, reset_value=-7,
                    state_bits=8, v_lo=-60, v_hi=60),
    "forgets":  Lif(shape=(3,), threshold=5, decay=0, state_bits=8, v_lo=-30, v_hi=30, bias=1),
    "read-out": Lif(shape=(2,), threshold=1, reset=Reset.NONE, decay=4000, state_bits=16),
}


def random_events(spec, rng, *, count=400):
    """Events (neuron, weight), or None for a tick, that never overflow the state."""
    events, budget = [], 0
    room = (1 << spec.state_bits - 1) - max(spec.v_hi, -spec.v_lo) - abs(int(spec.bias)) - 1
    for _ in range(count):
        weight = rng.choice([rng.randint(-8, 7), rng.randint(0, 7)])
        budget += 8 << spec.fraction_bits
        if rng.random() < 0.12 or budget > room:
            events.append(None)
            budget = 0
        else:
            events.append((rng.choice([0, rng.randrange(spec.neurons)]), weight))
    return [*events, None]


def oracle(spec, events):
    v, spikes = [int(spec.initial)] * spec.neurons, []
    modes = {Reset.SUBTRACT: ResetMode.SUBTRACT, Reset.ZERO: ResetMode.ZERO, Reset.NONE: ResetMode.NONE}
    for event in events:
        if event:
            v[event[0]] += event[1] << spec.fraction_bits
            continue
        for n in range(spec.neurons):
            v[n], spike = step(v[n] + int(spec.bias), int(spec.threshold), 4096 - int(spec.decay),
                               int(spec.reset_value), reset=modes[spec.reset], leaky=True, fire=True,
                               lo=spec.v_lo, hi=spec.v_hi)
            spikes += [n] if spike else []
    return v, spikes


def run_array(spec, events, *, idle=0.0, stall=0.0, seed=0):
    """Potentials, spikes and cycles from the first event to the end."""
    dut, rng, spikes = LifArray(spec, weight_bits=4), random.Random(seed), []
    result = {}

    async def collect(ctx):
        while True:
            ctx.set(dut.o_spikes.ready, rng.random() >= stall)
            _, _, valid, ready, payload = await ctx.tick().sample(
                dut.o_spikes.valid, dut.o_spikes.ready, dut.o_spikes.payload)
            spikes.extend([payload] if valid and ready else [])

    async def bench(ctx):
        for _ in range(spec.neurons):
            assert not ctx.get(dut.i_events.ready) and ctx.get(dut.busy)
            await ctx.tick()
        cycles = 0
        for event in events:
            while rng.random() < idle:
                await ctx.tick()
                cycles += 1
            payload = {"kind": EventKind.TICK} if event is None else {
                "kind": EventKind.INTEGRATE, "neuron": event[0], "weight": event[1]}
            ctx.set(dut.i_events.payload, payload)
            ctx.set(dut.i_events.valid, 1)
            ready = False
            while not ready:
                assert cycles < 50_000
                _, _, ready = await ctx.tick().sample(dut.i_events.ready)
                cycles += 1
            ctx.set(dut.i_events.valid, 0)
        while ctx.get(dut.busy):
            await ctx.tick()
            cycles += 1
        v = []
        for n in range(spec.neurons):
            ctx.set(dut.r_neuron, n)
            await ctx.tick()
            v.append(ctx.get(dut.r_potential))
        result.update(v=v, cycles=cycles)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.add_testbench(collect, background=True)
    simulator.run()
    return result["v"], spikes, result["cycles"]


@pytest.mark.parametrize("idle, stall", [(0, 0), (0.4, 0), (0, 0.7)])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_array_equals_the_contract(spec, idle, stall):
    for seed in range(3):
        events = random_events(spec, random.Random(seed))
        v, spikes = oracle(spec, events)
        assert bool(spikes) == (spec.reset is not Reset.NONE)
        assert run_array(spec, events, idle=idle, stall=stall, seed=seed)[:2] == (v, spikes)
        # Not at the end of a step either.
        tail = [*events, (1, -5), (1, 3), (1, 1)]
        assert run_array(spec, tail, idle=idle, stall=stall)[0] == oracle(spec, tail)[0]


def test_array_cycles():
    spec = SPECS["subtract"]
    events = [(0, 1)] * 6 + [None] * 3 + [(1, 1)] * 2 + [None]
    assert run_array(spec, events)[2] == 8 + 4 * (spec.neurons + 5)


def test_potentials_start_at_their_initial_value():
    assert run_array(SPECS["subtract"], [])[0] == [-3] * 5


def test_wrong_parameters():
    with pytest.raises(TypeError, match=r"^LIF array parameters must be a Lif, not 8$"):
        LifArray(8)
    with pytest.raises(ValueError, match=r"^Lane count must be at least 1, not 0$"):
        LifDatapath(0, 12)
    with pytest.raises(ValueError, match=r"^State width must be between 4 and 32 bits, not 33$"):
        LifDatapath(1, 33)
    with pytest.raises(ValueError, match=r"^Parameter threshold of a LIF array must be one for the "
                                         r"layer, not of shape \(2,\)$"):
        LifArray(Lif(shape=(2,), threshold=[1, 2]))
    with pytest.raises(ValueError, match=r"^Neurons of a LIF array must be LIF neurons"):
        LifArray(Lif(shape=(2,), threshold=1, multi_spike=True))


def test_verilog_ports():
    text = verilog.convert(LifDatapath(2, 12), name="lif", emit_src=False)
    for port in ("input [11:0] v__0;", "input [11:0] leak__1;", "output [11:0] v_next__1;",
                 "input [1:0] reset;", "output [1:0] spike;", "output [11:0] integrated__0;", "input valid;",
                 "input [11:0] lo;"):
        assert port in text
    text = verilog.convert(LifArray(SPECS["subtract"], weight_bits=4), name="array", emit_src=False)
    for port in ("input [7:0] i_events__payload;", "output [2:0] o_spikes__payload;",
                 "input [2:0] r_neuron;", "output [11:0] r_potential;", "output busy;"):
        assert port in text
    assert "[-1:0]" not in text

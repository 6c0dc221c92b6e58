# amaranth: UnusedElaboratable=no

import os
import random
from pathlib import Path

import pytest
from amaranth.back import verilog
from amaranth.hdl import signed
from amaranth.sim import Simulator
from cocotb_tools.runner import get_results, get_runner

from neurogen.flow.tools import find_verilator
from neurogen.rtl.bus import (
    AxiLiteSignature,
    AxiLiteToWishbone,
    AxiStreamSignature,
    AxiStreamToStream,
    Response,
    StreamToAxiStream,
    WishboneSignature,
    last_layout,
)
from tests.rtl.bus_bench import System


class Axil:
    """Drive a bridge with channels that are independent of each other; a memory is on its bus."""

    def __init__(self, seed, *, idle, backpressure, wait):
        self.dut = AxiLiteToWishbone(addr_bits=10)
        self.rng = random.Random(seed)
        self.idle, self.backpressure, self.wait = idle, backpressure, wait
        self.memory, self.done = {}, {"b": [], "r": []}
        self.cycles, self.busy, self.turns = 0, 0, []

    def send(self, channel, items):
        """Return a bench that sends ``items``, dictionaries of members of a channel."""
        axi = self.dut.s_axil
        valid, ready = getattr(axi, f"{channel}valid"), getattr(axi, f"{channel}ready")

        async def bench(ctx):
            for item in items:
                while self.rng.random() < self.idle:
                    await ctx.tick()
                for name, value in item.items():
                    ctx.set(getattr(axi, channel + name), value)
                ctx.set(valid, 1)
                accepted = False
                while not accepted:
                    _, _, accepted = await ctx.tick().sample(ready)
                ctx.set(valid, 0)
        return bench

    def receive(self, channel, members):
        """Return a bench that collects the answers of a channel, and checks that they wait unchanged."""
        axi = self.dut.s_axil
        valid, ready = getattr(axi, f"{channel}valid"), getattr(axi, f"{channel}ready")
        signals = [getattr(axi, channel + name) for name in members]

        async def bench(ctx):
            waiting = None
            while True:
                ctx.set(ready, self.rng.random() >= self.backpressure)
                _, _, offered, taken, *answer = await ctx.tick().sample(valid, ready, *signals)
                assert waiting is None or (offered and answer == waiting)
                waiting = answer if offered and not taken else None
                if offered and taken:
                    self.done[channel].append(answer)
        return bench

    async def slave(self, ctx):
        bus, before = self.dut.bus, None
        while True:
            now = tuple(ctx.get(signal) for signal in (bus.cyc, bus.stb, bus.we, bus.adr, bus.dat_w))
            assert now[0] == now[1]
            assert before in (None, now), "a bus cycle changed before it was acknowledged"
            ack = now[0] and self.rng.random() >= self.wait
            ctx.set(bus.ack, ack)
            ctx.set(bus.dat_r, self.memory.get(now[3], 0) if ack else 0xBAD0BAD0)
            if ack:
                self.turns.append("w" if now[2] else "r")
                if now[2]:
                    self.memory[now[3]] = now[4]
            before = now if now[0] and not ack else None
            await ctx.tick()

    def run(self, writes=(), reads=()):
        """Run writes ``(address, data, strobes)`` and reads until all are answered."""
        async def until_done(ctx):
            while len(self.done["b"]) < len(writes) or len(self.done["r"]) < len(reads):
                await ctx.tick()
                self.cycles += 1
                assert self.cycles < 10_000

        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        for channel, items in [("aw", [{"addr": address} for address, _, _ in writes]),
                               ("w", [{"data": word, "strb": strobes} for _, word, strobes in writes]),
                               ("ar", [{"addr": address} for address in reads])]:
            simulator.add_testbench(self.send(channel, items), background=True)
        simulator.add_testbench(self.receive("b", ["resp"]), background=True)
        simulator.add_testbench(self.receive("r", ["data", "resp"]), background=True)
        simulator.add_testbench(self.slave, background=True)
        simulator.add_testbench(until_done)
        simulator.run()


@pytest.mark.parametrize("seed, idle, backpressure, wait", [
    (0, 0.0, 0.0, 0.0), (1, 0.7, 0.0, 0.0), (2, 0.0, 0.7, 0.0), (3, 0.0, 0.0, 0.7), (4, 0.6, 0.6, 0.6)])
def test_axi_lite_writes_and_reads(seed, idle, backpressure, wait):
    bench = Axil(seed, idle=idle, backpressure=backpressure, wait=wait)
    rng = random.Random(seed)
    words = {address: rng.randrange(1 << 32) for address in rng.sample(range(512), 30)}
    bench.memory = {address + 512: rng.randrange(1 << 32) for address in range(20)}
    kept = dict(bench.memory)
    # Reads and writes of different words at the same time; the low bits of a byte address mean nothing.
    bench.run([(4 * address + rng.randrange(4), word, 15) for address, word in words.items()],
              [4 * address + rng.randrange(4) for address in kept])
    assert bench.memory == words | kept
    assert bench.done["b"] == [[Response.OKAY]] * len(words)
    assert bench.done["r"] == [[word, Response.OKAY] for word in kept.values()]


def test_reads_and_writes_take_turns():
    bench = Axil(0, idle=0.0, backpressure=0.0, wait=0.0)
    bench.run([(4 * i, i, 15) for i in range(8)], [4 * i for i in range(8)])
    pairs = {"".join(bench.turns[i:i + 2]) for i in range(2, 14, 2)}
    assert pairs in ({"rw"}, {"wr"})


@pytest.mark.parametrize("strobes", range(16))
def test_strobes(strobes):
    bench = Axil(0, idle=0.0, backpressure=0.0, wait=0.0)
    bench.run([(8, 5, strobes), (12, 6, 15)])
    response = Response.OKAY if strobes in (0, 15) else Response.SLVERR
    assert bench.done["b"] == [[response], [Response.OKAY]]
    assert bench.memory == ({2: 5, 3: 6} if strobes == 15 else {3: 6})


def test_a_transfer_takes_four_cycles():
    cycles = []
    for transfers in (1, 21):
        bench = Axil(0, idle=0.0, backpressure=0.0, wait=0.0)
        bench.run(reads=[0] * transfers)
        cycles.append(bench.cycles)
    assert cycles == [4, 4 + 20 * 4]  # accepted in the first, answered in the fourth


@pytest.mark.parametrize("last", [False, True])
def test_axi_stream_adapters_are_wires(last):
    shape = signed(12)
    for dut in (AxiStreamToStream(shape, last=last), StreamToAxiStream(shape, last=last)):
        inwards = isinstance(dut, AxiStreamToStream)
        axi, inner = (dut.s_axis, dut.o) if inwards else (dut.m_axis, dut.i)
        data = inner.payload.data if last else inner.payload

        async def bench(ctx, inwards=inwards, axi=axi, inner=inner, data=data):
            for valid, ready, number, end in [(0, 1, 5, 0), (1, 0, -5, 1), (1, 1, -2048, 1), (1, 1, 2047, 0)]:
                ctx.set(axi.tvalid if inwards else inner.valid, valid)
                ctx.set(inner.ready if inwards else axi.tready, ready)
                ctx.set(axi.tdata if inwards else data, number & 0xFFFF if inwards else number)
                if last:
                    ctx.set(axi.tlast if inwards else inner.payload.last, end)
                    assert ctx.get(inner.payload.last if inwards else axi.tlast) == end
                assert ctx.get(inner.valid if inwards else axi.tvalid) == valid
                assert ctx.get(axi.tready if inwards else inner.ready) == ready
                assert ctx.get(data if inwards else axi.tdata) == (number if inwards else number & 0xFFFF)
                await ctx.delay(1e-6)

        simulator = Simulator(dut)
        simulator.add_testbench(bench)
        simulator.run()


def test_ports_are_what_cocotbext_axi_looks_for():
    text = verilog.convert(AxiLiteToWishbone(16), name="bridge", emit_src=False)
    for port in ("input [17:0] s_axil__awaddr;", "input [3:0] s_axil__wstrb;", "output [1:0] s_axil__bresp;",
                 "output [31:0] s_axil__rdata;", "output [15:0] bus__adr;", "input bus__ack;"):
        assert port in text
    text = verilog.convert(AxiStreamToStream(13, last=True), name="adapter", emit_src=False)
    for port in ("input [15:0] s_axis__tdata;", "input s_axis__tlast;", "output [13:0] o__payload;"):
        assert port in text


def test_cocotbext_axi_drives_the_verilog(tmp_path, monkeypatch):
    verilator = find_verilator()
    monkeypatch.setenv("VERILATOR_ROOT", str(verilator.root))
    monkeypatch.setenv("PATH", str(verilator.binary.parent), prepend=os.pathsep)
    # The first: else this Verilator's precompiled header is taken for an input file. The second: speed.
    monkeypatch.setenv("MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include OPT_GLOBAL=-O0")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=os.pathsep)
    source = tmp_path / "system.v"
    source.write_text(verilog.convert(System(), name="system", emit_src=False))
    runner, options = get_runner("verilator"), {"hdl_toplevel": "system", "timescale": ("1ns", "1ps")}
    runner.build(sources=[source], build_dir=tmp_path, build_args=["-Wno-fatal"],
                 log_file=tmp_path / "build.log", **options)
    results = runner.test(test_module="tests.rtl.bus_bench", build_dir=tmp_path, test_dir=tmp_path,
                          log_file=tmp_path / "test.log", **options)
    assert get_results(results) == (2, 0), (tmp_path / "test.log").read_text()


def test_last_is_above_the_data():
    assert last_layout(5).const({"data": 3, "last": 1}).as_bits() == 0b100011


@pytest.mark.parametrize("build, message", [
    (lambda: WishboneSignature(0), "Address width must be at least 1 bits, not 0"),
    (lambda: WishboneSignature(4, 0), "Data width must be at least 1 bits, not 0"),
    (lambda: AxiLiteSignature(4, 16), "Data width must be one of 32, 64, not 16"),
    (lambda: AxiLiteToWishbone(4, 16), "Data width must be one of 32, 64, not 16"),
    (lambda: AxiStreamSignature(12), "Stream width must be a multiple of 8 bits, not 12"),
    (lambda: AxiStreamToStream(0), "Payload width must be at least 1 bits, not 0"),
])
def test_wrong_parameters(build, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        build()

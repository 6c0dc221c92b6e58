import json
from collections import Counter

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from asic.gatesim import GateModel
from asic.memories import Memory, SramError, candidates, macro_data
from asic.netlist import read_netlist
from asic.pdk import load_pdk, pdk_names
from asic.synth import synthesise
from neurogen.flow.tools import ToolError
from neurogen.flow.verilator import to_verilog
from neurogen.rtl.memory import Ram
from tests.asic.lif8 import Lif8, expected, stimulus
from tests.asic.toy import needs_pdk, require, toy_pdk


require("libparse", "pyosys")


class Store(wiring.Component):
    """A memory behind ports, with the old word read in collisions."""

    def __init__(self, bits, depth, granularity=None):
        self.ram = (bits, depth, granularity)
        lanes = bits // (granularity or bits)
        super().__init__(
            {
                "wa": In(range(depth)),
                "we": In(lanes),
                "wd": In(bits),
                "ra": In(range(depth)),
                "re": In(1),
                "rd": Out(bits),
            }
        )

    def elaborate(self, platform):
        bits, depth, granularity = self.ram
        m = Module()
        m.submodules.ram = ram = Ram(bits, depth, granularity=granularity)
        m.d.comb += [
            ram.w_port.addr.eq(self.wa),
            ram.w_port.en.eq(self.we),
            ram.w_port.data.eq(self.wd),
            ram.r_port.addr.eq(self.ra),
            ram.r_port.en.eq(self.re),
            self.rd.eq(ram.r_port.data),
        ]
        return m


class Gated(wiring.Component):
    """Eight registers with one enable."""

    d: In(8)
    en: In(1)
    q: Out(8)

    def elaborate(self, platform):
        m = Module()
        inner = Signal(8)
        with m.If(self.en):
            m.d.sync += inner.eq(self.d ^ self.q)
        m.d.comb += self.q.eq(inner)
        return m


def run_store(tmp_path, bits, depth, granularity=None, seed=3, **options):
    """Synthesise a memory, and compare the netlist with a list of words, collisions included."""
    pdk = toy_pdk()
    report = synthesise(
        to_verilog(Store(bits, depth, granularity), "store"), "store", pdk, tmp_path, **options
    )
    netlist = read_netlist(tmp_path / "netlist.json", "store", pdk.library, tuple(m.name for m in pdk.macros))
    draw, cycles, lane = np.random.default_rng(seed), 3000, granularity or bits
    few = min(depth, 24)  # addresses meet often
    inputs = {
        "rst": [0] * cycles,
        "wa": draw.integers(0, few, cycles) * (depth // few),
        "ra": draw.integers(0, few, cycles) * (depth // few),
        "re": draw.integers(0, 2, cycles),
        "we": draw.integers(0, 1 << (bits // lane), cycles),
        "wd": [int(draw.integers(0, 1 << min(bits, 62))) for _ in range(cycles)],
    }
    out = GateModel(netlist).run(inputs).outputs["rd"]
    words: dict[int, list] = {}
    held, compared, collisions = None, 0, 0
    for cycle in range(1, cycles):
        wa, ra, re, we, wd = (int(inputs[name][cycle - 1]) for name in ("wa", "ra", "re", "we", "wd"))
        if re:
            held = list(words.get(ra, [None] * (bits // lane)))
            collisions += bool(we) and wa == ra
        word = words.setdefault(wa, [None] * (bits // lane))
        for n in range(bits // lane):
            if we >> n & 1:
                word[n] = wd >> (n * lane) & ((1 << lane) - 1)
        for n, part in enumerate(held or []):
            if part is not None:
                assert out[cycle] >> (n * lane) & ((1 << lane) - 1) == part, cycle
                compared += 1
    assert compared > 500 and collisions > 10
    return report


def test_report_is_the_sum_of_its_cells(tmp_path):
    report = synthesise(to_verilog(Lif8(), "lif8"), "lif8", toy_pdk(), tmp_path, script="plain")
    netlist = json.loads((tmp_path / "netlist.json").read_text())["modules"]["lif8"]
    cells = Counter(cell["type"] for cell in netlist["cells"].values())
    library = toy_pdk().library
    assert report["cells"] == dict(sorted(cells.items()))
    assert report["area_um2"] == pytest.approx(sum(n * library[kind].area for kind, n in cells.items()))
    assert report["registers"] == cells["DFF"] == 104
    assert report["logic_um2"] + report["sequential_um2"] == pytest.approx(report["area_um2"])
    assert json.loads((tmp_path / "area.json").read_text()) == report
    assert "initial" not in (tmp_path / "netlist.v").read_text()


def test_clocks_are_gated_where_registers_share_an_enable(tmp_path):
    text = to_verilog(Gated(), "gated")
    report = synthesise(text, "gated", toy_pdk(), tmp_path)
    assert report["clock_gates"] == 1 and report["registers"] == 8
    netlist = read_netlist(tmp_path / "netlist.json", "gated", toy_pdk().library)
    draw = np.random.default_rng(0)
    inputs = {"rst": [1, 1] + [0] * 298, "d": draw.integers(0, 256, 300), "en": draw.integers(0, 2, 300)}
    q, out = 0, GateModel(netlist).run(inputs).outputs["q"]
    for cycle in range(2, 300):
        if cycle > 2 and inputs["en"][cycle - 1]:
            q ^= int(inputs["d"][cycle - 1])
        assert out[cycle] == q
    plain = synthesise(text, "gated", toy_pdk(), tmp_path, gate_clocks=False)
    assert plain["clock_gates"] == 0


def test_hierarchy_gives_the_area_of_components(tmp_path):
    report = synthesise(to_verilog(Store(4, 8), "store"), "store", toy_pdk(), tmp_path, flat=False)
    assert set(report["components"]) == {"store", "store.ram"}
    assert report["components"]["store"] == report["area_um2"] >= report["components"]["store.ram"] > 0


@pytest.mark.parametrize(
    "bits, depth, granularity, macros",
    [
        (8, 64, None, {"TOY_2P_64x8_bm_bist": 1}),  # as it is
        (24, 64, 8, {"TOY_2P_64x8_bm_bist": 3}),  # three side by side, masked by lane
        (16, 1024, None, {"TOY_2P_256x16": 4}),  # four in depth
    ],
)
def test_memories_become_macros_by_tiling(tmp_path, bits, depth, granularity, macros):
    report = run_store(tmp_path, bits, depth, granularity)
    (row,) = report["memories"]
    assert row["chosen"] == macros
    assert (row["words"], row["bits"], row["reads"], row["writes"]) == (depth, bits, 1, 1)
    assert row["write_bits"] == (granularity or bits)
    assert report["sram_um2"] == sum(
        n * {"TOY_2P_64x8_bm_bist": 500, "TOY_2P_256x16": 3000}[name] for name, n in macros.items()
    )
    areas = [candidate["area_um2"] for candidate in row["candidates"]]
    assert areas == sorted(areas) and row["candidates"][-1]["macro"] == "flip-flops"


def test_small_memories_stay_flip_flops(tmp_path):
    report = run_store(tmp_path, 4, 8)
    assert report["memories"][0]["chosen"] == {"flip-flops": 32} and report["sram_um2"] == 0


def test_large_memories_need_a_macro(tmp_path):
    with pytest.raises(
        SramError,
        match=r"^Memory store\.ram\.memory of 1024 words of 16 bits with 1 read and 1 write "
        r"ports has no macro of Toy that fits, and is too large for flip-flops",
    ):
        synthesise(to_verilog(Store(16, 1024), "store"), "store", toy_pdk(), tmp_path, macros=False)


def test_candidates_tile_in_width_depth_and_copies():
    pdk = toy_pdk()
    macros = [macro_data(pdk, macro) for macro in pdk.macros]
    assert macros[0].read == pytest.approx(4e-12) and macros[2].write == pytest.approx(11e-12)
    assert macros[0].access == pytest.approx(1.5e-9) and macros[0].leakage == pytest.approx(2e-9)
    rows = {row["macro"]: row for row in candidates(Memory("m", "c", 300, 20, 2, 1, 20), macros, 10.0)}
    wide = rows["TOY_2P_256x16"]
    assert (wide["wide"], wide["deep"], wide["copies"], wide["tiles"]) == (2, 2, 2, 8)
    assert wide["area_um2"] == 24000 and wide["read_pJ"] == 18 and wide["write_pJ"] == 44
    assert not wide["shared_port"] and rows["TOY_1P_64x8_bm_bist"]["shared_port"]
    assert rows["flip-flops"]["area_um2"] == 60000


class Late(wiring.Component):
    """Four words, and a register behind them that starts at zero and that Yosys makes part of the memory."""

    wa: In(2)
    we: In(1)
    wd: In(4)
    ra: In(2)
    rd: Out(4)

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = memory.Memory(shape=4, depth=4, init=[])
        w_port, r_port = words.write_port(), words.read_port(domain="comb")
        m.d.comb += [w_port.addr.eq(self.wa), w_port.en.eq(self.we), w_port.data.eq(self.wd),
                     r_port.addr.eq(self.ra)]
        m.d.sync += self.rd.eq(r_port.data)
        return m


def test_registers_that_become_part_of_a_memory_start_undefined_too(tmp_path):
    report = synthesise(to_verilog(Late(), "late"), "late", toy_pdk(), tmp_path, script="plain")
    assert report["registers"] == 4 * 4 + 4


def test_unknown_scripts_and_bad_verilog_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^Script must be one of 'plain', 'tuned', not 'magic'$"):
        synthesise("", "x", toy_pdk(), tmp_path, script="magic")
    with pytest.raises(ToolError, match=r"^Synthesis failed: python"):
        synthesise("module x(; endmodule", "x", toy_pdk(), tmp_path)


@needs_pdk
@pytest.mark.parametrize("name", pdk_names())
def test_netlists_of_the_real_kits_do_what_the_rules_say(tmp_path, name):
    pdk = load_pdk(name)
    inputs = stimulus(300)
    report = synthesise(to_verilog(Lif8(), "lif8"), "lif8", pdk, tmp_path)
    assert report["registers"] == 104
    netlist = read_netlist(tmp_path / "netlist.json", "lif8", pdk.library)
    out = GateModel(netlist).run(inputs).outputs["spike"]
    wanted = (expected(inputs)[0] << np.arange(8)).sum(1)
    assert np.array_equal(out[4:], wanted[4:])

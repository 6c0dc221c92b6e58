"""Builds: a bitstream end to end, what is read from nextpnr, and what happens when something is amiss."""

# amaranth: UnusedElaboratable=no

import json
import re
import sys
from dataclasses import replace

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped

import fpga.build
import fpga.top
from designs.learner.configs import CONFIGS
from fpga.boards import BOARDS, DEFAULT_BOARD, find_board
from fpga.build import build_fpga
from fpga.pll import ecp5_pll, ice40_pll
from fpga.timing import TimingError, check_timing, read_report
from fpga.top import BoardDesign
from neurogen.flow.errors import UserError
from neurogen.flow.tools import ToolError
from neurogen.mapping.config import load_config
from neurogen.rtl.mega import Mega
from neurogen.spec.mega import MegaSpec


TINY = MegaSpec(lanes=1, weight_bits=4, state_bits=8, state_depth=16, weight_depth=32, spike_depth=16,
                program_depth=64, sweep_cycles=9)
HX8K = "ice40-hx8k-b-evn"
STEP = {"delay": 0.5, "type": "clk-to-q", "from": {"cell": "a", "port": "C"},
        "to": {"cell": "a", "port": "O"}}
WIRE = {"delay": 80.0, "type": "routing", "from": {"cell": "a", "port": "O"},
        "to": {"cell": "b", "port": "I"}}


def nextpnr_report(achieved, constraint=12.0):
    return {"fmax": {"clk": {"achieved": achieved, "constraint": constraint}},
            "utilization": {"ICESTORM_LC": {"used": 7, "available": 7680},
                            "SB_GB": {"used": 0, "available": 8}},
            "critical_paths": [{"from": "posedge clk", "to": "posedge clk", "path": [STEP, WIRE]}]}


def tool(path, body):
    path.write_text(f"#!{sys.executable}\nimport sys, json\n{body}\n")
    path.chmod(0o755)
    return str(path)


class Echo(wiring.Component):
    """Ports of an accelerator, and few cells behind them: words come back, reads give what was written."""

    def __init__(self, spec):
        super().__init__(Mega(spec).signature)

    def elaborate(self, platform):
        m = Module()
        connect(m, flipped(self.i_events), flipped(self.o_events))
        m.d.sync += self.bus.ack.eq(self.bus.cyc & self.bus.stb & ~self.bus.ack)
        with m.If(self.bus.we):
            m.d.sync += self.bus.dat_r.eq(self.bus.dat_w)
        return m


@pytest.fixture
def small(monkeypatch):
    """The whole top with its link, and few cells behind it."""
    monkeypatch.setattr(fpga.top, "Mega", Echo)


@pytest.fixture
def tools(small, monkeypatch, tmp_path):
    """Stand-ins for the slow tools; returns a function that sets what nextpnr finds."""
    monkeypatch.setattr(fpga.build, "synthesise", lambda folder, family, places: "synthesised")
    monkeypatch.setenv("ICEPACK", tool(tmp_path / "pack", "open(sys.argv[2], 'w').write('bits')"))

    def found(report):
        body = f"json.dump({report!r}, open('nextpnr.json', 'w'))"
        monkeypatch.setenv("NEXTPNR_ICE40", tool(tmp_path / "place", body))

    found(nextpnr_report(20.0))
    return found


def earlier(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_bitstream_end_to_end(small, tmp_path):
    steps = []  # whole accelerators are placed and routed in the test below
    result = build_fpga(TINY, HX8K, tmp_path / "out", on_step=steps.append)
    assert steps == list(result["seconds"]) == ["elaborate", "synthesise", "place and route", "pack"]
    bits = (tmp_path / "out" / "top.bin").read_bytes()
    assert b"\x7e\xaa\x99\x7e" in bits[:200] and len(bits) > 100_000  # iCE40's preamble; an HX8K's size
    resources = result["resources"]
    cells = resources["cells"]
    assert 500 < cells["ICESTORM_LC"]["used"] <= cells["ICESTORM_LC"]["available"] == 7680
    assert cells["ICESTORM_RAM"]["available"] == 32
    assert resources["fmax"] > resources["target"] == 12.0 and resources["slack"] > 0
    assert " to " in resources["critical_path"]
    assert result["peak_memory"] > 50e6 and result["wall_time"] > 1 and "amaranth" in result["versions"]
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"top.bin", "nextpnr.json", "yosys.log"}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOARDS)
def test_configuration_of_each_board_fits_and_meets_its_clock(name, tmp_path):
    result = build_fpga(load_config(BOARDS[name].config), name, tmp_path / "out")
    assert result["resources"]["slack"] >= 0


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_has_the_pins_and_the_clock(name):
    board = find_board(name)
    plan = board.make_platform().prepare(BoardDesign(TINY, board), "top", emit_src=False)
    constraints = next(text for file, text in plan.files.items() if file.endswith((".lpf", ".pcf")))
    assert len(re.findall(r"uart_0__[rt]x", constraints)) in (2, 4)
    assert ("EHXPLLL" in plan.files["top.il"]) == (board.family == "ecp5")
    assert board.target_hz % board.baud == 0 and board.divisor >= 4


@pytest.mark.parametrize("spec, copies", [
    (load_config("default"), 1), (TINY, 0), (CONFIGS["tiny"], 0)], ids=["default", "tiny", "learner"])
def test_an_ecp5_is_routed_by_negotiation_and_large_engines_are_placed_before(small, monkeypatch, tmp_path,
                                                                             spec, copies):
    """Block RAMs with places go with copies of what steers their lanes, and with the placer for wires."""
    calls = []

    def synthesise(folder, family, places):
        (folder / "top.json").write_text('{"modules": {"top": {"cells": {}, "netnames": {}}}}')
        calls.append(bool(places))
        return "synthesised"

    monkeypatch.setattr(fpga.build, "synthesise", synthesise)
    monkeypatch.setattr(fpga.build, "copy_controls", lambda top: calls.append(sorted(top)))
    report = nextpnr_report(60.0, 30.0)
    report["utilization"]["TRELLIS_COMB"] = {"used": 40000, "available": 83640}
    body = f"json.dump({report!r}, open('nextpnr.json', 'w')); print(*sys.argv)"
    monkeypatch.setenv("NEXTPNR_ECP5", tool(tmp_path / "place", body))
    monkeypatch.setenv("ECPPACK", tool(tmp_path / "pack", "open(sys.argv[-1], 'w').write('bits')"))
    build_fpga(spec, DEFAULT_BOARD, tmp_path / "out")
    command = (tmp_path / "out" / "nextpnr.log").read_text()
    assert "--router router2" in command and ("--placer static" in command) == bool(copies)
    assert calls == [bool(copies)] + [["cells", "netnames"]] * copies


def test_unknown_board_lists_those_there_are(tmp_path):
    message = f"Board must be one of {', '.join(BOARDS)}, not 'zedboard'"
    with pytest.raises(UserError, match=f"^{message}$"):
        build_fpga(TINY, "zedboard", tmp_path / "out")
    assert find_board(DEFAULT_BOARD.upper()).config == "edge"


def test_missing_tool_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    message = (r"^nextpnr-ice40 is not installed: run `pip install 'neurogen\[fpga\]'`, or name the program "
               r"in the environment variable NEXTPNR_ICE40$")
    with pytest.raises(ToolError, match=message):
        build_fpga(TINY, HX8K, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missed_clock_fails_with_the_number_and_keeps_earlier_results(tools, tmp_path):
    build_fpga(TINY, HX8K, tmp_path / "out")
    before = earlier(tmp_path / "out")
    tools(nextpnr_report(10.0))
    message = r"reaches 10\.00 MHz of 12\.00 MHz \(clk\): too slow by 16\.67 ns"
    with pytest.raises(TimingError, match=message) as error:
        build_fpga(TINY, HX8K, tmp_path / "out")
    assert error.value.resources["slack"] == pytest.approx(1000 / 12 - 100)
    assert earlier(tmp_path / "out") == before and before["top.bin"] == b"bits"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ToolError("Packing failed")])
def test_interrupted_build_keeps_earlier_results(tools, tmp_path, monkeypatch, error):
    build_fpga(TINY, HX8K, tmp_path / "out")
    before = earlier(tmp_path / "out")

    def interrupted(*arguments):
        raise error

    monkeypatch.setattr(fpga.build, "_write_bitstream", interrupted)
    with pytest.raises(type(error)):
        build_fpga(replace(TINY, state_depth=8), HX8K, tmp_path / "out")
    assert earlier(tmp_path / "out") == before
    assert not list(tmp_path.glob(".out.*"))


def test_too_large_a_design_says_what_it_needs(tools, tmp_path, monkeypatch):
    body = ("open(sys.argv[sys.argv.index('--log') + 1], 'w').write("
            "'Info: \\t ICESTORM_LC:    9696/   7680   126%\\nInfo: \\t ICESTORM_RAM: 31/ 32 96%\\n')\n"
            "sys.exit(1)")
    monkeypatch.setenv("NEXTPNR_ICE40", tool(tmp_path / "place", body))
    message = (rf"^Design does not fit {HX8K}: it needs 9696 of 7680 ICESTORM_LC; take a smaller "
               r"configuration \(mini is the one for this board\)$")
    with pytest.raises(ToolError, match=message):
        build_fpga(TINY, HX8K, tmp_path / "out")


def test_report_is_read(tmp_path):
    path = tmp_path / "nextpnr.json"
    path.write_text(json.dumps(nextpnr_report(16.0)))
    resources = read_report(path, "chip", 12e6)
    assert resources["cells"] == {"ICESTORM_LC": {"used": 7, "available": 7680}}
    assert (resources["fmax"], resources["target"]) == (16.0, 12.0)
    assert resources["slack"] == pytest.approx(1000 / 12 - 1000 / 16)
    assert resources["critical_path"] == "a.C to b.I: 80.50 ns, 0 cells 0.50 ns, wires 80.00 ns"
    check_timing(resources)


@pytest.mark.parametrize("text, message", [
    ("{", "cannot be read"), ("[]", "cannot be read"), ('{"fmax": {}}', "cannot be read"),
    (json.dumps(nextpnr_report(16.0, 25.0)), "must have a clock of 12 MHz, not 25"),
    (json.dumps(nextpnr_report(16.0) | {"fmax": {}}), "must have a clock of 12 MHz, not none")])
def test_report_without_the_clock_is_refused(tmp_path, text, message):
    path = tmp_path / "nextpnr.json"
    path.write_text(text)
    with pytest.raises(ToolError, match=message):
        read_report(path, "chip", 12e6)


@pytest.mark.parametrize("clock", [12, 16, 25, 27, 48, 50, 100])
def test_plls_keep_to_their_ranges(clock):
    for target in range(16, 200, 3):
        for solve in (ecp5_pll, ice40_pll):
            try:
                pll = solve(clock * 10**6, target * 10**6)
            except ValueError as error:
                assert "within 0.1 %" in str(error)
                continue
            assert pll.out_hz == pytest.approx(target * 1e6, rel=1e-3)
            phase = clock * 1e6 / pll.reference
            if solve is ecp5_pll:
                assert pll.out_hz == pytest.approx(phase * pll.feedback)
                assert pll.oscillator_hz == pytest.approx(pll.out_hz * pll.output)
                assert 400e6 <= pll.oscillator_hz <= 800e6 and 3.125e6 <= phase
            else:
                assert pll.oscillator_hz == pytest.approx(phase * pll.feedback)
                assert pll.out_hz == pytest.approx(pll.oscillator_hz / pll.output)
                assert 533e6 <= pll.oscillator_hz <= 1066e6 and 10e6 <= phase <= 133e6
                assert 1 <= pll.filter_range <= 6


def test_known_settings_of_plls():
    pll = ecp5_pll(25_000_000, 60_000_000)
    assert (pll.reference, pll.feedback, pll.output) == (5, 12, 10)
    pll = ice40_pll(12_000_000, 30_000_000)  # what icepll prints: DIVR 0, DIVF 79, DIVQ 5, range 1
    assert (pll.reference, pll.feedback, pll.output, pll.filter_range) == (1, 80, 32, 1)
    for solve, clock, target, message in (
            (ecp5_pll, 4_000_000, 60_000_000, r"Clock of an ECP5 PLL must be between 8 and 400 MHz, not 4"),
            (ice40_pll, 12_000_000, 12_000_000, r"Target clock of an iCE40 PLL must be between 16 and 275"),
            (ice40_pll, 12_000_000, 271_000_000, r"Target clock must be one that a PLL makes of 12 MHz")):
        with pytest.raises(ValueError, match=f"^{message}"):
            solve(clock, target)

"""A project for Tiny Tapeout: an array of neurons behind its eight inputs, eight outputs, eight other pins.

Events come in as bytes, lowest first, with a handshake; indices of neurons that fired leave as bytes. The
folder follows the template for Verilog projects: ``info.yaml``, ``src``, ``docs/info.md``, and a test in
cocotb whose expected spikes are those of the golden model.
"""

import json
from pathlib import Path

import numpy as np
import yaml
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from asic.handover import HandoverError
from asic.pdk import Pdk
from asic.synth import synthesise
from neurogen.flow.verilator import to_verilog
from neurogen.golden.lif import initial_state, step
from neurogen.rtl.lif import LifArray
from neurogen.spec.checks import check_int
from neurogen.spec.lif import Lif


__all__ = ["TILES", "ByteArray", "choose_tiles", "write_tinytapeout"]


TILES = ("1x1", "1x2", "2x2", "3x2", "4x2", "6x2", "8x2")
_WEIGHT = 8  # bits
_PINS = {"uio[0]": "in_valid", "uio[1]": "in_ready", "uio[2]": "out_valid", "uio[3]": "out_ready",
         "uio[4]": "busy", "uio[5]": "", "uio[6]": "", "uio[7]": ""}
_OUTPUTS = 0b00010110  # of the pins of either way


class ByteArray(wiring.Component):
    """A `LifArray` of up to 256 neurons behind Tiny Tapeout's pins.

    A byte is taken in a cycle in which ``uio_in[0]`` (valid) and ``uio_out[1]`` (ready) are 1; with its last
    byte an event takes effect. A spike is on ``uo_out`` while ``uio_out[2]`` is 1, and leaves in a cycle in
    which ``uio_in[3]`` is 1. ``uio_out[4]`` is `LifArray`'s ``busy``.

    Parameters
    ----------
    spec
        The neurons; see `LifArray`.
    """

    def __init__(self, spec: Lif):
        check_int("Neuron count", spec.neurons, minimum=2, maximum=256)
        self._array = LifArray(spec, weight_bits=_WEIGHT)
        super().__init__({"ui_in": In(8), "uo_out": Out(8), "uio_in": In(8), "uio_out": Out(8),
                          "uio_oe": Out(8)})

    @property
    def spec(self) -> Lif:
        """The neurons."""
        return self._array.spec

    @property
    def event_bytes(self) -> int:
        """Bytes of an event."""
        return -(-self._array.i_events.payload.shape().size // 8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.array = array = LifArray(self.spec, weight_bits=_WEIGHT)
        length = self.event_bytes
        word, count = Signal(8 * length), Signal(range(length + 1))
        ready = count < length

        with m.If(self.uio_in[0] & ready):
            m.d.sync += [word.word_select(count, 8).eq(self.ui_in), count.eq(count + 1)]
        with m.If(array.i_events.valid & array.i_events.ready):
            m.d.sync += count.eq(0)

        m.d.comb += [
            array.i_events.payload.eq(word),
            array.i_events.valid.eq(~ready),
            array.o_spikes.ready.eq(self.uio_in[3]),
            self.uo_out.eq(array.o_spikes.payload),
            self.uio_out[1].eq(ready),
            self.uio_out[2].eq(array.o_spikes.valid),
            self.uio_out[4].eq(array.busy),
            self.uio_oe.eq(_OUTPUTS),
        ]
        return m


_SHELL = """
module tt_um_{name} (input wire [7:0] ui_in, output wire [7:0] uo_out, input wire [7:0] uio_in,
    output wire [7:0] uio_out, output wire [7:0] uio_oe, input wire ena, input wire clk, input wire rst_n);
  wire _unused = &{{ena, 1'b0}};
  {name} core (.clk(clk), .rst(~rst_n), .ui_in(ui_in), .uo_out(uo_out), .uio_in(uio_in), .uio_out(uio_out),
    .uio_oe(uio_oe));
endmodule
"""

_BENCH = """`default_nettype none
`timescale 1ns / 1ps
module tb ();
  reg clk, rst_n, ena;
  reg [7:0] ui_in, uio_in;
  wire [7:0] uo_out, uio_out, uio_oe;
`ifdef GL_TEST
  wire VPWR = 1'b1;
  wire VGND = 1'b0;
`endif
  tt_um_{name} user_project (
`ifdef GL_TEST
    .VPWR(VPWR), .VGND(VGND),
`endif
    .ui_in(ui_in), .uo_out(uo_out), .uio_in(uio_in), .uio_out(uio_out), .uio_oe(uio_oe), .ena(ena),
    .clk(clk), .rst_n(rst_n));
endmodule
"""

_TEST = '''"""Events of vectors.json go in with gaps; the spikes must be those of the golden model."""

import json
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge


VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())


@cocotb.test()
async def test_spikes_are_those_of_the_model(dut):
    draw = random.Random(1)
    cocotb.start_soon(Clock(dut.clk, 100, "ns").start())
    dut.ena.value, dut.ui_in.value, dut.uio_in.value, dut.rst_n.value = 1, 0, 0, 0
    for _ in range(4):
        await FallingEdge(dut.clk)
    dut.rst_n.value = 1
    data, spikes, idle = list(VECTORS["bytes"]), [], 0
    while idle < 100:  # inputs change at falling edges, and outputs are read there
        await FallingEdge(dut.clk)
        ready = draw.random() < 0.8
        valid = bool(data) and draw.random() < 0.8
        dut.ui_in.value = data[0] if valid else draw.randrange(256)
        dut.uio_in.value = valid | ready << 3
        idle = 0 if data else idle + 1
        status = int(dut.uio_out.value)
        if valid and status & 2:
            data.pop(0)
        if ready and status & 4:
            spikes.append(int(dut.uo_out.value))
    assert int(dut.uio_oe.value) == 0b00010110
    assert spikes == VECTORS["spikes"], f"{len(spikes)} spikes, not {len(VECTORS['spikes'])}"
'''

_MAKEFILE = """SIM ?= icarus
TOPLEVEL_LANG ?= verilog
PROJECT_SOURCES = tt_um_{name}.v
ifneq ($(GATES),yes)
SIM_BUILD = sim_build/rtl
VERILOG_SOURCES += $(addprefix $(CURDIR)/../src/,$(PROJECT_SOURCES))
else
SIM_BUILD = sim_build/gl
COMPILE_ARGS += -DGL_TEST -DFUNCTIONAL -DSIM
VERILOG_SOURCES += $(PDK_ROOT)/sky130A/libs.ref/sky130_fd_sc_hd/verilog/primitives.v
VERILOG_SOURCES += $(PDK_ROOT)/sky130A/libs.ref/sky130_fd_sc_hd/verilog/sky130_fd_sc_hd.v
VERILOG_SOURCES += $(CURDIR)/gate_level_netlist.v
endif
COMPILE_ARGS += -g2005
VERILOG_SOURCES += $(CURDIR)/tb.v
TOPLEVEL = tb
COCOTB_TEST_MODULES = test
include $(shell cocotb-config --makefiles)/Makefile.sim
"""

_DOCS = """## How it works

{neurons} leaky integrate-and-fire neurons share one data path. An event of {length} bytes, lowest first, adds
a signed weight of 8 bits to the potential of one neuron, or ends the time step (tick): then every neuron with
a potential of {threshold} or more fires and loses {threshold}, and potentials decay to {decay}/4096.

| bits of an event | meaning |
| --- | --- |
| 0 | 1: tick (the other bits do not matter) |
| {last_neuron}:1 | neuron |
| {last_weight}:{first_weight} | weight, two's complement |

Bytes go in by `ui`, with `in_valid` and `in_ready`; indices of neurons that fired come out by `uo`, with
`out_valid` and `out_ready`. A transfer happens at a rising edge at which both are 1.

## How to test

`cd test; make` (cocotb and Icarus Verilog) drives the bytes of `vectors.json` and compares the spikes with
those of the golden model.

## External hardware

None; a microcontroller that speaks bytes with a handshake.
"""


def choose_tiles(area: float, pdk: Pdk) -> str:
    """Return the smallest shape of tiles for an area of cells in µm².

    Raises
    ------
    HandoverError
        If the kit is not one of Tiny Tapeout's, or nothing is large enough.
    """
    if "tinytapeout" not in pdk.data["flows"]:
        raise HandoverError(f"Tiny Tapeout has no shuttle of {pdk.title}: use sky130")
    setup = pdk.data["flows"]["tinytapeout"]
    room = setup["tile"][0] * setup["tile"][1] * setup["utilisation"]
    for shape in TILES:
        if area <= room * np.prod([int(part) for part in shape.split("x")]):
            return shape
    raise HandoverError(f"Cells of a Tiny Tapeout project must fit into {TILES[-1]} tiles "
                        f"({room * 16:,.0f} µm²), and take {area:,.0f} µm²")


def write_tinytapeout(folder: Path, spec: Lif, pdk: Pdk, *, name: str = "neurogen_lif", author: str = "",
                      clock: int = 10_000_000, seed: int = 1) -> dict:
    """Write a Tiny Tapeout project of an array of neurons into ``folder`` (new, or empty).

    Parameters
    ----------
    spec
        The neurons: 2 to 256; see `LifArray`.
    name
        The top module is ``tt_um_NAME``.
    author
        For ``info.yaml``.
    clock
        In Hz.
    seed
        Of the events of the test.

    Returns
    -------
    ``tiles``, ``area_um2`` (after synthesis), ``events`` and ``spikes`` of the test.

    Raises
    ------
    HandoverError
        If the kit is not one of Tiny Tapeout's, or the neurons do not fit.
    """
    design = ByteArray(spec)
    choose_tiles(0.0, pdk)  # a kit without shuttles is missed before anything is written
    text = to_verilog(design, name)
    work = folder / "work"
    work.mkdir(parents=True)
    report = synthesise(text, name, pdk, work, macros=False, gate_clocks=False, period=1 / clock)
    area = report["area_um2"]
    for path in work.iterdir():
        path.unlink()
    work.rmdir()
    tiles = choose_tiles(area, pdk)
    events, spikes = _vectors(spec, design.event_bytes, seed)
    neuron_bits = (spec.neurons - 1).bit_length()
    values = {"name": name, "neurons": spec.neurons, "length": design.event_bytes,
              "threshold": int(spec.threshold), "decay": int(spec.decay), "last_neuron": neuron_bits,
              "first_weight": neuron_bits + 1, "last_weight": neuron_bits + _WEIGHT}
    files = {
        f"src/tt_um_{name}.v": text + _SHELL.format(**values),
        "src/config.json": json.dumps({"CLOCK_PERIOD": round(1e9 / clock, 3), "PL_TARGET_DENSITY_PCT": 60,
                                       "RUN_LINTER": 1, "LINTER_INCLUDE_PDK_MODELS": 1}, indent=1),
        "info.yaml": yaml.safe_dump(_info(values, author, clock, tiles), sort_keys=False, width=110),
        "docs/info.md": _DOCS.format(**values),
        "test/tb.v": _BENCH.format(**values),
        "test/test.py": _TEST,
        "test/Makefile": _MAKEFILE.format(**values),
        "test/requirements.txt": "cocotb>=2.0\n",
        "test/vectors.json": json.dumps({"bytes": events, "spikes": spikes}),
    }
    for path, content in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    return {"tiles": tiles, "area_um2": area, "events": len(events) // design.event_bytes,
            "spikes": len(spikes)}


def _info(values: dict, author: str, clock: int, tiles: str) -> dict:
    pins = {f"ui[{bit}]": f"in{bit}" for bit in range(8)} | {f"uo[{bit}]": f"out{bit}" for bit in range(8)}
    return {"project": {"title": f"{values['neurons']} leaky integrate-and-fire neurons", "author": author,
                        "discord": "", "description": "Spiking neurons behind a stream of bytes",
                        "language": "Amaranth", "clock_hz": clock, "tiles": tiles,
                        "top_module": f"tt_um_{values['name']}",
                        "source_files": [f"tt_um_{values['name']}.v"]},
            "pinout": pins | _PINS, "yaml_version": 6}


def _vectors(spec: Lif, length: int, seed: int) -> tuple[list[int], list[int]]:
    """Return the bytes of random events, and the neurons that fire in order."""
    draw = np.random.default_rng(seed)
    # A few weights fire a neuron, and no sum of a step leaves the range of a potential.
    top = max(1, min(127, int(spec.threshold) // 2, 1 << spec.state_bits - 1 - spec.fraction_bits >> 5))
    neuron_bits = (spec.neurons - 1).bit_length()
    data, spikes, state = bytearray(), [], initial_state(spec)
    for _ in range(30):
        total = np.zeros(spec.neurons, np.int64)
        for _ in range(3 * spec.neurons):
            neuron, weight = int(draw.integers(spec.neurons)), int(draw.integers(-top // 2, top + 1))
            total[neuron] += weight
            word = neuron << 1 | (weight & 255) << 1 + neuron_bits
            data += word.to_bytes(length, "little")
        data += (1).to_bytes(length, "little")
        added = (total << spec.fraction_bits) + spec.per_neuron("bias").ravel()
        state, fired = step(spec, state, added.reshape(spec.shape))
        spikes += np.flatnonzero(fired.ravel()).tolist()
    return list(data), spikes

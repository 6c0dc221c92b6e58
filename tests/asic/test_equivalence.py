import json

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from asic.aig import Aig
from asic.equivalence import prove
from asic.netlist import NetlistError
from asic.synth import synthesise
from neurogen.flow.tools import ToolError
from neurogen.flow.verilator import to_verilog
from tests.asic.lif8 import Lif8
from tests.asic.test_synth import Gated, Store
from tests.asic.toy import require, toy_pdk
from tests.repo.components import COMPONENTS, make


require("libparse", "pyosys")

QUICK = ("streams.Queue", "streams.SkidBuffer", "uart.UartTx")


class Redundant(wiring.Component):
    """Registers that hold a constant, what another one holds, and the inverse of it."""

    d: In(4)
    q: Out(4)

    def elaborate(self, platform):
        m = Module()
        one, two, never, ready = Signal(4), Signal(4), Signal(4), Signal(reset_less=True)
        with m.If(self.d[0]):
            m.d.sync += [one.eq(self.d), two.eq(self.d), ready.eq(1)]
        m.d.sync += never.eq(0)
        m.d.comb += self.q.eq(((one ^ (two << 1)) | never) & ready.replicate(4))
        return m


def netlist(tmp_path, component, name="top", **options):
    text = to_verilog(component, name)
    report = synthesise(text, name, toy_pdk(), tmp_path, **options)
    (tmp_path / "proof").mkdir()
    return text, report


def proved(tmp_path, text, name="top", **options):
    return prove(text, name, toy_pdk(), tmp_path / "netlist.json", tmp_path / "proof", **options)


@pytest.mark.parametrize("script", ["plain", "tuned"])
def test_neurons_are_proved(tmp_path, script):
    text, _ = netlist(tmp_path, Lif8(2), script=script)
    proof = proved(tmp_path, text)
    assert proof.proved and proof.source == "Verilog"
    assert (proof.registers, proof.outputs, proof.pins) == (26, 2, 0)


def test_gated_clocks_are_enables(tmp_path):
    text, report = netlist(tmp_path, Gated())
    assert report["clock_gates"] == 1 and proved(tmp_path, text).proved


def test_registers_that_synthesis_dropped_are_explained(tmp_path):
    text, report = netlist(tmp_path, Redundant())
    assert report["registers"] < 12
    proof = proved(tmp_path, text)
    assert proof.proved and proof.equal + proof.constant + proof.registers >= 8
    assert proof.equal > 0 and (proof.constant, proof.settled) == (5, 1)


def test_pins_of_macros_are_compared(tmp_path):
    text, report = netlist(tmp_path, Store(8, 64))
    assert report["macros"]
    proof = proved(tmp_path, text)
    assert proof.proved and proof.source == "words"
    assert proof.pins > 30 and proof.registers == report["registers"]


def edited(path, change):
    data = json.loads(path.read_text())
    change(data["modules"]["top"]["cells"])
    path.write_text(json.dumps(data))


def one_of(cells, kind):
    return next(cell for _, cell in sorted(cells.items()) if cell["type"] == kind)


def another_gate(cells):
    one_of(cells, "NAND2")["type"] = "NOR2"


def another_enable(cells):
    gate = one_of(cells, "ICG")["connections"]
    gate["E"] = one_of(cells, "DFF")["connections"]["D"]


def crossed_registers(cells):
    flops = [cell["connections"] for _, cell in sorted(cells.items()) if cell["type"] == "DFF"][:2]
    flops[0]["D"], flops[1]["D"] = flops[1]["D"], flops[0]["D"]


def another_word(cells):
    macro = one_of(cells, "TOY_2P_64x8_bm_bist")["connections"]
    macro["A_DIN"] = macro["A_DIN"][::-1]


@pytest.mark.parametrize("component, change, kind", [
    (lambda: Lif8(2), another_gate, ""),
    (Gated, another_enable, "register:"),
    (Gated, crossed_registers, "register:"),
    (lambda: Store(8, 64), another_word, "pin:ram.memory"),
])
def test_a_wrong_netlist_is_not_proved(tmp_path, component, change, kind):
    text, _ = netlist(tmp_path, component())
    edited(tmp_path / "netlist.json", change)
    proof = proved(tmp_path, text)
    assert not proof.proved and any(name.startswith(kind) for name in proof.failed)


def test_what_cannot_be_decided_is_an_error(tmp_path):
    text, _ = netlist(tmp_path, Gated())
    (tmp_path / "netlist.json").write_text('{"modules": {"other": {}}}')
    with pytest.raises(NetlistError, match=r"must have a module top, and has other$"):
        proved(tmp_path, text)
    (tmp_path / "netlist.json").write_text('{"modules": {"x": {"ports": {}, "cells": {}, "netnames": {}}}}')
    with pytest.raises(ToolError, match=r"^Synthesis failed"):
        prove("module x(", "x", toy_pdk(), tmp_path / "netlist.json", tmp_path / "proof")


@pytest.mark.parametrize("name", QUICK)
def test_components_are_proved(tmp_path, name):
    text, _ = netlist(tmp_path, make(name, next(iter(COMPONENTS[name]))))
    proof = proved(tmp_path, text)
    assert proof.proved, proof.failed
    assert proof.outputs > 0


@pytest.mark.slow
@pytest.mark.parametrize("name, variant", [(name, variant) for name, variants in COMPONENTS.items()
                                           for variant in variants if not name.startswith("qdi.")])
def test_every_component_is_proved(tmp_path, name, variant):
    text, _ = netlist(tmp_path, make(name, variant))
    proof = proved(tmp_path, text)
    assert proof.proved, proof.failed
    print(f"{name} {variant}: {proof}")


def test_what_is_not_decided_is_counted(tmp_path, monkeypatch):
    text, _ = netlist(tmp_path, Gated())
    monkeypatch.setattr("asic.equivalence.run_tool", lambda command, **_: (
        "Networks are UNDECIDED." if command[-1].startswith("cec") else "UNSAT = 14.  SAT = 0.   UNDEC = 2."))
    proof = proved(tmp_path, text)
    assert proof.undecided == 2 and not proof.failed and not proof.proved
    assert proof.source == "words"  # the second, easier attempt
    monkeypatch.setattr("asic.equivalence.run_tool", lambda command, **_: "")
    with pytest.raises(ToolError, match=r"^Equivalence failed: ABC does not say what it found"):
        proved(tmp_path, text)


def test_graphs_are_simulated_and_written(tmp_path):
    graph = Aig()
    a, b, c = (graph.input(name) for name in "abc")
    roots = {"mux": graph.choose(a, b, c), "false": graph.both(a, a ^ 1), "a": graph.both(a, 1)}
    assert roots["false"] == 0 and roots["a"] == a
    assert graph.support([roots["mux"]]) == {"a", "b", "c"} and graph.support([a]) == {"a"}
    draw = np.random.default_rng(0)
    values = {name: draw.integers(0, 2**64, 4, np.uint64) for name in "abc"}
    found = graph.simulate(values, roots)
    assert (found["mux"] == ((values["a"] & values["b"]) | (~values["a"] & values["c"]))).all()
    assert not found["false"].any()
    same, moved = graph.replaced(roots, {"b": c ^ 1})
    found = same.simulate({"a": values["a"], "c": values["c"]}, moved)
    assert (found["mux"] == ((values["a"] & ~values["c"]) | (~values["a"] & values["c"]))).all()
    graph.write(tmp_path / "x.aig", ["a", "b", "c"], [roots["mux"], 1])
    head, text = (tmp_path / "x.aig").read_bytes().split(b"\n", 1)
    assert head == b"aig 6 3 0 2 3" and text.startswith(b"13\n1\n")
    with pytest.raises(ValueError, match=r"^Inputs must hold \['b'\]$"):
        graph.write(tmp_path / "x.aig", ["a", "c"], [])

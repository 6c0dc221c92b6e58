import json

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from asic.aig import Aig
from asic.equivalence import prove
from asic.invariants import exactly_one
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


class Machine(wiring.Component):
    """A memory behind a state machine whose answers mean nothing in most states."""

    go: In(1)
    kind: In(2)
    d: In(8)
    q: Out(8)
    ack: Out(1)

    def __init__(self, depth=64):
        self._depth = depth
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = Store(8, self._depth)
        at = Signal(range(self._depth))
        m.d.sync += [at.eq(at + 1), self.ack.eq(0)]
        m.d.comb += [store.wa.eq(at), store.ra.eq(at), store.wd.eq(self.d), store.re.eq(1)]
        with m.FSM():
            with m.State("Idle"):
                with m.If(self.go & ~self.ack):
                    with m.Switch(self.kind):
                        with m.Case(0):
                            m.d.sync += [self.q.eq(self.d), self.ack.eq(1)]
                        with m.Case(1):
                            m.next = "Write"
                        with m.Case(2):
                            m.next = "Read"
                        with m.Default():
                            m.next = "Wait"
            with m.State("Write"):
                m.d.comb += store.we.eq(1)
                m.next = "Written"
            with m.State("Written"):
                m.d.sync += [self.ack.eq(1), self.q.eq(at)]
                m.next = "Idle"
            with m.State("Read"):
                m.next = "Answer"
            with m.State("Answer"):
                m.d.sync += [self.ack.eq(1), self.q.eq(store.rd)]
                m.next = "Idle"
            with m.State("Wait"):
                m.next = "Idle"
        return m


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


@pytest.mark.parametrize("depth", [3, 6, 13, 24])
def test_words_that_a_memory_does_not_have_do_not_matter(tmp_path, depth):
    text, report = netlist(tmp_path, Store(2, depth), script="plain", macros=False)
    proof = proved(tmp_path, text)
    assert proof.proved and proof.registers == report["registers"] == 2 * depth + 2
    edited(tmp_path / "netlist.json", another_gate)
    assert not proved(tmp_path, text).proved


def test_states_that_do_not_occur_do_not_count(tmp_path, monkeypatch):
    text, report = netlist(tmp_path, Machine(), script="plain")
    assert report["macros"]
    whole = (tmp_path / "netlist.json").read_text()

    def inverted(*states):
        """The answer is another one where all these bits of the state are set."""
        def change(cells):
            bits = [cells[f"fsm_state[{n}]_reg"]["connections"]["Q"] for n in states]
            ack = cells["ack_reg"]["connections"]
            cells["both"] = {"type": "NAND2", "connections": {"A": bits[0], "B": bits[1], "Y": [90_000]}}
            cells["not"] = {"type": "INV", "connections": {"A": [90_000], "Y": [90_001]}}
            cells["other"] = {"type": "XOR2", "connections": {"A": ack["D"], "B": [90_001], "Y": [90_002]}}
            ack["D"] = [90_002]
        (tmp_path / "netlist.json").write_text(whole)
        edited(tmp_path / "netlist.json", change)

    inverted(1, 4)
    proof = proved(tmp_path, text)
    assert proof.proved and proof.machines == 1
    monkeypatch.setattr("asic.equivalence.find_machines", lambda *_: [])
    proof = proved(tmp_path, text)
    assert proof.machines == 0 and proof.failed == ("register:ack[0]",)
    monkeypatch.undo()
    inverted(4, 4)
    assert "register:ack[0]" in proved(tmp_path, text).failed


def test_machines_with_other_codes_are_proved_from_words(tmp_path):
    text, report = netlist(tmp_path, Machine(4), script="plain")
    assert not report["macros"]
    proof = proved(tmp_path, text)
    assert proof.proved and proof.source == "words"
    edited(tmp_path / "netlist.json", another_gate)
    assert not proved(tmp_path, text).proved


def test_vectors_that_are_not_one_hot_are_not_taken_for_machines(tmp_path, monkeypatch):
    text, _ = netlist(tmp_path, Machine(), script="plain")
    edited(tmp_path / "netlist.json", lambda cells: one_of(cells, "NAND2").update(type="NOR2"))
    monkeypatch.setattr("asic.equivalence.find_machines",
                        lambda gold, *_: [[name for name in gold.initial if name.startswith("register:at[")]])
    proof = proved(tmp_path, text)
    assert not proof.proved and proof.machines == 0


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


def test_a_prover_that_takes_too_long_is_stopped(tmp_path):
    text, _ = netlist(tmp_path, Lif8(2))
    proof = proved(tmp_path, text, seconds=1e-3)
    assert proof.undecided == proof.registers + proof.outputs == 28 and not proof.failed and not proof.proved
    edited(tmp_path / "netlist.json", another_gate)
    assert proved(tmp_path, text, seconds=1e-3).failed  # what a simulation shows


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
    one_hot, moved = graph.replaced(roots | dict(zip("xyz", (a, b, c), strict=True)), {}, ["abc"])
    found = one_hot.simulate(values, moved)
    first = values["a"] | ~values["a"] & values["b"]
    assert (found["x"] == values["a"]).all() and (found["z"] == ~first).all()
    assert (found["y"] == ~values["a"] & values["b"]).all()
    truth = exactly_one([values[name] for name in "abc"], ~np.uint64(0), np.bitwise_and, np.invert)
    ones = sum(np.unpackbits(values[name].view(np.uint8)).astype(int) for name in "abc")
    assert (np.unpackbits(truth.view(np.uint8)) == (ones == 1)).all()
    graph.write(tmp_path / "x.aig", ["a", "b", "c"], [roots["mux"], 1])
    head, text = (tmp_path / "x.aig").read_bytes().split(b"\n", 1)
    assert head == b"aig 6 3 0 2 3" and text.startswith(b"13\n1\n")
    with pytest.raises(ValueError, match=r"^Inputs must hold \['b'\]$"):
        graph.write(tmp_path / "x.aig", ["a", "c"], [])

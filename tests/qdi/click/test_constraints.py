"""Constraints of Click circuits: every chain has its pair, and what is cut leaves no loop."""

import re
from itertools import product
from math import sqrt

import pytest

from designs.if_neuron import DESIGN as NEURON
from neurogen.qdi import compile
from neurogen.qdi.click import build, click_sdc
from neurogen.qdi.click.constraints import _Constraints
from neurogen.qdi.click.delays import delay_cell
from neurogen.qdi.gates.mapping import KITS, load_kit
from neurogen.qdi.gates.verilog import _cuts, port_name, verilog
from tests.qdi import functions


CASES = [(f, kit) for f, kit in product((functions.loop_test, functions.histogram, NEURON.make(8)), KITS)]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0].__name__}-{case[1]}")
def design(request):
    function, kit = request.param
    return build(compile(function), load_kit(kit))


def test_each_chain_has_a_least_time_that_is_the_most_of_its_data(design):
    text, cell, clocked = click_sdc(design), delay_cell(design.mapped), _Constraints(design).clocked
    parts = re.split(r"^# (\S+): (\d+) delay cells\n", text, flags=re.M)[1:]
    counts = {name: int(count) for name, count in zip(parts[::3], parts[1::3], strict=True)}
    assert counts == {name: count for name, count in design.chains.items() if count} and len(counts) >= 5
    for name, lines in zip(parts[::3], parts[2::3], strict=True):
        most = [float(x) for x in re.findall(r"^set_max_delay ([\d.]+) ", lines, re.M)]
        least = [float(x) for x in re.findall(r"^set_min_delay ([\d.]+) ", lines, re.M)]
        ends, starts = map(set, design.paths[name])
        assert bool(most) == bool(ends - starts) and min(most, default=1) > 0 and len(least) <= 1, name
        if least and most and not name.endswith(".click"):  # one time for both, from a click or a later pin
            time = counts[name] * cell / sqrt(design.margin)
            assert {round(x - time, 2) for x in (*most, *least)} <= {0.0, round(clocked, 2)}, name


def test_pins_are_those_of_the_netlist(design):
    text, netlist = click_sdc(design), verilog(design.mapped)
    pins = {f"{name}/{pin}" for name, wiring in re.findall(r"\) \w+ (\w+) \((\..*)\);", netlist)
            for pin in re.findall(r"\.(\w+)\(", wiring)}
    ports = set(re.findall(r"^  input (\w+)", netlist, re.M))
    named = {pin for group in re.findall(r"\[get_pins \{([^}]*)\}\]", text) for pin in group.split()}
    given = {port for group in re.findall(r"\[get_ports \{([^}]*)\}\]", text) for port in group.split()}
    assert len(named) > 20 and named <= pins and given <= ports


def test_no_loop_is_left(design):
    n, pins = design.mapped.netlist, design.mapped.kit.pins
    cut = set(re.findall(r"^set_disable_timing -from (\w+) -to \w+ \[get_cells (\w+)\]$",
                         click_sdc(design), re.M))
    without = {(gate.name, k) for gate in n.gates for k, pin in enumerate(pins[gate.cell][0])
               if (pin, port_name(gate.name)) in cut}
    # a way through the data of a flip-flop or a latch is none of gates
    stores = ("NG_DFF", "NG_DFFS", "NG_LATCH")
    without |= {(gate.name, 0) for gate in n.gates if n.cells[gate.cell].name in stores}
    assert len(without) > 10 and _cuts(n, without) == []
    assert _cuts(n, {arc for arc in without if arc[1] == 0}) != []


def test_data_logic_may_be_made_anew_and_nothing_else(design):
    n = design.mapped.netlist
    kept = set(re.findall(r"^set_dont_touch \[get_cells (\w+)\]$", click_sdc(design), re.M))
    assert kept == {port_name(gate.name) for gate in n.gates if gate.name not in n.timed}
    delay = next(name for name, _ in design.mapped.kit.recipes["NG_DELAY"])
    assert {port_name(gate.name) for gate in n.gates if gate.cell == delay} <= kept

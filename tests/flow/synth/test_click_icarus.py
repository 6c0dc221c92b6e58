"""The emitted Click netlist: its ports, the models of its cells, and Icarus, where that is installed."""

import re
from dataclasses import replace
from itertools import product

import pytest

from neurogen.flow.synth.icarus import installed, run_click_icarus
from neurogen.flow.synth.levels import agree, prepare
from neurogen.flow.tools import SimulationError
from neurogen.qdi import State, U, click, compile, process
from neurogen.qdi.click.build import _Build
from neurogen.qdi.gates.cells import HOLD
from neurogen.qdi.gates.mapping import KITS, load_kit, map_netlist
from neurogen.qdi.gates.verilog import verilog
from tests.flow.synth.functions import histogram, loop_test, neuron


@process(width=4, mode="wrap")
def flips(a: U[4], s: State[U[4]] = 3):
    return a if (s & 1) else 9


icarus = pytest.mark.skipif(not installed(), reason="Icarus Verilog is not installed")


@icarus
@pytest.mark.parametrize("pdk", ["icarus click", "icarus click ihp"])
@pytest.mark.parametrize("function, stimuli", [
    (loop_test, [(a,) for a in (0, 5, 100)]), (histogram, [(a,) for a in (1, 3, 1, 0, 1)]),
    (flips, [(a,) for a in range(8)]), (neuron, [(k % 7 > 0,) for k in range(16)])],
    ids=lambda x: getattr(x, "__name__", ""))
def test_emitted_netlist_gives_what_python_gives(function, stimuli, pdk):
    (level,) = agree(prepare(function, stimuli), {pdk: 2})
    assert level.tokens > 0 and "Icarus" in level.remark


@icarus
def test_without_delay_cells_icarus_finds_wrong_results():
    stimulus = prepare(loop_test, [(a,) for a in (0, 5, 100)])
    kit = load_kit("sg13g2")
    design = click.build(stimulus.graph, kit)
    bare = replace(design, mapped=map_netlist(_Build(stimulus.graph, {}).netlist, kit))
    try:
        streams = run_click_icarus(bare, stimulus.unsigned, stimulus.wanted)
    except SimulationError as error:
        assert "tokens of o are missing" in str(error)
    else:
        assert streams != stimulus.expected


def test_acknowledge_that_the_environment_gives_comes_in():
    """The state's ring uses an input at once when the result is acknowledged: one net, two ports."""
    text = verilog(click.build(compile(flips), load_kit("sky130")).mapped)
    assert re.search(r"^  input o__xack,?$", text, re.M) and re.search(r"^  output a__tack,?$", text, re.M)
    assert re.search(r"^  assign a__tack = o__xack;$", text, re.M)


@pytest.mark.parametrize("name", KITS)
def test_models_are_the_tables_of_the_kit(name):
    kit = load_kit(name)
    modules = dict(re.findall(r"^module (\w+) (.*?)^endmodule$", click.models_verilog(kit), re.M | re.S))
    assert set(modules) == set(kit.cells)
    for cell_name, cell in kit.cells.items():
        pins, output = kit.pins[cell_name]
        if not cell.table:
            assert f"or negedge {pins[2]})" in modules[cell_name]
            assert f"1'b{int(cell.name == 'NG_DFFS')}" in modules[cell_name]
            continue
        equation = re.search(r"assign #\(RISE, FALL\) (\w+) = (.*);", modules[cell_name])
        assert equation[1] == output
        python = re.sub(r"~(\w+)", r"(1 - \1)", equation[2])
        for old, *high in product((0, 1), repeat=1 + len(pins)):
            value = eval(python, {}, dict(zip(pins, high, strict=True)) | {output: old})
            entry = cell.table[sum(w for w, x in zip(cell.weights, high, strict=True) if x)]
            assert value == (old if entry == HOLD else entry), (cell_name, high)

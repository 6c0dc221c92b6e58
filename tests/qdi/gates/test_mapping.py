"""Cells of PDKs: areas, proofs of mapped blocks, delays, margins."""

from dataclasses import replace

import pytest

from designs.if_neuron import DESIGN as NEURON
from neurogen.qdi import compile
from neurogen.qdi.compile import stimuli_of
from neurogen.qdi.gates import Builder, build, build_block
from neurogen.qdi.gates.cells import CELLS
from neurogen.qdi.gates.explore import explore
from neurogen.qdi.gates.mapping import KITS, load_kit, map_netlist
from neurogen.qdi.gates.proofs import promises
from neurogen.qdi.gates.simulate import Simulator
from neurogen.qdi.gates.timing import PER_READER, cycle_time, delays_of, margins
from neurogen.spec.qdi import BLOCKS
from tests.qdi import functions


def mapped(kind, kit, width=2, **more):
    given = {"width": width, "value": 1, "n": 2, "signed": False, "readers": 1} | more
    parameters = {name: given[name] for name in BLOCKS[kind].parameters}
    kit = load_kit(kit)
    netlist = build_block(kind, parameters, threshold=kit.threshold)
    return map_netlist(netlist, kit), promises(kind, parameters)


@pytest.mark.parametrize("kit, areas", [
    ("sky130", {"NG_C2": 10.0096, "NG_C2R": 17.5168, "NG_OR2": 6.256, "NG_NOR2": 3.7536}),
    ("sg13g2", {"NG_C2": 23.5872, "NG_C4": 38.1024, "NG_OR2": 9.072, "NG_AO22": 21.7728})])
def test_area_of_generic_cells(kit, areas):
    assert {cell: round(load_kit(kit).generic_area(cell), 4) for cell in areas} == areas


@pytest.mark.parametrize("kit, cell", [(kit, name) for kit in KITS for name, cell in CELLS.items()
                                       if cell.table and name in load_kit(kit).recipes])
def test_a_recipe_does_what_the_generic_cell_does(kit, cell):
    """From all states, one input at a time: the composed cells settle where the generic one does."""
    kit, generic = load_kit(kit), CELLS[cell]
    n = len(generic.pins)
    b = Builder("cell")
    b.block = "cell"
    nets = [b.net(pin) for pin in generic.pins]
    y = b.gate(cell, *nets)
    b.wires = {"y": y} | dict(zip(generic.pins, nets, strict=True))
    netlist = map_netlist(b.finish({}, {}), kit).netlist

    def settle(inputs, state):
        state = dict(state) | dict(zip(nets, inputs, strict=True))
        for _ in range(20):
            changes = {g.output: new for g in netlist.gates if (new := netlist.cells[g.cell].value(
                tuple(state[net] for net in g.inputs), state[g.output])) != state[g.output]}
            state.update(changes)
            if not changes:
                return state
        raise AssertionError("does not settle")

    zero = {net: 0 for g in netlist.gates for net in (*g.inputs, g.output)}
    state = settle([0] * n, zero)
    assert state[y] == generic.value((0,) * n, 0)
    seen, todo = set(), [((0,) * n, state)]
    while todo:
        inputs, state = todo.pop()
        if (inputs, state[y]) in seen:
            continue
        seen.add((inputs, state[y]))
        for k in range(n):
            after = tuple(x ^ (j == k) for j, x in enumerate(inputs))
            settled = settle(after, state)
            assert settled[y] == generic.value(after, state[y])
            todo.append((after, settled))
    assert len(seen) >= 1 << n


@pytest.mark.parametrize("kind", ["buffer", "init", "select", "branch", "adder", "lt", "hold", "gate", "loop",
                                  "else_condition"])
def test_blocks_of_sky130_cells_are_speed_independent(kind):
    block, promise = mapped(kind, "sky130", width=1)
    proof = explore(block.netlist, **promise)
    assert proof.violations == [] and proof.complete


def test_blocks_of_ihp_cells_need_relative_timing():
    block, promise = mapped("buffer", "sg13g2", width=1)
    proof = explore(block.netlist, limit=20_000, **promise)
    assert "persistency" in {violation.check for violation in proof.violations}
    assert len(block.holds) == 2


@pytest.mark.parametrize("kit", KITS)
def test_delays_are_of_the_cell_and_its_readers(kit):
    block, _ = mapped("fork", kit)
    delays = delays_of(block)
    gate = block.netlist.gates[-1]
    readers = sum(gate.output in g.inputs for g in block.netlist.gates)
    assert delays.rise[-1] == pytest.approx(block.kit.delay[gate.cell][0] / 1000 + PER_READER * readers)


@pytest.mark.parametrize("kit", KITS)
@pytest.mark.parametrize("name, area, ns", [("loop_test", {"sky130": 3500, "sg13g2": 6300},
                                             {"sky130": 18.5, "sg13g2": 13.5})])
def test_loop_in_cells_gives_its_streams_area_and_time(name, area, ns, kit):
    function = getattr(functions, name)
    kit = load_kit(kit)
    netlist = build(compile(function), threshold=kit.threshold)
    made = map_netlist(netlist, kit)
    stimuli = [0, 5, 250]
    expected = {k: len(v) for k, v in function.expected(stimuli).items()}
    result = Simulator(made.netlist).run(stimuli_of(function, stimuli), expected, delays=delays_of(made))
    assert result.clean
    assert [x & 255 for x in function.expected(stimuli)["o"]] == result.streams["o"]
    assert sum(made.area_of_blocks().values()) == pytest.approx(made.area)
    assert made.area < area[kit.name]
    time = cycle_time(made, stimuli_of(function, stimuli), expected)
    assert 1 < time.ns < ns[kit.name] and time.tokens == 21
    found = margins(made, stimuli_of(function, stimuli), expected)
    assert len(found) == len(made.holds)
    assert all(margin.ratio > 3 for margin in found)


@pytest.mark.parametrize("kit, passes, area", [("sg13g2", {}, 15_000), ("sky130", {"P12": True}, 10_000)])
def test_the_neuron_of_eight_bits_reaches_its_goals(kit, passes, area):
    """16 synapses: at most 20 ns for each on both kits, 15,000 µm² on IHP, 18 blocks; sky130 needs P12."""
    function, kit = NEURON.make(8), load_kit(kit)
    graph = compile(function, passes=passes)
    assert len(graph.blocks) <= 18 and graph.notes["deadlock"]["status"] == "proved"
    made = map_netlist(build(graph, threshold=kit.threshold), kit)
    stimuli = [(0xffff, 0), (0x1234, 9)]
    expected = {k: len(v) for k, v in function.expected(stimuli).items()}
    time = cycle_time(made, stimuli_of(function, stimuli), expected)
    assert time.tokens == 32 and time.ns <= 20
    assert made.area <= area


def test_a_slow_hold_path_has_no_margin_and_gives_hazards():
    kit = load_kit("sg13g2")
    made, _ = mapped("buffer", "sg13g2", width=1)
    tokens, expected = {"i": [0, 1] * 20}, {"o": 40}
    delays = delays_of(made)
    holds = {hold for _, hold, _, _ in made.holds}
    slow = replace(delays, fall=tuple(5.0 if g.output in holds else f
                                      for g, f in zip(made.netlist.gates, delays.fall, strict=True)))
    assert Simulator(made.netlist).run(tokens, expected, delays=delays).clean
    assert Simulator(made.netlist).run(tokens, expected, delays=slow).hazards
    assert kit.source in ("sg13g2_stdcell_typ_1p20V_25C.lib",)


def test_unknown_kit_and_cell():
    with pytest.raises(ValueError, match=r"^Kit must be one of sky130, sg13g2, not 'asap7'$"):
        load_kit("asap7")
    with pytest.raises(ValueError, match=r"must have a recipe for NG_TH"):
        map_netlist(build_block("adder", {"width": 3}, threshold=True), load_kit("sky130"))

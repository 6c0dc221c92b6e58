# amaranth: UnusedElaboratable=no

import random

import pytest
from amaranth.back import rtlil
from amaranth.hdl._nir import CombinationalCycle

import neurogen.qdi.clocked as clocked
from neurogen.qdi.clocked import build, dissolve, plan_slots
from neurogen.qdi.examples import add_graph, loop_graph
from neurogen.qdi.graph import Graph
from neurogen.qdi.tokens import simulate as simulate_tokens
from neurogen.testing.streams import collect, drive, monitor, random_pauses, simulate
from tests.rtl.qdi.rules import CASES, RULES, fire, stimulus


def border(graph, kind, name, width=8, signed=False):
    return graph.add(kind, {"name": name, "width": width, "signed": signed})


def chain(graph, *ends):
    for src, dst in zip(ends[::2], ends[1::2], strict=True):
        graph.connect(tuple(src.split(".")), tuple(dst.split(".")))


def held_graph():
    """Return ``while i < n: i = i + 1`` with ``n`` held; each call gives the last ``i``."""
    g = Graph("count_up")
    for name in ("i", "n"):
        g.add("input", {"name": name, "width": 8, "signed": False}, id=name)
    for id, kind, parameters in (
            ("select", "select", {"width": 8}), ("hold", "hold", {"width": 8}),
            ("two", "fork", {"width": 8, "n": 2}), ("test", "lt", {"width": 8, "signed": False}),
            ("copies", "fork", {"width": 1, "n": 2}), ("loop", "loop", {}),
            ("branch", "branch", {"width": 8}),
            ("step", "addc", {"width": 8, "value": 1})):
        g.add(kind, parameters, id=id, region="main/loop1")
    g.add("output", {"name": "o", "width": 8, "signed": False}, id="out")
    chain(g, "i.o", "select.i0", "n.o", "hold.i", "select.o", "two.i", "two.o0", "test.a", "hold.o", "test.b",
          "test.o", "copies.i", "copies.o0", "hold.c", "copies.o1", "loop.c", "loop.select", "select.s",
          "loop.branch", "branch.s", "two.o1", "branch.i", "branch.o1", "step.a", "step.o", "select.i1",
          "branch.o0", "out.i")
    return g


def sum_graph():
    """Return a running sum: the state is an `init` whose ring has an adder and a fork."""
    g = Graph("running_sum")
    g.add("input", {"name": "x", "width": 8, "signed": True}, id="x")
    g.add("init", {"width": 8, "value": 0}, id="state")
    g.add("adder", {"width": 8}, id="adder")
    g.add("fork", {"width": 8, "n": 2}, id="fork")
    g.add("output", {"name": "o", "width": 8, "signed": True}, id="out")
    chain(g, "x.o", "adder.a", "state.o", "adder.b", "adder.o", "fork.i", "fork.o0", "state.i",
          "fork.o1", "out.i")
    return g


GRAPHS = {
    "add_test": (add_graph, {"a": [3, 250, 9], "b": [4, 10, 0]}, [7, 4, 9]),
    "loop_test": (loop_graph, {"a": [0, 1, 240]}, [28, 29, 12]),
    "count_up": (held_graph, {"i": [0, 7, 3], "n": [5, 2, 3]}, [5, 7, 3]),
    "running_sum": (sum_graph, {"x": [1, -3, 127, 4]}, [1, -2, 125, -127]),
}


def run(graph, inputs, count, idle=0.0, backpressure=0.0, cycles=2000):
    dut, results = build(graph), []
    simulate(dut, *(drive(getattr(dut, name), tokens, random_pauses(seed, idle))
                    for seed, (name, tokens) in enumerate(inputs.items())),
             collect(dut.o, results, random_pauses(9, backpressure), count=count), cycles=cycles)
    return results


@pytest.mark.parametrize("stalls", [(0.0, 0.0), (0.5, 0.5)], ids=["free", "stalled"])
@pytest.mark.parametrize("name", GRAPHS)
def test_circuit_gives_the_results_of_python(name, stalls):
    make, inputs, expected = GRAPHS[name]
    graph = make()
    assert run(graph, inputs, len(expected), *stalls) == expected
    tokens = simulate_tokens(graph, inputs, expect=len(expected)).outputs["o"]
    assert tokens == [value % 256 for value in expected]


@pytest.mark.parametrize("name", GRAPHS)
def test_circuit_has_no_combinational_cycle_and_stable_names(name):
    text = rtlil.convert(build(GRAPHS[name][0]()), emit_src=False)
    assert text == rtlil.convert(build(GRAPHS[name][0]()), emit_src=False)
    for node in build(GRAPHS[name][0]())._nodes:
        assert f"cell \\top.{node.id} \\{node.id}" in text


@pytest.mark.parametrize("name", ["loop_test", "count_up"])
def test_cycles_would_be_there_without_slots(name, monkeypatch):
    monkeypatch.setattr(clocked, "all_slots", lambda graph: [])
    with pytest.raises(CombinationalCycle):
        rtlil.convert(build(GRAPHS[name][0]()))


def test_slots_are_on_the_ways_back():
    graph = loop_graph()
    assert [edge.dst for edge in plan_slots(graph, dissolve(graph))] == [("select_2", "i1")]
    held = held_graph()
    assert [edge.dst for edge in plan_slots(held, dissolve(held))] == [("select", "i1"), ("hold", "c")]
    assert plan_slots(sum_graph(), dissolve(sum_graph())) == []  # `init` has its own


def test_half_buffers_are_wires():
    graph = loop_graph()
    kinds = [graph.nodes[id].kind for edge in dissolve(graph) for id in (edge.src[0], edge.dst[0])]
    assert "buffer" not in kinds and "fifo" not in kinds
    assert len(dissolve(graph)) == len(graph.edges) - 2


@pytest.mark.parametrize("make, inputs, iterations", [
    (loop_graph, {"a": [0] * 20}, 20 * 7), (held_graph, {"i": [0] * 10, "n": [20] * 10}, 10 * 21),
], ids=["loop_test", "count_up"])
def test_an_iteration_takes_one_cycle(make, inputs, iterations):
    dut, cycles = build(make()), []

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        for cycle in range(1000):
            if ctx.get(dut.o.valid):
                cycles.append(cycle)
            await ctx.tick()

    simulate(dut, bench, background=[drive(getattr(dut, name), t) for name, t in inputs.items()], cycles=2000)
    calls = len(cycles) - 1
    assert calls == len(next(iter(inputs.values()))) - 1
    per_call = iterations / (calls + 1)
    assert cycles[-1] - cycles[0] <= 1.1 * per_call * calls


def test_offered_results_stay():
    make, inputs, expected = GRAPHS["loop_test"]
    dut, seen, results = build(make()), [], []
    simulate(dut, drive(dut.a, inputs["a"]), collect(dut.o, results, random_pauses(1, 0.9), count=3),
             background=[monitor(dut.o, seen)], cycles=2000)
    assert results == expected


def test_names_of_ports_must_differ():
    graph = Graph("twice")
    chain(graph, f"{border(graph, 'input', 'a')}.o", f"{border(graph, 'output', 'a')}.i")
    with pytest.raises(ValueError, match=r"^Names of twice's ports must be new and differ, not 'a'$"):
        build(graph)


def test_a_link_of_four_phases_can_be_a_parameter():
    graph = Graph("listen")
    graph.add("input", {"name": "events", "width": 6, "signed": False}, id="events")
    graph.add("aer_port", {"width": 6}, id="port")
    graph.add("output", {"name": "o", "width": 6, "signed": False}, id="out")
    chain(graph, "events.o", "port.i", "port.o", "out.i")
    dut, results = build(graph), []

    async def sender(ctx):
        for event in (5, 63, 0):
            ctx.set(dut.events.data, event)
            for level in (1, 0):
                ctx.set(dut.events.req, level)
                while ctx.get(dut.events.ack) != level:
                    await ctx.tick()

    simulate(dut, sender, collect(dut.o, results, count=3), cycles=200)
    assert results == [5, 63, 0]


@pytest.mark.parametrize("kind, parameters", [case for case in CASES
                                              if case[0] in RULES and case[0] != "source"], ids=str)
def test_token_simulator_and_components_keep_the_same_rules(kind, parameters):
    graph = Graph("one_block")
    block = graph.add(kind, parameters)
    inputs, outputs = graph.nodes[block].ports
    for port in inputs:
        graph.connect((border(graph, "input", port.name, port.width), "o"), (block, port.name))
    for port in outputs:
        graph.connect((block, port.name), (border(graph, "output", port.name, port.width), "i"))
    tokens = stimulus(kind, parameters, random.Random(7), 30)
    result = simulate_tokens(graph, tokens, capacity=100)
    outs, taken = fire(kind, parameters, tokens)
    assert result.outputs == outs
    left = {name: len(tokens[name]) - len(result.left.get((block, name), ())) for name in tokens}
    assert left == taken or kind == "reg"  # writes wait in the register or in front of it

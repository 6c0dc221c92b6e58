from importlib import import_module

import pytest

from neurogen import qdi
from neurogen.qdi.certificate import certify
from neurogen.qdi.examples import add_graph, loop_graph
from tests.qdi.functions import CASES, early, gcd, if_neuron, loop_test


@pytest.mark.parametrize("function", [f for f, _ in CASES], ids=lambda f: f.__name__)
@pytest.mark.parametrize("buffers", ["rules", "safe"])
def test_every_construct_is_proved(function, buffers):
    assert qdi.compile(function, buffers=buffers).notes["deadlock"]["status"] == "proved"


def test_hand_built_graphs():
    assert certify(add_graph()).status == certify(loop_graph()).status == "proved"


def test_ring_of_two_half_buffers_is_dead():
    """Measured on gates: a ring with a token and two half buffers stops in every run."""
    graph = loop_graph()
    graph.nodes["fifo_13"].kind = "buffer"
    del graph.nodes["fifo_13"].parameters["depth"]
    found = certify(graph)
    assert (found.status, found.reason) == ("deadlock", "input a stops for ever")
    assert any(line.startswith("buffer_3 has i, waits for") for line in found.waiting)


def test_bypass_without_buffer_is_dead():
    """Rule R2: each buffer beside a loop that is taken out again stops the graph, with lines to look at."""
    graph = qdi.compile(early)
    dead = []
    for node in [n for n in graph.nodes.values() if n.kind == "buffer" and "/loop" not in n.region]:
        other = qdi.Graph.from_json(graph.to_json())
        into, out = other.ins(node.id)["i"], other.outs(node.id)["o"]
        other.edges = [e for e in other.edges if e not in (into, out)]
        del other.nodes[node.id]
        other.connect(into.src, out.dst)
        if certify(other).status == "deadlock":
            dead.append(certify(other))
    assert dead and all("functions.py:" in line for found in dead for line in found.waiting)


def test_budget():
    graph = qdi.compile(gcd, budget=0)
    assert "deadlock" not in graph.notes
    assert certify(graph, budget=2).status == "fuzz only"
    graph = qdi.compile(gcd, budget=1)
    assert graph.notes["buffers"] == "safe" and graph.notes["deadlock"]["status"] == "safe default"


@qdi.process(width=4, mode="wrap")
def beacon(a: qdi.U[4], s: qdi.State[qdi.U[4]] = 3):
    return s


@pytest.mark.filterwarnings("ignore:.*QDI017")
def test_graph_that_needs_no_input_is_not_explored_for_ever():
    found = qdi.compile(beacon).notes["deadlock"]
    assert (found["status"], found["reason"]) == (
        "safe default", "beacon goes on for ever without an input or a choice")
    assert qdi.check(beacon, [1, 2, 3], budget=0) == {"o": [3, 3, 3]}


def test_dead_graph_is_an_error(monkeypatch):
    monkeypatch.setattr(import_module("neurogen.qdi.compile"), "place_buffers", lambda graph, how: None)
    monkeypatch.setattr(qdi.Graph, "verify", lambda graph, buffers: None)
    with pytest.raises(qdi.Deadlock, match="gcd is deadlocked: input a stops for ever"):
        qdi.compile(gcd)


def test_blocks_without_a_model_are_told():
    graph = qdi.Graph("g")
    ins = [graph.add("input", {"name": n, "width": 1, "signed": False}) for n in "ab"]
    merge = graph.add("arb_merge", {"width": 1})
    out = graph.add("output", {"name": "o", "width": 1, "signed": False})
    for k, id in enumerate(ins):
        graph.connect((id, "o"), (merge, f"i{k}"))
    graph.connect((merge, "o"), (out, "i"))
    found = certify(graph)
    assert (found.status, found.reason) == ("fuzz only", "a block of kind arb_merge has no handshake model")


@pytest.mark.parametrize("function, most", [(loop_test, 14), (if_neuron, 18)])
def test_number_of_blocks(function, most):
    """The published tool needs 22 and 20; its widths are not known."""
    assert len(qdi.compile(function).blocks) <= most

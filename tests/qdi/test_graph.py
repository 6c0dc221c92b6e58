import pytest

from neurogen.qdi.examples import add_graph, loop_graph
from neurogen.qdi.graph import Edge, Graph, GraphError, Loc
from neurogen.qdi.tokens import Deadlock, simulate


def codes(graph, **options):
    with pytest.raises(GraphError) as caught:
        graph.verify(**options)
    return {problem.code for problem in caught.value.problems}


@pytest.mark.parametrize("graph", [add_graph(), loop_graph()], ids=lambda g: g.name)
def test_graph_survives_json(graph):
    graph.verify(buffers=True)
    copy = Graph.from_json(graph.to_json())
    assert (copy.nodes, copy.edges, copy.inputs, copy.outputs) == (
        graph.nodes, graph.edges, graph.inputs, graph.outputs)
    assert copy.to_json() == graph.to_json()
    assert all(f'"{id}"' in graph.to_dot() for id in graph.nodes)


def test_json_that_is_no_graph():
    with pytest.raises(ValueError, match=r"^JSON must be a graph, not this: KeyError"):
        Graph.from_json("{}")


@pytest.mark.parametrize("capacity", [1, 2])
@pytest.mark.parametrize("seed", range(5))
def test_hand_built_loop_is_the_python_loop(capacity, seed):
    def python(a):
        for i in range(7):
            a = a + i + 1
        return a % 256

    starts = [0, 1, 2, 250, 255]
    result = simulate(loop_graph(), {"a": starts}, capacity=capacity, seed=seed, expect=5)
    assert result.outputs["o"] == [python(a) for a in starts]
    assert set(result.left) == {("select_2", "s")}  # the token that waits for the next call, no other


def test_deadlock_names_the_blocks_that_wait():
    graph = loop_graph()
    edge = next(e for e in graph.edges if e.dst == ("select_2", "i1"))
    graph.edges.remove(edge)  # the ring is cut: the token of the second trip never arrives
    sink = graph.add("sink_data", {"width": edge.width}, region="main/loop1/body")
    graph.connect(edge.src, (sink, "i"))
    graph.edges.append(Edge(("input_0", "x"), ("select_2", "i1"), edge.width))
    graph.nodes["select_2"].loc = Loc("f.py", 3, 5, "  for i in range(7):")
    with pytest.raises(Deadlock, match=r"o gave 0 of 1 tokens") as caught:
        simulate(graph, {"a": [1]}, expect=1)
    (waiting,) = [w for w in caught.value.waiting if w.node == "select_2"]
    assert str(waiting) == "select_2 for a token on i0, i1 (f.py:3:5: for i in range(7):)"


def test_inputs_are_checked():
    with pytest.raises(ValueError, match=r"^Inputs of add_test must be a, b, not a$"):
        simulate(add_graph(), {"a": [1]})


def test_invariant_ports():
    graph = add_graph()
    edge = graph.edges.pop()
    assert codes(graph) == {"V1"}
    graph.edges.append(Edge(edge.src, edge.dst, 3))
    assert codes(graph) == {"V2"}


def test_invariant_cycle():
    graph = Graph("g")
    a, b = (graph.add("not", {"width": 1}) for _ in "ab")
    graph.connect((a, "o"), (b, "a"))
    graph.connect((b, "o"), (a, "a"))
    assert codes(graph) == {"V3"}


def test_invariant_regions_and_trigger():
    graph = loop_graph()
    graph.nodes["adder_8"].region = "main"
    assert codes(graph) == {"V4"}
    graph = Graph("g")
    source = graph.add("input", {"name": "a", "width": 1, "signed": False})
    const = graph.add("const", {"width": 2, "value": 1, "trigger_width": 1}, region="main/loop1")
    out = graph.add("output", {"name": "o", "width": 2, "signed": False}, region="main/loop1")
    graph.connect((source, "o"), (const, "i"))
    graph.connect((const, "o"), (out, "i"))
    assert codes(graph) == {"V5"}


def test_invariant_loop_without_token():
    graph = Graph("g")
    source = graph.add("input", {"name": "a", "width": 1, "signed": False})
    loop = graph.add("loop")
    sinks = [graph.add("sink_data", {"width": 1}) for _ in range(2)]
    graph.connect((source, "o"), (loop, "c"))
    graph.connect((loop, "select"), (sinks[0], "i"))
    graph.connect((loop, "branch"), (sinks[1], "i"))
    assert codes(graph) == {"V6"}


def test_invariant_merge_behind_buffer():
    graph = Graph("g")
    ins = [graph.add("input", {"name": name, "width": 1, "signed": False}) for name in "ab"]
    merge = graph.add("merge", {"width": 1, "n": 2})
    out = graph.add("output", {"name": "o", "width": 1, "signed": False})
    for k, source in enumerate(ins):
        graph.connect((source, "o"), (merge, f"i{k}"))
    graph.connect((merge, "o"), (out, "i"))
    graph.verify()
    graph.insert(graph.edges[0], "buffer", {"width": 1})
    assert codes(graph) == {"V7"}


def test_invariant_ring_without_buffers():
    graph = loop_graph()
    graph.nodes["fifo_13"].kind = "buffer"
    graph.nodes["fifo_13"].parameters.pop("depth")
    graph.verify()
    assert codes(graph, buffers=True) == {"V8"}

import json
import re

import pytest

from neurogen.flow.synth.drawing import draw, label, stand_alone
from neurogen.flow.synth.layout import place
from neurogen.flow.synth.page import Facts, Table, render
from neurogen.flow.synth.trace import trace
from neurogen.qdi.examples import add_graph, loop_graph
from neurogen.qdi.graph import Graph
from neurogen.qdi.tokens import simulate


def boxes(graph):
    names = list(graph.nodes)
    picture = place(dict.fromkeys(names, 60), [(e.src[0], 0, e.dst[0], 0) for e in graph.edges], 30)
    return names, picture


@pytest.mark.parametrize("make", [add_graph, loop_graph])
def test_boxes_do_not_overlap_and_lines_lead_down(make):
    graph = make()
    names, picture = boxes(graph)
    assert set(picture.boxes) == set(names)
    for one in names:
        assert 30 <= picture.boxes[one][0] <= picture.width - 30
        for other in names:
            (x0, y0), (x1, y1) = picture.boxes[one], picture.boxes[other]
            assert one == other or abs(x0 - x1) >= 60 or abs(y0 - y1) >= 30
    for edge, line in zip(graph.edges, picture.lines, strict=True):
        ends = line.points[0], line.points[-1]
        assert ends[0] == (picture.boxes[edge.src[0]][0], picture.boxes[edge.src[0]][1] + 15)
        assert ends[1] == (picture.boxes[edge.dst[0]][0], picture.boxes[edge.dst[0]][1] - 15)
        heights = [y for _, y in line.points]
        assert line.back or heights == sorted(heights)


def test_only_ways_back_lead_back():
    graph = loop_graph()
    _, picture = boxes(graph)
    back = {e.src[0] for e, line in zip(graph.edges, picture.lines, strict=True) if line.back}
    assert back == {"loop_10", "fifo_13"}


def test_lines_of_a_way_back_pass_beside_every_box():
    graph = loop_graph()
    _, picture = boxes(graph)
    for line in picture.lines:
        for x, y in line.points[1:-1]:
            assert all(abs(x - bx) > 30 or abs(y - by) > 15 for bx, by in picture.boxes.values())


def test_every_node_and_channel_is_in_the_drawing():
    graph = loop_graph()
    svg = draw(graph)
    assert [id for id in graph.nodes if f'id="n-{id}"' not in svg] == []
    assert len(re.findall(r'id="e-\d+"', svg)) == len(re.findall(r'id="t-\d+"', svg)) == len(graph.edges)
    assert "<style>" in stand_alone(graph) and stand_alone(graph).count("<svg") == 1


def test_labels_say_what_a_block_does():
    graph = loop_graph()
    labels = {label(node) for node in graph.nodes.values()}
    assert {("+ 1", "addc 3"), ("< 7", "ltc 3"), ("a", "8 bits"), ("select", "11 bits")} <= labels


def test_steps_end_with_the_results_of_the_token_simulator():
    graph = loop_graph()
    steps = trace(graph, {"a": [0, 3, 200]})
    expected = simulate(graph, {"a": [0, 3, 200]}, expect=3)
    assert steps[-1].results == {"o": tuple(expected.outputs["o"])} == {"o": (28, 31, 228)}
    assert all(sum(id == node for step in steps for id in step.fired) > 0 for node in graph.nodes)
    assert all(0 <= value < 1 << graph.edges[k].width for step in steps for k, value in step.tokens.items())


def test_steps_are_limited():
    assert len(trace(loop_graph(), {"a": [0]}, limit=5)) == 5


def page(graph, **facts):
    names = [graph.nodes[id].parameters["name"] for id in graph.inputs]
    return render(graph, [(1, "def f(a):"), (2, "    return a < 1")], {name: [1, 2] for name in names},
                  Facts(**facts))


def test_page_needs_nothing_but_itself():
    html = page(loop_graph(), chips=[("all good", "good")], tables=[Table("Blocks", ["kind"], [["adder"]])])
    assert not re.search(r'(?:src|href)="', html)
    # The namespace of SVG is a name, not something to load.
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", html)
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', html, re.S)[1])
    assert data["edges"] == len(loop_graph().edges)
    assert data["outputs"] == [["o", ["29", "30"]]]
    assert data["steps"][0]["fired"] and "all good" in html


def test_page_shows_text_as_text():
    graph = Graph("x")
    a = graph.add("input", {"name": "a", "width": 4, "signed": False})
    o = graph.add("output", {"name": "</script><b>", "width": 4, "signed": True})
    graph.connect((a, "o"), (o, "i"))
    html = render(graph, [(1, "a = '<i>' & 1")], {"a": [15]}, Facts(command="<u>"))
    assert "<b>" not in html.split('id="data"')[1].split("</script>")[0]
    assert "&lt;i&gt;" in html and "<u>" not in html
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', html, re.S)[1])
    assert data["outputs"] == [["</script><b>", ["-1"]]]


def test_packed_tokens_are_shown_as_their_numbers():
    html = page(loop_graph())
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', html, re.S)[1])
    graph = loop_graph()
    ring = [k for k, e in enumerate(graph.edges) if e.dst[0] == "fifo_13"]
    shown = [step["tokens"][str(ring[0])] for step in data["steps"] if str(ring[0]) in step["tokens"]]
    # i and a, after each iteration but the last: a = 1, then a = 2
    assert list(dict.fromkeys(shown))[:3] == ["1 2", "2 4", "3 7"]

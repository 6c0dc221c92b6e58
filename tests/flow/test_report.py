import io
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from rich.console import Console

from neurogen.flow.drawing import draw_graph, draw_raster, rank_nodes
from neurogen.flow.report import describe_network, write_report
from neurogen.flow.terminal import print_report
from neurogen.frontend.quantise_report import LayerReport, QuantisationReport
from neurogen.spec.conv import Conv
from neurogen.spec.dense import Dense
from neurogen.spec.lif import Lif, Reset
from neurogen.spec.mega import MegaSpec
from neurogen.spec.network import Edge, Input, Network
from neurogen.spec.pool import Flatten, SumPool


def network(hidden=10):
    """A small network with a pool, a residual edge and a recurrent population."""
    nodes = {
        "input": Input(shape=(2, 8, 8)),
        "conv1": Conv(weight=np.ones((4, 2, 3, 3), int), padding=1),
        "spikes1": Lif(shape=(4, 8, 8), threshold=20, decay=3686),
        "conv2": Conv(weight=np.ones((4, 4, 3, 3), int), padding=1),
        "spikes2": Lif(shape=(4, 8, 8), threshold=20),
        "pool": SumPool(size=2),
        "flatten": Flatten(),
        "dense": Dense(weight=np.ones((hidden, 64), int)),
        "recurrent": Dense(weight=np.ones((hidden, hidden), int)),
        "hidden": Lif(shape=(hidden,), threshold=50, reset=Reset.ZERO),
        "read-out": Dense(weight=np.ones((3, hidden), int)),
        "classes": Lif(shape=(3,), threshold=1, reset=Reset.NONE),
    }
    pairs = [("input", "conv1"), ("conv1", "spikes1"), ("spikes1", "conv2"), ("conv2", "spikes2"),
             ("spikes1", "pool"), ("spikes2", "pool"), ("pool", "flatten"), ("flatten", "dense"),
             ("dense", "hidden"), ("recurrent", "hidden"), ("hidden", "read-out"), ("read-out", "classes")]
    edges = [Edge(*pair) for pair in pairs] + [Edge("hidden", "recurrent", 1)]
    return Network(nodes, tuple(edges), ("classes",))


def example(seed=1):
    """Return a report's data, made up, with everything that a page can show."""
    random = np.random.default_rng(seed)
    layers = []
    for name, kind, events, width in (
            ("spikes1", "Conv 3×3", 41_210, 288), ("spikes2", "Conv 3×3", 90_466, 288),
            ("hidden", "Dense", 12_004, 90), ("classes", "Dense", 8_120, 27)):
        cycles = int(events * 1.03) + 9000
        layers.append({"name": name, "kind": kind, "events": events, "sops": events * width,
                       "spikes": events // 3, "cycles": cycles, "bound_cycles": events + 9100,
                       "utilisation": events * width / cycles / 288, "state_rows": 128, "weight_rows": 36,
                       "spike_rows": np.int64(64), "passes": 1})
    spec = MegaSpec(lanes=32, weight_bits=8, state_bits=12, state_depth=512, weight_depth=512,
                    spike_depth=512)

    def spikes(count, neurons):
        return {"t": np.sort(random.integers(0, 60, count)), "n": random.integers(0, neurons, count),
                "neurons": neurons}

    return {
        "network": describe_network(network(), "example.npz"),
        "config": {"name": "default", **spec.to_dict()},
        "versions": {"neurogen": "0.1.0", "amaranth": "0.5.10", "yosys": "0.70", "nextpnr": "0.11"},
        "board": "ULX3S-85F",
        "layers": layers,
        "raster": {"spikes1": spikes(2500, 256), "spikes2": spikes(6000, 256), "hidden": spikes(150, 10),
                   "classes": spikes(20, 3)},
        "quantisation": {"layers": {
            "conv1": {"bits": 8, "scale": [0.0121, 0.0117, 0.013, 0.0125], "max_error": 0.0064,
                      "rms_error": 0.0036, "clipped": 0},
            "dense": {"bits": 8, "scale": 0.0087, "max_error": float("nan"), "rms_error": 0.0024,
                      "clipped": 2}}},
        "resources": {"device": "LFE5U-85F", "fmax": 63.4, "target": 60.0, "slack": 0.894,
                      "cells": {"TRELLIS_COMB": {"used": 41_877, "available": 83_640},
                                "TRELLIS_FF": {"used": 18_020, "available": 83_640},
                                "DP16KD": {"used": 190, "available": 208},
                                "MULT18X18D": {"used": 36, "available": 156}},
                      "critical_path": ["cluster.lif.v  1.2 ns", "cluster.lif.fired  2.9 ns"]},
        "verify": {"samples": 100, "steps": 1600, "spikes": 98_544, "potentials": 4_120_000, "mismatches": 0},
        "accuracy": {"float": 0.97, "golden": {"correct": 96, "total": 100},
                     "rtl": {"correct": 96, "total": 100}},
        "memory": {"state": {"used": 410, "available": 512, "unit": "rows"},
                   "weight": {"used": 505, "available": 512, "unit": "rows"},
                   "spike": {"used": 128, "available": 512, "unit": "rows"}},
        "hashes": {"example.npz": "0" * 64},
        "command": "python -m designs.mega build --target fpga --network example.npz",
        "wall_time": 312.4, "peak_memory": 1_912_345_678,
    }


MINIMAL = ("network", "config", "versions")


class Page(HTMLParser):
    """Collects the words of a page, its tags, and everything that it would load."""

    VOID = frozenset({"meta", "img", "br", "path", "rect", "link"})

    def __init__(self, text):
        super().__init__()
        self.words, self.loads, self.open, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "srcset", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def write(tmp_path, data):
    html, facts = write_report(tmp_path, data)
    page = Page(html.read_text(encoding="utf-8"))
    page.close()
    assert page.open == []  # every tag is closed
    return page, json.loads(facts.read_text(encoding="utf-8"))


def test_page_shows_what_it_was_given(tmp_path):
    page, _ = write(tmp_path, example())
    for text in ("example.npz on default", "ULX3S-85F", "RTL = golden, 100 samples",
                 "63.4 MHz, target 60.0 MHz", "41,210", "190 of 208", "91.3 %", "0.0117 … 0.013",
                 "96 of 100", "5 min 12 s", "1.8 GiB", "cluster.lif.fired 2.9 ns", "SOP per cycle of 288"):
        assert text in page.text, text


def test_page_loads_nothing(tmp_path):
    page, _ = write(tmp_path, example())
    assert len(page.loads) == 1
    assert page.loads[0].startswith("data:image/png;base64,")
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "://" not in text
    assert re.search(r"@import|url\((?!#)", text) is None


def test_json_holds_the_same(tmp_path):
    data = example()
    _, facts = write(tmp_path, data)
    assert (facts["format"], facts["version"]) == ("neurogen.report", 1)
    assert facts["layers"][0]["spike_rows"] == 64  # was a NumPy integer
    assert facts["raster"]["hidden"]["t"] == data["raster"]["hidden"]["t"].tolist()
    assert facts["quantisation"]["layers"]["dense"]["max_error"] is None  # JSON has no NaN
    assert set(facts) == set(data) | {"format", "version"}


def test_the_same_data_give_the_same_bytes(tmp_path):
    first = [path.read_bytes() for path in write_report(tmp_path / "a", example())]
    assert first == [path.read_bytes() for path in write_report(tmp_path / "b", example())]


@pytest.mark.parametrize("key", [key for key in example() if key not in MINIMAL])
def test_any_section_may_be_missing(tmp_path, key):
    data = example()
    del data[key]
    write(tmp_path, data)


def test_three_keys_are_enough(tmp_path):
    page, facts = write(tmp_path, {key: example()[key] for key in MINIMAL})
    assert "Layers" not in page.text
    assert set(facts) == {"format", "version", *MINIMAL}


def test_failures_are_told_at_the_top(tmp_path):
    data = example()
    data["verify"] |= {"mismatches": 3,
                       "first_difference": {"layer": "spikes2", "step": 7, "golden": 5, "rtl": 6}}
    data["resources"] |= {"fmax": 51.2}
    html, _ = write_report(tmp_path, data)
    text = html.read_text(encoding="utf-8")
    assert '<span class="chip bad">3 mismatches between RTL and golden, 100 samples</span>' in text
    assert '<span class="chip bad">51.2 MHz, target 60.0 MHz</span>' in text
    assert "layer: spikes2\nstep: 7\ngolden: 5\nrtl: 6" in text


def test_names_cannot_break_the_page(tmp_path):
    data = example()
    data["network"] |= {"name": "<script>alert(1)</script>"}
    data["network"]["nodes"][0]["parameters"] = "</svg><b>"
    page, _ = write(tmp_path, data)
    assert "script" not in page.tags
    assert "<script>alert(1)</script> on default" in page.text


def test_missing_and_unknown_keys(tmp_path):
    with pytest.raises(ValueError, match=r"^Report must have 'config', 'versions', and does not$"):
        write_report(tmp_path, {"network": {}})
    with pytest.raises(ValueError, match=r"^Report must be made of network, .*, not 'layer'$"):
        write_report(tmp_path, example() | {"layer": []})
    with pytest.raises(TypeError, match=r"^Report must be made of plain values, not <object"):
        write_report(tmp_path, example() | {"command": object()})


def test_a_failed_report_leaves_the_earlier_one(tmp_path):
    paths = write_report(tmp_path, example())
    before = [path.read_bytes() for path in paths]
    bad = example()
    bad["layers"][0]["cycles"] = "many"
    with pytest.raises(TypeError):
        write_report(tmp_path, bad)
    assert [path.read_bytes() for path in paths] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_network_is_described():
    net = network()
    about = describe_network(net, "n")
    nodes = {node["name"]: node for node in about["nodes"]}
    assert nodes["conv1"] == {"name": "conv1", "kind": "Conv", "shape": [4, 8, 8], "params": 72,
                              "parameters": "3×3, pad 1"}
    assert nodes["pool"]["parameters"] == "2×2"
    assert [nodes[name]["parameters"] for name in net.populations] == [
        "LIF, reset subtract", "IF, reset subtract", "IF, reset zero", "read-out"]
    assert about["edges"][-1] == ["hidden", "recurrent", 1]
    assert about["digest"] == net.digest


def test_columns_follow_the_edges():
    rank, back = rank_nodes("abcdr", [("a", "b", 0), ("b", "c", 0), ("a", "c", 0), ("c", "r", 1),
                                      ("r", "c", 0), ("c", "d", 0)])
    assert rank == {"a": 0, "b": 1, "c": 2, "r": 3, "d": 3}
    assert back == {("r", "c")}


def test_a_node_that_feeds_itself_has_a_column():
    assert rank_nodes("ab", [("a", "a", 1), ("a", "b", 0)]) == ({"a": 0, "b": 1}, {("a", "a")})


def test_boxes_of_a_deep_network_do_not_overlap():
    names = [f"n{i}" for i in range(40)]
    svg = draw_graph([{"name": name, "kind": "Lif", "shape": (3,)} for name in names],
                     [(a, b, 0) for a, b in pairwise(names)], ["n39"])
    corners = [tuple(map(float, found)) for found in re.findall(r"translate\((\S+) (\S+)\)", svg)]
    width, height = map(float, re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups())
    assert len(corners) == len(set(corners)) == 40
    for k, (x, y) in enumerate(corners):
        assert 0 <= x <= width - 126 and 0 <= y <= height - 58
        assert all(abs(x - u) >= 126 or abs(y - v) >= 58 for u, v in corners[:k])
    assert svg.count('class="edge"') == 39


def test_raster_without_spikes():
    empty = np.zeros(0, int)
    assert draw_raster({"quiet": {"t": empty, "n": empty}}).startswith("data:image/png;base64,")


@pytest.mark.parametrize("neurons", [3, 3000])
def test_every_spike_can_be_seen(neurons):
    blank, one = ({"p": {"t": np.array(t, int), "n": np.array(t, int), "neurons": neurons}}
                  for t in ([], [2]))
    assert draw_raster(blank, steps=5000) != draw_raster(one, steps=5000)


def test_quantisation_of_the_frontend(tmp_path):
    layers = (LayerReport(name="conv", synapses=("c1",), scale=(0.5, 0.25), weight_bits=8, state_bits=14,
                          threshold=(90, 90), v_lo=-700, weights=72, max_error=0.1, sqnr_db=38.25),
              LayerReport(name="out", synapses=("d1",), scale=(0.125,), threshold=(3, 9)))
    page, _ = write(tmp_path, example() | {"quantisation": QuantisationReport(layers).to_dict()})
    for text in ("0.25 … 0.5", " 90 ", "3 … 9", "38.25", "Widths and guard bands", "-700"):
        assert text in page.text, text
    assert "spikes differing" not in page.text  # nobody calibrated


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    paths = write_report(tmp_path, example())
    before = [path.read_bytes() for path in paths]

    def full(part, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("neurogen.flow.report.os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path, example(seed=2))
    assert [path.read_bytes() for path in paths] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


@pytest.mark.parametrize("accuracy, text", [
    ({"correct": 0, "total": 0}, "0 of 0"), ({"correct": 3, "total": 4}, "3 of 4"), (0.25, "")])
def test_accuracy_of_nothing_and_fractions(tmp_path, accuracy, text):
    """On the page and in the terminal."""
    data = example()
    data["accuracy"] = {"some": accuracy}
    page = write(tmp_path, data)[0]
    share = {"0 of 0": "–", "3 of 4": "75.0", "": "25.0"}[text]
    assert share in page.text and text in page.text
    console = Console(file=io.StringIO(), width=200)
    print_report({"network": {"name": "n", "digest": "0" * 64}, "config": {"name": "c"},
                  "accuracy": {"some": accuracy}}, console)
    shown = share + "%" * (share != "–")
    line = console.file.getvalue().splitlines()[-1]
    assert line == f"accuracy, some: {f'{text} ({shown})' if text else shown}"

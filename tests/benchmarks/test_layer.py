import json

import pytest

from benchmarks import boards
from benchmarks.golden import measure
from benchmarks.layer import layer, recording
from neurogen.golden.network import run


@pytest.mark.parametrize("density", [0.01, 1.0])
def test_some_neurons_of_the_layer_fire(density):
    events = recording(density, 1)
    network = layer(events)
    fired = len(run(network, {"input": events}, record="spikes").spikes["lif"])
    assert 0.01 < fired / network.nodes["lif"].neurons < 0.1


def test_float_simulators_do_the_same_work():
    rows = [row for row in measure(0.01, 1, 1) if "rate" in row]
    assert rows[0]["model"] == "neurogen golden" and rows[0]["ratio"] == 1
    for row in rows:
        assert row["fired"] == pytest.approx(rows[0]["fired"], rel=0.05)


def test_report_of_a_build_becomes_a_row(tmp_path):
    resources = {"device": "ulx3s-85f", "fmax": 50.0, "target": 60.0,
                 "cells": {"TRELLIS_COMB": {"used": 41_000, "available": 83_640},
                           "DP16KD": {"used": 100, "available": 208}}}
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"config": {"name": "default"}, "resources": resources, "wall_time": 60.0}))
    row = boards._read(path)
    assert row["logic"] == "41,000 of 83,640" and row["memories"] == "100 of 208"
    assert row["note"] == "too slow by 3.33 ns" and "registers" not in row
    path.write_text(json.dumps({"config": {"name": "default"}}))
    with pytest.raises(SystemExit, match="has no resources"):
        boards._read(path)

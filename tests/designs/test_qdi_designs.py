import json
import re
from importlib import import_module

import numpy as np
import pytest
from typer.testing import CliRunner

from designs.fc4x4 import WEIGHTS as FC_WEIGHTS
from designs.fc4x4 import threshold
from designs.if_neuron import WEIGHTS
from neurogen.flow.synth.design import _app
from neurogen.qdi import check, compile


NAMES = ("add_test", "loop_test", "if_neuron", "fc4x4")


def design(name):
    return import_module(f"designs.{name}").DESIGN


def run(name, *arguments):
    return CliRunner().invoke(_app(design(name)), [str(a) for a in arguments])


def oracle(name, width, rows):
    """The results of a design, told once more with arrays."""
    rows, top = np.array(rows, np.int64), 1 << width
    if name == "add_test":
        return {"o": (rows.sum(1) % top).tolist()}
    if name == "loop_test":
        return {"o": ((rows[:, 0] + np.arange(1, 8).sum()) % top).tolist()}
    if name == "if_neuron":
        spikes = rows[:, :1] >> np.arange(16) & 1
        p = (rows[:, 1] + spikes @ np.array(WEIGHTS)) % top
        fire = p >= 5 * top // 8
        return {"o0": fire.astype(int).tolist(), "o1": np.where(fire, 0, p).tolist()}
    v, fired = np.zeros(4, np.int64), []
    for (x,) in rows:
        v = (v + np.array(FC_WEIGHTS) @ (x >> np.arange(4) & 1)) % top
        fired.append(v >= threshold(width))
        v = np.where(fired[-1], 0, v)
    return {f"o{k}": [int(f[k]) for f in fired] for k in range(4)}


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("name", NAMES)
def test_design_computes_what_it_says(name, width):
    process = design(name).make(width)
    rng = np.random.default_rng(width)
    widths = {"spikes": 16, "x": 4}
    rows = [tuple(int(rng.integers(1 << widths.get(n, width))) for n in process.inputs) for _ in range(60)]
    expected = oracle(name, width, rows)
    assert process.expected(rows) == expected
    assert all(len(set(tokens)) > 1 for tokens in expected.values())


@pytest.mark.parametrize("name", NAMES)
def test_build_verifies_and_reports(name, tmp_path):
    result = run(name, "build", "--out", tmp_path / "out", "--calls", 6, "--width", 4)
    assert result.exit_code == 0, result.output
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    assert data["name"] == name and len(data["levels"]) >= 2
    assert name == "add_test" or float(data["figures"]["cycles per iteration"]) <= 1.1
    assert "report.html" in {path.name for path in (tmp_path / "out").iterdir()}


def test_verify_compares_as_many_calls_as_asked_for():
    result = run("add_test", "verify", "--calls", 33)
    assert result.exit_code == 0 and "tokens = Python: 132 tokens in 4 runs" in result.output


def test_report_compares_widths_and_names_what_is_not_known(tmp_path):
    result = run("loop_test", "report", "--widths", "4,6", "--calls", 3, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "loop_test, bits" in result.output and "width not published" in result.output
    data = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert set(data) == {"4", "6"} and data["4"]["blocks"] == data["6"]["blocks"]


@pytest.mark.parametrize("backend, pdk, blocks, area, ns", [
    ("qdi", "ihp", 18, 15_000, 20), ("qdi", "sky130", 18, 10_000, 20), ("click", "ihp", 18, 5_000, 20),
    ("click", "sky130", 18, 5_000, 20)])
def test_neuron_reaches_its_goals(tmp_path, backend, pdk, blocks, area, ns):
    """8 bits, before layout; in sky130 the dual-rail circuit has a half buffer more for its 20 ns."""
    result = run("if_neuron", "report", "--backend", backend, "--pdk", pdk, "--widths", 8, "--calls", 3,
                 "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    data = json.loads((tmp_path / "out" / "sweep.json").read_text())["8"]
    assert sum(data["blocks"].values()) <= blocks and data["certificate"] == "proved"
    assert float(data["figures"][f"µm², {pdk}"].replace(",", "")) <= area
    assert 5 < float(data["figures"][f"ns per iteration, {pdk}"]) <= ns


@pytest.mark.parametrize("option, blocks", [("--no-slack", "15 blocks\n.*1 buffer, .*1 fifo,"),
                                            ("--slack", "23 blocks\n.*9 buffer, .*1 fifo,")])
def test_slack_of_a_design_can_be_chosen(option, blocks):
    result = run("if_neuron", "verify", "--backend", "qdi", "--calls", 2, "--width", 4, option)
    assert result.exit_code == 0 and re.search(f"if_neuron, qdi: {blocks}", result.output)


@pytest.mark.parametrize("width", [16, 32])
def test_layer_of_wide_numbers_has_one_table_for_all_neurons(width):
    """The words of its table together have more bits than any number may have."""
    process = design("fc4x4").make(width)
    graph = compile(process, budget=0)
    assert max(node.parameters["out_width"] for node in graph.blocks if node.kind == "lut") > 64
    check(process, list(range(16)), graph=graph)


@pytest.mark.parametrize("widths", ["8,", "3", "8;4", "x"])
def test_wrong_widths_are_an_error(widths):
    result = run("add_test", "report", "--widths", widths)
    assert result.exit_code == 1
    assert f"error: Widths must be numbers from 4 to 32 with commas between, not {widths}" in result.output

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neurogen.flow.cli import app
from neurogen.flow.errors import UserError
from neurogen.flow.synth.bundled import check_click
from neurogen.qdi.graph import Graph, Loc
from neurogen.qdi.tokens import simulate


FUNCTIONS = str(Path(__file__).with_name("functions.py"))


def run(*arguments):
    return CliRunner().invoke(app, ["synth", *map(str, arguments)])


@pytest.mark.parametrize("name, options", [
    ("add_test", ()), ("loop_test", ()), ("neuron", ()), ("running", ()), ("plain", ("--width", 5)),
])
def test_one_command_makes_a_verified_circuit(tmp_path, name, options):
    result = run(f"{FUNCTIONS}:{name}", "--out", tmp_path / "out", "--calls", 8, *options)
    assert result.exit_code == 0, result.output + result.stderr
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [level["name"] for level in data["levels"]] == ["tokens", "clocked"]
    assert all(level["tokens"] >= 8 for level in data["levels"])
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        [*data["files"], "report.html", "report.json"])
    assert f"module {name}(" in (tmp_path / "out" / f"{name}.v").read_text()
    assert "PASS  clocked = Python" in result.stdout


@pytest.mark.parametrize("pdk, level, cell", [("sky130", "gates", "sky130_fd_sc_hd__maj3_1"),
                                              ("ihp", "threshold gates", "sg13g2_nand2_1")])
def test_dual_rail_circuit_is_compared_at_the_gates_and_mapped(tmp_path, pdk, level, cell):
    result = run(f"{FUNCTIONS}:neuron", "--backend", "qdi", "--pdk", pdk, "--out", tmp_path / "out",
                 "--calls", 10)
    assert result.exit_code == 0, result.output + result.stderr
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    icarus = ["icarus" if level == "gates" else f"icarus {level}"] if shutil.which("iverilog") else []
    assert [entry["name"] for entry in data["levels"]] == ["tokens", "clocked", level, *icarus]
    assert data["backend"] == "qdi" and f"PASS  {level} = Python" in result.stdout
    netlist = (tmp_path / "out" / "neuron.v").read_text()
    assert int(data["figures"][f"cells, {pdk}"].replace(",", "")) == netlist.count(f"{cell.split('_')[0]}_")
    assert cell in netlist and "set_disable_timing" in (tmp_path / "out" / "neuron.sdc").read_text()
    assert f"least margin, {pdk}" in data["figures"] or pdk == "sky130"


def test_click_circuit_of_a_function_with_an_array(tmp_path):
    result = run(f"{FUNCTIONS}:histogram", "--backend", "click", "--out", tmp_path / "out", "--calls", 5)
    assert result.exit_code == 0, result.output + result.stderr
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    assert data["blocks"]["ram"] == 1 and "PASS  click = Python: 20 tokens" in result.stdout


@pytest.mark.parametrize("pdk, level", [("sky130", "click"), ("ihp", "click ihp")])
def test_click_circuit_is_compared_and_mapped(tmp_path, pdk, level):
    result = run(f"{FUNCTIONS}:loop_test", "--backend", "click", "--pdk", pdk, "--out", tmp_path / "out",
                 "--calls", 6)
    assert result.exit_code == 0, result.output + result.stderr
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    icarus = [f"icarus {level}"] if shutil.which("iverilog") else []
    assert [entry["name"] for entry in data["levels"]] == ["tokens", "clocked", level, *icarus]
    assert data["backend"] == "click" and f"PASS  {level} = Python" in result.stdout
    netlist = (tmp_path / "out" / "loop_test.v").read_text()
    assert int(data["figures"][f"cells, {pdk}"].replace(",", "")) == netlist.count("(* keep")
    assert int(data["figures"][f"delay cells, {pdk}"]) == netlist.count("dlygate4sd3_1 ")
    assert 1 < float(data["figures"][f"ns per iteration, {pdk}"]) < 20
    page = (tmp_path / "out" / "report.html").read_text()
    assert all(text in page for text in ("Matched delays", "Area by block", "click circuit of a Python"))


def test_blocks_that_click_lacks_are_named():
    graph = Graph("steps")
    graph.add("seq", {"n": 2}, id="seq", loc=Loc("steps.py", 3, 5, "first(); second()"))
    with pytest.raises(UserError, match=r"^steps needs blocks that Click lacks: QDI_seq \(steps\.py:3:5\); "
                                        r"take --backend qdi or clocked$"):
        check_click(graph)


def test_without_icarus_the_report_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run(f"{FUNCTIONS}:add_test", "--backend", "qdi", "--out", tmp_path / "out", "--calls", 3)
    assert result.exit_code == 0, result.output + result.stderr
    line = "Icarus Verilog: not run: iverilog is not on PATH"
    assert line in result.stdout and line in (tmp_path / "out" / "report.html").read_text()


def test_graph_that_is_written_is_the_one_that_was_verified(tmp_path):
    assert run(f"{FUNCTIONS}:loop_test", "--out", tmp_path / "out", "--calls", 3).exit_code == 0
    graph = Graph.from_json((tmp_path / "out" / "graph.json").read_text())
    assert simulate(graph, {"a": [4]}, expect=1).outputs == {"o": [32]}
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    assert sum(data["blocks"].values()) == len(graph.blocks)
    assert float(data["figures"]["cycles per result"]) / 7 <= 1.1


@pytest.mark.parametrize("target, text", [
    ("functions", "Function must be FILE.py:FUNCTION, not functions"),
    ("nowhere.py:f", "File nowhere.py does not exist"),
    (".:f", "File . is a folder"),
    (f"{FUNCTIONS}:none", "must have a function none; it has loop_test, add_test, neuron,"),
    (f"{FUNCTIONS}:NUMBER", "must be a function, not int"),
    (f"{FUNCTIONS}:spins", "QDI"),
])
def test_mistakes_are_one_line_and_leave_earlier_results(tmp_path, target, text):
    out = tmp_path / "out"
    out.mkdir()
    (out / "kept").write_text("earlier")
    result = run(target, "--out", out)
    assert result.exit_code == 1
    first = next(line for line in result.stderr.splitlines() if line.startswith("error: "))
    assert text in first and "Traceback" not in result.stderr
    assert [p.name for p in out.iterdir()] == ["kept"] and [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_file_that_does_not_run_says_why(tmp_path):
    (tmp_path / "bad.py").write_text("import no_such_module\n")
    result = run(f"{tmp_path / 'bad.py'}:f")
    assert result.exit_code == 1 and "does not run: line 1: ModuleNotFoundError: No module" in result.stderr


@pytest.mark.parametrize("text, line", [
    ("async def f(a):\n    return a\n", "1:1: QDI001 an async function; write `def`"),
    ("f = lambda a: a + 1\n", "1:1: QDI001 something else than a function with a name; write it with `def`"),
    ("def f(a: 'U'):\n    return a\n", ("1:10: QDI001 the annotation of 'a' does not evaluate (name 'U' is "
     "not defined); use the types of neurogen.qdi")),
    ("def f(a) -> float:\n    return a\n",
     "1:13: QDI015 a result of type float; use U[n], S[n], Bit or a tuple of them"),
])
def test_functions_that_are_none_of_the_subset(tmp_path, text, line):
    (tmp_path / "bad.py").write_text(text)
    result = run(f"{tmp_path / 'bad.py'}:f", "--out", tmp_path / "out")
    assert result.exit_code == 1 and f"error: bad.py:{line}\n" in result.stderr
    caret = result.stderr.splitlines()[-1]
    assert caret.strip() == "^" and not (tmp_path / "out").exists()


def test_width_is_for_plain_functions(tmp_path):
    result = run(f"{FUNCTIONS}:add_test", "--width", 4)
    assert result.exit_code == 1 and "add_test is decorated with its own" in result.stderr

"""The emitted Verilog: run in Icarus, through Yosys and back, constraints without loops."""

import graphlib
import json
import os
import random
import re
import shutil
import subprocess

import pytest

from neurogen.qdi import compile
from neurogen.qdi.compile import stimuli_of
from neurogen.qdi.gates import build, build_block
from neurogen.qdi.gates.cells import CELLS
from neurogen.qdi.gates.mapping import KITS, load_kit, map_netlist
from neurogen.qdi.gates.verilog import bench_verilog, cells_verilog, isochronic_forks, sdc, verilog
from tests.qdi import functions


@pytest.fixture(scope="module")
def netlist():
    return build(compile(functions.loop_test), threshold=False)


def run_icarus(folder, *texts):
    if not shutil.which("iverilog"):
        if "CI" in os.environ:
            raise FileNotFoundError("iverilog")
        pytest.skip("iverilog is not installed")
    for k, text in enumerate(texts):
        (folder / f"{k}.v").write_text(text)
    subprocess.run(["iverilog", "-g2005", "-o", folder / "sim", *sorted(folder.glob("*.v"))], check=True)
    return subprocess.run([folder / "sim"], check=True, capture_output=True, text=True).stdout.split("\n")


@pytest.mark.parametrize("threshold, spread", [(False, 3), (False, 100), (True, 30)])
def test_loop_in_icarus_gives_its_streams(tmp_path, threshold, spread):
    netlist = build(compile(functions.loop_test), threshold=threshold)
    rng = random.Random(spread)
    delays = [max(1, round(spread ** rng.random())) for _ in netlist.gates]
    stimuli = [0, 5, 250, 1]
    expected = [x & 255 for x in functions.loop_test.expected(stimuli)["o"]]
    bench = bench_verilog(netlist, stimuli_of(functions.loop_test, stimuli), {"o": len(stimuli)})
    lines = run_icarus(tmp_path, bench, verilog(netlist, delays=delays), cells_verilog())
    assert [line for line in lines if line] == [*(f"o {x}" for x in expected), "done"]


def test_a_missing_token_is_a_timeout(tmp_path):
    netlist = build_block("adder", {"width": 4})
    bench = bench_verilog(netlist, {"a": [3], "b": []}, {"o": 1}, reset=50, limit=1000)
    assert run_icarus(tmp_path, bench, verilog(netlist), cells_verilog())[0] == "timeout"


@pytest.mark.parametrize("cell", [name for name, cell in CELLS.items() if cell.table])
def test_models_of_cells_are_their_tables(cell):
    """The equations of the models, read as Python, against the tables."""
    from neurogen.qdi.gates.verilog import _EQUATIONS

    text = _EQUATIONS[cell].replace("~", "1 ^ ").replace("s ? b : a", "(b if s else a)")
    text = re.sub(r"1 \^ \(", "1 ^ (", text)
    pins = CELLS[cell].pins
    for index in range(1 << len(pins) + 1):
        values = {pin: index >> k & 1 for k, pin in enumerate((*pins, "y"))}
        inputs = tuple(values[pin] for pin in pins)
        assert eval(text.replace("1 ^ rst", "(1 ^ rst)").replace("1 ^ o", "(1 ^ o)").replace(
            "1 ^ en", "(1 ^ en)"), {}, values) & 1 == \
            CELLS[cell].value(inputs, values["y"])


def test_instances_name_blocks_and_source_lines(netlist):
    text = verilog(netlist)
    assert text.count("(* keep") == len(netlist.gates) == len(re.findall(r"NG_\w+ \w+ \(", text))
    assert re.search(r'src = "[^"]*functions\.py:\d+:\d+" \*\) NG_C2 adder_\d+__\d+ \(', text)


@pytest.mark.parametrize("kit", KITS)
def test_yosys_keeps_every_cell(tmp_path, kit):
    pyosys = pytest.importorskip("pyosys.libyosys")
    kit = load_kit(kit)
    mapped = map_netlist(build(compile(functions.loop_test), threshold=kit.threshold), kit)
    boxes = "".join(f"(* blackbox *) module {name} (input {', input '.join(pins)}, output {out}); endmodule\n"
                    for name, (pins, out) in kit.pins.items())
    (tmp_path / "top.v").write_text(verilog(mapped) + boxes)
    design = pyosys.Design()
    for command in (f"read_verilog {tmp_path / 'top.v'}", "synth -top loop_test", "abc", "opt -full", "check",
                    f"write_json {tmp_path / 'top.json'}"):
        pyosys.run_pass(command, design)
    cells = json.loads((tmp_path / "top.json").read_text())["modules"]["loop_test"]["cells"].values()
    counted: dict[str, int] = {}
    for cell in cells:
        counted[cell["type"]] = counted.get(cell["type"], 0) + 1
    assert counted == mapped.netlist.count()


@pytest.mark.parametrize("kit", KITS)
def test_constraints_cut_all_loops_and_keep_all_cells(kit):
    kit = load_kit(kit)
    netlist = build(compile(functions.loop_test), threshold=kit.threshold)
    states = sum(CELLS[gate.cell].holds for gate in netlist.gates)
    mapped = map_netlist(netlist, kit)
    text = sdc(mapped)
    assert text.count("set_dont_touch") == len(mapped.netlist.gates)
    cut = set(re.findall(r"set_disable_timing \[get_cells (\w+)\] -from (\w+) -to \w+", text))
    hysteresis = {(name.replace(".", "__"), kit.pins[next(
        g.cell for g in mapped.netlist.gates if g.name == name)][0][k]) for name, k in mapped.feedback}
    assert hysteresis <= cut and len(hysteresis) == states
    names = {g.name.replace(".", "__"): g for g in mapped.netlist.gates}
    drivers = {g.output: name for name, g in names.items()}
    arcs = {name: {drivers[net] for pin, net in zip(kit.pins[g.cell][0], g.inputs, strict=True)
                   if net in drivers and (name, pin) not in cut} for name, g in names.items()}
    assert len(list(graphlib.TopologicalSorter(arcs).static_order())) == len(names)
    everything = {name: {drivers[net] for net in g.inputs if net in drivers} for name, g in names.items()}
    with pytest.raises(graphlib.CycleError):
        list(graphlib.TopologicalSorter(everything).static_order())


def test_forks_are_listed(netlist):
    lines = isochronic_forks(netlist)
    assert len(lines) > 50 and all(len(line.split(": ")[1].split()) > 1 for line in lines)


def test_one_hot_and_dataless_channels_have_ports():
    assert "input [2:0] s_h" in verilog(build_block("select_n", {"width": 2, "n": 3}))
    assert "input [0:0] i0_r" in verilog(build_block("parallel", {"n": 2}))

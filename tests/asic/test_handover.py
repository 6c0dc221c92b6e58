import json
import re
import subprocess

import numpy as np
import pytest
import yaml

from asic.bench import read_ports, write_bench
from asic.floorplan import HALO, MARGIN, make_floorplan, read_lef_size
from asic.handover import HandoverError, write_handover
from asic.librelane import check_config
from asic.pdk import PdkError
from asic.synth import synthesise
from neurogen.flow.tools import find_verilator, run_tool
from neurogen.flow.verilator import to_verilog
from tests.asic.lif8 import Lif8, expected, stimulus
from tests.asic.test_synth import Store
from tests.asic.toy import require, toy_pdk


require("libparse", "pyosys", "verilator")

# Of the variables in the documentation of ORFS (docs/user/FlowVariables.md), those of which we write some.
ORFS = {
    "ADDITIONAL_GDS",
    "ADDITIONAL_LEFS",
    "ADDITIONAL_LIBS",
    "CORE_AREA",
    "CORE_UTILIZATION",
    "DESIGN_NAME",
    "DIE_AREA",
    "MACRO_PLACEMENT_TCL",
    "MACRO_PLACE_HALO",
    "PLACE_DENSITY",
    "PLATFORM",
    "SDC_FILE",
    "VERILOG_FILES",
}
STUB = "module {name}({ports});\n{body}endmodule\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("handover")
    write_handover(folder, to_verilog(Store(24, 64, 8), "store"), "store", toy_pdk(), period=12.5e-9)
    return folder


def test_source_is_one_plain_module_with_its_macros(folder):
    text = (folder / "src" / "store.v").read_text()
    assert re.findall(r"^module (\w+)", text, re.MULTILINE) == ["store"]
    macros = json.loads((folder / "macros.json").read_text())
    assert list(macros) == ["ram_memory_0_0", "ram_memory_0_1", "ram_memory_0_2"]
    for name, macro in macros.items():
        assert re.search(rf"^  {macro['macro']} {name} \($", text, re.MULTILINE)
    pins = set(re.findall(r"^    \.(\w+)\(", text, re.MULTILINE))
    stub = STUB.format(
        name="TOY_2P_64x8_bm_bist",
        ports=", ".join(sorted(pins)),
        body="".join(
            f"  {'output' if 'DOUT' in pin else 'input'} {'[7:0]' if re.search('DIN|DOUT|BM', pin) else ''}"
            f"{'[5:0]' if 'ADDR' in pin else ''} {pin};\n"
            for pin in sorted(pins)
        ),
    )
    (folder / "stub.v").write_text(stub)
    tool = find_verilator()
    run_tool(
        [
            tool.binary,
            "--lint-only",
            "--language",
            "1364-2005",
            "-Wno-fatal",
            "-Wno-style",
            "-Wno-lint",
            "--top-module",
            "store",
            "stub.v",
            "src/store.v",
        ],
        what="Linting",
        cwd=folder,
        env={"VERILATOR_ROOT": str(tool.root)},
    )


def test_configuration_of_librelane_names_all_that_is_there(folder):
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["DESIGN_NAME"] == "store" and config["CLOCK_PERIOD"] == 12.5
    for value in [*config["VERILOG_FILES"], config["PNR_SDC_FILE"], config["IO_PIN_ORDER_CFG"]]:
        assert (folder / value.removeprefix("dir::")).is_file()
    ((kind, macro),) = config["MACROS"].items()
    assert kind == "TOY_2P_64x8_bm_bist"
    assert macro["lib"] == {"*": [f"pdk_dir::libs.ref/toy_sram/lib/{kind}.lib"]}
    assert set(macro["instances"]) == set(json.loads((folder / "macros.json").read_text()))
    assert config["PDN_MACRO_CONNECTIONS"] == [f"ram_memory_0_{n} VPWR VGND VDD VSS" for n in range(3)]
    _, _, width, height = config["DIE_AREA"]
    for place in macro["instances"].values():
        x, y = place["location"]
        assert MARGIN <= x <= width - MARGIN - 40 and MARGIN <= y <= height - MARGIN - 12.5


def test_pins_of_every_port_have_a_side(folder):
    order = (folder / "pin_order.cfg").read_text()
    assert re.findall(r"^#(\w)", order, re.MULTILINE) == ["N", "E", "S", "W"]


def test_configuration_of_orfs_has_documented_variables_only(folder):
    text = (folder / "orfs" / "toy" / "store" / "config.mk").read_text()
    found = re.findall(r"^export (\w+) = (.+)$", text, re.MULTILINE)
    assert {name for name, _ in found} <= ORFS
    values = dict(found)
    for key in ("VERILOG_FILES", "SDC_FILE", "MACRO_PLACEMENT_TCL"):
        path = values[key].replace("$(DESIGN_HOME)", str(folder / "orfs")).replace("$(PLATFORM)", "toy")
        assert subprocess.run(["test", "-f", path]).returncode == 0, key
    assert (folder / "orfs/toy/store/macros.tcl").read_text().count("place_macro") == 3
    assert (folder / "orfs/src/store/store.v").read_text() == (folder / "src/store.v").read_text()


def test_constraints_and_readme(folder):
    sdc = (folder / "src" / "store.sdc").read_text()
    assert "set period 12.5\ncreate_clock -name clk" in sdc and "-lib_cell BUF -pin Y" in sdc
    readme = (folder / "README.md").read_text()
    assert "librelane --pdk toy --scl toy config.yaml" in readme and "12.5 ns asked for" in readme
    assert not (folder / "work").exists()


def test_unknown_flows_are_refused(tmp_path):
    with pytest.raises(HandoverError, match=r"^Flow for toy must be one of librelane, orfs, not 'magic'$"):
        write_handover(tmp_path, "", "x", toy_pdk(), flow="magic")


@pytest.mark.parametrize(
    "sizes",
    [{}, {"a": (100.0, 50.0)}, {f"m{n}": (30.0 + 7 * (n % 5), 20.0 + 11 * (n % 3)) for n in range(40)}],
)
def test_macros_lie_inside_the_die_and_apart(sizes):
    logic = 5000.0
    plan = make_floorplan(logic, sizes)
    assert set(plan.places) == set(sizes)
    boxes = [(x, y, x + sizes[name][0], y + sizes[name][1]) for name, (x, y) in plan.places.items()]
    for n, (x0, y0, x1, y1) in enumerate(boxes):
        assert (
            x0 >= MARGIN and y0 >= MARGIN and x1 <= plan.width - MARGIN + 1e-6 and y1 <= plan.height - MARGIN
        )
        for u0, v0, u1, v1 in boxes[:n]:
            apart = max(x0 - u1, u0 - x1, y0 - v1, v0 - y1)
            assert apart >= HALO - 1e-6
    free = plan.width * plan.height - sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes)
    assert free > logic / 0.45


def test_size_comes_from_the_lef(tmp_path):
    assert read_lef_size(toy_pdk(), "TOY_2P_256x16") == (100, 30)
    with pytest.raises(PdkError, match=r"lacks TOY_3P.lef"):
        read_lef_size(toy_pdk(), "TOY_3P")


def test_librelane_is_not_asked_where_it_is_not(folder):
    answer = check_config(folder, toy_pdk())
    assert answer["status"] == "not checked" and answer["reason"]


def ports(cycles):
    inputs = stimulus(cycles)
    wanted = (expected(inputs)[0] << np.arange(8)).sum(1)
    widths = {"rst": 1, "tick": 1, "syn": 8} | {f"weight__{n}": 8 for n in range(8)}
    return (
        {name: (widths[name], [int(value) for value in values]) for name, values in inputs.items()},
        {"spike": (8, [int(value) for value in wanted])},
    )


def run_bench(folder, sources):
    tool = find_verilator()
    env = {"VERILATOR_ROOT": str(tool.root)}
    run_tool(
        [
            tool.binary,
            "--binary",
            "--timing",
            "-Wno-fatal",
            "-Wno-lint",
            "-Wno-style",
            "--x-initial",
            "unique",
            "-CFLAGS",
            "-O0 -std=gnu++20 -fcoroutines",
            "--Mdir",
            "obj",
            "--top-module",
            "tb",
            "-MAKEFLAGS",
            "CFG_CXXFLAGS_PCH_I=-include",
            "tb.v",
            *sources,
        ],
        what="Compiling the bench",
        cwd=folder,
        env=env,
    )
    return run_tool([folder / "obj" / "Vtb"], what="Running the bench", cwd=folder)


@pytest.mark.slow
def test_bench_passes_on_the_netlist_and_fails_on_a_wrong_answer(tmp_path):
    pdk = toy_pdk()
    synthesise(to_verilog(Lif8(), "lif8"), "lif8", pdk, tmp_path)
    models = "module NOT_USED; endmodule\n"
    for name, cell in pdk.library.items():
        if not cell.storage and not cell.clock_gate:
            output = cell.outputs[0]
            pins = ", ".join([*(f"input {pin}" for pin in cell.inputs), f"output {output}"])
            text = re.sub(r"v\['(\w+)'\]", r"\1", cell.pins[output].function.text)
            text = text.replace("one", "1'b1").replace("zero", "1'b0")
            models += f"module {name}({pins}); assign {output} = {text}; endmodule\n"
    models += "module DFF(input C, input D, output reg Q); always @(posedge C) Q <= D; endmodule\n"
    (tmp_path / "models.v").write_text(models)
    inputs, outputs = ports(120)
    found = write_bench(tmp_path, "lif8", inputs, outputs, skip=4)
    assert found["cycles"] == 120 and 0 < found["lines"] <= 120
    assert "PASS: 120 cycles" in run_bench(tmp_path, ["netlist.v", "models.v"])
    outputs["spike"][1][100] ^= 4
    write_bench(tmp_path, "lif8", inputs, outputs, skip=4)
    assert "FAIL: 1 of 120 cycles differ" in run_tool(
        [tmp_path / "obj" / "Vtb"], what="Running", cwd=tmp_path
    )


def test_stimulus_runs_together_and_masks(tmp_path):
    inputs = {"a": (4, [1, 1, 1, 2]), "b": (1, [0, 0, 0, 1])}
    outputs = {"p": (8, [9, 9, 7, 7]), "v": (1, [0, 0, 0, 1])}
    assert write_bench(tmp_path, "x", inputs, outputs, skip=1, valid={"p": "v"}) == {"cycles": 4, "lines": 3}
    assert (tmp_path / "stimulus.txt").read_text().split("\n")[:3] == ["1 1 0 0", "2 1 0 100", "1 12 107 1ff"]
    with pytest.raises(
        ValueError, match=r"^Ports must have values for one number of cycles, not for \[1, 4\]$"
    ):
        write_bench(tmp_path, "x", {"a": (4, [1])}, outputs)


def test_ports_are_read_before_the_edge(tmp_path):
    (tmp_path / "p.vcd").write_text(
        "$scope module t $end\n$var wire 1 ! en $end\n$var wire 8 # q [7:0] $end\n"
        "$upscope $end\n$enddefinitions $end\n#0\n0!\nb11 #\n#5\nb100 #\n#10\n1!\n#15\nb101 #\n#20\n#25\n"
    )
    assert read_ports(tmp_path / "p.vcd", ["en", "q"], period=10, edge=5) == {"en": [0, 1, 1], "q": [3, 4, 5]}
    with pytest.raises(ValueError, match=r"lacks z$"):
        read_ports(tmp_path / "p.vcd", ["z"], period=10, edge=5)

import numpy as np
import pytest

from asic.energy import PARTS, Engine
from asic.energy_memories import without_memories
from asic.energy_passages import cell_energies, passage_power
from asic.energy_work import array_neurons, array_work
from asic.gatesim import GateModel
from asic.netlist import read_netlist
from asic.power import estimate
from asic.slews import Timing
from asic.synth import synthesise
from neurogen.flow.tools import SimulationError
from neurogen.flow.verilator import to_verilog
from neurogen.rtl.lif import LifArray
from tests.asic.lif8 import Lif8, stimulus
from tests.asic.toy import require, toy_pdk


require("libparse", "pyosys", "verilator")
SUMS = ("logic", "registers", "clock", "leakage", "switching", "internal", "total")


@pytest.fixture(scope="module")
def lif8(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lif8")
    synthesise(to_verilog(Lif8(), "lif8"), "lif8", toy_pdk(), folder)
    return read_netlist(folder / "netlist.json", "lif8", toy_pdk().library)


@pytest.mark.parametrize("timed", [False, True])
def test_sums_over_types_are_the_sums_over_cells(lif8, timed):
    inputs, model, period = stimulus(400), GateModel(lif8), 100e-9
    timing = Timing(lif8)
    delays = timing if timed else None
    waves = model.run(inputs, timing=delays, period=period).activity.after(100 * 100_000 - 1)
    run = model.run(inputs, timing=delays, period=period, window=(100, 400))
    wanted = estimate(lif8, waves, timing=timing)
    found = passage_power(lif8, run.passages, timing=timing)
    assert found.seconds == pytest.approx(wanted.seconds, rel=1e-6)
    for name in SUMS:
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), rel=2e-3), name


def test_a_window_changes_no_output(lif8):
    inputs, model = stimulus(300), GateModel(lif8)
    whole = model.run(inputs, record=False).outputs
    for timing in (None, Timing(lif8)):
        assert model.run(inputs, timing=timing, period=100e-9, window=(50, 200)).outputs == whole


def test_windows_add_up(lif8):
    inputs, model, timing = stimulus(300), GateModel(lif8), Timing(lif8)

    def energies(first, last):
        passages = model.run(inputs, window=(first, last)).passages
        found = cell_energies(lif8, passages, timing)
        return np.array([found.clock.sum(), found.moving.sum(), found.leakage.sum()])

    parts = energies(50, 120) + energies(120, 300)
    assert parts == pytest.approx(energies(50, 300), rel=1e-3)
    with pytest.raises(ValueError, match=r"^Window must be cycles between 0 and 300, not \(50, 301\)$"):
        energies(50, 301)


# -- Energy of work --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def array(tmp_path_factory):
    folder, neurons = tmp_path_factory.mktemp("array"), array_neurons(8)
    verilog = to_verilog(LifArray(neurons, weight_bits=8), "lif")
    synthesise(verilog, "lif", toy_pdk(), folder, macros=False)
    works = {density: array_work(verilog, neurons, density, folder, steps=30) for density in (0.1, 0.5)}
    return folder, works


def test_parts_of_the_energy_add_up(array):
    folder, works = array
    engine = Engine(folder / "netlist.json", "lif", toy_pdk())
    found = {density: engine.measure(work, period=100e-9) for density, work in works.items()}
    for density, values in found.items():
        assert values["total"] == pytest.approx(sum(values[part] for part in PARTS))
        assert values["values"] > 1000 and values["sram"] == 0 and values["reads"] == {}
        assert all(values[part] > 0 for part in ("logic", "registers", "clock", "leakage", "glitches"))
        first, last = works[density].window
        assert values["cycles"] == last - first > 29 * 8  # a tick visits all neurons
    clocks = [values["clock"] * values["operations"] / values["cycles"] for values in found.values()]
    assert clocks[0] == pytest.approx(clocks[1], rel=0.2)
    assert found[0.1]["clock"] > 2 * found[0.5]["clock"]  # the clock runs on while few events come
    labels = engine.parts(works[0.5], {"lif": "path"}, period=100e-9)
    parts = sum(found[0.5][name] for name in ("logic", "registers", "clock"))
    assert sum(labels.values()) == pytest.approx(parts, rel=1e-3) and {"path", "path clock"} <= set(labels)


def test_a_netlist_that_does_something_else_has_no_energy(array):
    folder, works = array
    text = (folder / "netlist.json").read_text()
    broken = folder / "broken.json"
    broken.write_text(text.replace('"type": "NAND2"', '"type": "NOR2"', 5))
    assert broken.read_text() != text
    with pytest.raises(SimulationError, match=r"^Netlist of lif must do what the RTL does, and output"):
        Engine(broken, "lif", toy_pdk()).measure(works[0.5], period=100e-9)


def test_memories_that_cost_nothing_leave_the_logic(tmp_path):
    pdk = without_memories(toy_pdk(), tmp_path)
    neurons = array_neurons(64)
    verilog = to_verilog(LifArray(neurons, weight_bits=8), "lif")
    area = synthesise(verilog, "lif", pdk, tmp_path)
    assert area["macros"] and all(name.startswith("BOUNDARY_2P_64x") for name in area["macros"])
    work = array_work(verilog, neurons, 0.3, tmp_path, steps=6)
    values = Engine(tmp_path / "netlist.json", "lif", pdk).measure(work, period=100e-9)
    assert values["sram"] == 0 < values["logic"]
    # Each event reads and writes a potential, and each tick all of them; the host looks at one in all cycles.
    least = work.operations + 64 * 5
    assert least <= max(values["reads"].values()) and least == pytest.approx(
        max(values["writes"].values()), rel=0.05)

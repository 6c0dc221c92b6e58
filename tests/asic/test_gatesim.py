import numpy as np
import pytest

from asic.activity import ActivityError, read_vcd, write_vcd
from asic.gatesim import GateModel
from asic.liberty import read_liberty
from asic.netlist import NetlistError, read_netlist
from asic.slews import Timing
from asic.synth import synthesise
from neurogen.flow.tools import SimulationError
from neurogen.flow.verilator import to_verilog
from tests.asic.lif8 import Lif8, expected, stimulus
from tests.asic.netlists import write_netlist
from tests.asic.toy import FOLDER, require, toy_pdk


require("libparse", "pyosys")


@pytest.fixture(scope="module")
def library():
    return read_liberty(FOLDER / "toy.lib")


@pytest.fixture(scope="module")
def lif8(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lif8")
    synthesise(to_verilog(Lif8(), "lif8"), "lif8", toy_pdk(), folder)
    return read_netlist(folder / "netlist.json", "lif8", toy_pdk().library)


def spikes(run):
    return np.array([[word >> n & 1 for n in range(8)] for word in run.outputs["spike"]])


@pytest.mark.parametrize("timed", [False, True])
def test_netlist_does_what_the_rules_say(lif8, timed):
    inputs = stimulus(600)
    wanted, sops = expected(inputs)
    assert wanted.sum() > 30 and sops > 1000  # the stimulus has something to compare
    run = GateModel(lif8).run(inputs, timing=Timing(lif8) if timed else None, period=100e-9)
    assert np.array_equal(spikes(run)[4:], wanted[4:])  # before the end of the reset, registers are random


def test_a_wrong_gate_is_seen(lif8):
    inputs = stimulus(300)
    number = next(n for n, cell in enumerate(lif8.cells) if cell.kind == "NAND2")
    gate = lif8.cells[number]
    broken = [*lif8.cells]
    broken[number] = type(gate)(gate.name, "NOR2", gate.pins)
    netlist = type(lif8)(lif8.top, lif8.names, lif8.ports, broken, lif8.macros, lif8.library)
    assert not np.array_equal(spikes(GateModel(netlist).run(inputs))[4:], expected(inputs)[0][4:])


def test_results_do_not_depend_on_what_registers_held(lif8):
    inputs = stimulus(200)
    runs = [spikes(GateModel(lif8).run(inputs, seed=seed))[4:] for seed in (1, 2)]
    assert np.array_equal(*runs)


def test_glitches_are_seen_with_delays_only(lif8):
    inputs, model = stimulus(200), GateModel(lif8)
    still = model.run(inputs).activity
    timed = model.run(inputs, timing=Timing(lif8), period=100e-9).activity
    total = [sum(len(wave.times) for wave in activity.waves.values()) for activity in (still, timed)]
    assert total[1] > 1.05 * total[0]
    for net, wave in still.waves.items():  # without delays a net moves at most once in half a cycle
        assert (np.diff(wave.times) > 0).all(), net
        # A glitch is a pair of changes more: parity by parity, both simulations end alike.
        assert (len(wave.times) - len(timed.waves[net].times)) % 2 == 0 or timed.waves[
            net
        ].first != wave.first


def test_vcd_goes_there_and_back(lif8, tmp_path):
    activity = GateModel(lif8).run(stimulus(50)).activity
    write_vcd(tmp_path / "a.vcd", lif8, activity)
    again = read_vcd(tmp_path / "a.vcd", lif8)
    assert again.seconds == pytest.approx(activity.seconds)
    for net, wave in activity.waves.items():
        assert (again.wave(net).first, again.wave(net).times.tolist()) == (wave.first, wave.times.tolist())
    late = read_vcd(tmp_path / "a.vcd", lif8, start=100_000)
    assert late.duration == activity.duration - 100_000
    for direction, nets in lif8.ports.values():
        for net in nets:
            times = activity.wave(net).times
            assert late.wave(net).times.tolist() == (times[times > 100_000] - 100_000).tolist(), direction


@pytest.mark.parametrize(
    "change, error",
    [
        (lambda text: text.replace("$enddefinitions", "$end"), r"^VCD file must have \$enddefinitions"),
        (
            lambda text: text.replace(" tick $end", " tock $end"),
            "^VCD file must have all ports, and .* lacks tick$",
        ),
        (lambda text: text.partition("#5000")[0], "^VCD file must go on after time 0, and .* ends at 0$"),
    ],
)
def test_bad_vcd_files_are_named(lif8, tmp_path, change, error):
    activity = GateModel(lif8).run(stimulus(5)).activity
    write_vcd(tmp_path / "a.vcd", lif8, activity)
    (tmp_path / "b.vcd").write_text(change((tmp_path / "a.vcd").read_text()))
    with pytest.raises(ActivityError, match=error):
        read_vcd(tmp_path / "b.vcd", lif8)


def test_gated_clocks_hold_registers(library, tmp_path):
    """A register behind a gating cell takes data only in cycles after those with the enable."""
    path = write_netlist(
        tmp_path / "n.json",
        {"clk": ("input", [2]), "e": ("input", [3]), "d": ("input", [4]), "q": ("output", [5])},
        {"gate": ("ICG", {"CK": [2], "E": [3], "G": [6]}), "reg": ("DFF", {"C": [6], "D": [4], "Q": [5]})},
        {6: "gated"},
    )
    netlist = read_netlist(path, "top", library)
    draw = np.random.default_rng(1)
    enable, data = draw.integers(0, 2, (2, 100))
    run = GateModel(netlist).run({"e": enable, "d": data})
    held = run.outputs["q"][0]
    for cycle in range(1, 100):
        held = data[cycle - 1] if enable[cycle - 1] else held
        assert run.outputs["q"][cycle] == held
    gated = run.activity.wave(netlist.names.index("gated"))
    assert len(gated.times) == 2 * enable[:-1].sum()


def test_memories_read_before_they_write(library, tmp_path):
    ports = {
        "clk": ("input", [2]),
        "men": ("input", [3]),
        "wen": ("input", [4]),
        "ren": ("input", [5]),
        "a": ("input", [6, 7]),
        "d": ("input", [8, 9]),
        "m": ("input", [10, 11]),
        "q": ("output", [12, 13]),
    }
    pins = {
        "A_CLK": [2],
        "A_MEN": [3],
        "A_WEN": [4],
        "A_REN": [5],
        "A_ADDR": [6, 7],
        "A_DIN": [8, 9],
        "A_BM": [10, 11],
        "A_DOUT": [12, 13],
    }
    path = write_netlist(tmp_path / "n.json", ports, {"ram": ("RAM", pins)})
    netlist = read_netlist(path, "top", library, ("RAM",))
    draw = np.random.default_rng(2)
    inputs = {
        name: draw.integers(0, 1 << len(bits), 400)
        for name, (kind, bits) in ports.items()
        if kind == "input" and name != "clk"
    }
    run = GateModel(netlist).run(inputs)
    words, out, kinds = [None] * 4, None, [0, 0, 0]
    seen = 0
    for cycle in range(1, 400):
        men, wen, ren, a, d, m = (
            int(inputs[name][cycle - 1]) for name in ("men", "wen", "ren", "a", "d", "m")
        )
        if men:
            kinds[(2 if ren else 1) if wen else 0] += 1
            old = words[a]
            new = d if m == 3 else None if old is None else (old & ~m) | (d & m)
            if ren:
                out = new if wen else old
            if wen:
                words[a] = new
        if out is not None:
            assert run.outputs["q"][cycle] == out
            seen += 1
        elif men and ren:
            out = run.outputs["q"][cycle]  # what the memory held at power-on
    assert seen > 100
    assert run.activity.accesses[0, 0].tolist() == kinds


def two_inverters(tmp_path, library, loop=False):
    ports = {"a": ("input", [2]), "y": ("output", [4])}
    cells = {
        "u": ("NAND2", {"A": [2], "B": [4 if loop else 2], "Y": [3]}),
        "w": ("INV", {"A": [3], "Y": [4]}),
    }
    return read_netlist(write_netlist(tmp_path / "n.json", ports, cells, {3: "n"}), "top", library)


def test_delays_are_those_of_the_tables(tmp_path, library):
    netlist = two_inverters(tmp_path, library)
    timing = Timing(netlist)
    load = 0.002e-12
    first = library["NAND2"].pins["Y"].arcs[0]
    assert timing.load[netlist.names.index("n")] == pytest.approx(load)
    slew = max(first.slew[1](0.0, load), 0)
    assert timing.slew(netlist.names.index("n"))[1] == pytest.approx(slew)
    delay = first.delay[1](0.0, load) + library["INV"].pins["Y"].arcs[0].delay[0](slew, 0.0)
    run = GateModel(netlist).run({"a": [0, 1]}, timing=timing, period=10e-9)
    (rise,) = run.activity.wave(netlist.names.index("y")).times
    assert rise * 1e-12 == pytest.approx(10e-9 + delay, abs=2e-12)


def test_slow_netlists_need_a_longer_period(tmp_path, library):
    netlist = two_inverters(tmp_path, library)
    with pytest.raises(
        SimulationError, match=r"^Netlist of top still moves at the end of a period of 0.05 ns: "
    ):
        GateModel(netlist).run({"a": [0, 1, 0]}, timing=Timing(netlist), period=0.05e-9)


def test_loops_and_unknown_cells_are_refused(tmp_path, library):
    with pytest.raises(
        NetlistError, match=r"^Netlist must not have combinational loops, and one goes through [ny]$"
    ):
        GateModel(two_inverters(tmp_path, library, loop=True))
    path = write_netlist(tmp_path / "n.json", {"y": ("output", [2])}, {"u": ("MAGIC", {"Y": [2]})})
    with pytest.raises(NetlistError, match=r"^Cell u of type MAGIC is neither in the library nor a macro$"):
        read_netlist(path, "top", library)
    with pytest.raises(NetlistError, match=r"must have a module bottom, and has top$"):
        read_netlist(path, "bottom", library)
    with pytest.raises(ValueError, match=r"^Stimulus must be of the inputs \['a'\], not \['b'\]$"):
        GateModel(two_inverters(tmp_path, library)).run({"b": [1]})

import numpy as np
import pytest

from asic.activity import Activity, Wave
from asic.liberty import read_liberty
from asic.netlist import read_netlist
from asic.power import estimate
from asic.slews import Timing
from tests.asic.netlists import write_netlist
from tests.asic.toy import FOLDER, require


require("libparse")
NONE = np.zeros((0, 2, 3), np.int64)


@pytest.fixture(scope="module")
def library():
    return read_liberty(FOLDER / "toy.lib")


def activity(netlist, waves, duration=1000):
    """Waves by name: first value and times."""
    found = {
        netlist.names.index(name): Wave(first, np.array(times, np.int64))
        for name, (first, times) in waves.items()
    }
    return Activity(found, duration, 1e-12, NONE)


def inverter(tmp_path, library):
    path = write_netlist(
        tmp_path / "n.json",
        {"a": ("input", [2]), "y": ("output", [4])},
        {"u": ("INV", {"A": [2], "Y": [3]}), "w": ("INV", {"A": [3], "Y": [4]})},
        {3: "n"},
    )
    return read_netlist(path, "top", library)


@pytest.mark.parametrize("semantics", ["liberty", "opensta"])
def test_energy_of_two_inverters_by_hand(tmp_path, library, semantics):
    netlist = inverter(tmp_path, library)
    window = activity(netlist, {"a": (0, [100, 600]), "n": (1, [100, 600]), "y": (0, [100, 600])})
    power = estimate(netlist, window, semantics=semantics)
    load = 2e-15  # the second inverter's pin
    slew = 0.02 + 0.2 * 0 + 3 * 0.001  # of the falling edge at the first point; beyond it, the same slope
    fall = 0.02e-9 + 0.2 * (0 - 0.01e-9) + 3 * 0.002e-9
    rise = 0.03e-9 + 0.2 * (0 - 0.01e-9) + 4 * 0.002e-9
    assert slew == pytest.approx(0.023)
    table = library["INV"].pins["Y"].internal[0]
    internal = (
        table.rise(0, load)
        + table.fall(0, load)  # u: both inputs are ideal
        + table.rise(fall + 0.002e-9, 0)
        + table.fall(rise + 0.002e-9, 0)
    )
    switching = 2 * 0.5 * load * 1.0**2  # n moves twice, y has no load
    leakage = (0.5 * 0.5 + 0.5 * 1.5) * 1e-9 * 2  # each is high for half of the time
    assert power.switching * window.seconds == pytest.approx(switching)
    assert power.internal * window.seconds == pytest.approx(internal, rel=1e-3)
    assert power.leakage == pytest.approx(leakage)
    assert power.total == pytest.approx(power.switching + power.internal + power.leakage)
    assert power.inputs * window.seconds == pytest.approx(2 * 0.5 * 2e-15)
    assert power.logic == pytest.approx(power.switching + power.internal)
    assert power.energy(2)["total"] == pytest.approx(power.total * 1e-9 / 2)


def register(tmp_path, library):
    path = write_netlist(
        tmp_path / "n.json",
        {"clk": ("input", [2]), "d": ("input", [3]), "q": ("output", [4])},
        {"r": ("DFF", {"C": [2], "D": [3], "Q": [4]})},
    )
    return read_netlist(path, "top", library)


CLOCK = (1, [500, 1000, 1500, 2000, 2500, 3000, 3500])  # four cycles; rising edges at 1000, 2000, 3000


def test_conditions_of_a_register_hold_before_the_edge(tmp_path, library):
    netlist = register(tmp_path, library)
    window = activity(netlist, {"clk": CLOCK, "d": (0, [1200]), "q": (0, [2000])}, 4000)
    energy = estimate(netlist, window).clock * window.seconds
    # Rising edges: !D & !Q before 1000, D & !Q before 2000 (nothing said), D & Q before 3000.
    rising = 0.012e-12 + 0.0 + 0.010e-12
    # Falling edges: !D & !Q at 500, D & !Q at 1500 (nothing), D & Q at 2500 and 3500.
    falling = 0.006e-12 + 0.0 + 2 * 0.008e-12
    assert energy == pytest.approx(rising + falling)


def test_opensta_takes_probabilities_and_means(tmp_path, library):
    netlist = register(tmp_path, library)
    window = activity(netlist, {"clk": CLOCK, "d": (0, [1200]), "q": (0, [2000])}, 4000)
    energy = estimate(netlist, window, semantics="opensta").clock * window.seconds
    d, q = 2800 / 4000, 0.5
    mean = d * q * (0.010e-12 + 0.008e-12) / 2 + (1 - d) * (1 - q) * (0.012e-12 + 0.006e-12) / 2
    assert energy == pytest.approx(7 * mean)


def test_outputs_are_shared_by_what_moved(tmp_path, library):
    """An edge of a gate's output is charged to the pin that made it, or by halves if both did."""
    path = write_netlist(
        tmp_path / "n.json",
        {"a": ("input", [2]), "b": ("input", [3]), "y": ("output", [4])},
        {"u": ("MUX2", {"A": [2], "B": [3], "S": [2], "Y": [4]})},
    )
    netlist = read_netlist(path, "top", library)
    window = activity(netlist, {"a": (0, [300]), "b": (1, []), "y": (0, [300])})
    pins = library["MUX2"].pins["Y"].internal
    by_b, by_s = (next(power for power in pins if power.related == (name,)) for name in "BS")
    assert by_b.when is not None and by_s.when is None
    # S (tied to A) moved, B did not; A's condition `!S` no longer holds: the edge is S's.
    energy = estimate(netlist, window).internal * window.seconds
    assert energy == pytest.approx(by_s.rise(0.0, 0.0), rel=1e-3)


def test_wires_and_memories_count(tmp_path, library):
    netlist = inverter(tmp_path, library)
    window = activity(netlist, {"a": (0, [100]), "n": (1, [100]), "y": (0, [100])})
    bare = estimate(netlist, window)
    wired = estimate(netlist, window, timing=Timing(netlist, wire=3e-15))
    assert (wired.switching - bare.switching) * window.seconds == pytest.approx(2 * 0.5 * 3e-15)
    path = write_netlist(tmp_path / "m.json", {"a": ("input", [2])}, {"m": ("RAM", {"X": [2]})})
    memory = read_netlist(path, "top", library, ("RAM",))
    used = Activity({2: Wave(0, np.zeros(0, np.int64))}, 1000, 1e-12, np.array([[[5, 2, 1], [1, 0, 0]]]))
    power = estimate(memory, used, memories=[(10e-12, 20e-12, 1e-6)])
    assert power.sram * used.seconds == pytest.approx(6 * 10e-12 + 3 * 20e-12)
    assert power.leakage == pytest.approx(1e-6) and power.total == pytest.approx(power.sram + 1e-6)


def test_unknown_semantics_are_refused(tmp_path, library):
    netlist = inverter(tmp_path, library)
    with pytest.raises(ValueError, match=r"^Semantics must be one of 'liberty', 'opensta', not 'spice'$"):
        estimate(netlist, activity(netlist, {}), semantics="spice")

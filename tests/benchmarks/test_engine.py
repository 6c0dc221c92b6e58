import os
from types import SimpleNamespace

import pytest

from benchmarks.engine import WORK, simulation_speed
from neurogen.mapping.config import load_config
from neurogen.spec.mega import ControlBit, Csr


class Model:
    """Counts the words that it is given, and takes two cycles for each."""

    def run(self, cycles, *, inputs=None, until=None):
        assert (until == "idle") == (inputs is not None)
        start = sum(os.times()[:4])
        while sum(os.times()[:4]) < start + 0.02:  # the clock by which processor time is taken ticks
            pass
        return SimpleNamespace(cycles=cycles if inputs is None else 2 * len(inputs["i_events"]))


class Device:
    """What `simulation_speed` needs of an accelerator; notes what happens to it."""

    def __init__(self):
        self.spec, self.model, self.log = load_config("default"), Model(), []
        self.port = self

    def load(self, part):
        self.log.append("load")

    def write(self, register, values):
        self.log.append((register, values.tolist()))


def test_speed_when_idle_needs_no_program():
    device = Device()
    row = simulation_speed(device, "default", "idle", repeats=2)
    assert device.log == [] and row["cycles"] == 2_000_000
    assert (row["work"], row["density"], row["steps"]) == ("idle", 0, 0)
    assert row["wall"] > 0 and row["cpu"] > 0


def test_speed_when_busy_starts_a_run_each_time():
    device = Device()
    row = simulation_speed(device, "default", "dense", repeats=2)
    assert device.log == ["load", *2 * [(Csr.STEPS, [1]), (Csr.CONTROL, [ControlBit.START])]]
    assert row["cycles"] == 2 * (32 * 48 * 96 + 1)  # every address once, and the end of the step
    assert set(row) == {"config", "work", "density", "steps", "cycles", "wall", "cpu"}


def test_work_is_checked():
    assert list(WORK) == ["idle", "sparse", "dense"]
    with pytest.raises(ValueError, match=r"^Work must be .*, not 'busy'$"):
        simulation_speed(Device(), "default", "busy")

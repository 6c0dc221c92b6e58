"""Promises that hold for every component: complete catalogue, ports with bits, the same text every time."""

import os
import subprocess
import sys
from importlib import import_module
from inspect import isclass
from pathlib import Path

import pytest
from amaranth.hdl import Shape
from amaranth.lib import wiring

import neurogen.rtl
from tests.repo.components import COMPONENTS, make


ROOT = Path(__file__).parents[2]
CASES = [(name, variant) for name, variants in COMPONENTS.items() for variant in variants]


def exported():
    """Yield ``module.Class`` for every component that a module of `neurogen.rtl` exports."""
    root = Path(neurogen.rtl.__file__).parent
    for path in sorted(root.rglob("[!_]*.py")):
        topic = ".".join(path.relative_to(root).with_suffix("").parts)
        module = import_module(f"neurogen.rtl.{topic}")
        for name in module.__all__:
            value = getattr(module, name)
            if isclass(value) and issubclass(value, wiring.Component) and getattr(value, "kind", name):
                yield f"{topic}.{name}"


def test_catalogue_is_complete():
    assert sorted(exported()) == sorted(COMPONENTS)


@pytest.mark.parametrize("name, variant", CASES)
def test_every_port_has_bits(name, variant):
    component = make(name, variant)
    ports = component.signature.flatten(component)
    widths = {path: Shape.cast(member.shape).width for path, member, _ in ports}
    assert widths, "a component without ports does nothing"
    assert [path for path, width in widths.items() if width == 0] == []


def test_text_does_not_depend_on_the_hash_seed():
    # RTLIL is what Python makes; Verilog is made from it by Yosys, which knows nothing of Python's seed.
    runs = [subprocess.Popen([sys.executable, "-m", "tests.repo.components"], cwd=ROOT, text=True,
                             stdout=subprocess.PIPE, env=os.environ | {"PYTHONHASHSEED": seed})
            for seed in ("0", "1")]
    first, second = (run.communicate()[0].splitlines() for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    assert len(first) == len(CASES)
    assert [a for a, b in zip(first, second, strict=True) if a != b] == []

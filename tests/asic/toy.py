"""A kit that needs no files from elsewhere."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from asic.pdk import Pdk


__all__ = ["FOLDER", "needs_pdk", "require", "toy_pdk"]

FOLDER = Path(__file__).parent


def require(*modules):
    """Skip the tests of a file at home, where a tool of the extra `asic` is missing; fail in CI."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        if "CI" in os.environ:
            raise ModuleNotFoundError(f"tests of the ASIC side need {', '.join(missing)}")
        pytest.skip(f"{', '.join(missing)}: pip install 'neurogen[asic]'", allow_module_level=True)


def toy_pdk():
    return Pdk("toy", FOLDER, yaml.safe_load((FOLDER / "toy.yaml").read_text()))


def real_kits():
    data = os.environ.get("NEUROGEN_DATA")
    root = os.environ.get("PDK_ROOT") or (f"{data}/pdk" if data else "")
    return bool(root) and Path(root).is_dir()


needs_pdk = pytest.mark.skipif(
    not real_kits(), reason="PDK_ROOT, or NEUROGEN_DATA with pdk in it, must be set"
)

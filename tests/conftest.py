"""What all tests share: the recordings, and settings that make runs repeatable."""

import os
from pathlib import Path

import pytest
from hypothesis import settings


os.environ.setdefault("MPLBACKEND", "Agg")  # before anybody imports matplotlib: no display is needed

# Runs are short: models that are there sooner count for more than fast ones. (The second is of Verilator's
# makefile, which cocotb runs.)
os.environ.setdefault("NEUROGEN_OPT", "-O1")
os.environ.setdefault("USER_CPPFLAGS", "-O0")

# Machines differ in speed: no deadlines. Continuous integration must not fail by chance: no randomness.
settings.register_profile("neurogen", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("neurogen")


def _data():
    """Return the folder of recordings, or None."""
    folder = os.environ.get("NEUROGEN_DATA")
    return Path(folder) if folder and Path(folder).is_dir() else None


def pytest_collection_modifyitems(items):
    if _data() is None:
        skip = pytest.mark.skip(reason="NEUROGEN_DATA must name the folder of recordings")
        for item in items:
            if item.get_closest_marker("data"):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of recordings (``NEUROGEN_DATA``); the test is skipped where there is none."""
    folder = _data()
    if folder is None:
        pytest.skip("NEUROGEN_DATA must name the folder of recordings")
    return folder

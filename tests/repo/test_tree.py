"""Promises about the files of the repository: no traces of a machine, one style, two commands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]
# Folders of a person or of a machine, and hosts from which packages come: all are somebody's own business.
TRACE = re.compile(r"(?<![\w.])/(?:work|root|home|Users)/\w|pythonhosted|(?<!\w)pypi\.org/simple")


def files():
    """Return the files that git tracks, or would."""
    listing = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("the tree is not a git checkout")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def traces(text):
    return [line.strip() for line in text.splitlines() if TRACE.search(line)]


def test_no_file_names_a_machine():
    found = {}
    for path in files():
        data = path.read_bytes()
        if b"\0" not in data[:4096] and path != Path(__file__) and (lines := traces(data.decode())):
            found[str(path.relative_to(ROOT))] = lines
    assert found == {}


@pytest.mark.parametrize("line, trace", [
    ("see /" + "home/me/network.nir", True),
    ("open('/" + "work/x')", True),
    ("build/work/out and ./home/x", False),
])
def test_the_search_for_traces_finds_them(line, trace):
    assert bool(traces(line)) is trace


def test_no_file_is_large():
    large = {str(path.relative_to(ROOT)): path.stat().st_size for path in files()
             if path.stat().st_size > 400_000}
    assert large == {}


def test_ruff_is_content():
    pytest.importorskip("ruff")
    result = subprocess.run([sys.executable, "-m", "ruff", "check", "--output-format", "concise", "."],
                            cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_documentation_builds_without_warnings(tmp_path):
    pytest.importorskip("sphinx")
    pytest.importorskip("myst_parser")
    result = subprocess.run([sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html",
                             "-d", tmp_path / "doctrees", ROOT / "docs", tmp_path / "html"],
                            cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "html" / "index.html").exists()

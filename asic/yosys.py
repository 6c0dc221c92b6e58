"""Runs scripts of Yosys' passes, in a process of its own."""

import sys
from importlib.util import find_spec
from pathlib import Path

from neurogen.flow.tools import ToolError, run_tool


__all__ = ["find_abc", "quoted", "run_yosys"]


# A process of its own: its memory comes back, and failed assertions of Yosys end it only.
_RUN = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for line in open(sys.argv[1], encoding="utf-8"):
    if line.strip():
        libyosys.run_pass(line.strip(), design)
"""


def run_yosys(folder: Path, name: str, lines: list[str], what: str = "Synthesis") -> str:
    """Write ``lines`` to the script ``name.ys`` in ``folder``, run it there, and return its log.

    Raises
    ------
    ToolError
        If there is no pyosys, or a pass fails.
    """
    if find_spec("pyosys") is None:
        raise ToolError(f"{what} needs pyosys: run `pip install 'neurogen[asic]'`")
    (folder / f"{name}.ys").write_text("\n".join(lines) + "\n", encoding="utf-8")
    log = run_tool([sys.executable, "-c", _RUN, f"{name}.ys"], what=what, cwd=folder)
    (folder / f"{name}.log").write_text(log, encoding="utf-8")
    return log


def find_abc() -> Path:
    """Return the path of ABC, which comes with pyosys.

    Raises
    ------
    ToolError
        If there is no pyosys.
    """
    found = find_spec("pyosys")
    if found is None or found.origin is None:
        raise ToolError("Equivalence needs pyosys: run `pip install 'neurogen[asic]'`")
    return Path(found.origin).parent / "yosys-abc"


def quoted(path: Path | str) -> str:
    """Return a path as one word of a script."""
    return f'"{path}"'

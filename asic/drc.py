"""Design rules of a layout, by the deck that PDKMaster makes of the technology it generated cells for."""

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from neurogen.flow.tools import ToolError, run_tool


__all__ = ["check_rules", "count_violations"]


def check_rules(gds: Path, cell: str, deck: Path, folder: Path) -> dict[str, Any]:
    """Run KLayout (the program: decks are Ruby, which its Python module lacks) on a cell of a layout.

    Returns
    -------
    ``status`` "run" with ``violations`` (number by rule; none if clean), or "not run" with a ``reason``.

    Raises
    ------
    ToolError
        If KLayout fails.
    """
    klayout = shutil.which("klayout")
    if klayout is None:
        return {"status": "not run", "reason": "klayout (the program) is not on PATH"}
    report = folder / "rules.xml"
    run_tool([klayout, "-b", "-r", str(deck)], what="Design rules", cwd=folder,
             env={"SOURCE_FILE": str(gds), "CELL_NAME": cell, "REPORT_FILE": str(report), "QT_QPA_PLATFORM":
                  "offscreen"})
    return {"status": "run", "violations": count_violations(report)}


def count_violations(report: Path) -> dict[str, int]:
    """Return how often each rule is violated, by KLayout's report."""
    try:
        items = ElementTree.parse(report).getroot().find("items")
    except (OSError, ElementTree.ParseError) as error:
        raise ToolError(f"Design rules failed: KLayout's report cannot be read: {error}") from None
    if items is None:
        raise ToolError("Design rules failed: KLayout's report has no list of items")
    names = Counter(re.sub(r"^'|'$", "", item.findtext("category", "?")) for item in items.iterfind("item"))
    return dict(sorted(names.items()))

"""The page of blocks is what the command writes."""

from pathlib import Path

from neurogen.qdi.gates.catalogue import catalogue, main
from neurogen.spec.qdi import BLOCKS


PAGE = Path(__file__).parents[3] / "docs" / "reference" / "qdi_blocks.md"


def test_page_is_current(tmp_path):
    assert PAGE.read_text(encoding="utf-8") == catalogue()


def test_page_has_a_row_for_each_block():
    text = PAGE.read_text(encoding="utf-8")
    for block in BLOCKS.values():
        assert f"\n| {block.number} | `{block.kind}`" in text
    assert text.count("exempt |") == 1


def test_command_wants_a_path(capsys):
    assert main([]) == 1
    assert capsys.readouterr().err.startswith("Usage: ")

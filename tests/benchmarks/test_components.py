"""Cells of components."""

import json

import pytest

from benchmarks import components
from fpga.synth import CELLS
from neurogen.mapping.config import load_config


def test_a_component_and_its_cells(tmp_path, capsys):
    path = tmp_path / "components.json"
    assert components.main(["--only", "LifArray, AxiLiteToWishbone", "--json", str(path)]) == 0
    rows = {row["component"]: row for row in json.loads(path.read_text())["rows"]}
    assert set(rows) == {"LifArray", "AxiLiteToWishbone"}
    for row in rows.values():
        assert set(row) == {"component", "size", *CELLS}
        assert row["LUT4"] > 0 and row["TRELLIS_FF"] > 0
    # 256 potentials of 12 bits with two read ports; a multiplier for the decay.
    assert (rows["LifArray"]["DP16KD"], rows["LifArray"]["MULT18X18D"]) == (2, 1)
    assert rows["AxiLiteToWishbone"]["DP16KD"] == 0
    assert "LifArray" in capsys.readouterr().out


def test_sizes_follow_the_configuration():
    size, make = components.components(load_config("mini"))["Cluster"]
    assert size == "1 lane" and make().spec.lanes == 1


def test_an_unknown_component_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        components.main(["--only", "Magic"])
    assert "Component must be one of Mega, ConvEngine" in capsys.readouterr().err

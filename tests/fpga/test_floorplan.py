"""Block RAMs are placed by lanes."""

import re
from copy import deepcopy
from dataclasses import replace

import pytest

from fpga.boards import find_board
from fpga.floorplan import blank_places, leave_blank, memory_places
from neurogen.mapping.config import load_config
from neurogen.spec.mega import BANKS


DEFAULT = load_config("default")
DEVICE = "LFE5U-85F"


def test_each_block_ram_has_a_place_of_its_own():
    places = memory_places(DEFAULT, DEVICE)
    # 32 lanes of 13 and of 6 bits, in words of 36.
    names = {f"*cluster0.{name}{bank}*.memory.0.{part}"
             for name, parts in (("states", 12), ("weights", 6)) for bank in range(BANKS)
             for part in range(parts)}
    assert {cell for cell, _ in places} == names and len(names) == 162
    sites = [site for _, site in places]
    assert len(set(sites)) == len(sites)
    for site in sites:
        x, y, number = map(int, re.fullmatch(r"X(\d+)/Y(\d+)/EBR([0-3])", site).groups())
        assert y in (22, 46, 70, 82) and 4 <= x <= 120
        # Sites that nextpnr has listed: 4, 6, 8, 10, and again nine further on, two more from the middle.
        assert (x - 2 * (x > 66)) % 9 == (4, 6, 8, 1)[number]


def test_taps_and_banks_of_a_lane_are_neighbours():
    places = memory_places(DEFAULT, DEVICE)
    columns = {}
    for cell, site in places:
        name, part = re.match(r"\*cluster0\.(states|weights)\d\*\.memory\.0\.(\d+)$", cell).groups()
        columns.setdefault((name, int(part)), []).append(int(re.match(r"X(\d+)", site).group(1)))
    for lane in range(DEFAULT.lanes):
        near = [x for name, bits in (("states", 13), ("weights", 6))
                for part in {lane * bits // 36, (lane * bits + bits - 1) // 36} for x in columns[name, part]]
        assert max(near) - min(near) <= 60  # of 126; mostly half of that


@pytest.mark.parametrize("spec, device", [
    (DEFAULT, find_board("ulx3s-25f").make_platform().device),
    (load_config("edge"), DEVICE),  # small: the placer knows better
    (replace(DEFAULT, clusters=2), DEVICE), (replace(DEFAULT, state_depth=1024), DEVICE)])
def test_others_are_left_to_the_placer(spec, device):
    assert memory_places(spec, device) == []


@pytest.mark.parametrize("name, board, luts", [("default", "ulx3s-85f", 83640), ("edge", "ulx3s-25f", 24288)])
def test_blank_lines_are_no_memories_and_leave_room_enough(name, board, luts):
    device = find_board(board).make_platform().device
    blanks = blank_places(load_config(name), device)
    assert luts / 8 < len(set(blanks)) == len(blanks) < luts / 4
    lines = {int(re.fullmatch(r"X\d+/Y(\d+)/SLICE[A-D]\.K[01]", place).group(1)) for place in blanks}
    assert not lines & set(range(10, 98, 12))  # memories and multipliers
    memories = {int(re.search(r"/Y(\d+)/", site).group(1)) for _, site in memory_places(DEFAULT, DEVICE)}
    assert memories <= set(range(10, 98, 12))


def test_small_engines_leave_room_themselves():
    assert blank_places(load_config("edge"), DEVICE) == []
    assert blank_places(DEFAULT, "LFE5U-45F") == []


def test_blanks_have_no_wires_and_change_nothing_else():
    before = {"modules": {"top": {"cells": {"lut": {"type": "LUT4"}}, "netnames": {"a": {"bits": [2]}}}}}
    after = deepcopy(before)
    places = blank_places(DEFAULT, DEVICE)[:3]
    leave_blank(after["modules"]["top"], places)
    cells = after["modules"]["top"].pop("cells")
    assert cells.pop("lut") == before["modules"]["top"].pop("cells")["lut"] and after == before
    assert [cell["attributes"]["BEL"] for cell in cells.values()] == places
    assert not any(bits for cell in cells.values() for bits in cell["connections"].values())

"""Places the block RAMs of the engine lane by lane and leaves room for wires, before anything else is placed.

A lane's weights go from nine tap memories to nine banks of states; a block RAM holds a tap or a bank of
three or four lanes. Left alone, placers gather the block RAMs of each bank, which share an address, and each
of thousands of wires between taps and banks crosses the chip. Here those of the same lanes are neighbours.

And placers pack logic more densely than its wires need: nextpnr's fills seven tenths of the LUTs of a region
and leaves other regions empty. Here every fourth line of LUTs stays blank, of a small device every sixth.
With that the wires of `default` that two nets want fall by a third with each pass of the router, instead of
stopping at thousands; and those of `edge` on an ECP5-25F, instead of stopping at a thousand.
"""

from collections.abc import Iterator
from typing import Any

from neurogen.spec.mega import BANKS, MegaSpec


__all__ = ["blank_places", "leave_blank", "memory_places"]


# Rows (Y) of block RAMs by device, and how many are in each: four in nine columns, from left to right, and
# two more columns in the middle, where the clocks are. As nextpnr names them.
_ROWS = {"LFE5U-85F": (22, 46, 70, 82)}
_ACROSS = 52
_MIDDLE = 28
_WIDTH = 36  # bits of a word of 512
# Lines and columns that stay blank. Memories and multipliers are in the lines 10, 22, 34 and so on.
_BLANK = {"LFE5U-85F": (range(12, 93, 4), range(4, 122)), "LFE5U-25F": (range(6, 46, 6), range(4, 68))}
_BLOCK_RAMS = {"LFE5U-85F": 208, "LFE5U-25F": 56}


def memory_places(spec: MegaSpec, device: str) -> list[tuple[str, str]]:
    """Return where block RAMs of the engine should be, of a device that is known and an engine that needs it.

    Parameters
    ----------
    spec
        Parameters of the accelerator.
    device
        As amaranth-boards names it, like ``LFE5U-85F``.

    Returns
    -------
    Patterns of names of cells in Yosys' netlist, each with the name of a place in nextpnr's. Nothing for
    another device, for several clusters, for memories that are deeper than a block RAM is with full width,
    and for an engine that fills less than half of the device.
    """
    rows = _ROWS.get(device, ())
    if spec.clusters > 1 or max(spec.state_depth, spec.weight_depth) > 512:
        return []
    cells = list(_cells(spec))
    sites = list(_sites(rows))
    if not _crowded(spec, device) or len(cells) > len(sites):
        return []
    # Those that are left over are spread, for the other memories.
    return [(cell, sites[index * len(sites) // len(cells)]) for index, cell in enumerate(cells)]


def blank_places(spec: MegaSpec, device: str) -> list[str]:
    """Return the places of LUTs that should stay empty.

    Nothing for a device that is not known, and for an engine that needs up to half of its block RAMs.
    """
    if not _crowded(spec, device):
        return []
    lines, columns = _BLANK[device]
    return [f"X{x}/Y{y}/SLICE{part}.K{lut}"
            for y in lines for x in columns for part in "ABCD" for lut in "01"]


def _crowded(spec: MegaSpec, device: str) -> bool:
    """Return whether an engine needs more than half of the block RAMs of a device that is known."""
    return device in _BLOCK_RAMS and 2 * spec.clusters * len(list(_cells(spec))) > _BLOCK_RAMS[device]


def leave_blank(top: dict[str, Any], places: list[str]) -> None:
    """Add LUTs without wires to a module of Yosys' JSON, one in each place."""
    ports = dict.fromkeys("ABCD", "input") | {"Z": "output"}
    for place in places:
        top["cells"][f"blank {place}"] = {
            "hide_name": 0, "type": "LUT4", "parameters": {"INIT": "0" * 16}, "attributes": {"BEL": place},
            "port_directions": ports, "connections": {port: [] for port in ports}}


def _cells(spec: MegaSpec) -> Iterator[str]:
    """Names of block RAMs, in the order of the lanes that they hold."""
    slices = []
    for name, bits in (("states", spec.state_bits), ("weights", spec.weight_bits)):
        for part in range(-(-spec.lanes * bits // _WIDTH)):
            slices.append(((part + 0.5) * _WIDTH / bits, name, part))
    for _, name, part in sorted(slices):
        for bank in range(BANKS):
            yield f"*cluster0.{name}{bank}*.memory.0.{part}"


def _sites(rows: tuple[int, ...]) -> Iterator[str]:
    """Sites along a path that takes two rows at once: to the right and, on the next two, back."""
    for number in range(0, len(rows), 2):
        columns = range(_ACROSS) if number % 4 == 0 else range(_ACROSS - 1, -1, -1)
        for column in columns:
            x = 4 + 9 * (column // 4) + (0, 2, 4, 6)[column % 4] + 2 * (column >= _MIDDLE)
            for y in rows[number:number + 2]:
                yield f"X{x}/Y{y}/EBR{column % 4}"

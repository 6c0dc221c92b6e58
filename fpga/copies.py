"""Copies what steers many lanes, so that a driver has to reach the lanes of one neighbourhood only.

The block RAMs of the engine have their places, lane by lane (`fpga.floorplan`), and the logic of a lane
settles near them. What all lanes look at, such as where adders find a state, has to cross the chip: of
`default` a register with 416 sinks took 26.5 ns for the farthest. nextpnr copies nothing itself. Here sinks
are sorted by the block RAMs that they lead to, and each group gets a register. (Copies of LUTs that steer,
too, gained nothing.)
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np


__all__ = ["copy_controls"]


_MANY, _GROUP = 150, 52  # LUTs behind a wire that is copied, at least; behind a copy, at most
# From a LUT to the block RAM that it leads to: cells on the way, and users of a wire that leads there.
_CELLS, _USERS = 14, 40
# Pins through which no data go on, of flip-flops, block RAMs and LUTs as memories.
_STEERING = ("CE", "OCE", "CLK", "WCK", "LSR", "RST", "CS", "WE", "WRE", "AD", "WAD", "RAD")
_PLACE = re.compile(r"X(\d+)/Y(\d+)/")


def copy_controls(top: dict[str, Any]) -> int:
    """Copy flip-flops that steer many LUTs, in a module of Yosys' JSON.

    A copy has the inputs of its original, and does in every cycle what that does. LUTs that lead to no block
    RAM of states with a place keep their driver, as do sinks that are no LUTs; if there are none of these,
    the original drives one of the groups.

    Returns
    -------
    How many were added; none where no block RAM has a place.
    """
    return _Wires(top).copy()


class _Wires:
    """Cells of a module, and by wire its users, as names of cells and ports."""

    def __init__(self, top: dict[str, Any]):
        self._cells: dict[str, dict[str, Any]] = top["cells"]
        self._users: dict[int, list[tuple[str, str]]] = defaultdict(list)
        self._ends: dict[str, tuple[int, ...]] = {}
        for name, cell in self._cells.items():
            for port, wire in _pins(cell, "input"):
                self._users[wire].append((name, port))
            place = _PLACE.match(cell.get("attributes", {}).get("BEL", ""))
            if place and cell["type"] == "DP16KD" and ".states" in name:
                self._ends[name] = tuple(map(int, place.groups()))
        # All wires have names, those that no cell uses, too.
        self._last = max((wire for net in top["netnames"].values() for wire in net["bits"]
                          if isinstance(wire, int)), default=0)

    def copy(self) -> int:
        """Copy the flip-flops that steer many LUTs; return how many copies there are."""
        copies = 0
        drivers = [(name, cell, port, wire) for name, cell in self._cells.items()
                   if cell["type"] == "TRELLIS_FF" for port, wire in _pins(cell, "output")]
        for name, cell, port, wire in drivers:
            if len(self._users[wire]) < _MANY:
                continue
            places = {user: self._place(user[0]) for user in self._users[wire]
                      if self._cells[user[0]]["type"] == "LUT4"}
            sinks = [(user, place) for user, place in places.items() if place is not None]
            if len(sinks) < _MANY:
                continue
            groups = _groups(np.array([place for _, place in sinks]))
            for number, group in enumerate(groups[len(sinks) == len(self._users[wire]):]):
                self._last += 1
                self._cells[f"{name}$copy{number}"] = added = deepcopy(cell)
                added["connections"][port] = [self._last]
                for user, pin in (sinks[index][0] for index in group):
                    self._cells[user]["connections"][pin] = [self._last]
                copies += 1
        return copies

    def _place(self, name: str) -> np.ndarray | None:
        """Return the middle of the block RAMs that are the fewest cells away; None if there is none."""
        front, seen = [name], {name}
        for _ in range(_CELLS):
            found = [self._ends[cell] for cell in front if cell in self._ends]
            if found:
                return np.mean(found, axis=0)
            users = [user for cell in front for _, wire in _pins(self._cells[cell], "output")
                     if len(self._users[wire]) < _USERS for user in self._users[wire]]
            front = list(dict.fromkeys(user for user, port in users
                                       if not port.startswith(_STEERING) and user not in seen))
            seen.update(front)
        return None


def _pins(cell: dict[str, Any], direction: str) -> Iterator[tuple[str, int]]:
    """Ports of a direction, and their wires; all ports of what is copied or steered have one bit."""
    return ((port, wire) for port, wires in cell["connections"].items()
            if cell["port_directions"][port] == direction for wire in wires if isinstance(wire, int))


def _groups(places: np.ndarray) -> list[np.ndarray]:
    """Return indices of places in groups of neighbours: halves along the longer side, until small."""
    groups = [np.arange(len(places))]
    while len(groups[0]) > _GROUP:
        largest = groups.pop(0)
        axis = int(np.argmax(np.ptp(places[largest], axis=0)))
        order = largest[np.argsort(places[largest, axis], kind="stable")]
        groups += [order[:len(order) // 2], order[len(order) // 2:]]
        groups.sort(key=len, reverse=True)
    return groups

"""Place and route with Coriolis: ``python -m asic.route CELLS TOP`` in the folder of ``TOP.blif``.

Run as a module: Coriolis keeps its technology for as long as the process lives.
"""

import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


__all__ = ["main", "pin_sides"]


_SPACE = 0.30    # of the area of all cells, added to it for wires
_PIN = 3.0       # µm between pins, if the side is long enough


def pin_sides(inputs: Sequence[str], outputs: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return 1 for nets of one bit, and bits by vector, as Coriolis names them: inputs, outputs; no clock."""
    sides = []
    for names in (inputs, outputs):
        found: dict[str, Any] = {}
        for name in sorted(names):
            vector = re.fullmatch(r"(.*)\((\d+)\)", name)
            if vector:
                found.setdefault(f"{vector[1]}({{}})", []).append(int(vector[2]))
            elif name != "clk":
                found[name] = 1
        sides.append({name: sorted(bits) if isinstance(bits, list) else bits for name, bits in found.items()})
    return sides[0], sides[1]


def main(arguments: Sequence[str]) -> None:
    """Write ``TOP_cts_r.gds`` into the working folder, and say how much of the wires is routed.

    Pins: inputs in the west, outputs in the east. The clock has a tree; no other net gets buffers (Coriolis'
    buffering ends in a segmentation fault at 2,400 cells).
    """
    cells, top = Path(arguments[0]), arguments[1]
    sys.path.insert(0, str(cells))
    from coriolis import CRL, Cfg
    from coriolis.helpers.overlay import CfgCache
    from coriolis.Hurricane import DbU, Net
    with CfgCache(priority=Cfg.Parameter.Priority.UserFile) as settings:
        settings.misc.catchCore = False
        settings.misc.verboseLevel1 = True   # says what has been routed
        settings.misc.verboseLevel2 = False
    from flexlib import StdCellLib, techno
    techno.setup()
    StdCellLib.setup()
    # Not earlier: these make a database, and the technology makes its own.
    from coriolis.plugins.block.block import Block
    from coriolis.plugins.block.configuration import BlockConf, IoPin
    framework = CRL.AllianceFramework.get()
    framework.getEnvironment().setCLOCK("^clk$")
    cell = CRL.Blif.load(top)

    names: dict[bool, list[str]] = {False: [], True: []}
    for net in cell.getNets():
        if net.isExternal() and not net.isSupply() and not net.isGlobal():
            names[bool(net.getDirection() & Net.Direction.DirOut)].append(net.getName())
    area = sum(DbU.toPhysical(box.getWidth(), DbU.UnitPowerMicro) * DbU.toPhysical(box.getHeight(),
                                                                                   DbU.UnitPowerMicro)
               for box in (instance.getAbutmentBox() for instance in cell.getInstances()))
    room = 0.8 * math.sqrt(area) / (1 + max(map(len, names.values())))
    # Pins lie on tracks of the first horizontal layer that routes.
    pitch = list(framework.getRoutingGauge("StdCellLib").getLayerGauges())[1].getPitch()
    step = pitch * max(1, int(min(_PIN, room) / DbU.toPhysical(pitch, DbU.UnitPowerMicro)))
    pins = [(side | IoPin.A_BEGIN, name, 0, step, bits)
            for side, some in zip((IoPin.WEST, IoPin.EAST), pin_sides(names[False], names[True]), strict=True)
            for name, bits in some.items()]

    settings = BlockConf(cell, ioPins=pins)
    settings.cfg.etesian.aspectRatio = 1.0
    settings.cfg.etesian.spaceMargin = _SPACE
    settings.cfg.etesian.uniformDensity = True
    settings.cfg.katana.hTracksReservedLocal = 10
    settings.cfg.katana.vTracksReservedLocal = 10
    settings.useSpares = settings.useClockTree = True
    settings.useHFNS = False
    settings.useHTree("clk")
    block = Block(settings)
    done = block.doPnR()
    block.save()
    if not done:
        raise SystemExit("not all wires are routed")


if __name__ == "__main__":
    main(sys.argv[1:])

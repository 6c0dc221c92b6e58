"""OpenSTA: timing where it is installed, and scripts with which anybody can check energies against it."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from asic.pdk import Pdk
from neurogen.flow.tools import ToolError, run_tool


__all__ = ["clean_liberty", "find_sta", "power_script", "run_timing", "sta_version"]


# Lines that make OpenSTA of 2019 (Debian's) assume wires which later versions do not.
_WIRE_LOADS = re.compile(r"^\s*default_wire_load\w*\s*:[^;]*;\s*$\n?", re.MULTILINE)
_PARTS = {
    "setup": "-path_delay max",
    "hold": "-path_delay min",
    "registers": "-path_delay max -from [all_registers -clock_pins] -to [all_registers -data_pins]",
}
_EDGE = re.compile(r"clock \S+ \((rise|fall) edge\)")
_ROUNDS, _CLOSE = 8, 2e-3  # of the search for the shortest period, and how near to it is near enough
_DEFAULT = re.compile(r"^\s*default_operating_conditions\s*:[^;]*;\s*$\n?", re.MULTILINE)


def find_sta() -> str | None:
    """Return the path of OpenSTA, or None."""
    return shutil.which("sta")


def sta_version() -> str | None:
    """Return the version of OpenSTA, or None where it is not installed."""
    sta = find_sta()
    return run_tool([sta, "-version"], what="OpenSTA").strip() if sta else None


def clean_liberty(text: str) -> str:
    """Return a library as all versions of OpenSTA read it alike.

    Default wire loads are dropped, and the default operating conditions are named after they are defined
    (else the version of 2019 finds no internal power).
    """
    text = _WIRE_LOADS.sub("", text)
    found = _DEFAULT.search(text)
    if found:
        text = _DEFAULT.sub("", text)
        end = text.rstrip().rindex("}")
        text = f"{text[:end]}{found[0].rstrip()}\n{text[end:]}"
    return text


def _clean_files(pdk: Pdk, corner: str, folder: Path, macros: tuple[str, ...]) -> list[str]:
    names = []
    for path in [*pdk.liberty_files(corner), *(pdk.sram_liberty(macro) for macro in macros)]:
        (folder / path.name).write_text(clean_liberty(path.read_text(encoding="latin-1")), encoding="latin-1")
        names.append(path.name)
    return names


def _read(top: str, libs: list[str], period: float, clock: str, netlist: str = "netlist.v") -> list[str]:
    return [
        *(f"read_liberty {{{name}}}" for name in libs),
        "set_cmd_units -time ns",  # else those of the first library, of picoseconds in some
        f"read_verilog {netlist}",
        f"link_design {top}",
        f"create_clock -name {clock} -period {period * 1e9:g} [get_ports {clock}]",
    ]


def run_timing(
    folder: Path,
    top: str,
    pdk: Pdk,
    *,
    corners: tuple[str, ...] = (),
    period: float = 10e-9,
    macros: tuple[str, ...] = (),
    clock: str = "clk",
) -> dict:
    """Return the slack of ``folder/timing.v`` at every corner, with ideal clocks and no wires.

    Parameters
    ----------
    corners
        Names; default: all whose files are there.
    macros
        Names of memory macros in the netlist; their one corner is used for all.

    Returns
    -------
    ``{"status": "not run", "reason": ...}`` without OpenSTA, else ``status`` "run" and by corner the worst
    slack in s (``setup``, ``hold``), of paths between registers only (``registers``), the shortest period in
    s, and the path.

    Raises
    ------
    ToolError
        If OpenSTA fails, complains about a line, or says no slack.
    """
    sta = find_sta()
    if sta is None:
        return {"status": "not run", "reason": "OpenSTA (`sta`) is not on PATH"}
    result = {}
    for corner in corners or pdk.available_corners():
        libs = _clean_files(pdk, corner, folder, macros)

        def ask(at: float, parts: tuple[str, ...], libs=libs, corner=corner) -> dict:
            lines = [*_read(top, libs, at, clock, "timing.v")]
            for part in parts:
                lines += [f'puts "== {part}"', f"report_checks -digits 3 {_PARTS[part]}"]
            return _slacks(_run(sta, folder, corner, [*lines, 'puts "== end"']), corner, parts)

        result[corner] = ask(period, tuple(_PARTS))
        if result[corner]["registers"] is not None:
            result[corner]["shortest_period"] = _shortest(result[corner], period, ask)
        for name in libs:
            (folder / name).unlink()
    return {"status": "run", "period": period, "wires": "none", "clock": "ideal", "corners": result}


def _run(sta: str, folder: Path, corner: str, script: list[str]) -> str:
    (folder / f"timing_{corner}.tcl").write_text("\n".join(script) + "\n", encoding="utf-8")
    log = run_tool([sta, "-exit", f"timing_{corner}.tcl"], what=f"Timing at corner {corner}", cwd=folder)
    if error := re.search(r"^Error: timing\.v.*$", log, re.MULTILINE):  # goes on without that line
        raise ToolError(f"Timing at corner {corner} failed: OpenSTA says {error[0]}")
    return log


def _shortest(found: dict, period: float, ask: Callable[[float, tuple[str, ...]], dict]) -> float:
    """Return the shortest period; ``ask`` tells the slack at another one.

    Memories may answer at the falling edge: such a path has half a period, and another one may be the worst
    at another period. Only a path of a whole period that meets it tells the shortest one at once.
    """
    for _ in range(_ROUNDS):
        edges = _EDGE.findall(found["path"])
        half = len(edges) > 1 and edges[0] != edges[1]
        slack = found["registers"]
        shortest = period - slack * (2 if half else 1)
        if (slack >= 0 and not half) or abs(slack) <= _CLOSE * period or shortest <= 0:
            break
        period = shortest
        found = ask(period, ("registers",))
    return shortest


def _slacks(log: str, corner: str, parts: tuple[str, ...]) -> dict:
    found = {}
    for part in parts:
        text = log.partition(f"== {part}")[2].partition("==")[0]
        slack = re.search(r"(-?[\d.]+)\s+slack", text)
        if slack is None and "No paths" not in text:
            raise ToolError(
                f"Timing at corner {corner} failed: OpenSTA does not say the slack ({part}):\n{text}"
            )
        found[part] = float(slack[1]) * 1e-9 if slack else None
        if part == "registers":
            found["path"] = text.strip()
    return found


def power_script(
    top: str, pdk: Pdk, *, period: float, vcd: str, clock: str = "clk", macros: tuple[str, ...] = ()
) -> str:
    """Return a script that has OpenSTA 3 report the power of ``netlist.v`` with the activity of a VCD file.

    The version of 2019 cannot read VCD files; its figures without them are several times too high.

    Parameters
    ----------
    period
        Clock period, in s.
    vcd
        Name of the file (see `asic.activity.write_vcd`).
    macros
        Names of memory macros in the netlist.
    """
    libs = [str(path) for path in [*pdk.liberty_files(), *(pdk.sram_liberty(macro) for macro in macros)]]
    return (
        "\n".join(
            [*_read(top, libs, period, clock), f"read_vcd -scope {top} {vcd}", "report_power -digits 6"]
        )
        + "\n"
    )

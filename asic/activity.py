"""What nets do over time: changes of their values, from a simulation or from a VCD file."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asic.netlist import Netlist
from neurogen.flow.errors import UserError


__all__ = ["Activity", "ActivityError", "Wave", "read_vcd", "write_vcd"]


class ActivityError(UserError):
    """A VCD file is malformed, or does not belong to the netlist."""


@dataclass(frozen=True)
class Wave:
    """A net's first value, and when it changes (ascending ticks)."""

    first: int
    times: np.ndarray

    def ones(self, duration: int) -> float:
        """Return for which part of ``duration`` ticks it is 1."""
        edges = np.concatenate([[0], self.times, [duration]])
        lengths = np.diff(edges)
        return float(lengths[1 - self.first :: 2].sum() / duration)


@dataclass(frozen=True)
class Activity:
    """Waves by net, over ``duration`` ticks of ``tick`` seconds; ``accesses``: by memory, port and kind.

    The kinds of an access are read, write, and both at once.
    """

    waves: Mapping[int, Wave]
    duration: int
    tick: float
    accesses: np.ndarray

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return self.duration * self.tick

    def wave(self, net: int) -> Wave:
        """Return what a net does; constants do nothing."""
        if net < 2:
            return Wave(net, _NEVER)
        return self.waves.get(net, _LOW)


    def after(self, start: int) -> "Activity":
        """Return what happens later than ``start`` ticks; accesses of memories stay as they are."""
        waves = {net: Wave((wave.first + int(np.searchsorted(wave.times, start, side="right"))) & 1,
                           wave.times[wave.times > start] - start) for net, wave in self.waves.items()}
        return Activity(waves, self.duration - start, self.tick, self.accesses)


_NEVER = np.zeros(0, np.int64)
_LOW = Wave(0, _NEVER)
_VAR = re.compile(r"\$var\s+\S+\s+(\d+)\s+(\S+)\s+(.+?)\s*(?:\[(\d+)(?::(\d+))?\])?\s*\$end")
_SCALE = re.compile(r"\$timescale\s*(\d+)\s*([munpf]?s)\s*\$end", re.DOTALL)
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12, "fs": 1e-15}


def from_changes(
    initial: np.ndarray,
    times: np.ndarray,
    changes: np.ndarray,
    duration: int,
    tick: float,
    accesses: np.ndarray,
) -> Activity:
    """Return the activity of a list of changes (``2 * net + value``) in order of time."""
    nets = changes >> 1
    order = np.argsort(nets, kind="stable")
    nets, times = nets[order], times[order]
    begins = np.flatnonzero(np.diff(nets, prepend=-1))
    ends = [*begins[1:], len(nets)][:len(begins)]
    waves = {net: Wave(int(value), _NEVER) for net, value in enumerate(initial) if net > 1}
    for begin, end in zip(begins, ends, strict=True):
        net = int(nets[begin])
        if net > 1:
            waves[net] = Wave(int(initial[net]), _without_zero_width(times[begin:end]))
    return Activity(waves, duration, tick, accesses)


def _without_zero_width(times):
    """Return the times of changes without pairs at one instant, which are no change."""
    if len(times) > 1 and (np.diff(times) == 0).any():
        values, counts = np.unique(times, return_counts=True)
        return values[counts % 2 == 1]
    return times


def read_vcd(path: Path | str, netlist: Netlist, scope: str = "", start: int = 0) -> Activity:
    """Return the activity in a VCD file of a simulation of the netlist.

    Values that are not 0 or 1 count as 0.

    Parameters
    ----------
    scope
        Hierarchical name of the instance in the file, such as ``tb.dut``; empty: the first scope that has
        all the ports.
    start
        Time, in ticks of the file, from which on it counts.

    Raises
    ------
    ActivityError
        If the file is malformed, or lacks the scope or nets of the ports.
    """
    path = Path(path)
    with path.open(encoding="utf-8", errors="replace") as stream:
        tick, table = _header(path, stream, netlist, scope)
        changes: dict[str, tuple[list[int], list[str]]] = {code: ([], []) for code in table}
        now = last = 0
        for line in stream:
            line = line.strip()
            if not line or line[0] == "$":
                continue
            if line[0] == "#":
                now = last = int(line[1:])
            elif line[0] in "bBrR":
                value, _, code = line[1:].partition(" ")
                if code in changes:
                    changes[code][0].append(now)
                    changes[code][1].append(value)
            elif line[1:] in changes:
                changes[line[1:]][0].append(now)
                changes[line[1:]][1].append(line[0])
    if last <= start:
        raise ActivityError(f"VCD file must go on after time {start}, and {path} ends at {last}")
    waves = {}
    for code, bits in table.items():
        times, values = changes[code]
        for net, bit in bits:
            waves[net] = _wave(times, values, bit, start)
    missing = [
        netlist.names[net]
        for _, nets in netlist.ports.values()
        for net in nets
        if net > 1 and net not in waves
    ]
    if missing:
        raise ActivityError(f"VCD file must have all ports, and {path} lacks {', '.join(missing[:5])}")
    return Activity(waves, last - start, tick, np.zeros((len(netlist.macros), 2, 3), np.int64))


def _wave(times, values, bit, start):
    """Return the wave of a bit of a vector; leading zeros of values are not written in VCD."""
    first, found, value = 0, [], 0
    for time, text in zip(times, values, strict=True):
        new = int(len(text) > bit and text[-1 - bit] == "1")
        if time <= start:
            first = value = new
        elif new != value:
            found.append(time - start)
            value = new
    return Wave(first, _without_zero_width(np.array(found, np.int64)))


def _header(path, stream: Iterator[str], netlist, scope):
    """Return seconds by tick, and nets by code."""
    nets = {name.replace("\\", "").strip(): net for net, name in enumerate(netlist.names) if net > 1}
    tick, stack, found, text = 1e-9, [], {}, ""
    for line in stream:
        if line.startswith("$enddefinitions"):
            break
        text += line
        if "$end" not in line:
            continue
        statement, text = text, ""
        if scale := _SCALE.search(statement):
            tick = int(scale[1]) * _SECONDS[scale[2]]
        elif "$scope" in statement:
            stack.append(statement.split()[2])
        elif "$upscope" in statement:
            stack.pop()
        elif var := _VAR.search(statement):
            width, code, name, high = int(var[1]), var[2], var[3].replace("\\", "").strip(), var[4]
            table = found.setdefault(".".join(stack), {})
            for bit in range(width):
                index = int(high) - (width - 1 - bit) if high else bit
                key = f"{name}[{index}]" if high or width > 1 else name
                if key in nets:
                    table.setdefault(code, []).append((nets[key], bit))
    else:
        raise ActivityError(f"VCD file must have $enddefinitions, and {path} does not")
    if scope:
        if scope not in found:
            raise ActivityError(f"Scope must be one of {', '.join(found) or 'none'} in {path}, not {scope!r}")
        return tick, found[scope]
    if not found:
        raise ActivityError(f"VCD file must have nets of {netlist.top}, and {path} has none")
    return tick, max(found.values(), key=len)


def write_vcd(path: Path | str, netlist: Netlist, activity: Activity) -> None:
    """Write the activity as VCD with one scope, for OpenSTA and for viewers."""
    nets = [net for net in range(2, len(netlist.names)) if net in activity.waves]
    code = {net: _code(number) for number, net in enumerate(nets)}
    exponent = round(-np.log10(activity.tick))
    lines = [
        f"$timescale 1{ {9: 'ns', 12: 'ps', 15: 'fs'}[exponent] } $end",
        f"$scope module {netlist.top} $end",
    ]
    for net in nets:
        name = netlist.names[net].replace("\\", "")
        label, _, index = name.rpartition("[")
        named = f"{label} [{index}" if name.endswith("]") and label else name
        lines.append(f"$var wire 1 {code[net]} {named} $end")
    lines += ["$upscope $end", "$enddefinitions $end", "#0", "$dumpvars"]
    lines += [f"{activity.waves[net].first}{code[net]}" for net in nets]
    lines.append("$end")
    times = np.concatenate([activity.waves[net].times for net in nets] or [_NEVER])
    which = np.concatenate([np.full(len(activity.waves[net].times), net) for net in nets] or [_NEVER])
    values = np.concatenate(
        [(activity.waves[net].first + 1 + np.arange(len(activity.waves[net].times))) & 1 for net in nets]
        or [_NEVER]
    )
    order = np.argsort(times, kind="stable")
    now = 0
    for time, net, value in zip(
        times[order].tolist(), which[order].tolist(), values[order].tolist(), strict=True
    ):
        if time != now:
            now = time
            lines.append(f"#{now}")
        lines.append(f"{value}{code[net]}")
    lines.append(f"#{activity.duration}")
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _code(number: int) -> str:
    """Return a short identifier of printable characters."""
    text = ""
    while True:
        text += chr(33 + number % 94)
        number //= 94
        if not number:
            return text
        number -= 1

"""Simulates a netlist of standard cells by the functions that Liberty gives them, without vendor models.

In zero delay, or with inertial delays, so that glitches are seen. Cycle ``t`` begins with the rising edge;
inputs change right after it. In cycle 0 registers and memories hold random bits, as silicon does.
"""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib import resources
from pathlib import Path

import numpy as np

from asic.activity import Activity, from_changes
from asic.gategraph import GateGraph
from asic.netlist import Netlist, NetlistError
from asic.slews import Timing
from neurogen.flow.files import staged
from neurogen.flow.tools import SimulationError, cache_folder, find_compiler, run_tool


__all__ = ["GateModel", "GateRun", "Passages"]


@dataclass(frozen=True)
class Passages:
    """What cells went through in a window, without times: enough for their energy, however long it is.

    A state of a cell has a bit for each of its ``pins`` (of the netlist's cell of that number).

    Parameters
    ----------
    pins
        By cell, names of pins, the lowest bit first.
    cell, before, after, count
        How often a cell passed from one state to another at one moment.
    held
        By cell, seconds in each state.
    seconds
        Length of the window.
    accesses
        As in `Activity`.
    """

    pins: list[tuple[str, ...]]
    cell: np.ndarray
    before: np.ndarray
    after: np.ndarray
    count: np.ndarray
    held: list[np.ndarray]
    seconds: float
    accesses: np.ndarray


@dataclass(frozen=True)
class GateRun:
    """Outputs by port, one integer a cycle (at its end), and what the nets did.

    ``passages`` is there if a window was given.
    """

    outputs: dict[str, list[int]]
    activity: Activity
    passages: Passages | None = None


class GateModel:
    """A netlist, ready to be simulated.

    Parameters
    ----------
    netlist
        Flat netlist; registers of rising edges, one clock (gating cells may stand in it), no latches.
    clock
        Name of the clock's port.

    Raises
    ------
    NetlistError
        If the netlist has something else, or a combinational loop.
    """

    def __init__(self, netlist: Netlist, clock: str = "clk"):
        self.netlist = netlist
        self.graph = GateGraph(netlist, clock)
        self._inputs = [
            (name, nets)
            for name, (direction, nets) in netlist.ports.items()
            if direction == "input" and name != clock
        ]

    def run(
        self,
        stimulus: Mapping[str, object],
        *,
        period: float = 10e-9,
        timing: Timing | None = None,
        record: bool = True,
        seed: int = 0,
        window: tuple[int, int] | None = None,
    ) -> GateRun:
        """Simulate one clock cycle for each value of the inputs.

        Parameters
        ----------
        stimulus
            By name of the port (all but the clock), one unsigned integer a cycle.
        period
            Clock period, in s.
        timing
            Delays; without, everything happens at once.
        seed
            Of the random contents of registers and memories.
        record
            Keep what the nets did; without it, only outputs and accesses are there.
        window
            First cycle, and the one after the last, of which `Passages` are counted, in place of what the
            nets did. Delays, and accesses of memories, are those of the window.

        Raises
        ------
        SimulationError
            If something still moves at the end of a period.
        """
        bits, cycles = self._stimulus(stimulus)
        tick = 1e-12
        ticks = round(period / tick)
        draw = np.random.default_rng(seed)
        state = draw.integers(0, 2, self.graph.nets).astype(np.uint8)
        state[:2] = 0, 1
        for out, _, _ in self.graph.clocks:
            state[out] = 0
        contents = draw.integers(0, 2, max(1, sum(w * b for w, b, _ in self.graph.memories))).astype(np.uint8)
        arrays, structure = self._arrays(timing)
        watched = np.array(
            [net for direction, nets in self.netlist.ports.values() if direction == "output" for net in nets],
            np.int32,
        )
        out = np.zeros((cycles, max(1, len(watched))), np.uint8)
        accesses = np.zeros((max(1, len(self.graph.memories)), 2, 3), np.int64)
        initial = np.zeros(self.graph.nets, np.uint8)
        record = record and window is None
        capacity = 1 << 20 if record else 1
        first, last = (0, cycles) if window is None else window
        if not 0 <= first < last <= cycles:
            raise ValueError(f"Window must be cycles between 0 and {cycles}, not {window!r}")
        counting = None if window is None else _Counting(self.netlist, self.graph.nets)
        while True:
            values, memory = state.copy(), contents.copy()
            accesses[:] = 0
            times, changes = np.zeros(capacity, np.int64), np.zeros(capacity, np.int32)
            result = _Result(_at(times), _at(changes), 0, capacity)
            code = _simulator().simulate(
                ctypes.byref(structure),
                cycles,
                _at(bits),
                ctypes.c_int64(ticks),
                int(timing is not None),
                _at(values),
                _at(initial),
                _at(memory),
                ctypes.byref(result),
                _at(watched),
                len(watched),
                _at(out),
                _at(accesses),
                first,
                last,
                None if counting is None else counting.pointer,
            )
            if code == 2:
                if counting is not None:
                    counting.take()
                raise SimulationError(
                    f"Netlist of {self.netlist.top} still moves at the end of a period of "
                    f"{period * 1e9:g} ns: give a longer one"
                )
            if code == 0 or not record:
                break
            capacity = result.count + 1
        del arrays
        outputs, column = {}, 0
        for name, (direction, nets) in self.netlist.ports.items():
            if direction == "output":
                part = out[:, column : column + len(nets)]
                packed = np.packbits(part, 1, "little")
                outputs[name] = [int.from_bytes(row.tobytes(), "little") for row in packed]
                column += len(nets)
        passages = None
        if counting is not None:
            passages = counting.result((last - first) * ticks * tick, tick,
                                       accesses[: len(self.graph.memories)])
        real = len(self.netlist.names)
        count = result.count if record else 0
        keep = (changes[:count] >> 1) < real
        return GateRun(
            outputs,
            from_changes(
                initial[:real],
                times[:count][keep],
                changes[:count][keep],
                ticks * cycles,
                tick,
                accesses[: len(self.graph.memories)],
            ),
            passages,
        )

    def _stimulus(self, stimulus):
        names = {name for name, _ in self._inputs}
        if set(stimulus) != names:
            raise ValueError(f"Stimulus must be of the inputs {sorted(names)}, not {sorted(stimulus)}")
        lengths = {len(values) for values in stimulus.values()}
        if len(lengths) != 1:
            raise ValueError(f"Stimulus must have one length for all inputs, not {sorted(lengths)}")
        (cycles,) = lengths
        columns = []
        for name, nets in self._inputs:
            size = (len(nets) + 7) // 8
            raw = b"".join(int(value).to_bytes(size, "little") for value in stimulus[name])
            columns.append(
                np.unpackbits(np.frombuffer(raw, np.uint8).reshape(cycles, size), axis=1, bitorder="little")[
                    :, : len(nets)
                ]
            )
        return np.ascontiguousarray(np.concatenate(columns, 1)), cycles

    def _arrays(self, timing):
        """Return the arrays (to keep them alive), and the structure that points to them."""
        gates = self.graph.gates
        pins = [net for gate in gates for net in gate[1]]
        fan: list[list[int]] = [[] for _ in range(self.graph.nets)]
        delays = np.ones(2 * max(1, len(pins)), np.int32)
        pin0 = np.concatenate([[0], np.cumsum([len(gate[1]) for gate in gates])])
        for number, (_, nets, _, instance, pin) in enumerate(gates):
            for position, net in enumerate(nets):
                fan[net] += [number, position]
                if timing is not None and instance >= 0:
                    rise, fall = timing.delay(instance, pin, net)
                    at = 2 * (pin0[number] + position)
                    delays[at : at + 2] = max(1, round(rise * 1e12)), max(1, round(fall * 1e12))
        ram = [
            word
            for words, bits, ports in self.graph.memories
            for word in (words, bits, len(ports), *(offset for port in ports for offset in port))
        ]
        lists = [[gate[0] for gate in gates], pin0, pins, [gate[2] for gate in gates]]
        after = [
            [flop[0] for flop in self.graph.flops],
            [flop[1] for flop in self.graph.flops],
            [flop[2] for flop in self.graph.flops],
            [clock[1] for clock in self.graph.clocks],
            [clock[2] for clock in self.graph.clocks],
            [clock[0] for clock in self.graph.clocks],
        ]
        tail = [
            ram,
            self.graph.memory_pins,
            np.concatenate([[0], np.cumsum([len(row) for row in fan])]),
            [word for row in fan for word in row],
            [net for _, nets in self._inputs for net in nets],
        ]
        first, second, third = [
            [np.array(values, np.int32) for values in part] for part in (lists, after, tail)
        ]
        table = np.frombuffer(bytes(self.graph.tables) or b"\0", np.uint8)
        structure = _Netlist(
            self.graph.nets,
            len(gates),
            len(self.graph.flops),
            len(self.graph.clocks),
            len(self.graph.memories),
            len(tail[-1]),
            *map(_at, first),
            _at(table),
            _at(delays),
            *map(_at, second),
            self.graph.root,
            *map(_at, third),
        )
        return [first, second, third, table, delays], structure


class _Counting:
    """The arrays of one count of passages, and the table that the simulator fills."""

    def __init__(self, netlist: Netlist, nets: int):
        self.pins = []
        touches: list[list[int]] = [[] for _ in range(nets)]
        for number, instance in enumerate(netlist.cells):
            known = netlist.library[instance.kind].pins
            names = tuple(pin for pin in instance.pins if pin in known)
            if len(names) > 16:
                raise NetlistError(f"Cell {instance.name} of type {instance.kind} must have at most 16 pins")
            self.pins.append(names)
            for bit, pin in enumerate(names):
                touches[instance.pins[pin][0]] += [number, bit]
        sizes = [1 << len(names) for names in self.pins]
        self.start = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self.held = np.zeros(int(self.start[-1]), np.int64)
        self._arrays = (np.concatenate([[0], np.cumsum([len(row) for row in touches])]).astype(np.int32),
                        np.array([word for row in touches for word in row], np.int32))
        library = _simulator()
        library.counts_new.restype = _P
        library.counts_size.restype = ctypes.c_int64
        library.counts_size.argtypes = [_P]
        library.counts_take.argtypes = [_P, _P, _P]
        self.pointer = _P(library.counts_new(len(self.pins), *map(_at, self._arrays), _at(self.start),
                                             _at(self.held)))

    def take(self) -> tuple[np.ndarray, np.ndarray]:
        """Return keys and counts, and free the table."""
        size = max(1, _simulator().counts_size(self.pointer))
        keys, counts = np.zeros(size, np.uint64), np.zeros(size, np.uint32)
        _simulator().counts_take(self.pointer, _at(keys), _at(counts))
        return keys[counts > 0], counts[counts > 0].astype(np.int64)

    def result(self, seconds: float, tick: float, accesses: np.ndarray) -> Passages:
        """Return what was counted."""
        keys, counts = self.take()
        held = [self.held[a:b] * tick for a, b in zip(self.start[:-1], self.start[1:], strict=True)]
        return Passages(self.pins, (keys >> np.uint64(32)).astype(np.int64),
                        (keys >> np.uint64(16) & np.uint64(0xFFFF)).astype(np.int64),
                        (keys & np.uint64(0xFFFF)).astype(np.int64), counts, held, seconds, accesses)


_P = ctypes.c_void_p


class _Netlist(ctypes.Structure):
    _fields_ = [
        *[(name, ctypes.c_int32) for name in ("nets", "gates", "flops", "clocks", "rams", "inputs")],
        *[(f"a{n}", _P) for n in range(12)],
        ("root", ctypes.c_int32),
        *[(f"b{n}", _P) for n in range(5)],
    ]


class _Result(ctypes.Structure):
    _fields_ = [("time", _P), ("change", _P), ("count", ctypes.c_int64), ("capacity", ctypes.c_int64)]


def _at(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@lru_cache(maxsize=1)
def _simulator() -> ctypes.CDLL:
    """Compile the simulator, once for all netlists, and load it."""
    source = resources.files("asic").joinpath("gates.cpp").read_text(encoding="utf-8")
    compiler = find_compiler()
    folder = cache_folder() / "gates" / sha256(f"{compiler}\n{source}".encode()).hexdigest()[:24]
    if not (folder / "gates.so").exists():
        with staged(folder, keep=True) as part:
            (part / "gates.cpp").write_text(source, encoding="utf-8")
            run_tool(
                [compiler, "-O2", "-std=gnu++17", "-shared", "-fPIC", "gates.cpp", "-o", "gates.so"],
                what="Compiling the gate simulator",
                cwd=part,
            )
    return ctypes.CDLL(str(Path(folder) / "gates.so"))

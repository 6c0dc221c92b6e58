"""A compiled design, driven with whole batches per call."""

import ctypes
import os
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neurogen.flow.batches import Port, Run, bus_operations, chance, payloads
from neurogen.flow.tools import SimulationError, ToolError
from neurogen.spec.checks import check_choice, check_int


__all__ = ["Model", "Port", "Run"]

_BUS = ("cyc", "stb", "we", "adr", "dat_w", "dat_r", "ack")
_RUNNING, _DONE, _EXHAUSTED, _FAILED = range(4)
_READ, _WRITE, _POLL = range(3)
_FOREVER = 2**64 - 1
_CHUNK = 200_000  # cycles in C between two chances for Python to see Ctrl-C
_POINTERS = ("ng_new", "ng_data", "ng_times")
_NUMBERS = ("ng_cycles", "ng_count", "ng_script_next", "ng_memory_transfers")


class Model:
    """One instance of a compiled design, after power-on and one cycle of reset.

    The design has a clock ``clk``, usually a reset ``rst``, and any of: streams (``<name>__payload``,
    ``__valid``, ``__ready``); one Wishbone target called ``bus`` and one initiator called ``mem``
    (``<name>__cyc``, ``stb``, ``we``, ``adr``, ``dat_w``, ``dat_r``, ``ack``; up to 32 bits of data for the
    target); other ports, which keep what `set` gave them. A target or initiator of another name is found
    if it is the only one. Streams are idle, and outputs are not accepted, outside of `run`.

    `neurogen.flow.verilator.compile_model` makes models; they can be used from one thread at a time.
    """

    def __init__(self, library: ctypes.CDLL, top: str, ports: Sequence[Port], trace_format: str = "", *,
                 x_initial: str = "random", seed: int = 0):
        self._handle = None
        self._library = library
        for name in _POINTERS:
            getattr(library, name).restype = ctypes.c_void_p
        for name in _NUMBERS:
            getattr(library, name).restype = ctypes.c_uint64
        library.ng_error.restype = ctypes.c_char_p
        library.ng_delete.argtypes, library.ng_delete.restype = [ctypes.c_void_p], None
        self.top = top
        self.trace_format = trace_format
        self.ports = {port.name: port for port in ports}
        self._index = {port.name: index for index, port in enumerate(ports)}
        if "clk" not in self.ports:
            raise ToolError(f"Design {top} must have an input called clk; it has: {', '.join(self.ports)}")
        names = [name[:-len("__valid")] for name in self.ports if name.endswith("__valid")]
        names = [name for name in names if {f"{name}__payload", f"{name}__ready"} <= self.ports.keys()]
        self.inputs = [name for name in names if self.ports[f"{name}__valid"].input]
        self.outputs = [name for name in names if not self.ports[f"{name}__valid"].input]
        self.bus, self.memory_bus = self._wishbone("bus", True), self._wishbone("mem", False)
        widths = [self.ports[f"{self.bus}__{name}"].width for name in ("adr", "dat_w", "dat_r") if self.bus]
        if max(widths, default=0) > 32:
            raise ToolError(f"Bus {self.bus} of design {top} must have up to 32 bits of address and of data")
        self.memory = np.zeros(0, np.uint32)
        self._latency = (1, 1, 0)
        self.power_on(x_initial=x_initial, seed=seed)

    def _wishbone(self, usual: str, target: bool) -> str | None:
        found = [name[:-len("__cyc")] for name, port in self.ports.items()
                 if name.endswith("__cyc") and port.input == target]
        found = [name for name in found if all(f"{name}__{member}" in self.ports for member in _BUS)]
        return usual if usual in found else found[0] if len(found) == 1 else None

    def _call(self, name: str, *arguments: Any) -> Any:
        # ctypes passes plain integers as 32-bit int; those that may be longer come wrapped.
        result = getattr(self._library, name)(ctypes.c_void_p(self._handle), *arguments)
        if name not in _NUMBERS and name not in _POINTERS and result == _FAILED:
            raise SimulationError(f"Simulation of {self.top} failed in cycle {self.cycles}: {self._error()}")
        return result

    def _error(self) -> str:
        return self._library.ng_error(ctypes.c_void_p(self._handle)).decode(errors="replace")

    # Power, clock and ports

    def power_on(self, *, x_initial: str = "random", seed: int = 0) -> None:
        """Start again as after power-on, and reset for one cycle.

        Parameters
        ----------
        x_initial
            Contents of memories and of registers without an initial value: ``"random"`` or ``"zero"``.
        seed
            Seed of the random contents, 0 to 2**30.
        """
        check_choice("Initial contents", x_initial, ("random", "zero"))
        check_int("Seed", seed, minimum=0, maximum=2**30)
        self.close()
        self._handle = self._library.ng_new(2 if x_initial == "random" else 0, seed + 1, self._index["clk"],
                                            self._index.get("rst", -1))
        # Unlike `__del__`, this is called before the interpreter takes itself apart.
        self._free = weakref.finalize(self, self._library.ng_delete, self._handle)
        for name, port in self.ports.items():
            if port.input:
                self._put(name, 0)
        for name in (*self.inputs, *self.outputs):
            self._call("ng_add_stream", int(name in self.inputs),
                       *(self._index[f"{name}__{member}"] for member in ("payload", "valid", "ready")))
        for function, bus in (("ng_add_bus", self.bus), ("ng_add_memory", self.memory_bus)):
            if bus is not None:
                self._call(function, (ctypes.c_int * 7)(*(self._index[f"{bus}__{name}"] for name in _BUS)))
        if self.memory_bus is not None:
            self._bind_memory()
        self._call("ng_settle")
        if "rst" in self.ports:
            self.reset()

    def reset(self, cycles: int = 1) -> None:
        """Hold ``rst`` high for some cycles. Memories keep their contents."""
        check_int("Reset", cycles, minimum=1, unit="cycles")
        if "rst" not in self.ports:
            raise SimulationError(f"Design {self.top} has no input called rst")
        self._call("ng_reset", ctypes.c_uint64(cycles))
        self._call("ng_settle")

    @property
    def cycles(self) -> int:
        """Clock cycles since power-on, those in reset included."""
        return self._call("ng_cycles")

    def get(self, name: str) -> int:
        """Return the value of a port, unsigned."""
        buffer = ctypes.create_string_buffer(self._port(name).bytes)
        self._call("ng_get", self._index[name], buffer)
        return int.from_bytes(buffer.raw, "little")

    def set(self, name: str, value: int) -> None:
        """Set an input, from now on; outputs that depend on it without a register follow at once."""
        if not self._port(name).input:
            raise ValueError(f"Port {name} is an output and cannot be set")
        self._put(name, value)
        self._call("ng_settle")

    def _put(self, name: str, value: int) -> None:
        port = self.ports[name]
        check_int(f"Value of port {name}", value, minimum=-2**(port.width - 1), maximum=2**port.width - 1)
        data = (int(value) & (2**port.width - 1)).to_bytes(port.bytes, "little")
        self._call("ng_set", self._index[name], data)

    def _port(self, name: str) -> Port:
        if name not in self.ports:
            raise ValueError(f"Port must be one of {', '.join(self.ports)}, not {name!r}")
        return self.ports[name]

    # Memory and bus

    def attach_memory(self, memory: np.ndarray, *, latency: int | tuple[int, int] = 1, seed: int = 0) -> None:
        """Put an external memory on the memory bus; gateware and caller share the array.

        Parameters
        ----------
        memory
            ``(words,)`` with the element type that fits the bus (``uint32`` for 32 bits), or ``(words, n)``
            of ``uint32`` for buses of more than 64 bits. C-contiguous; not copied.
        latency
            Cycles from request to ``ack``, at least 1, or a range of them to draw from for each access.
        """
        if self.memory_bus is None:
            raise SimulationError(f"Design {self.top} has no memory bus")
        port = self.ports[f"{self.memory_bus}__dat_r"]
        shape = (len(memory), port.words) if port.words > 1 else (len(memory),)
        if memory.dtype != port.dtype or memory.shape != shape or not memory.flags.carray:
            raise TypeError(f"Memory must be a contiguous, writable array of {port.dtype} of shape {shape}, "
                            f"not of {memory.dtype} of shape {memory.shape}")
        low, high = latency if isinstance(latency, tuple) else (latency, latency)
        check_int("Memory latency", low, minimum=1, unit="cycles")
        check_int("Memory latency", high, minimum=low, maximum=2**31 - 1, unit="cycles")
        self.memory, self._latency = memory, (low, high, seed)
        self._bind_memory()

    def _bind_memory(self) -> None:
        low, high, seed = self._latency
        self._call("ng_memory", ctypes.c_void_p(self.memory.ctypes.data), ctypes.c_uint64(len(self.memory)),
                   low, high, ctypes.c_uint64(seed))

    @property
    def memory_transfers(self) -> int:
        """Words that the design has read from or written to external memory since power-on."""
        return self._call("ng_memory_transfers")

    def write(self, adr: int | Sequence[int], values: int | Sequence[int], *, step: int = 1,
              cycles: int = 1000) -> None:
        """Write words: to ``adr``, ``adr + step``, ..., or to each address of an array.

        Parameters
        ----------
        step
            Distance of the addresses; 0 writes all of them to one register.
        cycles
            Cycles to wait at most, per word.
        """
        values = np.atleast_1d(np.asarray(values))
        self._operate(_WRITE, self._addresses(adr, len(values), step), values, cycles)

    def read(self, adr: int | Sequence[int], count: int | None = None, *, step: int = 1,
             cycles: int = 1000) -> Any:
        """Return the word at ``adr`` as an int, or ``count`` words or those of an array as ``uint32``."""
        addresses = self._addresses(adr, 1 if count is None else count, step)
        answers = self._operate(_READ, addresses, np.zeros(len(addresses), np.int64), cycles)
        return int(answers[0]) if count is None and np.ndim(adr) == 0 else answers

    def poll(self, adr: int, value: int, *, mask: int = 2**32 - 1, cycles: int = 100_000) -> int:
        """Read one word until ``word & mask == value``; return it."""
        return int(self.run(cycles, script=[(_POLL, adr, value, mask)], until="inputs").answers[0])

    @staticmethod
    def _addresses(adr: int | Sequence[int], count: int, step: int) -> np.ndarray:
        return int(adr) + step * np.arange(count, dtype=np.int64) if np.ndim(adr) == 0 else np.asarray(adr)

    def _operate(self, kind: int, addresses: np.ndarray, values: np.ndarray, cycles: int) -> np.ndarray:
        if len(addresses) != len(values):
            raise ValueError(f"Values must be one per address, not {len(values)} for {len(addresses)}")
        script = np.zeros((len(values), 4), np.int64)
        script[:, 0], script[:, 1], script[:, 2] = kind, addresses, values
        return self.run(cycles * max(1, len(values)), script=script, until="inputs").answers

    # Running

    def run(self, cycles: int, *, inputs: Mapping[str, Any] | None = None,
            outputs: Mapping[str, int | None] | None = None, script: Any = None,
            until: str | int | None = None, idle: float | Mapping[str, float] = 0.0,
            backpressure: float | Mapping[str, float] = 0.0, seed: int = 0, timestamps: bool = False) -> Run:
        """Run for up to ``cycles`` cycles, feeding arrays in and collecting arrays.

        Parameters
        ----------
        cycles
            Exactly this many without ``until``; else the limit.
        inputs
            Payloads by input stream, integers within the port's width (signed or unsigned); streams
            wider than 64 bits take ``uint32`` arrays ``(count, words)`` or lists of ints.
        outputs
            Most payloads to accept by output stream, None for no limit. Others are not accepted. By
            default all streams are collected without limit.
        script
            Bus operations ``(n, 3 or 4)``: kind (0 read, 1 write, 2 poll), address, data, mask of a poll.
            They happen one after the other while the streams run; ``(we, adr, dat)`` is a script, too.
        until
            When to stop, after all inputs and the script are through: ``"inputs"`` at once; ``"outputs"``
            when each limit of ``outputs`` is reached; the name of a 1-bit output, when it is high and no
            output waits to be taken; an integer, when nothing has moved on any stream or bus for this many
            cycles.
        idle, backpressure
            Probability, per cycle, of offering no input or of accepting no output, for all or by stream.
        seed
            Seed of those choices.
        timestamps
            Note the cycle of each output.

        Raises
        ------
        SimulationError
            If ``until`` has not happened in time; the error's ``run`` has the outputs until then.
        """
        check_int("Cycles", cycles, minimum=0, maximum=2**63)
        inputs = {} if inputs is None else dict(inputs)
        outputs = dict.fromkeys(self.outputs) if outputs is None else dict(outputs)
        operations = self._operations(script)
        kind, port, quiet = self._until(until, outputs)
        self._call("ng_begin", ctypes.c_uint64(cycles), kind, port, ctypes.c_uint64(quiet))
        kept = []  # keeps the arrays alive that C reads from
        for name, values in inputs.items():
            index = self._stream(name, self.inputs)
            kept.append(payloads(name, self.ports[f"{name}__payload"], values))
            self._call("ng_input", index, ctypes.c_void_p(kept[-1].ctypes.data),
                       ctypes.c_uint64(len(kept[-1])), ctypes.c_uint64(chance("Idle", idle, name)),
                       ctypes.c_uint64(seed + len(kept)))
        for number, (name, limit) in enumerate(outputs.items()):
            self._call("ng_output", self._stream(name, self.outputs),
                       ctypes.c_uint64(_FOREVER if limit is None else limit),
                       ctypes.c_uint64(chance("Backpressure", backpressure, name)),
                       ctypes.c_uint64(seed + 1000 + number), int(timestamps))
        answers = np.zeros(len(operations), np.uint32)
        self._call("ng_script", ctypes.c_void_p(operations.ctypes.data), ctypes.c_uint64(len(operations)),
                   ctypes.c_void_p(answers.ctypes.data))
        before = self.cycles
        try:
            status = _RUNNING
            while status == _RUNNING:
                status = self._library.ng_step(ctypes.c_void_p(self._handle), ctypes.c_uint64(_CHUNK))
            performed = self._call("ng_script_next")
        finally:
            error = self._error()
            self._library.ng_end(ctypes.c_void_p(self._handle))  # its own failure shows in the next call
        run = self._collect(before, inputs, outputs, timestamps, answers)
        if status == _FAILED or (status == _EXHAUSTED and until is not None):
            goal = {"inputs": "all inputs are taken", "outputs": "all outputs have come"}.get(
                until, f"{until} is 1" if isinstance(until, str) else f"{until} quiet cycles")
            moved = [f"{name} took {run.moved[name]} of {len(data)}"
                     for name, data in zip(inputs, kept, strict=True)]
            moved += [f"{name} gave {len(run[name])}" for name in outputs]
            if len(operations):
                moved.append(f"the bus did {performed} of {len(operations)} operations")
            cause = f"failed: {error}" if status == _FAILED else f"did not get to: {goal}"
            raise SimulationError(f"Simulation of {self.top} {cause}; after {run.cycles} cycles "
                                  f"{', '.join(moved) or 'nothing moved'}", run)
        return run

    def _collect(self, before: int, inputs: Mapping, outputs: Mapping, timestamps: bool,
                 answers: np.ndarray) -> Run:
        moved = {name: self._call("ng_count", self._stream(name, self.inputs)) for name in inputs}
        data, times = {}, {}
        for name in outputs:
            index, port = self._stream(name, self.outputs), self.ports[f"{name}__payload"]
            count = self._call("ng_count", index)
            raw = ctypes.string_at(self._call("ng_data", index), count * port.bytes) if count else b""
            array = np.frombuffer(bytearray(raw), port.dtype)
            data[name] = array.reshape(count, port.words) if port.words > 1 else array
            if timestamps:
                raw = ctypes.string_at(self._call("ng_times", index), count * 8) if count else b""
                times[name] = np.frombuffer(bytearray(raw), np.uint64)
        return Run(self.cycles - before, data, moved, times, answers)

    def _stream(self, name: str, names: list[str]) -> int:
        if name not in names:
            direction = "Input" if names is self.inputs else "Output"
            raise ValueError(f"{direction} stream must be one of {', '.join(names) or 'none'}, not {name!r}")
        return [*self.inputs, *self.outputs].index(name)

    def _operations(self, script: Any) -> np.ndarray:
        if script is None or len(script) == 0:
            return np.zeros((0, 4), np.uint32)
        if self.bus is None:
            raise SimulationError(f"Design {self.top} has no bus")
        return bus_operations(script, self.ports[f"{self.bus}__adr"].width,
                              self.ports[f"{self.bus}__dat_w"].width)

    def _until(self, until: str | int | None, outputs: Mapping[str, int | None]) -> tuple[int, int, int]:
        if until is None:
            return 0, -1, 0
        if until == "inputs":
            return 1, -1, 0
        if until == "outputs":
            if all(limit is None for limit in outputs.values()):
                raise ValueError("Outputs must have limits for until='outputs'")
            return 2, -1, 0
        if isinstance(until, str):
            port = self._port(until)
            if port.input or port.width != 1:
                raise ValueError(f"Until must name an output of 1 bit, not {until!r}")
            return 3, self._index[until], 0
        return 4, -1, check_int("Until", until, minimum=1, unit="cycles")

    # Waveforms

    def trace(self, path: Path | str, *, first: int | None = None, cycles: int | None = None) -> Path:
        """Write waveforms of the cycles ``first`` (default: now) to ``first + cycles`` (default: the end).

        Return the path, whose suffix is that of the model's format. A cycle lasts 10 ns, and its rising
        edge is in its middle. `close` or the next call completes the file.
        """
        if not self.trace_format:
            raise SimulationError("Waveforms need a model that was compiled with trace=True")
        path = Path(path).with_suffix(f".{self.trace_format}").absolute()
        first = self.cycles if first is None else check_int("First cycle", first, minimum=0)
        last = _FOREVER if cycles is None else first + check_int("Cycles", cycles, minimum=1)
        self._call("ng_trace", os.fsencode(path), ctypes.c_uint64(first), ctypes.c_uint64(last))
        return path

    def end_trace(self) -> None:
        """Complete the file of waveforms."""
        if self.trace_format:
            self._call("ng_trace", None, ctypes.c_uint64(0), ctypes.c_uint64(0))

    def close(self) -> None:
        """Complete the file of waveforms and free the memory. `power_on` starts again."""
        if self._handle is not None:
            self._free()
            self._handle = None

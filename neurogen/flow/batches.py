"""What goes into a compiled design and what comes out: ports, payloads, operations on its bus."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurogen.spec.checks import check_int


__all__ = ["Port", "Run", "bus_operations", "chance", "payloads"]


@dataclass(frozen=True)
class Port:
    """A port of the design: its Verilog name, its C++ member, direction, width in bits, size in bytes."""

    name: str
    member: str
    input: bool
    width: int
    bytes: int

    @property
    def dtype(self) -> np.dtype:
        """Element of an array of values; ports of more than 64 bits are rows of 32-bit words."""
        return np.dtype(f"u{self.bytes}" if self.width <= 64 else "u4")

    @property
    def words(self) -> int:
        """Elements of one value: 1 up to 64 bits."""
        return self.bytes // self.dtype.itemsize


@dataclass(frozen=True)
class Run:
    """What one `Model.run` did.

    Parameters
    ----------
    cycles
        Clock cycles that it took.
    outputs
        Payloads by stream, in order: unsigned, ``(count,)`` up to 64 bits, else ``(count, words)``.
    moved
        Payloads that each input stream has accepted.
    times
        Cycle (of `Model.cycles`) of each output payload, if ``timestamps`` was given.
    answers
        What the bus answered: one word per operation.
    """

    cycles: int
    outputs: dict[str, np.ndarray]
    moved: dict[str, int]
    times: dict[str, np.ndarray] = field(default_factory=dict)
    answers: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint32))

    def __getitem__(self, name: str) -> np.ndarray:
        return self.outputs[name]


def payloads(name: str, port: Port, values: Any) -> np.ndarray:
    """Return what stream ``name`` sends, as ``port`` wants it: ``(count,)``, or ``uint32[count, words]``.

    Raises
    ------
    TypeError, ValueError
        If ``values`` are no integers, or do not fit.
    """
    if port.width > 64:
        return _wide(name, port, values)
    array = np.asarray(values)
    if array.size == 0:
        return np.zeros(0, port.dtype)
    if array.dtype.kind in "fO" and all(isinstance(value, int) for value in values):
        # NumPy makes floats of lists with numbers above and below 2**63.
        return _wide(name, port, list(values)).view(port.dtype).reshape(-1)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(f"Payloads of {name} must be a list of integers, "
                        f"not {array.dtype} of shape {array.shape}")
    for value in (array.min(), array.max()):
        check_int(f"Payloads of {name}", value, minimum=-2**(port.width - 1), maximum=2**port.width - 1)
    array = array.astype(np.uint64) & np.uint64(2**port.width - 1)  # negative numbers: two's complement
    return np.ascontiguousarray(array.astype(port.dtype))


def _wide(name: str, port: Port, values: Any) -> np.ndarray:
    """Return payloads of more than 64 bits as ``(count, words)``."""
    if not isinstance(values, np.ndarray) or values.dtype == object:
        raw = bytearray()
        for value in values:
            check_int(f"Payloads of {name}", value, minimum=-2**(port.width - 1), maximum=2**port.width - 1)
            raw += (int(value) & (2**port.width - 1)).to_bytes(port.bytes, "little")
        return np.frombuffer(raw, port.dtype).reshape(-1, port.words)
    if values.dtype != np.uint32 or values.ndim != 2 or values.shape[1] != port.words:
        raise TypeError(f"Payloads of {name} must be uint32 of shape (count, {port.words}), "
                        f"not {values.dtype} of shape {values.shape}")
    if port.width % 32 and len(values) and int(values[:, -1].max()) >> port.width % 32:
        raise ValueError(f"Payloads of {name} must have {port.width} bits")
    return np.ascontiguousarray(values)


def chance(name: str, value: float | Mapping[str, float], stream: str) -> int:
    """Return the probability of a pause of ``stream``, in units of ``2**-32``."""
    value = value.get(stream, 0.0) if isinstance(value, Mapping) else value
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be a probability from 0 to below 1, not {value!r}")
    return int(value * 2**32)


def bus_operations(script: Any, address_bits: int, data_bits: int) -> np.ndarray:
    """Return operations ``(n, 3 or 4)``, checked, as ``uint32[n, 4]``: kind, address, data, mask.

    Raises
    ------
    TypeError, ValueError
        If they are no integers of that shape, or do not fit the bus.
    """
    script = np.asarray(script)
    if script.ndim != 2 or script.shape[1] not in (3, 4) or script.dtype.kind not in "iu":
        raise TypeError(f"Script must be integers of shape (n, 3) or (n, 4), "
                        f"not {script.dtype} of shape {script.shape}")
    operations = np.full((len(script), 4), 2**32 - 1, np.int64)
    operations[:, :script.shape[1]] = script
    highest = 2, 2**address_bits - 1, 2**data_bits - 1
    for column, (name, high) in enumerate(zip(("kind", "adr", "dat_w"), highest, strict=True)):
        low, top = int(operations[:, column].min()), int(operations[:, column].max())
        if low < (-2**31 if name == "dat_w" else 0) or top > high:
            raise ValueError(f"Bus {name} must be between 0 and {high}, not {low if low < 0 else top}")
    return np.ascontiguousarray((operations & (2**32 - 1)).astype(np.uint32))

"""The drivers and monitors of `neurogen.testing.streams`, for cocotb.

A stream of an exported component is three ports: ``<name>__payload``, ``<name>__valid`` and
``<name>__ready``. The payload is one vector; ``layout.const({...}).as_bits()`` packs a structure.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from neurogen.testing.streams import never


__all__ = ["collect", "drive", "monitor", "start"]


async def start(dut: Any, *, inputs: Iterable[str] = (), outputs: Iterable[str] = (), period_ns: int = 10,
                cycles: int = 1) -> None:
    """Start the clock ``clk``, with the named streams idle, and hold ``rst`` for some cycles."""
    for name in inputs:
        _ports(dut, name)[1].value = 0
    for name in outputs:
        _ports(dut, name)[2].value = 0
    dut.rst.value = 1
    Clock(dut.clk, period_ns, unit="ns").start()
    for _ in range(cycles):
        await RisingEdge(dut.clk)
    dut.rst.value = 0


async def drive(dut: Any, name: str, payloads: Iterable[int], pauses: Iterator[bool] | None = None) -> None:
    """Send ``payloads``, idle in the cycles that ``pauses`` selects."""
    pauses = never() if pauses is None else pauses
    payload, valid, ready = _ports(dut, name)
    for value in payloads:
        while next(pauses):
            await RisingEdge(dut.clk)
        payload.value = value
        valid.value = 1
        await RisingEdge(dut.clk)
        while ready.value != 1:
            await RisingEdge(dut.clk)
        valid.value = 0


async def collect(dut: Any, name: str, received: list[int], pauses: Iterator[bool] | None = None, *,
                  count: int | None = None) -> None:
    """Append each payload to ``received``, unsigned; check the producer like `monitor`."""
    pauses = never() if pauses is None else pauses
    ready = _ports(dut, name)[2]
    offered = None
    while count is None or len(received) < count:
        ready.value = not next(pauses)
        offered = await _step(dut, name, offered, received)
    ready.value = 0


async def monitor(dut: Any, name: str, seen: list[int]) -> None:
    """Watch a stream for ever: waiting payloads must stay. Note its transfers in ``seen``."""
    offered = None
    while True:
        offered = await _step(dut, name, offered, seen)


async def _step(dut: Any, name: str, offered: int | None, received: list[int]) -> int | None:
    """See one cycle; return the payload that waits now."""
    payload, valid, ready = _ports(dut, name)
    await RisingEdge(dut.clk)
    if offered is not None:
        assert valid.value == 1, f"payload {offered} of {name} was withdrawn before it was accepted"
        now = payload.value.to_unsigned()
        assert now == offered, f"payload of {name} changed from {offered} to {now}"
    if valid.value != 1:
        return None
    if ready.value != 1:
        return payload.value.to_unsigned()
    received.append(payload.value.to_unsigned())
    return None


def _ports(dut: Any, name: str) -> tuple[Any, Any, Any]:
    return tuple(getattr(dut, f"{name}__{member}") for member in ("payload", "valid", "ready"))

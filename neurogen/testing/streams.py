"""Drivers, monitors and pauses for `amaranth.lib.stream` interfaces in Amaranth's simulator.

All of them wait with a plain ``await ctx.tick()``. A bench that is abandoned in ``.until()`` or ``.repeat()``
leaves an unfinished generator behind; up to Python 3.12, that is an error.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle, repeat
from typing import Any

from amaranth.sim import Simulator


__all__ = ["bursts", "collect", "drive", "monitor", "never", "random_pauses", "simulate"]


def never() -> Iterator[bool]:
    """Yield False for ever: no pauses."""
    return repeat(False)


def random_pauses(seed: int, probability: float) -> Iterator[bool]:
    """Yield, for each cycle, whether to pause in it; the same sequence for the same seed."""
    if not 0 <= probability < 1:
        raise ValueError(f"Probability must be from 0 to below 1, not {probability!r}")
    rng = random.Random(seed)
    return (rng.random() < probability for _ in repeat(None))


def bursts(active: int, paused: int) -> Iterator[bool]:
    """Yield False ``active`` times, then True ``paused`` times, and so on."""
    if active < 1 or paused < 0:
        raise ValueError(f"Bursts must have active cycles, not {active!r} and {paused!r} paused ones")
    return cycle([False] * active + [True] * paused)


def drive(interface: Any, payloads: Iterable, pauses: Iterator[bool] | None = None) -> Callable:
    """Return a test bench that sends ``payloads``, idle in the cycles that ``pauses`` selects.

    It ends one cycle after the last transfer.
    """
    pauses = never() if pauses is None else pauses

    async def testbench(ctx):
        for payload in payloads:
            while next(pauses):
                await ctx.tick()
            ctx.set(interface.payload, payload)
            ctx.set(interface.valid, 1)
            ready = False
            while not ready:
                _, _, ready = await ctx.tick().sample(interface.ready)
            ctx.set(interface.valid, 0)
        # A simulation ends with its last driver; let the collectors see the last transfer.
        await ctx.tick()
    return testbench


def collect(interface: Any, received: list, pauses: Iterator[bool] | None = None, *,
            count: int | None = None) -> Callable:
    """Return a test bench that appends each payload to ``received``, and checks the producer like `monitor`.

    With ``count`` it ends after that many payloads; without, it must run in the background.
    """
    pauses = never() if pauses is None else pauses

    async def testbench(ctx):
        check = _Watch()
        while count is None or len(received) < count:
            ctx.set(interface.ready, not next(pauses))
            if check.see(*await _sample(ctx, interface)):
                received.append(check.payload)
        ctx.set(interface.ready, 0)
    return testbench


def monitor(interface: Any, seen: list | None = None) -> Callable:
    """Return a background bench that watches a stream inside a design, and notes its transfers in ``seen``.

    A payload that was offered and not accepted must be offered again, unchanged, in the next cycle.
    """
    async def testbench(ctx):
        check = _Watch()
        while True:
            if check.see(*await _sample(ctx, interface)) and seen is not None:
                seen.append(check.payload)
    return testbench


async def _sample(ctx: Any, interface: Any) -> tuple[bool, bool, bool, Any]:
    _, reset, valid, ready, payload = await ctx.tick().sample(
        interface.valid, interface.ready, interface.payload)
    return bool(reset), bool(valid), bool(ready), payload


class _Watch:
    """The rule of a stream, cycle by cycle."""

    def __init__(self) -> None:
        self.payload = None
        self._waiting = False

    def see(self, reset: bool, valid: bool, ready: bool, payload: Any) -> bool:
        """Return whether a payload moved in this cycle."""
        if reset:
            self._waiting = False
            return False
        if self._waiting:
            assert valid, f"payload {self.payload!r} was withdrawn before it was accepted"
            assert payload == self.payload, f"payload changed from {self.payload!r} to {payload!r}"
        self.payload = payload
        self._waiting = valid and not ready
        return valid and ready


def simulate(dut: Any, *foreground: Callable, background: Iterable[Callable] = (), cycles: int,
             vcd: str | None = None) -> None:
    """Run until all ``foreground`` benches finish; fail after ``cycles`` cycles.

    The clock has a period of 1 us. With ``vcd``, waveforms go to that file.
    """
    async def watchdog(ctx):
        for _ in range(cycles):
            await ctx.tick()
        raise AssertionError(f"test bench did not finish in {cycles} cycles")

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for testbench in foreground:
        simulator.add_testbench(testbench)
    for testbench in (*background, watchdog):
        simulator.add_testbench(testbench, background=True)
    if vcd is None:
        simulator.run()
        return
    with simulator.write_vcd(vcd):
        simulator.run()

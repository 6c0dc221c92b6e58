"""An initiator of Wishbone for cocotb.

A bus of an exported component is the ports ``<name>__cyc``, ``<name>__stb`` and so on; see
`neurogen.rtl.bus.WishboneSignature`.
"""

from collections.abc import Iterator
from typing import Any

from cocotb.triggers import Lock, RisingEdge

from neurogen.testing.streams import never


__all__ = ["WishboneMaster"]


class WishboneMaster:
    """Classic cycles, one at a time; tasks that want the bus at the same time queue up for it.

    Also checks the target: it acknowledges what it has been asked for, and nothing else.

    Parameters
    ----------
    dut
        What cocotb hands to a test; its clock is ``clk``. The bus is idle from now on.
    name
        Name of the bus.
    pauses
        Cycles in which the bus stays idle before a transfer.
    timeout
        Cycles after which a transfer has failed.
    """

    def __init__(self, dut: Any, name: str = "bus", *, pauses: Iterator[bool] | None = None,
                 timeout: int = 1000):
        self._clk, self._lock = dut.clk, Lock()
        self._pauses = never() if pauses is None else pauses
        self._name, self._timeout = name, timeout
        for member in ("cyc", "stb", "we", "adr", "dat_w", "dat_r", "ack"):
            setattr(self, f"_{member}", getattr(dut, f"{name}__{member}"))
        self._cyc.value = self._stb.value = 0

    async def write(self, address: int, word: int) -> None:
        """Write ``word`` to a word address."""
        await self._transfer(address, word)

    async def read(self, address: int) -> int:
        """Return the word at a word address, unsigned."""
        return await self._transfer(address)

    async def _transfer(self, address, word=None):
        async with self._lock:
            while next(self._pauses):
                await RisingEdge(self._clk)
                assert self._ack.value == 0, f"{self._name} acknowledges what nobody asked for"
            self._cyc.value = self._stb.value = 1
            self._we.value = word is not None
            self._adr.value = address
            if word is not None:
                self._dat_w.value = word
            for _ in range(self._timeout):
                await RisingEdge(self._clk)
                if self._ack.value == 1:
                    break
            else:
                raise AssertionError(f"{self._name} must answer at address {address:#x} within "
                                     f"{self._timeout} cycles")
            answer = self._dat_r.value.to_unsigned() if word is None else 0
            self._cyc.value = self._stb.value = 0
            return answer

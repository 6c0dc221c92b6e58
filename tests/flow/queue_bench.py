"""Bench that runs inside the simulator; `test_cocotb` starts it."""

import os

import cocotb
from cocotb.triggers import RisingEdge

from neurogen.testing.cocotb_streams import collect, drive, monitor, start
from neurogen.testing.streams import random_pauses


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def words_pass_in_order(dut):
    words = [(7 * i) % 256 for i in range(100)]
    received, seen = [], []
    await start(dut, inputs=["i"], outputs=["o"])
    cocotb.start_soon(monitor(dut, "i", seen))
    sink = cocotb.start_soon(collect(dut, "o", received, random_pauses(2, 0.5), count=len(words)))
    await drive(dut, "i", words, random_pauses(1, 0.3))
    await sink
    await RisingEdge(dut.clk)
    assert seen == words
    assert received == (words[:-1] if "BREAK_BENCH" in os.environ else words)

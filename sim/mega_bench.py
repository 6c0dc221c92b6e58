# ruff: noqa: S101 - its checks fail tests
"""Bench of a whole `Mega` on its Verilog, for cocotb: load a program, stream events, compare the spikes.

`write_job` writes what the bench needs; it finds the file through the environment variable `JOB`.
"""

import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from neurogen.golden.network import run
from neurogen.mapping.plan import Plan, stream_for
from neurogen.spec.events import Events, unpack_words
from neurogen.spec.mega import BANKS, Csr, MemorySelect
from neurogen.spec.network import Network
from neurogen.testing.cocotb_streams import collect, drive, monitor, start
from neurogen.testing.streams import random_pauses


__all__ = ["JOB", "write_job"]


JOB = "NEUROGEN_JOB"


def write_job(path: Path | str, network: Network, plan: Plan, events: dict[str, Events]) -> None:
    """Write the bus accesses, the words and the expected spikes of one recording.

    Parameters
    ----------
    path
        ``.npz`` file to write.
    network, plan
        The network, and its plan; of one pass, without external memory.
    events
        Events of each input.
    """
    if len(plan.passes) != 1 or len(plan.passes[0].external):
        raise ValueError("Plan of a bench must be one pass without external memory")
    part, steps = plan.passes[0], next(iter(events.values())).steps
    spec, expected = part.spec, run(network, events).spikes
    writes = [(Csr.MEM_ADDRESS, MemorySelect.PROGRAM << 28), *((Csr.MEM_DATA, w) for w in part.program)]
    for cluster in range(spec.clusters):
        for tap in range(BANKS):
            rows = part.weights[:, tap, cluster * spec.lanes:(cluster + 1) * spec.lanes].reshape(-1)
            writes.append((Csr.MEM_ADDRESS, MemorySelect.WEIGHT << 28 | cluster << 24 | tap << 20))
            writes += [(Csr.MEM_DATA, int(weight) & 0xFFFFFFFF) for weight in rows]
    writes += [(Csr.STEPS, steps), (Csr.CONTROL, 1)]
    counts = {f"spikes{n}": expected[e.name].counts() for n, e in part.emissions.items()}
    np.savez(path, writes=np.array(writes, np.int64), words=stream_for(part, events), steps=steps, **counts)


async def access(dut, address, data=None):
    """Write ``data`` to a register, or read it."""
    for name, value in (("adr", address), ("we", int(data is not None)), ("dat_w", data or 0), ("stb", 1),
                        ("cyc", 1)):
        getattr(dut, f"bus__{name}").value = int(value)
    await RisingEdge(dut.clk)
    while dut.bus__ack.value != 1:
        await RisingEdge(dut.clk)
    value = dut.bus__dat_r.value.to_unsigned() if data is None else 0
    dut.bus__cyc.value = dut.bus__stb.value = 0
    await RisingEdge(dut.clk)
    return value


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def recording_equals_golden(dut):
    """Run the job twice, with different pauses; the second run must not see the first."""
    with np.load(os.environ[JOB]) as job:
        job = dict(job)
    steps = int(job["steps"])
    wanted = {int(name[6:]): counts for name, counts in job.items() if name.startswith("spikes")}
    shapes = {number: counts.shape[1:] for number, counts in wanted.items()}
    for port in ("cyc", "stb", "we", "adr", "dat_w"):
        getattr(dut, f"bus__{port}").value = 0
    await start(dut, inputs=["i_events"], outputs=["o_events"], cycles=3)
    await RisingEdge(dut.clk)
    assert await access(dut, Csr.ID) == 0x4E470001
    seen: list[int] = []
    cocotb.start_soon(monitor(dut, "i_events", seen))
    for number in range(2):
        received: list[int] = []
        sink = cocotb.start_soon(collect(dut, "o_events", received, random_pauses(number, 0.3 * number)))
        for address, data in job["writes"] if number == 0 else job["writes"][-2:]:
            await access(dut, int(address), int(data))
        await drive(dut, "i_events", [int(w) for w in job["words"]], random_pauses(9, 0.2 * number))
        while await access(dut, Csr.STATUS) & 1:
            pass
        for _ in range(10):
            await RisingEdge(dut.clk)
        sink.cancel()
        dut.o_events__ready.value = 0
        assert await access(dut, Csr.STATUS) == 0
        assert await access(dut, Csr.STEP) == steps
        found = unpack_words(np.array(received, np.uint32), shapes, steps)
        for population, counts in wanted.items():
            assert counts.any(), "a test without spikes compares nothing"
            assert (found[population].counts() == counts).all()
        assert seen == job["words"].tolist() * (number + 1)

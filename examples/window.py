"""What the examples share: the window to weights and states, in gateware and from the host's side."""

from collections.abc import Awaitable, Callable

import numpy as np
from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib.wiring import PureInterface

from neurogen.mapping.plan import Pass, Placement
from neurogen.rtl.conv import ConvEngine
from neurogen.spec.mega import BANKS, MegaSpec


__all__ = ["access", "check_resident", "connect_window", "load_weights", "read_states"]


def check_resident(spec: MegaSpec) -> MegaSpec:
    """Return ``spec`` if its engine needs nothing but what the examples connect."""
    if not isinstance(spec, MegaSpec):
        raise TypeError(f"Engine parameters must be a MegaSpec, not {spec!r}")
    if spec.external:
        raise ValueError("Engine parameters must be without external memory, which nobody would answer")
    return spec


def access(m: Module, bus: PureInterface) -> tuple[Value, Value, Value]:
    """Let every access to a Wishbone bus take five cycles, as long as a state takes to arrive.

    Returns
    -------
    begin, write, read
        High in the first cycle of an access; in the last, with ``ack``, of a write or of a read.
    """
    cycle = Signal(3)
    active = bus.cyc & bus.stb
    m.d.sync += cycle.eq(Mux(active & ~bus.ack, cycle + 1, 0))
    m.d.comb += bus.ack.eq(active & (cycle == 4))
    return active & (cycle == 0), bus.ack & bus.we, bus.ack & ~bus.we


def connect_window(m: Module, engine: ConvEngine, word: Value, *, place: Value, write: Value, fetch: Value,
                   read: Value) -> None:
    """Connect the ports of an engine by which weights are written and states are read.

    A host puts the window at ``cluster << 24 | bank << 20 | row``. Then it writes weights, or reads
    states, of that bank: all lanes of a row, then those of the next row.

    Parameters
    ----------
    word
        What the host writes.
    place, write
        ``word`` is where the window shall be; ``word`` is the next weight.
    fetch, read
        The next state is wanted (``engine.state_data`` has it four cycles after); it has been taken.
    """
    m.d.comb += [engine.weight_en.eq(write), engine.weight.eq(word), engine.state_read.eq(fetch)]
    m.d.sync += engine.place.eq(place)  # when the position is there
    with m.If(place):
        m.d.sync += [engine.row.eq(word), engine.bank.eq(word >> 20), engine.cluster.eq(word >> 24),
                     engine.state_lane.eq(0)]
    with m.If(read):  # of weights, the engine counts lanes and rows itself
        last = engine.state_lane == engine.spec.lanes - 1
        m.d.sync += [engine.state_lane.eq(Mux(last, 0, engine.state_lane + 1)),
                     engine.row.eq(engine.row + last)]


# The host's side: `write` and `read` are what any bus driver offers; `window` and `data` are registers.
Write = Callable[[int, int], Awaitable[None]]
Read = Callable[[int], Awaitable[int]]


async def load_weights(part: Pass, window: int, data: int, write: Write) -> None:
    """Write the compiler's image of the weight memory (kernels and neuron parameters)."""
    lanes = part.spec.lanes
    for cluster in range(part.spec.clusters):
        for tap in range(BANKS):
            await write(window, cluster << 24 | tap << 20)
            for weight in part.weights[:, tap, cluster * lanes:(cluster + 1) * lanes].flat:
                await write(data, int(weight) & 0xFFFFFFFF)


async def read_states(spec: MegaSpec, place: Placement, window: int, data: int, write: Write,
                      read: Read) -> np.ndarray:
    """Return the rows of the state memory up to those of a population, ``int64[rows, 9, total_lanes]``."""
    rows, lanes = place.membrane_base + place.rows, spec.lanes
    states = np.zeros((rows, BANKS, spec.total_lanes), np.int64)
    for cluster in range(spec.clusters):
        for bank in range(BANKS):
            await write(window, cluster << 24 | bank << 20 | place.membrane_base)
            for row in range(place.membrane_base, rows):
                for lane in range(lanes):
                    word = await read(data)
                    states[row, bank, cluster * lanes + lane] = word - (word >> 31 << 32)
    return states

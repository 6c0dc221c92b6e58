"""A board in the compiled simulator: the host driver, and what runs behind the pins."""

from pathlib import Path

from fpga.board_port import BoardPort
from fpga.driver import Host
from fpga.learner_port import LearnBoard
from fpga.top import BoardSpec, PinBench
from fpga.transports import Transport
from neurogen.flow.accelerator import Accelerator
from neurogen.flow.verilator import Model, compile_model
from neurogen.spec.learning import Learner
from neurogen.spec.mega import MegaSpec


__all__ = ["ModelTransport", "simulate_board", "simulate_learner"]


class ModelTransport(Transport):
    """The bytes of a `PinBench` model; reading makes time pass, in clock cycles.

    Parameters
    ----------
    model
        Model of a `PinBench`.
    divisor
        Clock cycles of a bit.
    clock_hz
        Clock frequency: the scale between cycles and seconds.
    """

    def __init__(self, model: Model, divisor: int, clock_hz: float = 1e6):
        self.model = model
        self._byte_cycles = 10 * divisor
        self._clock_hz = clock_hz
        self._waiting = bytearray()  # bytes for the device

    def write(self, sent: bytes) -> None:
        self._waiting += sent

    def read(self, timeout: float) -> bytes:
        end = self.model.cycles + max(1, round(timeout * self._clock_hz))
        received = b""
        while not received and self.model.cycles < end:
            # As long as the device still listens there is no hurry to hear what it says.
            cycles = min(self._byte_cycles * max(8, len(self._waiting)), end - self.model.cycles)
            run = self.model.run(cycles, inputs={"i_bytes": list(self._waiting)})
            del self._waiting[:run.moved["i_bytes"]]
            received = run["o_bytes"].tobytes()
        return received

    def close(self) -> None:
        self._waiting.clear()

    def now(self) -> float:
        return self.model.cycles / self._clock_hz


def simulate_board(spec: MegaSpec, *, divisor: int = 4, trace: bool | str = False,
                   cache_dir: Path | None = None, seed: int = 0) -> Accelerator:
    """Return an accelerator on a simulated board: all that it is told and says goes through two pins.

    Parameters
    ----------
    divisor
        Clock cycles of a bit on the pins.
    trace
        Make waveforms possible; see `compile_model`.
    cache_dir
        Where compiled models are kept.
    seed
        Of the memories' contents at power-on.
    """
    return Accelerator(spec, BoardPort(_host(spec, divisor, trace, cache_dir, seed)))


def simulate_learner(spec: Learner, *, divisor: int = 4, trace: bool | str = False,
                     cache_dir: Path | None = None, seed: int = 0) -> LearnBoard:
    """Return a learning engine on a simulated board; the parameters are those of `simulate_board`."""
    return LearnBoard(_host(spec, divisor, trace, cache_dir, seed), spec)


def _host(spec: BoardSpec, divisor: int, trace: bool | str, cache_dir: Path | None, seed: int) -> Host:
    bench = PinBench(spec, divisor)
    model = compile_model(bench, "bench", trace=trace, cache_dir=cache_dir, seed=seed)
    # Seconds without a reply: two of the longest requests, with all bytes escaped, and their replies.
    byte_seconds = 10 * divisor / 1e6
    timeout = 16 * (1 << bench.link.slot_log2) * byte_seconds
    return Host(ModelTransport(model, divisor), timeout=timeout)

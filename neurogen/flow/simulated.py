"""An accelerator in the compiled simulator, as a `Port`."""

from pathlib import Path

import numpy as np

from neurogen.flow.accelerator import Accelerator, AcceleratorError
from neurogen.flow.verilator import Model, compile_model
from neurogen.rtl.mega import Mega
from neurogen.spec.events import CONTROL, END_OF_STEP
from neurogen.spec.mega import MegaSpec


__all__ = ["SimulatedPort", "simulate"]


# Cycles per step and per input word after which a run counts as stuck: far more than the longest
# program over the deepest memories takes.
_CYCLES_PER_STEP, _CYCLES_PER_WORD = 10_000_000, 10_000
_MEMORY_WORDS = 1 << 22


class SimulatedPort:
    """The ports of a `Mega` model.

    Parameters
    ----------
    model
        Model of a `Mega` (as Verilog's top).
    spec
        Its configuration.
    idle, backpressure, seed
        Probability per cycle of offering no input and of accepting no output.
    """

    def __init__(self, model: Model, spec: MegaSpec, *, idle: float = 0.0, backpressure: float = 0.0,
                 seed: int = 0):
        self.model = model
        self._chances = {"idle": idle, "backpressure": backpressure, "seed": seed}
        if spec.external:
            self._memory = np.zeros(_MEMORY_WORDS, np.uint32)
            model.attach_memory(self._memory, latency=4)

    def write(self, address: int, words: np.ndarray) -> None:
        """Write words, one after the other, to one register."""
        self.model.write(int(address), np.asarray(words, np.int64), step=0)

    def read(self, address: int, count: int) -> np.ndarray:
        """Read one register ``count`` times; ``uint32[count]``."""
        return self.model.read(int(address), count, step=0)

    def exchange(self, words: np.ndarray, ticks: int) -> np.ndarray:
        """Send words until the accelerator is idle; return all words received."""
        limit = _CYCLES_PER_STEP * (ticks + 1) + _CYCLES_PER_WORD * len(words)
        run = self.model.run(limit, inputs={"i_events": words}, outputs={"o_events": None},
                             until="idle", **self._chances)
        received = run["o_events"].astype(np.uint32)
        ends = int(((received & CONTROL != 0) & ((received >> 28 & 7) == END_OF_STEP)).sum())
        if ends != ticks:
            raise AcceleratorError(f"Accelerator must send {ticks} end-of-step words, not {ends}")
        return received

    def fill(self, words: np.ndarray) -> None:
        """Write the external memory, from its first word on."""
        if len(words) > _MEMORY_WORDS:
            raise AcceleratorError(f"External memory must hold {len(words)} words; the simulated one has "
                                   f"{_MEMORY_WORDS}")
        self._memory[:len(words)] = words


def simulate(spec: MegaSpec, *, trace: bool | str = False, cache_dir: Path | None = None,
             idle: float = 0.0, backpressure: float = 0.0, seed: int = 0) -> Accelerator:
    """Return a simulated accelerator: `Mega`, through Verilog and Verilator.

    Parameters
    ----------
    trace
        Make waveforms possible; see `compile_model`.
    cache_dir
        Where compiled models are kept.
    idle, backpressure, seed
        See `SimulatedPort`.
    """
    model = compile_model(Mega(spec), "mega", trace=trace, cache_dir=cache_dir, seed=seed)
    return Accelerator(spec, SimulatedPort(model, spec, idle=idle, backpressure=backpressure, seed=seed))

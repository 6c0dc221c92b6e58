"""Speed of the golden model beside snnTorch and Norse: the same layer, events, machine and run.

All of them have the weights, decay and threshold of the same integer layer and use one thread. snnTorch and
Norse (each where it is installed) compute in floats, without gradients, on dense frames that are made
beforehand. Norse can be had without its dependencies, in a folder of its own: ``pip install --no-deps
--target DIR norse nirtorch``, and ``PYTHONPATH=DIR`` for this program.
"""

import argparse
import importlib.util
import os
import sys
import time
from collections.abc import Callable

from benchmarks.common import report
from benchmarks.layer import DECAY, layer, recording
from neurogen.golden.network import run
from neurogen.spec.events import Events
from neurogen.spec.lif import DECAY_ONE
from neurogen.spec.network import Network


__all__ = ["main", "measure"]


DENSITIES = (0.01, 0.05, 0.20)
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_COLUMNS = {
    "density": "density %", "model": "model", "events": "events", "fired": "neurons fired %",
    "rate": "events/s", "step": "ms a step", "ratio": "golden is faster by", "note": "note",
}


def measure(density: float, steps: int, repeats: int) -> list[dict]:
    """Return a row for each model: the fastest of ``repeats`` turns, in which each model has one run."""
    events = recording(density, steps)
    network = layer(events)
    models: dict[str, Callable[[], int] | str] = {"neurogen golden": _golden(network, events)}
    for name, make in (("snnTorch", _snntorch), ("Norse", _norse)):
        missing = [m for m in ("torch", name.lower()) if importlib.util.find_spec(m) is None]
        models[name] = f"{missing[0]} is not installed" if missing else make(network, events)
    best, fired = dict.fromkeys(models, float("inf")), dict.fromkeys(models, 0)
    for _ in range(repeats):
        for name, model in models.items():
            if callable(model):
                before = time.process_time()
                fired[name] = model()
                best[name] = min(best[name], time.process_time() - before)
    rows = []
    for name, model in models.items():
        row = {"density": 100 * density, "model": name, "events": len(events)}
        if callable(model):
            row |= {"fired": 100 * fired[name] / steps / network.nodes["lif"].neurons,
                    "rate": len(events) / best[name], "step": 1000 * best[name] / steps,
                    "ratio": best[name] / best["neurogen golden"]}
        rows.append(row if callable(model) else row | {"note": model})
    return rows


def _golden(network: Network, events: Events) -> Callable[[], int]:
    """Return a function that runs the golden model once and returns the number of spikes."""
    return lambda: len(run(network, {"input": events}, record="spikes").spikes["lif"])


def _tensors(network: Network, events: Events, scale: float):
    """Return the convolution, the threshold and the frames as PyTorch has them."""
    import torch

    torch.set_num_threads(1)
    weight = network.nodes["conv"].weight
    conv = torch.nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, bias=False)
    conv.weight.data = torch.tensor(weight * scale, dtype=torch.float32)
    frames = torch.tensor(events.counts(), dtype=torch.float32)[:, None]
    # Both fire strictly above their threshold; ours fire at it.
    return conv, float(network.nodes["lif"].threshold) - 0.5, frames


def _counting(conv, neuron, frames) -> Callable[[], int]:
    import torch

    def work() -> int:
        state, fired = None, []
        with torch.no_grad():
            for frame in frames:
                spikes, state = neuron(conv(frame), state)
                fired.append(spikes)
        return int(sum(spikes.sum() for spikes in fired))
    return work


def _snntorch(network: Network, events: Events) -> Callable[[], int]:
    import snntorch

    conv, threshold, frames = _tensors(network, events, 1.0)
    neuron = snntorch.Leaky(beta=DECAY / DECAY_ONE, threshold=threshold, reset_mechanism="subtract",
                            reset_delay=False)

    def step(drive, state):
        return neuron(drive, neuron.init_leaky() if state is None else state)
    return _counting(conv, step, frames)


def _norse(network: Network, events: Events) -> Callable[[], int]:
    import torch
    from norse.torch import LIFBoxCell, LIFBoxParameters
    from norse.torch.functional.reset import reset_subtract

    leak = 1 - DECAY / DECAY_ONE  # v <- v + leak * (input - v)
    conv, threshold, frames = _tensors(network, events, 1 / leak)
    parameters = LIFBoxParameters(tau_mem_inv=torch.tensor(leak), v_th=torch.tensor(threshold),
                                  reset_method=reset_subtract)
    return _counting(conv, LIFBoxCell(parameters, dt=1.0), frames)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write the table as JSON")
    parser.add_argument("--steps", type=int, default=10, help="steps of each recording (default 10)")
    parser.add_argument("--repeats", type=int, default=5, help="turns, of which the best counts (default 5)")
    options = parser.parse_args()
    if any(os.environ.get(name) != "1" for name in _THREADS):  # NumPy reads them when it is imported
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.golden", *sys.argv[1:]],
                  os.environ | dict.fromkeys(_THREADS, "1"))
    rows = [row for density in DENSITIES for row in measure(density, options.steps, options.repeats)]
    report("One layer, 96x48, 32 -> 64 channels, 3x3, LIF, one thread: best processor time of "
           f"{options.repeats} turns", _COLUMNS, rows, path=options.json,
           packages=("numpy", "torch", "snntorch", "norse"))


if __name__ == "__main__":
    main()

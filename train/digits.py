"""Train the digits network with surrogate gradients; write ``digits.nir`` and ``digits.npz``.

The network is Conv 3x3 (8 channels), LIF, sum pool 2, Conv 3x3 (16 channels), LIF, sum pool 2, dense, 10
LIF. The class is the neuron with the most spikes, the lowest index on a tie. A neuron leaks, integrates,
fires if ``v > 1`` and is reset to zero within the step, and its spikes are seen by the next layer in the
same step: `snntorch`'s rule. The first half of the training is in float; the second half sees the
weights, the leak and the guard band of the integer contract, with gradients passed straight through.

A penalty keeps the sums of the positive and of the negative weights of each neuron below what the guard
band leaves of the state width. The held-out part is looked at once, at the end.

    python -m train.digits --out designs/networks
"""

import argparse
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch.nn import functional

from neurogen.flow.terminal import quantisation_table
from neurogen.frontend.digits import CLASSES, SHAPE, load_digits_counts, load_digits_events
from neurogen.frontend.discretise import discretise
from neurogen.frontend.nir_file import read_nir
from neurogen.frontend.quantise import quantise
from neurogen.golden.network import run
from neurogen.spec.network import Network


__all__ = ["DT", "TAU", "evaluate", "evaluate_integer", "load_weights", "main",
           "quantise_digits", "simulate", "to_nir", "train"]


# Powers of ten as the simulators write them; DT / TAU is exactly 1/8 in float64.
DT = 1e-4
TAU = 8e-4
KEEP = 1 - DT / TAU  # what the leak leaves of a potential
# Largest multiplicity of an event that reaches each layer: a 2x2 sum pool makes four of one.
MULTIPLICITY = (1, 4, 4)


class _Spike(torch.autograd.Function):
    """A step, with the derivative of a fast sigmoid."""

    @staticmethod
    def forward(ctx, v):
        ctx.save_for_backward(v)
        return (v > 0).to(v.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (v,) = ctx.saved_tensors
        return gradient / (1 + 4 * v.abs()) ** 2


def _straight_through(exact: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return ``value`` with the gradient of ``exact``."""
    return exact + (value - exact).detach()


def _scale(weight: torch.Tensor, bits: int) -> torch.Tensor:
    return weight.detach().abs().max() / (2 ** (bits - 1) - 1)


def _layer(currents: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    """Return the spikes ``[n, steps, ...]`` of one population; a scale makes the leak truncate."""
    v = torch.zeros_like(currents[:, 0])
    spikes = []
    for t in range(currents.shape[1]):
        v = KEEP * v + currents[:, t] if scale is None else v + currents[:, t]
        spike = _Spike.apply(v - 1)
        v = v * (1 - spike.detach())
        if scale is not None:
            v = KEEP * v
            v = _straight_through(v, scale * torch.trunc(v / scale + 1e-3 * v.sign()))
        spikes.append(spike)
    return torch.stack(spikes, 1)


def simulate(weights: list[torch.Tensor], events: torch.Tensor,
             bits: int | None = None) -> list[torch.Tensor]:
    """Return the spikes of the three populations.

    Parameters
    ----------
    weights
        Of shapes ``(8, 1, 3, 3)``, ``(16, 8, 3, 3)`` and ``(10, 64)``.
    events
        Multiplicities ``[n, steps, 1, 8, 8]``.
    bits
        Width of quantised weights, or ``None`` for floating-point ones.
    """
    spikes = []
    signal = events
    for weight in weights:
        scale = None
        if bits is not None:
            scale = _scale(weight, bits)
            weight = _straight_through(weight, scale * torch.round(weight / scale))
        samples, steps = signal.shape[:2]
        if weight.ndim == 4:
            currents = functional.conv2d(signal.flatten(0, 1), weight, padding=1)
            spikes.append(_layer(currents.unflatten(0, (samples, steps)), scale))
            pooled = 4 * functional.avg_pool2d(spikes[-1].flatten(0, 1), 2)
            signal = pooled.unflatten(0, (samples, steps))
        else:
            spikes.append(_layer(functional.linear(signal.flatten(2), weight), scale))
    return spikes


def _excess(weights: list[torch.Tensor], positive: float, negative: float) -> torch.Tensor:
    """Return by how much the inputs of one step exceed what 8-bit weights may bring, in LSBs."""
    total = torch.zeros(())
    for weight, times in zip(weights, MULTIPLICITY, strict=True):
        integers = (times / _scale(weight, 8)) * weight.flatten(1)
        total = total + functional.relu(integers.clamp(min=0).sum(1) - positive).sum()
        total = total + functional.relu(-integers.clamp(max=0).sum(1) - negative).sum()
    return total


def train(*, epochs: int = 60, bits: int = 6, seed: int = 0, batch: int = 32) -> list[np.ndarray]:
    """Train on the training part and return the three weights, ``float32``."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    counts, labels = load_digits_counts("train")
    events = torch.tensor(counts, dtype=torch.float32)
    labels = torch.tensor(labels)
    weights = [torch.nn.Parameter(gain * torch.randn(shape)) for gain, shape in (
        (0.4, (8, *SHAPE[:1], 3, 3)), (0.12, (16, 8, 3, 3)), (0.12, (CLASSES, 64)))]
    optimiser = torch.optim.Adam(weights)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 8e-3, epochs=epochs, steps_per_epoch=-(-len(events) // batch))
    for epoch in track(range(epochs), "Training"):
        for chosen in torch.randperm(len(events)).split(batch):
            spikes = simulate(weights, events[chosen], bits if 2 * epoch >= epochs else None)
            loss = functional.cross_entropy(0.5 * spikes[-1].sum(1), labels[chosen])
            # 13 bits hold 8-bit weights, and 12 bits 6-bit ones, with room for the potentials.
            loss = loss + 1e-4 * _excess(weights, 3300.0, 2800.0)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return [weight.detach().numpy() for weight in weights]


def evaluate(weights: list[np.ndarray], split: str, bits: int | None = None) -> float:
    """Return the fraction of a part of the data that the network gets right."""
    counts, labels = load_digits_counts(split)
    # Double precision, so that the order of a sum does not decide about a spike.
    tensors = [torch.tensor(weight, dtype=torch.float64) for weight in weights]
    with torch.no_grad():
        spikes = simulate(tensors, torch.tensor(counts, dtype=torch.float64), bits)
    return float((spikes[-1].sum(1).numpy().argmax(1) == labels).mean())


def to_nir(weights: list[np.ndarray]) -> nir.NIRGraph:
    """Return the NIR graph of trained weights; ``r = tau / dt`` makes the gain of a step 1."""
    def lif(shape):
        return nir.LIF(tau=np.full(shape, TAU), r=np.full(shape, TAU / DT), v_leak=np.zeros(shape),
                       v_threshold=np.ones(shape), v_reset=np.zeros(shape))

    def conv(weight, size):
        return nir.Conv2d(input_shape=(size, size), weight=weight, stride=1, padding=1, dilation=1,
                          groups=1, bias=np.zeros(len(weight), np.float32))

    def pool():
        return nir.SumPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]),
                             padding=np.array([0, 0]))

    nodes = {
        "input": nir.Input(input_type={"input": np.array(SHAPE)}),
        "conv1": conv(weights[0], 8), "lif1": lif((8, 8, 8)), "pool1": pool(),
        "conv2": conv(weights[1], 4), "lif2": lif((16, 4, 4)), "pool2": pool(),
        "flatten": nir.Flatten(input_type={"input": np.array((16, 2, 2))}, start_dim=0, end_dim=-1),
        "fc": nir.Linear(weight=weights[2]), "lif3": lif((CLASSES,)),
        "output": nir.Output(output_type={"output": np.array((CLASSES,))}),
    }
    names = list(nodes)
    metadata = {"source": "python -m train.digits", "dt": DT, "discretisation": "snntorch",
                "reset": "zero"}
    return nir.NIRGraph(nodes=nodes, edges=list(pairwise(names)),
                        metadata=metadata)


def load_weights(path: str | Path) -> list[np.ndarray]:
    """Return the three weights of a graph that `to_nir` made."""
    graph = nir.read(path)
    return [np.asarray(graph.nodes[name].weight) for name in ("conv1", "conv2", "fc")]


def quantise_digits(path: str | Path, weight_bits: int = 6, state_bits: int | str = 12,
                    samples: int | None = None) -> tuple[Network, object]:
    """Return the integer network of ``digits.nir`` and the quantiser's report.

    Parameters
    ----------
    path
        The file.
    weight_bits, state_bits
        As in `neurogen.frontend.quantise.quantise`.
    samples
        Number of training images on which spikes are compared; none, if ``None``.
    """
    network = discretise(read_nir(path), "snntorch", "infer")
    events = None if samples is None else load_digits_events("train", samples)[0]
    return quantise(network, weight_bits=weight_bits, state_bits=state_bits, calibration=events)


def evaluate_integer(network: Network, split: str, limit: int | None = None) -> float:
    """Return the fraction of a part of the data that golden gets right."""
    recordings, labels = load_digits_events(split, limit)
    (source,), (output,) = network.inputs, network.outputs
    right = 0
    for events, label in zip(recordings, labels, strict=True):
        spikes = run(network, {source: events}, record="spikes").spikes[output]
        right += int(spikes.counts().sum(0).argmax() == label)
    return right / len(labels)


def main() -> None:
    """Train, write both files and print the accuracies."""
    parser = argparse.ArgumentParser(prog="python -m train.digits", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("designs/networks"), help="folder of both files")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--requantise", action="store_true", help="keep digits.nir, write digits.npz anew")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    console = Console()
    path = arguments.out / "digits.nir"
    if not arguments.requantise:
        nir.write(path, to_nir(train(epochs=arguments.epochs, seed=arguments.seed)))
    weights = load_weights(path)
    network, report = quantise_digits(path, samples=20)
    network.save(arguments.out / "digits.npz")
    console.print(quantisation_table(report))
    for split in ("train", "test"):
        console.print(f"{split}: {evaluate(weights, split):.2%} in float, "
                      f"{evaluate_integer(network, split):.2%} in integers")


if __name__ == "__main__":
    main()

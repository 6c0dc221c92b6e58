"""Train the network of the chip `designs.ubrain` on digits; write ``ubrain.nir``.

Dense, 32 neurons, dense, 16 neurons that also hear their own spikes of the step before, dense, 10 neurons:
the class is the one with the most spikes, the lowest index on a tie. A neuron integrates, fires if ``v > 1``
and is then reset to zero; it does not leak. Weights have 4 bits; training sees them as they will be, with
gradients passed straight through. The held-out part is looked at after training only.

    python -m train.ubrain --out designs/networks
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch.nn import functional

from neurogen.frontend.digits import CLASSES, load_digits_counts
from neurogen.frontend.export import export_nir
from neurogen.spec.dense import Dense
from neurogen.spec.lif import DECAY_ONE, Lif, Reset
from neurogen.spec.network import Edge, Input, Network
from train.digits import _Spike, _straight_through


__all__ = ["LAYERS", "evaluate", "main", "simulate", "to_network", "train"]

PIXELS = 64
LAYERS = (32, 16, CLASSES)
THRESHOLD = 24  # LSBs of a weight: fires above
_TOP = 7  # 4 bits


def _integers(weight: torch.Tensor) -> torch.Tensor:
    """Return weights in LSBs as the chip has them, with the gradient of the float ones."""
    scaled = THRESHOLD * weight
    return _straight_through(scaled, scaled.round().clamp(-_TOP, _TOP)) / THRESHOLD


def simulate(weights: list[torch.Tensor], events: torch.Tensor) -> list[torch.Tensor]:
    """Return the spikes ``[n, steps, neurons]`` of the three layers.

    Parameters
    ----------
    weights
        ``[32, 64]``, ``[16, 32]``, ``[10, 16]``, and recurrent of the second layer, ``[16, 16]``.
    events
        ``[n, steps, 64]``.
    """
    *forward, recurrent = [_integers(weight) for weight in weights]
    state = [torch.zeros(len(events), size, dtype=events.dtype) for size in LAYERS]
    before = torch.zeros_like(state[1])
    spikes: list[list[torch.Tensor]] = [[], [], []]
    for t in range(events.shape[1]):
        signal = events[:, t]
        for k, weight in enumerate(forward):
            v = state[k] + functional.linear(signal, weight)
            if k == 1:
                v = v + functional.linear(before, recurrent)
            signal = _Spike.apply(v - 1 - 0.5 / THRESHOLD)  # halfway between two sums of weights
            state[k] = v * (1 - signal.detach())
            spikes[k].append(signal)
        before = spikes[1][-1]
    return [torch.stack(found, 1) for found in spikes]


def train(*, epochs: int = 15, seed: int = 0, batch: int = 32) -> list[np.ndarray]:
    """Train on the training part and return the four weights in LSBs, ``int64``."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    counts, labels = load_digits_counts("train")
    events = torch.tensor(counts, dtype=torch.float32).flatten(2)
    targets = torch.tensor(labels)
    shapes = [(LAYERS[0], PIXELS), (LAYERS[1], LAYERS[0]), (LAYERS[2], LAYERS[1]), (LAYERS[1], LAYERS[1])]
    weights = [torch.nn.Parameter(gain * torch.randn(shape))
               for gain, shape in zip((0.08, 0.12, 0.15, 0.05), shapes, strict=True)]
    optimiser = torch.optim.Adam(weights)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, epochs=epochs,
                                                   steps_per_epoch=-(-len(events) // batch))
    for _ in track(range(epochs), "Training"):
        for chosen in torch.randperm(len(events)).split(batch):
            spikes = simulate(weights, events[chosen])[-1]
            loss = functional.cross_entropy(0.7 * spikes.sum(1), targets[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return [(_integers(weight.detach()) * THRESHOLD).round().numpy().astype(np.int64) for weight in weights]


def evaluate(weights: list[np.ndarray], split: str) -> float:
    """Return the fraction of a part of the data that the network gets right."""
    counts, labels = load_digits_counts(split)
    with torch.no_grad():
        spikes = simulate([torch.tensor(weight / THRESHOLD) for weight in weights],
                          torch.tensor(counts, dtype=torch.float64).flatten(2))
    return float((spikes[-1].sum(1).numpy().argmax(1) == labels).mean())


def to_network(weights: list[np.ndarray]) -> Network:
    """Return the network of trained weights."""
    nodes: dict = {"input": Input(shape=(PIXELS,))}
    edges, before = [], "input"
    for number, (weight, neurons) in enumerate(zip(weights[:3], LAYERS, strict=True), start=1):
        name = f"layer{number}"
        nodes[f"weights{number}"] = Dense(weight=weight)
        nodes[name] = Lif(shape=(neurons,), threshold=THRESHOLD + 1, decay=DECAY_ONE, reset=Reset.ZERO,
                          state_bits=20)
        edges += [Edge(before, f"weights{number}"), Edge(f"weights{number}", name)]
        before = name
    nodes["recurrent"] = Dense(weight=weights[3])
    edges += [Edge("layer2", "recurrent", 1), Edge("recurrent", "layer2")]
    return Network(nodes, tuple(edges), ("layer3",))


def main() -> None:
    """Train, write the file and print the accuracies."""
    parser = argparse.ArgumentParser(prog="python -m train.ubrain", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("designs/networks"), help="folder of the file")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    weights = train(epochs=arguments.epochs, seed=arguments.seed)
    export_nir(to_network(weights), arguments.out / "ubrain.nir")
    for split in ("train", "test"):
        Console().print(f"{split}: {evaluate(weights, split):.2%}")


if __name__ == "__main__":
    main()

"""The network of a µBrain-class chip: three layers of integrate-and-fire neurons, the second recurrent."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from neurogen.flow.errors import UserError
from neurogen.frontend.discretise import discretise
from neurogen.frontend.export import export_nir
from neurogen.frontend.nir_file import read_nir
from neurogen.frontend.quantise import quantise
from neurogen.spec.checks import check_choice, check_int
from neurogen.spec.dense import Dense
from neurogen.spec.lif import DECAY_ONE, Lif, Reset
from neurogen.spec.network import Edge, Input, Network


__all__ = ["CONFIGS", "DATA", "Config", "Layer", "Layers", "example", "find_config", "load_layers"]

CONFIGS = Path(__file__).parent / "configs"
DATA = ("random", "digits")
_KEYS = {"inputs", "layers", "weight_bits", "state_bits", "seed", "network", "rule", "data"}


@dataclass(frozen=True)
class Config:
    """Sizes of a chip, and where its network comes from.

    Parameters
    ----------
    name
        Name of the configuration.
    inputs
        Addresses of input events.
    layers
        Neurons of the three layers.
    weight_bits, state_bits
        Widths of weights and potentials.
    network
        A ``.nir`` file; None for random weights of these sizes.
    seed
        Of random weights.
    rule
        How the file's graph is discretised, a name of `neurogen.frontend.rules.RULES`.
    data
        Input on which levels are compared, one of `DATA`.
    """

    name: str
    inputs: int
    layers: tuple[int, int, int]
    weight_bits: int = 4
    state_bits: int = 8
    network: Path | None = None
    seed: int = 0
    rule: str = "snntorch"
    data: str = "random"

    def __post_init__(self) -> None:
        check_int("Inputs", self.inputs, minimum=1, maximum=4096)
        if len(self.layers) != 3:
            raise ValueError(f"Layers must be three sizes, not {self.layers!r}")
        for size in self.layers:
            check_int("Size of a layer", size, minimum=1, maximum=4096, unit="neurons")
        check_int("Weight width", self.weight_bits, minimum=2, maximum=8, unit="bits")
        check_int("State width", self.state_bits, minimum=4, maximum=24, unit="bits")
        check_int("Seed", self.seed, minimum=0)
        check_choice("Data", self.data, DATA)
        if self.data == "digits" and (self.inputs, self.layers[2]) != (64, 10):
            raise ValueError(f"Sizes for digits must be 64 inputs and 10 neurons in the last layer, not "
                             f"{self.inputs} and {self.layers[2]}")


def find_config(name: str) -> Config:
    """Return a configuration that ships, by name, or that of a YAML file.

    Raises
    ------
    UserError
        If there is none, or something in it is wrong.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else CONFIGS / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in CONFIGS.glob("*.yaml")))
        raise UserError(f"Configuration must be {known} or a YAML file, not {name}")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from None
    if not isinstance(data, Mapping) or not set(data) <= _KEYS or not {"inputs", "layers"} <= set(data):
        raise UserError(f"{path}: keys must be inputs, layers and any of "
                        f"{', '.join(sorted(_KEYS - {'inputs', 'layers'}))}")
    values: dict[str, Any] = dict(data)
    if not isinstance(values["layers"], list):
        raise UserError(f"{path}: layers must be a list of three sizes, not {values['layers']!r}")
    values["layers"] = tuple(values["layers"])
    if values.get("network") is not None:
        values["network"] = path.parent / str(values["network"])
    try:
        return Config(path.stem, **values)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer.

    Parameters
    ----------
    name
        Name of the population.
    weights
        ``int64[sources, neurons]``: of the events that come from before.
    recurrent
        ``int64[neurons, neurons]``: of the layer's own events of the previous step, or None.
    lif
        Its neurons.
    """

    name: str
    weights: np.ndarray
    recurrent: np.ndarray | None
    lif: Lif


@dataclass(frozen=True, eq=False)
class Layers:
    """The three layers, and the integer network that they are."""

    layers: tuple[Layer, Layer, Layer]
    network: Network
    source: str

    @property
    def inputs(self) -> int:
        """Addresses of input events."""
        return self.layers[0].weights.shape[0]

    @property
    def synapses(self) -> int:
        """All weights."""
        return sum(layer.weights.size + (0 if layer.recurrent is None else layer.recurrent.size)
                   for layer in self.layers)


def example(config: Config, path: Path) -> None:
    """Write random weights of a configuration's sizes as a ``.nir`` file."""
    rng = np.random.default_rng(config.seed)
    top = (1 << config.weight_bits - 1) - 1
    nodes: dict[str, Any] = {"input": Input(shape=(config.inputs,))}
    edges = []
    before, size = "input", config.inputs
    for number, neurons in enumerate(config.layers, start=1):
        # Few sources mostly excite; of many, as many inhibit, so that activity neither dies nor explodes.
        weight = rng.integers(-top * min(size, 32) // 32, top + 1, (neurons, size))
        name = f"layer{number}"
        nodes[f"weights{number}"] = Dense(weight=weight)
        nodes[name] = Lif(shape=(neurons,), threshold=top + size // 8 + 1, decay=DECAY_ONE, reset=Reset.ZERO,
                          state_bits=20)
        edges += [Edge(before, f"weights{number}"), Edge(f"weights{number}", name)]
        if number == 2:
            nodes["recurrent"] = Dense(weight=rng.integers(-top, top // 2 + 1, (neurons, neurons)))
            edges += [Edge(name, "recurrent", 1), Edge("recurrent", name)]
        before, size = name, neurons
    export_nir(Network(nodes, tuple(edges), (before,)), path)


def load_layers(config: Config, example_path: Path) -> Layers:
    """Return the layers of a configuration's network.

    Parameters
    ----------
    example_path
        Where random weights are written to, if the configuration names no network.

    Raises
    ------
    UserError, NirError, QuantisationError
        If the file cannot be used, or is no network of this shape.
    """
    path = config.network
    if path is None:
        example(config, example_path)
        path = example_path
    exact = discretise(read_nir(path), config.rule, "infer", None if config.network else "zero")
    network, _ = quantise(exact, weight_bits=config.weight_bits, state_bits=config.state_bits)
    layers = Layers(_split(network, path), network, path.name)
    sizes = (layers.inputs, *(layer.lif.neurons for layer in layers.layers))
    if sizes != (config.inputs, *config.layers):
        raise UserError(f"{path}: sizes must be those of the configuration, "
                        f"{(config.inputs, *config.layers)}, not {sizes}")
    return layers


def _split(network: Network, path: Path) -> tuple[Layer, Layer, Layer]:
    def fail(text):
        return UserError(f"{path}: network must be {text}")

    names = list(network.populations)
    if len(network.inputs) != 1 or len(names) != 3:
        raise fail("one input and three populations")
    found, before = [], network.inputs[0]
    while len(found) < 3:
        synapses = {edge.target for edge in network.edges if edge.source == before and not edge.delay}
        targets = {edge.target for edge in network.edges if edge.source in synapses} - {before}
        if len(synapses) != 1 or len(targets) != 1:
            raise fail("a chain of three populations")
        (synapse,), (name,) = synapses, targets
        back = [edge for edge in network.edges if edge.source == name and edge.delay]
        dense, lif = network.nodes[synapse], network.nodes[name]
        own = network.nodes[back[0].target] if back else None
        if not isinstance(dense, Dense) or len(back) > 1 or (own is not None and not isinstance(own, Dense)):
            raise fail("fully connected, with at most one recurrent connection a layer")
        if own is not None and (back[0].delay != 1 or [edge.target for edge in network.edges
                                                       if edge.source == back[0].target] != [name]):
            raise fail("recurrent within its layers, one step late")
        if (lif.decay != DECAY_ONE).any() or lif.cuba or lif.multi_spike or network.total_bias(name).any() \
                or lif.initial.any() or lif.reset is not Reset.ZERO or lif.reset_value.any():
            raise fail("made of neurons that integrate and fire, without leak or bias, and reset to 0")
        found.append(Layer(name, dense.weight.T.copy(), None if own is None else own.weight.T.copy(), lif))
        before = name
    return found[0], found[1], found[2]

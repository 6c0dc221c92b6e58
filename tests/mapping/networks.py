"""Small networks by hand."""

import numpy as np

from neurogen.spec.conv import Conv
from neurogen.spec.dense import Dense
from neurogen.spec.lif import Lif
from neurogen.spec.network import Edge, Input, Network


__all__ = ["chain", "conv", "dense", "lif"]


def conv(outputs, inputs, kernel=3, seed=0, **kwargs):
    rng = np.random.default_rng((seed, outputs, inputs, kernel))
    kwargs.setdefault("padding", kernel // 2)
    return Conv(weight=rng.integers(-3, 5, (outputs, inputs, kernel, kernel)), **kwargs)


def dense(outputs, inputs, seed=0, **kwargs):
    rng = np.random.default_rng((seed, outputs, inputs))
    return Dense(weight=rng.integers(-3, 5, (outputs, inputs)), **kwargs)


def lif(shape, **kwargs):
    return Lif(**{"shape": shape, "threshold": 9, "decay": 3000, "state_bits": 20, "v_lo": -100, "v_hi": 100,
                  **kwargs})


def chain(shape, *layers, multiplicity=1, outputs=None, **kwargs):
    """Return a network of layers in sequence, each synapse with a population ``lif<n>`` behind it."""
    nodes, edges, last = {"input": Input(shape=shape, max_multiplicity=multiplicity)}, [], "input"
    for number, node in enumerate(layers):
        name = f"{type(node).__name__.lower()}{number}"
        nodes[name] = node
        edges.append(Edge(last, name))
        shape, last = node.output_shape(shape), name
        if isinstance(node, Conv | Dense):
            nodes[f"lif{number}"] = lif(shape, **kwargs)
            edges.append(Edge(name, f"lif{number}"))
            last = f"lif{number}"
    return Network(nodes, tuple(edges), outputs or (last,))

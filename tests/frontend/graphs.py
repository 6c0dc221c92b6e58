"""Small ``.nir`` files for tests, written with h5py so that they can also be wrong."""

from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np


def write_graph(group, nodes, edges):
    """Write ``{name: (type, params)}`` and pairs of names; a nested graph's params are (nodes, edges)."""
    group["type"] = "NIRGraph"
    if edges is not None:
        group.create_dataset("edges", data=np.array(edges, dtype=h5py.string_dtype()).reshape(-1, 2)
                             if edges else np.zeros((0, 2)))
    for name, (kind, params) in nodes.items():
        node = group.create_group(f"nodes/{name}")
        if kind == "NIRGraph":
            write_graph(node, *params)
            continue
        node["type"] = kind
        for key, value in params.items():
            node[key] = value


def write_nir(path, nodes, edges=None) -> Path:
    """Write a graph; without edges, the nodes form a chain in their order."""
    names = list(nodes)
    if edges is None:
        edges = list(pairwise(names))
    with h5py.File(path, "w") as file:
        file["version"] = "1.0.8"
        write_graph(file.create_group("node"), nodes, edges)
    return Path(path)


def lif(n, tau=0.01, r=1.0, leak=0.0, threshold=1.0, **more):
    """Return a LIF node of shape ``n``."""
    return "LIF", {key: np.full(n, value) for key, value in dict(
        tau=tau, r=r, v_leak=leak, v_threshold=threshold, **more).items()}


def integrate_and_fire(n, r=1.0, threshold=1.0, **more):
    """Return an IF node of shape ``n``."""
    return "IF", {key: np.full(n, value) for key, value in dict(r=r, v_threshold=threshold, **more).items()}


def cuba(n, tau_syn=0.005, tau_mem=0.01, r=1.0, leak=0.0, w_in=1.0, threshold=1.0):
    """Return a CubaLIF node of shape ``n``."""
    values = {"tau_syn": tau_syn, "tau_mem": tau_mem, "r": r, "v_leak": leak, "w_in": w_in,
              "v_threshold": threshold}
    return "CubaLIF", {key: np.full(n, value) for key, value in values.items()}


def conv(weight, bias=None, stride=1, padding=0, dilation=1, groups=1, shape=None):
    """Return a Conv2d node (a Conv1d for a weight of three dimensions)."""
    weight = np.asarray(weight, float)
    params = {"weight": weight, "bias": np.zeros(len(weight)) if bias is None else np.asarray(bias),
              "stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if shape is not None:
        params["input_shape"] = shape
    return ("Conv1d" if weight.ndim == 3 else "Conv2d"), params


def braille(path) -> Path:
    """Write a small recurrent graph with most kinds of nodes; the seed of the fuzzers."""
    rng = np.random.default_rng(7)
    nodes = {
        "input": ("Input", {"shape": [2, 6, 6]}),
        "conv": conv(rng.normal(size=(3, 2, 3, 3)), stride=[1, 1], padding=[1, 1], shape=[6, 6]),
        "if1": integrate_and_fire((3, 6, 6)),
        "pool": ("SumPool2d", {"kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0]}),
        "flat": ("Flatten", {"start_dim": 0, "end_dim": -1, "input_type": [3, 3, 3]}),
        "fc1": ("Affine", {"weight": rng.normal(size=(5, 27)), "bias": rng.normal(size=5)}),
        "rec": ("NIRGraph", ({"input": ("Input", {"shape": [5]}), "lif": cuba(5),
                              "w": ("Linear", {"weight": rng.normal(size=(5, 5))}),
                              "output": ("Output", {"shape": [5]})},
                             [("input", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "output")])),
        "scale": ("Scale", {"scale": np.full(5, 0.5)}),
        "delay": ("Delay", {"delay": np.full(5, 0.002)}),
        "fc2": ("Linear", {"weight": rng.normal(size=(2, 5))}),
        "li": ("LI", {"tau": np.full(2, 0.01), "r": np.ones(2), "v_leak": np.zeros(2)}),
        "output": ("Output", {"shape": [2]}),
    }
    return write_nir(path, nodes)

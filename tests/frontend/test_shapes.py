"""Convolution, pooling and flattening as PyTorch has them, against a naive oracle and PyTorch itself."""

import itertools

import numpy as np
import pytest

from neurogen.frontend.discretise import discretise
from neurogen.frontend.nir_file import NirError, NirGraph, NirNode
from neurogen.frontend.shapes import infer_shapes
from neurogen.frontend.simulate import simulate


try:
    import torch
except ImportError:  # an extra; the naive oracle always runs
    torch = None


def chain(shape, *nodes):
    """Return a graph of nodes one after another, between Input 'in' and Output 'out'."""
    named = {"in": NirNode("Input", {"shape": np.array(shape)})}
    for i, (kind, params) in enumerate(nodes):
        named[f"n{i}"] = NirNode(kind, {k: v if isinstance(v, str) else np.asarray(v)
                                        for k, v in params.items()})
    named["out"] = NirNode("Output")
    return NirGraph(named, tuple(itertools.pairwise(named)), "chain.nir")


def naive_conv(x, weight, stride, padding, dilation, groups):
    """Convolve a map with loops; padding ((top, bottom), (left, right))."""
    (top, bottom), (left, right) = padding
    c, h, w = x.shape
    padded = np.zeros((c, h + top + bottom, w + left + right))
    padded[:, top:top + h, left:left + w] = x
    co, ci, kh, kw = weight.shape
    ho = (padded.shape[1] - (kh - 1) * dilation[0] - 1) // stride[0] + 1
    wo = (padded.shape[2] - (kw - 1) * dilation[1] - 1) // stride[1] + 1
    out = np.zeros((co, ho, wo))
    for o, y, xx, i, ky, kx in np.ndindex(co, ho, wo, ci, kh, kw):
        channel = o // (co // groups) * ci + i
        out[o, y, xx] += weight[o, i, ky, kx] * padded[channel, y * stride[0] + ky * dilation[0],
                                                       xx * stride[1] + kx * dilation[1]]
    return out


def currents(graph, x):
    """Return what reaches the output: of a graph without a population, the read-out's potential."""
    network = discretise(graph)
    return simulate(network, {"in": x[np.newaxis].reshape(1, *network.shapes["in"])}).potentials["out"][0]


# kernel, stride, padding, dilation, groups
CONVS = [
    ((3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((3, 5), (1, 1), (0, 0), (1, 1), 1),
    ((5, 3), (2, 2), (2, 1), (1, 1), 1),
    ((1, 3), (1, 1), (0, 1), (1, 1), 2),
    ((3, 3), (2, 2), (0, 1), (2, 1), 1),
    ((3, 3), (1, 1), (2, 2), (2, 2), 4),
    ((1, 1), (2, 2), (0, 0), (1, 1), 1),
    ((3, 3), (3, 3), (1, 1), (1, 1), 2),
    ((5, 5), (2, 2), (1, 1), (1, 1), 1),
    ((3, 5), (1, 1), "same", (1, 1), 1),
    ((3, 3), (1, 1), "same", (2, 1), 2),
    ((2, 4), (1, 1), "same", (1, 1), 1),
    ((3, 3), (1, 1), "valid", (1, 1), 1),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # PyTorch's speed
@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation", "groups"), CONVS)
def test_convolution_is_pytorchs(kernel, stride, padding, dilation, groups):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4, 10, 12))
    weight = rng.normal(size=(8, 4 // groups, *kernel))
    bias = rng.normal(size=8)
    graph = chain(x.shape, ("Conv2d", {
        "weight": weight, "bias": bias, "stride": stride, "padding": padding, "dilation": dilation,
        "groups": groups, "input_shape": [10, 12]}))
    result = currents(graph, x)
    spans = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    pads = {"same": [(s // 2, s - s // 2) for s in spans], "valid": [(0, 0)] * 2}.get(
        padding) if isinstance(padding, str) else [(p, p) for p in padding]
    expected = naive_conv(x, weight, stride, pads, dilation, groups) + bias[:, None, None]
    assert infer_shapes(graph)["n0"] == expected.shape
    np.testing.assert_allclose(result, expected, atol=1e-12)
    if torch is None:
        return
    tensor = torch.nn.functional.conv2d(torch.tensor(x)[None], torch.tensor(weight), torch.tensor(bias),
                                        stride, padding, dilation, groups)[0].numpy()
    np.testing.assert_allclose(result, tensor, atol=1e-12)


@pytest.mark.parametrize(("k", "stride", "padding", "dilation", "groups"),
                         [(3, 1, 1, 1, 1), (5, 2, 2, 1, 2), (3, 1, "same", 2, 1), (1, 1, 0, 1, 1)])
def test_conv1d_is_a_convolution_of_height_one(k, stride, padding, dilation, groups):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 11))
    weight = rng.normal(size=(4, 2 // groups, k))
    graph = chain(x.shape, ("Conv1d", {"weight": weight, "stride": stride, "padding": padding,
                                       "dilation": dilation, "groups": groups, "input_shape": 11}))
    span = (k - 1) * dilation
    pad = (span // 2, span - span // 2) if padding == "same" else (padding, padding)
    expected = naive_conv(x[:, None], weight[:, :, None], (1, stride), ((0, 0), pad), (1, dilation), groups)
    np.testing.assert_allclose(currents(graph, x), expected, atol=1e-12)
    assert infer_shapes(graph)["n0"] == (4, expected.shape[2])


def naive_pool(x, kernel, stride, padding):
    ones = np.ones((len(x), 1, *kernel))
    return naive_conv(x, ones, stride, [(p, p) for p in padding], (1, 1), len(x))


@pytest.mark.parametrize("kind", ["SumPool2d", "AvgPool2d"])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [
    ((2, 2), (2, 2), (0, 0)), ((3, 3), (3, 3), (0, 0)), ((3, 3), (2, 2), (1, 1)), ((2, 3), (2, 2), (0, 1))])
def test_pools_are_pytorchs(kind, kernel, stride, padding):
    x = np.random.default_rng(3).normal(size=(3, 9, 11))
    graph = chain(x.shape, (kind, {"kernel_size": kernel, "stride": stride, "padding": padding}))
    expected = naive_pool(x, kernel, stride, padding) / (np.prod(kernel) if kind == "AvgPool2d" else 1)
    np.testing.assert_allclose(currents(graph, x), expected, atol=1e-12)
    assert infer_shapes(graph)["n0"] == expected.shape
    if torch is not None:
        tensor = torch.nn.functional.avg_pool2d(torch.tensor(x)[None], kernel, stride, padding)[0].numpy()
        tensor = tensor * (1 if kind == "AvgPool2d" else np.prod(kernel))
        np.testing.assert_allclose(expected, tensor, atol=1e-12)


@pytest.mark.parametrize(("kind", "area"), [("SumPool2d", 1), ("AvgPool2d", 4)])
def test_a_pool_of_currents_joins_its_convolution(kind, area):
    rng = np.random.default_rng(4)
    x, weight, bias = rng.normal(size=(2, 8, 8)), rng.normal(size=(3, 2, 3, 3)), rng.normal(size=3)
    graph = chain(x.shape, ("Conv2d", {"weight": weight, "bias": bias, "padding": [1, 1]}),
                  (kind, {"kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0]}))
    full = naive_conv(x, weight, (1, 1), [(1, 1)] * 2, (1, 1), 1) + bias[:, None, None]
    expected = naive_pool(full, (2, 2), (2, 2), (0, 0)) / area
    np.testing.assert_allclose(currents(graph, x), expected, atol=1e-12)


def test_scale_pool_and_flatten_fold_into_the_next_weights():
    rng = np.random.default_rng(5)
    x, weight = rng.normal(size=(2, 4, 6)), rng.normal(size=(5, 12))
    scale = np.broadcast_to(np.array([2.0, -3.0])[:, None, None], (2, 4, 6))
    graph = chain(x.shape, ("Scale", {"scale": scale}),
                  ("AvgPool2d", {"kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0]}),
                  ("Flatten", {"start_dim": 0, "end_dim": -1}), ("Linear", {"weight": weight}))
    pooled = naive_pool(x * scale, (2, 2), (2, 2), (0, 0)) / 4
    np.testing.assert_allclose(currents(graph, x), weight @ pooled.ravel(), atol=1e-12)


SQUARE = {"weight": np.ones((1, 1, 3, 3))}
REFUSED = [
    ((1, 8, 8), ("Conv2d", SQUARE | {"padding": "same", "stride": 2}),
     "padding 'same' must have stride 1 (as in PyTorch), not (2, 2); write the padding as integers"),
    ((1, 8, 8), ("Conv2d", SQUARE | {"padding": "circular"}),
     "padding must be integers, 'same' or 'valid', not 'circular'"),
    ((2, 8, 8), ("Conv2d", SQUARE), "must receive 1 channels of 2 dimensions, not shape (2, 8, 8)"),
    ((1, 2, 8), ("Conv2d", SQUARE), "kernel (3, 3) must fit the map (2, 8) with its padding"),
    ((1, 8, 8), ("Conv2d", SQUARE | {"input_shape": [8, 9]}),
     "input_shape (8, 9) must be that of what arrives, (8, 8)"),
    ((1, 8, 8), ("Conv2d", SQUARE | {"groups": 2}), "groups must divide the 1 output channels, not 2"),
    ((1, 8, 8), ("Conv2d", SQUARE | {"bias": np.ones(2)}), "bias must have shape (1,), not (2,)"),
    ((1, 80, 80), ("Conv2d", SQUARE | {"dilation": 20}),
     "kernel with its dilation must span at most 31, not 41"),
    ((1, 8, 8), ("Conv2d", SQUARE | {"stride": [1, 2]}), "stride must be the same on both axes, not (1, 2)"),
    ((1, 8, 8), ("Linear", {"weight": np.ones((2, 64))}),
     ("must receive a vector of 64 for its weight of shape (2, 64), not shape (1, 8, 8); put a Flatten "
      "before it if it is a map")),
    ((4,), ("SumPool2d", {"kernel_size": 2}), "must receive a map (C, H, W), not shape (4,)"),
    ((1, 4, 4), ("SumPool2d", {"kernel_size": 2, "padding": 2}),
     "padding must be at most half of the kernel (2, 2), not (2, 2)"),
    ((4,), ("IF", {"r": np.ones(3), "v_threshold": np.ones(3)}),
     "must receive the shape (3,) of its parameters, not (4,)"),
    ((4,), ("IF", {"r": np.ones(3), "v_threshold": np.ones(4)}),
     "v_threshold must have the shape (3,) of the other parameters, not (4,)"),
    ((4,), ("Flatten", {"start_dim": 1}), "must join dimensions of a shape of 1, not 1 to 0"),
]


@pytest.mark.parametrize(("shape", "node", "message"), REFUSED)
def test_what_does_not_fit_is_refused_by_name(shape, node, message):
    with pytest.raises(NirError) as caught:
        discretise(chain(shape, node))
    assert str(caught.value) == f"chain.nir: node 'n0' ({node[0]}): {message}"

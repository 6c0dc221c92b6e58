"""Shape inference over a NIR graph, PyTorch's convention (the package's own has faults with oblong
kernels, strided 'same' padding and groups).
"""

from math import prod

import numpy as np

from neurogen.frontend.nir_file import NirGraph, NirNode


__all__ = ["NEURONS", "Padding", "conv_geometry", "flatten_range", "infer_shapes", "neuron_shape",
           "pool_geometry"]

NEURONS = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Threshold")
MAX_SIZE = 1 << 24   # neurons of one node
MAX_KERNEL = 31      # with its dilation

Padding = tuple[tuple[int, int], tuple[int, int]]  # ((top, bottom), (left, right))
Shape = tuple[int, ...]


def infer_shapes(graph: NirGraph) -> dict[str, Shape]:
    """Return the shape of what leaves each node; refuse nodes that do not fit what arrives.

    Maps are ``(C, H, W)``, those of one-dimensional convolutions ``(C, L)``, vectors ``(N,)``.
    """
    sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        sources[target].append(source)
    shapes: dict[str, Shape] = {}
    for name, node in graph.nodes.items():
        if node.type == "Input":
            shapes[name] = _input_shape(graph, name)
            if sources[name] and "." not in name:
                raise graph.error(name, "an input must have no incoming edge")
        elif not sources[name]:
            raise graph.error(name, "must have an incoming edge")
        elif node.type in NEURONS and prod(neuron_shape(graph, name)) > 1:
            shapes[name] = neuron_shape(graph, name)
    waiting = [name for name in graph.nodes if name not in shapes]
    while waiting:
        ready = [n for n in waiting if any(s in shapes for s in sources[n])]
        if not ready:
            raise graph.error(waiting[0], "must be reached from an input or a population of known shape")
        for name in ready:
            arriving = next(shapes[s] for s in sources[name] if s in shapes)
            shapes[name] = _output_shape(graph, name, arriving)
        waiting = [name for name in waiting if name not in shapes]
    for name in graph.nodes:  # every edge, not only the one that told the shape
        for source in sources[name]:
            if _output_shape(graph, name, shapes[source]) != shapes[name]:
                raise graph.error(name, f"must have one shape, {shapes[name]}, not another for shape "
                                        f"{shapes[source]} of {source!r}")
    return shapes


def _input_shape(graph, name):
    shape = tuple(int(n) for n in graph.nodes[name].params["shape"].ravel())
    while len(shape) > 3 and shape[0] == 1:
        shape = shape[1:]  # a batch of one
    if not 1 <= len(shape) <= 3:
        raise graph.error(name, f"shape must have 1 to 3 dimensions (no batch), not {shape}")
    return _check_size(graph, name, shape)


def _check_size(graph, name, shape):
    if min(shape, default=1) < 1 or prod(shape) > MAX_SIZE:
        raise graph.error(name, f"shape must have between 1 and {MAX_SIZE} elements, not {shape}")
    return shape


def neuron_shape(graph: NirGraph, name: str) -> Shape:
    """Return the common shape of a neuron node's parameters; single values fit every shape."""
    shape: Shape = ()
    for key, value in graph.nodes[name].params.items():
        if value.size == 0:
            raise graph.error(name, f"{key} must not be empty")
        if value.size == 1:
            continue
        if shape and value.shape != shape:
            raise graph.error(name, f"{key} must have the shape {shape} of the other parameters, "
                                    f"not {value.shape}")
        shape = value.shape
    while len(shape) > 3 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) > 3:
        raise graph.error(name, f"must have at most 3 dimensions, not {shape}")
    return _check_size(graph, name, shape)


def _output_shape(graph, name, shape):
    node = graph.nodes[name]
    if node.type in ("Conv1d", "Conv2d"):
        result = _conv_shape(graph, name, shape)
    elif node.type in ("SumPool2d", "AvgPool2d"):
        result = _pool_shape(graph, name, shape)
    elif node.type in ("Affine", "Linear"):
        result = _dense_shape(graph, name, shape)
    elif node.type == "Flatten":
        first, last = flatten_range(graph, name, len(shape))
        result = (*shape[:first], prod(shape[first:last + 1]), *shape[last + 1:])
    elif node.type == "Output":
        _check_output(graph, name, shape)
        result = shape
    elif node.type in NEURONS:
        own = neuron_shape(graph, name)
        result = own if own and _squeeze(own) == _squeeze(shape) else shape
        if own and result != own:
            raise graph.error(name, f"must receive the shape {own} of its parameters, not {shape}")
    else:  # Scale, Delay and inlined Inputs keep the shape
        value = node.params.get("scale", node.params.get("delay", np.zeros(())))
        if value.size != 1 and _squeeze(value.shape) != _squeeze(shape):
            raise graph.error(name, f"must receive the shape {value.shape} of its parameters, not {shape}")
        if node.type == "Input" and _squeeze(_input_shape(graph, name)) != _squeeze(shape):
            raise graph.error(name, f"must receive its shape {_input_shape(graph, name)}, not {shape}")
        result = _input_shape(graph, name) if node.type == "Input" else shape
    return _check_size(graph, name, result)


def _squeeze(shape):
    return tuple(n for n in shape if n != 1)


def _check_output(graph, name, shape):
    stored = tuple(graph.nodes[name].params.get("shape", np.zeros(0)).ravel().tolist())
    if stored and _squeeze(stored) != _squeeze(shape):
        raise graph.error(name, f"shape {stored} must be that of what arrives, {shape}")


def _dense_shape(graph, name, shape):
    weight = graph.nodes[name].params["weight"]
    if weight.ndim != 2 or not weight.size:
        raise graph.error(name, f"weight must have shape (out, in), not {weight.shape}")
    if prod(shape[:-1]) != 1 or shape[-1] != weight.shape[1]:
        raise graph.error(name, f"must receive a vector of {weight.shape[1]} for its weight of shape "
                                f"{weight.shape}, not shape {shape}; put a Flatten before it if it is a map")
    _check_bias(graph, name, weight.shape[0])
    return (weight.shape[0],)


def _check_bias(graph, name, outputs):
    bias = graph.nodes[name].params.get("bias")
    if bias is not None and bias.size != 1 and bias.shape != (outputs,):
        raise graph.error(name, f"bias must have shape ({outputs},), not {bias.shape}")


def flatten_range(graph: NirGraph, name: str, dims: int) -> tuple[int, int]:
    """Return the first and last dimension that a Flatten joins (NIR has no batch dimension)."""
    params = graph.nodes[name].params
    first, last = (int(params[key].ravel()[0]) if key in params else default
                   for key, default in (("start_dim", 1), ("end_dim", -1)))
    stored = params.get("input_type")
    if stored is not None and stored.size == dims + 1 and first >= 1:
        first -= 1  # written with a batch dimension
        last -= last > 0
    first, last = first + dims * (first < 0), last + dims * (last < 0)
    if not 0 <= first <= last < dims:
        raise graph.error(name, f"must join dimensions of a shape of {dims}, not {first} to {last}")
    return first, last


# -- Convolution and pooling ------------------------------------------------------------------------


def _ints(graph, name, key, default, count, minimum):
    value = graph.nodes[name].params.get(key)
    values = [default] if value is None else value.ravel().tolist()
    values = values * count if len(values) == 1 else values
    if len(values) != count or min(values) < minimum:
        raise graph.error(name, f"{key} must be {count} integers of at least {minimum}, not {values}")
    return tuple(values)


def conv_geometry(graph: NirGraph, name: str) -> tuple[tuple[int, int], tuple[int, int], Padding, int]:
    """Return stride, dilation, padding and groups of a convolution; Conv1d is one of height 1."""
    node = graph.nodes[name]
    dims = 1 if node.type == "Conv1d" else 2
    weight = node.params["weight"]
    if weight.ndim != 2 + dims or not weight.size:
        raise graph.error(name, f"weight must have {2 + dims} dimensions, not shape {weight.shape}")
    stride = _ints(graph, name, "stride", 1, dims, 1)
    dilation = _ints(graph, name, "dilation", 1, dims, 1)
    groups, = _ints(graph, name, "groups", 1, 1, 1)
    if weight.shape[0] % groups:
        raise graph.error(name, f"groups must divide the {weight.shape[0]} output channels, not {groups}")
    spans = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    if max(spans) > MAX_KERNEL:
        raise graph.error(name, f"kernel with its dilation must span at most {MAX_KERNEL}, not {max(spans)}")
    padding = node.params.get("padding")
    if isinstance(padding, str):
        pads = _named_padding(graph, name, padding, stride, spans)
    else:
        pads = [(p, p) for p in _ints(graph, name, "padding", 0, dims, 0)]
    if max(max(p) for p in pads) > MAX_KERNEL:
        raise graph.error(name, f"padding must be at most {MAX_KERNEL}, not {pads}")
    if dims == 1:
        stride, dilation, pads = (stride[0],) * 2, (1, dilation[0]), [(0, 0), pads[0]]
    return stride, dilation, tuple(pads), groups


def _named_padding(graph, name, padding, stride, spans):
    if padding == "valid":
        return [(0, 0)] * len(spans)
    if padding != "same":
        raise graph.error(name, f"padding must be integers, 'same' or 'valid', not {padding[:40]!r}")
    if max(stride) > 1:
        raise graph.error(name, f"padding 'same' must have stride 1 (as in PyTorch), not {stride}; "
                                f"write the padding as integers")
    return [((s - 1) // 2, s - 1 - (s - 1) // 2) for s in spans]


def _conv_shape(graph, name, shape):
    node: NirNode = graph.nodes[name]
    stride, dilation, padding, groups = conv_geometry(graph, name)
    weight = node.params["weight"]
    kernel = weight.shape[2:]
    dims = len(kernel)
    _check_bias(graph, name, weight.shape[0])
    if len(shape) != 1 + dims or shape[0] != weight.shape[1] * groups:
        raise graph.error(name, f"must receive {weight.shape[1] * groups} channels of {dims} dimensions, "
                                f"not shape {shape}")
    stored = node.params.get("input_shape")
    if stored is not None and stored.size and tuple(stored.ravel().tolist()) != shape[1:]:
        raise graph.error(name, f"input_shape {tuple(stored.ravel().tolist())} must be that of what arrives, "
                                f"{shape[1:]}")
    size = tuple((n + sum(p) - (k - 1) * d - 1) // s + 1 for n, p, k, d, s in zip(
        shape[1:], padding[-dims:], kernel, dilation[-dims:], stride[-dims:], strict=True))
    if min(size) < 1:
        raise graph.error(name, f"kernel {kernel} must fit the map {shape[1:]} with its padding")
    return (weight.shape[0], *size)


def pool_geometry(graph: NirGraph, name: str) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return kernel, stride and padding of a pool."""
    kernel = _ints(graph, name, "kernel_size", 1, 2, 1)
    stored = graph.nodes[name].params.get("stride")
    stride = kernel if stored is None or not stored.size else _ints(graph, name, "stride", 1, 2, 1)
    padding = _ints(graph, name, "padding", 0, 2, 0)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise graph.error(name, f"padding must be at most half of the kernel {kernel}, not {padding}")
    return kernel, stride, padding


def _pool_shape(graph, name, shape):
    kernel, stride, padding = pool_geometry(graph, name)
    if len(shape) != 3:
        raise graph.error(name, f"must receive a map (C, H, W), not shape {shape}")
    size = tuple((n + 2 * p - k) // s + 1
                 for n, k, s, p in zip(shape[1:], kernel, stride, padding, strict=True))
    if min(size) < 1:
        raise graph.error(name, f"kernel {kernel} must fit the map {shape[1:]}")
    return (shape[0], *size)

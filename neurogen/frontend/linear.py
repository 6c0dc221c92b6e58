"""Linear nodes of a NIR graph, folded into one synapse between the spikes before and the neurons behind."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from neurogen.frontend.convs import dense_kernel, pooled_kernel
from neurogen.frontend.graph import NirError, SumPool
from neurogen.frontend.nir_file import NirGraph
from neurogen.frontend.shapes import conv_geometry, pool_geometry


__all__ = ["CurrentStream", "EventStream", "LinearNodes"]


@dataclass(frozen=True)
class EventStream:
    """Spikes of some nodes, times a scale that the next synapse takes over."""

    sources: tuple[tuple[str, int], ...]  # (node, delay)
    shape: tuple[int, ...]
    scale: np.ndarray = 1.0
    flat: str = ""  # the Flatten that made a vector of it


@dataclass(frozen=True)
class CurrentStream:
    """One linear map of events; ``bias`` counts in every step, ``late`` of it from the second on."""

    name: str
    events: EventStream
    weight: np.ndarray              # (No, Ni) or (Co, Ci, kh, kw)
    bias: np.ndarray
    shape: tuple[int, ...]
    stride: tuple[int, int] = (1, 1)
    start: tuple[int, int] = (0, 0)
    late: np.ndarray | float = 0.0


def _alike(a, b):
    """Return whether two streams are spikes that one synapse can take together."""
    return (isinstance(a, EventStream) and isinstance(b, EventStream) and a.shape == b.shape
            and bool(a.flat) == bool(b.flat) and np.array_equal(a.scale, b.scale))


class LinearNodes:
    """What reaches each node of a graph: streams, by the name of the node.

    Parameters
    ----------
    graph
        The graph.
    dt
        Length of a step in seconds, or None where none is needed.
    shapes
        Shape of what leaves each node.
    """

    def __init__(self, graph: NirGraph, dt: float | None, shapes: dict[str, tuple[int, ...]]):
        self.graph, self.dt, self.shapes = graph, dt, shapes
        self.sources = {name: [s for s, t in graph.edges if t == name] for name in graph.nodes}
        self.nodes: dict = {}
        self.edges: dict[tuple[str, str], int] = {}
        self.notes: list[str] = []
        self.streams: dict[str, list[EventStream | CurrentStream]] = {}

    @staticmethod
    def map_shape(shape):
        """Return the shape as a map's: what is one-dimensional has a line of one."""
        return (shape[0], 1, shape[1]) if len(shape) == 2 else shape

    def connect(self, sources, target):
        """Add edges, or refuse one that is there with another delay."""
        for source, delay in sources:
            if self.edges.setdefault((source, target), delay) != delay:
                raise NirError(f"{self.graph.source}: edges {source!r} -> {target!r} must have one delay")

    def linear(self, name):
        """Return the streams that leave a linear node: each stream that arrives, through the node."""
        handlers: dict[str, Callable] = {
            "Affine": self.dense, "Linear": self.dense, "Conv1d": self.conv, "Conv2d": self.conv,
            "Scale": self.scale, "SumPool2d": self.pool, "AvgPool2d": self.pool, "Flatten": self.flatten,
            "Delay": self.delay}
        handler = handlers.get(self.graph.nodes[name].type, lambda name, stream: stream)
        results = [handler(name, stream) for stream in self.arriving(name)]
        bias = self.graph.nodes[name].params.get("bias")
        if bias is not None:  # once, however many streams arrive
            first = results[0]
            results[0] = replace(first, bias=first.bias + np.broadcast_to(bias.ravel(), first.bias.shape))
        return results

    def arriving(self, name):
        """Return the streams into a node; spikes of one shape and scale become one stream."""
        streams: list = []
        for stream in (s for source in self.sources[name] for s in self.streams[source]):
            for i, other in enumerate(streams):
                if _alike(stream, other):
                    streams[i] = replace(other, sources=other.sources + stream.sources)
                    break
            else:
                streams.append(stream)
        return streams

    def dense(self, name, stream):
        """Multiply by the matrix of an Affine or a Linear."""
        weight = self.graph.nodes[name].params["weight"]
        if isinstance(stream, EventStream):
            scale = np.broadcast_to(stream.scale, stream.shape).ravel()
            if len(stream.shape) > 1:
                stream = replace(stream, flat=stream.flat or f"{stream.sources[0][0]}.flatten")
            return CurrentStream(name, stream, weight * scale, np.zeros(len(weight)), (len(weight),))
        if stream.weight.ndim != 2:
            raise self.graph.error(name, f"must have a population between it and {stream.name!r}")
        return replace(stream, name=name, weight=weight @ stream.weight, bias=weight @ stream.bias,
                       late=weight @ np.broadcast_to(stream.late, stream.bias.shape), shape=(len(weight),))

    def conv(self, name, stream):
        """Start a convolution."""
        if isinstance(stream, CurrentStream):
            raise self.graph.error(name, f"must have a population between it and {stream.name!r}")
        stride, dilation, padding, groups = conv_geometry(self.graph, name)
        try:
            weight = dense_kernel(self.graph.nodes[name].params["weight"], groups, dilation)
        except ValueError as error:
            raise self.graph.error(name, str(error)) from None
        scale = self.channel_scale(name, stream)
        return CurrentStream(name, stream, weight * scale[:, np.newaxis, np.newaxis], np.zeros(len(weight)),
                         self.map_shape(self.shapes[name]), stride, (padding[0][0], padding[1][0]))

    def channel_scale(self, name, stream):
        """Return the scale of each channel of events, which must have one."""
        scale = np.broadcast_to(stream.scale, stream.shape).reshape(stream.shape[0], -1)
        if (scale != scale[:, :1]).any():
            raise self.graph.error(name, "must receive one scale per channel (of Scale nodes before it)")
        return scale[:, 0]

    def scale(self, name, stream):
        """Scale events (later), or weights and bias."""
        scale = self.graph.nodes[name].params["scale"]
        scale = scale.reshape(stream.shape if scale.size > 1 else ())
        if isinstance(stream, EventStream):
            return replace(stream, scale=stream.scale * scale)
        scale = self.channel_scale(name, EventStream((), stream.shape, scale))
        return replace(stream, weight=stream.weight * scale.reshape(-1, *[1] * (stream.weight.ndim - 1)),
                       bias=stream.bias * scale, late=stream.late * scale)

    def pool(self, name, stream):
        """Sum or average: a node of its own, part of the convolution before, or a convolution."""
        kernel, stride, padding = pool_geometry(self.graph, name)
        factor = 1 / (kernel[0] * kernel[1]) if self.graph.nodes[name].type == "AvgPool2d" else 1.0
        shape = self.shapes[name]
        if isinstance(stream, CurrentStream):
            if any(padding) or stream.weight.ndim != 4:
                raise self.graph.error(name, f"must have a population between it and {stream.name!r}; only a "
                                             f"pool without padding joins a convolution")
            weight = factor * pooled_kernel(stream.weight, stream.stride, kernel)
            area = factor * kernel[0] * kernel[1]
            return replace(stream, weight=weight, bias=stream.bias * area, late=stream.late * area,
                           shape=shape, stride=(stream.stride[0] * stride[0], stream.stride[1] * stride[1]))
        scale = np.broadcast_to(stream.scale, stream.shape)
        if (scale != scale[:, :1, :1]).any():
            raise self.graph.error(name, "must receive one scale per channel (of Scale nodes before it)")
        scale = scale[:, :1, :1] * factor
        if kernel == stride and kernel[0] == kernel[1] and not any(padding):
            if kernel[0] > 1:
                self.nodes[name] = SumPool(size=kernel[0])
                self.connect(stream.sources, name)
                stream = EventStream(((name, 0),), shape)
            return replace(stream, scale=scale)
        # Overlapping, oblong or padded windows are a convolution with ones: only into a population.
        channels = stream.shape[0]
        weight = dense_kernel(np.ones((channels, 1, *kernel)), channels, (1, 1)) * scale[..., np.newaxis]
        return CurrentStream(name, replace(stream, scale=1.0), weight, np.zeros(channels), shape, stride,
                             padding)

    def flatten(self, name, stream):
        """Remember which Flatten makes a vector of events."""
        if isinstance(stream, EventStream) and len(stream.shape) > 1 and len(self.shapes[name]) == 1:
            return replace(stream, flat=name)
        return stream

    def delay(self, name, stream):
        """Delay the events by whole steps."""
        delay = self.graph.nodes[name].params["delay"]
        if (delay < 0).any() or (delay != delay.ravel()[0]).any():
            raise self.graph.error(name, "delay must be one value of at least 0 for all neurons")
        exact = float(delay.ravel()[0]) / (self.dt or 1.0)
        if exact > 255:
            raise self.graph.error(name, f"delay must be at most 255 steps, not {exact:g}")
        steps = round(exact)
        if abs(exact - steps) > 1e-6 * max(steps, 1):
            self.notes.append(f"{name}: a delay of {exact:g} steps became {steps}")
        events = stream if isinstance(stream, EventStream) else stream.events
        events = replace(events, sources=tuple((n, d + steps) for n, d in events.sources))
        if isinstance(stream, EventStream):
            return events
        if (steps > 1 and stream.bias.any()) or (steps and np.any(stream.late)):
            raise self.graph.error(name, f"must not delay the bias of {stream.name!r} by {steps} steps")
        return replace(stream, events=events, late=stream.bias if steps else stream.late)

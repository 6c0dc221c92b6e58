"""A directed graph of inputs, populations, synapses and stream operations, whatever their numbers are."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from neurogen.spec.checks import check_int, check_name
from neurogen.spec.pool import Concat


__all__ = ["MAX_MULTIPLICITY", "Edge", "Graph", "Input", "NetworkError"]


# Most input events at one address in one step.
MAX_MULTIPLICITY = 65535


class NetworkError(ValueError):
    """A network that does not satisfy the contract; the message names the node."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """A source of events from outside.

    Parameters
    ----------
    shape
        ``(C, H, W)`` for a map, ``(N,)`` for a vector.
    max_multiplicity
        Largest number of events at one address in one step, 1 to `MAX_MULTIPLICITY`.
    """

    shape: tuple[int, ...]
    max_multiplicity: int = 1

    def __post_init__(self):
        shape = tuple(check_int("Input size", n, minimum=1) for n in self.shape)
        if len(shape) not in (1, 3):
            raise ValueError(f"Input shape must be (N,) or (C, H, W), not {shape!r}")
        object.__setattr__(self, "shape", shape)
        check_int("Input multiplicity", self.max_multiplicity, minimum=1, maximum=MAX_MULTIPLICITY)


@dataclass(frozen=True)
class Edge:
    """A connection between two nodes.

    Parameters
    ----------
    source, target
        Names of nodes.
    delay
        Steps by which the events arrive later; every cycle of the graph holds a delay of at least
        1 (a recurrent edge reads the spikes of the previous step). 0 to 255.
    """

    source: str
    target: str
    delay: int = 0

    def __post_init__(self):
        check_name("Edge source", self.source)
        check_name("Edge target", self.target)
        check_int("Edge delay", self.delay, minimum=0, maximum=255, unit="steps")


@dataclass(frozen=True, eq=False)
class Graph:
    """What networks of integers and of floating-point numbers have in common: structure and shapes.

    A subclass says which nodes are populations and which are synapses. Events flow from `Input` and
    populations through pools, `Flatten` and `Concat` into synapses, whose currents flow into populations.

    Parameters
    ----------
    nodes
        Node by name. Their order is the order of reports.
    edges
        In the order in which a `Concat` takes them.
    outputs
        Names of the populations that leave the network.
    metadata
        Free text that travels with the network; JSON values.

    Raises
    ------
    NetworkError
        If nodes do not go together; names one.
    """

    _population: ClassVar[type]
    _synapses: ClassVar[tuple[type, ...]]

    nodes: dict[str, Any]
    edges: tuple[Edge, ...]
    outputs: tuple[str, ...]
    metadata: dict = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "nodes", dict(self.nodes))
        object.__setattr__(self, "edges", tuple(self.edges))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        if not self.inputs:
            raise NetworkError("Network must have at least one input")
        if not self.outputs:
            raise NetworkError("Network must have at least one output")
        for name in self.outputs:
            if not isinstance(self.nodes.get(name), self._population):
                raise NetworkError(f"Output {name!r} must be a population of the network")
        for edge in self.edges:
            for name in (edge.source, edge.target):
                if name not in self.nodes:
                    raise NetworkError(f"Edge {edge.source!r} -> {edge.target!r} must connect "
                                       f"nodes of the network, and {name!r} is none")
        for name, node in self.nodes.items():
            self._check_edges(name, node)
        _ = self.order, self.shapes  # both check

    def _check_edges(self, name, node):
        sources = self.sources(name)
        if isinstance(node, Input):
            if sources:
                raise NetworkError(f"Node {name!r}: an input must have no incoming edge")
            return
        if not sources:
            raise NetworkError(f"Node {name!r} must have an incoming edge")
        for edge in sources:
            current = isinstance(self.nodes[edge.source], self._synapses)
            if current is not isinstance(node, self._population):
                wanted = "currents (of a Conv or Dense)" if isinstance(node, self._population) else "events"
                raise NetworkError(f"Node {name!r} must receive {wanted}, which {edge.source!r} "
                                   f"does not give")
            if current and edge.delay:
                raise NetworkError(f"Edge {edge.source!r} -> {name!r}: only events can be delayed; "
                                   f"put the delay before {edge.source!r}")

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input nodes."""
        return tuple(n for n, node in self.nodes.items() if isinstance(node, Input))

    @cached_property
    def populations(self) -> tuple[str, ...]:
        """Names of the populations, in the order of `order`."""
        return tuple(n for n in self.order if isinstance(self.nodes[n], self._population))

    def sources(self, name: str) -> tuple[Edge, ...]:
        """Return the edges into a node."""
        return tuple(edge for edge in self.edges if edge.target == name)

    def targets(self, name: str) -> tuple[Edge, ...]:
        """Return the edges out of a node."""
        return tuple(edge for edge in self.edges if edge.source == name)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """All nodes, every one after the sources of its edges without delay."""
        waiting = {name: {e.source for e in self.sources(name) if not e.delay}
                   for name in self.nodes}
        order: list[str] = []
        while waiting:
            ready = [name for name, sources in waiting.items() if not sources - set(order)]
            if not ready:
                raise NetworkError(f"Every cycle must hold an edge with a delay; there is none "
                                   f"among {', '.join(map(repr, waiting))}")
            order.append(ready[0])
            del waiting[ready[0]]
        return tuple(order)

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of what leaves each node."""
        shapes = {n: node.shape for n, node in self.nodes.items()
                  if isinstance(node, Input | self._population)}
        waiting = [name for name in self.nodes if name not in shapes]
        while waiting:
            ready = [n for n in waiting if all(e.source in shapes for e in self.sources(n))]
            if not ready:
                raise NetworkError(f"Every cycle must pass through a population; "
                                   f"{waiting[0]!r} is in one that does not")
            for name in ready:
                shapes[name] = self._output_shape(name, shapes)
            waiting = [name for name in waiting if name not in shapes]
        for name in self.nodes:
            if isinstance(self.nodes[name], self._population):
                for edge in self.sources(name):
                    if shapes[edge.source] != shapes[name]:
                        raise NetworkError(f"Node {name!r} must receive shape {shapes[name]}, not "
                                           f"{shapes[edge.source]} of {edge.source!r}")
        return shapes

    def _output_shape(self, name, shapes):
        node = self.nodes[name]
        arriving = [shapes[edge.source] for edge in self.sources(name)]
        if isinstance(node, Concat):
            if len({shape[1:] for shape in arriving}) != 1:
                raise NetworkError(f"Node {name!r} must receive maps of one size, not {arriving}")
            return (sum(shape[0] for shape in arriving), *arriving[0][1:])
        if len(set(arriving)) != 1:
            raise NetworkError(f"Node {name!r} must receive streams of one shape, not {arriving}")
        try:
            return node.output_shape(arriving[0])
        except ValueError as error:
            raise NetworkError(f"Node {name!r}: {error}") from None

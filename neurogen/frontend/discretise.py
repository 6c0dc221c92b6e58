"""From a NIR graph to a float network: discretised neurons, and every linear node folded away."""

from dataclasses import replace

import numpy as np

from neurogen.frontend.convs import square_axes
from neurogen.frontend.cycles import find_back_edge
from neurogen.frontend.fixed import to_fixed_point
from neurogen.frontend.graph import (
    Edge,
    Flatten,
    FloatConv,
    FloatDense,
    FloatLif,
    FloatNetwork,
    Input,
    NirError,
    Reset,
)
from neurogen.frontend.linear import CurrentStream, EventStream, LinearNodes
from neurogen.frontend.nir_file import NirGraph
from neurogen.frontend.rules import Rule, get_rule, infer_dt, neuron_parameters
from neurogen.frontend.shapes import NEURONS, infer_shapes
from neurogen.spec.checks import check_int
from neurogen.spec.network import MAX_MULTIPLICITY


__all__ = ["discretise"]

MAX_DENSE = 1 << 25  # weights of an identity between two populations


def discretise(graph: NirGraph, rule: str | Rule = "snntorch", dt: float | str | None = None,
               reset: str | None = None, max_multiplicity: int = 1) -> FloatNetwork:
    """Return the network that a simulator makes of a graph.

    Parameters
    ----------
    rule
        A name of `neurogen.frontend.rules.RULES`, or a `Rule`.
    dt
        Length of a step in seconds; 'infer' reads it from ``r`` as exporters write it. Graphs of IF
        neurons only need none: a step is their unit of time.
    reset
        'zero' or 'subtract' instead of the rule's own.
    max_multiplicity
        Largest number of input events at one address in one step, 1 to `MAX_MULTIPLICITY`.

    Raises
    ------
    NirError
        If something cannot be kept; the message names the node.
    """
    rule = get_rule(rule, reset)
    shapes = infer_shapes(graph)
    if dt == "infer":
        dt = infer_dt(graph, rule)
    if dt is not None and (isinstance(dt, bool) or not isinstance(dt, int | float | np.number)
                           or not 0 < dt < np.inf):
        raise NirError(f"{graph.source}: dt must be a number of seconds above 0, 'infer' or None, not {dt!r}")
    try:
        check_int("Input multiplicity", max_multiplicity, minimum=1, maximum=MAX_MULTIPLICITY)
    except ValueError as error:
        raise NirError(f"{graph.source}: {error}") from None
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
        return _Lowering(graph, rule, dt, shapes, max_multiplicity).network()


class _Lowering(LinearNodes):
    def __init__(self, graph, rule, dt, shapes, max_multiplicity):
        super().__init__(graph, dt, shapes)
        self.rule, self.multiplicity = rule, max_multiplicity
        self.outputs: list[str] = []

    def network(self):
        order = self.linear_order()
        bases = [n for n in self.graph.nodes if n not in order]
        for name in bases:
            shape = self.map_shape(self.base_shape(name))
            latency = 0 if self.graph.nodes[name].type == "Input" else self.rule.latency
            self.streams[name] = [EventStream(((name, latency),), shape)]
            if self.graph.nodes[name].type == "Input":
                self.nodes[name] = Input(shape=shape, max_multiplicity=self.multiplicity)
        for name in order:
            self.streams[name] = self.linear(name)
        for name in bases:
            if self.graph.nodes[name].type != "Input":
                self.population(name)
        for name, node in self.graph.nodes.items():
            if node.type == "Output" and not any(s == name for s, _ in self.graph.edges):
                self.output(name)
        self.break_cycles()
        try:
            edges = tuple(Edge(s, t, d) for (s, t), d in self.edges.items())
            outputs = tuple(dict.fromkeys(self.outputs))
            network = FloatNetwork(self.nodes, edges, outputs, self.metadata())
            # HDF5 lists nodes by name; a reader of reports wants them as the spikes run.
            network = FloatNetwork({n: self.nodes[n] for n in network.order}, edges, outputs,
                                   network.metadata)
            return to_fixed_point(network) if self.rule.fixed_point else network
        except ValueError as error:
            raise NirError(f"{self.graph.source}: {error}") from None

    def metadata(self):
        return {"source": self.graph.source, "nir_version": self.graph.version, "rule": self.rule.name,
                "reset": self.rule.reset.value, "dt": self.dt, "notes": self.notes}

    def linear_order(self):
        """Return all nodes but inputs and neurons, sources first."""
        linear = [n for n, node in self.graph.nodes.items()
                  if node.type not in NEURONS and (node.type != "Input" or self.sources[n])]
        done = set(self.graph.nodes) - set(linear)
        order: list[str] = []
        while linear:
            ready = [n for n in linear if done.issuperset(self.sources[n])]
            if not ready:
                raise self.graph.error(linear[0], "is in or behind a cycle that holds no population")
            order += ready
            done.update(ready)
            linear = [n for n in linear if n not in done]
        return order

    def base_shape(self, name):
        """Return the shape of a population: of the map that reaches it, even if that was flattened."""
        node = name
        for _ in self.graph.nodes:
            if not self.sources[node]:
                return self.shapes[node]
            node = self.sources[node][0]
            kind = self.graph.nodes[node].type
            if kind.startswith("Conv") or kind.endswith("Pool2d"):
                return self.shapes[node]
            if kind in ("Affine", "Linear"):
                break
        return self.shapes[name]

    def unique(self, name):
        names = self.nodes.keys() | self.graph.nodes.keys()
        count = 2
        while name in names:
            name, count = f"{name.rsplit('#', 1)[0]}#{count}", count + 1
        return name

    # -- Populations ------------------------------------------------------------------------------

    def population(self, name):
        shape = self.streams[name][0].shape
        lif, gain = neuron_parameters(self.graph, name, self.rule, self.dt, shape)
        self.add_population(name, lif, gain)

    def add_population(self, name, lif, gain):
        initial = lif.initial
        for stream in self.arriving(name):
            if isinstance(stream, EventStream):
                stream = self.identity(name, stream)
            if stream.shape != lif.shape:
                raise self.graph.error(name, f"must receive shape {lif.shape}, not {stream.shape} "
                                             f"of {stream.name!r}")
            node = self.synapse(name, stream, gain)
            if np.any(stream.late):
                late = stream.late * gain
                initial = initial - late.reshape(-1, *[1] * max(initial.ndim - 1, 0))
            taken = stream.name in self.nodes or stream.name == name
            synapse = self.unique(f"{stream.name}->{name}") if taken else stream.name
            self.nodes[synapse] = node
            delayed = tuple((n, max(d, self.rule.synapse_delay)) for n, d in stream.events.sources)
            self.connect(self.flattened(stream.events, delayed), synapse)
            self.edges[synapse, name] = 0
        self.nodes[name] = replace(lif, initial=initial)

    def flattened(self, events, sources):
        """Return the sources of a vector, through a Flatten node if they are maps."""
        if not events.flat:
            return sources
        for node, kind in self.nodes.items():
            into = {(s, d) for (s, t), d in self.edges.items() if t == node}
            if isinstance(kind, Flatten) and into == set(sources):
                return ((node, 0),)
        own = self.graph.nodes.get(events.flat)
        free = events.flat not in self.nodes and (own is None or own.type == "Flatten")
        node = events.flat if free else self.unique(events.flat)
        self.nodes[node] = Flatten()
        self.connect(sources, node)
        return ((node, 0),)

    def identity(self, name, events):
        """Return one-to-one synapses: what NIR means by an edge from spikes to a neuron."""
        size = events.shape[0]
        if len(events.shape) == 3:
            scale = self.channel_scale(name, events)
            weight = np.diag(scale)[:, :, np.newaxis, np.newaxis]
        elif size * size > MAX_DENSE:
            raise self.graph.error(name, f"must have synapses between it and the {size} neurons before it")
        else:
            weight = np.diag(np.broadcast_to(events.scale, (size,)))
        return CurrentStream(f"{events.sources[0][0]}->{name}", replace(events, flat=""), weight,
                             np.zeros(size), events.shape)

    def synapse(self, name, stream, gain):
        gain = np.broadcast_to(gain, stream.bias.shape)
        weight = stream.weight * gain.reshape(-1, *[1] * (stream.weight.ndim - 1))
        bias = stream.bias * gain
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise self.graph.error(stream.name, f"must have finite weights after the gain of {name!r}")
        bias = bias if bias.any() else 0.0
        if weight.ndim == 2:
            return FloatDense(weight=weight, bias=bias)
        try:
            weight, stride, padding = square_axes(weight, stream.stride, stream.start,
                                                  stream.events.shape[1:], stream.shape[1:])
        except ValueError as error:
            raise self.graph.error(stream.name, str(error)) from None
        return FloatConv(weight=weight, stride=stride, padding=padding, bias=bias)

    def output(self, name):
        """Make what reaches an Output leave the network: populations as they are."""
        for stream in self.arriving(name):
            if isinstance(stream, EventStream) and np.all(np.asarray(stream.scale) == 1):
                names = [n for n, d in stream.sources if isinstance(self.nodes.get(n), FloatLif)
                         and d == self.rule.latency]
                if len(names) == len(stream.sources):
                    self.outputs += names
                    if stream.flat:
                        self.notes.append(f"{name}: {names} leave as maps, not flattened")
                    continue
            break
        else:
            return
        lif = FloatLif(shape=self.map_shape(self.base_shape(name)), threshold=np.inf, decay=0.0,
                       reset=Reset.NONE)
        self.notes.append(f"{name}: a read-out without memory was added, as no population leads there")
        self.add_population(name, lif, np.ones(()))
        self.outputs.append(name)

    # -- Recurrence -------------------------------------------------------------------------------

    def break_cycles(self):
        """Delay recurrent edges by a step, so that they read the spikes of the step before."""
        while (edge := find_back_edge(self.nodes, self.edges)) is not None:
            self.edges[edge] = 1
            source, synapse = edge
            self.notes.append(f"{source} -> {synapse}: recurrent, reads the spikes of the step before")
            node = self.nodes[synapse]
            inward = [e for e in self.edges if e[1] == synapse]
            if self.rule.recurrent_bias_late and len(inward) == 1 and np.any(node.bias):
                for target in [t for s, t in self.edges if s == synapse]:
                    lif = self.nodes[target]
                    bias = np.reshape(node.bias, (-1,) + (1,) * max(lif.initial.ndim - 1, 0))
                    self.nodes[target] = replace(lif, initial=lif.initial - bias)
                self.notes.append(f"{synapse}: its bias acts from the second step on")

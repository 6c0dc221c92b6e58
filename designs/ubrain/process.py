"""The layers as Python functions, and the network as a composition of them: the source of all its circuits.

Each layer is a process of its own that works when an event comes, for as long as it takes (self-timed). An
event is the address of a source, or the number of sources at the end of a time step. It adds a row of weights
to the potentials. At the end of a step, a neuron whose potential has reached its threshold fires, and starts
again from 0: its address goes to the next layer, followed by the end of the step. That last event is the
spike of one neuron more, which has no weights and a threshold of 0.

A recurrent layer also hears itself: after the end of a step it takes its own events of that step, whose
weights then count in the next. The arithmetic is the integer contract of `neurogen.spec.lif.Lif`.
"""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from designs.ubrain.network import Layer, Layers
from neurogen.flow.errors import UserError
from neurogen.qdi import Graph, Mem, Process, S, Stream, U, compile, process
from neurogen.qdi.compose import Link, compose


__all__ = ["event_width", "make_graph", "make_layer", "run_python"]

_QUEUE = 2  # tokens between two layers


def event_width(addresses: int) -> int:
    """Return the bits of an event: ``addresses`` addresses, and the end of a step."""
    return addresses.bit_length()


def _table(rows: np.ndarray, bits: int) -> np.ndarray:
    """Return weights with a column for each neuron and the one more, and a row for the end of a step."""
    table = np.zeros((len(rows) + 1, 1 << bits), np.int64)
    table[:-1, :rows.shape[1]] = rows
    return table


def make_layer(layer: Layer) -> Process:
    """Return a layer as a process: streams ``events`` and, if it is recurrent, ``own``; potentials ``v``."""
    lif, size = layer.lif, layer.lif.neurons
    if lif.v_hi < int(lif.threshold.max()) - 1:
        raise UserError(f"Guard band of {layer.name} must reach the threshold")
    bits, low, column = lif.state_bits, lif.v_lo, size.bit_length()
    last = len(layer.weights)  # the event that ends a step
    threshold = (*(int(t) for t in lif.per_neuron("threshold")), 0)
    table = _table(layer.weights, column)
    if layer.recurrent is None:
        weights = tuple(map(int, table.ravel()))
        address = (len(weights) - 1).bit_length()

        @process(width=bits, signed=True)
        def plain(events: Stream[U[event_width(last)]], v: Mem[S[bits], size + 1]) -> U[event_width(size)]:
            while True:
                e: U[address] = next(events)
                for n in range(size + 1):
                    p = v[n] + weights[e << column | n]
                    step = e == last
                    fired = step and p >= threshold[n]
                    v[n] = 0 if fired else low if step and p < low else p
                    if fired:
                        yield n
        return plain

    weights = tuple(map(int, np.concatenate([table, _table(layer.recurrent, column)]).ravel()))
    own_last = last + 1 + size  # what the layer says at the end of a step, behind the sources of before
    address = (len(weights) - 1).bit_length()

    @process(width=max(bits, event_width(own_last) + 1), signed=True)
    def recurrent(events: Stream[U[event_width(last)]], own: Stream[U[event_width(size)]],
                  v: Mem[S[bits], size + 1]) -> U[event_width(size)]:
        listens = 0  # to itself
        while True:
            if listens:
                row: U[address] = next(own) + (last + 1)
            else:
                row: U[address] = next(events)
            step = row == last
            for n in range(size + 1):
                p = v[n] + weights[row << column | n]
                fired = step and p >= threshold[n]
                v[n] = 0 if fired else low if step and p < low else p
                if fired:
                    yield n
            listens = step or (listens and row != own_last)
    return recurrent


def make_graph(layers: Layers, name: str = "ubrain") -> Graph:
    """Return the network as one graph: stream ``events`` in, stream ``o`` out."""
    # Memories are beyond what the rules of placement know: a buffer at every output of a fork.
    parts = {layer.name: compile(make_layer(layer), buffers="safe") for layer in layers.layers}
    links = []
    for layer, after in zip(layers.layers, (*layers.layers[1:], None), strict=True):
        targets = [] if after is None else [(after.name, "events", _QUEUE)]
        if layer.recurrent is not None:
            # It hears itself only after the step: all it may send in a step has to wait.
            targets.append((layer.name, "own", layer.lif.neurons + 1))
        if targets:
            links.append(Link((layer.name, "o"), tuple(targets), output="" if after else "o"))
    return compose(name, parts, links)


def run_python(layers: Layers, events: Iterable[int],
               potentials: dict[str, list[int]] | None = None) -> Iterator[int]:
    """Yield the events that leave, as CPython runs the functions, with each value compared with its type.

    Parameters
    ----------
    potentials
        By layer, the list to keep potentials in.
    """
    stream: Iterator[int] = iter(events)
    for layer in layers.layers:
        memory = (potentials or {}).get(layer.name)
        memory = [0] * (layer.lif.neurons + 1) if memory is None else memory
        model = make_layer(layer).model()
        if layer.recurrent is None:
            stream = _tokens(model(events=stream, v=memory))
        else:
            queue: deque[int] = deque()
            stream = _heard(_tokens(model(events=stream, own=iter(queue.popleft, None), v=memory)), queue)
    yield from stream


def _tokens(generator: Iterator[int]) -> Iterator[int]:
    """Yield until an input ends, which ``next`` in a generator tells as a `RuntimeError`."""
    try:
        yield from generator
    except RuntimeError as error:
        if not isinstance(error.__cause__, StopIteration):
            raise


def _heard(stream: Iterator[int], queue: deque[int]) -> Iterator[int]:
    for event in stream:
        queue.append(event)
        yield event

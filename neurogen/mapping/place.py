"""Puts parts of populations into the memories of one pass."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from neurogen.mapping.geometry import Block, Piece, Place, ceil_div
from neurogen.mapping.images import (
    conv_rows,
    dense_rows,
    external_words,
    initial_sets,
    parameter_rows,
    parameter_sets,
    sub_windows,
)
from neurogen.mapping.lower import Connection, most_spikes
from neurogen.mapping.plan import Instruction, Pass, Placement
from neurogen.mapping.program import Program
from neurogen.spec.conv import Conv
from neurogen.spec.mega import BANKS, BLOCK, MegaSpec, Op, encode
from neurogen.spec.network import Network


__all__ = ["Layout"]


@dataclass
class Layout:
    """Addresses, images and program of one pass.

    `usage` says whether it fits; `build` makes the images.

    Parameters
    ----------
    spec, network, connections
        What to place, and where; connections by population.
    pieces
        In the order of `Network.populations`.
    observed
        Populations whose spikes leave; those with a consumer outside the pass do, too.

    Attributes
    ----------
    places, consumers
        By population: where it is, and the populations that take its spikes.
    state_rows, spike_rows
        Rows that are taken.
    fills
        Instructions that fill states with initial values.
    program
        What runs on it.
    """

    spec: MegaSpec
    network: Network
    connections: dict[str, tuple[Connection, ...]]
    pieces: tuple[Piece, ...]
    observed: Iterable[str]

    def __post_init__(self):
        self._weight_rows = 0
        self._images = []  # (first row, function that returns the rows)
        self._externals = []  # functions that return rows
        self._external_words = 0
        self._load_rows = 0
        self._shared = {}
        self.places = {p.name: Place(p, self.network.nodes[p.name], self.spec.total_lanes,
                                      most_spikes(self.network, p.name)) for p in self.pieces}
        self.consumers = {}
        for target, ways in self.connections.items():
            for way in ways:
                self.consumers.setdefault(way.source, set()).add(target)
        self.state_rows, self.spike_rows = self._allocate()
        self.fills = [ins for place in self.places.values() for ins in self._place_parameters(place)]
        self._resident = [p for p in self.pieces if not p.loaded]
        for piece in self._resident:
            for way in self.connections[piece.name]:
                self.blocks_of(way, self.places[piece.name])
        self.program = Program(self)

    # -- Addresses --------------------------------------------------------------------------------

    def _allocate(self):
        state = spike = scratch = 0
        names = list(self.places)
        for place in self.places.values():
            place.state = state
            state += place.rows
            if place.node.cuba:
                place.membrane = state
                state += place.rows
            if place.spikes:
                place.slots = self._slots(names, place.piece.name)
                place.spike = spike
                spike += place.rows * place.slots * place.planes
            else:
                scratch = max(scratch, place.rows)
        for place in self.places.values():
            if not place.spikes:
                place.spike = spike  # rows of zeros that nobody reads
        return state, spike + scratch

    def _slots(self, names, name):
        """Return the slots of the ring of a population: a power of two."""
        need = 1
        for reader in names:
            # A population that runs later in the step finds the new spikes already written.
            later = names.index(reader) > names.index(name)
            need = max([need, *(way.delay + later for way in self.connections[reader] if way.source == name)])
        return 1 << (need - 1).bit_length()

    def _reserve(self, rows, image):
        """Return the first of ``rows`` new weight rows."""
        base = self._weight_rows
        self._weight_rows += rows
        self._images.append((base, image))
        return base

    def _place_parameters(self, place):
        """Reserve parameters and initial values; return the instructions that fill states."""
        spec, name, window = self.spec, place.piece.name, place.piece.window
        bias = self.network.total_bias(name).reshape(place.node.shape[0], -1)[:, 0]
        part = slice(window.c0, window.c1)
        sets = parameter_sets(spec, place.node, bias)[:, part]
        place.always = bool(sets[2].any())
        place.parameters, place.per_neuron = place.again = self._sets(place, sets)
        if place.planes > 1 and place.always:  # the bias is added once
            place.again = self._sets(place, sets * (np.arange(len(sets)) != 2)[:, None])
        initial = np.broadcast_to(place.node.initial, place.node.shape[:1])[part]
        return self._fill(place, initial) if initial.any() else []

    def _sets(self, place, sets):
        """Reserve rows for parameter sets; return the first, and whether each bank has its own."""
        spec, per_neuron = self.spec, False
        if place.vector:
            sets, per_neuron = _of_vector(sets, spec.total_lanes)
        count = ceil_div(sets.shape[1], spec.total_lanes)
        return self._reserve(count * spec.parameter_rows, lambda: parameter_rows(spec, sets)), per_neuron

    def _fill(self, place, initial):
        spec, total = self.spec, self.spec.total_lanes
        common = {"op": Op.INIT, "once": 1, "fill": 1}
        place.always = True  # neurons outside the map are filled as well: their spikes must be masked
        if place.vector:
            count = ceil_div(len(initial), total)
            count = ceil_div(count, BANKS) * BANKS
            sets = initial_sets(spec, np.pad(initial, (0, count * total - len(initial))))
            base = self._reserve(count * spec.parameter_rows, lambda: parameter_rows(spec, sets))
            return [Instruction(common | {"state_base": place.state, "rows": place.groups,
                                          "weight_base": base}, place.piece.name)]
        fills = []
        for group in range(place.groups):
            values = initial[group * total:(group + 1) * total]
            values = np.pad(values, (0, total - len(values)))
            # One INIT fills a block: a set for each bank of each of its rows.
            key = ("fill", values.tobytes())
            if key not in self._shared:
                def image(values=values):
                    return np.tile(parameter_rows(spec, initial_sets(spec, values)), (BANKS * BLOCK, 1, 1))
                self._shared[key] = self._reserve(BANKS * BLOCK * spec.parameter_rows, image)
            first = place.state + group * place.group_rows
            fills += [Instruction(common | {"state_base": first + row, "rows": BLOCK,
                                            "weight_base": self._shared[key]}, place.piece.name, group=group)
                      for row in range(0, place.group_rows, BLOCK)]
        return fills

    # -- Weights ----------------------------------------------------------------------------------

    def blocks_of(self, way, place):
        """Return the blocks of weights of a connection, and reserve their rows once."""
        synapse = self.network.nodes[way.synapse]
        channels, groups = way.shape[0], place.groups
        if isinstance(synapse, Conv):
            per_channel = (synapse.stride * sub_windows(synapse)) ** 2
        else:
            per_channel = int(np.prod(way.shape[1:])) if way.flat else 1
        key = (way.synapse, way.low, way.shape, way.flat, place.piece)
        if not place.piece.loaded:
            if key not in self._shared:
                block = Block(0, groups, 0, channels)
                block.base = self._reserve(channels * per_channel * groups, self._image(way, place, block))
                self._shared[key] = [block]
            return self._shared[key]
        streamed = way.source not in self.places
        key = (*key, way.source if not streamed else "")
        if key not in self._shared:
            step = 1 if streamed else self.spec.total_lanes * (
                BANKS * BLOCK if len(way.shape) == 1 else 1)
            self._shared[key] = self._chunks(way, place, per_channel, step)
        return self._shared[key]

    def _chunks(self, way, place, per_channel, step):
        """Cut the weights of a connection into blocks that fit above the resident rows."""
        channels, groups = way.shape[0], place.groups
        available = max(0, self.spec.weight_depth - self._weight_rows)
        some_groups = min(groups, max(1, available // (channels * per_channel)))
        some_channels = channels
        # Channels one after the other are not in raster order.
        whole = place.node.saturate and len(way.shape) == 3
        if not whole and channels * per_channel * some_groups > available:
            some_channels = min(channels, max(1, available // per_channel // step) * step)
        self._load_rows = max(self._load_rows, some_channels * per_channel * some_groups)
        blocks = []
        for g in range(0, groups, some_groups):
            for c in range(0, channels, some_channels):
                block = Block(g, min(groups, g + some_groups), c, min(channels, c + some_channels))
                block.base, block.external = self._weight_rows, self._external_words
                block.rows = (block.c1 - c) * per_channel * (block.g1 - g)
                self._external_words += block.rows * ceil_div(BANKS * self.spec.total_lanes, 4)
                self._externals.append(self._image(way, place, block))
                blocks.append(block)
        return blocks

    def _image(self, way, place, block):
        """Return the function that makes the rows of a block."""
        spec, synapse, window = self.spec, self.network.nodes[way.synapse], place.piece.window
        unit = spec.total_lanes * (BANKS if place.vector else 1)
        outputs = range(window.c0 + block.g0 * unit, min(window.c1, window.c0 + block.g1 * unit))
        if isinstance(synapse, Conv):
            channels = range(way.low + block.c0, way.low + block.c1)
            return lambda: conv_rows(synapse, channels, outputs, spec.total_lanes)
        shape = way.shape if len(way.shape) == 3 else (*way.shape, 1, 1)
        columns = slice(way.low, way.low + way.width)
        return lambda: dense_rows(synapse.weight[:, columns], shape, range(block.c0, block.c1), outputs,
                                  spec.total_lanes)

    # -- Result -----------------------------------------------------------------------------------

    @property
    def usage(self) -> dict[str, tuple[int, int]]:
        """Memory -> (used, available)."""
        spec = self.spec
        return {"state_depth": (self.state_rows, spec.state_depth),
                "weight_depth": (self._weight_rows + self._load_rows, spec.weight_depth),
                "spike_depth": (self.spike_rows, spec.spike_depth),
                "program_depth": (len(self.program.instructions) * spec.instruction_words,
                                  spec.program_depth),
                "max_pool_rows": (self.program.pool_rows, spec.max_pool_rows)}

    @property
    def fits(self) -> bool:
        """Whether every memory is large enough."""
        return all(used <= available for used, available in self.usage.values())

    def build(self) -> Pass:
        """Return the pass with its images."""
        spec = self.spec
        program = self.program
        words = [word for ins in program.instructions for word in encode(spec, ins.fields)]
        weights = np.zeros((self._weight_rows, BANKS, spec.total_lanes), np.int8)
        for base, image in self._images:
            rows = image()
            weights[base:base + len(rows)] = rows
        external = [external_words(image()) for image in self._externals]
        return Pass(spec, tuple(program.instructions), np.array(words, np.uint32), weights,
                    np.concatenate(external) if external else np.zeros(0, np.uint32), tuple(program.sources),
                    program.emissions, tuple(self._placement(p) for p in self.places.values()), self.usage)

    def _placement(self, place):
        cuba = place.node.cuba
        return Placement(
            place.piece.name, place.node.shape, place.piece.window, place.membrane if cuba else place.state,
            place.state if cuba else -1, place.group_rows, place.tiles_x, place.rows, place.spike,
            place.rows * place.slots * place.planes, place.slots)


def _wide(sets, count):
    """Return parameter sets for ``count`` neurons; those that are missing get zeros."""
    return np.pad(sets, ((0, 0), (0, count - sets.shape[1])))


def _of_vector(sets, total):
    """Return the parameter sets to store for a vector, and whether each bank needs its own."""
    neurons = sets.shape[1]
    shared = np.zeros((len(sets), total), np.int64)
    shared[:, :min(neurons, total)] = sets[:, :total]
    if neurons < total:
        shared[0, neurons:] = 1  # never reached
    tiled = np.tile(shared, ceil_div(neurons, total))[:, :neurons]
    padded = ceil_div(neurons, BANKS * total) * BANKS * total > neurons
    # Lanes without a neuron must not have a bias, or they would spike.
    if (tiled == sets).all() and not (padded and sets[2].any()):
        return sets[:, :total], False
    count = ceil_div(neurons, BANKS * total) * BANKS * total
    wide = _wide(sets, count)
    wide[0, neurons:] = sets[0].max()
    return wide, True

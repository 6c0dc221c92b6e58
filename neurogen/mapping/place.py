"""Puts parts of populations into the memories of one pass, and writes its program."""

from collections.abc import Iterable
from dataclasses import dataclass, field

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
from neurogen.mapping.plan import Emission, Instruction, Pass, Placement, StreamSource
from neurogen.spec.conv import Conv
from neurogen.spec.lif import DECAY_ONE, Reset
from neurogen.spec.mega import BANKS, BLOCK, MegaSpec, Op, ResetMode, Source, encode
from neurogen.spec.network import Network


__all__ = ["Layout"]


_RESETS = {Reset.SUBTRACT: ResetMode.SUBTRACT, Reset.ZERO: ResetMode.ZERO, Reset.NONE: ResetMode.NONE}


@dataclass
class Layout:
    """Addresses and program of one pass.

    `usage` says whether it fits; `build` makes the images.

    Parameters
    ----------
    spec, network, connections
        What to place, and where; connections by population.
    pieces
        In the order of `Network.populations`.
    observed
        Populations whose spikes leave; those with a consumer outside the pass do, too.
    """

    spec: MegaSpec
    network: Network
    connections: dict[str, tuple[Connection, ...]]
    pieces: tuple[Piece, ...]
    observed: Iterable[str]
    instructions: list[Instruction] = field(default_factory=list)
    sources: list[StreamSource] = field(default_factory=list)
    emissions: dict[int, Emission] = field(default_factory=dict)

    def __post_init__(self):
        self._weight_rows = 0
        self._images = []  # (first row, function that returns the rows)
        self._externals = []  # functions that return rows
        self._external_words = 0
        self._pool_rows = 0
        self._load_rows = 0
        self._shared = {}
        self._places = {p.name: Place(p, self.network.nodes[p.name], self.spec.total_lanes,
                                      most_spikes(self.network, p.name)) for p in self.pieces}
        self._consumers = {}
        for target, ways in self.connections.items():
            for way in ways:
                self._consumers.setdefault(way.source, set()).add(target)
        self._state_rows, self._spike_rows = self._allocate()
        self._fills = [ins for place in self._places.values() for ins in self._place_parameters(place)]
        self._resident = [p for p in self.pieces if not p.loaded]
        for piece in self._resident:
            for way in self.connections[piece.name]:
                self._blocks_of(way, self._places[piece.name])
        self._program()

    # -- Addresses --------------------------------------------------------------------------------

    def _allocate(self):
        state = spike = scratch = 0
        names = list(self._places)
        for place in self._places.values():
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
        for place in self._places.values():
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

    def _blocks_of(self, way, place):
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
        streamed = way.source not in self._places
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

    # -- Program ----------------------------------------------------------------------------------

    def _program(self):
        steps = self.instructions
        steps.append(Instruction({"op": Op.INIT, "once": 1, "rows": self._state_rows}))
        steps.append(Instruction({"op": Op.INIT, "once": 1, "spikes": 1, "rows": self._spike_rows}))
        steps += self._fills
        ticked = False
        for number, (name, place) in enumerate(self._places.items()):
            for way in self.connections[name]:
                self._integrate(way, place)
            self._sweep(place)
            if name in self.observed or not self._consumers.get(name, set()) <= set(self._places):
                emission = self.network.populations.index(name)
                self.emissions[emission] = Emission(name, place.node.shape)
                if place.spikes:
                    ticked = number == len(self._places) - 1
                    self._emit(place, emission, ticked)
        if not ticked:
            steps.append(Instruction({"op": Op.EMIT, "tick": 1}))
        last = steps.pop()
        steps.append(Instruction(last.fields | {"end_of_step": 1}, last.population, window=last.window))

    def _integrate(self, way, place):
        piece, spec = place.piece, self.spec
        shape = way.shape if len(way.shape) == 3 else (*way.shape, 1, 1)
        source = self._places.get(way.source)
        if way.max_pool:
            self._pool_rows = max(self._pool_rows,
                                  shape[1] * shape[2] * ceil_div(shape[0], spec.total_lanes))
        common = {"op": Op.INTEGRATE, "pool_log2": way.pool_log2, "max_pool": int(way.max_pool),
                  "in_h": shape[1], "in_w": shape[2],
                  "fraction": spec.fraction_bits.index(place.node.fraction_bits)}
        synapse = self.network.nodes[way.synapse]
        for block in self._blocks_of(way, place):
            if block.external >= 0:
                load = {"op": Op.LOAD, "weight_base": block.base, "rows": block.rows,
                        "external": block.external}
                self.instructions.append(Instruction(load, piece.name, way.synapse, way.source, block.g0,
                                                     piece.window))
            fields = common | self._target(place, block, synapse, shape)
            fields |= {"in_channels": block.c1 - block.c0, "weight_base": block.base}
            if source is None:
                part = () if block.c1 - block.c0 == way.shape[0] else (block.c0, block.c1)
                self.sources.append(StreamSource(way.source, way.delay, part))
                variants = [{"source": Source.STREAM, "vector": int(len(way.shape) == 1)}]
            else:  # whoever spikes twice has spiked once: a max pool needs the first plane only
                variants = [{"source": Source.SPIKES} | self._scan_part(source, way, block, plane)
                            for plane in range(1 if way.max_pool else source.planes)]
            first = (block.g0, piece.window.c0, piece.window.y0, piece.window.x0) == (0, 0, 0, 0)
            self.instructions += [Instruction(fields | variant, piece.name, way.synapse, way.source, block.g0,
                                              piece.window, first) for variant in variants]

    def _scan_part(self, source, way, block, plane):
        """Return the spike rows that hold the channels of a block."""
        fields = source.ring(way.delay, plane) | source.scan()
        if block.c1 - block.c0 < way.shape[0]:
            unit = self.spec.total_lanes * (BANKS if source.vector else 1)
            first, last = block.c0 // unit, ceil_div(block.c1, unit)
            fields["spike_base"] += first * source.group_rows
            fields["rows"] = (last - first) * source.group_rows
        return fields

    def _target(self, place, block, synapse, shape):
        """Return the fields of an INTEGRATE that say where events go."""
        spec, window, groups = self.spec, place.piece.window, block.g1 - block.g0
        unit = spec.total_lanes * (BANKS if place.vector else 1)
        fields = {"groups": groups, "group_rows": place.group_rows,
                  "state_base": place.state + block.g0 * place.group_rows,
                  "last_lanes": min(unit, window.size[0] - (block.g1 - 1) * unit)}
        if place.vector:
            across = (block.c1 - block.c0) * groups
            return fields | {"dense": 1, "ops": groups, "words_per_channel": groups,
                             "weight_x": across if shape[2] > 1 else 0,
                             "weight_y": across * shape[2] if shape[1] > 1 else 0}
        subs = sub_windows(synapse)
        ops = subs ** 2 * groups
        return fields | {
            "kernel": synapse.kernel, "stride2": int(synapse.stride == 2), "pad_y": synapse.padding[0],
            "pad_x": synapse.padding[1], "off_y": window.y0, "off_x": window.x0, "subs": subs, "ops": ops,
            "words_per_channel": synapse.stride ** 2 * ops, "out_h": window.size[1],
            "out_w": window.size[2], "out_tiles_x": place.tiles_x}

    def _sweep(self, place):
        node, spec, window = place.node, self.spec, place.piece.window
        constant, zero = (node.decay == DECAY_ONE).all(), (node.decay == 0).all()
        # A decay of 0 may have no code (`leak` modulo 2**state_bits); clipping to 0 is the same.
        common = {"op": Op.SWEEP, "vector": int(place.vector),
                  "reset": _RESETS[node.reset], "leaky": int(not constant and not zero),
                  "cuba": int(node.cuba), "always": int(place.always), "per_neuron": int(place.per_neuron),
                  "v_lo": 0 if zero else node.v_lo, "v_hi": 0 if zero else node.v_hi}
        if node.cuba:
            still = (node.synapse_decay == 0).all()
            common |= {"i_lo": 0 if still else node.i_lo, "i_hi": 0 if still else node.i_hi}
        if not place.vector:
            common |= {"out_h": window.size[1], "out_w": window.size[2]}
        for plane in range(place.planes):
            mine = common | place.ring(0, plane)
            base, parameters = place.state, place.parameters
            if plane:  # integrated already: fire again
                parameters, per_neuron = place.again
                mine |= {"cuba": 0, "per_neuron": int(per_neuron)}
                if node.cuba:  # rows of V are not known to be dirty
                    base, mine["always"] = place.membrane, 1
            if plane < place.planes - 1:  # decay and clip come after the last spike
                half = 1 << spec.state_bits - 1
                mine |= {"leaky": 0, "v_lo": -half, "v_hi": half - 1}
            for group in range(1 if place.vector else place.groups):
                rows = group * place.group_rows
                fields = mine | {"rows": place.tiles, "state_base": base + rows,
                                 "weight_base": parameters + group * spec.parameter_rows,
                                 "spike_base": mine["spike_base"] + rows}
                if mine["cuba"]:
                    fields["membrane_base"] = place.membrane + rows
                self.instructions.append(Instruction(fields, place.piece.name, group=group, window=window))

    def _emit(self, place, number, tick):
        window = place.piece.window
        common = {"op": Op.EMIT, "population": number, "off_c": window.c0, "off_y": window.y0,
                  "off_x": window.x0} | place.scan()
        self.instructions += [Instruction(
            common | place.ring(0, plane) | {"tick": int(tick and plane == place.planes - 1)},
            place.piece.name, window=window) for plane in range(place.planes)]

    # -- Result -----------------------------------------------------------------------------------

    @property
    def usage(self) -> dict[str, tuple[int, int]]:
        """Memory -> (used, available)."""
        spec = self.spec
        return {"state_depth": (self._state_rows, spec.state_depth),
                "weight_depth": (self._weight_rows + self._load_rows, spec.weight_depth),
                "spike_depth": (self._spike_rows, spec.spike_depth),
                "program_depth": (len(self.instructions) * spec.instruction_words, spec.program_depth),
                "max_pool_rows": (self._pool_rows, spec.max_pool_rows)}

    @property
    def fits(self) -> bool:
        """Whether every memory is large enough."""
        return all(used <= available for used, available in self.usage.values())

    def build(self) -> Pass:
        """Return the pass with its images."""
        spec = self.spec
        program = [word for ins in self.instructions for word in encode(spec, ins.fields)]
        weights = np.zeros((self._weight_rows, BANKS, spec.total_lanes), np.int8)
        for base, image in self._images:
            rows = image()
            weights[base:base + len(rows)] = rows
        external = [external_words(image()) for image in self._externals]
        return Pass(spec, tuple(self.instructions), np.array(program, np.uint32), weights,
                    np.concatenate(external) if external else np.zeros(0, np.uint32), tuple(self.sources),
                    self.emissions, tuple(self._placement(p) for p in self._places.values()), self.usage)

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

"""Writes the program of one pass: what runs in which order, on the addresses of a layout."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from neurogen.mapping.geometry import ceil_div
from neurogen.mapping.images import sub_windows
from neurogen.mapping.plan import Emission, Instruction, StreamSource
from neurogen.spec.lif import DECAY_ONE, Reset
from neurogen.spec.mega import BANKS, Op, ResetMode, Source


if TYPE_CHECKING:
    from neurogen.mapping.place import Layout


__all__ = ["Program"]


_RESETS = {Reset.SUBTRACT: ResetMode.SUBTRACT, Reset.ZERO: ResetMode.ZERO, Reset.NONE: ResetMode.NONE}


@dataclass
class Program:
    """The instructions of a pass, its streams and its emissions.

    Parameters
    ----------
    layout
        Where everything is.
    instructions, sources, emissions
        As in `neurogen.mapping.plan.Pass`; written from the layout.
    pool_rows
        Rows of the memory of MaxPool that the program needs.
    """

    layout: "Layout"
    instructions: list[Instruction] = field(default_factory=list)
    sources: list[StreamSource] = field(default_factory=list)
    emissions: dict[int, Emission] = field(default_factory=dict)
    pool_rows: int = 0

    def __post_init__(self):
        self._write()

    def _write(self):
        steps, layout = self.instructions, self.layout
        steps.append(Instruction({"op": Op.INIT, "once": 1, "rows": layout.state_rows}))
        steps.append(Instruction({"op": Op.INIT, "once": 1, "spikes": 1, "rows": layout.spike_rows}))
        steps += layout.fills
        ticked = False
        for number, (name, place) in enumerate(layout.places.items()):
            for way in layout.connections[name]:
                self._integrate(way, place)
            self._sweep(place)
            if name in layout.observed or not layout.consumers.get(name, set()) <= set(layout.places):
                emission = layout.network.populations.index(name)
                self.emissions[emission] = Emission(name, place.node.shape)
                if place.spikes:
                    ticked = number == len(layout.places) - 1
                    self._emit(place, emission, ticked)
        if not ticked:
            steps.append(Instruction({"op": Op.EMIT, "tick": 1}))
        last = steps.pop()
        steps.append(Instruction(last.fields | {"end_of_step": 1}, last.population, window=last.window))

    def _integrate(self, way, place):
        piece, spec, layout = place.piece, self.layout.spec, self.layout
        shape = way.shape if len(way.shape) == 3 else (*way.shape, 1, 1)
        source = layout.places.get(way.source)
        if way.max_pool:
            self.pool_rows = max(self.pool_rows, shape[1] * shape[2] * ceil_div(shape[0], spec.total_lanes))
        common = {"op": Op.INTEGRATE, "pool_log2": way.pool_log2, "max_pool": int(way.max_pool),
                  "in_h": shape[1], "in_w": shape[2],
                  "fraction": spec.fraction_bits.index(place.node.fraction_bits)}
        synapse = layout.network.nodes[way.synapse]
        for block in layout.blocks_of(way, place):
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
            unit = self.layout.spec.total_lanes * (BANKS if source.vector else 1)
            first, last = block.c0 // unit, ceil_div(block.c1, unit)
            fields["spike_base"] += first * source.group_rows
            fields["rows"] = (last - first) * source.group_rows
        return fields

    def _target(self, place, block, synapse, shape):
        """Return the fields of an INTEGRATE that say where events go."""
        spec, window, groups = self.layout.spec, place.piece.window, block.g1 - block.g0
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
        node, spec, window = place.node, self.layout.spec, place.piece.window
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

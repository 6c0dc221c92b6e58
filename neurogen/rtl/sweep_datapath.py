"""The data path of a sweep: rows of a cluster's states through the LIF data paths, a chunk at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring

from neurogen.rtl.lif_datapath import LifDatapath
from neurogen.spec.mega import BANKS, PARAMETERS, MegaSpec


__all__ = ["lif_latency", "lif_layout", "sweep_rows"]


def lif_layout(spec: MegaSpec) -> data.StructLayout:
    """Return the layout of the controls of the LIF data paths."""
    fields = {
        "load": 1,      # take the row (if staggered, the chunk) whose `read` was two cycles before
        "shift": 1,     # pass a chunk to the data paths
        "chunk": range(max(2, spec.sweep_cycles)),  # its number; if staggered, of that which is loaded
        "collect": 1,   # take the chunk that leaves the data paths
        "first": 1,     # with collect: it is the first of its row
        "parameters": data.ArrayLayout(1, spec.parameter_rows),  # take a parameter row
        "reset": 2, "leaky": 1, "fire": 1,
        "lo": signed(spec.state_bits), "hi": signed(spec.state_bits),
    }
    if spec.cuba:
        fields |= {"synapse": 1, "membrane": 1}
    return data.StructLayout(fields)


def lif_latency(spec: MegaSpec) -> int:
    """Return the cycles of a chunk in the LIF data paths."""
    return LifDatapath.LATENCY + _lif_registers(spec)


def _lif_registers(spec):
    # Where events share the ports of the states, reads and writes of rows have to fall together: a row (if
    # staggered, its first chunk) is written that many cycles after what it collides with has read.
    cycles, apart = spec.sweep_cycles, 1 + spec.staggered + LifDatapath.LATENCY
    if not spec.overlap or cycles >= BANKS:
        return 0
    return next((more for more in range(3) if (apart + more) % cycles == 0), 0)


@dataclass(frozen=True)
class _Chunks:
    """How a row is divided: neurons of a chunk, of all chunks, of the registers; places of neurons.

    Neurons are counted lane by lane. Those beyond the row's own, in the last chunk, stay zero.
    """

    size: int
    padded: int
    held: int
    places: Sequence[int]


def _chunks(spec):
    cycles, total = spec.sweep_cycles, BANKS * spec.lanes
    if spec.staggered:  # a line of banks each
        size = total // 3
        return _Chunks(size, total, size, [bank // 3 * size + 3 * lane + bank % 3
                                           for lane, bank in product(range(spec.lanes), range(BANKS))])
    if cycles > spec.lanes:  # a part of a lane
        return _Chunks(total // cycles, total, total, range(total))
    # Whole lanes: neighbours take turns in a data path, so that nothing has far to go.
    lanes = -(-spec.lanes // cycles)
    size = BANKS * lanes
    return _Chunks(size, size * cycles, size * cycles, [
        lane % cycles * size + lane // cycles * BANKS + bank
        for lane, bank in product(range(lanes * cycles), range(BANKS))])


def sweep_rows(m: Module, cluster: wiring.Component, taps: Sequence[Value], states: Sequence[data.View],
               swept: Sequence[data.View]) -> None:
    """Pass the rows that a cluster's banks read through LIF data paths; drive ``swept`` and its outputs.

    It is part of `neurogen.rtl.cluster.Cluster`, where ``lif``, ``spikes``, ``nonzero`` and ``r_*`` are
    described.

    Parameters
    ----------
    taps
        Words of the tap memories, which hold the parameters of neurons, too.
    states, swept
        Of each bank, the states of its lanes: as they were read; after the step.
    """
    spec, lif, chunks = cluster.spec, cluster.lif, _chunks(cluster.spec)
    bits = spec.state_bits
    m.submodules.lif = path = LifDatapath(
        chunks.size, bits, saturate=spec.saturate, registers=_lif_registers(spec), frugal=spec.frugal)
    # Frugal ones choose a chunk, and put a result where it belongs: each bit is clocked once for a row.
    # Others shift, as lines do that are held one at a time.
    chosen = spec.frugal and not spec.staggered
    row = _load(m, cluster, chunks, states, chosen)
    result, fired, nonzero = _collect(m, lif, chunks, path, chosen)
    m.d.comb += [path.valid.eq(lif.shift), cluster.nonzero.eq(nonzero)]
    for neuron, place in enumerate(chunks.places[:BANKS * spec.lanes]):
        lane, bank = divmod(neuron, BANKS)
        m.d.comb += [swept[bank][lane].eq(result.word_select(place % chunks.held, bits).as_signed()),
                     cluster.spikes[bank * spec.lanes + lane].eq(fired[place])]
    _show(m, cluster, chunks, row)
    parameters = _chunk_parameters(m, spec, lif, chunks, _parameters(m, spec, lif, taps))
    first = Signal(chunks.size * bits)
    m.d.comb += first.eq(_choose(lif.chunk, [row.word_select(number, chunks.size * bits)
                                             for number in range(spec.sweep_cycles)]) if chosen else row)
    for i, of_neuron in enumerate(parameters):
        leak = of_neuron["leak"]
        if spec.cuba:
            leak = Mux(lif.synapse, of_neuron["synapse_leak"], leak)
        m.d.comb += [
            path.v[i].eq(first.word_select(i, bits)),
            path.addend[i].eq(of_neuron["bias"]),
            path.threshold[i].eq(of_neuron["threshold"]),
            path.leak[i].eq(leak),
            path.reset_value[i].eq(of_neuron["reset_value"]),
        ]
    m.d.comb += [path.reset.eq(lif.reset), path.leaky.eq(lif.leaky), path.fire.eq(lif.fire),
                 path.lo.eq(lif.lo), path.hi.eq(lif.hi)]
    if spec.cuba:
        _integrate_current(m, lif, chunks, path)


def _shifted(register, incoming):
    """Return the register after the chunk ``incoming`` has entered at its top."""
    return Cat(register[len(incoming):], incoming)


def _load(m, cluster, chunks, states, chosen):
    """Return the register of the row, or of its line, that is swept or shown to a host."""
    spec, lif, held = cluster.spec, cluster.lif, chunks.held
    bits = spec.state_bits
    row = Signal(held * bits, reset_less=True)
    words = [Const(0, bits)] * chunks.padded
    for neuron in range(BANKS * spec.lanes):
        words[chunks.places[neuron]] = states[neuron % BANKS][neuron // BANKS]
    line = Signal(2)  # the chunk to load
    of_bank = _choose(_bank(cluster), [Const(b // 3) for b in range(BANKS)])
    m.d.comb += line.eq(Mux(cluster.r_load, of_bank, lif.chunk))
    with m.If(lif.load | cluster.r_load):
        m.d.sync += row.eq(_choose(line, [Cat(words[n:n + held]) for n in range(0, chunks.padded, held)]))
    if not spec.staggered and not chosen:
        with m.Elif(lif.shift):
            m.d.sync += row.eq(_shifted(row, Const(0, chunks.size * bits)) if chunks.size < held else row)
    return row


def _collect(m, lif, chunks, path, chosen):
    """Return the registers of what leaves the data paths: states, spikes, and whether a state is not zero."""
    result = Signal(chunks.held * path.state_bits, reset_less=True)
    fired = Signal(chunks.padded, reset_less=True)
    nonzero = Signal(reset_less=True)
    with m.If(lif.collect):
        m.d.sync += nonzero.eq(Cat(path.v_next).any() | (nonzero & ~lif.first))
    found = (result, Cat(path.v_next)), (fired, path.spike)
    if chosen:
        coming = lif.first
        for number in range(chunks.padded // chunks.size):
            with m.If(coming):
                m.d.sync += [register.word_select(number, len(value)).eq(value) for register, value in found]
            later = Signal(name=f"chunk{number + 1}")
            m.d.sync += later.eq(coming)
            coming = later
    else:
        with m.If(lif.collect):
            m.d.sync += [register.eq(_shifted(register, value)) for register, value in found]
    return result, fired, nonzero


def _bank(cluster):
    """Return the bank of the state that a host reads."""
    return cluster.r_index[cluster.spec.lanes.bit_length() - 1:]


def _show(m, cluster, chunks, row):
    """Show a host the state that it asks for."""
    # A tree of multiplexers: Yosys would make a shifter of all states, twice as large, of an index.
    spec = cluster.spec
    bits, of_lane = spec.state_bits, BANKS * chunks.held // chunks.padded
    lane_states = Signal(of_lane * bits, reset_less=True)
    with m.If(cluster.r_load if spec.frugal else 1):
        m.d.sync += lane_states.eq(_choose(cluster.r_index[:spec.lanes.bit_length() - 1], [
            Cat(row.word_select(place % chunks.held, bits) for place in chunks.places[n:n + of_lane])
            for n in range(0, BANKS * spec.lanes, BANKS)]))
    m.d.comb += cluster.r_data.eq(_choose(_bank(cluster), [
        lane_states.word_select(b % of_lane, bits) for b in range(BANKS)]))


def _parameters(m, spec, lif, taps):
    """Return the parameters of each lane, by name."""
    width = BANKS * spec.weight_bits
    lanes = []
    for lane in range(spec.lanes):
        word = Cat(tap.word_select(lane, spec.weight_bits) for tap in taps)
        held = Signal(width * spec.parameter_rows, name=f"parameters{lane}", reset_less=True)
        for part in range(spec.parameter_rows):
            with m.If(lif.parameters[part]):
                m.d.sync += held[part * width:(part + 1) * width].eq(word)
        lanes.append(held)
    names = PARAMETERS if spec.cuba else PARAMETERS[:-1]
    return [{name: held[i * spec.state_bits:(i + 1) * spec.state_bits] for i, name in enumerate(names)}
            for held in lanes]


def _chunk_parameters(m, spec, lif, chunks, sets):
    """Return the parameters of each neuron of the chunk that enters, from those of each lane."""
    if spec.staggered:
        return [sets[i // 3] for i in range(chunks.size)]
    all_lanes, lanes = chunks.padded // BANKS, max(1, chunks.size // BANKS)  # of a row, of a chunk
    sets = sets + [{name: Const(0, value.shape()) for name, value in sets[0].items()}] * (
        all_lanes - spec.lanes)
    turns = all_lanes // lanes
    turn = Signal(range(max(2, turns)))  # of the lanes that share data paths
    m.d.comb += turn.eq(lif.chunk if chunks.size >= BANKS
                        else _divide(lif.chunk, BANKS // chunks.size, spec.sweep_cycles))
    of_lanes = [{name: _choose(turn, [p[name] for p in sets[n * turns:(n + 1) * turns]]) for name in sets[0]}
                for n in range(lanes)]
    return [of_lanes[i // BANKS] for i in range(chunks.size)]


def _integrate_current(m, lif, chunks, path):
    """Make the integrated current of a CuBa row's first pass the input of its second."""
    chunk = chunks.size * path.state_bits
    current = Signal(chunks.padded * path.state_bits, reset_less=True)
    with m.If(lif.collect & lif.synapse):
        m.d.sync += current.eq(_shifted(current, Cat(path.integrated)))
    with m.Elif(lif.shift & lif.membrane):
        m.d.sync += current.eq(_shifted(current, current[:chunk]))
    with m.If(lif.membrane):
        m.d.comb += [path.addend[i].eq(current.word_select(i, path.state_bits)) for i in range(chunks.size)]


def _choose(index, values):
    """Return ``values[index]`` for an index in range."""
    if len(values) == 1:
        return values[0]
    half = 1 << (len(values) - 1).bit_length() - 1
    return Mux(index[half.bit_length() - 1], _choose(index, values[half:]), _choose(index, values[:half]))


def _divide(value, divisor, count):
    """Return ``value // divisor`` for a value below ``count``, by a table."""
    result = Const(0)
    for quotient in range(1, (count - 1) // divisor + 1):
        result = Mux(value >= quotient * divisor, quotient, result)
    return result

"""Mega, the event-driven accelerator: its parameters, its memories, and the layer program.

Words
-----
*Row*: the ``9 * lanes`` values at one address of the nine banks. *Total lanes*: ``lanes * clusters``;
clusters work in lock step, on the same address, each on its own output channels.

Memories
--------
state
    Nine banks of ``state_depth`` rows per cluster. A map is cut into tiles of 3x3 pixels: neuron
    ``(c, y, x)`` with ``c = g * total + j`` is lane ``j`` of bank ``3 * (y % 3) + x % 3`` in row
    ``base + g * group_rows + (y // 3) * tiles_x + x // 3``. Neuron ``n`` of a vector is lane
    ``n % total`` of bank ``n // total % 9`` in row ``base + n // (9 * total)``.
    Lane ``j`` of all is lane ``j % lanes`` of cluster ``j // lanes``.
weight
    Nine taps of ``weight_depth`` rows per cluster; lane ``j`` of a tap is the weight to lane ``j``.
    A row that holds *parameters* is read as ``9 * weight_bits`` bits per lane, tap 0 lowest; the
    fields of `PARAMETERS` follow each other, ``state_bits`` each, over as many rows as needed.
spike
    ``spike_depth`` rows of ``9 * total`` bits, bank-major, in the same order as the states.
program
    32-bit words: instructions of `MegaSpec.instruction_words` words.
counter
    For each instruction the 48-bit counters of `COUNTERS`, since the last start from step 0.

Convolution in runs of 3x3
--------------------------
An event at ``(y, x)`` after pooling has the anchor ``Y = (y + pad_y) // stride - off_y`` and the
parity ``p = (y + pad_y) % stride``; it reaches the outputs ``Y - j`` for ``0 <= j < J(p)``,
``J(p) = ceil((kernel - p) / stride)``, through kernel row ``stride * j + p``. Sub-window ``m`` of
``subs`` covers ``j = 3 * m + 2 - i`` for tap rows ``i = 0, 1, 2``, that is the outputs
``Y - 3 * m - 2 + i``. Columns alike. With ``q = p_y * stride + p_x`` and
``s = (q * subs + m_y) * subs + m_x`` the weights of input channel ``c`` to output group ``g`` are tap
``3 * i_y + i_x`` of row

    ``weight_base + c * words_per_channel + s * groups + g``

``off_y, off_x`` place a spatial tile: output ``(0, 0)`` of the pass is ``(off_y, off_x)`` of the
layer.

Dense
-----
Event ``(c, y, x)`` has its weights to state row ``r`` of ``groups`` rows in row ``weight_base
+ c * words_per_channel + y * weight_y + x * weight_x + r``, where tap ``b`` goes to bank ``b``. (The
order of the compiler: ``words_per_channel = groups``, ``weight_x = in_channels * groups``,
``weight_y = in_w * weight_x``.)
"""

from dataclasses import dataclass, fields
from math import ceil

from neurogen.spec.checks import check_int
from neurogen.spec.events import C_BITS, X_BITS, Y_BITS
from neurogen.spec.mega_registers import (
    BANKS,
    BLOCK,
    COUNTER_BITS,
    COUNTER_WORDS,
    COUNTERS,
    DEVICE_ID,
    INCREMENT_BITS,
    PARAMETERS,
    ControlBit,
    Csr,
    MemorySelect,
    Op,
    ResetMode,
    Source,
)


__all__ = ["BANKS", "BLOCK", "COUNTERS", "COUNTER_BITS", "COUNTER_WORDS", "DEVICE_ID",
           "INCREMENT_BITS", "PARAMETERS", "ControlBit", "Csr", "MegaSpec", "MemorySelect", "Op", "ResetMode",
           "Source", "decode", "encode"]


@dataclass(frozen=True, kw_only=True)
class MegaSpec:
    """Parameters of an accelerator.

    Parameters
    ----------
    lanes
        Output channels per cluster, a power of two, 1 to 64. A cluster does ``9 * lanes`` SOP/cycle.
    clusters
        1 to 16, a power of two.
    weight_bits
        Width of a signed weight, 2 to 8 bits.
    state_bits
        Width of states and neuron parameters, 8 to 24 bits.
    state_depth
        Rows of the state memory, a multiple of 8.
    weight_depth
        Rows of the weight memory, at least 8.
    spike_depth
        Rows of the spike memory, a multiple of 8.
    program_depth
        Words of the program memory, at least 64.
    fraction_bits
        Values of ``fraction_bits`` that populations may have; each 0 to 8, one to four of them.
    cuba
        Whether there are CuBa-LIF neurons.
    sweep_cycles
        Cycles in which a swept row passes through ``9 * ceil(lanes / sweep_cycles)`` LIF data paths: up to
        ``lanes``, or 3 or 9 times ``lanes``, with 3 data paths or 1.
    staggered
        Whether the three lines of banks work a cycle apart, so that no register has to hold a row that is
        swept. It needs three sweep cycles, which then have ``3 * lanes`` data paths.
    max_pool_rows
        Words (of total lanes) of the memory in which MaxPool remembers what it saw; 0 for none.
    external
        Whether there is a master for external memory (LOAD).
    saturate
        Whether additions to states are clipped to ``state_bits``, else they wrap; see `Lif`.
    overlap
        Whether the next instruction is fetched, and where nothing forbids it begun, while a SWEEP or an
        EMIT is under way.
    traffic
        Whether stalls are counted by cause, and words of memories.
    frugal
        Whether banks do only what an operation needs, for little energy on ASICs: a state that the operation
        just before holds is not read, a sum that the next one replaces is not written, and registers of banks
        that have nothing to add stand still. It costs comparators in the paths of the memories' enables.
    weight_registers
        Whether weights are in registers instead of memories: on ASICs, large, but a read takes a tenth of the
        energy of the smallest SRAM macros.
    """

    lanes: int
    clusters: int = 1
    weight_bits: int
    state_bits: int
    state_depth: int
    weight_depth: int
    spike_depth: int
    program_depth: int = 512
    fraction_bits: tuple[int, ...] = (0,)
    cuba: bool = False
    sweep_cycles: int = 1
    staggered: bool = False
    max_pool_rows: int = 0
    external: bool = False
    saturate: bool = False
    overlap: bool = True
    traffic: bool = True
    frugal: bool = False
    weight_registers: bool = False

    def __post_init__(self):
        object.__setattr__(self, "fraction_bits", tuple(self.fraction_bits))
        for name, value, low, high in (("Lane count", self.lanes, 1, 64),
                                       ("Cluster count", self.clusters, 1, 16)):
            check_int(name, value, minimum=low, maximum=high)
            if value & (value - 1):
                raise ValueError(f"{name} must be a power of two, not {value!r}")
        check_int("Weight width", self.weight_bits, minimum=2, maximum=8, unit="bits")
        check_int("State width", self.state_bits, minimum=8, maximum=24, unit="bits")
        for name, value, low in (("State depth", self.state_depth, BLOCK),
                                 ("Spike depth", self.spike_depth, BLOCK)):
            check_int(name, value, minimum=low, maximum=1 << 15, unit="rows")
            if value % BLOCK:
                raise ValueError(f"{name} must be a multiple of {BLOCK} rows, not {value!r}")
        check_int("Weight depth", self.weight_depth, minimum=8, maximum=1 << 15, unit="rows")
        check_int("Program depth", self.program_depth, minimum=64, maximum=1 << 12, unit="words")
        check_int("Sweep cycles", self.sweep_cycles, minimum=1, maximum=BANKS * self.lanes)
        if not self.staggered and self.sweep_cycles > self.lanes and (
                self.sweep_cycles not in (3 * self.lanes, 9 * self.lanes)):
            raise ValueError(f"Sweep cycles must be at most {self.lanes}, or {3 * self.lanes} or "
                             f"{9 * self.lanes}, not {self.sweep_cycles!r}")
        if self.staggered and self.sweep_cycles != 3:
            raise ValueError(f"Sweep cycles must be 3 where banks are staggered, not {self.sweep_cycles!r}")
        if not 1 <= len(self.fraction_bits) <= 4:
            raise ValueError(f"Fraction bits must be one to four values, not {self.fraction_bits!r}")
        for value in self.fraction_bits:
            check_int("Fraction bits", value, minimum=0, maximum=8)
        check_int("MaxPool depth", self.max_pool_rows, minimum=0, maximum=1 << 15, unit="rows")

    @property
    def total_lanes(self) -> int:
        """Lanes of all clusters."""
        return self.lanes * self.clusters

    @property
    def sops_per_cycle(self) -> int:
        """Peak synaptic operations per cycle."""
        return BANKS * self.total_lanes

    @property
    def config_word(self) -> int:
        """Register CONFIG: lanes 7:0, clusters 12:8, state bits 21:16, weight bits 27:24, saturate 28."""
        return (self.lanes | self.clusters << 8 | self.state_bits << 16 | self.weight_bits << 24
                | self.saturate << 28)

    @property
    def parameter_rows(self) -> int:
        """Weight rows that hold the parameters of one bank row of neurons."""
        count = len(PARAMETERS) if self.cuba else len(PARAMETERS) - 1
        return ceil(count * self.state_bits / (BANKS * self.weight_bits))

    def instruction_fields(self) -> dict[str, tuple[int, bool]]:
        """Return width and signedness of the fields of an instruction, lowest bits first.

        ==================== ====== ==================================================================
        field                ops    meaning
        ==================== ====== ==================================================================
        op                   all    `Op`
        once                 all    executed in step 0 of a run only
        end_of_step          all    last instruction of a step, and of the program
        vector               ISE    the source (I, E) or the swept population (S) is a vector
        spike_base           ISEN   first spike row
        ring_mask            ISE    slots - 1 of the ring of spike buffers (a power of two)
        ring_phase           ISE    the slot used in step t is ``(t + ring_phase) & ring_mask``
        ring_stride          ISE    rows from slot to slot
        rows                 ISENL  I, E: spike rows to scan; S, N: state rows; L: weight rows
        tiles                IE     rows per channel group of the source map
        tiles_x              IE     tiles per line of the source map
        source               I      `Source`
        pool_log2            I      events' coordinates are shifted right by this: 0 to 3
        max_pool             I      drop repeats within the step
        in_channels          I      channels of the source (stream events beyond it are errors)
        in_h, in_w           I      size of the source map after pooling; events outside are dropped
        dense                I      dense synapse, else a convolution
        kernel               I      1 to 7
        stride2              I      stride 2
        pad_y, pad_x         I      padding
        off_y, off_x         IE     I: tile offset; E: added to the coordinates of events
        off_c                E      added to the channel (or neuron)
        subs                 I      sub-windows per axis, 1 to 3
        words_per_channel    I      weight rows from input channel to input channel
        weight_y, weight_x   I      dense: weight rows from line to line, from column to column
        ops                  I      conv: subs**2 * groups; dense: groups
        groups               I      output groups (conv) or state rows per event (dense)
        group_rows           I      state rows per output group
        last_lanes           I      neurons of the last group or row (for the count of SOPs)
        fraction             I      index into the configuration's ``fraction_bits``
        out_h, out_w         IS     size of the target map (of the pass)
        out_tiles_x          I      tiles per line of the target map
        state_base           ISN    first state row (of the synaptic currents, for CuBa-LIF)
        membrane_base        S      first row of V of a CuBa-LIF
        weight_base          ISNL   first weight row (S: parameters; N: initial values)
        reset                S      `ResetMode`
        leaky                S      0: no decay of V (a = 4096 for all)
        cuba                 S      CuBa-LIF
        always               S      sweep rows even when clean (nonzero bias)
        per_neuron           S      parameters follow for each bank of each row, else one set for all
        v_lo, v_hi           S      guard band
        i_lo, i_hi           S      guard band of the currents (fields exist where ``cuba``)
        spikes               N      clear spike rows instead of filling states
        fill                 N      initial values are the ``reset_value`` of the parameter sets at
                                    weight_base, one per bank of each row, whose ``threshold`` is the
                                    lowest number; else zero
        population           E      number in the population word
        tick                 E      send an end-of-step word after the events
        external             L      first word in the external memory (``external`` only); a weight
                                    row is ``BANKS * total`` bytes, tap-major, four to a word
        ==================== ====== ==================================================================
        """
        b = self.state_bits
        state, spike = _bits(self.state_depth), _bits(self.spike_depth)
        weight = _bits(self.weight_depth)
        rows = max(state, spike, weight) + 1
        field = {
            "op": 3, "once": 1, "end_of_step": 1, "vector": 1,
            "spike_base": spike, "ring_mask": 8, "ring_phase": 8, "ring_stride": spike + 1,
            "rows": rows, "tiles": rows, "tiles_x": X_BITS,
            "source": 1, "pool_log2": 2, "max_pool": 1,
            "in_channels": C_BITS + 1, "in_h": Y_BITS + 1, "in_w": X_BITS + 1,
            "dense": 1, "kernel": 3, "stride2": 1, "pad_y": 3, "pad_x": 3,
            "off_y": Y_BITS, "off_x": X_BITS, "off_c": C_BITS, "subs": 2,
            "words_per_channel": weight + 1, "weight_y": weight + 1, "weight_x": weight + 1,
            "ops": weight + 1, "groups": rows, "group_rows": state + 1,
            "last_lanes": _bits(BANKS * self.total_lanes + 1), "fraction": 2,
            "out_h": Y_BITS + 1, "out_w": X_BITS + 1, "out_tiles_x": X_BITS,
            "state_base": state, "membrane_base": state, "weight_base": weight,
            "reset": 2, "leaky": 1, "cuba": 1, "always": 1, "per_neuron": 1,
            "v_lo": b, "v_hi": b,
            "spikes": 1, "fill": 1, "population": 8, "tick": 1,
        }
        if self.cuba:
            field |= {"i_lo": b, "i_hi": b}
        if self.external:
            field |= {"external": 30}
        signed = {"v_lo", "v_hi", "i_lo", "i_hi"}
        return {name: (width, name in signed) for name, width in field.items()}

    @property
    def instruction_words(self) -> int:
        """32-bit words of an instruction."""
        return ceil(sum(width for width, _ in self.instruction_fields().values()) / 32)

    @property
    def state_address_bits(self) -> int:
        """Width of a state row's address."""
        return _bits(self.state_depth)

    @property
    def weight_address_bits(self) -> int:
        """Width of a weight row's address."""
        return _bits(self.weight_depth)

    @property
    def spike_address_bits(self) -> int:
        """Width of a spike row's address."""
        return _bits(self.spike_depth)

    @property
    def tag_bits(self) -> int:
        """Width of the tag by which counts find their instruction: its number, and a bit."""
        return _bits(self.max_instructions) + 1

    @property
    def max_instructions(self) -> int:
        """Instructions that the program memory holds."""
        return self.program_depth // self.instruction_words

    def to_dict(self) -> dict:
        """Return the parameters as plain values."""
        return {f.name: list(v) if isinstance(v := getattr(self, f.name), tuple) else v
                for f in fields(self)}


def _bits(count):
    """Width of an index below ``count``; at least 1."""
    return max(1, (count - 1).bit_length())


def encode(spec: MegaSpec, instruction: dict[str, int]) -> list[int]:
    """Return the words of one instruction; fields that are not given are 0.

    Raises
    ------
    ValueError
        If a field is unknown or its value does not fit, or there is no external memory to LOAD from.
    """
    layout = spec.instruction_fields()
    unknown = set(instruction) - set(layout)
    if unknown:
        raise ValueError(f"Instruction fields must be those of the configuration, not "
                         f"{sorted(unknown)}")
    if instruction.get("op") == Op.LOAD and not spec.external:
        raise ValueError("Instruction LOAD must have a configuration with external memory")
    total = position = 0
    for name, (width, signed) in layout.items():
        value = int(instruction.get(name, 0))
        low, high = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
        check_int(f"Instruction field {name}", value, minimum=low, maximum=high)
        total |= (value & (1 << width) - 1) << position
        position += width
    return [total >> 32 * i & 0xFFFFFFFF for i in range(spec.instruction_words)]


def decode(spec: MegaSpec, words: list[int]) -> dict[str, int]:
    """Return all fields of one instruction, the inverse of `encode`."""
    total = sum(int(word) << 32 * i for i, word in enumerate(words))
    result = {}
    for name, (width, signed) in spec.instruction_fields().items():
        value = total & (1 << width) - 1
        total >>= width
        result[name] = value - (1 << width) if signed and value >> width - 1 else value
    return result

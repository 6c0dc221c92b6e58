"""Numbers that gateware and host of `neurogen.spec.mega` share: operations, memories, registers, counters."""

from enum import IntEnum, IntFlag


__all__ = ["BANKS", "BLOCK", "COUNTERS", "COUNTER_BITS", "COUNTER_WORDS", "DEVICE_ID", "INCREMENT_BITS",
           "PARAMETERS", "ControlBit", "Csr", "MemorySelect", "Op", "ResetMode", "Source"]


BANKS = 9
# Rows that share one dirty bit and one summary word. Bases of states and spikes are multiples.
BLOCK = 8
# Order of the parameter fields. ``leak`` is 4096 - a, modulo 2**state_bits.
PARAMETERS = ("threshold", "leak", "bias", "reset_value", "synapse_leak")
# events: accepted after pooling; sops; spikes; rows: swept (each bank's turn of a row, where
# parameters are per neuron); cycles: those of an INTEGRATE or LOAD, those of a SWEEP or INIT beside which
# there was none of these, those of an EMIT beside which there was neither; stalls: cycles in which a full
# output, an empty input, or states that a sweep had not reached yet held work up.
# The rest (0 without `traffic` of the configuration): starved: stalls of an INTEGRATE without an input word;
# waiting: stalls of one behind a sweep, for its rows or its ports; words of each memory, read and written, in
# every cluster: `lanes` states of a bank, `lanes` weights of a tap (parameters too), rows of spikes.
COUNTERS = ("events", "sops", "spikes", "rows", "cycles", "stalls", "starved", "waiting", "state_reads",
            "state_writes", "weight_reads", "weight_writes", "spike_reads", "spike_writes")
COUNTER_WORDS = 16  # places per instruction in the counter memory
COUNTER_BITS = 48
DEVICE_ID = 0x4E47_0001  # "NG", first version
INCREMENT_BITS = 32  # what one execution of an instruction may add to a counter


class Op(IntEnum):
    """Instructions.

    ``INTEGRATE`` adds all events of a source, through a synapse, to the states. ``SWEEP`` fires,
    resets, decays and clips one group of rows, and writes their spikes. ``EMIT`` sends spikes to the
    output stream. ``INIT`` fills states (or clears spikes). ``LOAD`` copies weight rows from the
    external memory.
    """

    INTEGRATE = 0
    SWEEP = 1
    EMIT = 2
    INIT = 3
    LOAD = 4


class Source(IntEnum):
    """Where INTEGRATE finds its events: the input stream, up to the next end of step, or spikes."""

    STREAM = 0
    SPIKES = 1


class ResetMode(IntEnum):
    """Reset of a SWEEP; see `neurogen.spec.lif.Reset`."""

    SUBTRACT = 0
    ZERO = 1
    NONE = 2


class MemorySelect(IntEnum):
    """Memories behind `Csr.MEM_DATA`, with the meaning of `Csr.MEM_ADDRESS`.

    The address is ``select << 28 | cluster << 24 | bank << 20 | row``. Data are 32-bit words, one lane
    each (sign-extended), ``lanes`` words a row, except PROGRAM and COUNTER: one word a row. Row
    ``(COUNTER_WORDS * i + k) * 2`` holds the low 32 bits of counter ``k`` of instruction ``i``, the next row
    the rest. PROGRAM and WEIGHT can only be written, STATE and COUNTER only be read, and only while
    the accelerator is idle. The row advances after its last word.
    """

    PROGRAM = 0
    WEIGHT = 1
    STATE = 2
    COUNTER = 3


class ControlBit(IntFlag):
    """Bits of CONTROL: start at step 0, go on for STEPS more, abort and flush, clear the sticky errors."""

    START = 1
    PROCEED = 2
    ABORT = 4
    CLEAR = 8


class Csr(IntEnum):
    """Word addresses of the registers on the control bus.

    ======================= ========================================================================
    ID (r)                  `DEVICE_ID`
    CONFIG (r)              `neurogen.spec.mega.MegaSpec.config_word`
    DEPTH (r)               state depth 15:0, weight depth 31:16
    CONTROL (w)             any of `ControlBit`
    STATUS (r)              bit 0: busy; bit 1: error in the input stream (an event outside the
                            input; it was dropped); bit 2: an unknown instruction, or LOAD without
                            ``external`` (execution stopped)
    STEPS (rw)              steps to run after a start
    STEP (r)                steps finished since the start (while busy, the last one may still be under way)
    CYCLES (r)              cycles since the start, modulo 2**32, frozen when idle
    MEM_ADDRESS (rw)        see `MemorySelect`
    MEM_DATA (rw)           next word of the memory
    ======================= ========================================================================
    """

    ID = 0
    CONFIG = 1
    DEPTH = 2
    CONTROL = 3
    STATUS = 4
    STEPS = 5
    STEP = 6
    CYCLES = 7
    MEM_ADDRESS = 8
    MEM_DATA = 9

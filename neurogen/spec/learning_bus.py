"""How a host talks to the learning engine: words of its input, registers, memories and counters."""

from enum import IntEnum


__all__ = ["COUNTERS", "LABELLED", "Csr", "Kind", "Region", "Status"]


class Kind(IntEnum):
    """What a word of the engine's input means: bits 16 and 17; bits 0 to 15 are its value."""

    SPIKE = 0  # of the input whose number is the value
    STEP = 1   # the spikes of a step are complete
    BEGIN = 2  # a sample starts; value: its label, and LABELLED if it has one


LABELLED = 1 << 15


class Csr(IntEnum):
    """Registers of the engine, by word address. `COUNTERS` follow, from ``COUNTER`` on."""

    STATUS = 0    # `Status`; writing a 1 clears a sticky bit
    SEED = 1      # state of the random register
    PERIOD = 2    # steps; taken at the next BEGIN
    FREEZE = 3    # a bit a layer: its weights stay
    RATE_W = 4
    RATE_R = 5
    RATE_P = 6
    RATE_Q = 7
    SELECT = 8    # `Region` << 24 | word: what DATA reads and writes
    DATA = 9      # 32 bits of the word, lowest first, then the next word
    COUNTER = 16  # counters; writing any of them clears all


class Status(IntEnum):
    """Bits of ``Csr.STATUS``. All but ``BUSY`` are sticky."""

    BUSY = 0       # a step is computed, or an event waits
    LABEL = 1      # a label was out of range: its sample did not learn
    SATURATED = 2  # a weight was clipped
    LOADING = 3    # DATA was used while the engine was busy: nothing was read or written
    ADDRESS = 4    # a spike of an input that does not exist: left out
    SILENT = 5     # no neuron of a layer fired in a whole sample; set by the BEGIN after it
    FIRING = 6     # all inputs, or all neurons of a layer, spiked in a step


class Region(IntEnum):
    """Memories behind ``Csr.DATA``; a word is that of all lanes, lane 0 in the lowest bits."""

    WEIGHTS = 0     # columns: see `neurogen.spec.learning.Learner.column`; layers one after the other
    POTENTIALS = 1  # word of neurons; layers one after the other
    NEURONS = 2     # trace (8 bits a lane), psi (2 bits a lane), spikes (1 bit a lane); likewise
    PRE_TRACES = 3  # 8 bits a lane; word of rows, layers one after the other
    SIMILARITY = 4  # z of each layer; o after the last
    SCORES = 5      # Z, then O
    MEANS = 6       # averages of the weights, at the same places; only with the rule `fptt`


# Counters of 32 bits, in this order; what they count is in `neurogen.golden.learning.Counters`.
COUNTERS = ("steps", "learning_steps", "events", "spikes", "reads", "updates", "skipped", "saturated",
            "cycles")

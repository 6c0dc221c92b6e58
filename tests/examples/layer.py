"""A random layer for the benches of the examples, compiled, with what the golden model says of it."""

from functools import cached_property

import numpy as np

from neurogen.golden import network as golden
from neurogen.mapping.compile import compile_network
from neurogen.mapping.plan import gather_potentials, read_stream, stream_for
from neurogen.spec.conv import Conv
from neurogen.spec.events import Events
from neurogen.spec.lif import Lif
from neurogen.spec.mega import COUNTERS, MegaSpec
from neurogen.spec.network import Edge, Input, Network


STEPS = 4
SHAPE = 2, 9, 10


class Layer:
    """3x3 convolution from 2 to 8 channels on a map of 9x10, and LIF neurons."""

    def __init__(self, spec: MegaSpec, seed: int):
        rng = np.random.default_rng(seed)
        conv = Conv(weight=rng.integers(-7, 8, (8, 2, 3, 3)), padding=1, bias=rng.integers(-2, 3, 8))
        lif = Lif(shape=(8, *SHAPE[1:]), threshold=rng.integers(10, 25, 8), decay=3686, state_bits=12,
                  v_lo=-1024, v_hi=1023)
        self.network = Network(nodes={"in": Input(shape=SHAPE), "conv": conv, "lif": lif},
                               edges=(Edge("in", "conv"), Edge("conv", "lif")), outputs=("lif",))
        self.network.check_widths()
        self.part, = compile_network(self.network, spec).passes
        self.events = {"in": Events.from_counts(rng.random((STEPS, *SHAPE)) < 0.15)}
        self.words = [int(word) for word in stream_for(self.part, self.events)]

    @cached_property
    def golden(self):
        return golden.run(self.network, self.events)

    def program(self):
        """Return the words of each instruction."""
        return self.part.program.reshape(len(self.part.instructions), -1).tolist()

    def check_spikes(self, words):
        """Compare output words with the golden model: every spike of every step."""
        found = read_stream(self.part, np.array(words, np.uint32), STEPS)["lif"]
        expected = self.golden.spikes["lif"]
        assert len(expected) > 50, "the layer must have something to say"
        assert np.array_equal(found.counts(), expected.counts())

    def check_potentials(self, states):
        """Compare the state memory with the golden model: every potential after the last step."""
        found = gather_potentials(self.part, states)["lif"]
        assert len(np.unique(found)) > 20
        assert np.array_equal(found, self.golden.potentials["lif"][-1])

    def check_counters(self, totals):
        """Compare the counters that the contract determines, summed over all instructions and steps."""
        of = dict(zip(COUNTERS, totals, strict=True))
        assert of["events"] == self.golden.events_in["conv"].sum()
        assert of["sops"] == self.golden.sops["conv"].sum()
        assert of["spikes"] == self.golden.spike_counts["lif"].sum()
        assert of["cycles"] > of["events"]

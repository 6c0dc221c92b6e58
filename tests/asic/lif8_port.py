"""The design of published figures of OpenSTA 3.1, rebuilt from its description: `Lif8` with a threshold port.

It adds where a neuron has a synapse, or leaks and fires in a tick (not both); membranes have 12 bits. Its
netlists by `SCRIPT` have the published area to 5 % (2 % by Yosys 0.70), so that powers can be compared; they
are not the same netlists.
"""

import numpy as np
from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


__all__ = ["PUBLISHED", "SCRIPT", "Lif8Port", "inputs"]


# Area in um2, and power in uW at 100 MHz without delays: by OpenSTA 3.1 with a VCD, and of a prototype of our
# estimator by Liberty's semantics and by OpenSTA's.
PUBLISHED = {
    "sky130hd": {"area": 13658, "opensta31": 1020, "liberty": 1008, "opensta": 1018},
    "sg13g2": {"area": 24969, "opensta31": 1010, "liberty": 647, "opensta": 1013},
}
SCRIPT = ["synth -flatten -top lif8", "dfflibmap -liberty {lib}", "abc -liberty {lib}",
          "hilomap -singleton -hicell {high} -locell {low}", "opt_clean -purge", "write_json netlist.json"]


class Lif8Port(wiring.Component):
    """Eight neurons with a threshold of their own port."""

    def __init__(self):
        super().__init__({"tick": In(1), "syn": In(8), "weight": In(signed(8)).array(8), "spike": Out(8),
                          "threshold": In(signed(12))})

    def elaborate(self, platform):
        m = Module()
        for n in range(8):
            v, leaked = Signal(signed(12), name=f"v{n}"), Signal(signed(13), name=f"l{n}")
            total = Signal(signed(13), name=f"a{n}")
            m.d.comb += [leaked.eq(v - (v >> 4)), total.eq(v + self.weight[n])]
            m.d.sync += self.spike[n].eq(0)
            with m.If(self.tick):
                with m.If(leaked >= self.threshold):
                    m.d.sync += [v.eq(leaked - self.threshold), self.spike[n].eq(1)]
                with m.Else():
                    m.d.sync += v.eq(leaked)
            with m.Elif(self.syn[n]):
                m.d.sync += v.eq(Mux(total > 2047, 2047, Mux(total < -2048, -2048, total)))
        return m


def inputs(cycles=2000, seed=1):
    """Return the stimulus: a synapse with probability 1/4, a tick in every eighth cycle, threshold 512."""
    draw = np.random.default_rng(seed)
    synapses, weights = draw.random((cycles, 8)) < 0.25, draw.integers(-64, 120, (cycles, 8))
    found = {"rst": (np.arange(cycles) < 2).astype(int), "tick": (np.arange(cycles) % 8 == 7).astype(int),
             "syn": (synapses << np.arange(8)).sum(1), "threshold": np.full(cycles, 512)}
    return found | {f"weight__{n}": weights[:, n] & 255 for n in range(8)}

"""The design by which energy estimates are compared: eight neurons side by side, and its stimulus.

Each is a leaky integrate-and-fire neuron with a 12-bit membrane and an 8-bit signed weight: saturating
addition, ``v -= v >> 4`` in a tick, subtractive reset.
"""

import numpy as np
from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


__all__ = ["Lif8", "expected", "stimulus"]


THRESHOLD = 512


class Lif8(wiring.Component):
    """Eight neurons: where ``syn`` is set they add; with ``tick`` they then leak and may fire."""

    def __init__(self, neurons=8):
        self._neurons = neurons
        super().__init__(
            {"tick": In(1), "syn": In(neurons), "weight": In(signed(8)).array(neurons), "spike": Out(neurons)}
        )

    def elaborate(self, platform):
        m = Module()
        for n in range(self._neurons):
            v = Signal(signed(12), name=f"v{n}")
            total = Signal(signed(13), name=f"total{n}")
            leaked = Signal(signed(12), name=f"leaked{n}")
            fired = Signal(name=f"fired{n}")
            added = Signal(signed(12), name=f"added{n}")
            m.d.comb += [
                total.eq(v + Mux(self.syn[n], self.weight[n], 0)),
                added.eq(Mux(total > 2047, 2047, Mux(total < -2048, -2048, total))),
                leaked.eq(added - (added >> 4)),
                fired.eq(leaked >= THRESHOLD),
            ]
            m.d.sync += [self.spike[n].eq(self.tick & fired), v.eq(added)]
            with m.If(self.tick):
                m.d.sync += v.eq(Mux(fired, leaked - THRESHOLD, leaked))
        return m


def stimulus(cycles=2000, neurons=8, seed=1):
    """Return inputs by cycle: ``rst`` (in the first two), ``tick``, ``syn``, ``weight__n``."""
    draw = np.random.default_rng(seed)
    tick = np.arange(cycles) % 8 == 7
    syn = draw.random((cycles, neurons)) < 0.25
    weights = draw.integers(-64, 120, (cycles, neurons))
    inputs = {
        "rst": (np.arange(cycles) < 2).astype(int),
        "tick": tick.astype(int),
        "syn": (syn << np.arange(neurons)).sum(1),
    }
    inputs |= {f"weight__{n}": weights[:, n] & 255 for n in range(neurons)}
    return inputs


def expected(inputs, neurons=8):
    """Return the spikes of each cycle, and the number of additions, from the rules alone."""
    cycles = len(inputs["tick"])
    v = [0] * neurons
    spikes, sops = np.zeros((cycles, neurons), int), 0
    for cycle in range(cycles - 1):
        for n in range(neurons):
            if inputs["rst"][cycle]:
                v[n] = 0
                continue
            if inputs["syn"][cycle] >> n & 1:
                weight = int(inputs[f"weight__{n}"][cycle])
                v[n] = min(max(v[n] + (weight - 256 if weight > 127 else weight), -2048), 2047)
                sops += 1
            if inputs["tick"][cycle]:
                v[n] -= v[n] >> 4
                if v[n] >= THRESHOLD:
                    v[n] -= THRESHOLD
                    spikes[cycle + 1, n] = 1
    return spikes, sops

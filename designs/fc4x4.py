"""A 4×4 fully connected layer of spiking neurons; ``python -m designs.fc4x4 build|verify|report``.

A call is a time step: it takes a spike of each of four inputs, adds their weights to the potentials of four
neurons, which stay inside, and gives the neurons' spikes. A neuron that fires starts again from 0.
"""

from neurogen.flow.synth.design import Design, Peer
from neurogen.qdi import Bit, Process, State, U, process


__all__ = ["DESIGN", "WEIGHTS", "threshold"]

WEIGHTS = ((1, 3, 0, 2), (2, 0, 3, 1), (0, 1, 2, 3), (3, 2, 1, 0))  # [neuron][input]


def threshold(width: int) -> int:
    """Return the potential at which a neuron of a layer of ``width`` bits fires."""
    return (1 << width) * 5 // 8


def _make(width: int) -> Process:
    w0, w1, w2, w3 = WEIGHTS
    theta = threshold(width)

    @process(width=width, mode="wrap")
    def fc4x4(x: U[4], v0: State[U[width]] = 0, v1: State[U[width]] = 0, v2: State[U[width]] = 0,
              v3: State[U[width]] = 0) -> tuple[Bit, Bit, Bit, Bit]:
        for i in range(4):
            spike = x[i]
            v0 = v0 + (w0[i] if spike else 0)
            v1 = v1 + (w1[i] if spike else 0)
            v2 = v2 + (w2[i] if spike else 0)
            v3 = v3 + (w3[i] if spike else 0)
        f0, f1, f2, f3 = v0 >= theta, v1 >= theta, v2 >= theta, v3 >= theta
        v0 = 0 if f0 else v0
        v1 = 0 if f1 else v1
        v2 = 0 if f2 else v2
        v3 = 0 if f3 else v3
        return f0, f1, f2, f3
    return fc4x4


DESIGN = Design("fc4x4", _make, (Peer("", "", "Spyqe shows a picture of its layout only"),), iterations=4)

if __name__ == "__main__":
    DESIGN.main()

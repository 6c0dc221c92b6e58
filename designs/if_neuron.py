"""An integrate-and-fire neuron of 16 synapses; ``python -m designs.if_neuron build|verify|report``.

A call takes the spikes of a time step and the potential, and gives the neuron's spike and its new potential.
In sky130 the dual-rail circuit has one more half buffer at the entry of its loop (``--no-slack``: without;
``--slack``: one at each fork), which takes an iteration from 22 to 19 ns; in IHP it is fast enough without.
"""

from neurogen.flow.synth.design import Design, Peer
from neurogen.qdi import Bit, Process, U, process


__all__ = ["DESIGN", "WEIGHTS"]

WEIGHTS = (3, 5, 1, 7, 2, 6, 4, 1, 3, 5, 1, 7, 2, 6, 4, 1)


def _make(width: int) -> Process:
    threshold = 5 << width - 3

    @process(width=width, mode="wrap")
    def if_neuron(spikes: U[16], p: U[width]) -> tuple[Bit, U[width]]:
        for i in range(16):
            p = p + (WEIGHTS[i] if spikes[i] else 0)
        fire = p >= threshold
        return fire, (0 if fire else p)
    return if_neuron


DESIGN = Design("if_neuron", _make, (
    Peer("blocks", "20", "Spyqe; width not published"),
    Peer("ns per iteration, IHP", "~48", "Spyqe, after synthesis with SDF; width not published"),
    Peer("area, IHP", "14,771 µm²", "Spyqe, layout of 230.8 × 64 µm; width and utilisation not published"),
), iterations=16, slack=("sky130",))

if __name__ == "__main__":
    DESIGN.main()

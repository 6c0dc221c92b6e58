"""``for i in range(7): a = a + i + 1``; ``python -m designs.loop_test build|verify|report``."""

from neurogen.flow.synth.design import Design, Peer
from neurogen.qdi import Process, U, process


__all__ = ["DESIGN"]


def _make(width: int) -> Process:
    @process(width=width, mode="wrap")
    def loop_test(a: U[width]) -> U[width]:
        for i in range(7):
            a = a + i + 1
        return a
    return loop_test


DESIGN = Design("loop_test", _make, (Peer("blocks", "22", "Spyqe; width not published"),), iterations=7)

if __name__ == "__main__":
    DESIGN.main()

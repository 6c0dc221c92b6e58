"""``a + b``: the smallest design; ``python -m designs.add_test build|verify|report``."""

from neurogen.flow.synth.design import Design, Peer
from neurogen.qdi import Process, U, process


__all__ = ["DESIGN"]


def _make(width: int) -> Process:
    @process(width=width, mode="wrap")
    def add_test(a: U[width], b: U[width]) -> U[width]:
        return a + b
    return add_test


DESIGN = Design("add_test", _make, (
    Peer("cells, sky130 / IHP", "176 / 322",
         "Spyqe, with a macro for the C-element on sky130; width not published"),))

if __name__ == "__main__":
    DESIGN.main()

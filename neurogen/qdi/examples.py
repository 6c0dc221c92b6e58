"""Graphs built by hand: what the front end is compared with, and the first food of a backend."""

from neurogen.qdi.graph import Graph


__all__ = ["add_graph", "loop_graph"]


def add_graph(width: int = 8) -> Graph:
    """Return ``o = a + b``: one block."""
    g = Graph("add_test")
    a, b = (g.add("input", {"name": name, "width": width, "signed": False}) for name in "ab")
    adder = g.add("adder", {"width": width})
    out = g.add("output", {"name": "o", "width": width, "signed": False})
    g.connect((a, "o"), (adder, "a"))
    g.connect((b, "o"), (adder, "b"))
    g.connect((adder, "o"), (out, "i"))
    return g


def loop_graph(width: int = 8, trips: int = 7) -> Graph:
    """Return ``for i in range(trips): a = a + i + 1``, tested after each trip: 14 blocks, buffers included.

    The loop-carried ``i`` and ``a`` travel as one token, i in the lowest bits; the test comes after the body
    because the first trip is certain.
    """
    count = trips.bit_length()
    both = count + width
    loop, body = "main/loop1", "main/loop1/body"
    g = Graph("loop_test")
    start = g.add("input", {"name": "a", "width": width, "signed": False})
    entry = g.add("slice", {"width": width, "low": 0, "out_width": both, "shift": count, "signed": False})
    select = g.add("select", {"width": both}, region=loop)
    first = g.add("buffer", {"width": both}, region=loop)
    unpack = g.add("unpack", {"widths": (count, width)}, region=loop)
    step = g.add("addc", {"width": count, "value": 1}, region=loop)
    fork = g.add("fork", {"width": count, "n": 3}, region=loop)
    wide = g.add("slice", {"width": count, "low": 0, "out_width": width, "shift": 0, "signed": False},
                 region=loop)
    adder = g.add("adder", {"width": width}, region=loop)
    test = g.add("ltc", {"width": count, "value": trips, "signed": False}, region=loop)
    control = g.add("loop", {}, region=loop)
    pack = g.add("pack", {"widths": (count, width)}, region=loop)
    branch = g.add("branch", {"width": both}, region=loop)
    back = g.add("fifo", {"width": both, "depth": 1}, region=body)
    leave = g.add("slice", {"width": both, "low": count, "out_width": width, "shift": 0, "signed": False})
    out = g.add("output", {"name": "o", "width": width, "signed": False})
    for src, dst in (
            ((start, "o"), (entry, "i")), ((entry, "o"), (select, "i0")),
            ((select, "o"), (first, "i")), ((first, "o"), (unpack, "i")),
            ((unpack, "o0"), (step, "a")), ((step, "o"), (fork, "i")),
            ((fork, "o0"), (wide, "i")), ((wide, "o"), (adder, "b")),
            ((unpack, "o1"), (adder, "a")), ((fork, "o1"), (test, "a")),
            ((test, "o"), (control, "c")), ((control, "select"), (select, "s")),
            ((control, "branch"), (branch, "s")), ((fork, "o2"), (pack, "i0")),
            ((adder, "o"), (pack, "i1")), ((pack, "o"), (branch, "i")),
            ((branch, "o1"), (back, "i")), ((back, "o"), (select, "i1")),
            ((branch, "o0"), (leave, "i")), ((leave, "o"), (out, "i"))):
        g.connect(src, dst)
    return g

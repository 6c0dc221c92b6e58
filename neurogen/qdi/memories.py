"""Arrays: one ram a memory, its accesses in program order.

The accesses of a memory lie in one region. If there are several, a ring of phases picks the request of one
after the other and steers each old word back to where it was asked for.
"""

from typing import Any

from neurogen.qdi.ir import Op, Program, walk
from neurogen.qdi.python.errors import QdiError
from neurogen.qdi.wires import Wire, Wiring


__all__ = ["Memories"]


class Memories(Wiring):
    """The part of the lowering that is for memories and streams."""

    def start_memories(self, program: Program) -> None:
        """Count the accesses of each memory.

        Raises
        ------
        QdiError
            If they are not all in one region: the order of their requests would not be known (QDI014).
        """
        self.streams: dict[str, Wire] = {}
        self._memories: dict[str, dict[str, Any]] = {}
        for name, (type, words) in program.memories.items():
            found = [(region, item) for region, item in walk(program.top)
                     if isinstance(item, Op) and item.kind == "mem" and item.attrs["name"] == name]
            sites = [item for _, item in found]
            for region, item in found:
                if region is not found[0][0]:
                    raise QdiError("QDI014", f"memory '{name}' is also used in another block of statements",
                                   "bring all its accesses into one block", item.loc)
            self._memories[name] = {"type": type, "words": words, "count": len(sites), "seen": 0}

    def memory_access(self, op: Op) -> Wire:
        """Add an access; return the old word."""
        memory = self._memories[op.attrs["name"]]
        type = memory["type"]
        bits = max(1, (len(memory["words"]) - 1).bit_length())
        values = tuple(x & ((1 << type.width) - 1) for x in memory["words"])
        values += (0,) * ((1 << bits) - len(values))  # no index stops the circuit
        write, address, data = (self.operand(v, w) for v, w in zip(op.args, (1, bits, type.width),
                                                                   strict=True))
        if memory["count"] == 1:
            return self.block("ram", {"width": type.width, "values": values},
                              {"write": write, "a": address, "d": data}, signed=type.signed)
        if not memory["seen"]:
            self._shared(memory, values, bits)
        request = self.block("pack", {"widths": (type.width, bits, 1)}, {"i0": data, "i1": address,
                                                                         "i2": write})
        if memory["seen"]:
            # what earlier accesses share with this one must return to zero before its phase comes
            request = self.block("buffer", {"width": request.width}, {"i": request})
        self.graph.connect(request.src, (memory["select"], f"i{memory['seen']}"))
        answer = self.port(memory["answer"], f"o{memory['seen']}", type.signed)
        if memory["seen"] < memory["count"] - 1:
            answer = self.block("fifo", {"width": type.width, "depth": 1}, {"i": answer}, signed=type.signed)
        memory["seen"] += 1
        return answer

    def _shared(self, memory, values, bits):
        n, width = memory["count"], memory["type"].width
        many = n > 2
        ring = self.graph.add("init", {"width": n if many else 1, "value": 1 if many else 0}, loc=self.at.loc,
                              region=self.at.region)
        phase = Wire(ring, "o", n if many else 1, False)
        if many:
            low, top = self.slice(phase, 0, n - 1), self.slice(phase, n - 1, 1)
            after = self.block("pack", {"widths": (1, n - 1)}, {"i0": top, "i1": low})
        else:
            after = self.block("not", {"width": 1}, {"a": phase})
        self.graph.connect(after.src, (ring, "i"))
        whole = width + bits + 1
        parameters = {"n": n} if many else {}
        memory["select"] = self.graph.add("select_n" if many else "select", {"width": whole} | parameters,
                                          loc=self.at.loc, region=self.at.region)
        self.graph.connect(phase.src, (memory["select"], "s"))
        # an answer may be part of the next request: the ring through the ram holds a token, so three half
        # buffers
        request = self.block("buffer", {"width": whole}, {"i": Wire(memory["select"], "o", whole, False)})
        data = self.block("unpack", {"widths": (width, bits, 1)}, {"i": request}, out="o0")
        old = self.block("ram", {"width": width, "values": values},
                         {"write": self.port(data, "o2"), "a": self.port(data, "o1"), "d": data})
        memory["answer"] = self.block("branch_n" if many else "branch", {"width": width} | parameters,
                                      {"s": phase, "i": old}, out="o0")

    def finish_memories(self) -> None:
        """Check that each access found its place."""
        for name, memory in self._memories.items():
            if memory["count"] > 1 and memory["seen"] != memory["count"]:
                raise ValueError(f"Accesses of {name} must be {memory['count']}, not {memory['seen']}")

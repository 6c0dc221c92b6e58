"""Clocked blocks with state, and those that arbitrate."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.memory import Memory

from neurogen.rtl.qdi.block import ClockedBlock, Paths
from neurogen.rtl.qdi.data import TwoSlots


__all__ = ["ArbMerge", "Mutex", "Ram", "Reg", "Seq"]


class Reg(ClockedBlock):
    """A word, and the next one as soon as it comes; each reader reads each word once.

    A read takes no cycle; a word can be read one cycle after it was written.
    """

    kind = "reg"

    @classmethod
    def paths(cls, **parameters: Any) -> Paths:
        """From each request to its answer and back; none from or to ``w``."""
        pairs = [(f"r{k}", f"o{k}") for k in range(parameters["readers"])]
        return Paths(frozenset(pairs), frozenset((o, r) for r, o in pairs))

    def elaborate(self, platform):
        m = Module()
        readers = self._parameters["readers"]
        m.submodules.word = word = TwoSlots(self._parameters["width"], self._parameters["value"])
        m.d.comb += [word.i.valid.eq(self.w.valid), word.i.payload.eq(self.w.payload),
                     self.w.ready.eq(word.i.ready)]
        done, now = Signal(readers), Signal(readers)
        for k in range(readers):
            r, o = getattr(self, f"r{k}"), getattr(self, f"o{k}")
            open_ = word.o.valid & ~done[k]
            m.d.comb += [
                o.valid.eq(r.valid & open_),
                o.payload.eq(word.o.payload),
                r.ready.eq(o.ready & open_ & r.valid),
                now[k].eq(done[k] | (o.valid & o.ready)),
            ]
        m.d.comb += word.o.ready.eq(now.all())
        m.d.sync += done.eq(Mux(word.o.ready, 0, now))
        return m


class Ram(ClockedBlock):
    """A memory with a read port and a write port; one access per cycle, with one cycle of latency.

    A reset does not restore its contents.
    """

    kind = "ram"

    @classmethod
    def paths(cls, **parameters: Any) -> Paths:
        """From ``o`` back to each input."""
        return Paths(frozenset(), frozenset(("o", name) for name in ("write", "a", "d")))

    def elaborate(self, platform):
        m = Module()
        values = self._parameters["values"]
        depth = 1 << self._widths["a"]
        m.submodules.memory = memory = Memory(shape=self._parameters["width"], depth=depth,
                                              init=[*values, *[0] * (depth - len(values))])
        read, write = memory.read_port(), memory.write_port()
        valid, taken = Signal(), Signal()
        m.d.comb += [
            taken.eq(Cat(i.valid for i in self.ins).all() & (~valid | self.o.ready)),
            *(i.ready.eq(taken) for i in self.ins),
            read.addr.eq(self.a.payload),
            read.en.eq(taken),
            write.addr.eq(self.a.payload),
            write.data.eq(self.d.payload),
            write.en.eq(taken & self.write.payload[0]),
            self.o.valid.eq(valid),
            self.o.payload.eq(read.data),
        ]
        with m.If(~valid | self.o.ready):
            m.d.sync += valid.eq(taken)
        return m


class _Arbiter(ClockedBlock):
    """Chooses one of two requests, in turn if both come at once; a choice stands until its token is taken."""

    def _choice(self, m: Module, requests: list, ready) -> Signal:
        choice, chosen, turn = Signal(), Signal(), Signal()
        waiting, last = Signal(), Signal(init=1)
        first, second = (request.valid for request in requests)
        m.d.comb += [turn.eq(Mux(first & second, ~last, second)),
                     choice.eq(Mux(waiting, chosen, turn))]
        with m.If(first | second):
            m.d.sync += [waiting.eq(~ready(choice)), chosen.eq(choice)]
            with m.If(ready(choice)):
                m.d.sync += last.eq(choice)
        return choice


class Mutex(_Arbiter):
    """Grants one request at a time: never is a token offered on both outputs. No cycle of latency."""

    kind = "mutex"

    def elaborate(self, platform):
        m = Module()
        choice = self._choice(m, self.ins, lambda choice: Mux(choice, self.g1.ready, self.g0.ready))
        m.d.comb += [
            self.g0.valid.eq(self.r0.valid & ~choice), self.r0.ready.eq(self.g0.ready & self.g0.valid),
            self.g1.valid.eq(self.r1.valid & choice), self.r1.ready.eq(self.g1.ready & self.g1.valid),
        ]
        return m


class ArbMerge(_Arbiter):
    """Whichever token comes first, in turn if both come at once. No cycle of latency."""

    kind = "arb_merge"

    def elaborate(self, platform):
        m = Module()
        choice = self._choice(m, self.ins, lambda _: self.o.ready)
        m.d.comb += [
            self.o.valid.eq(self.i0.valid | self.i1.valid),
            self.o.payload.eq(Mux(choice, self.i1.payload, self.i0.payload)),
            self.i0.ready.eq(self.i0.valid & ~choice & self.o.ready),
            self.i1.ready.eq(self.i1.valid & choice & self.o.ready),
        ]
        return m


class Seq(ClockedBlock):
    """Starts one activity after the other: two cycles each, and one for ``o``."""

    kind = "seq"

    @classmethod
    def paths(cls, **parameters: Any) -> Paths:
        """From ``i`` to the outputs; from ``o`` to ``i``. The phase is in registers."""
        outs = [f"go{k}" for k in range(parameters["n"])]
        return Paths(frozenset(("i", name) for name in (*outs, "o")), frozenset({("o", "i")}))

    def elaborate(self, platform):
        m = Module()
        n = self._parameters["n"]
        step, started = Signal(range(n + 1)), Signal()
        for k in range(n):
            go, done = getattr(self, f"go{k}"), getattr(self, f"done{k}")
            here = step == k
            m.d.comb += [go.valid.eq(self.i.valid & here & ~started), done.ready.eq(here & started)]
            with m.If(go.valid & go.ready):
                m.d.sync += started.eq(1)
            with m.If(done.valid & done.ready):
                m.d.sync += [started.eq(0), step.eq(k + 1)]
        m.d.comb += [self.o.valid.eq(self.i.valid & (step == n)), self.i.ready.eq(self.o.ready & (step == n))]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += step.eq(0)
        return m

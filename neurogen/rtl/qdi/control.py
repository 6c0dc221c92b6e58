"""Clocked blocks of control flow: choices, merges, loops."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring

from neurogen.rtl.qdi.block import ClockedBlock, Paths, join, spread
from neurogen.rtl.qdi.data import TwoSlots
from neurogen.rtl.streams import pipe


__all__ = ["Branch", "BranchN", "ElseCondition", "Gate", "Hold", "Loop", "Merge", "Parallel", "Select",
           "SelectN"]


class _Select(ClockedBlock):
    """Takes the token that ``chosen`` says."""

    def _chosen(self) -> list[Value]:
        raise NotImplementedError

    def elaborate(self, platform):
        m = Module()
        inputs = self.ins[1:]
        chosen = Signal(len(inputs))
        m.d.comb += [
            chosen.eq(Cat(self._chosen()) & self.s.valid.replicate(len(inputs))),
            self.o.valid.eq(Cat(i.valid & chosen[k] for k, i in enumerate(inputs)).any()),
            self.s.ready.eq(self.o.valid & self.o.ready),
            *(i.ready.eq(chosen[k] & self.o.ready) for k, i in enumerate(inputs)),
        ]
        for k, i in enumerate(inputs):
            with m.If(chosen[k]):
                m.d.comb += self.o.payload.eq(i.payload)
        return m


class Select(_Select):
    """Takes ``s`` and one token of the input it names. No cycle of latency."""

    kind = "select"

    def _chosen(self):
        return [~self.s.payload[0], self.s.payload[0]]


class SelectN(_Select):
    """Takes ``s`` and one token of the input whose bit of ``s`` is set. No cycle of latency."""

    kind = "select_n"

    def _chosen(self):
        return list(self.s.payload)


class _Branch(ClockedBlock):
    """Gives the token to the output that ``chosen`` says."""

    def _chosen(self) -> list[Value]:
        raise NotImplementedError

    def elaborate(self, platform):
        m = Module()
        there, taken = Signal(), Signal()
        chosen = self._chosen()
        m.d.comb += [
            there.eq(self.s.valid & self.i.valid),
            taken.eq(Cat(bit & o.ready for bit, o in zip(chosen, self.outs, strict=True)).any()),
            self.s.ready.eq(there & taken),
            self.i.ready.eq(there & taken),
        ]
        for bit, o in zip(chosen, self.outs, strict=True):
            m.d.comb += [o.valid.eq(there & bit), o.payload.eq(self.i.payload)]
        return m


class Branch(_Branch):
    """Takes ``s`` and ``i``, and gives ``i`` to the output that ``s`` names. No cycle of latency."""

    kind = "branch"

    def _chosen(self):
        return [~self.s.payload[0], self.s.payload[0]]


class BranchN(_Branch):
    """Takes ``s`` and ``i``, and gives ``i`` to the output whose bit of ``s`` is set. No cycle of latency."""

    kind = "branch_n"

    def _chosen(self):
        return list(self.s.payload)


class Merge(ClockedBlock):
    """Whichever input has a token. No cycle of latency.

    No two inputs may have one at once; ``o`` would not be stable.
    """

    kind = "merge"

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.o.valid.eq(Cat(i.valid for i in self.ins).any()),
                     *(i.ready.eq(i.valid & self.o.ready) for i in self.ins)]
        for i in self.ins:
            with m.If(i.valid):
                m.d.comb += self.o.payload.eq(i.payload)
        return m


class ElseCondition(ClockedBlock):
    """One-hot number of the first true condition; its highest bit if none is true. No cycle of latency."""

    kind = "else_condition"

    def elaborate(self, platform):
        m = Module()
        join(m, self.ins, self.o)
        none_yet: Value = Const(1, 1)
        for k, c in enumerate(self.ins):
            m.d.comb += self.o.payload[k].eq(none_yet & c.payload[0])
            none_yet = none_yet & ~c.payload[0]
        m.d.comb += self.o.payload[-1].eq(none_yet)
        return m


class Parallel(ClockedBlock):
    """Waits for a token of each input, then gives one to each output. No cycle of latency."""

    kind = "parallel"

    def elaborate(self, platform):
        m = Module()
        there, taken = Signal(), spread(m, Cat(i.valid for i in self.ins).all(), self.outs)
        m.d.comb += [there.eq(Cat(i.valid for i in self.ins).all()),
                     *(i.ready.eq(there & taken) for i in self.ins)]
        return m


class Loop(ClockedBlock):
    """The control of a loop: each condition to ``branch`` at once, to ``select`` one cycle later.

    ``select`` starts with a 0, the entry of the first activation. Both are offered as soon as they can be.
    """

    kind = "loop"

    @classmethod
    def paths(cls, **parameters: Any) -> Paths:
        """From ``c`` to ``branch`` and back; ``select`` comes from a register."""
        return Paths(frozenset({("c", "branch")}), frozenset({("branch", "c")}))

    def elaborate(self, platform):
        m = Module()
        m.submodules.init = init = TwoSlots(1, 0)
        m.d.comb += [self.c.ready.eq(spread(m, self.c.valid, [init.i, self.branch])),
                     init.i.payload.eq(self.c.payload), self.branch.payload.eq(self.c.payload)]
        pipe(m, init.o, wiring.flipped(self.select))
        return m


class Gate(ClockedBlock):
    """Takes ``c`` and ``i``; gives ``i`` if ``c``, else drops it. No cycle of latency."""

    kind = "gate"

    def elaborate(self, platform):
        m = Module()
        there, passes, taken = Signal(), self.c.payload[0], Signal()
        m.d.comb += [
            there.eq(self.c.valid & self.i.valid),
            taken.eq(there & (~passes | self.o.ready)),
            self.o.valid.eq(there & passes),
            self.o.payload.eq(self.i.payload),
            self.c.ready.eq(taken),
            self.i.ready.eq(taken),
        ]
        return m


class Hold(ClockedBlock):
    """Keeps a token of ``i`` in a register, and gives it again for each true ``c``.

    Its first copy goes out without a cycle of latency, the others in the cycle of their ``c``; the cycle of
    a false ``c`` may already be that of the next token's first copy.
    """

    kind = "hold"

    def elaborate(self, platform):
        m = Module()
        kept = Signal()
        word = Signal.like(self.o.payload)
        again, free = Signal(), Signal()
        m.d.comb += [
            again.eq(kept & self.c.valid & self.c.payload[0]),
            free.eq(~kept | (self.c.valid & ~self.c.payload[0])),
            self.o.valid.eq(again | (free & self.i.valid)),
            self.o.payload.eq(Mux(again, word, self.i.payload)),
            self.i.ready.eq(free & self.o.ready),
            self.c.ready.eq(kept & (~self.c.payload[0] | self.o.ready)),
        ]
        with m.If(free):
            m.d.sync += kept.eq(self.i.valid & self.o.ready)
            with m.If(self.i.valid & self.o.ready):
                m.d.sync += word.eq(self.i.payload)
        return m

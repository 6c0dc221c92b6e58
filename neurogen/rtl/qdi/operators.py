"""Clocked operators: one token of each input, one of the output, without a cycle of latency."""

from amaranth.hdl import Cat, Module, Mux, Value
from amaranth.lib.memory import Memory

from neurogen.rtl.qdi.block import ClockedBlock, join


__all__ = ["Adder", "Addc", "Eqc", "Equal", "Le", "Logic", "Lt", "Ltc", "Lut", "Mask", "Mul", "Neg", "Not",
           "Operator", "Rom", "Sub", "Ternary"]


class Operator(ClockedBlock):
    """A function of the inputs' payloads."""

    def result(self, m: Module) -> Value:
        """Return the payload of ``o``; bits beyond its width are dropped."""
        raise NotImplementedError

    def elaborate(self, platform):
        m = Module()
        join(m, self.ins, self.o)
        m.d.comb += self.o.payload.eq(self.result(m))
        return m

    def _number(self, name: str) -> Value:
        """Return a payload, signed if the operator is."""
        word = self.data(name)
        return word.as_signed() if self._parameters["signed"] else word


class Adder(Operator):
    """``a + b``."""

    kind = "adder"

    def result(self, m):
        return self.data("a") + self.data("b")


class Sub(Operator):
    """``a - b``."""

    kind = "sub"

    def result(self, m):
        return self.data("a") - self.data("b")


class Addc(Operator):
    """``a`` plus a constant."""

    kind = "addc"

    def result(self, m):
        return self.data("a") + self._parameters["value"]


class Logic(Operator):
    """``a & b``, ``a | b`` or ``a ^ b``, by the parameter ``op``."""

    kind = "logic"

    def result(self, m):
        a, b = self.data("a"), self.data("b")
        return {"and": a & b, "or": a | b, "xor": a ^ b}[self._parameters["op"]]


class Not(Operator):
    """``~a``."""

    kind = "not"

    def result(self, m):
        return ~self.data("a")


class Neg(Operator):
    """``-a``."""

    kind = "neg"

    def result(self, m):
        return -self.data("a")


class Lt(Operator):
    """``a < b``."""

    kind = "lt"

    def result(self, m):
        return self._number("a") < self._number("b")


class Le(Operator):
    """``a <= b``."""

    kind = "le"

    def result(self, m):
        return self._number("a") <= self._number("b")


class Ltc(Operator):
    """``a`` less than a constant."""

    kind = "ltc"

    def result(self, m):
        return self._number("a") < self._parameters["value"]


class Equal(Operator):
    """``a == b``."""

    kind = "equal"

    def result(self, m):
        return self.data("a") == self.data("b")


class Eqc(Operator):
    """``a`` equal to a constant."""

    kind = "eqc"

    def result(self, m):
        return self.data("a") == self._parameters["value"]


class Mask(Operator):
    """``x if c else 0``."""

    kind = "mask"

    def result(self, m):
        return Mux(self.data("c"), self.data("x"), 0)


class Ternary(Operator):
    """``x if c else y``; takes all three."""

    kind = "ternary"

    def result(self, m):
        return Mux(self.data("c"), self.data("x"), self.data("y"))


class Mul(Operator):
    """``a * b``."""

    kind = "mul"

    def result(self, m):
        return self.data("a") * self.data("b")


class _Table(Operator):
    """Words of a constant table."""

    def _word(self, m, addr, words):
        depth = 1 << max(1, len(addr))
        m.submodules.table = table = Memory(shape=self.o.payload.shape(), depth=depth,
                                            init=[*words, *[0] * (depth - len(words))])
        port = table.read_port(domain="comb")
        m.d.comb += port.addr.eq(addr)
        return port.data


class Lut(_Table):
    """Any function of few bits: a truth table indexed by all inputs' bits."""

    kind = "lut"

    def result(self, m):
        return self._word(m, Cat(self.data(name) for name in self._inputs), self._parameters["table"])


class Rom(_Table):
    """Words of a constant memory."""

    kind = "rom"

    def result(self, m):
        return self._word(m, self.data("a"), self._parameters["values"])

"""From similarities to errors of all classes, one class a cycle: by softmax, or of label and rival."""

from amaranth.hdl import Array, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neurogen.rtl.memory import Ram
from neurogen.spec.learning import EXP2, HINGE_ERROR, RECIPROCAL, Learner, Loss


__all__ = ["ErrorUnit"]


class ErrorUnit(wiring.Component):
    """Computes the errors of a layer, and keeps them.

    Three passes over the classes: the largest value; powers and their sum; division. ``busy`` is high for
    ``3 C + 9`` cycles from the one after ``start`` on. With ``Loss.HINGE`` there are two, ``2 C + 6``
    cycles: the largest value and the rival's; errors.

    Parameters
    ----------
    spec
        The network.

    Members
    -------
    start, readout, label : ``In``
        Begin, with ``z`` or with ``o``; ``readout`` and ``label`` stay steady.
    busy : ``Out(1)``
    class_address, value : ``Out``, ``In``
        Reads a similarity; it comes one cycle later.
    address, error : ``In``, ``Out``
        Reads an error, one cycle later; those of the read-out follow those of the similarity.
    right : ``Out(1)``
        Whether the class with the largest ``z``, the first of equals, is the label. (Not of ``o``.)
    some : ``Out(2)``
        Whether there may be errors that are not 0, of ``z`` and of ``o``. Known with ``Loss.HINGE`` only:
        both are high otherwise.
    """

    def __init__(self, spec: Learner):
        self._spec = spec
        super().__init__({
            "start": In(1), "readout": In(1), "label": In(range(spec.classes)), "busy": Out(1),
            "class_address": Out(range(spec.classes)), "value": In(signed(spec.similarity_bits)),
            "address": In(range(2 * spec.classes)), "error": Out(signed(9)), "right": Out(1),
            "some": Out(2, init=0b11),
        })

    @property
    def spec(self) -> Learner:
        """The network."""
        return self._spec

    def elaborate(self, platform):
        spec = self._spec
        m = Module()
        m.submodules.kept = errors = Ram(signed(9), 2 * spec.classes)
        go = _Pass(m, spec.classes)
        best, total = Signal(signed(spec.similarity_bits)), Signal(range(255 * spec.classes + 1))
        shift = Mux(self.readout, spec.readout_shift, spec.similarity_shift)
        m.d.comb += [
            self.class_address.eq(go.n), errors.r_port.addr.eq(self.address),
            self.error.eq(errors.r_port.data),
            errors.w_port.addr.eq(Mux(self.readout, spec.classes, 0) + go.steps[1]),
        ]
        with m.FSM():
            with m.State("Idle"):
                with m.If(self.start):
                    m.d.sync += [go.n.eq(0), total.eq(0)]
                    m.next = "Largest"
            with m.State("Largest"):
                m.d.comb += self.busy.eq(1)
                go.read(m)
                with m.If(go.valid[0] & ((self.value > best) | (go.steps[0] == 0))):
                    m.d.sync += best.eq(self.value)
                    with m.If(~self.readout):
                        m.d.sync += self.right.eq(go.steps[0] == self.label)
                if spec.loss is Loss.HINGE:
                    ahead, rival = self._rival(m, go, shift)
                go.then(m, "Errors" if spec.loss is Loss.HINGE else "Powers")
            if spec.loss is Loss.SOFTMAX:
                powers = self._powers(m, go, best, total, shift)
            with m.State("Errors"):
                m.d.comb += [self.busy.eq(1), errors.w_port.en.eq(go.valid[1])]
                go.read(m)
                right, now = go.steps[1] == self.label, go.steps[1]
                if spec.loss is Loss.HINGE:
                    near = ahead < spec.margin
                    size = Mux(near, HINGE_ERROR, 0)
                    m.d.sync += self.some.bit_select(self.readout, 1).eq(near)
                    m.d.comb += errors.w_port.data.eq(Mux(right, size, Mux(now == rival, -size, 0)))
                else:
                    m.d.comb += errors.w_port.data.eq(Mux(right, 255, 0) - self._share(m, total, powers))
                go.then(m, "Idle")
        return m

    def _rival(self, m: Module, go: "_Pass", shift: Value) -> tuple[Value, Value]:
        """Find the rival in the first pass; return by how much the label is ahead, and the rival."""
        bits = signed(self._spec.similarity_bits)
        own, most, rival = Signal(bits), Signal(bits), Signal(range(self._spec.classes))
        with m.If(go.valid[0]):
            with m.If(go.steps[0] == self.label):
                m.d.sync += own.eq(self.value)
            # The first of the others: class 0, or 1 if 0 is the label.
            with m.Elif((self.value > most) | (go.steps[0] == (self.label == 0))):
                m.d.sync += [most.eq(self.value), rival.eq(go.steps[0])]
        return (own >> shift) - (most >> shift), rival

    def _powers(self, m: Module, go: "_Pass", best: Value, total: Value, shift: Value) -> Ram:
        """Add the pass that makes powers and their sum; return the powers."""
        m.submodules.powers = powers = Ram(8, self._spec.classes)
        below = Signal(self._spec.similarity_bits)
        power = Signal(8)
        m.d.comb += powers.r_port.addr.eq(go.n)
        with m.State("Powers"):
            m.d.comb += self.busy.eq(1)
            go.read(m)
            m.d.sync += below.eq((best >> shift) - (self.value >> shift))
            m.d.comb += [
                power.eq(Mux(below >> 3 > 7, 0, Array(Const(p, 8) for p in EXP2)[below[:3]]
                             >> below[3:6])),
                powers.w_port.addr.eq(go.steps[1]), powers.w_port.data.eq(power),
                powers.w_port.en.eq(go.valid[1]),
            ]
            with m.If(go.valid[1]):
                m.d.sync += total.eq(total + power)
            go.then(m, "Errors")
        return powers

    def _share(self, m: Module, total: Value, powers: Ram) -> Value:
        """Divide, in the last pass; return the share of the class two cycles later."""
        log2 = Signal(range(len(total)))  # bit_length(total) - 1
        reciprocal, product = Signal(8), Signal(16)
        for bit in range(7, len(total)):
            with m.If(total[bit]):
                m.d.comb += log2.eq(bit)
        leading = ((total << 4) >> log2)[:4]  # the four bits after the first
        m.d.sync += reciprocal.eq(Array(Const(r, 8) for r in RECIPROCAL)[leading])
        m.d.sync += product.eq(powers.r_port.data * reciprocal)
        quotient = product >> log2
        return Mux(quotient > 255, 255, quotient)


class _Pass:
    """A pass over the classes: class ``n`` is read, and is there one and two cycles later."""

    def __init__(self, m: Module, classes: int):
        self._classes, self._reading = classes, Signal(name="reading")
        self.n = Signal(range(classes + 1), name="n")
        self.steps = [Signal(range(classes), name=f"class_{k}") for k in (1, 2)]
        self.valid = [Signal(name=f"valid_{k}") for k in (1, 2)]
        m.d.sync += [self.valid[0].eq(self._reading), self.valid[1].eq(self.valid[0]),
                     self.steps[0].eq(self.n), self.steps[1].eq(self.steps[0])]
        with m.If(self._reading):
            m.d.sync += self.n.eq(self.n + 1)

    def read(self, m: Module) -> None:
        """Read the classes, one a cycle."""
        m.d.comb += self._reading.eq(self.n != self._classes)

    def then(self, m: Module, state: str) -> None:
        """Go to a state when all have been there."""
        with m.If(~(self._reading | self.valid[0] | self.valid[1]) & (self.n == self._classes)):
            m.d.sync += self.n.eq(0)
            m.next = state

"""From similarities to errors: ``255 [c = y] - softmax255(z)`` of all classes, one class a cycle."""

from amaranth.hdl import Array, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neurogen.rtl.memory import Ram
from neurogen.spec.learning import EXP2, RECIPROCAL, Learner


__all__ = ["ErrorUnit"]


class ErrorUnit(wiring.Component):
    """Computes the errors of a layer, and keeps them.

    Three passes over the classes: the largest value; powers and their sum; division. ``busy`` is high for
    ``3 C + 9`` cycles from the one after ``start`` on.

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
    """

    def __init__(self, spec: Learner):
        self._spec = spec
        super().__init__({
            "start": In(1), "readout": In(1), "label": In(range(spec.classes)), "busy": Out(1),
            "class_address": Out(range(spec.classes)), "value": In(signed(spec.similarity_bits)),
            "address": In(range(2 * spec.classes)), "error": Out(signed(9)), "right": Out(1),
        })

    @property
    def spec(self) -> Learner:
        """The network."""
        return self._spec

    def elaborate(self, platform):
        spec = self._spec
        m = Module()
        m.submodules.powers = powers = Ram(8, spec.classes)
        m.submodules.kept = errors = Ram(signed(9), 2 * spec.classes)
        n = Signal(range(spec.classes + 1))  # the class that is read
        steps = [Signal(range(spec.classes), name=f"class_{k}") for k in (1, 2)]
        valid = [Signal(name=f"valid_{k}") for k in (1, 2)]
        reading = Signal()
        best = Signal(signed(spec.similarity_bits))
        below = Signal(spec.similarity_bits)
        total = Signal(range(255 * spec.classes + 1))
        log2 = Signal(range(total.shape().width))  # bit_length(total) - 1
        reciprocal = Signal(8)
        product = Signal(16)
        power = Signal(8)

        m.d.comb += [
            self.class_address.eq(n), powers.r_port.addr.eq(n),
            errors.r_port.addr.eq(self.address), self.error.eq(errors.r_port.data),
        ]
        m.d.sync += [valid[0].eq(reading), valid[1].eq(valid[0]), steps[0].eq(n), steps[1].eq(steps[0])]
        with m.If(reading):
            m.d.sync += n.eq(n + 1)
        for bit in range(7, total.shape().width):
            with m.If(total[bit]):
                m.d.comb += log2.eq(bit)
        shift = Mux(self.readout, spec.readout_shift, spec.similarity_shift)
        idle = ~(reading | valid[0] | valid[1])

        def begin(state):
            with m.If(idle & (n == spec.classes)):
                m.d.sync += n.eq(0)
                m.next = state

        with m.FSM():
            with m.State("Idle"):
                with m.If(self.start):
                    m.d.sync += [n.eq(0), total.eq(0)]
                    m.next = "Largest"
            with m.State("Largest"):
                m.d.comb += [self.busy.eq(1), reading.eq(n != spec.classes)]
                with m.If(valid[0] & ((self.value > best) | (steps[0] == 0))):
                    m.d.sync += best.eq(self.value)
                    with m.If(~self.readout):
                        m.d.sync += self.right.eq(steps[0] == self.label)
                begin("Powers")
            with m.State("Powers"):
                m.d.comb += [self.busy.eq(1), reading.eq(n != spec.classes)]
                m.d.sync += below.eq((best >> shift) - (self.value >> shift))
                m.d.comb += [
                    power.eq(Mux(below >> 3 > 7, 0, Array(Const(p, 8) for p in EXP2)[below[:3]]
                                 >> below[3:6])),
                    powers.w_port.addr.eq(steps[1]), powers.w_port.data.eq(power),
                    powers.w_port.en.eq(valid[1]),
                ]
                with m.If(valid[1]):
                    m.d.sync += total.eq(total + power)
                begin("Errors")
            with m.State("Errors"):
                m.d.comb += [self.busy.eq(1), reading.eq(n != spec.classes)]
                leading = ((total << 4) >> log2)[:4]  # the four bits after the first
                m.d.sync += reciprocal.eq(Array(Const(r, 8) for r in RECIPROCAL)[leading])
                m.d.sync += product.eq(powers.r_port.data * reciprocal)
                quotient = product >> log2
                share = Mux(quotient > 255, 255, quotient)
                m.d.comb += [
                    errors.w_port.addr.eq(Mux(self.readout, spec.classes, 0) + steps[1]),
                    errors.w_port.data.eq(Mux(steps[1] == self.label, 255, 0) - share),
                    errors.w_port.en.eq(valid[1]),
                ]
                with m.If(idle & (n == spec.classes)):
                    m.next = "Idle"
        return m

"""An array of leaky integrate-and-fire neurons on its own."""

from amaranth.hdl import EnableInserter, Module, Mux, Signal, signed
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from neurogen.rtl.lif_datapath import LEAK_BITS, LifDatapath
from neurogen.spec.checks import check_int
from neurogen.spec.lif import DECAY_ONE, Lif, Reset
from neurogen.spec.mega import ResetMode


__all__ = ["EventKind", "LifArray", "event_layout"]


_RESET_MODES = {Reset.SUBTRACT: ResetMode.SUBTRACT, Reset.ZERO: ResetMode.ZERO,
                Reset.NONE: ResetMode.NONE}


class EventKind(enum.Enum, shape=1):
    """What a `LifArray` does with an event."""

    INTEGRATE = 0
    TICK = 1


def event_layout(neurons: int, weight_bits: int) -> data.StructLayout:
    """Return the layout of an input event of a `LifArray`, lowest bits first.

    ``neuron`` and ``weight`` have no meaning in a ``TICK`` event.
    """
    return data.StructLayout({
        "kind": EventKind,
        "neuron": range(neurons),
        "weight": signed(weight_bits),
    })


class LifArray(wiring.Component):
    """Array of neurons that share one data path and one memory.

    Events take effect in order. ``INTEGRATE`` adds ``weight * 2 ** fraction_bits`` to a potential.
    ``TICK`` ends the time step: it visits the neurons in ascending order, adds the bias, fires,
    resets, decays and clips, and emits the index of each neuron that fires.

    An ``INTEGRATE`` event takes 1 cycle, back to back on one neuron too. A ``TICK`` event takes
    ``neurons + 5`` cycles and those in which ``o_spikes`` holds up a spike. ``i_events.ready`` does not
    depend on ``o_spikes.ready`` combinationally. The potential of ``r_neuron`` is on
    ``r_potential`` one cycle later; it is meaningful while ``busy`` is low and was low in the cycle before,
    without an event in either.

    After a reset, and at power-on, it spends ``neurons`` cycles on setting all potentials to their
    initial value before it accepts an event.

    Parameters
    ----------
    spec
        The neurons. Parameters must be one for the layer, without synaptic current and multiple
        spikes. Neurons are numbered in C order.
    weight_bits
        Width of the signed weight of an event, 2 to 16 bits.

    Members
    -------
    i_events : ``In(stream.Signature(event_layout(spec.neurons, weight_bits)))``
        Events. ``neuron`` must be less than ``spec.neurons``.
    o_spikes : ``Out(stream.Signature(range(spec.neurons)))``
        Neurons that fired.
    busy : ``Out(1)``
        High during a ``TICK``, during initialisation and until the last weight is stored.
    r_neuron : ``In(range(spec.neurons))``
        Neuron to read.
    r_potential : ``Out(signed(spec.state_bits))``
        Its potential.
    """

    def __init__(self, spec: Lif, *, weight_bits: int = 8):
        if not isinstance(spec, Lif):
            raise TypeError(f"LIF array parameters must be a Lif, not {spec!r}")
        check_int("Neuron count", spec.neurons, minimum=2)
        self._weight_bits = check_int("Weight width", weight_bits, minimum=2, maximum=16, unit="bits")
        if spec.cuba or spec.multi_spike or spec.saturate:
            raise ValueError("Neurons of a LIF array must be LIF neurons with at most one spike a step and "
                             "sums that fit")
        for name in ("threshold", "decay", "bias", "reset_value", "initial"):
            if getattr(spec, name).ndim:
                raise ValueError(f"Parameter {name} of a LIF array must be one for the layer, "
                                 f"not of shape {getattr(spec, name).shape!r}")
        self._spec = spec
        neurons = range(spec.neurons)
        super().__init__({
            "i_events": In(stream.Signature(event_layout(spec.neurons, weight_bits))),
            "o_spikes": Out(stream.Signature(neurons)),
            "busy": Out(1),
            "r_neuron": In(neurons),
            "r_potential": Out(signed(spec.state_bits)),
        })

    @property
    def spec(self) -> Lif:
        """The neurons."""
        return self._spec

    @property
    def weight_bits(self) -> int:
        """Width of the weight of an event."""
        return self._weight_bits

    def elaborate(self, platform):
        spec, event = self._spec, self.i_events.p
        m = Module()

        m.submodules.potentials = potentials = Memory(shape=signed(spec.state_bits),
                                                      depth=spec.neurons, init=[])
        w_port = potentials.write_port()
        # A weight may follow one to the same neuron: its read sees the write of the same cycle.
        read = potentials.read_port(transparent_for=(w_port,))
        look = potentials.read_port()
        m.d.comb += [look.addr.eq(self.r_neuron), self.r_potential.eq(look.data)]

        last = spec.neurons - 1
        neuron = Signal(range(spec.neurons))  # that is visited, in a tick or when initialising
        weight = Signal(signed(self._weight_bits))
        target, adding = Signal(range(spec.neurons)), Signal()

        move = Signal()  # the pipeline of a tick moves, and everything in it
        m.submodules.lif = lif = EnableInserter(move)(LifDatapath(
            1, max(spec.state_bits, LEAK_BITS)))  # else a leak of 4096 would not fit
        visiting = Signal()
        addresses, valid = self._track(m, move, neuron, visiting)
        m.d.comb += [
            lif.v[0].eq(read.data),
            lif.addend[0].eq(int(spec.bias)),
            lif.threshold[0].eq(int(spec.threshold)),
            lif.leak[0].eq(DECAY_ONE - int(spec.decay)),
            lif.reset_value[0].eq(int(spec.reset_value)),
            lif.reset.eq(_RESET_MODES[spec.reset]),
            lif.leaky.eq(int(spec.decay) != DECAY_ONE),
            lif.fire.eq(1),
            lif.lo.eq(spec.v_lo),
            lif.hi.eq(spec.v_hi),
            self.o_spikes.payload.eq(addresses[-1]),
            self.o_spikes.valid.eq(valid[-1] & lif.spike),
            move.eq(~self.o_spikes.valid | self.o_spikes.ready),
        ]

        m.d.sync += adding.eq(0)
        m.d.comb += [w_port.addr.eq(target), w_port.en.eq(adding),
                     w_port.data.eq(read.data + (weight << spec.fraction_bits))]
        m.d.comb += self.busy.eq(1)
        with m.FSM(init="Initialise"):
            with m.State("Initialise"):
                m.d.comb += [w_port.addr.eq(neuron), w_port.en.eq(1),
                             w_port.data.eq(int(spec.initial))]
                m.d.sync += neuron.eq(Mux(neuron == last, 0, neuron + 1))
                with m.If(neuron == last):
                    m.next = "Integrate"

            with m.State("Integrate"):
                m.d.comb += [self.busy.eq(adding), self.i_events.ready.eq(1),
                             read.addr.eq(event.neuron)]
                m.d.sync += [target.eq(event.neuron), weight.eq(event.weight)]
                with m.If(self.i_events.valid):
                    m.d.sync += adding.eq(event.kind == EventKind.INTEGRATE)
                    with m.If(event.kind == EventKind.TICK):
                        m.next = "Visit"

            with m.State("Visit"):
                m.d.comb += [read.addr.eq(neuron), visiting.eq(1), read.en.eq(move)]
                with m.If(move):
                    m.d.sync += neuron.eq(Mux(neuron == last, 0, neuron + 1))
                    with m.If(neuron == last):
                        m.next = "Drain"

            with m.State("Drain"):
                m.d.comb += read.en.eq(move)
                with m.If(move & (addresses[-1] == last) & valid[-1]):
                    m.next = "Integrate"

        with m.If(valid[-1]):
            m.d.comb += [w_port.addr.eq(addresses[-1]), w_port.data.eq(lif.v_next[0]),
                         w_port.en.eq(move)]
        return m

    def _track(self, m, move, neuron, visiting):
        """Return which neuron is in each stage, and whether there is one: memory, then data path."""
        addresses, valid = [neuron], [visiting]
        for stage in range(1 + LifDatapath.LATENCY):
            addresses.append(Signal.like(neuron, name=f"neuron_{stage}"))
            valid.append(Signal(name=f"valid_{stage}"))
            with m.If(move):
                m.d.sync += [addresses[-1].eq(addresses[-2]), valid[-1].eq(valid[-2])]
        return addresses, valid

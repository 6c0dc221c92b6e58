"""The states of a step of the learning engine, in their order."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data

from neurogen.rtl.learning_lanes import trace
from neurogen.rtl.learning_parts import Parts
from neurogen.spec.learning import SCORE_BITS, Learner, Prototypes, Rule
from neurogen.spec.learning_bus import Region


__all__ = ["integrate_states", "judge_states", "scan_states", "similar_states", "update_states"]


def scan_states(m: Module, spec: Learner, parts: Parts) -> None:
    """Pre-traces; the rows that spike, and those that are open, become lists. Then similarities fade."""
    log2 = (spec.lanes - 1).bit_length()
    pre, similarity = parts.memory[Region.PRE_TRACES], parts.memory[Region.SIMILARITY]
    x, spikes, pending = Signal(data.ArrayLayout(8, spec.lanes)), Signal(spec.lanes), Signal(spec.lanes)
    first, lane = Signal(parts.events.w_port.data.shape()), Signal(range(spec.lanes))
    learning = parts.learning & ~parts.control.freeze.bit_select(parts.layer, 1)
    place = parts.row_base + parts.n
    with m.State("Scan"):
        m.d.comb += [pre.r_port.addr.eq(place), parts.active.r_port.addr.eq(place)]
        parts.read(m, pre, parts.active)
        m.next = "Trace"
    with m.State("Trace"):
        fresh = [trace(pre.r_port.data[k], parts.active.r_port.data[k], spec.pre_shift)
                 for k in range(spec.lanes)]
        m.d.comb += [pre.w_port.addr.eq(place), parts.active.w_port.addr.eq(place), pre.w_port.en.eq(1),
                     parts.active.w_port.en.eq(-1)]
        m.d.comb += [pre.w_port.data[k].eq(value) for k, value in enumerate(fresh)]
        m.d.sync += [x[k].eq(value) for k, value in enumerate(fresh)]
        m.d.sync += [spikes.eq(parts.active.r_port.data), first.eq(parts.n << log2), parts.n.eq(parts.n + 1),
                     pending.eq(Mux(learning, Cat(value != 0 for value in fresh), parts.active.r_port.data))]
        parts.watch(m, parts.active.r_port.data, parts.n, parts.input_words, parts.input_padding)
        m.next = "List"
    with m.State("List"):
        for k in reversed(range(spec.lanes)):
            with m.If(pending[k]):
                m.d.comb += lane.eq(k)
        # The next word of rows is read in the last cycle.
        m.d.comb += [pre.r_port.addr.eq(place), parts.active.r_port.addr.eq(place)]
        row = first | lane
        m.d.comb += [
            parts.events.w_port.addr.eq(parts.events_n), parts.events.w_port.data.eq(row),
            parts.open.w_port.addr.eq(parts.open_n), parts.open.w_port.data.row.eq(row),
            parts.open.w_port.data.x.eq(x[lane]),
        ]
        with m.If(pending.any()):
            spiked = spikes.bit_select(lane, 1)
            m.d.comb += [parts.events.w_port.en.eq(spiked), parts.open.w_port.en.eq(learning)]
            m.d.sync += [pending.eq(pending & (pending - 1)), parts.events_n.eq(parts.events_n + spiked),
                         parts.open_n.eq(parts.open_n + learning)]
            parts.count(m, "events", spiked)
        with m.If((pending & (pending - 1)) == 0):
            parts.read(m, pre, parts.active)
            m.next = "Trace"
            with m.If(parts.n == parts.row_words):
                parts.begin_loop(m)
                m.d.sync += parts.column.eq(parts.first_column)
                m.next = "Fade"
    with m.State("Fade"):
        value = similarity.r_port.data
        m.d.comb += [
            parts.issue.eq(parts.n != parts.class_rows),
            similarity.w_port.addr.eq(parts.class_base + parts.index[0]),
            similarity.w_port.en.eq(parts.valid[0]),
            similarity.w_port.data.eq(value - (value >> spec.trace_shift)),
        ]
        parts.read(m, similarity, when=parts.issue)
        with m.If(parts.drained()):
            parts.begin_loop(m)
            m.next = "Load"


def integrate_states(m: Module, spec: Learner, parts: Parts) -> None:
    """For a word of neurons: add the weights of all events, fire, and keep what is left."""
    weights, potentials = parts.memory[Region.WEIGHTS], parts.memory[Region.POTENTIALS]
    neurons, lanes = parts.memory[Region.NEURONS], parts.lanes
    u, adding = Signal(lanes.u.shape()), Signal()
    m.d.comb += [lanes.u.eq(u), lanes.en.eq(0)]
    # The sums stand still while weights are read for something else.
    taken = [Mux(adding, weights.r_port.data[k], 0) for k in range(spec.lanes)]
    with m.State("Load"):
        parts.read(m, potentials, neurons)
        m.next = "Take"
    with m.State("Take"):
        m.d.sync += [u[k].eq(potentials.r_port.data[k]) for k in range(spec.lanes)]
        m.next = "Integrate"
    with m.State("Integrate"):
        m.d.comb += [parts.issue.eq(parts.n != parts.events_n),
                     weights.r_port.addr.eq(parts.column + parts.events.r_port.data)]
        parts.read(m, parts.events, when=parts.issue)
        parts.read(m, weights, when=parts.valid[0])
        with m.If(parts.valid[1]):
            m.d.comb += adding.eq(1)
            m.d.sync += [u[k].eq(u[k] + taken[k]) for k in range(spec.lanes)]
            parts.count(m, "reads", 1)
        with m.If(~(parts.issue | parts.valid[0] | parts.valid[1])):
            m.next = "Fire"
    with m.State("Fire"):
        m.d.comb += lanes.en.eq(1)
        m.next = "Store"
    with m.State("Store"):
        m.d.comb += [
            potentials.w_port.en.eq(1), potentials.w_port.data.eq(lanes.v),
            neurons.w_port.en.eq(1), neurons.w_port.data.e.eq(lanes.e_next),
            neurons.w_port.data.psi.eq(lanes.psi), neurons.w_port.data.spikes.eq(lanes.spikes),
            parts.active.w_port.addr.eq(parts.own_base + parts.word),
            parts.active.w_port.data.eq(lanes.spikes),
            parts.active.w_port.en.eq(Mux(parts.recurrent, -1, 0)),
        ]
        with m.If(lanes.spikes.any()):
            m.d.sync += parts.fired.bit_select(parts.layer, 1).eq(1)
        parts.watch(m, lanes.spikes, parts.word, parts.words, parts.padding)
        parts.count(m, "spikes", sum(lanes.spikes))
        parts.begin_loop(m)
        with m.If(parts.last):
            _after_firing(m, parts)
        if len(spec.layers) > 1:
            with m.Else():
                m.next = "Pass"
    if len(spec.layers) > 1:
        with m.State("Pass"):
            m.d.comb += [parts.active.w_port.addr.eq(parts.next_base + parts.word),
                         parts.active.w_port.data.eq(lanes.spikes), parts.active.w_port.en.eq(-1)]
            _after_firing(m, parts)


def _after_firing(m: Module, parts: Parts) -> None:
    with m.If(parts.lanes.spikes.any()):
        m.next = "Similar"
    with m.Else():
        parts.next_word(m, "Load", "Score")


def similar_states(m: Module, spec: Learner, parts: Parts) -> None:
    """Add the class weights of the neurons of a word that have fired; at the end of a step, the scores."""
    weights, similarity = parts.memory[Region.WEIGHTS], parts.memory[Region.SIMILARITY]
    scores = parts.memory[Region.SCORES]
    change = Signal(Value.cast(sum(weights.r_port.data[k] for k in range(spec.lanes))).shape())
    total = Signal(range(-(1 << SCORE_BITS), 1 << SCORE_BITS))
    top = (1 << (SCORE_BITS - 1)) - 1
    with m.State("Similar"):
        m.d.comb += [
            parts.issue.eq(parts.n != parts.class_rows),
            weights.r_port.addr.eq(parts.column + parts.rows + parts.index[0]),
            similarity.r_port.addr.eq(parts.class_base + parts.index[1]),
            similarity.w_port.addr.eq(parts.class_base + parts.index[2]),
            similarity.w_port.en.eq(parts.valid[2]),
            similarity.w_port.data.eq(similarity.r_port.data + change),
        ]
        parts.read(m, weights, when=parts.valid[0])
        parts.read(m, similarity, when=parts.valid[1])
        with m.If(parts.valid[1]):
            m.d.sync += change.eq(sum(Mux(parts.lanes.spikes[k], weights.r_port.data[k], 0)
                                      for k in range(spec.lanes)))
        with m.If(parts.drained()):
            parts.next_word(m, "Load", "Score")
    with m.State("Score"):
        with m.If(~parts.last):
            m.next = "Judge"
        with m.Else():
            m.d.comb += [
                parts.issue.eq(parts.n != parts.class_rows),
                total.eq(scores.r_port.data + similarity.r_port.data),
                scores.w_port.addr.eq(parts.index[0]), scores.w_port.en.eq(parts.valid[0]),
                scores.w_port.data.eq(Mux(total > top, top, Mux(total < -top - 1, -top - 1, total))),
            ]
            parts.read(m, scores, similarity, when=parts.issue)
            with m.If(parts.drained()):
                m.next = "Judge"


def judge_states(m: Module, spec: Learner, parts: Parts) -> None:
    """Errors of the layer, if it learns."""
    similarity, error = parts.memory[Region.SIMILARITY], parts.error
    learning = parts.learning & ~parts.control.freeze.bit_select(parts.layer, 1)
    readout = Signal()
    m.d.comb += error.readout.eq(readout)
    m.d.comb += error.value.eq(similarity.r_port.data)
    with m.State("Judge"):
        m.d.sync += readout.eq(0)
        with m.If(learning):
            m.d.comb += error.start.eq(1)
            parts.count(m, "learning_steps", 1)
            m.next = "Errors"
        with m.Else():
            parts.next_layer(m)
    with m.State("Errors"):
        m.d.comb += similarity.r_port.addr.eq(parts.class_base + Mux(readout, spec.classes, 0)
                                              + error.class_address)
        parts.read(m, similarity)
        with m.If(~error.busy):
            with m.If(parts.last & ~readout):
                m.d.sync += readout.eq(1)
                m.next = "Again"
            with m.Else():
                m.next = "Open"
    with m.State("Again"):
        m.d.comb += error.start.eq(1)
        m.next = "Errors"


def update_states(m: Module, spec: Learner, parts: Parts) -> None:
    """For a word of neurons: modulations, then the words of its rows and of its classes."""
    weights, neurons = parts.memory[Region.WEIGHTS], parts.memory[Region.NEURONS]
    update, error, modulations = parts.update, parts.error, parts.modulator.m
    traces = Signal()  # the lanes multiply traces, not modulations
    rates = parts.control.rates
    first_class, some = spec.classes, error.some[1]
    if spec.prototypes is Prototypes.LEARN:
        first_class, some = 0, error.some[0] | (error.some[1] & parts.last)
    for k in range(spec.lanes):
        m.d.comb += update.lanes[k].eq(Mux(traces, neurons.r_port.data.e[k], modulations[k]))
    m.d.comb += parts.modulator.en.eq(0)
    ended = ~(parts.issue | parts.valid[0] | update.busy)

    def to_classes():
        parts.begin_loop(m, first_class)
        m.d.sync += traces.eq(1)
        m.next = "Classes"

    def skip():
        parts.count(m, "skipped", parts.open_n)
        to_classes()

    with m.State("Open"):
        m.d.comb += update.clear.eq(1)
        m.d.sync += traces.eq(0)
        parts.read(m, neurons)
        parts.begin_loop(m)
        m.next = "Window"
    with m.State("Window"):
        if spec.rule is Rule.RSTDP:
            m.next = "Modulate"
        else:
            with m.If(Value.cast(neurons.r_port.data.psi).any()):
                m.next = "Gather"
                with m.If(~error.some[0]):  # sums are 0
                    m.next = "Modulate"
            with m.Else():
                skip()
    with m.State("Gather"):
        m.d.comb += [
            parts.issue.eq(parts.n != spec.classes), update.gather.eq(parts.valid[0]),
            update.factor.eq(error.error), update.address.eq(parts.column + parts.rows + parts.index[0]),
            weights.r_port.addr.eq(update.address),
        ]
        parts.read(m, weights, when=parts.valid[0])
        with m.If(ended):
            m.next = "Modulate"
    with m.State("Modulate"):
        m.d.comb += parts.modulator.en.eq(1)
        m.next = "Decide"
    with m.State("Decide"):
        parts.begin_loop(m)
        m.next = "Rows"
        with m.If(~Value.cast(modulations).any()):
            skip()
    with m.State("Rows"):
        m.d.comb += [
            parts.issue.eq(parts.n != parts.open_n), update.valid.eq(parts.valid[0]),
            update.factor.eq(parts.open.r_port.data.x),
            update.address.eq(parts.column + parts.open.r_port.data.row),
            update.rate.eq(Mux(parts.open.r_port.data.row < parts.input_rows, rates[0], rates[1])),
            weights.r_port.addr.eq(update.address),
        ]
        parts.read(m, parts.open, when=parts.issue)
        parts.read(m, weights, when=update.valid)
        with m.If(ended):
            to_classes()
    with m.State("Classes"):
        wanted = Value.cast(neurons.r_port.data.e).any() & some
        m.d.comb += [
            parts.issue.eq((parts.n < parts.class_rows) & wanted),
            update.valid.eq(parts.valid[0] & (error.error != 0)), update.factor.eq(error.error),
            update.address.eq(parts.column + parts.rows + parts.index[0]),
            update.rate.eq(Mux(parts.index[0] < spec.classes, rates[2], rates[3])),
            weights.r_port.addr.eq(update.address),
        ]
        parts.read(m, weights, when=update.valid)
        with m.If(ended):
            parts.next_word(m, "Open", "Close")
    with m.State("Close"):
        parts.next_layer(m)

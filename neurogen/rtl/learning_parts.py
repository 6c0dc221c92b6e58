"""What the states of the learning engine share: memories, lanes, registers, and where things lie."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data

from neurogen.rtl.learning_control import LearnControl, region_layouts
from neurogen.rtl.learning_error import ErrorUnit
from neurogen.rtl.learning_lanes import Modulator, NeuronLanes, UpdateLanes, per_layer
from neurogen.rtl.memory import Ram
from neurogen.spec.learning import Learner
from neurogen.spec.learning_bus import COUNTERS, Region


__all__ = ["Parts"]


class Parts:
    """Memories, lanes and registers of a learning engine, which its states share.

    Made inside `elaborate` of the engine. Loops: ``n`` counts while ``issue`` is high, and what it stands for
    arrives one, two and three cycles later (``valid`` and ``index``). ``waiting``: an event waits, for which
    a host must wait too.
    """

    def __init__(self, m: Module, spec: Learner, waiting: Value):
        layers = range(len(spec.layers))
        rows = max(spec.rows(index) for index in layers)
        layouts = region_layouts(spec)
        m.submodules.control = self.control = LearnControl(spec)
        m.submodules.neurons_lanes = self.lanes = NeuronLanes(spec)
        m.submodules.modulator = self.modulator = Modulator(spec)
        m.submodules.update = self.update = UpdateLanes(spec)
        m.submodules.judge = self.error = ErrorUnit(spec)
        self.memory = {region: Ram(*layout, collisions=False) for region, layout in layouts.items()}
        for region, memory in self.memory.items():
            m.submodules[region.name.lower()] = memory
        row = (rows - 1).bit_length()
        m.submodules.active = self.active = Ram(spec.lanes, self.memory[Region.PRE_TRACES].depth,
                                                  granularity=1)
        m.submodules.events = self.events = Ram(row, rows, collisions=False)
        m.submodules.open = self.open = Ram(data.StructLayout({"row": row, "x": 8}), rows, collisions=False)

        self.idle, self.settled = Signal(), Signal()
        self.learn, self.learning, self.label = Signal(), Signal(), Signal(range(spec.classes))
        self.phase = Signal(9)
        # A sample has begun; layers of which a neuron has fired in it; all have that were seen in this step.
        self.begun, self.fired, self.every = Signal(), Signal(len(spec.layers)), Signal()
        self.layer = Signal(range(max(2, len(spec.layers))))
        self.word = Signal(range(max(2, *(spec.words(layer.neurons) for layer in spec.layers))))
        self.column = Signal(range(spec.weight_words + 1))  # first address of the word's weights
        limit = max(rows, 2 * spec.classes, *(memory.depth for region, memory in self.memory.items()
                                              if region not in (Region.WEIGHTS, Region.MEANS)))
        self.n, self.issue = Signal(range(limit + 1)), Signal()
        self.valid = [Signal(name=f"valid_{k}") for k in (1, 2, 3)]
        self.index = [Signal.like(self.n, name=f"n_{k}") for k in (1, 2, 3)]
        self.events_n, self.open_n = Signal(range(rows + 1)), Signal(range(rows + 1))

        def constant(values):
            return per_layer(list(values), self.layer)
        words = [spec.words(layer.neurons) for layer in spec.layers]
        self.last = self.layer == len(spec.layers) - 1
        self.words = constant(words)
        self.rows = constant(spec.rows(index) for index in layers)
        self.input_rows = constant(spec.row_words(index)[0] * spec.lanes for index in layers)
        self.input_words = constant(spec.row_words(index)[0] for index in layers)
        # Lanes of the last word of inputs, and of neurons, behind which there is nothing.
        before = [spec.inputs, *(layer.neurons for layer in spec.layers)]
        padding = [(1 << spec.lanes) - (1 << (n - 1) % spec.lanes + 1) for n in before]
        self.input_padding, self.padding = constant(padding[:-1]), constant(padding[1:])
        self.row_words = constant(sum(spec.row_words(index)) for index in layers)
        self.class_rows = constant(spec.class_rows(index) for index in layers)
        self.column_words = constant(spec.column(index) for index in layers)
        self.class_base = constant(index * spec.classes for index in layers)
        self.word_base = constant(sum(words[:index]) for index in layers)
        row_bases = [sum(sum(spec.row_words(k)) for k in range(index)) for index in layers]
        self.row_base = constant(row_bases)
        self.own_base = constant(base + spec.row_words(k)[0] for k, base in enumerate(row_bases))
        self.next_base = constant([*row_bases[1:], 0])
        self.recurrent = constant(int(layer.recurrent) for layer in spec.layers)
        self.first_column = constant(sum(words[k] * spec.column(k) for k in range(index)) for index in layers)
        self._connect(m, spec, waiting)

    def _connect(self, m: Module, spec: Learner, waiting: Value) -> None:
        control, memory = self.control, self.memory
        m.d.sync += self.settled.eq(self.idle)
        for k, (valid, index) in enumerate(zip((self.issue, *self.valid[:2]), (self.n, *self.index[:2]),
                                               strict=True)):
            m.d.sync += self.valid[k].eq(valid)
            with m.If(valid):
                m.d.sync += self.index[k].eq(index)
        with m.If(self.issue):
            m.d.sync += self.n.eq(self.n + 1)
        # A read takes energy: memories are read where a state says so.
        m.d.comb += [ram.r_port.en.eq(0) for ram in (*memory.values(), self.active, self.events, self.open)]
        place = self.word_base + self.word
        m.d.comb += [
            memory[Region.POTENTIALS].r_port.addr.eq(place), memory[Region.NEURONS].r_port.addr.eq(place),
            memory[Region.POTENTIALS].w_port.addr.eq(place), memory[Region.NEURONS].w_port.addr.eq(place),
            memory[Region.SIMILARITY].r_port.addr.eq(self.class_base + self.n),
            memory[Region.SCORES].r_port.addr.eq(self.n),
            self.events.r_port.addr.eq(self.n), self.open.r_port.addr.eq(self.n),
            self.error.address.eq(self.n), self.error.label.eq(self.label),
            control.busy.eq(waiting | ~(self.idle & self.settled)), control.random.eq(self.update.random),
            control.saturated.eq(self.update.saturated),
            self.update.seed.eq(control.seed), self.update.seed_en.eq(control.seed_en),
            self.update.word.eq(memory[Region.WEIGHTS].r_port.data),
            self.lanes.layer.eq(self.layer), self.lanes.e.eq(memory[Region.NEURONS].r_port.data.e),
            self.modulator.sums.eq(self.update.sums), self.modulator.right.eq(self.error.right),
            self.modulator.e.eq(memory[Region.NEURONS].r_port.data.e),
            self.modulator.psi.eq(memory[Region.NEURONS].r_port.data.psi),
            self.modulator.spikes.eq(memory[Region.NEURONS].r_port.data.spikes),
            memory[Region.WEIGHTS].w_port.addr.eq(self.update.w_address),
            memory[Region.WEIGHTS].w_port.data.eq(self.update.w_data),
            memory[Region.WEIGHTS].w_port.en.eq(self.update.w_en),
        ]
        if Region.MEANS in memory:
            means = memory[Region.MEANS]
            m.d.comb += [means.r_port.addr.eq(memory[Region.WEIGHTS].r_port.addr),
                         means.r_port.en.eq(memory[Region.WEIGHTS].r_port.en),
                         self.update.means.eq(means.r_port.data), means.w_port.addr.eq(self.update.w_address),
                         means.w_port.data.eq(self.update.w_means), means.w_port.en.eq(self.update.w_en)]
        for region, ram in memory.items():
            m.d.comb += control.read[region].eq(Value.cast(ram.r_port.data))
        self.count(m, "cycles", ~self.idle)
        self.count(m, "updates", self.update.valid)
        self.count(m, "saturated", self.update.saturated)

    def count(self, m: Module, name: str, amount: Value) -> None:
        """Let a counter grow in this cycle."""
        m.d.comb += self.control.amounts[COUNTERS.index(name)].eq(amount)

    def watch(self, m: Module, spikes: Value, index: Value, count: Value, padding: Value) -> None:
        """Set a sticky bit if all spikes of some words, taken one by one, are there; but for ``padding``."""
        last = index == count - 1
        every = (spikes | Mux(last, padding, 0)).all() & ((index == 0) | self.every)
        m.d.sync += self.every.eq(every)
        with m.If(last & every):
            m.d.comb += self.control.firing.eq(1)

    def read(self, m: Module, *memories: Ram, when: Value | int = 1) -> None:
        """Let memories read in this cycle; their outputs stand still otherwise."""
        m.d.comb += [memory.r_port.en.eq(when) for memory in memories]

    def drained(self) -> Value:
        """Return whether all that a loop has issued has arrived."""
        return ~(self.issue | self.valid[0] | self.valid[1] | self.valid[2])

    def begin_loop(self, m: Module, start: Value = 0) -> None:
        """Start a loop in the next state."""
        m.d.sync += self.n.eq(start)

    def next_layer(self, m: Module) -> None:
        """Go on with the next layer, or end the step."""
        m.d.sync += [self.layer.eq(self.layer + 1), self.events_n.eq(0), self.open_n.eq(0), self.n.eq(0)]
        m.next = "Scan"
        with m.If(self.last):
            m.d.sync += self.layer.eq(0)
            m.next = "Idle"

    def next_word(self, m: Module, again: str, after: str) -> None:
        """Go on with the next word of the layer."""
        m.d.sync += [self.word.eq(self.word + 1), self.column.eq(self.column + self.column_words),
                     self.n.eq(0)]
        m.next = again
        with m.If(self.word == self.words - 1):
            m.d.sync += [self.word.eq(0), self.column.eq(self.first_column)]
            m.next = after

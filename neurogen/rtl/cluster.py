"""One cluster: nine state banks, nine weight memories, and the lanes between them."""

from itertools import product

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from neurogen.rtl.lif_datapath import clipped
from neurogen.rtl.memory import Ram, RegisterFile
from neurogen.rtl.sweep_datapath import lif_layout, sweep_rows
from neurogen.spec.mega import BANKS, MegaSpec


__all__ = ["Cluster", "Forward", "add_layout", "read_layout"]


class Forward(enum.Enum, shape=2):
    """Where the adder of a bank finds the old value of its states."""

    MEMORY = 0  # read in the cycle before
    ADDED = 1   # sum of the operation just before, written while this one was read
    SWEPT = 2   # result of the LIF data paths; nothing is added
    KEPT = 3    # of a frugal bank: that result, past an adder which looks at its last sum and stands still


def read_layout(spec: MegaSpec) -> data.StructLayout:
    """Return the layout of the second stage of an operation: weights arrive, states are read after it."""
    fields = {
        "weights": 1,        # add the weights that were read in the cycle before; else add zero
        "turn_y": range(3),  # tap row i goes to bank row (i + turn_y) % 3
        "turn_x": range(3),
        "fraction": 2,       # index into the configuration's fraction_bits
        "states": 1,         # read the states
        "rows": data.ArrayLayout(spec.state_address_bits, BANKS),
    }
    if spec.frugal:  # banks that are read; that take weights: others keep theirs
        fields |= {"banks": data.ArrayLayout(1, BANKS), "adding": data.ArrayLayout(1, BANKS)}
    return data.StructLayout(fields)


def add_layout(spec: MegaSpec) -> data.StructLayout:
    """Return the layout of the last stage: add, and write the sum."""
    fields = {
        "write": data.ArrayLayout(1, BANKS),
        "forward": data.ArrayLayout(Forward, BANKS),
        "rows": data.ArrayLayout(spec.state_address_bits, BANKS),
    }
    if spec.frugal:  # with write: the memory takes the sum, else only the register does
        fields |= {"store": data.ArrayLayout(1, BANKS)}
    return data.StructLayout(fields)


class Cluster(wiring.Component):
    """Nine banks of states, nine tap memories and ``9 * lanes`` adders: one operation a cycle.

    An operation takes four cycles: the weights are read (``weight_en``); they are turned along the lines of
    banks (``read``); they are turned to their banks while the states are read; the sum is formed, with the
    state forwarded where the read met its write, and written (``add``). Frugal clusters read weights a cycle
    later, and turn them to their banks in one. Hazards and the pipeline registers of the controls belong to
    `neurogen.rtl.pipeline`, once for all clusters, which work in lock step; rows of a sweep to
    `neurogen.rtl.sweep_datapath`.

    A row passes through the LIF data paths in ``sweep_cycles`` chunks: it is read, loaded
    (``lif.load``), shifted through (``lif.shift``), collected `lif_latency` cycles later
    (``lif.collect``), and written through the adders with ``Forward.SWEPT``. Where ``sweep_cycles`` does not
    divide the lanes, the last chunk is filled up with neurons that stay zero.

    Where it is ``staggered``, the second line of three banks reads and writes states a cycle after the
    first, the third two cycles after. So a row's chunks, which are its lines then, leave the memories when
    the data paths take them and are written when they come back: no register holds a row.

    Memories are undefined at power-on; a reset does not clear them.

    Parameters
    ----------
    spec
        Parameters of the accelerator.

    Members
    -------
    weight_en, weight_row : ``In``
        Read the row of all taps.
    read : ``In(read_layout(spec))``
        One cycle after ``weight_en``; with it, if frugal.
    add : ``In(add_layout(spec))``
        Two cycles after ``read``.
    lif : ``In(lif_layout(spec))``
        Controls of the sweep.
    w_tap, w_row, w_data : ``In``
        Write ``w_data`` to the taps with a bit in ``w_tap``.
    spikes : ``Out(9 * lanes)``
        Spikes of the row that was collected last, bank-major; valid after its last chunk.
    nonzero : ``Out(1)``
        Whether any state of the row that was collected last is not zero.
    r_load : ``In(1)``
        Take the row that was read last, and neuron ``r_index`` of it.
    r_index, r_data : ``In``, ``Out``
        State of neuron ``r_index = bank * lanes + lane``, two cycles after ``r_load``, where that stays high.
    """

    def __init__(self, spec: MegaSpec):
        if not isinstance(spec, MegaSpec):
            raise TypeError(f"Cluster parameters must be a MegaSpec, not {spec!r}")
        self._spec = spec
        super().__init__({
            "weight_en": In(1),
            "weight_row": In(spec.weight_address_bits),
            "read": In(read_layout(spec)),
            "add": In(add_layout(spec)),
            "lif": In(lif_layout(spec)),
            "w_tap": In(BANKS),
            "w_row": In(spec.weight_address_bits),
            "w_data": In(spec.lanes * spec.weight_bits),
            "spikes": Out(BANKS * spec.lanes),
            "nonzero": Out(1),
            "r_load": In(1),
            "r_index": In(range(BANKS * spec.lanes)),
            "r_data": Out(signed(spec.state_bits)),
        })

    @property
    def spec(self) -> MegaSpec:
        """Parameters of the accelerator."""
        return self._spec

    def elaborate(self, platform):
        spec = self._spec
        m = Module()
        taps = self._weights(m)
        addends = self._turn_once(m, taps) if spec.frugal else self._turn(m, taps)
        swept = [Signal(data.ArrayLayout(signed(spec.state_bits), spec.lanes), name=f"swept{bank}")
                 for bank in range(BANKS)]
        states = self._banks(m, addends, swept)
        sweep_rows(m, self, taps, states, swept)
        return m

    def _late(self, m, bank, **values):
        """Return values as a bank gets them: of a later line of banks, after registers."""
        for age in range(bank // 3 if self._spec.staggered else 0):
            for name, value in values.items():
                values[name] = Signal.like(value, name=f"{name}{bank}_{age + 1}", reset_less=True)
                m.d.sync += values[name].eq(value)
        return values.values()

    def _weights(self, m):
        """Return the outputs of the tap memories."""
        spec = self._spec
        taps = []
        if spec.weight_registers:
            width = spec.lanes * spec.weight_bits
            m.submodules.weights = file = RegisterFile(BANKS * width, spec.weight_depth, granularity=width)
            m.d.comb += [
                file.r_port.en.eq(self.weight_en), file.r_port.addr.eq(self.weight_row),
                file.w_port.en.eq(self.w_tap), file.w_port.addr.eq(self.w_row),
                file.w_port.data.eq(self.w_data.replicate(BANKS)),
            ]
            return [file.r_port.data.word_select(tap, width) for tap in range(BANKS)]
        for tap in range(BANKS):
            ram = Ram(spec.lanes * spec.weight_bits, spec.weight_depth, collisions=False)
            m.submodules[f"weights{tap}"] = ram
            m.d.comb += [
                ram.r_port.en.eq(self.weight_en), ram.r_port.addr.eq(self.weight_row),
                ram.w_port.en.eq(self.w_tap[tap]), ram.w_port.addr.eq(self.w_row),
                ram.w_port.data.eq(self.w_data),
            ]
            taps.append(ram.r_port.data)
        return taps

    def _turn(self, m, taps):
        """Return, for each bank, the registered weights that are added to it."""
        spec = self._spec

        def signals(name, numbers, values, domain):
            """Keep words in signals: each bit of one is used, and an expression would be there for each."""
            kept = [Signal(len(value), name=f"{name}{n}", reset_less=True)
                    for n, value in zip(numbers, values, strict=True)]
            domain += [signal.eq(value) for signal, value in zip(kept, values, strict=True)]
            return kept

        # Columns first: each tap row by turn_x.
        with m.If(self.read.weights):
            lines = [signals("turned", range(3 * y, 3 * y + 3),
                             _turned(taps[3 * y:3 * y + 3], self.read.turn_x), m.d.sync) for y in range(3)]
        read = Signal.like(self.read, name="turning", reset_less=True)
        m.d.sync += read.eq(self.read)
        columns = [signals("weights", range(x, BANKS, 3), _turned([line[x] for line in lines], read.turn_y),
                           m.d.comb) for x in range(3)]
        taking = Signal()
        weighted = Signal(init=1)  # zeros follow the last weights, and a reset
        m.d.sync += weighted.eq(read.weights)
        m.d.comb += taking.eq(read.weights | weighted)
        addends = self._addends()
        for bank, lane in product(range(BANKS), range(spec.lanes)):
            scaled = self._scaled(columns[bank % 3][bank // 3], lane, read.fraction)
            with m.If(taking):
                m.d.sync += addends[bank][lane].eq(Mux(read.weights, scaled, 0))
        return addends

    def _turn_once(self, m, taps):
        """Return what `_turn` returns, with registers of weights only, where they are in their banks."""
        spec = self._spec
        read = Signal.like(self.read, name="turning", reset_less=True)
        fraction = Signal.like(self.read.fraction)
        m.d.sync += [read.eq(self.read), fraction.eq(read.fraction)]
        lines = [_turned(taps[3 * y:3 * y + 3], read.turn_x) for y in range(3)]
        columns = [_turned([line[x] for line in lines], read.turn_y) for x in range(3)]
        addends = self._addends()
        for bank in range(BANKS):
            word = Signal(spec.lanes * spec.weight_bits, name=f"weights{bank}", reset_less=True)
            with m.If(read.adding[bank]):
                m.d.sync += word.eq(columns[bank % 3][bank // 3])
            m.d.comb += [addends[bank][lane].eq(self._scaled(word, lane, fraction))
                         for lane in range(spec.lanes)]
        return addends

    def _addends(self):
        spec = self._spec
        return [[Signal(signed(spec.weight_bits + max(spec.fraction_bits)), name=f"addend{bank}_{lane}",
                        reset_less=True) for lane in range(spec.lanes)] for bank in range(BANKS)]

    def _scaled(self, word, lane, fraction):
        """Return a lane's weight of a word, shifted."""
        weight = word.word_select(lane, self._spec.weight_bits).as_signed()
        chosen, *others = (weight << bits for bits in self._spec.fraction_bits)
        for index, scaled in enumerate(others, 1):
            chosen = Mux(fraction == index, scaled, chosen)
        return chosen

    def _banks(self, m, addends, swept):
        """Return the words that the state banks read."""
        spec = self._spec
        word = data.ArrayLayout(signed(spec.state_bits), spec.lanes)
        states = []
        for bank in range(BANKS):
            ram = Ram(spec.lanes * spec.state_bits, spec.state_depth, collisions=False)
            m.submodules[f"states{bank}"] = ram
            old = data.View(word, ram.r_port.data)
            added, base = (Signal(word, name=f"{name}{bank}", reset_less=True) for name in ("added", "base"))
            # Registers of each bank's own: addresses go to all of its memory.
            reading = self.read.banks[bank] if spec.frugal else self.read.states
            read = Signal(name=f"read{bank}_0", reset_less=True)
            read_row = Signal(spec.state_address_bits, name=f"read_row{bank}_0", reset_less=True)
            m.d.sync += read.eq(reading)
            with m.If(reading):
                m.d.sync += read_row.eq(self.read.rows[bank])
            read, read_row, write, store, row, forward, addend = self._late(
                m, bank, read=read, read_row=read_row, write=self.add.write[bank],
                store=self.add.store[bank] if spec.frugal else self.add.write[bank],
                row=self.add.rows[bank], forward=self.add.forward[bank].as_value(), addend=Cat(addends[bank]))
            summed = Mux(forward[0], added, old)
            m.d.comb += base.eq(summed if spec.frugal else Mux(forward[1], swept[bank], summed))
            sums = [Signal(signed(spec.state_bits), name=f"sum{bank}_{lane}") for lane in range(spec.lanes)]
            for lane in range(spec.lanes):
                weight = addend.word_select(lane, len(addends[bank][lane])).as_signed()
                if spec.frugal and not spec.saturate:
                    low, moves, high = _sum_of_halves(base[lane], weight)
                    m.d.comb += sums[lane].eq(Cat(low, high))
                    with m.If(write & ~store):
                        m.d.sync += added[lane][:len(low)].eq(low)
                        with m.If(moves | ~forward[0]):
                            m.d.sync += added[lane][len(low):].eq(high)
                    continue
                total = base[lane] + weight
                # Else modulo 2**state_bits: the network's proof says that it never wraps.
                m.d.comb += sums[lane].eq(clipped(total, spec.state_bits) if spec.saturate else total)
                # A frugal bank keeps a sum for the next operation, or writes it: never both.
                with m.If(write & ~store if spec.frugal else write):
                    m.d.sync += added[lane].eq(sums[lane])
            stored = Cat(sums)
            if spec.frugal:  # what the memory does not take, it does not see
                stored = (stored & (store & ~forward[1]).replicate(len(stored))
                          | swept[bank].as_value() & forward[1].replicate(len(stored)))
            m.d.comb += [
                ram.r_port.en.eq(read), ram.r_port.addr.eq(read_row),
                ram.w_port.en.eq(store), ram.w_port.addr.eq(row), ram.w_port.data.eq(stored),
            ]
            states.append(old)
        return states


def _sum_of_halves(state, weight):
    """Return the low half of ``state + weight``, whether the high one moves, and the high one.

    The low half has the weight's bits without its sign. A sign goes to all bits of a sum's high half, and is
    mostly undone by the carry: here they are one step up, down, or none, and wires beyond stand still.
    """
    width = len(weight) - 1
    total = state[:width] + weight[:-1]
    carry, sign = total[width], weight[-1]
    up, down = carry & ~sign, ~carry & sign
    high, steps = state[width:], []
    for bit in high:
        steps.append(up | down)
        up, down = up & bit, down & ~bit
    return total[:width], steps[0], high ^ Cat(steps)


def _turned(words, turn):
    """Return three words turned: the first ``turn`` places further."""
    return [Mux(turn == 0, words[b], Mux(turn == 1, words[(b - 1) % 3], words[(b - 2) % 3]))
            for b in range(3)]

"""Executes programs on images, after the text of `neurogen.spec.mega` and nothing else.

Loops where the hardware has parallel lanes: this is the second opinion on the compiler, not a fast model.
"""

import numpy as np

from neurogen.mapping.plan import gather_potentials, read_stream, stream_for
from neurogen.spec.events import CONTROL, END_OF_STEP, POPULATION, control_word
from neurogen.spec.mega import BANKS, COUNTERS, PARAMETERS, MegaSpec, Op, ResetMode, Source, decode


__all__ = ["Interpreter", "Machine"]


class Interpreter:
    """In the place of an `Accelerator`, for a `Runner` that reads potentials after the last step."""

    def load(self, part):
        self.part = part

    def run(self, part, events, steps, *, each_step=None):
        assert each_step is None and part is self.part
        self.machine = Machine(part.spec, part.program, part.weights, part.external)
        return read_stream(part, self.machine.run(stream_for(part, events), steps), steps)

    def potentials(self, part):
        rows = self.machine.states
        return gather_potentials(part, rows), gather_potentials(part, rows, currents=True)

    def counters(self, part):
        return self.machine.counters

    def cycles(self):
        return 0


class Machine:
    def __init__(self, spec: MegaSpec, program, weights, external, seed=0):
        self.spec, total = spec, spec.total_lanes
        size = spec.instruction_words
        self.program = [decode(spec, program[i:i + size]) for i in range(0, len(program), size)]
        assert len(program) <= spec.program_depth and len(weights) <= spec.weight_depth
        rng = np.random.default_rng(seed)  # memories hold anything at power-on
        half = 1 << spec.state_bits - 1
        self.states = rng.integers(-half, half, (spec.state_depth, BANKS, total))
        self.spikes = rng.integers(0, 2, (spec.spike_depth, BANKS, total)).astype(bool)
        low = 1 << spec.weight_bits - 1
        assert weights.min() >= -low and weights.max() < low
        self.weights = rng.integers(-low, low, (spec.weight_depth, BANKS, total))
        self.weights[:len(weights)] = weights
        self.external = external
        self.counters = np.zeros((len(self.program), len(COUNTERS)), np.int64)

    def run(self, words, steps):
        self.words, self.position, self.out = [int(w) for w in words], 0, []
        for step in range(steps):
            for number, i in enumerate(self.program):
                if i["once"] and step:
                    continue
                counts = getattr(self, "_" + Op(i["op"]).name.lower())(i, step)
                for name, value in counts.items():
                    self.counters[number, COUNTERS.index(name)] += value
                if i["end_of_step"]:
                    break
        assert self.position == len(self.words), "input words are left"
        return np.array(self.out, np.uint32)

    def wrap(self, value):
        half = 1 << self.spec.state_bits - 1
        return (value + half) % (2 * half) - half

    def total(self, value):
        """Return a sum as an adder of the states gives it."""
        half = 1 << self.spec.state_bits - 1
        return np.clip(value, -half, half - 1) if self.spec.saturate else self.wrap(value)

    # -- Events -----------------------------------------------------------------------------------

    def slot(self, i, step):
        return i["spike_base"] + ((step + i["ring_phase"]) & i["ring_mask"]) * i["ring_stride"]

    def scan(self, i, step):
        """Return (c, y, x) of the spikes in the rows of an instruction."""
        assert i["spike_base"] % 8 == 0 and i["ring_stride"] % 8 == 0
        base, total, found = self.slot(i, step), self.spec.total_lanes, []
        for row, bank, lane in np.argwhere(self.spikes[base:base + i["rows"]]).tolist():
            if i["vector"]:
                found.append(((row * BANKS + bank) * total + lane, 0, 0))
            else:
                group, tile = divmod(row, i["tiles"])
                y, x = divmod(tile, i["tiles_x"])
                found.append((group * total + lane, 3 * y + bank // 3, 3 * x + bank % 3))
        return found

    def receive(self, i):
        """Return the events of the stream up to the next end of step."""
        found = []
        while True:
            word = self.words[self.position]
            self.position += 1
            if word & CONTROL:
                assert word >> 28 & 7 == END_OF_STEP
                return found
            event = word >> 18, word >> 9 & 511, word & 511
            assert event[0] < i["in_channels"]
            found.append(event)

    def _integrate(self, i, step):
        stream = i["source"] == Source.STREAM
        events = self.receive(i) if stream else self.scan(i, step)
        seen, counts = set(), {"events": 0, "sops": 0, "rows": 0 if stream else i["rows"]}
        words = i["in_h"] * i["in_w"] * -(-i["in_channels"] // self.spec.total_lanes)
        assert not i["max_pool"] or words <= self.spec.max_pool_rows
        for c, y, x in events:
            y, x = y >> i["pool_log2"], x >> i["pool_log2"]
            if y >= i["in_h"] or x >= i["in_w"] or (i["max_pool"] and (c, y, x) in seen):
                continue
            assert c < i["in_channels"]
            seen.add((c, y, x))
            counts["events"] += 1
            counts["sops"] += self.dense(i, c, y, x) if i["dense"] else self.convolve(i, c, y, x)
        return counts

    def add(self, i, row, bank, weights):
        scale = 1 << self.spec.fraction_bits[i["fraction"]]
        self.states[row, bank] = self.total(self.states[row, bank] + scale * weights)

    def dense(self, i, c, y, x):
        assert i["ops"] == i["groups"]
        first = i["weight_base"] + c * i["words_per_channel"] + y * i["weight_y"] + x * i["weight_x"]
        for r in range(i["groups"]):
            self.add(i, i["state_base"] + r, slice(None), self.weights[first + r])
        return (i["groups"] - 1) * BANKS * self.spec.total_lanes + i["last_lanes"]

    def convolve(self, i, c, y, x):
        stride, subs, groups = 1 + i["stride2"], i["subs"], i["groups"]
        assert i["ops"] == subs * subs * groups and not i["weight_x"] and not i["weight_y"]
        big_y, p_y = divmod(y + i["pad_y"], stride)
        big_x, p_x = divmod(x + i["pad_x"], stride)
        big_y, big_x = big_y - i["off_y"], big_x - i["off_x"]
        count_y, count_x = (-(-(i["kernel"] - p) // stride) for p in (p_y, p_x))
        sops = 0
        for m_y, m_x, i_y, i_x in np.ndindex(subs, subs, 3, 3):
            j_y, j_x = 3 * m_y + 2 - i_y, 3 * m_x + 2 - i_x
            out_y, out_x = big_y - j_y, big_x - j_x
            inside = 0 <= out_y < i["out_h"] and 0 <= out_x < i["out_w"]
            if not inside or j_y >= count_y or j_x >= count_x:
                continue
            s = ((p_y * stride + p_x) * subs + m_y) * subs + m_x
            for g in range(groups):
                row = i["state_base"] + g * i["group_rows"] + out_y // 3 * i["out_tiles_x"] + out_x // 3
                weight = self.weights[i["weight_base"] + c * i["words_per_channel"] + s * groups + g]
                self.add(i, row, out_y % 3 * 3 + out_x % 3, weight[3 * i_y + i_x])
                sops += i["last_lanes"] if g == groups - 1 else self.spec.total_lanes
        return sops

    # -- Neurons ----------------------------------------------------------------------------------

    def parameters(self, base):
        """Return name -> int[total_lanes] of the set at a weight row."""
        spec, bits = self.spec, 0
        result = {}
        for lane in range(spec.total_lanes):
            bits = 0
            for k in range(spec.parameter_rows * BANKS):
                value = int(self.weights[base + k // BANKS, k % BANKS, lane])
                bits |= (value & (1 << spec.weight_bits) - 1) << k * spec.weight_bits
            for k, name in enumerate(PARAMETERS if spec.cuba else PARAMETERS[:-1]):
                value = bits >> k * spec.state_bits & (1 << spec.state_bits) - 1
                result.setdefault(name, []).append(value)
        values = {name: np.array(v) for name, v in result.items()}
        # A leak is unsigned, of 13 bits at most.
        return {name: v % 8192 if name.endswith("leak") else self.wrap(v) for name, v in values.items()}

    @staticmethod
    def decay(value, leak):
        product = value * (4096 - leak)
        return np.sign(product) * (np.abs(product) >> 12)

    def fire(self, i, v, p):
        z = (v >= p["threshold"]) & (i["reset"] != ResetMode.NONE)
        after = {ResetMode.SUBTRACT: v - p["threshold"], ResetMode.ZERO: p["reset_value"], ResetMode.NONE: v}
        v = np.where(z, after[ResetMode(i["reset"])], v)
        if i["leaky"]:
            v = self.decay(v, p["leak"])
        return np.clip(v, i["v_lo"], i["v_hi"]), z

    def _sweep(self, i, step):
        base, spikes = self.slot(i, step), 0
        assert base % 8 == 0 and i["state_base"] % 8 == 0
        for row in range(i["rows"]):
            for bank in range(BANKS):
                k = (row * BANKS + bank) * self.spec.parameter_rows if i["per_neuron"] else 0
                p = self.parameters(i["weight_base"] + k)
                state = i["state_base"] + row
                value = self.total(self.states[state, bank] + p["bias"])
                if i.get("cuba"):
                    membrane = i["membrane_base"] + row
                    v = self.total(self.states[membrane, bank] + value)
                    self.states[membrane, bank], z = self.fire(i, v, p)
                    current = self.decay(value, p["synapse_leak"])
                    self.states[state, bank] = np.clip(current, i["i_lo"], i["i_hi"])
                else:
                    self.states[state, bank], z = self.fire(i, value, p)
                place = divmod(row, max(1, -(-i["out_w"] // 3))), divmod(bank, 3)
                y, x = (3 * n + d for n, d in zip(*place, strict=True))
                # Without `always` the gateware relies on silence outside the map.
                outside = not i["vector"] and (y >= i["out_h"] or x >= i["out_w"])
                z = z & (not (outside and i["always"]))
                assert not (outside and z.any())
                self.spikes[base + row, bank] = z
                spikes += int(z.sum())
        return {"spikes": spikes, "rows": i["rows"]}

    # -- The rest ---------------------------------------------------------------------------------

    def _emit(self, i, step):
        found = self.scan(i, step)
        if found:
            self.out.append(control_word(POPULATION, i["population"]))
        self.out += [(c + i["off_c"]) << 18 | (y + i["off_y"]) << 9 | (x + i["off_x"]) for c, y, x in found]
        if i["tick"]:
            self.out.append(control_word(END_OF_STEP, step))
        return {"events": len(found), "rows": i["rows"]}

    def _init(self, i, step):
        if i["spikes"]:
            assert i["spike_base"] % 8 == 0
            self.spikes[i["spike_base"]:i["spike_base"] + i["rows"]] = False
            return {}
        assert i["state_base"] % 8 == 0
        rows = self.states[i["state_base"]:i["state_base"] + i["rows"]]
        if not i["fill"]:
            rows[:] = 0
            return {}
        for row, bank in np.ndindex(i["rows"], BANKS):
            k = (row * BANKS + bank) * self.spec.parameter_rows
            p = self.parameters(i["weight_base"] + k)
            assert (p["threshold"] == -(1 << self.spec.state_bits - 1)).all()
            rows[row, bank] = p["reset_value"]
        return {}

    def _load(self, i, step):
        total = self.spec.total_lanes
        words = -(-BANKS * total // 4)
        for row in range(i["rows"]):
            first = i["external"] + row * words
            data = self.external[first:first + words].astype("<u4").view(np.int8)[:BANKS * total]
            self.weights[i["weight_base"] + row] = data.reshape(BANKS, total)
        return {"rows": i["rows"]}

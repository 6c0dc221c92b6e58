"""Learning on chip once more, with plain integers, a neuron and a bit at a time; from the text."""

from neurogen.spec.learning import EXP2, RECIPROCAL


TAPS = 0x80000000 | 0x20000000 | 0x02000000 | 0x01000000


def clip(value, low, high):
    return max(low, min(high, value))


def sat(value):
    return clip(value, -2**31, 2**31 - 1)


def softmax255(values, shift):
    v = [z // 2**shift for z in values]
    p = [EXP2[(max(v) - n) % 8] // 2**((max(v) - n) // 8) for n in v]
    total = sum(p)
    k = len(bin(total)) - 2
    return [min(255, n * RECIPROCAL[total // 2**(k - 5) % 16] // 2**(k - 1)) for n in p]


class Oracle:
    """The same interface as `neurogen.golden.learning.Simulator`, as far as tests need it."""

    def __init__(self, spec, weights, seed=1):
        self.spec, self.q, self.updates, self.skipped = spec, seed, 0, 0
        self.weights = [[[int(n) for n in row] for row in layer] for layer in weights]
        self.means = [[list(row) for row in layer] for layer in self.weights]
        self.frozen = [False] * len(spec.layers)
        self.begin()

    def begin(self, label=None):
        sizes = [(len(w[0]), self.spec.rows(k)) for k, w in enumerate(self.weights)]
        self.label, self.t = label, 0
        self.v, self.e, self.s = ([[0] * n for n, _ in sizes] for _ in range(3))
        self.x = [[0] * rows for _, rows in sizes]
        self.z = [[0] * self.spec.classes for _ in sizes]
        self.o, self.scores, self.readout_scores = ([0] * self.spec.classes for _ in range(3))

    def random(self):
        """Return the state, and step the register bit by bit."""
        now = self.q
        for _ in range(16):
            self.q = (self.q >> 1) ^ (TAPS if self.q & 1 else 0)
        return now

    def trace(self, x, spike, shift):
        return min(255, x - -(-x // 2**shift) + (16 if spike else 0))

    def step(self, inputs):
        spec = self.spec
        self.t += 1
        spikes = [int(i in set(inputs)) for i in range(spec.inputs)]
        for k, layer in enumerate(spec.layers):
            w, n, rows = self.weights[k], len(self.v[k]), spec.rows(k)
            active = spikes + [0] * (rows - len(spikes))
            if layer.recurrent:
                active[rows - n:] = self.s[k]
            self.x[k] = [self.trace(x, a, spec.pre_shift) for x, a in zip(self.x[k], active, strict=True)]
            psi = []
            for j in range(n):
                u = self.v[k][j] + sum(w[i][j] for i in range(rows) if active[i])
                self.s[k][j] = int(u >= layer.threshold)
                far = abs(u - layer.threshold)
                psi.append(2 if far < spec.window_full else 1 if far < spec.window_half else 0)
                u -= layer.threshold * self.s[k][j]
                kept = abs(u) * (2**layer.leak_shift - 1) // 2**layer.leak_shift
                self.v[k][j] = clip(kept if u >= 0 else -kept, -2**(spec.state_bits - 1),
                                    2**(spec.state_bits - 1) - 1)
                self.e[k][j] = self.trace(self.e[k][j], self.s[k][j], spec.trace_shift)
            last = k == len(spec.layers) - 1
            for c in range(spec.classes):
                def add(value, row, k=k, w=w, n=n):
                    change = sum(w[row][j] for j in range(n) if self.s[k][j])
                    return value - value // 2**spec.trace_shift + change
                self.z[k][c] = add(self.z[k][c], rows + c)
                if last:
                    self.o[c] = add(self.o[c], rows + spec.classes + c)
                    self.scores[c] = sat(self.scores[c] + self.z[k][c])
                    self.readout_scores[c] = sat(self.readout_scores[c] + self.o[c])
            if self.label is not None and self.t % spec.period == 0 and not self.frozen[k]:
                self.learn(k, psi, last)
            spikes = self.s[k][:layer.neurons]

    def error(self, values, shift):
        if self.spec.loss == "softmax":
            return [255 * (c == self.label) - p for c, p in enumerate(softmax255(values, shift))]
        rival = None
        for c, value in enumerate(values):
            if c != self.label and (rival is None or value > values[rival]):
                rival = c
        ahead = values[self.label] // 2**shift - values[rival] // 2**shift
        size = 127 if ahead < self.spec.margin else 0
        return [size * ((c == self.label) - (c == rival)) for c in range(len(values))]

    def learn(self, k, psi, last):
        spec, w, rows = self.spec, self.weights[k], self.spec.rows(k)
        self.now = k
        classes, lanes = spec.classes, spec.lanes
        d, g = self.error(self.z[k], spec.similarity_shift), self.error(self.o, spec.readout_shift)
        m = []
        for j, e in enumerate(self.e[k]):
            b = sum(d[c] * w[rows + c][j] for c in range(classes)) // 2**spec.modulation_shift
            p = psi[j]
            if spec.rule == "rstdp":
                won = max(range(classes), key=lambda c: (self.z[k][c], -c)) == self.label
                b, p = (1 if won else -1) * (e if self.s[k][j] else -(e // 4)), 2
            if spec.calm_shift is not None:
                b -= max(0, e - spec.calm_from) * 2**spec.calm_shift
            m.append(clip(b * p // 2, -127, 127))
        for first in range(0, len(m), lanes):
            here = range(first, first + lanes)
            for i in range(rows):
                if self.x[k][i]:
                    if any(m[j] for j in here):
                        rate = spec.rate_w if i < spec.row_words(k)[0] * lanes else spec.rate_r
                        self.update(w[i], here, [m[j] * self.x[k][i] for j in here], rate)
                    else:
                        self.skipped += 1
            if any(self.e[k][j] for j in here):
                for c in range(classes):
                    if d[c] and spec.prototypes == "learn":
                        self.update(w[rows + c], here, [d[c] * self.e[k][j] for j in here], spec.rate_p)
                for c in range(classes):
                    if g[c] and last:
                        self.update(w[rows + classes + c], here, [g[c] * self.e[k][j] for j in here],
                                    spec.rate_q)

    def update(self, row, here, products, rate):
        self.updates += 1
        q, top = self.random(), 2**(self.spec.weight_bits - 1) - 1
        for lane, (j, product) in enumerate(zip(here, products, strict=True)):
            def r(turn, bits, lane=lane):
                turn = (2 * lane + turn) % 32
                return ((q >> turn) | (q << (32 - turn))) % 2**32 % 2**bits
            change = (product + r(0, rate)) // 2**rate
            if self.spec.rule == "fptt":
                rows = zip(self.means[self.now], self.weights[self.now], strict=True)
                (mean,) = (m for m, w in rows if w is row)
                a, b = self.spec.anchor_shift, self.spec.average_shift
                change -= (row[j] - mean[j] + r(16, a)) // 2**a
                row[j] = clip(row[j] + change, -top, top)
                mean[j] += (row[j] - mean[j] + r(8, b)) // 2**b
            else:
                row[j] = clip(row[j] + change, -top, top)

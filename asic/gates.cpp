// Simulates a netlist of gates: in zero delay, or event-driven with inertial delays.
// Everything comes as arrays (see asic/gatesim.py); a change of a net is (time, net * 2 + value).
#include <algorithm>
#include <cstdint>
#include <queue>
#include <vector>

namespace {

struct Event {
    int64_t time;
    uint64_t serial;
    int32_t gate;
    uint8_t value;
    bool operator>(const Event &other) const {
        return time != other.time ? time > other.time : serial > other.serial;
    }
};

// What cells went through: how often each passed from one state of its pins to another at one moment, and for how
// long it was in each. Pairs of states are counted in a hash table, since few of the possible ones occur.
struct Counts {
    const int32_t *touch0, *touch;  // by net: (cell, pin) pairs, from touch0[net] to touch0[net + 1]
    const int64_t *state0;          // by cell: where its states begin in `held`
    int64_t *held;                  // ticks in each state
    int32_t cells;
    std::vector<uint16_t> state, before;
    std::vector<int64_t> since;
    std::vector<uint64_t> keys;  // 1 + (cell << 32 | before << 16 | after); 0: free
    std::vector<uint32_t> counts;
    int64_t used = 0;

    void add(uint64_t key, uint32_t count) {
        if (2 * used >= int64_t(keys.size())) {
            std::vector<uint64_t> old_keys(std::max<size_t>(1 << 16, keys.size() * 2), 0);
            std::vector<uint32_t> old_counts(old_keys.size(), 0);
            old_keys.swap(keys);
            old_counts.swap(counts);
            used = 0;
            for (size_t i = 0; i < old_keys.size(); ++i)
                if (old_keys[i])
                    add(old_keys[i], old_counts[i]);
        }
        size_t at = key * 0x9E3779B97F4A7C15ull >> 24 & (keys.size() - 1);
        while (keys[at] && keys[at] != key)
            at = (at + 1) & (keys.size() - 1);
        used += !keys[at];
        keys[at] = key;
        counts[at] += count;
    }
    void settle(int32_t cell, int64_t now) {  // what happened to a cell at its last moment is complete
        held[state0[cell] + state[cell]] += now - since[cell];
        if (before[cell] != state[cell])
            add(1 + (uint64_t(cell) << 32 | uint64_t(before[cell]) << 16 | state[cell]), 1);
        before[cell] = state[cell];
        since[cell] = now;
    }
    void change(int64_t now, int32_t net) {
        for (int i = touch0[net]; i < touch0[net + 1]; i += 2) {
            const int32_t cell = touch[i];
            if (since[cell] != now)
                settle(cell, now);
            state[cell] ^= 1 << touch[i + 1];
        }
    }
    void begin(int64_t now, const uint8_t *values, int32_t nets) {
        state.assign(cells, 0);
        since.assign(cells, now - 1);  // what comes at `now` is a change
        for (int net = 0; net < nets; ++net)
            if (values[net])
                for (int i = touch0[net]; i < touch0[net + 1]; i += 2)
                    state[touch[i]] |= 1 << touch[i + 1];
        before = state;
    }
    void end(int64_t now) {
        for (int cell = 0; cell < cells; ++cell)
            settle(cell, now);
    }
};

}  // namespace

extern "C" {

Counts *counts_new(int32_t cells, const int32_t *touch0, const int32_t *touch, const int64_t *state0, int64_t *held) {
    auto *c = new Counts();
    c->cells = cells, c->touch0 = touch0, c->touch = touch, c->state0 = state0, c->held = held;
    return c;
}

int64_t counts_size(const Counts *c) { return c->used; }

// Copies keys (cell << 32 | before << 16 | after) and counts, and frees the table.
void counts_take(Counts *c, uint64_t *keys, uint32_t *counts) {
    for (size_t i = 0, to = 0; i < c->keys.size(); ++i)
        if (c->keys[i]) {
            keys[to] = c->keys[i] - 1;
            counts[to++] = c->counts[i];
        }
    delete c;
}

struct Netlist {
    int32_t nets, gates, flops, clocks, rams, inputs;
    const int32_t *gate_out, *gate_pin0, *pin_net, *lut0;  // gates in topological order; pins of gate g
    const uint8_t *lut;                                    // from gate_pin0[g] to gate_pin0[g + 1]
    const int32_t *delay;                                  // by pin: to the rising, to the falling edge of the output
    const int32_t *flop_d, *flop_q, *flop_clock;           // clock: -1 for the root, else a gating cell
    const int32_t *clock_enable, *clock_parent, *clock_out;  // gating cells, parents first
    int32_t root;                                          // the net of the clock, or -1
    const int32_t *ram;  // by RAM: words, bits, ports, then by port: offsets into ram_pin of
                         // men, wen, ren, addr, din, bm (-1: none), dout
    const int32_t *ram_pin;
    const int32_t *fan0, *fan;                             // gates that a net feeds, and which pin
    const int32_t *input;                                  // nets of the inputs, in the order of stimulus
};

struct Result {
    int64_t *time;
    int32_t *change;
    int64_t count, capacity;
};

// Returns 0; 1: too many changes; 2: something moves for longer than a period. `state`: the nets' values, before and
// after; `initial`: those that changes begin with, at the start of cycle 0. `ram_state`: contents, in the order of the
// memories. `out`: by cycle, the values of `watched` nets at its end. `accesses`: by memory and port, reads, writes,
// and both at once. Cycles from `first` up to (not with) `last` are those with delays (if `with_delays`), whose accesses
// and, with `counts`, transitions are counted; changes are kept of all cycles.
int simulate(const Netlist *n, int32_t cycles, const uint8_t *stimulus, int64_t period, int32_t with_delays,
             uint8_t *state, uint8_t *initial, uint8_t *ram_state, Result *result, const int32_t *watched, int32_t watch,
             uint8_t *out, int64_t *accesses, int32_t first, int32_t last, Counts *counts) {
    bool timed = false, inside = false;
    std::vector<int64_t> ram_base(n->rams + 1, 0);
    std::vector<int32_t> ram_at(n->rams + 1, 0);
    for (int r = 0, at = 0; r < n->rams; ++r) {
        ram_at[r] = at;
        ram_base[r + 1] = ram_base[r] + int64_t(n->ram[at]) * n->ram[at + 1];
        at += 3 + 7 * n->ram[at + 2];
    }
    auto note = [&](int64_t time, int32_t net) {
        if (result->count < result->capacity) {
            result->time[result->count] = time;
            result->change[result->count] = net * 2 + state[net];
        }
        ++result->count;
    };
    auto evaluate = [&](int g) {
        uint32_t index = 0;
        const int from = n->gate_pin0[g], to = n->gate_pin0[g + 1];
        for (int p = from; p < to; ++p)
            index |= uint32_t(state[n->pin_net[p]]) << (p - from);
        return n->lut[n->lut0[g] + index];
    };
    std::priority_queue<Event, std::vector<Event>, std::greater<Event>> queue;
    std::vector<uint64_t> pending(n->gates, 0);  // serial of the event that counts; 0: none
    std::vector<uint8_t> target(n->gates, 0);
    uint64_t serial = 0;
    auto touch = [&](int64_t now, int32_t net) {
        for (int f = n->fan0[net]; f < n->fan0[net + 1]; f += 2) {
            const int g = n->fan[f], pin = n->fan[f + 1];
            const uint8_t value = evaluate(g);
            if (pending[g]) {
                if (value == target[g])
                    continue;
                pending[g] = 0;  // a pulse shorter than the delay
            }
            if (value == state[n->gate_out[g]])
                continue;
            target[g] = value;
            pending[g] = ++serial;
            queue.push({now + n->delay[2 * (n->gate_pin0[g] + pin) + (value ? 0 : 1)], serial, g, value});
        }
    };
    std::vector<uint64_t> stale(n->gates / 64 + 1, ~0ull);  // without delays: a bit for each gate to be evaluated
    auto set = [&](int64_t now, int32_t net, uint8_t value) {
        if (net < 2 || state[net] == value)
            return;
        state[net] = value;
        note(now, net);
        if (inside && counts)
            counts->change(now, net);
        if (timed)
            touch(now, net);
        else
            for (int f = n->fan0[net]; f < n->fan0[net + 1]; f += 2)
                stale[n->fan[f] / 64] |= 1ull << n->fan[f] % 64;
    };
    auto refresh = [&](int64_t now) {  // gates come in topological order: what one makes stale lies ahead
        for (size_t w = 0; w < stale.size(); ++w)
            while (stale[w]) {
                const int g = int(w * 64) + __builtin_ctzll(stale[w]);
                stale[w] &= stale[w] - 1;
                if (g < n->gates)
                    set(now, n->gate_out[g], evaluate(g));
            }
    };
    auto drain = [&](int64_t until) {
        while (!queue.empty() && queue.top().time < until) {
            const Event e = queue.top();
            queue.pop();
            if (pending[e.gate] != e.serial)
                continue;
            pending[e.gate] = 0;
            set(e.time, n->gate_out[e.gate], e.value);
        }
    };
    std::vector<uint8_t> active(n->clocks), sampled(n->flops);
    std::vector<std::pair<int32_t, uint8_t>> reads;
    for (int t = 0; t < cycles; ++t) {
        const int64_t now = int64_t(t) * period;
        if (t == first) {
            inside = true;
            timed = with_delays;
            if (counts && t > 0)
                counts->begin(now, state, n->nets);
        }
        if (t == last) {
            inside = timed = false;
            if (counts)
                counts->end(now);
        }
        // What the clock's edge sees: the values at the end of the cycle before.
        reads.clear();
        if (t > 0) {
            for (int c = 0; c < n->clocks; ++c)
                active[c] = state[n->clock_enable[c]] && (n->clock_parent[c] < 0 || active[n->clock_parent[c]]);
            for (int f = 0; f < n->flops; ++f)
                sampled[f] = n->flop_clock[f] < 0 || active[n->flop_clock[f]] ? state[n->flop_d[f]]
                                                                              : state[n->flop_q[f]];
            for (int r = 0; r < n->rams; ++r) {
                const int32_t *ram = n->ram + ram_at[r];
                const int words = ram[0], bits = ram[1], ports = ram[2];
                int abits = 0;
                while ((1 << abits) < words)
                    ++abits;
                for (int phase = 0; phase < 2; ++phase)  // all ports read before one writes
                    for (int p = 0; p < ports; ++p) {
                        const int32_t *port = ram + 3 + 7 * p;
                        const int32_t *pin = n->ram_pin;
                        if (!state[pin[port[0]]])
                            continue;
                        const bool write = state[pin[port[1]]], read = state[pin[port[2]]];
                        int64_t address = 0;
                        for (int b = 0; b < abits; ++b)
                            address |= int64_t(state[pin[port[3] + b]]) << b;
                        uint8_t *word = ram_state + ram_base[r] + (address % words) * bits;
                        if (phase == 0) {
                            if (inside)
                                ++accesses[(r * 2 + p) * 3 + (write ? (read ? 2 : 1) : 0)];
                            if (read)
                                for (int b = 0; b < bits; ++b) {
                                    const bool mine = write && (port[5] < 0 || state[pin[port[5] + b]]);
                                    reads.push_back({pin[port[6] + b], mine ? state[pin[port[4] + b]] : word[b]});
                                }
                        } else if (write) {
                            for (int b = 0; b < bits; ++b)
                                if (port[5] < 0 || state[pin[port[5] + b]])
                                    word[b] = state[pin[port[4] + b]];
                        }
                    }
            }
            if (n->root >= 0)
                set(now, n->root, 1);
            for (int c = 0; c < n->clocks; ++c)
                if (active[c])
                    set(now, n->clock_out[c], 1);
            for (int f = 0; f < n->flops; ++f)
                set(now, n->flop_q[f], sampled[f]);
            for (const auto &[net, value] : reads)
                set(now, net, value);
        }
        if (t == 0) {  // nothing has happened yet: values settle unseen
            for (int i = 0; i < n->inputs; ++i)
                state[n->input[i]] = stimulus[i];
            for (int g = 0; g < n->gates; ++g)
                state[n->gate_out[g]] = evaluate(g);
            if (n->root >= 0)
                state[n->root] = 1;
            std::copy(state, state + n->nets, initial);
            if (counts && inside)
                counts->begin(now, state, n->nets);
        }
        for (int i = 0; i < n->inputs; ++i)
            set(now, n->input[i], stimulus[int64_t(t) * n->inputs + i]);
        const int64_t middle = now + period / 2;
        if (timed) {
            drain(middle);
        } else {
            refresh(now);
        }
        if (n->root >= 0)
            set(middle, n->root, 0);
        for (int c = 0; c < n->clocks; ++c)
            set(middle, n->clock_out[c], 0);
        if (timed) {
            drain(now + period);
            if (!queue.empty()) {
                while (!queue.empty() && pending[queue.top().gate] != queue.top().serial)
                    queue.pop();
                if (!queue.empty())
                    return 2;
            }
        }
        for (int w = 0; w < watch; ++w)
            out[int64_t(t) * watch + w] = state[watched[w]];
    }
    if (inside && counts)
        counts->end(int64_t(cycles) * period);
    return result->count > result->capacity ? 1 : 0;
}
}

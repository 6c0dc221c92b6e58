// Runs a Verilated design for many cycles per call. Everything that depends on the design is in files that
// `verilator.py` writes next to this one: Vdut.h, Vdut___024root.h, ports.inc (one line a port), and clock.inc.
//
// A cycle: drive the inputs, evaluate with clk = 0, look at the handshakes, evaluate with clk = 1. The first
// evaluation is left out if the inputs are the same as before and nothing depends on the falling edge.

#include "Vdut.h"
#include "Vdut___024root.h"
#include "clock.inc"
#include "verilated.h"
#if NG_TRACE == 1
#include "verilated_vcd_c.h"
using Tracer = VerilatedVcdC;
#elif NG_TRACE == 2
#include "verilated_fst_c.h"
using Tracer = VerilatedFstC;
#endif

#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#define API extern "C" __attribute__((visibility("default")))

// Verilator would end the process, and Python with it.
void vl_fatal(const char* file, int line, const char*, const char* message) {
    throw std::runtime_error(std::string(message) + " (" + file + ":" + std::to_string(line) + ")");
}
void vl_stop(const char* file, int line, const char*) {
    throw std::runtime_error("$stop or a failed assertion at " + std::string(file) + ":" + std::to_string(line));
}
void vl_finish(const char* file, int line, const char*) {
    throw std::runtime_error("$finish at " + std::string(file) + ":" + std::to_string(line));
}

namespace {

struct Port { void* at; uint32_t bytes; };

struct Random {  // xorshift64*
    uint64_t state = 1;
    uint32_t next() {
        state ^= state >> 12; state ^= state << 25; state ^= state >> 27;
        return static_cast<uint32_t>(state * 0x2545F4914F6CDD1DULL >> 32);
    }
    // `chance` is a probability times 2^32.
    bool hit(uint64_t chance) { return chance && next() < chance; }
    void seed(uint64_t value) { state = (value + 1) * 0x9E3779B97F4A7C15ULL; if (!state) state = 1; next(); next(); }
};

struct Stream {
    Port payload, valid, ready;
    bool input;
    uint64_t chance = 0, count = 0, limit = 0;
    Random random;
    const uint8_t* source = nullptr;  // inputs: `limit` payloads
    bool offered = false;
    std::vector<uint8_t> data;        // outputs: `count` payloads
    std::vector<uint64_t> times;
    bool timed = false;
    bool high(const Port& port) const { return *static_cast<uint8_t*>(port.at); }
};

struct Bus { Port cyc, stb, we, adr, dat_w, dat_r, ack; };
struct Operation { uint32_t kind, adr, dat, mask; };  // kind: 0 read, 1 write, 2 read until equal under the mask

enum Until { CYCLES, INPUTS, OUTPUTS, PORT, QUIET };
enum Status { RUNNING, DONE, EXHAUSTED, FAILED };

uint64_t number(const Port& port) { uint64_t v = 0; std::memcpy(&v, port.at, port.bytes < 8 ? port.bytes : 8); return v; }
// Each returns whether the port has changed.
bool store(const Port& port, const void* value, size_t bytes) {
    if (!std::memcmp(port.at, value, bytes)) return false;
    std::memcpy(port.at, value, bytes);
    return true;
}
bool put(const Port& port, uint64_t value) { return store(port, &value, port.bytes < 8 ? port.bytes : 8); }
bool bit(const Port& port, bool value) {
    uint8_t& now = *static_cast<uint8_t*>(port.at);
    const bool other = now != value;
    now = value;
    return other;
}

struct Memory {
    Bus bus;
    uint8_t* words = nullptr;
    uint64_t depth = 0;
    uint32_t low = 1, high = 1;  // range of latencies, in cycles
    int64_t left = -1;           // cycles until the answer; -1: no request
    uint64_t adr = 0, transfers = 0;
    bool answered = true;        // there is an answer on the bus, perhaps
    Random random;

    bool drive() {  // whether an input has changed
        bool changed = bit(bus.ack, left == 0);
        if (left == 0) {
            changed |= store(bus.dat_r, words + adr * bus.dat_r.bytes, bus.dat_r.bytes);
            answered = true;
        } else if (left < 0 && answered) {
            std::memset(bus.dat_r.at, 0, bus.dat_r.bytes);
            answered = false;
            changed = true;
        }
        return changed;
    }
    bool sample() {
        if (!*static_cast<uint8_t*>(bus.cyc.at) || !*static_cast<uint8_t*>(bus.stb.at)) { left = -1; return false; }
        bool moved = false;
        if (left < 0) {
            adr = number(bus.adr);
            if (adr >= depth)
                throw std::runtime_error("access to word " + std::to_string(adr) + " of an external memory of "
                                         + std::to_string(depth) + " words");
            left = low + (high > low ? random.next() % (high - low + 1) : 0);
        } else if (number(bus.adr) != adr) {
            throw std::runtime_error("address of the memory bus changed from " + std::to_string(adr) + " to "
                                     + std::to_string(number(bus.adr)) + " while the access was waiting");
        } else if (left == 0) {
            if (*static_cast<uint8_t*>(bus.we.at))
                std::memcpy(words + adr * bus.dat_w.bytes, bus.dat_w.at, bus.dat_w.bytes);
            ++transfers;
            left = -1;
            moved = true;
        }
        if (left > 0) --left;
        return moved;
    }
};

struct Model {
    std::unique_ptr<VerilatedContext> context{new VerilatedContext};
    std::unique_ptr<Vdut> dut;
    std::vector<Port> ports;
    std::vector<Stream> streams;
    int clk = -1, rst = -1;
    bool has_bus = false, has_memory = false;
    Bus bus;
    Memory memory;
    const Operation* script = nullptr;
    uint32_t* answers = nullptr;
    uint64_t script_length = 0, script_next = 0;
    uint64_t cycles = 0, limit = 0, quiet = 0, quiet_limit = 0;
    Until until = CYCLES;
    int until_port = -1;
    std::string error;
#if NG_TRACE
    std::unique_ptr<Tracer> tracer;
    uint64_t trace_first = 0, trace_last = 0;
#endif

    void evaluate(bool clock) {
        *static_cast<uint8_t*>(ports[clk].at) = clock;
        dut->eval();
#if NG_TRACE
        if (tracer && cycles >= trace_first && cycles < trace_last) tracer->dump(cycles * 10 + (clock ? 5 : 0));
#endif
    }

    void fall(bool changed) {
#ifdef NG_CLOCK_BEFORE
        if (!changed && !tracing()) { NG_CLOCK_BEFORE(dut) = 0; return; }
#endif
        evaluate(false);
    }

    bool tracing() const {
#if NG_TRACE
        return tracer != nullptr;
#else
        return false;
#endif
    }

    bool drive() {  // whether an input has changed
        bool changed = false;
        for (Stream& s : streams) {
            if (!s.input) {
                changed |= bit(s.ready, s.count < s.limit && !s.random.hit(s.chance));
                continue;
            }
            if (!s.offered && s.count < s.limit && !s.random.hit(s.chance)) {
                changed |= store(s.payload, s.source + s.count * s.payload.bytes, s.payload.bytes);
                s.offered = true;
            }
            changed |= bit(s.valid, s.offered);
        }
        if (has_bus) {
            const bool busy = script_next < script_length;
            changed |= bit(bus.cyc, busy);
            changed |= bit(bus.stb, busy);
            if (busy) {
                const Operation& operation = script[script_next];
                changed |= bit(bus.we, operation.kind == 1);
                changed |= put(bus.adr, operation.adr);
                changed |= put(bus.dat_w, operation.kind == 1 ? operation.dat : 0);
            }
        }
        if (has_memory) changed |= memory.drive();
        return changed;
    }

    bool sample() {  // the handshakes of this cycle; whether there were any
        bool moved = false;
        for (Stream& s : streams) {
            if (!s.high(s.valid) || !s.high(s.ready)) continue;
            moved = true;
            s.offered = false;
            if (!s.input) {
                const uint8_t* from = static_cast<const uint8_t*>(s.payload.at);
                s.data.insert(s.data.end(), from, from + s.payload.bytes);
                if (s.timed) s.times.push_back(cycles);
            }
            ++s.count;
        }
        if (has_bus && script_next < script_length && *static_cast<uint8_t*>(bus.ack.at)) {
            const Operation& operation = script[script_next];
            const uint32_t value = static_cast<uint32_t>(number(bus.dat_r));
            answers[script_next] = operation.kind == 1 ? operation.dat : value;
            if (operation.kind != 2 || (value & operation.mask) == operation.dat) ++script_next;
            moved = true;
        }
        if (has_memory && memory.sample()) moved = true;
        return moved;
    }

    bool inputs_done() const {
        for (const Stream& s : streams) if (s.input && s.count < s.limit) return false;
        return script_next >= script_length;
    }
    bool outputs_done() const {
        for (const Stream& s : streams) if (!s.input && s.count < s.limit && s.limit != UINT64_MAX) return false;
        return true;
    }
    bool outputs_pending() const {
        for (const Stream& s : streams) if (!s.input && s.count < s.limit && s.high(s.valid)) return true;
        return false;
    }

    int step(uint64_t count) {
        bool first = true;
        for (; count; --count) {
            const bool fed = inputs_done();  // before this cycle: the design has seen the last input
            if (until == INPUTS && fed) return DONE;
            if (until == OUTPUTS && fed && outputs_done()) return DONE;
            if (until == QUIET && fed && quiet >= quiet_limit) return DONE;
            if (!limit) return EXHAUSTED;
            fall(drive() || first);
            first = false;
            const bool asked = until == PORT && fed && *static_cast<uint8_t*>(ports[until_port].at)
                && !outputs_pending();
            quiet = sample() ? 0 : quiet + 1;
            evaluate(true);
            ++cycles;
            --limit;
            if (asked) return DONE;
        }
        return RUNNING;
    }

    void release() {  // nobody offers or accepts anything until the next run
        for (Stream& s : streams) {
            bit(s.input ? s.valid : s.ready, 0);
            s.offered = false;
            s.chance = s.limit = 0;
        }
        if (has_bus) { bit(bus.cyc, 0); bit(bus.stb, 0); }
        script_length = script_next = 0;
    }
};

template <typename Function> int guarded(Model* model, Function function) {
    try { return function(); }
    catch (const std::exception& caught) { model->error = caught.what(); return FAILED; }
}

Bus wishbone(Model* m, const int* p) {
    return {m->ports[p[0]], m->ports[p[1]], m->ports[p[2]], m->ports[p[3]], m->ports[p[4]], m->ports[p[5]], m->ports[p[6]]};
}

}  // namespace

API Model* ng_new(int reset_mode, int seed, int clk, int rst) {
    Model* m = new Model;
    m->context->randReset(reset_mode);
    m->context->randSeed(seed);
#if NG_TRACE
    m->context->traceEverOn(true);
#endif
    m->dut.reset(new Vdut(m->context.get(), "top"));
    Vdut* dut = m->dut.get();
    m->ports = {
#include "ports.inc"
    };
    m->clk = clk;
    m->rst = rst;
    return m;
}

API void ng_delete(Model* m) {
#if NG_TRACE
    if (m->tracer) m->tracer->close();
#endif
    delete m;
}

API const char* ng_error(Model* m) { return m->error.c_str(); }
API uint64_t ng_cycles(Model* m) { return m->cycles; }
API void ng_get(Model* m, int port, void* value) { std::memcpy(value, m->ports[port].at, m->ports[port].bytes); }
API void ng_set(Model* m, int port, const void* value) { std::memcpy(m->ports[port].at, value, m->ports[port].bytes); }

API void ng_add_stream(Model* m, int input, int payload, int valid, int ready) {
    Stream s;
    s.payload = m->ports[payload]; s.valid = m->ports[valid]; s.ready = m->ports[ready];
    s.input = input;
    m->streams.push_back(s);
}
API void ng_add_bus(Model* m, const int* ports) { m->bus = wishbone(m, ports); m->has_bus = true; }
API void ng_add_memory(Model* m, const int* ports) { m->memory.bus = wishbone(m, ports); m->has_memory = true; }
API void ng_memory(Model* m, uint8_t* words, uint64_t depth, uint32_t low, uint32_t high, uint64_t seed) {
    m->memory.words = words; m->memory.depth = depth; m->memory.low = low; m->memory.high = high;
    m->memory.random.seed(seed);
}
API uint64_t ng_memory_transfers(Model* m) { return m->memory.transfers; }

API int ng_settle(Model* m) {
    return guarded(m, [=] { bit(m->ports[m->clk], 0); m->dut->eval(); return DONE; });
}

API int ng_reset(Model* m, uint64_t cycles) {
    return guarded(m, [=]() mutable {
        m->release();
        m->memory.left = -1;
        for (; cycles; --cycles) {
            bit(m->ports[m->rst], 1);
            if (m->has_memory) m->memory.drive();
            m->evaluate(false);
            m->evaluate(true);
            ++m->cycles;
        }
        bit(m->ports[m->rst], 0);
        return DONE;
    });
}

API void ng_input(Model* m, int index, const uint8_t* source, uint64_t count, uint64_t chance, uint64_t seed) {
    Stream& s = m->streams[index];
    s.source = source; s.limit = count; s.chance = chance; s.random.seed(seed);
}
API void ng_output(Model* m, int index, uint64_t limit, uint64_t chance, uint64_t seed, int timed) {
    Stream& s = m->streams[index];
    s.limit = limit; s.chance = chance; s.timed = timed; s.random.seed(seed);
}
API void ng_script(Model* m, const Operation* script, uint64_t length, uint32_t* answers) {
    m->script = script; m->script_length = length; m->script_next = 0; m->answers = answers;
}
API void ng_begin(Model* m, uint64_t cycles, int until, int port, uint64_t quiet) {
    m->limit = cycles; m->until = static_cast<Until>(until); m->until_port = port;
    m->quiet = 0; m->quiet_limit = quiet;
    for (Stream& s : m->streams) { s.count = 0; s.data.clear(); s.times.clear(); }
}
API int ng_step(Model* m, uint64_t cycles) { return guarded(m, [=] { return m->step(cycles); }); }
API uint64_t ng_script_next(Model* m) { return m->script_next; }
API uint64_t ng_count(Model* m, int index) { return m->streams[index].count; }
API const uint8_t* ng_data(Model* m, int index) { return m->streams[index].data.data(); }
API const uint64_t* ng_times(Model* m, int index) { return m->streams[index].times.data(); }
API int ng_end(Model* m) { return guarded(m, [=] { m->release(); bit(m->ports[m->clk], 0); m->dut->eval(); return DONE; }); }

API int ng_trace(Model* m, const char* path, uint64_t first, uint64_t last) {
#if NG_TRACE
    return guarded(m, [=] {
        if (m->tracer) m->tracer->close();
        m->tracer.reset();
        if (!path) return DONE;
        m->tracer.reset(new Tracer);
        m->dut->trace(m->tracer.get(), 99);
        m->tracer->open(path);
        if (!m->tracer->isOpen()) throw std::runtime_error(std::string("cannot write ") + path);
        m->trace_first = first;
        m->trace_last = last;
        return DONE;
    });
#else
    m->error = "the model was compiled without waveforms";
    return FAILED;
#endif
}

// The two functions of LZ4 that Verilator's FST writer uses, so that waveforms need no liblz4 headers.
// Output is the LZ4 block format; the search for matches is greedy with one hash table.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

static inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

static inline uint8_t* ng_lz4_length(uint8_t* out, int rest) {
    for (; rest >= 255; rest -= 255) *out++ = 255;
    *out++ = static_cast<uint8_t>(rest);
    return out;
}

static inline int LZ4_compress_default(const char* source, char* target, int size, int capacity) {
    if (capacity < LZ4_compressBound(size)) return 0;
    const uint8_t* const in = reinterpret_cast<const uint8_t*>(source);
    uint8_t* out = reinterpret_cast<uint8_t*>(target);
    std::vector<int> last(1 << 13, -1);  // position of the latest four bytes with this hash
    int anchor = 0, at = 0;
    // The format wants the last 5 bytes as literals, and no match to start in the last 12.
    while (at + 12 < size) {
        uint32_t four;
        std::memcpy(&four, in + at, 4);
        const uint32_t hash = four * 2654435761u >> 19;
        const int from = last[hash];
        last[hash] = at;
        if (from < 0 || at - from > 65535 || std::memcmp(in + from, in + at, 4)) {
            ++at;
            continue;
        }
        int length = 4;
        while (at + length < size - 5 && in[from + length] == in[at + length]) ++length;
        const int literals = at - anchor, extra = length - 4;
        *out++ = static_cast<uint8_t>((literals < 15 ? literals : 15) << 4 | (extra < 15 ? extra : 15));
        if (literals >= 15) out = ng_lz4_length(out, literals - 15);
        std::memcpy(out, in + anchor, literals);
        out += literals;
        *out++ = static_cast<uint8_t>(at - from);
        *out++ = static_cast<uint8_t>((at - from) >> 8);
        if (extra >= 15) out = ng_lz4_length(out, extra - 15);
        at += length;
        anchor = at;
    }
    const int literals = size - anchor;
    *out++ = static_cast<uint8_t>((literals < 15 ? literals : 15) << 4);
    if (literals >= 15) out = ng_lz4_length(out, literals - 15);
    std::memcpy(out, in + anchor, literals);
    return static_cast<int>(out + literals - reinterpret_cast<uint8_t*>(target));
}

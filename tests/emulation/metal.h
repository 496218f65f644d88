/* MSL as C++: what helix.kernel's renderer writes, and what people's own kernels use most: SIMD groups, atomics, bfloat,
 * arguments by reference. No vectors beyond positions, no textures. Address spaces and attributes mean nothing here, so
 * that what Apple's compiler refuses may pass. */
#include "kernel.h"

#define kernel
#define device
#define thread
#define constant const

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef _Float16 half;
typedef emulation_index uint3;
struct uint2 {
    uint x, y;
};

#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")

template <class T, class S> static inline T emulated_bits(S from) {
    static_assert(sizeof(T) == sizeof(S), "the sizes differ");
    T to;
    __builtin_memcpy(&to, &from, sizeof to);
    return to;
}

struct bfloat {
    ushort bits;
    bfloat() = default;
    bfloat(float x) {
        uint u = emulated_bits<uint>(x);
        bits = x != x ? (ushort)(u >> 16 | 64) : (ushort)((u + 0x7FFF + (u >> 16 & 1)) >> 16);
    }
    operator float() const { return emulated_bits<float>((uint)bits << 16); }
};

/* ---- how a kernel gets its arguments; msl.c writes the entries ---- */

struct emulated_pointer {
    void *at;
    template <class T> operator T *() const { return (T *)at; }
};
struct emulated_reference {
    void *at;
    template <class T> operator T &() const { return *(T *)at; }
};
struct emulated_place {
    uint3 at;
    operator uint3() const { return at; }
    operator uint2() const { return {at.x, at.y}; }
    operator uint() const { return at.x; }
    operator ushort() const { return (ushort)at.x; }
};
static inline emulated_place emulated_one(unsigned x) { return {{x, 0, 0}}; }
static inline emulated_place emulated_times(uint3 a, uint3 b) { return {{a.x * b.x, a.y * b.y, a.z * b.z}}; }
static inline emulated_place emulated_in_grid(uint3 group, uint3 items, uint3 item) {
    return {{group.x * items.x + item.x, group.y * items.y + item.y, group.z * items.z + item.z}};
}
static inline unsigned emulated_items() {
    return emulation_here->items.x * emulation_here->items.y * emulation_here->items.z;
}

#define ONE(name) extern "C" float name##f(float);
#define TWO(name) extern "C" float name##f(float, float);
FOR_FUNCTIONS(ONE, TWO)

namespace metal {
enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2 };
constexpr mem_flags operator|(mem_flags a, mem_flags b) { return (mem_flags)((int)a | (int)b); }
#define threadgroup_barrier(flags) ((void)(flags), EMULATED_BARRIER())
#define simdgroup_barrier(flags) ((void)(flags), emulation_here->lane_barrier(__LINE__))

template <class T, class S> static inline T as_type(S from) { return emulated_bits<T>(from); }
static inline float fabs(float x) { return __builtin_fabsf(x); }
static inline float fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
template <class T> static inline T min(T a, T b) { return b < a ? b : a; }
template <class T> static inline T max(T a, T b) { return a < b ? b : a; }
template <class T> static inline T clamp(T x, T low, T high) { return min(max(x, low), high); }
static inline uint mulhi(uint a, uint b) { return (uint)((ulong)a * b >> 32); }
static inline int mulhi(int a, int b) { return (int)((long)a * b >> 32); }
static inline ulong mulhi(ulong a, ulong b) { return (ulong)((unsigned __int128)a * b >> 64); }
static inline long mulhi(long a, long b) { return (long)((__int128)a * b >> 64); }

namespace precise {
#define PRECISE_ONE(name) static inline float name(float x) { return name##f(x); }
#define PRECISE_TWO(name) static inline float name(float x, float y) { return name##f(x, y); }
FOR_FUNCTIONS(PRECISE_ONE, PRECISE_TWO)
}

/* ---- SIMD groups: a lane leaves its value, waits for the others, and looks at theirs ---- */

struct emulated_lanes {
    emulation_lanes *all;
    unsigned own;
    int line;
    template <class T> emulated_lanes(T value, int line) : line(line) {
        all = emulation_here->lanes + emulation_here->number / EMULATION_LANES;
        own = emulation_here->number % EMULATION_LANES;
        static_assert(sizeof value <= 8, "a lane holds 8 bytes");
        __builtin_memcpy(&all->values[own], &value, sizeof value);
        all->active |= 1u << own;
        emulation_here->lane_barrier(line);
    }
    ~emulated_lanes() {
        emulation_here->lane_barrier(line);
        all->active &= ~(1u << own);
    }
    template <class T> T from(unsigned lane) const {
        T value;
        __builtin_memcpy(&value, &all->values[all->active >> lane & 1 ? lane : own], sizeof value);
        return value;
    }
    template <class T, class F> T fold(T start, F f) const {
        for (unsigned lane = 0; lane < EMULATION_LANES; lane++)
            if (all->active >> lane & 1) start = f(start, from<T>(lane));
        return start;
    }
};
#define LANE_FOLD(name, start, step)                                                                  \
    template <class T> static inline T name##_at(T x, int line) {                                     \
        return emulated_lanes(x, line).fold(start, [](T a, T b) -> T { return step; });               \
    }
LANE_FOLD(simd_sum, T(0), a + b)
LANE_FOLD(simd_product, T(1), a * b)
LANE_FOLD(simd_max, x, a < b ? b : a)
LANE_FOLD(simd_min, x, b < a ? b : a)
#define simd_sum(x) simd_sum_at(x, __LINE__)
#define simd_product(x) simd_product_at(x, __LINE__)
#define simd_max(x) simd_max_at(x, __LINE__)
#define simd_min(x) simd_min_at(x, __LINE__)
#define LANE_MOVE(name, lane)                                                                         \
    template <class T> static inline T name##_at(T x, uint n, int line) {                             \
        emulated_lanes lanes(x, line);                                                                \
        return lanes.from<T>((lane) & (EMULATION_LANES - 1));                                         \
    }
LANE_MOVE(simd_shuffle, n)
LANE_MOVE(simd_shuffle_xor, lanes.own ^ n)
LANE_MOVE(simd_shuffle_down, lanes.own + n < EMULATION_LANES ? lanes.own + n : lanes.own)
LANE_MOVE(simd_shuffle_up, lanes.own >= n ? lanes.own - n : lanes.own)
#define simd_shuffle(x, n) simd_shuffle_at(x, n, __LINE__)
#define simd_broadcast(x, n) simd_shuffle_at(x, n, __LINE__)
#define simd_shuffle_xor(x, n) simd_shuffle_xor_at(x, n, __LINE__)
#define simd_shuffle_down(x, n) simd_shuffle_down_at(x, n, __LINE__)
#define simd_shuffle_up(x, n) simd_shuffle_up_at(x, n, __LINE__)

/* ---- atomics: items run one at a time, so that plain memory is enough ---- */

enum memory_order { memory_order_relaxed };
template <class T> struct atomic {
    T value;
};
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
typedef atomic<float> atomic_float;
template <class T> static inline T atomic_load_explicit(const atomic<T> *a, memory_order) { return a->value; }
template <class T, class S> static inline void atomic_store_explicit(atomic<T> *a, S x, memory_order) { a->value = (T)x; }
#define ATOMIC(name, step)                                                                            \
    template <class T, class S> static inline T atomic_##name##_explicit(atomic<T> *a, S given, memory_order) { \
        T old = a->value, x = (T)given;                                                               \
        a->value = step;                                                                              \
        return old;                                                                                   \
    }
ATOMIC(exchange, x)
ATOMIC(fetch_add, old + x)
ATOMIC(fetch_sub, old - x)
ATOMIC(fetch_min, x < old ? x : old)
ATOMIC(fetch_max, old < x ? x : old)
ATOMIC(fetch_and, old & x)
ATOMIC(fetch_or, old | x)
ATOMIC(fetch_xor, old ^ x)
template <class T, class S>
static inline bool atomic_compare_exchange_weak_explicit(atomic<T> *a, T *wanted, S x, memory_order, memory_order) {
    bool same = a->value == *wanted;
    if (same) a->value = (T)x;
    else *wanted = a->value;
    return same;
}
}

/* MSL as C++: the part of the language that helix.kernel's renderer writes. Address spaces and attributes mean nothing
 * here, so that what Apple's compiler refuses may pass. */
#include "kernel.h"

#define kernel
#define device
#define constant const
#define threadgroup EMULATED_SHARED

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef _Float16 half;
typedef emulation_index uint3;

#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")

#define ONE(name) extern "C" float name##f(float); 
#define TWO(name) extern "C" float name##f(float, float);
FOR_FUNCTIONS(ONE, TWO)

namespace metal {
enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2 };
constexpr mem_flags operator|(mem_flags a, mem_flags b) { return (mem_flags)((int)a | (int)b); }
#define threadgroup_barrier(flags) ((void)(flags), EMULATED_BARRIER())

template <class T, class S> static inline T as_type(S from) {
    static_assert(sizeof(T) == sizeof(S), "as_type keeps the size");
    T to;
    __builtin_memcpy(&to, &from, sizeof to);
    return to;
}
static inline float fabs(float x) { return __builtin_fabsf(x); }
static inline uint mulhi(uint a, uint b) { return (uint)((ulong)a * b >> 32); }
static inline int mulhi(int a, int b) { return (int)((long)a * b >> 32); }
static inline ulong mulhi(ulong a, ulong b) { return (ulong)((unsigned __int128)a * b >> 64); }
static inline long mulhi(long a, long b) { return (long)((__int128)a * b >> 64); }

namespace precise {
#define PRECISE_ONE(name) static inline float name(float x) { return name##f(x); }
#define PRECISE_TWO(name) static inline float name(float x, float y) { return name##f(x, y); }
FOR_FUNCTIONS(PRECISE_ONE, PRECISE_TWO)
}
}

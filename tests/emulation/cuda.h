/* CUDA C as C++: the part of the language that helix.kernel's renderer writes. */
#include "kernel.h"

#define __global__
#define __device__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __shared__ EMULATED_SHARED
#define __syncthreads() EMULATED_BARRIER()
#define threadIdx (emulation_here->item)
#define blockIdx (emulation_here->group)
#define blockDim (emulation_here->items)
#define gridDim (emulation_here->groups)

#define ONE(name) double name(double); float name##f(float);
#define TWO(name) double name(double, double); float name##f(float, float);
extern "C" {
FOR_FUNCTIONS(ONE, TWO)
}

static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
static inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }

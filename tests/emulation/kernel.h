/* How device code, read as C++, reaches the emulation. The compiler includes it before the text; EMULATED(name) after it
 * makes the entry that a launch calls. Standard headers are left out: they cost more to read than a kernel. */
#include "group.h"

static emulation_now *emulation_here;

extern "C" void emulation_bind(emulation_now *now) { emulation_here = now; }

/* Arrays of a group stand in one section, so that they can be found and poisoned. */
#define EMULATED_SHARED static __attribute__((section("emulated_shared")))
extern "C" {
extern unsigned char __start_emulated_shared[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_emulated_shared[] __attribute__((weak, visibility("hidden")));
void emulation_shared(unsigned char **begin, unsigned char **end) {
    *begin = __start_emulated_shared;
    *end = __stop_emulated_shared;
}
}

#define EMULATED_BARRIER() emulation_here->barrier(__LINE__)

template <int... I> struct emulated_numbers {};
template <int N, int... I> struct emulated_count : emulated_count<N - 1, N - 1, I...> {};
template <int... I> struct emulated_count<0, I...> { typedef emulated_numbers<I...> type; };

template <class... A, int... I>
static inline void emulated_call(void (*kernel)(A...), void *const *arguments, emulated_numbers<I...>) {
    kernel(*(A *)arguments[I]...);
}
template <class... A> static inline void emulated_enter(void (*kernel)(A...), void *const *arguments) {
    emulated_call(kernel, arguments, typename emulated_count<sizeof...(A)>::type());
}
template <class... A> static inline unsigned emulated_sizes(void (*)(A...), unsigned *sizes) {
    const unsigned all[] = {sizeof(A)..., 0};
    for (unsigned i = 0; i < sizeof...(A); i++) sizes[i] = all[i];
    return sizeof...(A);
}

#define EMULATED(name)                                                                                   \
    extern "C" void emulated_##name(void *const *arguments) { emulated_enter(name, arguments); }         \
    extern "C" unsigned emulated_sizes_##name(unsigned *sizes) { return emulated_sizes(name, sizes); }

#define FOR_FUNCTIONS(F, G)                                                                                        \
    F(sqrt) F(floor) F(ceil) F(trunc) F(rint) F(exp) F(exp2) F(expm1) F(log) F(log2) F(log10) F(log1p) F(sin) F(cos) \
    F(tan) F(asin) F(acos) F(atan) F(sinh) F(cosh) F(tanh) F(asinh) F(acosh) F(atanh) F(erf) F(erfc) F(lgamma)       \
    F(fabs) G(atan2) G(pow) G(fmod) G(nextafter)

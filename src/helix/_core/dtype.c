/* Data types: one row each, and promotion computed from kind and size. */
#include "dtype.h"

#include <stdatomic.h>
#include <string.h>

static const struct {
    const char *name;
    uint8_t kind;
} rows[HX_DTYPE_COUNT] = {
    [HX_BOOL] = {"bool", HX_KIND_BOOL},      [HX_I8] = {"int8", HX_KIND_INT},
    [HX_I16] = {"int16", HX_KIND_INT},       [HX_I32] = {"int32", HX_KIND_INT},
    [HX_I64] = {"int64", HX_KIND_INT},       [HX_U8] = {"uint8", HX_KIND_UINT},
    [HX_U16] = {"uint16", HX_KIND_UINT},     [HX_U32] = {"uint32", HX_KIND_UINT},
    [HX_U64] = {"uint64", HX_KIND_UINT},     [HX_F16] = {"float16", HX_KIND_FLOAT},
    [HX_BF16] = {"bfloat16", HX_KIND_FLOAT}, [HX_F32] = {"float32", HX_KIND_FLOAT},
    [HX_F64] = {"float64", HX_KIND_FLOAT},   [HX_C64] = {"complex64", HX_KIND_COMPLEX},
    [HX_C128] = {"complex128", HX_KIND_COMPLEX},
};

hx_kind hx_dtype_kind(hx_dtype t) { return (hx_kind)rows[t].kind; }
const char *hx_dtype_name(hx_dtype t) { return (unsigned)t < HX_DTYPE_COUNT ? rows[t].name : "unknown"; }

int hx_dtype_from_name(const char *name) {
    for (int t = 0; t < HX_DTYPE_COUNT; t++)
        if (strcmp(rows[t].name, name) == 0) return t;
    return -1;
}

hx_dtype hx_real_of(hx_dtype t) { return t == HX_C64 ? HX_F32 : t == HX_C128 ? HX_F64 : t; }

hx_dtype hx_complex_of(hx_dtype t) { return t == HX_F64 || t == HX_C128 ? HX_C128 : HX_C64; }

/* ---- promotion ------------------------------------------------------------------------------------------- */

static hx_dtype signed_of_size(int size) {
    return size <= 1 ? HX_I8 : size == 2 ? HX_I16 : size == 4 ? HX_I32 : size == 8 ? HX_I64 : HX_F64;
}

/* Bool, signed and unsigned integers. Where torch defines no common type (uint16, uint32 and uint64 with another
 * integer) this is NumPy's: the smallest type that holds both, and float64 for uint64 with a signed type. */
static hx_dtype promote_integers(hx_dtype a, hx_dtype b) {
    if (a == HX_BOOL) return b;
    if (b == HX_BOOL) return a;
    int size_a = (int)hx_dtype_size(a), size_b = (int)hx_dtype_size(b);
    if (rows[a].kind == rows[b].kind) return size_a >= size_b ? a : b;
    int size_signed = rows[a].kind == HX_KIND_INT ? size_a : size_b;
    int size_unsigned = rows[a].kind == HX_KIND_INT ? size_b : size_a;
    return signed_of_size(size_signed > size_unsigned ? size_signed : 2 * size_unsigned);
}

static hx_dtype promote_floats(hx_dtype a, hx_dtype b) {
    if ((a == HX_F16 && b == HX_BF16) || (a == HX_BF16 && b == HX_F16)) return HX_F32;
    return a > b ? a : b;
}

hx_dtype hx_promote(hx_dtype a, hx_dtype b) {
    if (a == b) return a;
    if (hx_is_complex(a) || hx_is_complex(b)) {
        bool is_double = a == HX_C128 || b == HX_C128 || a == HX_F64 || b == HX_F64;
        return is_double ? HX_C128 : HX_C64;
    }
    if (hx_is_integral(a) && hx_is_integral(b)) return promote_integers(a, b);
    if (hx_is_integral(a)) return b;
    if (hx_is_integral(b)) return a;
    return promote_floats(a, b);
}

/* The common type of one class of operands; NONE when the class is empty. */
enum { NONE = -1 };

static int promote_into(int running, hx_dtype t) { return running == NONE ? (int)t : (int)hx_promote(running, t); }

/* `low` raises `high` only when its kind (integer, floating, complex) is above. */
static int combine(int high, int low) {
    if (high == NONE || low == NONE) return high == NONE ? low : high;
    if (hx_is_complex(high)) return high;
    if (hx_is_floating(high)) return hx_is_complex(low) ? (int)hx_complex_of(high) : high;
    if (high == HX_BOOL || !hx_is_integral(low)) return hx_promote(high, low);
    return high;
}

hx_dtype hx_result_type(const hx_operand *operands, int n, hx_dtype default_float) {
    int shaped = NONE, rank0 = NONE, number = NONE;
    for (int i = 0; i < n; i++) {
        hx_dtype t = operands[i].dtype;
        if (operands[i].number) {
            if (hx_is_complex(t)) t = hx_complex_of(default_float);
            else if (hx_is_floating(t)) t = default_float;
            number = promote_into(number, t);
        } else if (operands[i].rank0) {
            rank0 = promote_into(rank0, t);
        } else {
            shaped = promote_into(shaped, t);
        }
    }
    int result = combine(shaped, combine(rank0, number));
    return result == NONE ? default_float : (hx_dtype)result;
}

bool hx_can_cast(hx_dtype from, hx_dtype to) {
    if (hx_is_complex(from)) return hx_is_complex(to);
    if (hx_is_floating(from)) return !hx_is_integral(to);
    return from == HX_BOOL || to != HX_BOOL;
}

static atomic_int default_float = HX_F32;

hx_dtype hx_default_float(void) { return (hx_dtype)atomic_load_explicit(&default_float, memory_order_relaxed); }
void hx_set_default_float(hx_dtype t) { atomic_store_explicit(&default_float, t, memory_order_relaxed); }

/* ---- 16-bit floats --------------------------------------------------------------------------------------- */

static uint32_t bits_of(float f) {
    union { float f; uint32_t u; } v = {f};
    return v.u;
}

static float float_of(uint32_t u) {
    union { uint32_t u; float f; } v = {u};
    return v.f;
}

float hx_f16_to_f32(uint16_t bits) {
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
    if (magnitude < 0x400u) /* zero and subnormal: a count of 2^-24 */
        return float_of(sign | bits_of((float)magnitude * 0x1p-24f));
    if (magnitude < 0x7c00u) return float_of(sign | ((magnitude << 13) + 0x38000000u));
    uint32_t quiet = magnitude > 0x7c00u ? 0x400000u : 0;
    return float_of(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13 | quiet);
}

/* Adding a power of two whose last place is the last place of the result rounds to nearest even. */
uint16_t hx_f32_to_f16(float value) {
    uint32_t u = bits_of(value), magnitude = u & 0x7fffffffu;
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000u);
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and above round to infinity */
    if (magnitude < 0x38800000u) /* below 2^-14: the result is subnormal, its last place is 2^-24 */
        return (uint16_t)(sign | (bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f)));
    uint32_t odd = magnitude >> 13 & 1u;
    return (uint16_t)(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

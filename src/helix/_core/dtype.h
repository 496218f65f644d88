/* Data types: sizes, kinds, names and torch's promotion rules. */
#ifndef HX_DTYPE_H
#define HX_DTYPE_H

#include <stddef.h>
#include "error.h"

typedef enum { HX_KIND_BOOL, HX_KIND_UINT, HX_KIND_INT, HX_KIND_FLOAT, HX_KIND_COMPLEX } hx_kind;

static inline size_t hx_dtype_size(hx_dtype t) {
    static const uint8_t bytes[HX_DTYPE_COUNT] = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 8, 16};
    return bytes[t];
}
hx_kind hx_dtype_kind(hx_dtype t);
const char *hx_dtype_name(hx_dtype t);             /* "float32" */
int hx_dtype_from_name(const char *name);          /* -1 when unknown */
static inline bool hx_is_floating(hx_dtype t) { return t >= HX_F16 && t <= HX_F64; }
static inline bool hx_is_complex(hx_dtype t) { return t >= HX_C64; }
static inline bool hx_is_integral(hx_dtype t) { return t < HX_F16; } /* bool too */
static inline bool hx_is_differentiable(hx_dtype t) { return t >= HX_F16; }
hx_dtype hx_real_of(hx_dtype t);                   /* complex64 -> float32; itself for real types */
hx_dtype hx_complex_of(hx_dtype t);                /* float64 -> complex128, others -> complex64 */

/* Bit sets of dtypes. */
#define HX_BIT(t) (1ull << (t))
#define HX_SET_INT (HX_BIT(HX_I8) | HX_BIT(HX_I16) | HX_BIT(HX_I32) | HX_BIT(HX_I64))
#define HX_SET_UINT (HX_BIT(HX_U8) | HX_BIT(HX_U16) | HX_BIT(HX_U32) | HX_BIT(HX_U64))
#define HX_SET_INTEGER (HX_SET_INT | HX_SET_UINT)
#define HX_SET_HALF (HX_BIT(HX_F16) | HX_BIT(HX_BF16))
#define HX_SET_FLOAT (HX_SET_HALF | HX_BIT(HX_F32) | HX_BIT(HX_F64))
#define HX_SET_COMPLEX (HX_BIT(HX_C64) | HX_BIT(HX_C128))
#define HX_SET_REAL (HX_BIT(HX_BOOL) | HX_SET_INTEGER | HX_SET_FLOAT)
#define HX_SET_ALL (HX_SET_REAL | HX_SET_COMPLEX)

/* The common type of two array types (torch.promote_types). */
hx_dtype hx_promote(hx_dtype a, hx_dtype b);

/* torch.result_type over n operands: `rank0` marks zero-dimensional tensors and `number` wrapped Python numbers;
 * these raise the result only when their kind is above the kind of the operands with dimensions. */
typedef struct hx_operand {
    hx_dtype dtype;
    bool rank0, number;
} hx_operand;
hx_dtype hx_result_type(const hx_operand *operands, int n, hx_dtype default_float);

/* May a value of type `from` be stored in place into `to` (torch.can_cast: the kind must not fall)? */
bool hx_can_cast(hx_dtype from, hx_dtype to);

/* float32 unless changed (helix.set_default_dtype). */
hx_dtype hx_default_float(void);
void hx_set_default_float(hx_dtype t);

/* 16-bit floats as raw bits; round to nearest even. */
float hx_f16_to_f32(uint16_t bits);
uint16_t hx_f32_to_f16(float value);
static inline float hx_bf16_to_f32(uint16_t bits) {
    union { uint32_t u; float f; } v = {(uint32_t)bits << 16};
    return v.f;
}
static inline uint16_t hx_f32_to_bf16(float value) {
    union { float f; uint32_t u; } v = {value};
    if ((v.u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((v.u >> 16) | 0x40u);
    return (uint16_t)((v.u + 0x7fffu + ((v.u >> 16) & 1u)) >> 16);
}

#endif

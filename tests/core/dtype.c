/* Promotion as torch 2.13 computes it, and every 16-bit float through float32 and back. */
#include "dtype.h"
#include "check.h"

#include <math.h>

/* One letter a type, in the order of hx_dtype. Where torch defines no type (H, I, L with integers) NumPy does. */
static const char letters[] = "?bhilBHILegfdFD"; /* g: bfloat16 */
static const char *const promoted[HX_DTYPE_COUNT] = {
    "?bhilBHILegfdFD", "bbhilhildegfdFD", "hhhilhildegfdFD", "iiiiliildegfdFD", "lllllllldegfdFD",
    "BhhilBHILegfdFD", "HiiilHHILegfdFD", "IllllIIILegfdFD", "LddddLLLLegfdFD", "eeeeeeeeeeffdFD",
    "gggggggggfgfdFD", "ffffffffffffdFD", "dddddddddddddDD", "FFFFFFFFFFFFDFD", "DDDDDDDDDDDDDDD",
};

static void test_promotion(void) {
    for (int a = 0; a < HX_DTYPE_COUNT; a++)
        for (int b = 0; b < HX_DTYPE_COUNT; b++)
            if (letters[hx_promote(a, b)] != promoted[a][b]) {
                fprintf(stderr, "%s with %s gives %s\n", hx_dtype_name(a), hx_dtype_name(b),
                        hx_dtype_name(hx_promote(a, b)));
                exit(1);
            }
}

static void test_names(void) {
    for (int t = 0; t < HX_DTYPE_COUNT; t++) CHECK_INT(hx_dtype_from_name(hx_dtype_name(t)), t);
    CHECK_INT(hx_dtype_from_name("float8"), -1);
    CHECK_INT(hx_dtype_size(HX_C128), 16);
    CHECK_INT(hx_dtype_kind(HX_BF16), HX_KIND_FLOAT);
    CHECK_INT(hx_real_of(HX_C64), HX_F32);
    CHECK_INT(hx_real_of(HX_I32), HX_I32);
    CHECK_INT(hx_complex_of(HX_F16), HX_C64);
    CHECK_INT(hx_complex_of(HX_F64), HX_C128);
}

#define SHAPED(t) {t, false, false}
#define RANK0(t) {t, true, false}
#define NUMBER(t) {t, true, true}

static void test_result_type(void) {
    static const struct {
        hx_operand a, b;
        hx_dtype wanted;
    } rows[] = {
        {SHAPED(HX_U8), NUMBER(HX_I64), HX_U8},     {SHAPED(HX_I32), NUMBER(HX_F64), HX_F32},
        {SHAPED(HX_F16), RANK0(HX_F64), HX_F16},    {SHAPED(HX_I8), RANK0(HX_F64), HX_F64},
        {RANK0(HX_I8), NUMBER(HX_F64), HX_F32},     {RANK0(HX_I8), SHAPED(HX_BOOL), HX_I8},
        {RANK0(HX_F64), NUMBER(HX_C128), HX_C128},  {SHAPED(HX_F64), NUMBER(HX_C128), HX_C128},
        {SHAPED(HX_I8), NUMBER(HX_C128), HX_C64},   {SHAPED(HX_I8), RANK0(HX_C128), HX_C128},
        {SHAPED(HX_F64), RANK0(HX_C64), HX_C128},   {SHAPED(HX_U16), NUMBER(HX_I64), HX_U16},
        {SHAPED(HX_U16), NUMBER(HX_F64), HX_F32},   {SHAPED(HX_U16), RANK0(HX_I64), HX_U16},
        {RANK0(HX_BOOL), NUMBER(HX_I64), HX_I64},   {NUMBER(HX_I64), NUMBER(HX_F64), HX_F32},
        {SHAPED(HX_BOOL), NUMBER(HX_I64), HX_I64},  {RANK0(HX_BF16), NUMBER(HX_C128), HX_C64},
        {RANK0(HX_F64), SHAPED(HX_C64), HX_C64},    {RANK0(HX_F64), SHAPED(HX_I64), HX_F64},
        {NUMBER(HX_BOOL), RANK0(HX_U8), HX_U8},     {SHAPED(HX_F32), SHAPED(HX_F64), HX_F64},
        {NUMBER(HX_BOOL), NUMBER(HX_BOOL), HX_BOOL},
    };
    for (int i = 0; i < COUNT_OF(rows); i++) {
        hx_operand pair[2] = {rows[i].a, rows[i].b}, turned[2] = {rows[i].b, rows[i].a};
        CHECK_TEXT(hx_dtype_name(hx_result_type(pair, 2, HX_F32)), hx_dtype_name(rows[i].wanted));
        CHECK_TEXT(hx_dtype_name(hx_result_type(turned, 2, HX_F32)), hx_dtype_name(rows[i].wanted));
    }
    hx_operand number[2] = {SHAPED(HX_I64), NUMBER(HX_F64)};
    CHECK_INT(hx_result_type(number, 2, HX_F64), HX_F64);
    hx_operand three[3] = {RANK0(HX_F16), SHAPED(HX_I64), NUMBER(HX_F64)};
    CHECK_INT(hx_result_type(three, 3, HX_F32), HX_F16);
}

static void test_can_cast(void) {
    CHECK(hx_can_cast(HX_I64, HX_I8) && hx_can_cast(HX_I64, HX_U8) && hx_can_cast(HX_BOOL, HX_U8));
    CHECK(hx_can_cast(HX_F64, HX_F16) && hx_can_cast(HX_I64, HX_F16) && hx_can_cast(HX_F64, HX_C64));
    CHECK(hx_can_cast(HX_C128, HX_C64) && hx_can_cast(HX_BOOL, HX_BOOL));
    CHECK(!hx_can_cast(HX_F16, HX_I64) && !hx_can_cast(HX_C64, HX_F64) && !hx_can_cast(HX_U8, HX_BOOL));
}

static bool same_value(float a, float b) { return a == b ? signbit(a) == signbit(b) : isnan(a) && isnan(b); }

static void test_f16_round_trip(void) {
    for (uint32_t h = 0; h < 0x10000; h++) {
        float value = hx_f16_to_f32((uint16_t)h);
        bool nan = (h & 0x7fff) > 0x7c00;
        CHECK(isnan(value) == nan);
        if (!nan) CHECK_INT(hx_f32_to_f16(value), h);
        else CHECK((hx_f32_to_f16(value) & 0x7fff) > 0x7c00);
        int exponent = h >> 10 & 31, mantissa = h & 1023;
        float wanted = exponent ? ldexpf((float)(1024 + mantissa), exponent - 25) : ldexpf((float)mantissa, -24);
        if (exponent < 31) CHECK(same_value(value, h >> 15 ? -wanted : wanted));
    }
    CHECK(isinf(hx_f16_to_f32(0x7c00)) && hx_f16_to_f32(0xfc00) < 0);
}

/* Between two neighbours: below the middle goes down, above it up, the middle to the even one. */
static void test_f16_rounding(void) {
    for (uint32_t h = 0; h < 0x7bff; h++) {
        float low = hx_f16_to_f32((uint16_t)h), high = hx_f16_to_f32((uint16_t)(h + 1)), middle = low + (high - low) / 2;
        CHECK_INT(hx_f32_to_f16(middle), h & 1 ? h + 1 : h);
        CHECK_INT(hx_f32_to_f16(nextafterf(middle, 0)), h);
        CHECK_INT(hx_f32_to_f16(nextafterf(middle, INFINITY)), h + 1);
    }
    CHECK_INT(hx_f32_to_f16(65519.996f), 0x7bff);
    CHECK_INT(hx_f32_to_f16(65520.0f), 0x7c00);
    CHECK_INT(hx_f32_to_f16(-1e30f), 0xfc00);
    CHECK_INT(hx_f32_to_f16(1e-30f), 0);
}

static void test_bf16(void) {
    for (uint32_t h = 0; h < 0x10000; h++)
        if ((h & 0x7fff) <= 0x7f80) CHECK_INT(hx_f32_to_bf16(hx_bf16_to_f32((uint16_t)h)), h);
    CHECK(isnan(hx_bf16_to_f32(hx_f32_to_bf16(NAN))));
    CHECK_INT(hx_f32_to_bf16(1.00390625f), 0x3f80); /* a tie goes to even */
    CHECK_INT(hx_f32_to_bf16(1.01171875f), 0x3f82);
}

int main(void) {
    test_promotion();
    test_names();
    test_result_type();
    test_can_cast();
    test_f16_round_trip();
    test_f16_rounding();
    test_bf16();
    CHECK_INT(hx_default_float(), HX_F32);
    hx_set_default_float(HX_F64);
    CHECK_INT(hx_default_float(), HX_F64);
    return 0;
}

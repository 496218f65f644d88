/* Elementary functions of a register of doubles, for processors that look a number up in a table of 16 by one
 * permutation: polynomials and reductions are shorter than those of vmath.h, which other processors run. The bound
 * beside each is the largest error found in units of the last place. */
#ifndef HX_LANEMATH_H
#define HX_LANEMATH_H

#include "vmath.h"

#ifdef HX_ISA_AVX512
typedef __mmask8 hx_dm;
typedef HX_VECTOR(uint64_t) hx_vul;
static inline hx_dm hx_vd_lt(hx_vd a, hx_vd b) { return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LT_OQ); }
static inline hx_vd hx_vd_select(hx_dm m, hx_vd yes, hx_vd no) {
    return (hx_vd)_mm512_mask_blend_pd(m, (__m512d)no, (__m512d)yes);
}
static inline hx_vd hx_vd_abs(hx_vd x) { return (hx_vd)_mm512_abs_pd((__m512d)x); }
static inline hx_vd hx_vd_copysign(hx_vd x, hx_vd s) {
    return (hx_vd)_mm512_ternarylogic_epi64(_mm512_set1_epi64(INT64_MIN), (__m512i)s, (__m512i)x, 0xca);
}
/* a b + c with one rounding, and c - a b. */
static inline hx_vd hx_vd_fma(hx_vd a, hx_vd b, hx_vd c) { return (hx_vd)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }
static inline hx_vd hx_vd_less(hx_vd c, hx_vd a, hx_vd b) { return (hx_vd)_mm512_fnmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }
/* NaN in x stays. */
static inline hx_vd hx_vd_at_most(hx_vd x, double high) { return (hx_vd)_mm512_min_pd(_mm512_set1_pd(high), (__m512d)x); }
static inline hx_vd hx_vd_at_least(hx_vd x, double low) { return (hx_vd)_mm512_max_pd(_mm512_set1_pd(low), (__m512d)x); }
/* p 2^k of the largest whole k that is not above `k`. */
static inline hx_vd hx_vd_scale2(hx_vd p, hx_vd k) { return (hx_vd)_mm512_scalef_pd((__m512d)p, (__m512d)k); }
/* row[i] by the last four bits of i. */
static inline hx_vd hx_vd_pick(hx_vl i, const double *row) {
    return (hx_vd)_mm512_permutex2var_pd(_mm512_load_pd(row), (__m512i)i, _mm512_load_pd(row + 8));
}

/* ---- by pieces ---- */

/* The offset from the point of the piece that each lane's index names, and its polynomial from row `from` on; the highest
 * coefficient stands in the last row. */
static inline hx_vd hx_vd_offset(hx_vl i, hx_vd x, const double (*rows)[16]) { return x - hx_vd_pick(i, rows[0]); }
#define HX_VD_PIECES(i, r, rows, from) hx_vd_pieces(i, r, rows, from, (int)(sizeof(rows) / sizeof((rows)[0])) - 1)
static inline __attribute__((always_inline)) hx_vd hx_vd_pieces(hx_vl i, hx_vd r, const double (*rows)[16], int from, int last) {
    hx_vd p = hx_vd_pick(i, rows[last]);
    for (int k = last - 1; k >= from; k--) p = hx_vd_fma(p, r, hx_vd_pick(i, rows[k]));
    return p;
}

/* ---- exponentials ---- */

/* exp(r) 2^(k / 16) of |r| <= ln 2 / 32 for whole k, as a number in [1, 2) nearly; its last bits are those of `lanes`. */
static inline hx_vd hx_vd_exp_mantissa(hx_vd r, hx_vl lanes) {
    hx_vd p = hx_vd_fma(r * r, hx_vd_exp_series(r), r), whole = hx_vd_pick(lanes, hx_exp2_table[0]);
    return whole + hx_vd_fma(whole, p, hx_vd_pick(lanes, hx_exp2_table[1]));
}
/* x = k ln 2 / 16 + r, |x| < 2^40. */
static inline hx_vd hx_vd_exp_split(hx_vd x, hx_vd *k, hx_vl *lanes) {
    hx_vd shifted = hx_vd_fma(x, hx_vd_all(0x1.71547652b82fep+4), hx_vd_all(0x1.8p52));
    *lanes = (hx_vl)shifted;
    *k = shifted - 0x1.8p52;
    return hx_vd_less(hx_vd_less(x, *k, hx_vd_all(0x1.62e42fefa39efp-5)), *k, hx_vd_all(0x1.abc9e3b39803fp-60));
}
/* 1 ULP. */
static inline hx_vd hx_vd_exp(hx_vd x) {
    hx_vd k, r;
    hx_vl lanes;
    r = hx_vd_exp_split(hx_vd_at_most(hx_vd_at_least(x, -746.0), 710.0), &k, &lanes);
    return hx_vd_scale2(hx_vd_exp_mantissa(r, lanes), k * 0.0625);
}
/* 2^x, 1 ULP; exact for whole x. */
static inline hx_vd hx_vd_exp2(hx_vd x) {
    x = hx_vd_at_most(hx_vd_at_least(x, -1076.0), 1025.0);
    hx_vd shifted = x + 0x1.8p48, k = shifted - 0x1.8p48;
    return hx_vd_scale2(hx_vd_exp_mantissa((x - k) * 0x1.62e42fefa39efp-1, (hx_vl)shifted), k);
}

/* a / b of b away from the ends of the range, 1 ULP. */
static inline hx_vd hx_vd_divide(hx_vd a, hx_vd b) {
    hx_vd inverse = (hx_vd)_mm512_rcp14_pd((__m512d)b);
    for (int k = 0; k < 2; k++) inverse = hx_vd_fma(inverse, hx_vd_less(hx_vd_all(1.0), b, inverse), inverse);
    hx_vd q = a * inverse;
    return hx_vd_fma(hx_vd_less(a, q, b), inverse, q);
}
/* An odd polynomial below 0.55, 1 - 2 / (exp(2 x) + 1) above; 2 ULP. */
static inline hx_vd hx_vd_tanh(hx_vd x) {
    hx_vd a = hx_vd_at_most(hx_vd_abs(x), 20.0), z = a * a, near = hx_vd_fma(a * z, hx_vd_tanh_series(z), a);
    hx_vd far = 1.0 - hx_vd_divide(hx_vd_all(2.0), hx_vd_exp(a + a) + 1.0);
    return hx_vd_copysign(hx_vd_select(hx_vd_lt(a, hx_vd_all(0.55)), near, far), x);
}

/* ---- logarithms ---- */

/* What x is made of: x = m 2^e, m in [3/4, 3/2), and r = m / c - 1 for the c of its piece. */
typedef struct hx_vd_split {
    hx_vd e, r;
    hx_vl lanes;
} hx_vd_split;
static inline hx_vd_split hx_vd_log_split(hx_vd x) {
    __m512i lanes = _mm512_srli_epi64((__m512i)_mm512_getmant_pd((__m512d)x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_zero), 48);
    hx_vd m = (hx_vd)_mm512_getmant_pd((__m512d)x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_zero);
    __m512d e = _mm512_getexp_pd((__m512d)x);
    e = _mm512_mask_add_pd(e, _mm512_test_epi64_mask(lanes, _mm512_set1_epi64(8)), e, _mm512_set1_pd(1.0));
    return (hx_vd_split){(hx_vd)e, hx_vd_fma(m, hx_vd_pick((hx_vl)lanes, hx_log_table[0]), hx_vd_all(-1.0)), (hx_vl)lanes};
}
static inline hx_vd hx_vd_log_ends(hx_vd x, hx_vd y) {
    return (hx_vd)_mm512_fixupimm_pd((__m512d)y, (__m512d)x, _mm512_set1_epi64(HX_LOG_ENDS), 0);
}
/* 1 ULP. */
static inline hx_vd hx_vd_log(hx_vd x) {
    hx_vd_split s = hx_vd_log_split(x);
    hx_vd high = hx_vd_fma(s.e, hx_vd_all(0x1.62e42fefa4000p-1), hx_vd_pick(s.lanes, hx_log_table[1]));
    hx_vd low = hx_vd_fma(s.e, hx_vd_all(-0x1.8432a1b0e2634p-43), hx_vd_pick(s.lanes, hx_log_table[2]));
    hx_vd sum = high + s.r;
    low += (high - sum) + s.r;
    return hx_vd_log_ends(x, sum + hx_vd_fma(s.r * s.r, hx_vd_log_table_series(s.r), low));
}
/* The same to another base, with log2(e) or log10(e) in two parts; 1 ULP, and exact where the result is whole. */
static inline hx_vd hx_vd_log_to(hx_vd x, hx_vd high, hx_vd low, hx_vd_split s, double factor, double under) {
    hx_vd part = s.r * factor, lost = hx_vd_fma(s.r, hx_vd_all(factor), -part), sum = high + part;
    low += hx_vd_fma(s.r, hx_vd_all(under), lost) + ((high - sum) + part);
    return hx_vd_log_ends(x, sum + hx_vd_fma(s.r * s.r * factor, hx_vd_log_table_series(s.r), low));
}
static inline hx_vd hx_vd_log2(hx_vd x) {
    hx_vd_split s = hx_vd_log_split(x);
    hx_vd high = s.e + hx_vd_pick(s.lanes, hx_log_table[3]), low = hx_vd_pick(s.lanes, hx_log_table[4]);
    return hx_vd_log_to(x, high, low, s, 0x1.71547652b82fep+0, 0x1.777d0ffda0d24p-56);
}
static inline hx_vd hx_vd_log10(hx_vd x) {
    hx_vd_split s = hx_vd_log_split(x);
    hx_vd high = hx_vd_fma(s.e, hx_vd_all(0x1.34413509f8000p-2), hx_vd_pick(s.lanes, hx_log_table[5]));
    hx_vd low = hx_vd_fma(s.e, hx_vd_all(-0x1.80433b83b532ap-44), hx_vd_pick(s.lanes, hx_log_table[6]));
    return hx_vd_log_to(x, high, low, s, 0x1.bcb7b1526e50ep-2, 0x1.95355baaafad3p-57);
}

/* log(1 + x), 1 ULP. What 1 + x loses in rounding is divided by it, roughly, and added. */
static inline hx_vd hx_vd_log1p(hx_vd x) {
    hx_vd u = 1.0 + x, lost = hx_vd_select(hx_vd_lt(hx_vd_all(1.0), x), 1.0 - (u - x), x - (u - 1.0));
    hx_vd_split s = hx_vd_log_split(u);
    lost = hx_vd_scale2(lost * hx_vd_pick(s.lanes, hx_log_table[0]), -s.e);
    hx_vd high = hx_vd_fma(s.e, hx_vd_all(0x1.62e42fefa4000p-1), hx_vd_pick(s.lanes, hx_log_table[1]));
    hx_vd low = hx_vd_fma(s.e, hx_vd_all(-0x1.8432a1b0e2634p-43), hx_vd_pick(s.lanes, hx_log_table[2]));
    hx_vd sum = high + s.r;
    low += (high - sum) + s.r + hx_vd_less(lost, lost, s.r);
    hx_vd y = hx_vd_log_ends(u, sum + hx_vd_fma(s.r * s.r, hx_vd_log_table_series(s.r), low));
    return hx_vd_select(hx_vd_lt(hx_vd_abs(x), hx_vd_all(0x1p-54)), x, y);
}
/* 2 ULP. */
static inline hx_vd hx_vd_atanh(hx_vd x) {
    hx_vd a = hx_vd_abs(x);
    return hx_vd_copysign(0.5 * hx_vd_log1p(2.0 * a / (1.0 - a)), x);
}

/* ---- circular, inverse ---- */

/* The root of z in [0, 1/2] and what its rounding lost. */
static inline hx_vd hx_vd_root(hx_vd z, hx_vd *lost) {
    __mmask8 some = _mm512_cmp_pd_mask((__m512d)z, _mm512_setzero_pd(), _CMP_NEQ_UQ);
    hx_vd y = (hx_vd)_mm512_maskz_rsqrt14_pd(some, (__m512d)z), root = z * y, half = y * 0.5;
    for (int k = 0; k < 2; k++) {
        hx_vd off = hx_vd_less(hx_vd_all(0.5), root, half);
        root = hx_vd_fma(root, off, root);
        half = hx_vd_fma(half, off, half);
    }
    *lost = hx_vd_less(z, root, root) * half;
    return root;
}
/* 1 ULP. */
static inline hx_vd hx_vd_asin(hx_vd x) {
    hx_vd a = hx_vd_abs(x), half = hx_vd_less(hx_vd_all(0.5), a, hx_vd_all(0.5)), rest;
    hx_dm far = hx_vd_lt(hx_vd_all(0.5), a);
    hx_vd root = hx_vd_root(half, &rest), z = hx_vd_select(far, half, a * a), t = hx_vd_select(far, root, a);
    hx_vd excess = t * z * hx_vd_asin_series(z);
    hx_vd beyond = hx_vd_less(hx_vd_all(0x1.921fb54442d18p-1), root, hx_vd_all(2.0));
    hx_vd lost = hx_vd_less(hx_vd_all(0x1.921fb54442d18p-1) - beyond, root, hx_vd_all(2.0));
    lost = hx_vd_less(lost + 0x1.1a62633145c07p-54, excess + rest, hx_vd_all(2.0));
    hx_vd y = hx_vd_select(far, 0x1.921fb54442d18p-1 + (beyond + lost), t + excess);
    return hx_vd_copysign(y, x);
}
static inline hx_vd hx_vd_acos(hx_vd x) {
    hx_vd a = hx_vd_abs(x), half = hx_vd_less(hx_vd_all(0.5), a, hx_vd_all(0.5)), rest;
    hx_dm far = hx_vd_lt(hx_vd_all(0.5), a);
    hx_vd root = hx_vd_root(half, &rest), z = hx_vd_select(far, half, a * a), t = hx_vd_select(far, root, x);
    hx_vd excess = t * z * hx_vd_asin_series(z), above = 2.0 * (root + (excess + rest));
    hx_vd under = 0x1.921fb54442d18p+1 - 2.0 * (root + (excess + rest - 0x1.1a62633145c07p-54));
    hx_vd near = 0x1.921fb54442d18p+0 - (x - (0x1.1a62633145c07p-54 - excess));
    return hx_vd_select(far, hx_vd_select(hx_vd_lt(hx_vd_all(0.0), x), above, under), near);
}

/* ---- error functions ---- */

/* 1 ULP. */
static inline hx_vd hx_vd_erf(hx_vd x) {
    hx_vd a = hx_vd_at_most(hx_vd_abs(x), 5.97);
    hx_vl lanes = (hx_vl)hx_vd_fma(a, hx_vd_all(83.0 / 32.0), hx_vd_all(0x1.8p52));
    hx_vd r = hx_vd_offset(lanes, a, hx_erf_table), above = r * r * HX_VD_PIECES(lanes, r, hx_erf_table, 3);
    hx_vd y = hx_vd_pick(lanes, hx_erf_table[1]) + hx_vd_fma(r, hx_vd_pick(lanes, hx_erf_table[2]), above);
    return hx_vd_copysign(y, x);
}
/* exp(-x x) times erfc's factor, 2 ULP. */
static inline hx_vd hx_vd_erfc(hx_vd x) {
    hx_vd a = hx_vd_at_most(hx_vd_abs(x), 27.5), square = a * a, lost = hx_vd_fma(a, a, -square), k, r;
    hx_vl lanes, piece = (hx_vl)((hx_vul)(a + 2.0) >> 50);
    r = hx_vd_exp_split(-square, &k, &lanes) - lost;
    hx_vd factor = HX_VD_PIECES(piece, hx_vd_offset(piece, a, hx_erfcx_table), hx_erfcx_table, 1);
    hx_vd y = hx_vd_scale2(hx_vd_exp_mantissa(r, lanes) * factor, k * 0.0625);
    return hx_vd_select(hx_vd_lt(x, hx_vd_all(0.0)), 2.0 - y, y);
}
/* The same of floats, 3 ULP. */
static inline hx_vf hx_vf_erfc(hx_vf x) {
    hx_vf a = (hx_vf)_mm512_min_ps(_mm512_set1_ps(10.2f), (__m512)hx_vf_abs(x)), square = a * a, k;
    __m512i piece = _mm512_srli_epi32((__m512i)(a + 1.0f), 21);
    hx_vf r = hx_vf_exp_split(-square, &k) - (hx_vf)_mm512_fmsub_ps((__m512)a, (__m512)a, (__m512)square);
    enum { LAST = sizeof hx_erfcx_table_f32 / sizeof *hx_erfcx_table_f32 - 1 };
    hx_vf row[LAST + 1];
    for (int i = 0; i <= LAST; i++) row[i] = (hx_vf)_mm512_permutexvar_ps(piece, _mm512_load_ps(hx_erfcx_table_f32[i]));
    hx_vf off = a - row[0], factor = row[LAST];
    for (int i = LAST - 1; i > 0; i--) factor = factor * off + row[i];
    hx_vf y = hx_vf_scale2(hx_vf_exp_mantissa(r) * factor, k);
    return hx_vf_select(hx_vf_lt(x, hx_vf_all(0.0f)), 2.0f - y, y);
}
/* erfinv(x) of |x| <= 15/16, and of the others by the root of -log(1 - x x); 2 ULP. */
static inline hx_vd hx_vd_erfinv_near(hx_vd x) {
    hx_vd u = 1.0 - hx_vd_abs(x);
    hx_vl piece = (hx_vl)((hx_vul)hx_vd_at_most(u, 0x1.fffffffffffffp-1) >> 50);
    return x * HX_VD_PIECES(piece, hx_vd_offset(piece, u, hx_erfinv_table), hx_erfinv_table, 1);
}
static inline hx_vd hx_vd_erfinv_far(hx_vd x) {
    hx_vd lost, v = hx_vd_root(-hx_vd_log((1.0 - x) * (1.0 + x)), &lost);
    hx_vl piece = (hx_vl)hx_vd_fma(v, hx_vd_all(27.0 / 8.0), hx_vd_all(0x1.8p52));
    hx_vd y = x * HX_VD_PIECES(piece, hx_vd_offset(piece, v, hx_erfinv_far_table) + lost, hx_erfinv_far_table, 1);
    hx_dm end = _mm512_cmp_pd_mask((__m512d)hx_vd_abs(x), _mm512_set1_pd(1.0), _CMP_EQ_OQ);
    return hx_vd_select(end, x * __builtin_inf(), y);
}

/* ---- loops ---- */

/* The first n lanes, of all there are for large n; the others are read as 0. */
static inline hx_dm hx_vd_first(int64_t n) { return n < 8 ? (hx_dm)((1u << n) - 1) : 0xff; }
static inline hx_vd hx_vd_load_first(hx_dm m, const double *p) { return (hx_vd)_mm512_maskz_loadu_pd(m, p); }
static inline void hx_vd_store_first(hx_dm m, double *p, hx_vd x) { _mm512_mask_storeu_pd(p, m, (__m512d)x); }
/* The lanes of m, to p one after another (a whole register is written); and back from there. Both return their number. */
static inline int hx_vd_pack(double *p, hx_dm m, hx_vd x) {
    _mm512_storeu_pd(p, _mm512_maskz_compress_pd(m, (__m512d)x));
    return __builtin_popcount(m);
}
static inline int hx_vd_unpack(double *to, hx_dm m, const double *p) {
    _mm512_mask_storeu_pd(to, m, _mm512_maskz_expand_pd(m, _mm512_loadu_pd(p)));
    return __builtin_popcount(m);
}
/* o[i] = f(a[i]) over a register function, any n, exact in-place allowed. `v` names the value. */
#define HX_VD_LOOP(o, a, n, v, expr)                                                                          \
    do {                                                                                                      \
        int64_t i_ = 0;                                                                                       \
        for (; i_ + 8 <= (n); i_ += 8) {                                                                      \
            hx_vd v = hx_vd_load((a) + i_);                                                                   \
            hx_prefetch((a) + i_, HX_AHEAD);                                                                  \
            hx_vd_store((o) + i_, expr);                                                                      \
        }                                                                                                     \
        if (i_ < (n)) {                                                                                       \
            hx_dm rest_ = hx_vd_first((n) - i_);                                                              \
            hx_vd v = hx_vd_load_first(rest_, (a) + i_);                                                      \
            hx_vd_store_first(rest_, (o) + i_, expr);                                                         \
        }                                                                                                     \
    } while (0)
#endif

#endif

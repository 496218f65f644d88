/* What softmax and cross-entropy need to know of a row of floats. */
#ifndef HX_ROWS_H
#define HX_ROWS_H

#include "blocks.h"
#include "vmath.h"

/* The largest element; NaN when there is one. */
static inline float hx_row_max(const float *x, int64_t n) {
    enum { L = HX_LANES_OF(float) };
    hx_vf a = hx_vf_all(-INFINITY), b = a, c = a, d = a;
    int64_t i = 0;
    for (; i + 4 * L <= n; i += 4 * L) {
        a = hx_vf_max(hx_vf_load(x + i), a);
        b = hx_vf_max(hx_vf_load(x + i + L), b);
        c = hx_vf_max(hx_vf_load(x + i + 2 * L), c);
        d = hx_vf_max(hx_vf_load(x + i + 3 * L), d);
    }
    for (; i + L <= n; i += L) a = hx_vf_max(hx_vf_load(x + i), a);
    a = hx_vf_max(hx_vf_max(a, b), hx_vf_max(c, d));
    float lane[L], m = -INFINITY;
    hx_vf_store(lane, a);
    for (int k = 0; k < L; k++) m = hx_max_nan(lane[k], m);
    for (; i < n; i++) m = hx_max_nan(x[i], m);
    return m;
}

/* The sum of exp(x - m), which is kept in y when that is given. */
static inline double hx_row_exp_sum(const float *x, float *y, int64_t n, float m) {
    enum { L = HX_LANES_OF(float) };
    double sum = 0;
    int64_t ahead = hx_row_ahead(n * 4);
    for (int64_t from = 0; from < n; from += HX_BLOCK) {
        int64_t i = from, end = n - from < HX_BLOCK ? n : from + HX_BLOCK;
        hx_vf a = {0}, b = a, top = hx_vf_all(m);
        for (; i + 2 * L <= end; i += 2 * L) {
            hx_prefetch(x + i, ahead);
            hx_prefetch(x + i + L, ahead);
            hx_vf p = hx_vf_exp(hx_vf_load(x + i) - top), q = hx_vf_exp(hx_vf_load(x + i + L) - top);
            if (y) hx_vf_store(y + i, p), hx_vf_store(y + i + L, q);
            a += p;
            b += q;
        }
        for (; i < end; i += L) {
            int left = end - i < L ? (int)(end - i) : L;
            hx_vf p = hx_vf_exp((left < L ? hx_vf_load_part(x + i, left) : hx_vf_load(x + i)) - top);
            float lane[L] = {0};
            if (y) {
                if (left < L) hx_vf_store_part(y + i, p, left);
                else hx_vf_store(y + i, p);
            }
            if (left < L) {
                hx_vf_store_part(lane, p, left);
                p = hx_vf_load(lane);
            }
            a += p;
        }
        sum += hx_vf_sum(a + b);
    }
    return sum;
}

static inline double hx_row_sum(const float *a, int64_t n) {
    enum { L = HX_LANES_OF(float) };
    double sum = 0;
    for (int64_t from = 0; from < n; from += HX_BLOCK) {
        int64_t i = from, end = n - from < HX_BLOCK ? n : from + HX_BLOCK;
        hx_vf s = {0}, t = s;
        for (; i + 2 * L <= end; i += 2 * L) {
            s += hx_vf_load(a + i);
            t += hx_vf_load(a + i + L);
        }
        for (; i + L <= end; i += L) s += hx_vf_load(a + i);
        int left = (int)(end - i);
        if (left) s += hx_vf_load_part(a + i, left);
        sum += hx_vf_sum(s + t);
    }
    return sum;
}

#endif

/* Attention in one floating type, for cpu/attention.c, which includes this once with REAL float and once with double.
 *   REAL, WIDE(name), SUMS (the dtype of REAL), READ_ROW (a row of any stride as REAL), WRITE_ROW
 *   ROW_MAX(row, n), ROW_EXP(row, n, top): row = exp(row - top), returns the sum */

/* Adds the mask, or puts -inf where a bool mask is false. */
static void WIDE(mask_row)(const job *j, const char *mask, int64_t n, REAL *row) {
    if (!mask) return;
    const hx_view *v = &j->mask;
    int64_t step = v->strides[v->ndim - 1];
    if (v->dtype == HX_BOOL) {
        const uint8_t *on = (const uint8_t *)mask;
        for (int64_t i = 0; i < n; i++) row[i] = on[i * step] ? row[i] : (REAL)-INFINITY;
        return;
    }
    REAL room[BLOCK_KEYS];
    const REAL *add = READ_ROW(mask, v->dtype, step * (int64_t)hx_dtype_size((hx_dtype)v->dtype), n, room);
    for (int64_t i = 0; i < n; i++) row[i] += add[i];
}

/* row[i] *= 0 or 1 / (1 - p), as dropout_apply draws it for the whole (..., L, S) tensor. */
static void WIDE(drop_row)(const job *j, int64_t at, int64_t n, REAL *row) {
    uint32_t words[4];
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || (at + i) % 4 == 0) hx_philox(j->seed, j->stream, (uint64_t)(at + i) / 4, words);
        row[i] = words[(at + i) % 4] < j->drop_below ? 0 : row[i] * (REAL)j->keep_scale;
    }
}

/* Rows of q (or of a gradient) times `scale`, `pitch` apart and filled up with zeros. */
static void WIDE(load_rows)(const hx_view *v, const char *from, int64_t rows, int64_t width, REAL scale, REAL *to,
                            int64_t pitch) {
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)v->dtype), row = v->strides[v->ndim - 2] * size;
    int64_t step = v->strides[v->ndim - 1] * size;
    for (int64_t i = 0; i < rows; i++, from += row, to += pitch)
        for (int64_t at = 0; at < pitch; at += BLOCK_KEYS) {
            int64_t n = least(BLOCK_KEYS, width - at);
            REAL room[BLOCK_KEYS];
            const REAL *x = n > 0 ? READ_ROW(from + at * step, v->dtype, step, n, room) : NULL;
            for (int64_t e = 0; e < n; e++) to[at + e] = x[e] * scale;
            for (int64_t e = n > 0 ? n : 0; e < least(BLOCK_KEYS, pitch - at); e++) to[at + e] = 0;
        }
}

static void WIDE(store_rows)(const hx_view *v, char *to, int64_t rows, int64_t width, REAL scale, REAL *from,
                             int64_t pitch) {
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)v->dtype);
    for (int64_t i = 0; i < rows; i++, from += pitch, to += width * size) {
        for (int64_t e = 0; e < width; e++) from[e] *= scale;
        WRITE_ROW(to, v->dtype, size, width, from);
    }
}

/* The scores of a block of keys for a block of rows: q k^T, masked. Returns false when a row sees no key of it. */
static void WIDE(scores)(const job *j, const block *b, const REAL *q, int64_t q_pitch, const REAL *keys, REAL *s) {
    int64_t width = hx_gemm_width(SUMS);
    hx_gemm_block(SUMS, b->rows, b->keys, j->e, q, q_pitch, 1, keys + b->key / width * j->e * width, j->e * width, width, s,
                  BLOCK_KEYS, false);
    for (int64_t i = 0; i < b->rows; i++) WIDE(mask_row)(j, mask_at(j, b, i), visible(j, b, i), s + i * BLOCK_KEYS);
}

typedef struct WIDE(state) {
    REAL top[BLOCK_ROWS], sum[BLOCK_ROWS];
} WIDE(state);

/* Turns scores into weights relative to the largest score so far, and rescales what was summed before. */
static void WIDE(weigh)(const job *j, const block *b, REAL *s, REAL *out, WIDE(state) * st) {
    for (int64_t i = 0; i < b->rows; i++, s += BLOCK_KEYS, out += j->ev) {
        int64_t n = visible(j, b, i);
        REAL top = n > 0 ? ROW_MAX(s, n) : (REAL)-INFINITY, before = st->top[i];
        top = top > before || top != top ? top : before;
        for (int64_t k = n; k < b->keys; k++) s[k] = 0;
        if (top == (REAL)-INFINITY) {
            for (int64_t k = 0; k < n; k++) s[k] = 0;
            continue;
        }
        REAL fade = (REAL)exp(before - top), sum = n > 0 ? ROW_EXP(s, n, top) : 0;
        st->sum[i] = st->sum[i] * fade + sum;
        st->top[i] = top;
        if (fade != 1)
            for (int64_t e = 0; e < j->ev; e++) out[e] *= fade;
        if (j->drop_below && n > 0) WIDE(drop_row)(j, dropout_at(j, b, i), n, s);
    }
}

static void WIDE(forward_rows)(const job *j, block *b, char *room, const REAL *keys, const REAL *values) {
    REAL *q = (REAL *)room, *s = q + BLOCK_ROWS * j->e, *out = s + BLOCK_ROWS * BLOCK_KEYS;
    int64_t width = hx_gemm_width(SUMS);
    WIDE(state) st;
    WIDE(load_rows)(&j->q, row_of(&j->q, b->head, b->row), b->rows, j->e, (REAL)j->scale, q, j->e);
    for (int64_t i = 0; i < b->rows; i++) st.top[i] = (REAL)-INFINITY, st.sum[i] = 0;
    memset(out, 0, (size_t)(b->rows * j->ev) * sizeof *out);
    for (b->key = 0; b->key < keys_seen(j, b->row + b->rows); b->key += BLOCK_KEYS) {
        b->keys = least(BLOCK_KEYS, keys_seen(j, b->row + b->rows) - b->key);
        WIDE(scores)(j, b, q, j->e, keys, s);
        WIDE(weigh)(j, b, s, out, &st);
        hx_gemm_block(SUMS, b->rows, j->ev, b->keys, s, BLOCK_KEYS, 1, values + b->key * width, j->s * width, width, out,
                      j->ev, true);
    }
    REAL *lse = (REAL *)j->lse + b->head * j->l + b->row;
    for (int64_t i = 0; i < b->rows; i++) {
        REAL part = st.sum[i] != 0 ? 1 / st.sum[i] : 0;
        for (int64_t e = 0; e < j->ev; e++) out[i * j->ev + e] *= part;
        lse[i] = st.sum[i] != 0 ? st.top[i] + (REAL)log(st.sum[i]) : (REAL)-INFINITY;
    }
    WIDE(store_rows)(&j->out, result_of(&j->out, b->head * j->l + b->row, j->ev), b->rows, j->ev, 1, out, j->ev);
}

/* One task: a chunk of query rows of all heads that share a head of keys. */
static void WIDE(forward_task)(const job *j, int64_t group, int64_t row, int64_t end, char *room) {
    int64_t width = hx_gemm_width(SUMS), seen = keys_seen(j, end);
    REAL *keys = (REAL *)room, *values = keys + ceil_div(j->s, width) * width * j->e;
    const hx_view *k = &j->k, *v = &j->v;
    hx_gemm_pack((hx_dtype)k->dtype, keys, row_of(k, group, 0), k->strides[k->ndim - 1], k->strides[k->ndim - 2], j->e, seen);
    int64_t panels = ceil_div(j->ev, width);
    for (int64_t p = 0; p < panels; p++)
        hx_gemm_pack((hx_dtype)v->dtype, values + p * j->s * width,
                     row_of(v, group, 0) + p * width * v->strides[v->ndim - 1] * (int64_t)hx_dtype_size((hx_dtype)v->dtype),
                     v->strides[v->ndim - 2], v->strides[v->ndim - 1], seen, least(width, j->ev - p * width));
    char *rest = (char *)(values + panels * width * j->s);
    for (int64_t r = 0; r < j->repeat; r++)
        for (int64_t i = row; i < end; i += BLOCK_ROWS) {
            block b = {.head = group * j->repeat + r, .row = i, .rows = least(BLOCK_ROWS, end - i)};
            WIDE(forward_rows)(j, &b, rest, keys, values);
        }
}

/* Few rows: keys and values are read once, where they lie. */
static void WIDE(few_rows)(const job *j, int64_t group, char *room) {
    int64_t rows = j->repeat * j->l;
    const hx_view *k = &j->k, *v = &j->v;
    REAL *q = (REAL *)room, *s = q + rows * j->e, *out = s + rows * j->s;
    for (int64_t r = 0; r < j->repeat; r++)
        WIDE(load_rows)(&j->q, row_of(&j->q, group * j->repeat + r, 0), j->l, j->e, (REAL)j->scale, q + r * j->l * j->e, j->e);
    hx_gemm_rows((hx_dtype)k->dtype, rows, j->s, j->e, q, j->e, row_of(k, group, 0), 1, k->strides[k->ndim - 2], s, j->s);
    for (int64_t i = 0; i < rows; i++) {
        REAL *row = s + i * j->s, top = (REAL)-INFINITY, sum = 0;
        block b = {.head = group * j->repeat + i / j->l, .row = i % j->l, .rows = 1, .keys = j->s};
        int64_t n = visible(j, &b, 0);
        for (b.key = 0; b.key < n; b.key += BLOCK_KEYS)
            WIDE(mask_row)(j, mask_at(j, &b, 0), least(BLOCK_KEYS, n - b.key), row + b.key);
        b.key = 0;
        if (n > 0) top = ROW_MAX(row, n);
        if (top != (REAL)-INFINITY) sum = ROW_EXP(row, n, top);
        else n = 0;
        for (int64_t c = n; c < j->s; c++) row[c] = 0;
        REAL part = n > 0 ? 1 / sum : 0;
        for (int64_t c = 0; c < n; c++) row[c] *= part;
        if (j->drop_below && n > 0) WIDE(drop_row)(j, dropout_at(j, &b, 0), n, row);
        ((REAL *)j->lse)[b.head * j->l + b.row] = n > 0 ? top + (REAL)log(sum) : (REAL)-INFINITY;
    }
    hx_gemm_rows((hx_dtype)v->dtype, rows, j->ev, j->s, s, j->s, row_of(v, group, 0), v->strides[v->ndim - 2], 1, out, j->ev);
    WIDE(store_rows)(&j->out, result_of(&j->out, group * rows, j->ev), rows, j->ev, 1, out, j->ev);
}

/* ---- backward ---- */

typedef struct WIDE(backward_room) {
    REAL *keys, *key_rows, *values;   /* packed: k^T, k, v^T */
    REAL *dk, *dv;                    /* sums over all rows */
    REAL *q, *g, *s, *t, *dq;         /* of a block; q and g are filled up to whole panels */
    int64_t e_pitch, v_pitch;
} WIDE(backward_room);

static size_t WIDE(backward_bytes)(const job *j, WIDE(backward_room) * r, char *at) {
    int64_t width = hx_gemm_width(SUMS), keys = ceil_div(j->s, width) * width;
    r->e_pitch = ceil_div(j->e, width) * width;
    r->v_pitch = ceil_div(j->ev, width) * width;
    REAL **part[] = {&r->keys, &r->key_rows, &r->values, &r->dk, &r->dv, &r->q, &r->g, &r->s, &r->t, &r->dq};
    int64_t size[] = {keys * j->e, j->s * r->e_pitch, keys * j->ev, j->s * j->e, j->s * j->ev, BLOCK_ROWS * r->e_pitch,
                      BLOCK_ROWS * r->v_pitch, BLOCK_ROWS * BLOCK_KEYS, BLOCK_ROWS * BLOCK_KEYS, BLOCK_ROWS * j->e};
    size_t total = 0;
    for (int i = 0; i < 10; i++) {
        *part[i] = (REAL *)(at + total);
        total += (size_t)(ceil_div(size[i] * (int64_t)sizeof(REAL), 64) * 64);
    }
    return total;
}

/* s: scores to weights; t: gradients of weights to gradients of scores. */
static void WIDE(score_gradients)(const job *j, const block *b, REAL *s, REAL *t, const REAL *lse, const REAL *inner) {
    for (int64_t i = 0; i < b->rows; i++, s += BLOCK_KEYS, t += BLOCK_KEYS) {
        int64_t n = visible(j, b, i);
        if (lse[i] == (REAL)-INFINITY) n = 0;
        for (int64_t k = n > 0 ? n : 0; k < b->keys; k++) s[k] = t[k] = 0;
        if (n <= 0) continue;
        ROW_EXP(s, n, lse[i]);
        if (j->drop_below) WIDE(drop_row)(j, dropout_at(j, b, i), n, t);
        for (int64_t k = 0; k < n; k++) t[k] = s[k] * (t[k] - inner[i]);
        if (j->drop_below) WIDE(drop_row)(j, dropout_at(j, b, i), n, s);
    }
}

static void WIDE(backward_rows)(const job *j, block *b, const WIDE(backward_room) * r) {
    int64_t width = hx_gemm_width(SUMS);
    REAL inner[BLOCK_ROWS], x[BLOCK_KEYS], y[BLOCK_KEYS];
    const REAL *lse = (const REAL *)j->lse + b->head * j->l + b->row, *lse_grad = (const REAL *)j->lse_grad;
    WIDE(load_rows)(&j->q, row_of(&j->q, b->head, b->row), b->rows, j->e, (REAL)j->scale, r->q, r->e_pitch);
    WIDE(load_rows)(&j->grad, row_of(&j->grad, b->head, b->row), b->rows, j->ev, 1, r->g, r->v_pitch);
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)j->out.dtype);
    for (int64_t i = 0; i < b->rows; i++) {
        const char *o = row_of(&j->out, b->head, b->row + i);
        int64_t step = j->out.strides[j->out.ndim - 1] * size;
        const REAL *g = r->g + i * r->v_pitch;
        inner[i] = lse_grad ? -lse_grad[b->head * j->l + b->row + i] : 0;
        for (int64_t at = 0; at < j->ev; at += BLOCK_KEYS) {
            int64_t n = least(BLOCK_KEYS, j->ev - at);
            const REAL *from = READ_ROW(o + at * step, j->out.dtype, step, n, x);
            for (int64_t e = 0; e < n; e++) y[e] = from[e] * g[at + e];
            REAL sum = 0;
            for (int64_t e = 0; e < n; e++) sum += y[e];
            inner[i] += sum;
        }
    }
    memset(r->dq, 0, (size_t)(b->rows * j->e) * sizeof(REAL));
    for (b->key = 0; b->key < keys_seen(j, b->row + b->rows); b->key += BLOCK_KEYS) {
        b->keys = least(BLOCK_KEYS, keys_seen(j, b->row + b->rows) - b->key);
        WIDE(scores)(j, b, r->q, r->e_pitch, r->keys, r->s);
        hx_gemm_block(SUMS, b->rows, b->keys, j->ev, r->g, r->v_pitch, 1, r->values + b->key / width * j->ev * width,
                      j->ev * width, width, r->t, BLOCK_KEYS, false);
        WIDE(score_gradients)(j, b, r->s, r->t, lse, inner);
        hx_gemm_block(SUMS, b->keys, j->ev, b->rows, r->s, 1, BLOCK_KEYS, r->g, width, r->v_pitch, r->dv + b->key * j->ev,
                      j->ev, true);
        hx_gemm_block(SUMS, b->keys, j->e, b->rows, r->t, 1, BLOCK_KEYS, r->q, width, r->e_pitch, r->dk + b->key * j->e,
                      j->e, true);
        hx_gemm_block(SUMS, b->rows, j->e, b->keys, r->t, BLOCK_KEYS, 1, r->key_rows + b->key * width, j->s * width, width,
                      r->dq, j->e, true);
    }
    WIDE(store_rows)(&j->dq, result_of(&j->dq, b->head * j->l + b->row, j->e), b->rows, j->e, (REAL)j->scale, r->dq, j->e);
}

static void WIDE(backward_task)(const job *j, int64_t group, char *room) {
    WIDE(backward_room) r;
    WIDE(backward_bytes)(j, &r, room);
    const hx_view *k = &j->k, *v = &j->v;
    const char *from = row_of(k, group, 0);
    hx_gemm_pack((hx_dtype)k->dtype, r.keys, from, k->strides[k->ndim - 1], k->strides[k->ndim - 2], j->e, j->s);
    hx_gemm_pack((hx_dtype)k->dtype, r.key_rows, from, k->strides[k->ndim - 2], k->strides[k->ndim - 1], j->s, j->e);
    hx_gemm_pack((hx_dtype)v->dtype, r.values, row_of(v, group, 0), v->strides[v->ndim - 1], v->strides[v->ndim - 2], j->ev, j->s);
    memset(r.dk, 0, (size_t)(j->s * j->e) * sizeof(REAL));
    memset(r.dv, 0, (size_t)(j->s * j->ev) * sizeof(REAL));
    for (int64_t h = 0; h < j->repeat; h++)
        for (int64_t i = 0; i < j->l; i += BLOCK_ROWS) {
            block b = {.head = group * j->repeat + h, .row = i, .rows = least(BLOCK_ROWS, j->l - i)};
            WIDE(backward_rows)(j, &b, &r);
        }
    WIDE(store_rows)(&j->dk, result_of(&j->dk, group * j->s, j->e), j->s, j->e, 1, r.dk, j->e);
    WIDE(store_rows)(&j->dv, result_of(&j->dv, group * j->s, j->ev), j->s, j->ev, 1, r.dv, j->ev);
}

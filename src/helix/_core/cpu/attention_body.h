/* Attention in one floating type, for cpu/attention.c, which includes this once with REAL float and once with double.
 *   REAL, WIDE(name), SUMS (the dtype of REAL), READ_ROW (a row of any stride as REAL), WRITE_ROW
 *   ROW_MAX(row, n), ROW_EXP(row, n, top): row = exp(row - top), returns the sum
 *   UNIT: scores in tiles are in units of 1 / UNIT, in which EXP_LANES is an exponential
 *   MAX_LANES, EXP_LANES, FEW_DOTS, FEW_SUMS: see attention.c
 * Scores of many rows lie with rows adjacent: tile[key][row], in panels of as many rows as a panel of a packed
 * product has columns. So maxima and sums over keys run down the tile in whole registers, keys and values are the
 * left operands of their products where they lie, and the tile is the right one as it is. */

/* Adds the mask, or puts -inf where a bool mask is false. */
static void WIDE(mask_row)(const hx_view *v, const char *mask, int64_t n, REAL *row) {
    int64_t step = v->strides[v->ndim - 1];
    if (v->dtype == HX_BOOL) {
        const uint8_t *on = (const uint8_t *)mask;
        for (int64_t i = 0; i < n; i++) row[i] = on[i * step] ? row[i] : (REAL)-INFINITY;
        return;
    }
    REAL room[PIECE];
    const REAL *add = READ_ROW(mask, v->dtype, step * (int64_t)hx_dtype_size((hx_dtype)v->dtype), n, room);
    for (int64_t i = 0; i < n; i++) row[i] = add[i] == (REAL)-INFINITY ? (REAL)-INFINITY : row[i] + add[i];
}

/* row[i * step] *= 0 or 1 / (1 - p), as dropout_apply draws it for the whole (..., L, S) tensor. */
static void WIDE(drop_row)(const job *j, int64_t at, int64_t n, REAL *row, int64_t step) {
    uint32_t words[4];
    for (int64_t i = 0; i < n; i++, row += step) {
        if (i == 0 || (at + i) % 4 == 0) hx_philox(j->seed, j->stream, (uint64_t)(at + i) / 4, words);
        *row = words[(at + i) % 4] < j->drop_below ? 0 : *row * (REAL)j->keep_scale;
    }
}

/* Rows of a matrix times `scale`, `pitch` apart and filled up with zeros. */
static void WIDE(load_rows)(const hx_view *v, const char *from, int64_t rows, int64_t width, REAL scale, REAL *to,
                            int64_t pitch) {
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)v->dtype), row = v->strides[v->ndim - 2] * size;
    int64_t step = v->strides[v->ndim - 1] * size;
    for (int64_t i = 0; i < rows; i++, from += row, to += pitch)
        for (int64_t at = 0; at < pitch; at += PIECE) {
            int64_t n = least(PIECE, width - at);
            REAL room[PIECE];
            const REAL *x = n > 0 ? READ_ROW(from + at * step, v->dtype, step, n, room) : NULL;
            for (int64_t e = 0; e < n; e++) to[at + e] = x[e] * scale;
            for (int64_t e = n > 0 ? n : 0; e < least(PIECE, pitch - at); e++) to[at + e] = 0;
        }
}

static void WIDE(store_rows)(const hx_view *v, char *to, int64_t rows, int64_t width, REAL scale, REAL *from,
                             int64_t pitch) {
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)v->dtype);
    for (int64_t i = 0; i < rows; i++, from += pitch, to += width * size) {
        if (scale != 1)
            for (int64_t e = 0; e < width; e++) from[e] *= scale;
        WRITE_ROW(to, v->dtype, size, width, from);
    }
}

/* ---- tiles ---- */

/* Rows of keys or values as sums, `step` apart. */
typedef struct WIDE(operand) {
    const REAL *at;
    int64_t step;
} WIDE(operand);

static bool WIDE(in_place)(const hx_view *v) { return v->dtype == SUMS && v->strides[v->ndim - 1] == 1; }

/* Elements of room that the operand needs. */
static int64_t WIDE(operand_size)(const hx_view *v, int64_t rows) {
    return WIDE(in_place)(v) ? 0 : rows * v->shape[v->ndim - 1];
}

static WIDE(operand) WIDE(operand_of)(const hx_view *v, int64_t group, int64_t row, int64_t rows, REAL *room) {
    const char *from = row_of(v, group, row);
    int64_t width = v->shape[v->ndim - 1];
    if (WIDE(in_place)(v)) return (WIDE(operand)){(const REAL *)from, v->strides[v->ndim - 2]};
    WIDE(load_rows)(v, from, rows, width, 1, room, width);
    return (WIDE(operand)){room, width};
}

/* Rows of a matrix times `scale`, as panels[row / lanes][column][lane], filled up with zeros. */
static void WIDE(load_panels)(const hx_view *v, const char *from, int64_t rows, int64_t width, REAL scale, REAL *panels) {
    hx_gemm_pack((hx_dtype)v->dtype, panels, from, v->strides[v->ndim - 1], v->strides[v->ndim - 2], width, rows);
    int64_t lanes = hx_gemm_width(SUMS), size = ceil_div(rows, lanes) * lanes * width;
    if (scale != 1)
        for (int64_t i = 0; i < size; i++) panels[i] *= scale;
}

/* Writes rows that lie as columns[column][row], `pitch` apart, times `scale`. `room`: lanes * lanes elements and
 * PIECE more. */
static void WIDE(store_columns)(const hx_view *v, char *to, int64_t rows, int64_t width, REAL scale,
                                const REAL *columns, int64_t pitch, REAL *room) {
    int64_t size = (int64_t)hx_dtype_size((hx_dtype)v->dtype), lanes = hx_gemm_width(SUMS);
    for (int64_t i = 0; i < rows; i += lanes)
        for (int64_t e = 0; e < width; e += lanes) {
            int64_t n = least(lanes, width - e), high = least(lanes, rows - i);
            hx_gemm_pack(SUMS, room, columns + e * pitch + i, 1, pitch, high, n);
            for (int64_t r = 0; r < high; r++) {
                for (int64_t c = 0; scale != 1 && c < n; c++) room[r * lanes + c] *= scale;
                WRITE_ROW(to + ((i + r) * width + e) * size, v->dtype, size, n, room + r * lanes);
            }
        }
}

/* Adds to a panel of scores what their distances say, which are keys + rows - 1 numbers in all. */
static void WIDE(add_distances)(const hx_view *v, const block *b, REAL *s, int64_t pitch, REAL *room) {
    int64_t n = b->keys + b->rows - 1, step = v->strides[v->ndim - 1] * (int64_t)hx_dtype_size((hx_dtype)v->dtype);
    const REAL *by = READ_ROW(mask_at(v, b, b->rows - 1), v->dtype, step, n, room);
    bool nothing = true;
    for (int64_t i = 0; i < n; i++) nothing &= by[i] == 0;
    if (nothing) return;
    for (int64_t k = 0; k < b->keys; k++, s += pitch)
        for (int64_t i = 0; i < b->rows; i++) {
            REAL x = by[k + b->rows - 1 - i];
            s[i] = x == (REAL)-INFINITY ? x : s[i] + x * (REAL)UNIT;
        }
}

/* Masks a panel of scores (`pitch` apart); b->rows is at most its lanes. `room`: 2 * lanes * BLOCK_KEYS elements and
 * PIECE more. */
static void WIDE(mask_panel)(const job *j, const block *b, REAL *s, int64_t pitch, REAL *room) {
    int64_t lanes = hx_gemm_width(SUMS);
    if (j->causal)
        for (int64_t k = b->row + 1 - b->key > 0 ? b->row + 1 - b->key : 0; k < b->keys; k++)
            for (int64_t i = 0; i < least(lanes, b->key + k - b->row); i++) s[k * pitch + i] = (REAL)-INFINITY;
    int masks = j->distances ? j->masks - 1 : j->masks;
    if (j->distances) WIDE(add_distances)(j->distances, b, s, pitch, room);
    if (masks == 0) return;
    REAL *turned = room + lanes * BLOCK_KEYS;
    for (int64_t i = 0; i < b->rows; i++) {
        REAL *row = room + i * BLOCK_KEYS;
        for (int64_t k = 0; k < b->keys; k++) row[k] = 0;
        for (int m = 0; m < masks; m++) WIDE(mask_row)(&j->mask[m], mask_at(&j->mask[m], b, i), b->keys, row);
    }
    hx_gemm_pack(SUMS, turned, room, 1, BLOCK_KEYS, b->keys, b->rows);
    for (int64_t k = 0; k < b->keys; k++, turned += lanes, s += pitch)
        for (int64_t i = 0; i < lanes; i++)
            s[i] = turned[i] == (REAL)-INFINITY ? (REAL)-INFINITY : s[i] + turned[i] * (REAL)UNIT;
}

static void WIDE(drop_panel)(const job *j, const block *b, REAL *s, int64_t pitch) {
    if (!j->drop_below) return;
    for (int64_t i = 0; i < b->rows; i++) WIDE(drop_row)(j, dropout_at(j, b, i), b->keys, s + i, pitch);
}

/* ---- forward ---- */

/* A block of rows in panels: queries[panel][e][lane], sums of values out[panel][e][lane], and of each row the score
 * that its weights are relative to, and their sum. */
typedef struct WIDE(state) {
    REAL *q, *out, *s, *room;
    REAL top[BLOCK_ROWS], sum[BLOCK_ROWS];
} WIDE(state);

static size_t WIDE(forward_size)(const job *j) {
    int64_t lanes = hx_gemm_width(SUMS);
    return (size_t)(WIDE(operand_size)(&j->k, j->s) + WIDE(operand_size)(&j->v, j->s) + BLOCK_ROWS * (j->e + j->ev) +
                    lanes * (BLOCK_KEYS + most(2 * BLOCK_KEYS, lanes)) + 2 * PIECE) *
           sizeof(REAL);
}

/* Turns scores into weights. The score that they are relative to moves only when a row would outgrow it by 2^HEADROOM:
 * then what was summed before is rescaled. */
static void WIDE(weigh)(const job *j, int64_t keys, REAL *s, REAL *out, REAL *top, REAL *sum) {
    int64_t lanes = hx_gemm_width(SUMS);
    REAL highest[BLOCK_ROWS], fade[BLOCK_ROWS], base[BLOCK_ROWS], still[BLOCK_ROWS] = {0}, unused[BLOCK_ROWS] = {0};
    bool moved = false;
    MAX_LANES(s, keys, lanes, highest);
    for (int64_t i = 0; i < lanes; i++) {
        REAL before = top[i];
        if (highest[i] > before + HEADROOM) top[i] = highest[i];
        moved = moved || top[i] != before;
        fade[i] = top[i] != before ? before - top[i] : 0;
        base[i] = top[i] == (REAL)-INFINITY ? 0 : top[i];
    }
    if (moved) {
        EXP_LANES(fade, 1, lanes, lanes, still, unused);
        for (int64_t i = 0; i < lanes; i++) sum[i] *= fade[i];
        for (int64_t e = 0; e < j->ev; e++)
            for (int64_t i = 0; i < lanes; i++) out[e * lanes + i] *= fade[i];
    }
    EXP_LANES(s, keys, lanes, lanes, base, sum);
}

static void WIDE(forward_panel)(const job *j, const block *b, WIDE(operand) keys, WIDE(operand) values, WIDE(state) * st,
                                int64_t at) {
    int64_t lanes = hx_gemm_width(SUMS);
    REAL *out = st->out + at * j->ev;
    hx_gemm_block(SUMS, b->keys, lanes, j->e, keys.at + b->key * keys.step, keys.step, 1, st->q + at * j->e, 0, lanes, st->s,
                  lanes, false);
    WIDE(mask_panel)(j, b, st->s, lanes, st->room);
    WIDE(weigh)(j, b->keys, st->s, out, st->top + at, st->sum + at);
    WIDE(drop_panel)(j, b, st->s, lanes);
    if (j->ev == 0) return;
    hx_gemm_block(SUMS, j->ev, lanes, b->keys, values.at + b->key * values.step, 1, values.step, st->s, 0, lanes, out, lanes,
                  true);
}

static void WIDE(finish_panel)(const job *j, const block *b, WIDE(state) * st, int64_t at) {
    int64_t lanes = hx_gemm_width(SUMS);
    REAL *out = st->out + at * j->ev, *top = st->top + at, *sum = st->sum + at, part[BLOCK_ROWS];
    REAL *lse = (REAL *)j->lse + b->head * j->l + b->row;
    for (int64_t i = 0; i < lanes; i++) part[i] = sum[i] != 0 ? 1 / sum[i] : 0;
    for (int64_t e = 0; e < j->ev; e++)
        for (int64_t i = 0; i < lanes; i++) out[e * lanes + i] *= part[i];
    for (int64_t i = 0; i < b->rows; i++)
        lse[i] = sum[i] != 0 ? top[i] / (REAL)UNIT + (REAL)log(sum[i]) : (REAL)-INFINITY;
    WIDE(store_columns)(&j->out, result_of(&j->out, b->head * j->l + b->row, j->ev), b->rows, j->ev, 1, out, lanes, st->room);
}

static void WIDE(forward_rows)(const job *j, int64_t head, int64_t row, int64_t rows, WIDE(operand) keys,
                               WIDE(operand) values, WIDE(state) * st) {
    int64_t lanes = hx_gemm_width(SUMS);
    WIDE(load_panels)(&j->q, row_of(&j->q, head, row), rows, j->e, (REAL)(j->scale * UNIT), st->q);
    for (int64_t i = 0; i < BLOCK_ROWS; i++) st->top[i] = (REAL)-INFINITY, st->sum[i] = 0;
    memset(st->out, 0, (size_t)(BLOCK_ROWS * j->ev) * sizeof(REAL));
    for (int64_t key = first_seen(j, row); key < keys_seen(j, row + rows) && !hx_stopped(); key += BLOCK_KEYS)
        for (int64_t at = 0; at < rows; at += lanes) {
            block b = {.head = head, .row = row + at, .rows = least(lanes, rows - at), .key = key};
            b.keys = least(BLOCK_KEYS, keys_seen(j, b.row + b.rows) - key);
            if (b.keys > 0) WIDE(forward_panel)(j, &b, keys, values, st, at);
        }
    for (int64_t at = 0; at < rows; at += lanes) {
        block b = {.head = head, .row = row + at, .rows = least(lanes, rows - at)};
        WIDE(finish_panel)(j, &b, st, at);
    }
}

/* One task: a chunk of query rows of all heads that share a head of keys. */
static void WIDE(forward_task)(const job *j, int64_t group, int64_t row, int64_t end, char *room) {
    int64_t seen = keys_seen(j, end);
    WIDE(state) st;
    REAL *values = (REAL *)room + WIDE(operand_size)(&j->k, j->s);
    st.q = values + WIDE(operand_size)(&j->v, j->s);
    st.out = st.q + BLOCK_ROWS * j->e + PIECE;
    st.s = st.out + BLOCK_ROWS * j->ev;
    st.room = st.s + hx_gemm_width(SUMS) * BLOCK_KEYS;
    WIDE(operand) k = WIDE(operand_of)(&j->k, group, 0, seen, (REAL *)room), v = WIDE(operand_of)(&j->v, group, 0, seen, values);
    for (int64_t r = 0; r < j->repeat; r++)
        for (int64_t i = row; i < end; i += BLOCK_ROWS)
            WIDE(forward_rows)(j, group * j->repeat + r, i, least(BLOCK_ROWS, end - i), k, v, &st);
}

/* ---- few rows: keys and values are read once, where they lie ---- */

/* A row's share of a chunk of keys, as one array: the score that its weights are relative to, their sum, and the sum of
 * values. */
enum { WIDE(part_top), WIDE(part_sum), WIDE(part_out) };
static int64_t WIDE(part_size)(const job *j) { return WIDE(part_out) + j->ev; }
static int64_t WIDE(few_pitch)(const job *j) { return ceil_div(j->e, hx_gemm_width(SUMS)) * hx_gemm_width(SUMS); }

static size_t WIDE(few_size)(const job *j) {
    return (size_t)(j->repeat * j->l * (WIDE(few_pitch)(j) + j->chunk_keys + WIDE(part_size)(j))) * sizeof(REAL);
}

/* Joins the chunks' shares of a row; the first chunk's is written over. */
static void WIDE(join_parts)(const job *j, int64_t group, int64_t i, REAL *part) {
    int64_t next = j->repeat * j->l * WIDE(part_size)(j), row = group * j->repeat * j->l + i;
    REAL top = part[WIDE(part_top)], sum = 0, *out = part + WIDE(part_out);
    for (int64_t c = 1; c < j->chunks; c++) {
        REAL x = part[c * next + WIDE(part_top)];
        top = x > top || x != x ? x : top;
    }
    for (int64_t c = 0; c < j->chunks; c++) {
        const REAL *p = part + c * next;
        REAL weight = top != p[WIDE(part_top)] ? (REAL)exp(p[WIDE(part_top)] - top) : 1;
        sum += weight * p[WIDE(part_sum)];
        if (c == 0 && weight == 1) continue;
        for (int64_t e = 0; e < j->ev; e++) out[e] = (c ? out[e] : 0) + weight * p[WIDE(part_out) + e];
    }
    ((REAL *)j->lse)[row] = sum != 0 ? top + (REAL)log(sum) : (REAL)-INFINITY;
    WIDE(store_rows)(&j->out, result_of(&j->out, row, j->ev), 1, j->ev, sum != 0 ? 1 / sum : 0, out, j->ev);
}

/* Rows [begin, end) of all groups. */
static void WIDE(join_rows)(void *ctx, int64_t begin, int64_t end) {
    const job *j = ctx;
    int64_t rows = j->repeat * j->l;
    for (int64_t t = begin; t < end; t++)
        WIDE(join_parts)(j, t / rows, t % rows,
                         (REAL *)j->part.data + (t / rows * j->chunks * rows + t % rows) * WIDE(part_size)(j));
}

/* Scores of a row to weights. */
static void WIDE(few_weigh)(const job *j, const block *b, REAL *row, REAL *part) {
    int64_t n = visible(j, b, 0);
    block piece = *b;
    for (int64_t at = 0; at < n; at += PIECE) {
        piece.key = b->key + at;
        for (int m = 0; m < j->masks; m++)
            WIDE(mask_row)(&j->mask[m], mask_at(&j->mask[m], &piece, 0), least(PIECE, n - at), row + at);
    }
    REAL top = n > 0 ? ROW_MAX(row, n) : (REAL)-INFINITY;
    if (top == (REAL)-INFINITY) n = 0;
    part[WIDE(part_top)] = top;
    part[WIDE(part_sum)] = n > 0 ? ROW_EXP(row, n, top) : 0;
    for (int64_t c = n > 0 ? n : 0; c < b->keys; c++) row[c] = 0;
    if (j->drop_below && n > 0) WIDE(drop_row)(j, dropout_at(j, b, 0), n, row, 1);
}

/* One task: a chunk of keys, for all rows of all heads that share it. */
static void WIDE(few_rows)(const job *j, int64_t group, int64_t chunk, char *room) {
    int64_t rows = j->repeat * j->l, first = chunk * j->chunk_keys, keys = least(j->chunk_keys, j->s - first);
    int64_t size = WIDE(part_size)(j), pitch = WIDE(few_pitch)(j);
    const hx_view *k = &j->k, *v = &j->v;
    const char *key = row_of(k, group, first), *value = row_of(v, group, first);
    REAL *q = (REAL *)room, *s = q + rows * pitch, *part = s + rows * j->chunk_keys;
    if (j->chunks > 1) part = (REAL *)j->part.data + (group * j->chunks + chunk) * rows * size;
    for (int64_t r = 0; r < j->repeat; r++)
        WIDE(load_rows)(&j->q, row_of(&j->q, group * j->repeat + r, 0), j->l, j->e, (REAL)j->scale, q + r * j->l * pitch, pitch);
    if (WIDE(in_place)(k)) FEW_DOTS(rows, keys, j->e, q, pitch, (const REAL *)key, k->strides[k->ndim - 2], s, keys);
    else hx_gemm_rows((hx_dtype)k->dtype, rows, keys, j->e, q, pitch, key, 1, k->strides[k->ndim - 2], s, keys);
    for (int64_t i = 0; i < rows; i++) {
        block b = {.head = group * j->repeat + i / j->l, .row = i % j->l, .rows = 1, .key = first, .keys = keys};
        WIDE(few_weigh)(j, &b, s + i * keys, part + i * size);
    }
    REAL *out = part + WIDE(part_out);
    if (WIDE(in_place)(v)) FEW_SUMS(rows, keys, j->ev, s, keys, (const REAL *)value, v->strides[v->ndim - 2], out, size);
    else hx_gemm_rows((hx_dtype)v->dtype, rows, j->ev, keys, s, keys, value, v->strides[v->ndim - 2], 1, out, size);
    for (int64_t i = 0; j->chunks == 1 && i < rows; i++) WIDE(join_parts)(j, group, i, part + i * size);
}

/* ---- backward ---- */

/* What a task holds: keys and values that cannot be read where they lie, the sums of their gradients, and a block of
 * rows: queries and gradients in panels and as rows, weights s and gradients of scores t, and gradients of queries as
 * columns. */
typedef struct WIDE(backward_room) {
    REAL *keys, *values, *dk, *dv, *q, *g, *q_rows, *g_rows, *s, *t, *dq, *room;
    REAL lse[BLOCK_ROWS], inner[BLOCK_ROWS];
    int64_t e_pitch, v_pitch;
} WIDE(backward_room);

static size_t WIDE(backward_bytes)(const job *j, WIDE(backward_room) * r, char *at) {
    int64_t lanes = hx_gemm_width(SUMS);
    r->e_pitch = ceil_div(j->e, lanes) * lanes;
    r->v_pitch = ceil_div(j->ev, lanes) * lanes;
    REAL **part[] = {&r->keys, &r->values, &r->dk, &r->dv, &r->q, &r->g, &r->q_rows, &r->g_rows, &r->s, &r->t, &r->dq, &r->room};
    int64_t size[] = {WIDE(operand_size)(&j->k, j->chunk_keys), WIDE(operand_size)(&j->v, j->chunk_keys),
                      j->chunk_keys * j->e, j->chunk_keys * j->ev, BACK_ROWS * j->e + PIECE, BACK_ROWS * j->ev + PIECE,
                      BACK_ROWS * r->e_pitch, BACK_ROWS * r->v_pitch, BACK_ROWS * BLOCK_KEYS, BACK_ROWS * BLOCK_KEYS,
                      BACK_ROWS * j->e, lanes * most(2 * BLOCK_KEYS, lanes) + PIECE};
    size_t total = 0;
    for (int i = 0; i < 12; i++) {
        *part[i] = (REAL *)(at + total);
        total += (size_t)(ceil_div(size[i] * (int64_t)sizeof(REAL), 64) * 64);
    }
    return total;
}

/* Loads the block's queries and gradients; inner[i] is the sum over keys of weight times gradient of weight. */
static void WIDE(backward_load)(const job *j, const block *b, WIDE(backward_room) * r) {
    const REAL *lse = (const REAL *)j->lse + b->head * j->l + b->row, *lse_grad = (const REAL *)j->lse_grad;
    const char *q = row_of(&j->q, b->head, b->row), *g = row_of(&j->grad, b->head, b->row);
    WIDE(load_panels)(&j->q, q, b->rows, j->e, (REAL)(j->scale * UNIT), r->q);
    WIDE(load_panels)(&j->grad, g, b->rows, j->ev, 1, r->g);
    WIDE(load_rows)(&j->q, q, b->rows, j->e, (REAL)j->scale, r->q_rows, r->e_pitch);
    WIDE(load_rows)(&j->grad, g, b->rows, j->ev, 1, r->g_rows, r->v_pitch);
    int64_t step = j->out.strides[j->out.ndim - 1] * (int64_t)hx_dtype_size((hx_dtype)j->out.dtype);
    REAL x[PIECE], y[PIECE];
    for (int64_t i = 0; i < BACK_ROWS; i++) {
        bool seen = i < b->rows && lse[i] != (REAL)-INFINITY;
        r->lse[i] = seen ? lse[i] * (REAL)UNIT : (REAL)INFINITY;
        r->inner[i] = seen && lse_grad ? -lse_grad[b->head * j->l + b->row + i] : 0;
        if (!seen) continue;
        const char *o = row_of(&j->out, b->head, b->row + i);
        for (int64_t at = 0; at < j->ev; at += PIECE) {
            int64_t n = least(PIECE, j->ev - at);
            const REAL *from = READ_ROW(o + at * step, j->out.dtype, step, n, x);
            for (int64_t e = 0; e < n; e++) y[e] = from[e] * r->g_rows[i * r->v_pitch + at + e];
            REAL sum = 0;
            for (int64_t e = 0; e < n; e++) sum += y[e];
            r->inner[i] += sum;
        }
    }
}

/* s: scores to weights; t: gradients of weights to gradients of scores. */
static void WIDE(score_gradients)(const job *j, const block *b, WIDE(backward_room) * r) {
    int64_t lanes = hx_gemm_width(SUMS), wide = ceil_div(b->rows, lanes) * lanes;
    REAL unused[BLOCK_ROWS] = {0};
    for (int64_t at = 0; at < b->rows; at += lanes) {
        block panel = *b;
        panel.row += at;
        panel.rows = least(lanes, b->rows - at);
        WIDE(mask_panel)(j, &panel, r->s + at, BACK_ROWS, r->room);
        EXP_LANES(r->s + at, b->keys, lanes, BACK_ROWS, r->lse + at, unused);
        WIDE(drop_panel)(j, &panel, r->t + at, BACK_ROWS);
    }
    for (int64_t k = 0; k < b->keys; k++) {
        REAL *s = r->s + k * BACK_ROWS, *t = r->t + k * BACK_ROWS;
        for (int64_t i = 0; i < wide; i++) t[i] = s[i] * (t[i] - r->inner[i]);
    }
    for (int64_t at = 0; at < b->rows; at += lanes) {
        block panel = *b;
        panel.row += at;
        panel.rows = least(lanes, b->rows - at);
        WIDE(drop_panel)(j, &panel, r->s + at, BACK_ROWS);
    }
}

/* Adds gradients of scores to the sums of their distances, of which the first is that of the block's last row and first key: in
 * the block first, so that errors do not grow with the number of all terms. */
static void WIDE(sum_distances)(const block *b, const REAL *t, REAL *sums) {
    REAL own[BLOCK_KEYS + BACK_ROWS] = {0};
    for (int64_t k = 0; k < b->keys; k++, t += BACK_ROWS)
        for (int64_t i = 0; i < b->rows; i++) own[k + b->rows - 1 - i] += t[i];
    for (int64_t d = 0; d < b->keys + b->rows - 1; d++) sums[d] += own[d];
}

/* One block of rows and the keys from `first` to `end`, of which it may see fewer. `sums`, where they are all that is wanted:
 * gradients by the distance to the last row and the first key. */
static void WIDE(backward_rows)(const job *j, block *b, int64_t first, int64_t end, WIDE(operand) keys,
                                WIDE(operand) values, WIDE(backward_room) * r, REAL *sums) {
    int64_t lanes = hx_gemm_width(SUMS), begin = first + most(0, first_seen(j, b->row) - first) / BLOCK_KEYS * BLOCK_KEYS;
    memset(r->dq, 0, (size_t)(BACK_ROWS * j->e) * sizeof(REAL));
    end = least(end, keys_seen(j, b->row + b->rows));
    if (begin >= end) return;
    WIDE(backward_load)(j, b, r);
    for (b->key = begin; b->key < end && !hx_stopped(); b->key += BLOCK_KEYS) {
        int64_t at = b->key - first;
        const REAL *k = keys.at + at * keys.step, *v = values.at + at * values.step;
        b->keys = least(BLOCK_KEYS, end - b->key);
        hx_gemm_block(SUMS, b->keys, b->rows, j->e, k, keys.step, 1, r->q, j->e * lanes, lanes, r->s, BACK_ROWS, false);
        hx_gemm_block(SUMS, b->keys, b->rows, j->ev, v, values.step, 1, r->g, j->ev * lanes, lanes, r->t, BACK_ROWS, false);
        WIDE(score_gradients)(j, b, r);
        if (sums) {
            WIDE(sum_distances)(b, r->t, sums + at + j->l - b->row - b->rows);
            continue;
        }
        hx_gemm_block(SUMS, b->keys, j->ev, b->rows, r->s, BACK_ROWS, 1, r->g_rows, lanes, r->v_pitch, r->dv + at * j->ev,
                      j->ev, true);
        hx_gemm_block(SUMS, b->keys, j->e, b->rows, r->t, BACK_ROWS, 1, r->q_rows, lanes, r->e_pitch, r->dk + at * j->e, j->e,
                      true);
        if (j->e)
            hx_gemm_block(SUMS, j->e, b->rows, b->keys, k, 1, keys.step, r->t, lanes, BACK_ROWS, r->dq,
                          BACK_ROWS, true);
    }
}

/* One task: a chunk of the keys that some heads share, for all their rows. With several chunks, gradients of queries
 * are left apart, to be added in order. */
static void WIDE(backward_task)(const job *j, int64_t group, int64_t chunk, char *room) {
    WIDE(backward_room) r;
    WIDE(backward_bytes)(j, &r, room);
    int64_t first = chunk * j->chunk_keys, end = least(first + j->chunk_keys, j->s), keys = end - first;
    WIDE(operand) k = WIDE(operand_of)(&j->k, group, first, keys, r.keys), v = WIDE(operand_of)(&j->v, group, first, keys, r.values);
    memset(r.dk, 0, (size_t)(keys * j->e) * sizeof(REAL));
    memset(r.dv, 0, (size_t)(keys * j->ev) * sizeof(REAL));
    for (int64_t h = 0; h < j->repeat; h++)
        for (int64_t i = 0; i < j->l; i += BACK_ROWS) {
            block b = {.head = group * j->repeat + h, .row = i, .rows = least(BACK_ROWS, j->l - i)};
            int64_t row = b.head * j->l + i;
            WIDE(backward_rows)(j, &b, first, end, k, v, &r, NULL);
            if (j->chunks == 1)
                WIDE(store_columns)(&j->dq, result_of(&j->dq, row, j->e), b.rows, j->e, (REAL)j->scale, r.dq, BACK_ROWS, r.room);
            else
                WIDE(store_columns)(&j->part, result_of(&j->part, chunk * j->heads * j->l + row, j->e), b.rows, j->e,
                                    (REAL)j->scale, r.dq, BACK_ROWS, r.room);
        }
    WIDE(store_rows)(&j->dk, result_of(&j->dk, group * j->s + first, j->e), keys, j->e, 1, r.dk, j->e);
    WIDE(store_rows)(&j->dv, result_of(&j->dv, group * j->s + first, j->ev), keys, j->ev, 1, r.dv, j->ev);
}

/* The same for gradients by distance. */
static void WIDE(distance_task)(const job *j, int64_t group, int64_t chunk, char *room) {
    WIDE(backward_room) r;
    WIDE(backward_bytes)(j, &r, room);
    int64_t first = chunk * j->chunk_keys, end = least(first + j->chunk_keys, j->s), keys = end - first, n = distances_of(j);
    WIDE(operand) k = WIDE(operand_of)(&j->k, group, first, keys, r.keys), v = WIDE(operand_of)(&j->v, group, first, keys, r.values);
    for (int64_t head = group * j->repeat; head < (group + 1) * j->repeat; head++) {
        REAL *sums = (REAL *)j->part.data + (chunk * j->heads + head) * n;
        memset(sums, 0, (size_t)n * sizeof *sums);
        for (int64_t i = 0; i < j->l; i += BACK_ROWS) {
            block b = {.head = head, .row = i, .rows = least(BACK_ROWS, j->l - i)};
            WIDE(backward_rows)(j, &b, first, end, k, v, &r, sums);
        }
    }
}

/* Of heads [begin, end): the sums of the chunks' gradients by distance. */
static void WIDE(join_distances)(void *ctx, int64_t begin, int64_t end) {
    const job *j = ctx;
    int64_t all = j->l + j->s - 1, n = distances_of(j);
    for (int64_t head = begin; head < end; head++) {
        REAL *to = (REAL *)j->by_distance.data + head * all;
        memset(to, 0, (size_t)all * sizeof *to);
        for (int64_t c = 0; c < j->chunks; c++) {
            const REAL *sums = (const REAL *)j->part.data + (c * j->heads + head) * n;
            int64_t from = c * j->chunk_keys;
            for (int64_t d = 0; d < least(n, all - from); d++) to[from + d] += sums[d];
        }
    }
}

/* Adds the chunks' gradients of queries, for rows [begin, end) of all heads. */
static void WIDE(add_parts)(void *ctx, int64_t begin, int64_t end) {
    const job *j = ctx;
    REAL *sum = (REAL *)j->part.data;
    int64_t size = j->heads * j->l * j->e;
    for (int64_t c = 1; c < j->chunks; c++)
        for (int64_t i = begin * j->e; i < end * j->e; i++) sum[i] += sum[c * size + i];
    WIDE(store_rows)(&j->dq, result_of(&j->dq, begin, j->e), end - begin, j->e, 1, sum + begin * j->e, j->e);
}

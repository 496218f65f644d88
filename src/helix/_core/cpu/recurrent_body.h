/* The recurrences for one kind of sums, included by cpu/recurrent.c with REAL, V (a register or one number), L (how many REAL
 * it holds), NAME(x), SUMS, LOAD(p, n), STORE(p, n, v), SIGMOID and TANH; n may be less than L at the end of a row. */

/* One row, one step: what the inputs, read but once, and the state before give. LSTM: `gates` holds the latter, and then all
 * activations. */
static void NAME(lstm_row)(const REAL *x, const REAL *bias, REAL *gates, const REAL *cell, REAL *cells, REAL *state,
                           int64_t size) {
    for (int64_t i = 0; i < size; i += L) {
        int64_t n = least(L, size - i);
        V s[4];
        for (int k = 0; k < 4; k++) {
            s[k] = LOAD(x + k * size + i, n) + LOAD(gates + k * size + i, n);
            hx_prefetch(x + (4 + k) * size + i, 0); /* the next row's */
            if (bias) s[k] += LOAD(bias + k * size + i, n);
        }
        V in = SIGMOID(s[0]), forget = SIGMOID(s[1]), new = TANH(s[2]), out = SIGMOID(s[3]);
        V c = forget * LOAD(cell + i, n) + in * new;
        STORE(gates + i, n, in);
        STORE(gates + size + i, n, forget);
        STORE(gates + 2 * size + i, n, new);
        STORE(gates + 3 * size + i, n, out);
        STORE(cells + i, n, c);
        STORE(state + i, n, out * TANH(c));
    }
}

/* GRU: saved gets r, z, n and what the state gives to n. */
static void NAME(gru_row)(const REAL *x, const REAL *product, const REAL *bias, const REAL *before, REAL *saved, REAL *state,
                          int64_t size) {
    for (int64_t i = 0; i < size; i += L) {
        int64_t n = least(L, size - i);
        V p[3], s[3];
        for (int k = 0; k < 3; k++) {
            p[k] = LOAD(product + k * size + i, n);
            if (bias) p[k] += LOAD(bias + k * size + i, n);
            s[k] = LOAD(x + k * size + i, n);
        }
        V r = SIGMOID(s[0] + p[0]), z = SIGMOID(s[1] + p[1]), new = TANH(s[2] + r * p[2]);
        STORE(saved + i, n, r);
        STORE(saved + size + i, n, z);
        STORE(saved + 2 * size + i, n, new);
        STORE(saved + 3 * size + i, n, p[2]);
        STORE(state + i, n, new + z * (LOAD(before + i, n) - new));
    }
}

static void NAME(plain_row)(const REAL *x, const REAL *bias, REAL *state, int64_t size, int kind) {
    for (int64_t i = 0; i < size; i += L) {
        int64_t n = least(L, size - i);
        V s = LOAD(x + i, n) + LOAD(state + i, n);
        if (bias) s += LOAD(bias + i, n);
        STORE(state + i, n, kind == HX_RNN_TANH ? TANH(s) : RELU(s));
    }
}

/* Back through one row: h and c hold the gradients of the state after the step, and then what goes straight to the state
 * before; what goes there through the weights comes from `product`. */
static void NAME(lstm_back)(const REAL *gates, const REAL *cell, const REAL *cells, REAL *h, REAL *c, REAL *sums, int64_t size) {
    for (int64_t i = 0; i < size; i += L) {
        int64_t n = least(L, size - i);
        V in = LOAD(gates + i, n), forget = LOAD(gates + size + i, n), new = LOAD(gates + 2 * size + i, n);
        V out = LOAD(gates + 3 * size + i, n), t = TANH(LOAD(cells + i, n)), gh = LOAD(h + i, n);
        V gc = LOAD(c + i, n) + gh * out * (1 - t * t);
        STORE(sums + i, n, gc * new * in * (1 - in));
        STORE(sums + size + i, n, gc * LOAD(cell + i, n) * forget * (1 - forget));
        STORE(sums + 2 * size + i, n, gc * in * (1 - new * new));
        STORE(sums + 3 * size + i, n, gh * t * out * (1 - out));
        STORE(c + i, n, gc * forget);
        STORE(h + i, n, gh * 0);
    }
}

static void NAME(gru_back)(const REAL *saved, const REAL *before, REAL *h, REAL *sums, REAL *product, int64_t size) {
    for (int64_t i = 0; i < size; i += L) {
        int64_t n = least(L, size - i);
        V r = LOAD(saved + i, n), z = LOAD(saved + size + i, n), new = LOAD(saved + 2 * size + i, n), gh = LOAD(h + i, n);
        V gn = gh * (1 - z) * (1 - new * new), gz = gh * (LOAD(before + i, n) - new) * z * (1 - z);
        V gr = gn * LOAD(saved + 3 * size + i, n) * r * (1 - r);
        STORE(sums + i, n, gr);
        STORE(sums + size + i, n, gz);
        STORE(sums + 2 * size + i, n, gn);
        STORE(product + i, n, gr);
        STORE(product + size + i, n, gz);
        STORE(product + 2 * size + i, n, gn * r);
        STORE(h + i, n, gh * z);
    }
}

static void NAME(plain_back)(const REAL *state, REAL *h, REAL *sums, int64_t size, int kind) {
    for (int64_t i = 0; i < size; i += L) {
        int64_t n = least(L, size - i);
        V y = LOAD(state + i, n), gh = LOAD(h + i, n);
        STORE(sums + i, n, kind == HX_RNN_TANH ? gh * (1 - y * y) : PASSED(y, gh));
        STORE(h + i, n, gh * 0);
    }
}

/* ---- rows [row, end) of the batch through all times ---- */

/* NULL for what an op lacks. */
#define AT(p, time, width) (j->p ? (REAL *)j->p + ((time) * j->batch + row) * (width) : NULL)

/* C += A B^T, or A B, with the packed weight. */
static void NAME(multiply)(const job *j, int64_t rows, const REAL *a, int64_t k, int64_t n, REAL *c, bool add) {
    int64_t width = hx_gemm_width(SUMS);
    hx_gemm_block(SUMS, rows, n, k, a, k, 1, j->panels, k * width, width, c, n, add);
}

/* `product` has room for the gates of all rows, and for 4 states. */
static void NAME(forward_rows)(const job *j, int64_t row, int64_t end, REAL *product) {
    const int64_t size = j->size, wide = j->gates_wide, rows = end - row;
    const REAL *h = AT(first, 0, size), *c = AT(cell, 0, size), *bias = j->bias;
    for (int64_t step = 0; step < j->times && !hx_stopped(); step++) {
        int64_t time = j->reverse ? j->times - 1 - step : step;
        REAL *state = AT(states, time, size), *cells = AT(cells, time, size), *saved = AT(saved, time, 4 * size);
        const REAL *x = AT(gates, time, wide);
        REAL *sums = j->kind == HX_LSTM && saved ? saved : j->kind >= HX_LSTM ? product : state;
        NAME(multiply)(j, rows, h, size, wide, sums, false);
        for (int64_t i = 0; i < rows; i++) {
            if (j->lengths && j->lengths[row + i] <= time) {
                memcpy(state + i * size, h + i * size, (size_t)size * sizeof(REAL));
                if (j->kind == HX_LSTM) memcpy(cells + i * size, c + i * size, (size_t)size * sizeof(REAL));
                if (saved) memset(saved + i * 4 * size, 0, (size_t)(4 * size) * sizeof(REAL));
            } else if (j->kind == HX_LSTM) {
                NAME(lstm_row)(x + i * wide, bias, sums + i * wide, c + i * size, cells + i * size, state + i * size, size);
            } else if (j->kind == HX_GRU) {
                REAL *kept = saved ? saved + i * 4 * size : product + rows * wide;
                NAME(gru_row)(x + i * wide, product + i * wide, bias, h + i * size, kept, state + i * size, size);
            } else {
                NAME(plain_row)(x + i * wide, bias, state + i * size, size, j->kind);
            }
        }
        h = state;
        c = cells;
    }
}

/* `h` and `c` are the results for the start, and on the way the gradients of the state at hand. */
static void NAME(backward_rows)(const job *j, int64_t row, int64_t end) {
    const int64_t size = j->size, wide = j->gates_wide, rows = end - row;
    REAL *h = AT(g_first, 0, size), *c = AT(g_cell, 0, size);
    memset(h, 0, (size_t)(rows * size) * sizeof(REAL));
    if (j->kind == HX_LSTM) memset(c, 0, (size_t)(rows * size) * sizeof(REAL));
    for (int64_t step = j->times - 1; step >= 0 && !hx_stopped(); step--) {
        int64_t time = j->reverse ? j->times - 1 - step : step, earlier = j->reverse ? time + 1 : time - 1;
        const REAL *saved = AT(saved, time, 4 * size), *cells = AT(cells, time, size), *state = AT(states, time, size);
        const REAL *before = step ? AT(states, earlier, size) : AT(first, 0, size);
        const REAL *cell = step ? AT(cells, earlier, size) : AT(cell, 0, size);
        REAL *sums = AT(g_gates, time, wide), *product = j->kind == HX_GRU ? AT(g_product, time, wide) : sums;
        NAME(add_row)(h, AT(g_states, time, size), rows * size);
        if (j->g_cells) NAME(add_row)(c, AT(g_cells, time, size), rows * size);
        for (int64_t i = 0; i < rows; i++) {
            if (j->lengths && j->lengths[row + i] <= time) {
                memset(sums + i * wide, 0, (size_t)wide * sizeof(REAL));
                memset(product + i * wide, 0, (size_t)wide * sizeof(REAL));
            } else if (j->kind == HX_LSTM) {
                NAME(lstm_back)(saved + i * 4 * size, cell + i * size, cells + i * size, h + i * size, c + i * size,
                                sums + i * wide, size);
            } else if (j->kind == HX_GRU) {
                NAME(gru_back)(saved + i * 4 * size, before + i * size, h + i * size, sums + i * wide, product + i * wide, size);
            } else {
                NAME(plain_back)(state + i * size, h + i * size, sums + i * wide, size, j->kind);
            }
        }
        NAME(multiply)(j, rows, product, wide, size, h, true);
    }
}
#undef AT

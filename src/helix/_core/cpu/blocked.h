/* Factorizations of one large real matrix, row-major, by blocks: panels by LAPACK, everything else by triangular systems and
 * products whose shares go to the threads. The right-looking forms with a panel of look-ahead are those of Dongarra, Duff,
 * Sorensen and van der Vorst, "Numerical Linear Algebra for High-Performance Computers" (SIAM 1998), chapter 5. Borders depend
 * on the shape alone, so that results have the same bits for any number of threads. Included by cpu/linalg.c. */

enum {
    BLOCKED_SIDE = 256,  /* from here on; of Cholesky's form, */
    CHOLESKY_SIDE = 512,
    PANEL_COLUMNS = 64,  /* of a panel, up to WIDE_SIDE; beyond, */
    WIDE_PANEL = 128,
    WIDE_SIDE = 768,
    SHARE_COLUMNS = 128, /* of the rest of the matrix that one share of the work treats, up to WIDE_SIDE; beyond, */
    WIDE_SHARE = 256,
    LEAST_SOLVED = 48    /* columns of a triangular system that make blocks worth while */
};

static bool is_blocked(const task *t) { return t->type < 2 && least(t->m, t->n) >= BLOCKED_SIDE; }
static bool has_blocked_cholesky(const task *t) { return t->type < 2 && t->n >= CHOLESKY_SIDE; }
static int64_t panel_of(int64_t side) { return side <= WIDE_SIDE ? PANEL_COLUMNS : WIDE_PANEL; }
static int64_t share_of(int64_t side) { return side <= WIDE_SIDE ? SHARE_COLUMNS : WIDE_SHARE; }

typedef struct blocked {
    const task *t;
    char *a;
    int64_t rows, columns, pitch; /* pitch: from row to row */
    int64_t step, share;          /* step: of the diagonal; share: columns, or rows, of one share of the work */
    int64_t at, next;            /* the panel that is factored, and the end of the one behind it */
    hx_int *pivots, info;
    char *panel;                 /* a column-major copy */
    atomic_bool failed;          /* no memory for a product */
} blocked;

static char *entry(const blocked *f, int64_t i, int64_t j) { return f->a + (i * f->pitch + j) * f->t->size; }

/* C -= A B, of m x n and k. False where there is no memory for it. */
static bool take_off(const task *t, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row, const void *b, int64_t b_row,
                     int64_t b_col, void *c, int64_t c_row) {
    if (!m || !n) return true;
    hx_dtype dtype = t->type ? HX_F64 : HX_F32;
    hx_gemm_args g = {.dtype = dtype, .out = dtype, .m = m, .n = n, .k = k, .a = a, .a_row = a_row, .a_col = 1, .b = b,
                      .b_row = b_row, .b_col = b_col, .c = c, .c_row = c_row, .d = c, .d_row = c_row, .d_col = 1,
                      .alpha = -1, .beta = 1};
    if (!hx_gemm(&g)) return true;
    hx_error_clear(); /* said once, by the thread that called */
    return false;
}

/* ---- LU with partial pivoting ---- */

/* Columns [from, end) of the panel's rows and those below it. */
static void factor_panel(blocked *f, int64_t from, int64_t end) {
    hx_int rows = (hx_int)(f->rows - from), columns = (hx_int)(end - from), ld = (hx_int)spaced(rows, f->t->size), info;
    turn(f->panel, ld, entry(f, from, from), f->pitch, rows, columns, f->t->size);
    f->t->lapack->getrf[f->t->type](&rows, &columns, f->panel, &ld, f->pivots + from, &info);
    turn(entry(f, from, from), f->pitch, f->panel, ld, columns, rows, f->t->size);
    if (info && !f->info) f->info = info + (hx_int)from;
    for (int64_t i = from; i < least(end, f->rows); i++) f->pivots[i] += (hx_int)from;
}

/* The exchanges of rows [first, last), in columns [from, end). */
static void exchange_within(const blocked *f, int64_t first, int64_t last, int64_t from, int64_t end) {
    char held[WIDE_SHARE * sizeof(double)];
    for (int64_t j = from; j < end; j += WIDE_SHARE) {
        size_t bytes = (size_t)(least(WIDE_SHARE, end - j) * f->t->size);
        for (int64_t i = first; i < last; i++) {
            char *row = entry(f, i, j), *other = entry(f, f->pivots[i] - 1, j);
            if (row == other) continue;
            memcpy(held, row, bytes);
            memcpy(row, other, bytes);
            memcpy(other, held, bytes);
        }
    }
}

/* What the panel at hand does to columns [from, end). */
static void apply_panel(blocked *f, int64_t from, int64_t end) {
    const task *t = f->t;
    const int64_t below = least(f->at + f->step, f->next), depth = below - f->at;
    hx_int m = (hx_int)(end - from), k = (hx_int)depth, ld = (hx_int)f->pitch;
    char one[16];
    one_element(one, t->type, 1);
    exchange_within(f, f->at, below, from, end);
    t->lapack->trsm[t->type]("R", "U", "N", "U", &m, &k, one, entry(f, f->at, f->at), &ld, entry(f, f->at, from), &ld, 1, 1, 1, 1);
    if (!take_off(t, f->rows - below, end - from, depth, entry(f, below, f->at), f->pitch, entry(f, f->at, from), f->pitch, 1,
                  entry(f, below, from), f->pitch))
        atomic_store(&f->failed, true);
}

/* Share 0 is the next panel, which is factored as soon as it is up to date. */
static void lu_share(void *ctx, int64_t share) {
    blocked *f = ctx;
    const int64_t below = f->at + f->step, side = least(f->rows, f->columns);
    if (share > 0 || below >= side) {
        int64_t from = f->next + (share - (below < side)) * f->share;
        apply_panel(f, from, least(from + f->share, f->columns));
        return;
    }
    apply_panel(f, below, f->next);
    factor_panel(f, below, f->next);
}

static void exchange_left(void *ctx, int64_t panel) {
    blocked *f = ctx;
    int64_t end = (panel + 1) * f->step;
    exchange_within(f, end, least(f->rows, f->columns), panel * f->step, end);
}

/* What a panel needs. */
static int64_t panel_room(const task *t) {
    return slots((int64_t)spaced(t->m, t->size) * panel_of(least(t->m, t->n)), t->size);
}

/* And a copy whose rows lie apart, where those of the matrix would fall into the same sets of a cache. */
static int64_t lu_room(const task *t) {
    int64_t pitch = spaced(t->n, t->size);
    return panel_room(t) + (pitch == t->n ? 0 : slots(t->m * pitch, t->size));
}

static hx_int blocked_lu(const task *t, void *a, int64_t pitch, hx_int *pivots, char *panel, bool *failed) {
    const int64_t side = least(t->m, t->n);
    blocked f = {.t = t, .a = a, .rows = t->m, .columns = t->n, .pitch = pitch, .step = panel_of(side),
                 .share = share_of(side), .pivots = pivots, .panel = panel};
    factor_panel(&f, 0, f.step);
    for (f.at = 0; f.at < side; f.at += f.step) {
        int64_t below = least(f.at + f.step, side);
        f.next = least(below + f.step, side);
        if (below == side) f.next = side;
        int64_t shares = (below < side) + (f.columns - f.next + f.share - 1) / f.share;
        if (shares && !hx_parallel(shares, lu_share, &f)) return *failed = false, 0;
    }
    hx_parallel((side - 1) / f.step, exchange_left, &f);
    *failed = atomic_load(&f.failed);
    return f.info;
}

/* ---- Cholesky: A = L L^T; what lies above the diagonal is read by nobody and written by the products ---- */

static void factor_diagonal(blocked *f, int64_t from) {
    hx_int n = (hx_int)least(f->step, f->rows - from), ld = (hx_int)f->pitch, info = 0;
    f->t->lapack->potrf[f->t->type]("U", &n, entry(f, from, from), &ld, &info, 1);
    if (info) f->info = info + (hx_int)from;
}

/* Rows of the panel below the diagonal block. */
static void solve_share(void *ctx, int64_t share) {
    blocked *f = ctx;
    const task *t = f->t;
    int64_t from = f->at + f->step + share * f->share;
    hx_int rows = (hx_int)least(f->share, f->rows - from), k = (hx_int)f->step, ld = (hx_int)f->pitch;
    char one[16];
    one_element(one, t->type, 1);
    t->lapack->trsm[t->type]("L", "U", "T", "N", &k, &rows, one, entry(f, f->at, f->at), &ld, entry(f, from, f->at), &ld, 1, 1, 1, 1);
}

/* A block of rows up to its own diagonal; the first holds the next diagonal block. */
static void cholesky_share(void *ctx, int64_t share) {
    blocked *f = ctx;
    const int64_t below = f->at + f->step, last = (f->rows - below - 1) / f->share;
    const int64_t block = share ? last + 1 - share : 0; /* the longest after the first */
    int64_t from = below + block * f->share, end = least(from + f->share, f->rows);
    if (!take_off(f->t, end - from, end - below, f->step, entry(f, from, f->at), f->pitch, entry(f, below, f->at), 1, f->pitch,
                  entry(f, from, below), f->pitch))
        atomic_store(&f->failed, true);
    if (!block) factor_diagonal(f, below);
}

static hx_int blocked_cholesky(const task *t, void *a, bool *failed) {
    blocked f = {.t = t, .a = a, .rows = t->n, .columns = t->n, .pitch = t->n, .step = panel_of(t->n), .share = share_of(t->n)};
    factor_diagonal(&f, 0);
    for (; f.at + f.step < f.rows && !f.info; f.at += f.step) {
        int64_t shares = (f.rows - f.at - f.step - 1) / f.share + 1;
        if (!hx_parallel(shares, solve_share, &f) || !hx_parallel(shares, cholesky_share, &f)) return 0;
    }
    *failed = atomic_load(&f.failed);
    return f.info;
}

/* ---- what is solved with the factors ---- */

typedef struct solved {
    const task *t;
    const char *a; /* the matrix, or both factors */
    char *x;
    int64_t n, a_pitch, columns, x_pitch; /* pitch: from row to row */
    int64_t step, share;                  /* blocks of the diagonal, and columns that are solved together */
    hx_int *pivots;
    char *inverse;         /* where columns of the solution go, */
    const int64_t *order;  /* in this order */
    bool upper, unit;      /* of a single triangle */
    atomic_bool failed;    /* no memory for a product */
} solved;

static int64_t solved_shares(solved *s) {
    s->step = panel_of(s->n);
    s->share = 2 * s->step;
    return (s->columns - 1) / s->share + 1;
}

/* Rows [from, end) of the solution, and what they take off from rows [first, last). */
static void solve_block(solved *s, bool upper, bool unit, int64_t from, int64_t end, int64_t first, int64_t last, char *x,
                        hx_int columns) {
    const task *t = s->t;
    const int64_t size = t->size;
    hx_int deep = (hx_int)(end - from), ld = (hx_int)s->x_pitch, step = (hx_int)s->a_pitch;
    char one[16], *rows = x + from * s->x_pitch * size;
    one_element(one, t->type, 1);
    t->lapack->trsm[t->type]("R", upper ? "L" : "U", "N", unit ? "U" : "N", &columns, &deep, one,
                             s->a + from * (s->a_pitch + 1) * size, &step, rows, &ld, 1, 1, 1, 1);
    if (!take_off(t, last - first, columns, deep, s->a + (first * s->a_pitch + from) * size, s->a_pitch, rows, s->x_pitch, 1,
                  x + first * s->x_pitch * size, s->x_pitch))
        atomic_store(&s->failed, true);
}

/* X = L^-1 X, or U^-1 X, in columns [from, end). Rows before `first` are zero and stay so. */
static void solve_lower(solved *s, bool unit, int64_t first, int64_t from, int64_t end) {
    for (int64_t i = first, below; i < s->n; i = below) {
        below = least(i + s->step, s->n);
        solve_block(s, false, unit, i, below, below, s->n, s->x + from * s->t->size, (hx_int)(end - from));
    }
}
static void solve_upper(solved *s, bool unit, int64_t from, int64_t end) {
    for (int64_t below = s->n, i; below > 0; below = i) {
        i = most(0, below - s->step);
        solve_block(s, true, unit, i, below, 0, i, s->x + from * s->t->size, (hx_int)(end - from));
    }
}

static void triangle_share(void *ctx, int64_t share) {
    solved *s = ctx;
    int64_t from = share * s->share, end = least(from + s->share, s->columns);
    if (s->upper) solve_upper(s, s->unit, from, end);
    else solve_lower(s, s->unit, 0, from, end);
}

/* T X = B, in the place of B. */
static bool blocked_triangular(const task *t, const void *a, void *x, int64_t n, int64_t columns, bool upper, bool unit) {
    solved s = {.t = t, .a = a, .x = x, .n = n, .a_pitch = n, .columns = columns, .x_pitch = columns, .upper = upper, .unit = unit};
    hx_parallel(solved_shares(&s), triangle_share, &s);
    return !atomic_load(&s.failed);
}

static void solved_share(void *ctx, int64_t share) {
    solved *s = ctx;
    int64_t from = share * s->share, end = least(from + s->share, s->columns);
    blocked rows = {.t = s->t, .a = s->x, .rows = s->n, .columns = s->columns, .pitch = s->x_pitch, .pivots = s->pivots};
    exchange_within(&rows, 0, s->n, from, end);
    solve_lower(s, true, 0, from, end);
    solve_upper(s, false, from, end);
}

/* Every column by itself, so that a batch may share the factors. */
static bool blocked_solve(const task *t, const void *lu, hx_int *pivots, void *x, int64_t columns) {
    solved s = {.t = t, .a = lu, .x = x, .n = t->n, .a_pitch = t->n, .columns = columns, .x_pitch = columns, .pivots = pivots};
    hx_parallel(solved_shares(&s), solved_share, &s);
    return !atomic_load(&s.failed);
}

/* Columns of L^-1 are zero above their own row. */
static void inverted_share(void *ctx, int64_t share) {
    solved *s = ctx;
    int64_t from = share * s->share, end = least(from + s->share, s->n), size = s->t->size;
    for (int64_t i = 0; i < s->n; i++) {
        memset(s->x + (i * s->x_pitch + from) * size, 0, (size_t)((end - from) * size));
        if (i >= from && i < end) one_element(s->x + (i * s->x_pitch + i) * size, s->t->type, 1);
    }
    solve_lower(s, true, from, from, end);
    solve_upper(s, false, from, end);
}

/* Row i of the result has column j of U^-1 L^-1 at order[j]. */
static void ordered_rows(void *ctx, int64_t begin, int64_t end) {
    const solved *s = ctx;
    for (int64_t i = begin; i < end; i++) {
        const char *row = s->x + i * s->x_pitch * s->t->size;
        char *to = s->inverse + i * s->n * s->t->size;
        if (s->t->type) for (int64_t j = 0; j < s->n; j++) ((double *)to)[s->order[j]] = ((const double *)row)[j];
        else for (int64_t j = 0; j < s->n; j++) ((float *)to)[s->order[j]] = ((const float *)row)[j];
    }
}

/* Scratch memory of an inverse: the factors, what is solved, the order of the rows, pivots. */
static int64_t matrix_room(const task *t) { return slots((int64_t)t->n * spaced(t->n, t->size), t->size); }
static int64_t inverse_room(const task *t) {
    return 2 * matrix_room(t) + slots(t->n, sizeof(int64_t)) + slots(t->n, sizeof(hx_int));
}

/* Rows lie apart as `spaced` says, so that those of a tile do not fall into the same sets of a cache. */
static hx_int blocked_inverse(const task *t, const char *a, char *inverse, char *scratch, bool *failed) {
    const int64_t n = t->n, size = t->size, pitch = spaced(n, size);
    char *x = scratch + matrix_room(t);
    int64_t *order = (int64_t *)(x + matrix_room(t));
    hx_int *pivots = (hx_int *)((char *)order + slots(n, sizeof(int64_t)));
    for (int64_t i = 0; i < n; i++) memcpy(scratch + i * pitch * size, a + i * n * size, (size_t)(n * size));
    hx_int info = blocked_lu(t, scratch, pitch, pivots, x, failed);
    if (info || *failed || hx_stopped()) return info;
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t i = 0; i < n; i++) {
        int64_t held = order[i];
        order[i] = order[pivots[i] - 1];
        order[pivots[i] - 1] = held;
    }
    solved s = {.t = t, .a = scratch, .a_pitch = pitch, .x = x, .x_pitch = pitch, .n = n, .columns = n, .order = order,
                .inverse = inverse};
    if (hx_parallel(solved_shares(&s), inverted_share, &s)) hx_parallel_range(n, 64, ordered_rows, &s);
    *failed = atomic_load(&s.failed);
    return 0;
}

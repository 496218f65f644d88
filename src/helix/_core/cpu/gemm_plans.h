/* Plans for operands that are multiplied where they lie, for cpu/gemm.c: small ones (direct) and few rows (skinny). */

/* ---- a problem: the arguments with complex numbers expanded and columns turned into rows ---- */

typedef struct problem {
    hx_gemm_args g;
    kind kind;
    int64_t m, n, k; /* of the real product */
    int64_t items;
    int64_t source, result; /* bytes of an element of A and B, of C */
} problem;

typedef struct item {
    const char *a, *b, *d;
    char *c;
    int64_t index;
} item;

static item item_at(const problem *x, int64_t index) {
    const hx_gemm_args *g = &x->g;
    item it = {.index = index};
    int64_t a = 0, b = 0, c = 0, d = 0;
    for (int i = g->batch_ndim - 1; i >= 0; i--) {
        int64_t at = index % g->batch_shape[i];
        index /= g->batch_shape[i];
        a += at * g->a_batch[i];
        if (g->b_batch) b += at * g->b_batch[i];
        c += at * g->c_batch[i];
        if (g->d_batch) d += at * g->d_batch[i];
    }
    it.a = (const char *)g->a + a * x->source;
    it.b = g->load_b ? NULL : (const char *)g->b + b * x->source;
    it.c = (char *)g->c + c * x->result;
    it.d = g->d ? (const char *)g->d + d * x->result : NULL;
    return it;
}

/* Where sums of rows from `row` and columns from `column` (of the real product) belong in C. It is filled in place: a
 * copy would be a wide load of what was just stored in parts, and wait for all stores before it. */
static ALWAYS_INLINE void place(tile_out *o, const problem *x, const item *it, int64_t row, int64_t column, int64_t columns) {
    const hx_gemm_args *g = &x->g;
    int64_t scale = x->kind.scale, size = x->result / scale;
    o->c = it->c + (row * g->c_row * scale + column) * size;
    o->c_row = g->c_row * scale;
    o->d = it->d ? it->d + (row * g->d_row * scale + column * g->d_col) * size : NULL;
    o->d_row = g->d_row * scale;
    o->d_col = g->d_col;
    o->columns = columns;
    o->alpha = g->alpha;
    o->beta = g->beta;
    o->scale = g->scale ? g->scale + column : NULL;
    o->less = g->less ? g->less + column : NULL;
    o->next = NULL;
    o->next_bytes = 0;
    o->later = NULL;
    o->later_row = 0;
    o->rows_stay = false;
}

static void activate(const hx_gemm_args *g, void *c, int64_t c_row, int64_t rows, int64_t columns) {
    const int64_t size = (int64_t)hx_dtype_size(g->out), step[2] = {size, size};
    for (int64_t i = 0; i < rows; i++) {
        char *row = (char *)c + i * c_row * size;
        g->activate((char *[]){row, row}, step, columns, g->activate_ctx);
    }
}

/* ---- the direct plan ---- */

typedef struct direct_plan {
    const problem *x;
    int64_t row_groups, group_rows;
} direct_plan;

static void direct_rows(const problem *x, const item *it, int64_t row, int64_t end) {
    const hx_gemm_args *g = &x->g;
    int64_t columns = x->kind.columns, size = x->source;
    _Alignas(64) char panel[DIRECT_DEPTH * TILE_VECTORS * HX_VECTOR_BYTES];
    bool by_row = !(g->a_row == 1 || x->m == 1);
    int64_t panels = ceil_div(end - row, TILE_ROWS), rows = (end - row) / panels, more = (end - row) % panels;
    tile_out o;
    for (int64_t j = 0; j < x->n; j += columns) {
        int64_t wide = least(columns, x->n - j), vectors = wide * 2 > columns ? 2 : 1;
        const char *b = it->b + j * g->b_col * size;
        int64_t b_step = g->b_row;
        if (g->b_col != 1 || wide * 2 != columns * vectors) {
            x->kind.pack_columns(panel, columns, b, g->b_row, g->b_col, x->k, wide);
            b = panel;
            b_step = columns;
        }
        for (int64_t q = 0, i = row; q < panels; q++) {
            int64_t high = rows + (q < more);
            place(&o, x, it, i, j, wide);
            x->kind.tiles[high - 1][by_row][vectors - 1](x->k, it->a + i * g->a_row * size,
                                                         by_row ? g->a_row : g->a_col, b, b_step, &o);
            if (g->activate) activate(g, o.c, o.c_row, high, wide);
            i += high;
        }
    }
}

static void direct_task(void *ctx, int64_t begin, int64_t end) {
    const direct_plan *p = ctx;
    for (int64_t t = begin; t < end; t++) {
        item it = item_at(p->x, t / p->row_groups);
        int64_t row = t % p->row_groups * p->group_rows;
        direct_rows(p->x, &it, row, least(row + p->group_rows, p->x->m));
    }
}

static bool direct_fits(const problem *x) {
    const hx_gemm_args *g = &x->g;
    return x->kind.native && !g->load_b && x->k <= DIRECT_DEPTH && (g->a_row == 1 || g->a_col == 1 || x->m == 1) &&
           (double)x->m * (double)x->n * (double)x->k <= DIRECT_WORK;
}

static void run_direct(const problem *x) {
    double work = (double)x->m * (double)x->n * (double)x->k;
    direct_plan p = {x, 1, x->m};
    if (work * (double)x->items <= 2 * TASK_WORK) {
        direct_task(&p, 0, x->items);
        return;
    }
    if (work >= 2 * TASK_WORK && x->items < 4 * hx_threads_get()) {
        int64_t groups = least((int64_t)(work / TASK_WORK), 2 * hx_threads_get());
        p.group_rows = ceil_div(ceil_div(x->m, TILE_ROWS), groups) * TILE_ROWS;
        p.row_groups = ceil_div(x->m, p.group_rows);
    }
    int64_t grain = most(1, (int64_t)(TASK_WORK * (double)p.row_groups / work));
    hx_parallel_range(x->items * p.row_groups, grain, direct_task, &p);
}

/* ---- the skinny plan ---- */

typedef struct skinny_plan {
    const problem *x;
    skinny_kernel kernel;
    char *rows;            /* A as sums, contiguous rows; NULL: A is used where it lies */
    int64_t blocks, width; /* columns are taken in `blocks` of `width` */
    int64_t b_step;
} skinny_plan;

static void skinny_rows(void *ctx, int64_t begin, int64_t end) {
    const skinny_plan *p = ctx;
    const problem *x = p->x;
    for (int64_t t = begin; t < end; t++) {
        item it = item_at(x, t);
        for (int64_t i = 0; i < x->m; i++)
            x->kind.lay_rows(p->rows + (t * x->m + i) * x->k * x->kind.row_bytes, x->k, it.a + i * x->g.a_row * x->source,
                             0, x->g.a_col, 1, x->k);
    }
}

static void skinny_task(void *ctx, int64_t t) {
    const skinny_plan *p = ctx;
    const problem *x = p->x;
    _Alignas(64) char sums[SKINNY_SUMS * sizeof(double)];
    item it = item_at(x, t / p->blocks);
    int64_t j = t % p->blocks * p->width, columns = least(p->width, x->n - j);
    const char *a = p->rows ? p->rows + it.index * x->m * x->k * x->kind.row_bytes : it.a;
    p->kernel(x->m, columns, x->k, a, p->rows ? x->k : x->g.a_row, it.b + j * x->g.b_col * x->source, p->b_step, sums,
              p->width);
    tile_out o;
    place(&o, x, &it, 0, j, columns);
    (x->kind.narrow ? x->kind.narrow : x->kind.finish_block)(sums, p->width, x->m, &o);
    if (x->g.activate) activate(&x->g, o.c, o.c_row, x->m, columns);
}

static bool skinny_fits(const problem *x) {
    const hx_gemm_args *g = &x->g;
    int64_t height = g->b_row != 1 ? x->kind.sweep_height : least(x->kind.dot_height, most(1, x->k / DOT_SHARE));
    if (!x->kind.dot || g->load_b || x->m > height) return false;
    if (g->b_row != 1 && (!x->kind.sweep || g->b_col != 1 || x->n < 16)) return false;
    return x->m <= 2 || x->n * x->k >= 1 << 15;
}

static hx_code run_skinny(const problem *x) {
    const hx_gemm_args *g = &x->g;
    bool dot = g->b_row == 1 || x->k == 1;
    skinny_plan p = {.x = x, .kernel = dot ? x->kind.dot : x->kind.sweep, .b_step = dot ? g->b_col : g->b_row};
    int64_t most_columns = SKINNY_SUMS / x->m / 16 * 16, threads = hx_threads_get();
    bool large = (double)x->m * (double)x->n * (double)x->k * (double)x->items > TASK_WORK;
    p.width = dot ? 64 : most_columns;
    if (large && !dot) p.width = least(p.width, most(64, ceil_div(x->n, 2 * threads * 16) * 16));
    p.blocks = ceil_div(x->n, p.width);
    int64_t nbytes = 0;
    if (!x->kind.native || g->a_col != 1) {
        nbytes = x->items * x->m * x->k * x->kind.row_bytes + x->kind.columns * x->kind.sum;
        p.rows = hx_pool_alloc((size_t)nbytes);
        if (!p.rows) return HX_E_MEMORY;
        hx_parallel_range(x->items, hx_grain(x->m * x->k * 4), skinny_rows, &p);
    }
    int64_t tasks = x->items * p.blocks;
    if (large) hx_parallel(tasks, skinny_task, &p);
    else for (int64_t t = 0; t < tasks; t++) skinny_task(&p, t);
    if (p.rows) hx_pool_free(p.rows, (size_t)nbytes);
    return HX_OK;
}

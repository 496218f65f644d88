/* Small real matrices of one element type, as many side by side as a register has lanes, so that a step of a
 * factorization is plain arithmetic on registers. Included by cpu/linalg.c once a type with SMALL_TYPE, SMALL_VECTOR,
 * SMALL_MASK (whole numbers as wide) and SMALL(name), which gives a name its ending.
 *
 * Element e of matrix l is lane l of x[e]. Lanes do not see one another, and those that are left over repeat the last
 * matrix, so that a matrix has the same bits in any batch. */

typedef SMALL_TYPE SMALL(t);
typedef SMALL_VECTOR SMALL(v);
typedef SMALL_MASK SMALL(m);
#define SMALL_WIDTH HX_LANES_OF(SMALL_TYPE)

static inline SMALL(v) SMALL(all)(SMALL(t) x) { return x - (SMALL(v)){0}; }
static inline SMALL(v) SMALL(pick)(SMALL(m) take, SMALL(v) yes, SMALL(v) no) {
    return (SMALL(v))(((SMALL(m))yes & take) | ((SMALL(m))no & ~take));
}
static inline SMALL(v) SMALL(size)(SMALL(v) x) { return SMALL(pick)(x < 0, -x, x); }

/* Matrices of `elements`, from memory where they lie one after another, and back. */
static void SMALL(read)(SMALL(v) *x, const SMALL(t) *from, int64_t lanes, int64_t elements) {
    for (int64_t l = 0; l < SMALL_WIDTH; l++) {
        const SMALL(t) *matrix = from + least(l, lanes - 1) * elements;
        SMALL(t) *lane = (SMALL(t) *)x + l;
        for (int64_t e = 0; e < elements; e++) lane[e * SMALL_WIDTH] = matrix[e];
    }
}
static void SMALL(write)(const SMALL(v) *x, SMALL(t) *to, int64_t lanes, int64_t elements) {
    for (int64_t l = 0; l < lanes; l++) {
        const SMALL(t) *lane = (const SMALL(t) *)x + l;
        for (int64_t e = 0; e < elements; e++) to[l * elements + e] = lane[e * SMALL_WIDTH];
    }
}

/* Row k changes places with the rows that `with` names, each lane with its own. */
static ALWAYS_INLINE void SMALL(exchange)(SMALL(v) *a, int64_t k, int64_t n, SMALL(v) with) {
    const SMALL(t) *row = (const SMALL(t) *)&with;
    uint64_t done = 1ull << k;
    for (int l = 0; l < SMALL_WIDTH; l++) {
        int64_t i = (int64_t)row[l];
        if (done >> i & 1) continue;
        done |= 1ull << i;
        SMALL(m) here = with == SMALL(all)((SMALL(t))i);
        for (int64_t j = 0; j < n; j++) {
            SMALL(v) low = a[i * n + j], high = a[k * n + j];
            a[i * n + j] = SMALL(pick)(here, high, low);
            a[k * n + j] = SMALL(pick)(here, low, high);
        }
    }
}

/* P A = L U in place, of m x n matrices. pivot[k]: the row that row k changed places with. info: 1 + the first k without a
 * pivot, or 0. */
static ALWAYS_INLINE void SMALL(factor_any)(const int64_t m, const int64_t n, SMALL(v) *a, SMALL(v) *pivot, SMALL(v) *info) {
    *info = (SMALL(v)){0};
    for (int64_t k = 0; k < least(m, n); k++) {
        SMALL(v) *top = a + k * n, best = SMALL(size)(top[k]), at = SMALL(all)((SMALL(t))k);
        for (int64_t i = k + 1; i < m; i++) {
            SMALL(v) x = SMALL(size)(a[i * n + k]);
            SMALL(m) larger = x > best;
            best = SMALL(pick)(larger, x, best);
            at = SMALL(pick)(larger, SMALL(all)((SMALL(t))i), at);
        }
        pivot[k] = at;
        SMALL(exchange)(a, k, n, at);
        SMALL(m) none = top[k] == 0;
        *info = SMALL(pick)(none & (*info == 0), SMALL(all)((SMALL(t))(k + 1)), *info);
        for (int64_t i = k + 1; i < m; i++) {
            SMALL(v) *row = a + i * n, factor = row[k] = SMALL(pick)(none, row[k], row[k] / top[k]);
            for (int64_t j = k + 1; j < n; j++) row[j] -= factor * top[j];
        }
    }
}

/* x = U^-1 L^-1 x, x with c columns. */
static ALWAYS_INLINE void SMALL(divide_any)(const int64_t n, const int64_t c, const SMALL(v) *lu, SMALL(v) *x) {
    for (int64_t i = 1; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            for (int64_t q = 0; q < c; q++) x[i * c + q] -= lu[i * n + j] * x[j * c + q];
    for (int64_t i = n - 1; i >= 0; i--)
        for (int64_t q = 0; q < c; q++) {
            SMALL(v) sum = x[i * c + q];
            for (int64_t j = i + 1; j < n; j++) sum -= lu[i * n + j] * x[j * c + q];
            x[i * c + q] = sum / lu[i * n + i];
        }
}

/* x = U^-1 L^-1. */
static ALWAYS_INLINE void SMALL(invert_any)(const int64_t n, const SMALL(v) *lu, SMALL(v) *x) {
    for (int64_t i = 0; i < n; i++) {
        for (int64_t q = 0; q < n; q++) x[i * n + q] = SMALL(all)(q == i);
        for (int64_t j = 0; j < i; j++)
            for (int64_t q = 0; q <= j; q++) x[i * n + q] -= lu[i * n + j] * x[j * n + q];
    }
    for (int64_t i = n - 1; i >= 0; i--) {
        SMALL(v) *row = x + i * n, by = 1 / lu[i * n + i];
        for (int64_t j = i + 1; j < n; j++)
            for (int64_t q = 0; q < n; q++) row[q] -= lu[i * n + j] * x[j * n + q];
        for (int64_t q = 0; q < n; q++) row[q] *= by;
    }
}

/* L L^T = A, of what lies on and below the diagonal, in place. A lane stops at the first diagonal element that is not positive:
 * info is 1 + its index. */
static ALWAYS_INLINE void SMALL(root_any)(const int64_t n, SMALL(v) *a, SMALL(v) *info) {
    SMALL(m) alive = (SMALL(v)){0} == 0;
    *info = (SMALL(v)){0};
    for (int64_t j = 0; j < n; j++) {
        SMALL(v) *row = a + j * n, rest = row[j], root;
        for (int64_t k = 0; k < j; k++) rest -= row[k] * row[k];
        SMALL(m) goes = rest > 0;
        *info = SMALL(pick)(alive & ~goes, SMALL(all)((SMALL(t))(j + 1)), *info);
        row[j] = SMALL(pick)(alive, rest, row[j]);
        alive &= goes;
        for (int l = 0; l < SMALL_WIDTH; l++) root[l] = SMALL_ROOT(rest[l]);
        row[j] = SMALL(pick)(alive, root, row[j]);
        for (int64_t i = j + 1; i < n; i++) {
            SMALL(v) sum = a[i * n + j];
            for (int64_t k = 0; k < j; k++) sum -= a[i * n + k] * row[k];
            a[i * n + j] = SMALL(pick)(alive, sum / root, a[i * n + j]);
        }
    }
}

/* The same with the sizes that are met most known to the compiler. */
static void SMALL(factor)(int64_t m, int64_t n, SMALL(v) *a, SMALL(v) *pivot, SMALL(v) *info) {
    if (m == 2 && n == 2) SMALL(factor_any)(2, 2, a, pivot, info);
    else if (m == 3 && n == 3) SMALL(factor_any)(3, 3, a, pivot, info);
    else if (m == 4 && n == 4) SMALL(factor_any)(4, 4, a, pivot, info);
    else SMALL(factor_any)(m, n, a, pivot, info);
}
static void SMALL(divide)(int64_t n, int64_t c, const SMALL(v) *lu, SMALL(v) *x) {
    if (n == 2 && c == 1) SMALL(divide_any)(2, 1, lu, x);
    else if (n == 3 && c == 1) SMALL(divide_any)(3, 1, lu, x);
    else if (n == 4 && c == 1) SMALL(divide_any)(4, 1, lu, x);
    else SMALL(divide_any)(n, c, lu, x);
}
static void SMALL(invert)(int64_t n, const SMALL(v) *lu, SMALL(v) *x) {
    if (n == 2) SMALL(invert_any)(2, lu, x);
    else if (n == 3) SMALL(invert_any)(3, lu, x);
    else if (n == 4) SMALL(invert_any)(4, lu, x);
    else SMALL(invert_any)(n, lu, x);
}
static void SMALL(root)(int64_t n, SMALL(v) *a, SMALL(v) *info) {
    if (n == 2) SMALL(root_any)(2, a, info);
    else if (n == 3) SMALL(root_any)(3, a, info);
    else if (n == 4) SMALL(root_any)(4, a, info);
    else SMALL(root_any)(n, a, info);
}

/* ---- a register of matrices at a time ---- */

/* LU, pivots and info, which may be NULL, of matrices from `first` on; order[k * lanes + l]: the row of A that is row k
 * of L U. */
static void SMALL(lu)(const small *s, int64_t first, int64_t lanes, SMALL(v) *a, int32_t *order) {
    SMALL(v) pivot[SMALL_SIDE], info;
    const int64_t m = s->m, n = s->n, steps = least(m, n);
    SMALL(read)(a, (const SMALL(t) *)s->a + first * m * n, lanes, m * n);
    SMALL(factor)(m, n, a, pivot, &info);
    if (s->lu) SMALL(write)(a, (SMALL(t) *)s->lu + first * m * n, lanes, m * n);
    for (int64_t l = 0; l < lanes; l++) {
        s->info[first + l] = (int32_t)info[l];
        for (int64_t k = 0; s->pivots && k < steps; k++) s->pivots[(first + l) * steps + k] = (int32_t)pivot[k][l] + 1;
        if (!order) continue;
        for (int64_t k = 0; k < n; k++) order[k * SMALL_WIDTH + l] = (int32_t)k;
        for (int64_t k = 0; k < n; k++) {
            int32_t *with = order + (int64_t)pivot[k][l] * SMALL_WIDTH + l, held = *with;
            *with = order[k * SMALL_WIDTH + l];
            order[k * SMALL_WIDTH + l] = held;
        }
    }
}

static void SMALL(solve)(const small *s, int64_t first, int64_t lanes, SMALL(v) *a, SMALL(v) *x, int32_t *order) {
    const int64_t n = s->n, c = s->columns;
    SMALL(lu)(s, first, lanes, a, order);
    for (int64_t l = 0; l < SMALL_WIDTH; l++) {
        const SMALL(t) *from = (const SMALL(t) *)s->b + (first + least(l, lanes - 1)) * n * c;
        const int32_t *row = order + least(l, lanes - 1);
        for (int64_t i = 0; i < n; i++)
            for (int64_t q = 0; q < c; q++) ((SMALL(t) *)(x + i * c + q))[l] = from[row[i * SMALL_WIDTH] * c + q];
    }
    SMALL(divide)(n, c, a, x);
    SMALL(write)(x, (SMALL(t) *)s->x + first * n * c, lanes, n * c);
}

static void SMALL(inverse)(const small *s, int64_t first, int64_t lanes, SMALL(v) *a, SMALL(v) *x, int32_t *order) {
    const int64_t n = s->n;
    SMALL(lu)(s, first, lanes, a, order);
    SMALL(invert)(n, a, x);
    for (int64_t l = 0; l < lanes; l++) {
        SMALL(t) *to = (SMALL(t) *)s->x + (first + l) * n * n;
        for (int64_t i = 0; i < n; i++)
            for (int64_t k = 0; k < n; k++) to[i * n + order[k * SMALL_WIDTH + l]] = ((const SMALL(t) *)(x + i * n + k))[l];
    }
}

static void SMALL(cholesky)(const small *s, int64_t first, int64_t lanes, SMALL(v) *a) {
    const int64_t n = s->n;
    SMALL(v) info;
    SMALL(read)(a, (const SMALL(t) *)s->a + first * n * n, lanes, n * n);
    for (int64_t i = 0; s->upper && i < n; i++)
        for (int64_t j = 0; j < i; j++) a[i * n + j] = a[j * n + i];
    SMALL(root)(n, a, &info);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++) {
            if (s->upper) a[i * n + j] = a[j * n + i];
            a[s->upper ? j * n + i : i * n + j] = (SMALL(v)){0};
        }
    SMALL(write)(a, (SMALL(t) *)s->x + first * n * n, lanes, n * n);
    for (int64_t l = 0; l < lanes; l++) s->info[first + l] = (int32_t)info[l];
}

/* Groups of a register's lanes. */
static void SMALL(range)(void *ctx, int64_t begin, int64_t end) {
    small *s = ctx;
    const int64_t m = s->m, n = s->n, elements = m * n + n * most(n, s->columns);
    size_t bytes = (size_t)elements * sizeof(SMALL(v)) + (size_t)n * SMALL_WIDTH * sizeof(int32_t);
    SMALL(v) *a = hx_pool_alloc(bytes), *x = a + m * n;
    if (!a) {
        hx_error_clear(); /* said once, by the thread that called */
        atomic_store(&s->failed, true);
        return;
    }
    int32_t *order = (int32_t *)(a + elements);
    for (int64_t group = begin; group < end; group++) {
        int64_t first = group * SMALL_WIDTH, lanes = least(SMALL_WIDTH, s->count - first);
        if (s->what == SMALL_LU) SMALL(lu)(s, first, lanes, a, NULL);
        else if (s->what == SMALL_SOLVE) SMALL(solve)(s, first, lanes, a, x, order);
        else if (s->what == SMALL_INVERSE) SMALL(inverse)(s, first, lanes, a, x, order);
        else SMALL(cholesky)(s, first, lanes, a);
    }
    hx_pool_free(a, bytes);
}
#undef SMALL_WIDTH

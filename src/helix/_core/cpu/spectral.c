/* Eigenvalues, singular values, least squares and the exponential of batches of matrices, through LAPACK.
 *
 * `info` is 0 for a matrix whose result stands, -1 for one with NaN or infinities, else what LAPACK says. */
#include "batches.h"
#include "blocks.h"

enum { NOT_FINITE = -1 };

#define ALL_FINITE(T)                                                                                         \
    for (int64_t i = 0; i < n; i++) finite &= ((const T *)values)[i] - ((const T *)values)[i] == 0
static bool all_finite(const void *values, int64_t elements, int type) {
    int64_t n = type < 2 ? elements : 2 * elements;
    bool finite = true;
    if (type % 2) ALL_FINITE(double);
    else ALL_FINITE(float);
    return finite;
}

static void no_info(const hx_view *info) {
    for (int64_t i = 0; i < info->numel; i++) ((hx_int *)info->data)[i] = 0;
}

/* ---- Hermitian matrices ---- */

static void call_eigh(const task *t, const char *jobz, char *a, void *w, char *work, char *rwork, hx_int *iwork, hx_int *info) {
    if (t->type < 2)
        t->lapack->syevd[t->type](jobz, &t->option, &t->n, a, &t->n, w, work, &t->lwork, iwork, &t->liwork, info, 1, 1);
    else
        t->lapack->heevd[t->type](jobz, &t->option, &t->n, a, &t->n, w, work, &t->lwork, rwork, &t->lrwork, iwork, &t->liwork,
                                  info, 1, 1);
}

static void one_eigh(const task *t, int64_t i, char *scratch) {
    int64_t n = t->n;
    const void *a = item(&t->call->in[0], i, n * n);
    hx_int *info = item(&t->call->out[2], i, 1);
    void *w = item(&t->call->out[0], i, n);
    char *work = scratch + slots(n * n, t->size), *rwork = work + slots(t->lwork, t->size);
    if (!all_finite(a, n * n, t->type)) {
        *info = NOT_FINITE;
        return;
    }
    turn(scratch, n, a, n, n, n, t->size);
    call_eigh(t, t->option2 ? "V" : "N", scratch, w, work, rwork, (hx_int *)(rwork + slots(t->lrwork, t->size)), info);
    if (t->option2) turn(item(&t->call->out[1], i, n * n), n, scratch, n, n, n, t->size);
}

/* attr: upper, vectors. Out: values, vectors, info */
HX_KERNEL(k_eigh) {
    HX_UNUSED;
    task t;
    hx_code code = begin_task(&t, call, err);
    if (code) return code;
    no_info(&call->out[2]);
    if (!call->in[0].numel) return HX_OK;
    char answer[16], real_answer[16] = {0}, none[16];
    double n = t.n;
    hx_int count = 0, info;
    t.option = call->attr[0].v.i ? 'U' : 'L';
    t.option2 = (char)call->attr[1].v.i;
    t.one = one_eigh;
    t.lwork = t.lrwork = t.liwork = -1;
    call_eigh(&t, t.option2 ? "V" : "N", none, none, answer, real_answer, &count, &info);
    t.liwork = count;
    if (!workspace(t.type, answer, &t.lwork) || !workspace(t.type % 2, real_answer, &t.lrwork)) return too_large(&t, err);
    t.room = slots((int64_t)t.n * t.n, t.size) + slots(t.lwork, t.size) + slots(t.lrwork, t.size) + slots(t.liwork, 4);
    return run_task(&t, call->out[2].numel, 9 * n * n * n, err);
}

/* ---- general matrices ---- */

/* Real eigenvectors as LAPACK packs them: a conjugate pair is two columns, the real and the imaginary part. */
#define UNPACK(T)                                                                                             \
    do {                                                                                                      \
        const T *re = real, *im = imaginary, *from = packed;                                                  \
        T *w = values, *to = vectors;                                                                         \
        for (int64_t j = 0; j < n; j++) w[2 * j] = re[j], w[2 * j + 1] = im[j];                               \
        for (int64_t j = 0; to && j < n; j++)                                                                 \
            for (int64_t i = 0; i < n; i++) {                                                                 \
                bool first = im[j] > 0, second = im[j] < 0;                                                   \
                to[2 * (i * n + j)] = from[(second ? j - 1 : j) * n + i];                                     \
                to[2 * (i * n + j) + 1] = first ? from[(j + 1) * n + i] : second ? -from[j * n + i] : 0;      \
            }                                                                                                 \
    } while (0)
static void unpack(int type, int64_t n, const void *real, const void *imaginary, const void *packed, void *values, void *vectors) {
    if (type) UNPACK(double);
    else UNPACK(float);
}

/* The scratch memory of eig: matrix, vectors, values (real and imaginary parts apart), workspaces. */
static void one_eig(const task *t, int64_t i, char *scratch) {
    int64_t n = t->n;
    const hx_op_call *call = t->call;
    const void *a = item(&call->in[0], i, n * n);
    hx_int *info = item(&call->out[2], i, 1);
    const char *job = t->option ? "V" : "N";
    void *values = item(&call->out[0], i, n), *vectors = t->option ? item(&call->out[1], i, n * n) : NULL;
    char *packed = scratch + slots(n * n, t->size), *re = packed + slots(n * n, t->size), *im = re + slots(n, t->size),
         *work = im + slots(n, t->size);
    if (!all_finite(a, n * n, t->type)) {
        *info = NOT_FINITE;
        return;
    }
    turn(scratch, n, a, n, n, n, t->size);
    if (t->type < 2) {
        t->lapack->geev_real[t->type]("N", job, &t->n, scratch, &t->n, re, im, NULL, &t->n, packed, &t->n, work, &t->lwork, info,
                                      1, 1);
        unpack(t->type, n, re, im, packed, values, vectors);
        return;
    }
    t->lapack->geev[t->type]("N", job, &t->n, scratch, &t->n, values, NULL, &t->n, packed, &t->n, work, &t->lwork, re, info, 1, 1);
    if (vectors) turn(vectors, n, packed, n, n, n, t->size);
}

/* attr: vectors. Out: values, vectors, info */
HX_KERNEL(k_eig) {
    HX_UNUSED;
    task t;
    hx_code code = begin_task(&t, call, err);
    if (code) return code;
    no_info(&call->out[2]);
    if (!call->in[0].numel) return HX_OK;
    char answer[16], none[16];
    double n = t.n;
    hx_int ask = -1, info;
    t.option = (char)call->attr[0].v.i;
    t.one = one_eig;
    const char *job = t.option ? "V" : "N";
    if (t.type < 2)
        t.lapack->geev_real[t.type]("N", job, &t.n, none, &t.n, none, none, none, &t.n, none, &t.n, answer, &ask, &info, 1, 1);
    else
        t.lapack->geev[t.type]("N", job, &t.n, none, &t.n, none, none, &t.n, none, &t.n, answer, &ask, none, &info, 1, 1);
    if (!workspace(t.type, answer, &t.lwork)) return too_large(&t, err);
    t.room = 2 * slots((int64_t)t.n * t.n, t.size) + 2 * slots(t.n, t.size) + slots(t.lwork, t.size);
    return run_task(&t, call->out[2].numel, 25 * n * n * n, err);
}

/* ---- singular values ---- */

/* A row-major matrix is A^T to LAPACK, whose U is our V^H and whose V^T is our U, both row-major as they are. */
typedef struct sides {
    void *s, *left, *right; /* LAPACK's */
    hx_int m, n, left_row, right_row;
    const char *job;
} sides;

static sides sides_of(const task *t, int64_t i) {
    const hx_view *u = &t->call->out[0], *vh = &t->call->out[2];
    int64_t k = least(t->m, t->n), wide = t->option == 'A' ? t->m : k, tall = t->option == 'A' ? t->n : k;
    bool none = t->option == 'N';
    return (sides){item(&t->call->out[1], i, k), none ? NULL : item(vh, i, tall * t->n), none ? NULL : item(u, i, t->m * wide),
                   t->n, t->m, t->n, none ? 1 : (hx_int)most(1, wide), &t->option};
}

static void call_gesdd(const task *t, const sides *d, void *a, char *work, const hx_int *lwork, char *rwork, hx_int *iwork,
                       hx_int *info) {
    if (t->type < 2)
        t->lapack->gesdd_real[t->type](d->job, &d->m, &d->n, a, &d->m, d->s, d->left, &d->left_row, d->right, &d->right_row, work,
                                       lwork, iwork, info, 1);
    else
        t->lapack->gesdd[t->type](d->job, &d->m, &d->n, a, &d->m, d->s, d->left, &d->left_row, d->right, &d->right_row, work,
                                  lwork, rwork, iwork, info, 1);
}

static void call_gesvd(const task *t, const sides *d, void *a, char *work, const hx_int *lwork, char *rwork, hx_int *info) {
    if (t->type < 2)
        t->lapack->gesvd_real[t->type](d->job, d->job, &d->m, &d->n, a, &d->m, d->s, d->left, &d->left_row, d->right,
                                       &d->right_row, work, lwork, info, 1, 1);
    else
        t->lapack->gesvd[t->type](d->job, d->job, &d->m, &d->n, a, &d->m, d->s, d->left, &d->left_row, d->right, &d->right_row,
                                  work, lwork, rwork, info, 1, 1);
}

/* Divide and conquer; where that does not converge, the QR iteration. */
static void one_svd(const task *t, int64_t i, char *scratch) {
    int64_t m = t->m, n = t->n;
    const void *a = item(&t->call->in[0], i, m * n);
    hx_int *info = item(&t->call->out[3], i, 1);
    char *work = scratch + slots(m * n, t->size), *rwork = work + slots(t->lwork, t->size),
         *iwork = rwork + slots(t->lrwork, t->size);
    if (!all_finite(a, m * n, t->type)) {
        *info = NOT_FINITE;
        return;
    }
    sides d = sides_of(t, i);
    memcpy(scratch, a, (size_t)(m * n * t->size));
    call_gesdd(t, &d, scratch, work, &t->lwork, rwork, (hx_int *)iwork, info);
    if (*info <= 0) return;
    memcpy(scratch, a, (size_t)(m * n * t->size));
    call_gesvd(t, &d, scratch, work, &t->lwork, rwork, info);
}

static void set_one(void *matrix, int64_t at, int type) {
    one_element((char *)matrix + at * (type < 2 ? 4 << type : 8 << (type - 2)), type, 1);
}

/* Full bases of a matrix without elements: identities. */
static void empty_bases(const task *t, const hx_view *v) {
    int64_t n = v->numel ? rows_of(v) : 0;
    memset(v->data, 0, (size_t)(v->numel * t->size));
    for (int64_t b = 0; n && b < v->numel / (n * n); b++)
        for (int64_t i = 0; i < n; i++) set_one(item(v, b, n * n), i * n + i, t->type);
}

/* attr: full_matrices, vectors. Out: U, S, Vh, info */
HX_KERNEL(k_svd) {
    HX_UNUSED;
    task t;
    hx_code code = begin_task(&t, call, err);
    if (code) return code;
    bool full = call->attr[0].v.i;
    no_info(&call->out[3]);
    t.option = !call->attr[1].v.i ? 'N' : full ? 'A' : 'S';
    if (!call->in[0].numel) {
        if (t.option == 'A' && call->out[0].numel) empty_bases(&t, &call->out[0]);
        if (t.option == 'A' && call->out[2].numel) empty_bases(&t, &call->out[2]);
        return HX_OK;
    }
    char answer[16], none[16];
    hx_int ask = -1, other, info;
    double less = (double)least(t.m, t.n), more = (double)most(t.m, t.n);
    double reals = most(5 * less * less + 7 * less, 2 * more * less + 2 * less * less + less);
    sides d = sides_of(&t, 0);
    t.one = one_svd;
    call_gesdd(&t, &d, none, answer, &ask, none, (hx_int *)none, &info);
    if (!workspace(t.type, answer, &t.lwork)) return too_large(&t, err);
    call_gesvd(&t, &d, none, answer, &ask, none, &info);
    if (!workspace(t.type, answer, &other) || (t.type >= 2 && reals > INT32_MAX)) return too_large(&t, err);
    t.lwork = (hx_int)most(t.lwork, other);
    t.lrwork = t.type < 2 ? 0 : (hx_int)reals;
    t.room = slots((int64_t)t.m * t.n, t.size) + slots(t.lwork, t.size) + slots(t.lrwork, t.size) + slots(8 * (int64_t)less, 4);
    return run_task(&t, call->out[3].numel, 8 * less * less * more, err);
}

/* ---- least squares ---- */

typedef enum { GELS, GELSY, GELSD, GELSS } driver;

typedef struct equations {
    void *a, *b, *s, *work, *rwork;
    hx_int *jpvt, *iwork;
    hx_int rows, columns, rank, info;
    char limit[16]; /* rcond */
} equations;

static void call_lstsq(const task *t, equations *e, const hx_int *lwork) {
    const hx_lapack *l = t->lapack;
    int type = t->type;
    bool real = type < 2;
#define SYSTEM &t->m, &t->n, &e->columns, e->a, &t->m, e->b, &e->rows
    switch ((driver)t->option) {
    case GELS: l->gels[type]("N", SYSTEM, e->work, lwork, &e->info, 1); break;
    case GELSY:
        if (real) l->gelsy_real[type](SYSTEM, e->jpvt, e->limit, &e->rank, e->work, lwork, &e->info);
        else l->gelsy[type](SYSTEM, e->jpvt, e->limit, &e->rank, e->work, lwork, e->rwork, &e->info);
        break;
    case GELSD:
        if (real) l->gelsd_real[type](SYSTEM, e->s, e->limit, &e->rank, e->work, lwork, e->iwork, &e->info);
        else l->gelsd[type](SYSTEM, e->s, e->limit, &e->rank, e->work, lwork, e->rwork, e->iwork, &e->info);
        break;
    case GELSS:
        if (real) l->gelss_real[type](SYSTEM, e->s, e->limit, &e->rank, e->work, lwork, &e->info);
        else l->gelss[type](SYSTEM, e->s, e->limit, &e->rank, e->work, lwork, e->rwork, &e->info);
    }
#undef SYSTEM
}

/* The scratch memory of a system. B has room for the solution, which may be longer. */
static equations equations_of(const task *t, char *scratch) {
    int64_t rows = most(t->m, t->n), less = least(t->m, t->n);
    equations e = {.rows = (hx_int)rows, .columns = t->k};
    char *at = scratch;
#define TAKE(field, bytes) (e.field = (void *)at, at += (bytes))
    TAKE(a, slots((int64_t)t->m * t->n, t->size));
    TAKE(b, slots(rows * t->k, t->size));
    TAKE(s, slots(less, t->size));
    TAKE(work, slots(t->lwork, t->size));
    TAKE(rwork, slots(t->lrwork, t->size));
    TAKE(jpvt, slots(t->n, 4));
    TAKE(iwork, slots(t->liwork, 4));
#undef TAKE
    one_element(e.limit, t->type % 2, t->number);
    return e;
}

static void one_lstsq(const task *t, int64_t i, char *scratch) {
    const hx_view *out = t->call->out;
    int64_t m = t->m, n = t->n, k = t->k, less = least(m, n);
    equations e = equations_of(t, scratch);
    const void *a = item(&t->call->in[0], i, m * n), *b = item(&t->call->in[1], i, m * k);
    hx_int *info = item(&out[3], i, 1);
    if (!all_finite(a, m * n, t->type) || !all_finite(b, m * k, t->type)) {
        *info = NOT_FINITE;
        return;
    }
    turn(e.a, m, a, n, m, n, t->size);
    turn(e.b, e.rows, b, k, m, k, t->size);
    memset(e.jpvt, 0, (size_t)n * sizeof *e.jpvt);
    call_lstsq(t, &e, &t->lwork);
    *info = e.info;
    *(int64_t *)item(&out[1], i, 1) = e.rank;
    if (t->option >= GELSD) memcpy(item(&out[2], i, less), e.s, (size_t)(less * (t->type % 2 ? 8 : 4)));
    turn(item(&out[0], i, n * k), k, e.b, e.rows, k, n, t->size);
}

static driver driver_of(const hx_attr *name) {
    static const char *const names[] = {"gels", "gelsy", "gelsd", "gelss"};
    int found = GELSY;
    for (int i = 0; i < 4; i++)
        if (name->count == strlen(names[i]) && !memcmp(name->v.str, names[i], name->count)) found = i;
    return (driver)found;
}

/* gelsd is the only one that says how large its other workspaces are. */
static hx_code plan_lstsq(task *t, hx_err *err) {
    char answer[16], reals[16] = {0}, none[16];
    hx_int ask = -1, ints = 1;
    equations e = {.a = none, .b = none, .s = none, .work = answer, .rwork = reals, .jpvt = (hx_int *)none, .iwork = &ints,
                   .rows = (hx_int)most(t->m, t->n), .columns = t->k};
    int64_t less = least(t->m, t->n);
    one_element(e.limit, t->type % 2, t->number);
    call_lstsq(t, &e, &ask);
    if (!workspace(t->type, answer, &t->lwork)) return too_large(t, err);
    if (t->option == GELSD) {
        t->liwork = ints;
        if (t->type >= 2 && !workspace(t->type, reals, &t->lrwork)) return too_large(t, err);
    } else if (t->type >= 2) {
        t->lrwork = (hx_int)(t->option == GELSS ? 5 * less : 2 * (int64_t)t->n);
    }
    t->room = slots((int64_t)t->m * t->n, t->size) + slots(e.rows * (int64_t)t->k, t->size) + slots(less, t->size) +
              slots(t->lwork, t->size) + slots(t->lrwork, t->size) + slots(t->n, 4) + slots(t->liwork, 4);
    return HX_OK;
}

/* A, B of one batch; attr: rcond, driver. Out: solution, rank, singular values, info */
HX_KERNEL(k_lstsq) {
    HX_UNUSED;
    task t;
    hx_code code = begin_task(&t, call, err);
    if (code) return code;
    const hx_view *out = call->out;
    no_info(&out[3]);
    if (!call->in[0].numel || !call->in[1].numel) {
        memset(out[0].data, 0, (size_t)(out[0].numel * t.size));
        memset(out[1].data, 0, (size_t)out[1].numel * 8);
        memset(out[2].data, 0, (size_t)out[2].numel * hx_dtype_size((hx_dtype)out[2].dtype));
        return HX_OK;
    }
    t.k = (hx_int)columns_of(&call->in[1]);
    t.number = call->attr[0].v.f;
    t.option = (char)driver_of(&call->attr[1]);
    t.one = one_lstsq;
    if (t.option < GELSD) memset(out[2].data, 0, (size_t)out[2].numel * hx_dtype_size((hx_dtype)out[2].dtype));
    if ((code = plan_lstsq(&t, err))) return code;
    double less = (double)least(t.m, t.n), more = (double)most(t.m, t.n);
    return run_task(&t, out[3].numel, 4 * less * less * more, err);
}

/* ---- the exponential ---- */

/* Scaling and squaring with Padé approximants: N. Higham, "The scaling and squaring method for the matrix exponential
 * revisited", SIAM J. Matrix Anal. Appl. 26 (2005), tables 2.3 (bounds of the norm) and equation 2.8 (coefficients).
 * exp(A^T) = exp(A)^T, so that the order of the elements in memory does not matter. */
typedef struct approximant {
    int degree;
    double bound;
    double b[14];
} approximant;

static const approximant of_double[] = {
    {3, 1.495585217958292e-2, {120, 60, 12, 1}},
    {5, 2.539398330063230e-1, {30240, 15120, 3360, 420, 30, 1}},
    {7, 9.504178996162932e-1, {17297280, 8648640, 1995840, 277200, 25200, 1512, 56, 1}},
    {9, 2.097847961257068e0,
     {17643225600, 8821612800, 2075673600, 302702400, 30270240, 2162160, 110880, 3960, 90, 1}},
    {13, 5.371920351148152e0,
     {64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600, 670442572800,
      33522128640, 1323241920, 40840800, 960960, 16380, 182, 1}},
};
static const approximant of_single[] = {
    {3, 4.258730016922831e-1, {120, 60, 12, 1}},
    {5, 1.880152677804762e0, {30240, 15120, 3360, 420, 30, 1}},
    {7, 3.925724783138660e0, {17297280, 8648640, 1995840, 277200, 25200, 1512, 56, 1}},
};

enum { POWERS = 4 }; /* A^2, A^4, A^6, A^8 */

typedef struct exponential {
    const task *t;
    int64_t n, reals;          /* of the matrix as real numbers */
    void *a, *power[POWERS], *u, *v, *held;
    hx_int *pivots;
} exponential;

/* to = x y */
static void multiply(const exponential *e, void *to, const void *x, const void *y) {
    const task *t = e->t;
    char one[16], zero[16];
    one_element(one, t->type, 1);
    one_element(zero, t->type, 0);
    t->lapack->gemm[t->type]("N", "N", &t->n, &t->n, &t->n, one, x, &t->n, y, &t->n, zero, to, &t->n, 1, 1);
}

/* to = factor[0] I + factor[2] A^2 + factor[4] A^4 + ..., or what was in `to` and the sum without I. */
#define COMBINE(T)                                                                                            \
    do {                                                                                                      \
        T *r = to;                                                                                            \
        int64_t step = e->reals / (e->n * e->n);                                                              \
        if (!more) memset(r, 0, (size_t)e->reals * sizeof *r);                                                \
        for (int p = 0; p < powers; p++) {                                                                    \
            const T *x = e->power[p];                                                                         \
            T f = (T)factor[2 * p + 2];                                                                       \
            for (int64_t i = 0; i < e->reals; i++) r[i] += f * x[i];                                          \
        }                                                                                                     \
        for (int64_t i = 0; i < e->n; i++) r[(i * e->n + i) * step] += (T)identity;                           \
    } while (0)
static void combine(const exponential *e, void *to, bool more, double identity, const double *factor, int powers) {
    if (e->t->type % 2) COMBINE(double);
    else COMBINE(float);
}

/* u and v become v + u and v - u. */
#define BUTTERFLY(T)                                                                                          \
    for (int64_t i = 0; i < e->reals; i++) {                                                                  \
        T u = ((T *)e->u)[i], v = ((T *)e->v)[i];                                                             \
        ((T *)e->u)[i] = v + u;                                                                               \
        ((T *)e->v)[i] = v - u;                                                                               \
    }
static void butterfly(const exponential *e) {
    if (e->t->type % 2) {
        BUTTERFLY(double)
    } else {
        BUTTERFLY(float)
    }
}

#define SCALE(T)                                                                                              \
    for (int64_t i = 0; i < e->reals; i++) ((T *)e->a)[i] *= (T)factor
static void scale(const exponential *e, double factor) {
    if (e->t->type % 2) SCALE(double);
    else SCALE(float);
}

/* The largest sum of |x| along a column. */
static double norm_of(const exponential *e) {
    double norm = 0;
    for (int64_t j = 0; j < e->n; j++) {
        double sum = 0;
        for (int64_t i = j * e->n; i < (j + 1) * e->n; i++) {
            const float *s = e->a;
            const double *d = e->a;
            switch (e->t->type) {
            case 0: sum += fabs((double)s[i]); break;
            case 1: sum += fabs(d[i]); break;
            case 2: sum += hypot((double)s[2 * i], (double)s[2 * i + 1]); break;
            default: sum += hypot(d[2 * i], d[2 * i + 1]);
            }
        }
        if (!(sum <= norm)) norm = sum;
    }
    return norm;
}

/* The odd part in u and the even part in v. Degree 13 takes powers up to 6 twice. */
static void odd_and_even(const exponential *e, const approximant *p) {
    int powers = p->degree == 13 ? 3 : p->degree / 2;
    for (int i = 0; i < powers; i++) multiply(e, e->power[i], i ? e->power[i - 1] : e->a, i ? e->power[0] : e->a);
    if (p->degree == 13) {
        combine(e, e->v, false, 0, p->b + 7, powers); /* b9 A^2 + b11 A^4 + b13 A^6 */
        multiply(e, e->held, e->power[2], e->v);
        combine(e, e->held, true, p->b[1], p->b + 1, powers);
        multiply(e, e->u, e->a, e->held);
        combine(e, e->held, false, 0, p->b + 6, powers); /* b8 A^2 + b10 A^4 + b12 A^6 */
        multiply(e, e->v, e->power[2], e->held);
        combine(e, e->v, true, p->b[0], p->b, powers);
        return;
    }
    combine(e, e->held, false, p->b[1], p->b + 1, powers);
    multiply(e, e->u, e->a, e->held);
    combine(e, e->v, false, p->b[0], p->b, powers);
}

/* Matrix i in `to`; half types as float32. */
static void take(const task *t, int64_t i, void *to) {
    const hx_view *a = &t->call->in[0];
    int64_t elements = (int64_t)t->n * t->n;
    const void *from = item(a, i, elements);
    if (HX_BIT(a->dtype) & HX_SET_HALF) hx_read_f32(from, a->dtype, 2, elements, to);
    else memcpy(to, from, (size_t)(elements * t->size));
}

static void give(const task *t, int64_t i, const void *from) {
    const hx_view *result = &t->call->out[0];
    int64_t elements = (int64_t)t->n * t->n;
    void *to = item(result, i, elements);
    if (HX_BIT(result->dtype) & HX_SET_HALF) hx_write_f32(to, result->dtype, 2, elements, from);
    else memcpy(to, from, (size_t)(elements * t->size));
}

static void one_exponential(const task *t, int64_t i, char *scratch) {
    int64_t n = t->n, step = slots(n * n, t->size);
    exponential e = {.t = t, .n = n, .reals = n * n * (t->type < 2 ? 1 : 2), .a = scratch, .u = scratch + step,
                     .v = scratch + 2 * step, .held = scratch + 3 * step, .pivots = (hx_int *)(scratch + (4 + POWERS) * step)};
    for (int p = 0; p < POWERS; p++) e.power[p] = scratch + (4 + p) * step;
    const approximant *list = t->type % 2 ? of_double : of_single, *best = list;
    int count = t->type % 2 ? sizeof of_double / sizeof *of_double : sizeof of_single / sizeof *of_single, squarings = 0;
    take(t, i, e.a);
    double norm = norm_of(&e);
    if (!(norm <= 1e300)) {
        for (int64_t j = 0; j < n * n; j++) one_element((char *)e.a + j * t->size, t->type, NAN);
        give(t, i, e.a);
        return;
    }
    while (best < list + count - 1 && norm > best->bound) best++;
    for (double left = norm; left > best->bound; left /= 2) squarings++;
    scale(&e, ldexp(1, -squarings));
    odd_and_even(&e, best);
    butterfly(&e);
    hx_int info;
    t->lapack->getrf[t->type](&t->n, &t->n, e.v, &t->n, e.pivots, &info);
    t->lapack->getrs[t->type]("N", &t->n, &t->n, e.v, &t->n, e.pivots, e.u, &t->n, &info, 1);
    void *now = e.u, *next = e.v;
    for (int s = 0; s < squarings; s++) {
        multiply(&e, next, now, now);
        void *swap = now;
        now = next;
        next = swap;
    }
    give(t, i, now);
}

HX_KERNEL(k_matrix_exp) {
    HX_UNUSED;
    task t;
    hx_code code = begin_task(&t, call, err);
    if (code || !call->out[0].numel) return code;
    double n = t.n;
    if (HX_BIT(call->in[0].dtype) & HX_SET_HALF) {
        t.type = hx_lapack_type(HX_F32);
        t.size = sizeof(float);
    }
    t.one = one_exponential;
    t.room = (4 + POWERS) * slots((int64_t)t.n * t.n, t.size) + slots(t.n, sizeof(hx_int));
    return run_task(&t, batch_of(&call->out[0], 2), 30 * n * n * n, err);
}

HX_KERNELS(spectral) = {KERNEL_CONTIGUOUS(eigh_base, k_eigh, HX_SET_LAPACK),
                        KERNEL_CONTIGUOUS(eig_base, k_eig, HX_SET_LAPACK),
                        KERNEL_CONTIGUOUS(svd_base, k_svd, HX_SET_LAPACK),
                        KERNEL_CONTIGUOUS(lstsq_base, k_lstsq, HX_SET_LAPACK),
                        KERNEL_CONTIGUOUS(matrix_exp, k_matrix_exp, HX_SET_LAPACK | HX_SET_HALF),
                        {0}};

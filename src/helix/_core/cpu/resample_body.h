/* Resizing for one type: T with registers V, and NAME(x) as the names of its functions. Included by resample.c. */

/* Of which points the places along an axis are made. Rows of `room` numbers, one row for each tap, in whole registers: at is
 * counted from the base of its register, or below 0 where a place has fewer taps than others. */
typedef struct NAME(table) {
    int64_t places, room, most, slots; /* slots: from the first point of a place to its last, at most */
    bool copies;                       /* every place is the point of its own number */
    int32_t *at, *count, *base, *reach, *taps; /* base, reach and taps a register; count a place */
    T *weight;
    void *block;
    size_t bytes;
} NAME(table);

static void NAME(clear)(NAME(table) *t, int n) {
    for (int i = 0; i < n; i++)
        if (t[i].block) hx_pool_free(t[i].block, t[i].bytes);
}

static bool NAME(make_room)(NAME(table) *t) {
    int64_t entries, bytes, blocks = t->room / HX_LANES_OF(T);
    if (!hx_mul_ok(t->room, t->most, &entries) || !hx_mul_ok(entries, (int64_t)(sizeof(T) + 4), &bytes)) return false;
    if (!hx_add_ok(bytes, (t->room + 3 * blocks) * 4, &bytes)) return false;
    t->bytes = (size_t)bytes;
    t->block = hx_pool_alloc(t->bytes);
    if (!t->block) return false;
    t->weight = t->block;
    t->at = (int32_t *)(t->weight + entries);
    t->count = t->at + entries;
    t->base = t->count + t->room;
    t->reach = t->base + blocks;
    t->taps = t->reach + blocks;
    memset(t->weight, 0, (size_t)entries * sizeof(T));
    memset(t->at, -1, (size_t)entries * 4);
    memset(t->count, 0, (size_t)t->room * 4);
    return true;
}

/* Where the points of each register begin, and whether they lie within one or two registers of the input's `size` points. */
static void NAME(find_reach)(NAME(table) *t, int64_t size) {
    enum { L = HX_LANES_OF(T) };
    for (int64_t b = 0; b < t->room / L; b++) {
        int64_t low = INT32_MAX, high = 0;
        t->taps[b] = 0;
        for (int64_t i = b * L; i < (b + 1) * L; i++) {
            if (t->count[i] > t->taps[b]) t->taps[b] = t->count[i];
            for (int64_t k = 0; k < t->count[i]; k++) {
                int64_t at = t->at[k * t->room + i];
                low = at < low ? at : low;
                high = at > high ? at : high;
            }
        }
        int64_t reach = high < low ? 1 : parts_of(high - low + 1, L);
        if (reach > REGISTERS || reach * L > size) reach = 0;
        t->reach[b] = (int32_t)reach;
        t->base[b] = reach ? (int32_t)at_most(low, size - reach * L) : 0;
        for (int64_t k = 0; k < t->taps[b]; k++)
            for (int64_t i = b * L; i < (b + 1) * L; i++)
                if (k < t->count[i]) t->at[k * t->room + i] -= t->base[b];
    }
}

static void NAME(find_slots)(NAME(table) *t) {
    t->slots = 1;
    t->copies = t->most == 1;
    for (int64_t i = 0; i < t->places; i++) {
        int32_t n = t->count[i];
        if (n) t->slots = t->slots > t->at[(n - 1) * t->room + i] - t->at[i] ? t->slots : t->at[(n - 1) * t->room + i] - t->at[i] + 1;
        t->copies = t->copies && n == 1 && t->at[i] == i && t->weight[i] == 1;
    }
}

static void NAME(fill)(const axis *a, int64_t o, const points *p, NAME(table) *t) {
    for (int64_t k = 0; k < p->n; k++) {
        int64_t place = a->adjoint ? p->at[k] : o;
        int64_t to = t->count[place]++ * t->room + place;
        t->at[to] = (int32_t)(a->adjoint ? o : p->at[k]);
        t->weight[to] = (T)p->weight[k];
    }
}

/* The most points that a place has; `received`: a number for each point of the input. */
static int64_t NAME(count_taps)(const axis *a, points *p, int32_t *received) {
    int64_t most = 1;
    memset(received, 0, (size_t)a->in * 4);
    for (int64_t o = 0; o < a->out; o++) {
        find_points(a, o, p);
        if (!a->adjoint && p->n > most) most = p->n;
        for (int64_t k = 0; k < p->n && a->adjoint; k++)
            if (++received[p->at[k]] > most) most = received[p->at[k]];
    }
    return most;
}

static bool NAME(build)(const axis *a, NAME(table) *t) {
    int64_t most = most_points(a);
    size_t bytes = (size_t)most * 12 + (size_t)a->in * 4;
    points p = {.weight = hx_pool_alloc(bytes)};
    if (!p.weight) return false;
    p.at = (int32_t *)(p.weight + most);
    t->places = a->adjoint ? a->in : a->out;
    t->room = parts_of(t->places, WIDEST) * WIDEST;
    t->most = NAME(count_taps)(a, &p, p.at + most);
    bool made = NAME(make_room)(t);
    for (int64_t o = 0; o < a->out && made; o++) {
        find_points(a, o, &p);
        NAME(fill)(a, o, &p, t);
    }
    if (made) {
        NAME(find_slots)(t);
        NAME(find_reach)(t, a->adjoint ? a->out : a->in);
        t->copies = t->copies && a->in == a->out;
    }
    hx_pool_free(p.weight, bytes);
    return made;
}

/* Three axes, the missing ones in front with one point. */
static bool NAME(tables_of)(const hx_op_call *call, bool adjoint, NAME(table) *t) {
    int n = call->in[0].ndim - 2;
    memset(t, 0, 3 * sizeof *t);
    for (int d = 0; d < 3; d++) {
        axis a = d < 3 - n ? (axis){.in = 1, .out = 1, .step = 1} : axis_of(call, d - (3 - n), adjoint);
        if (NAME(build)(&a, &t[d])) continue;
        NAME(clear)(t, d);
        return false;
    }
    return true;
}

/* ---- along a row ---- */

HX_ALWAYS V NAME(sum)(const NAME(table) *t, const T *from, int64_t x, int taps, int reach) {
    V sum = {0};
    for (int k = 0; k < taps; k++)
        sum += NAME(points)(from, t->at + k * t->room + x, reach) * LOAD(t->weight + k * t->room + x);
    return sum;
}
HX_ALWAYS V NAME(sum_by_taps)(const NAME(table) *t, const T *from, int64_t x, int taps, int reach) {
    if (taps == 2) return NAME(sum)(t, from, x, 2, reach);
    if (taps == 4) return NAME(sum)(t, from, x, 4, reach);
    return NAME(sum)(t, from, x, taps, reach);
}

/* A row made of another; `to` has room for whole registers. */
static void NAME(along)(const NAME(table) *t, const T *from, T *to) {
    enum { L = HX_LANES_OF(T) };
    for (int64_t x = 0, b = 0; x < t->places; x += L, b++) {
        const T *near = from + t->base[b];
        int reach = t->reach[b], taps = t->taps[b];
        STORE(to + x, reach == 1   ? NAME(sum_by_taps)(t, near, x, taps, 1)
                      : reach == 2 ? NAME(sum_by_taps)(t, near, x, taps, 2)
                                   : NAME(sum_by_taps)(t, near, x, taps, 0));
    }
}

/* ---- rows added up ---- */

HX_ALWAYS int64_t NAME(add_registers)(const T *const *row, const T *w, int n, T *to, int64_t x, int64_t width, int registers) {
    enum { L = HX_LANES_OF(T) };
    for (; x + registers * L <= width; x += registers * L) {
        V sum[4];
        for (int r = 0; r < registers; r++) sum[r] = LOAD(row[0] + x + r * L) * ALL(w[0]);
        for (int k = 1; k < n; k++)
            for (int r = 0; r < registers; r++) sum[r] += LOAD(row[k] + x + r * L) * ALL(w[k]);
        for (int r = 0; r < registers; r++) STORE(to + x + r * L, sum[r]);
    }
    return x;
}
HX_ALWAYS void NAME(add_n)(const T *const *row, const T *w, int n, T *to, int64_t width) {
    int64_t x = NAME(add_registers)(row, w, n, to, 0, width, 4);
    x = NAME(add_registers)(row, w, n, to, x, width, 1);
    for (; x < width; x++) {
        T sum = row[0][x] * w[0];
        for (int k = 1; k < n; k++) sum += row[k][x] * w[k];
        to[x] = sum;
    }
}
static void NAME(add_rows)(const T *const *row, const T *w, int n, T *to, int64_t width) {
    if (n == 0) memset(to, 0, (size_t)width * sizeof(T));
    else if (n == 1 && w[0] == 1) memcpy(to, row[0], (size_t)width * sizeof(T));
    else if (n == 2) NAME(add_n)(row, w, 2, to, width);
    else if (n == 4) NAME(add_n)(row, w, 4, to, width);
    else NAME(add_n)(row, w, n, to, width);
}

/* ---- planes ---- */

typedef struct NAME(pass) {
    const NAME(table) *down, *across;
    const char *in;
    char *out;
    hx_dtype from, to;
    int64_t planes, rows, width; /* of the input */
    int64_t band, bands, grain;  /* rows of the result that are made one after the other; tasks of a chunk */
    char *rooms;
    size_t room;                 /* bytes of work memory of a thread */
} NAME(pass);

/* A thread's work memory: rows that were resized along themselves, with their numbers. */
typedef struct NAME(desk) {
    const T **row;
    int64_t *held;
    T *weight, *rows, *wide_in, *wide_out;
} NAME(desk);

static int64_t NAME(wide_row)(const NAME(pass) *p) { return parts_of(p->across->places, WIDEST) * WIDEST; }

/* Is a row of the input read where it lies? */
static bool NAME(is_direct)(const NAME(pass) *p) { return p->across->copies && p->from == DTYPE; }

/* Lays the parts out from `room` on, where that is given; their bytes. */
static size_t NAME(lay_desk)(const NAME(pass) *p, char *room, NAME(desk) *d) {
    size_t at = 0;
    int64_t wide = NAME(wide_row)(p);
#define PART(field, n) d->field = room ? (void *)(room + at) : NULL, at += ((size_t)(n) * sizeof *d->field + 63) / 64 * 64
    PART(rows, NAME(is_direct)(p) ? 0 : p->down->slots * wide);
    PART(wide_in, p->from == DTYPE ? 0 : p->width);
    PART(wide_out, p->to == DTYPE ? 0 : wide);
    PART(weight, p->down->most);
    PART(row, p->down->most);
    PART(held, p->down->slots);
#undef PART
    return at;
}

static const T *NAME(row_of)(const NAME(pass) *p, NAME(desk) *d, int64_t plane, int64_t number) {
    const char *from = p->in + (plane * p->rows + number) * p->width * (int64_t)hx_dtype_size(p->from);
    if (NAME(is_direct)(p)) return (const T *)from;
    int64_t slot = number % p->down->slots;
    T *to = d->rows + slot * NAME(wide_row)(p);
    if (d->held[slot] == number) return to;
    d->held[slot] = number;
    if (p->across->copies) READ(from, p->from, p->width, to);
    else NAME(along)(p->across, READ(from, p->from, p->width, d->wide_in), to);
    return to;
}

static void NAME(make_band)(const NAME(pass) *p, NAME(desk) *d, int64_t plane, int64_t begin, int64_t end) {
    const NAME(table) *t = p->down;
    int64_t width = p->across->places, size = (int64_t)hx_dtype_size(p->to);
    memset(d->held, -1, (size_t)t->slots * sizeof *d->held);
    for (int64_t y = begin; y < end; y++) {
        char *to = p->out + (plane * t->places + y) * width * size;
        int32_t base = t->base[y / HX_LANES_OF(T)];
        for (int64_t k = 0; k < t->count[y]; k++) {
            d->row[k] = NAME(row_of)(p, d, plane, base + t->at[k * t->room + y]);
            d->weight[k] = t->weight[k * t->room + y];
        }
        T *made = p->to == DTYPE ? (T *)to : d->wide_out;
        NAME(add_rows)(d->row, d->weight, t->count[y], made, width);
        if (p->to != DTYPE) WRITE(to, p->to, width, made);
    }
}

static void NAME(make_bands)(void *ctx, int64_t chunk, int room) {
    const NAME(pass) *p = ctx;
    NAME(desk) d;
    NAME(lay_desk)(p, p->rooms + (size_t)room * p->room, &d);
    int64_t end = at_most((chunk + 1) * p->grain, p->planes * p->bands);
    for (int64_t task = chunk * p->grain; task < end; task++) {
        int64_t first = task % p->bands * p->band;
        NAME(make_band)(p, &d, task / p->bands, first, at_most(first + p->band, p->down->places));
    }
}

static bool NAME(run_pass)(NAME(pass) *p) {
    int64_t width = p->across->places, worth = 32768 / width + 1;
    p->band = p->across->copies || worth > 32 ? worth : 32;
    p->bands = parts_of(p->down->places, p->band);
    p->grain = worth / at_most(p->band, p->down->places) + 1;
    int64_t chunks = parts_of(p->planes * p->bands, p->grain), rooms = at_most(chunks, hx_threads_get()), bytes;
    NAME(desk) unused;
    if (!hx_mul_ok(p->down->slots, 2 * (int64_t)sizeof(T) * NAME(wide_row)(p), &bytes)) return false;
    p->room = NAME(lay_desk)(p, NULL, &unused);
    if (!hx_mul_ok((int64_t)p->room, rooms, &bytes)) return false;
    p->rooms = hx_pool_alloc((size_t)bytes);
    if (!p->rooms) return false;
    hx_parallel_rooms(chunks, (int)rooms, NAME(make_bands), p);
    hx_pool_free(p->rooms, (size_t)bytes);
    return true;
}

/* Planes, and then planes of volumes, or the other way round where depth shrinks. */
static bool NAME(run_passes)(const hx_view *x, const hx_view *y, const NAME(table) *t, int64_t images) {
    hx_dtype from = (hx_dtype)x->dtype, to = (hx_dtype)y->dtype;
    const int64_t *size = x->shape + 2 + (x->ndim == 5), *made = y->shape + 2 + (y->ndim == 5);
    int64_t deep = x->ndim == 5 ? x->shape[2] : 1, high = x->ndim > 3 ? size[0] : 1, wide = x->shape[x->ndim - 1];
    NAME(pass) plane = {&t[1], &t[2], x->data, y->data, from, to, images * deep, high, wide, .rooms = NULL};
    if (t[0].copies) return NAME(run_pass)(&plane);
    bool shrinks = t[0].places < deep;
    int64_t area = shrinks ? high * wide : made[0] * made[1], middle = shrinks ? t[0].places : deep, between;
    if (!hx_mul_ok(images * middle, area, &between) || !hx_mul_ok(between, (int64_t)sizeof(T), &between)) return false;
    char *room = hx_pool_alloc((size_t)between);
    if (!room) return false;
    NAME(table) flat = {.places = area, .copies = true};
    NAME(pass) volume = {&t[0], &flat, x->data, y->data, from, to, images, deep, area, .rooms = NULL};
    NAME(pass) *first = shrinks ? &volume : &plane, *second = shrinks ? &plane : &volume;
    plane.planes = images * middle;
    first->out = room;
    first->to = DTYPE;
    second->in = room;
    second->from = DTYPE;
    bool done = NAME(run_pass)(first) && NAME(run_pass)(second);
    hx_pool_free(room, (size_t)between);
    return done;
}

static bool NAME(run)(const hx_op_call *call, bool adjoint) {
    NAME(table) tables[3];
    int64_t images = call->in[0].shape[0] * call->in[0].shape[1];
    if (!images) return true;
    if (!NAME(tables_of)(call, adjoint, tables)) return false;
    bool done = NAME(run_passes)(&call->in[0], &call->out[0], tables, images);
    NAME(clear)(tables, 3);
    return done;
}

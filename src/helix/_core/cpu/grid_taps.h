/* Where points of a grid are read, and with what weights, for one type: T, with NAME(x) as the names of its functions. Included
 * by grid.c. All loops run over points, so that a compiler makes registers of them. */

/* What one axis has to say about points: up to 4 places (-1: outside, reads 0), weights, and their derivatives. */
typedef struct NAME(side) {
    int n;
    int32_t at[4][BLOCK];
    T weight[4][BLOCK], slope[4][BLOCK];
} NAME(side);

/* A block of points: for each tap, where every point reads, its weight, and the weight's derivatives by the axes, the last axis
 * first. Outside these are 0. */
typedef struct NAME(block) {
    int32_t at[MOST_TAPS][BLOCK];
    T weight[MOST_TAPS][BLOCK], slope[3][MOST_TAPS][BLOCK];
    NAME(side) side[3];
} NAME(block);

/* x within [low, high] mirrored at both ends, and the derivative. */
static void NAME(reflect)(T low, T high, int n, T *restrict x, T *restrict slope) {
    T span = high - low;
    for (int p = 0; p < n; p++) {
        T from = x[p] - low, away = from < 0 ? -from : from, turns = FLOOR(away / span), rest = away - turns * span;
        bool even = turns == 2 * FLOOR(turns / 2);
        x[p] = even ? low + rest : high - rest;
        slope[p] = (from < 0) == even ? -1 : 1;
    }
}

/* The last point of an axis; where that is no T, the T before it, so that every coordinate is one of a point. */
static T NAME(last_of)(int64_t size) {
    T last = (T)(size - 1);
    return (int64_t)last < size ? last : BELOW(last);
}

/* Coordinates brought into the image as the padding says, with the derivatives of that; NaN becomes 0. */
static void NAME(bring_inside)(const geometry *g, int64_t size, int n, T *restrict x, T *restrict slope) {
    T last = NAME(last_of)(size), half = g->align ? 0 : (T)0.5;
    for (int p = 0; p < n; p++) slope[p] = 1;
    if (g->outside == ZEROS) return;
    if (g->outside == REFLECTION && last + 2 * half > 0) NAME(reflect)(-half, last + half, n, x, slope);
    for (int p = 0; p < n; p++) {
        bool low = !(x[p] > 0), high = x[p] >= last;
        slope[p] = low || high ? 0 : slope[p];
        x[p] = low ? 0 : high ? last : x[p];
    }
}

static void NAME(find_places)(const T *restrict x, T shift, int64_t size, int n, int32_t *restrict at) {
    T last = NAME(last_of)(size);
    for (int p = 0; p < n; p++) {
        T place = x[p] + shift;
        at[p] = place >= 0 && place <= last ? (int32_t)place : -1;
    }
}

/* Keys' weights of the point at a distance below 1, and below 2, and the derivatives by the distance. */
static void NAME(weigh_cubic)(const T *restrict part, T stretch, int n, NAME(side) *s) {
    const T a = (T)-0.75;
    for (int i = 0; i < 2; i++)
        for (int p = 0; p < n; p++) {
            T f = i ? 2 - part[p] : 1 + part[p], m = i ? 1 - part[p] : part[p], sign = i ? -stretch : stretch;
            s->weight[3 * i][p] = ((a * f - 5 * a) * f + 8 * a) * f - 4 * a;
            s->slope[3 * i][p] = sign * ((3 * a * f - 10 * a) * f + 8 * a);
            s->weight[1 + i][p] = ((a + 2) * m - (a + 3)) * m * m + 1;
            s->slope[1 + i][p] = sign * (3 * (a + 2) * m - 2 * (a + 3)) * m;
        }
}

static void NAME(find_cubic)(const geometry *g, const T *x, T stretch, int64_t size, int n, NAME(side) *s) {
    T first[BLOCK], part[BLOCK], at[BLOCK], unused[BLOCK];
    s->n = 4;
    for (int p = 0; p < n; p++) {
        first[p] = FLOOR(x[p]);
        part[p] = x[p] - first[p];
    }
    NAME(weigh_cubic)(part, stretch, n, s);
    for (int k = 0; k < 4; k++) {
        for (int p = 0; p < n; p++) at[p] = first[p] + (T)(k - 1);
        NAME(bring_inside)(g, size, n, at, unused);
        NAME(find_places)(at, 0, size, n, s->at[k]);
    }
}

/* The taps along an axis of `size` points, from every step-th number of the grid. */
static void NAME(find_side)(const geometry *g, const T *numbers, int step, int64_t size, int n, NAME(side) *s) {
    T stretch = (g->align ? (T)(size - 1) : (T)size) / 2, half = g->align ? 0 : (T)0.5, x[BLOCK], slope[BLOCK];
    for (int p = 0; p < n; p++) x[p] = (numbers[p * step] + 1) * stretch - half;
    if (g->mode == BICUBIC) {
        NAME(find_cubic)(g, x, stretch, size, n, s);
        return;
    }
    NAME(bring_inside)(g, size, n, x, slope);
    s->n = g->mode == NEAREST ? 1 : 2;
    if (g->mode == NEAREST) {
        for (int p = 0; p < n; p++) {
            x[p] = ROUND(x[p]);
            s->weight[0][p] = 1;
            s->slope[0][p] = 0;
        }
    } else {
        for (int p = 0; p < n; p++) {
            T first = FLOOR(x[p]), part = x[p] - first;
            x[p] = first;
            s->weight[0][p] = 1 - part;
            s->weight[1][p] = part;
            s->slope[0][p] = -slope[p] * stretch;
            s->slope[1][p] = slope[p] * stretch;
        }
    }
    for (int k = 0; k < s->n; k++) NAME(find_places)(x, (T)k, size, n, s->at[k]);
}

static void NAME(join_sides)(const geometry *g, const NAME(side) *s, const int *k, int n, int tap, NAME(block) *b, bool slopes) {
    int32_t rows = (int32_t)g->size[g->axes - 2], columns = (int32_t)g->size[g->axes - 1];
    const int32_t *z = s[0].at[k[0]], *y = s[1].at[k[1]], *x = s[2].at[k[2]];
    const T *wz = s[0].weight[k[0]], *wy = s[1].weight[k[1]], *wx = s[2].weight[k[2]];
    const T *sz = s[0].slope[k[0]], *sy = s[1].slope[k[1]], *sx = s[2].slope[k[2]];
    _Pragma("GCC ivdep") for (int p = 0; p < n; p++) {
        bool seen = (z[p] | y[p] | x[p]) >= 0;
        b->at[tap][p] = seen ? (z[p] * rows + y[p]) * columns + x[p] : -1;
        b->weight[tap][p] = seen ? wz[p] * wy[p] * wx[p] : 0;
    }
    if (!slopes) return;
    _Pragma("GCC ivdep") for (int p = 0; p < n; p++) {
        bool seen = b->at[tap][p] >= 0;
        b->slope[0][tap][p] = seen ? wz[p] * wy[p] * sx[p] : 0;
        b->slope[1][tap][p] = seen ? wz[p] * sy[p] * wx[p] : 0;
        b->slope[2][tap][p] = seen ? sz[p] * wy[p] * wx[p] : 0;
    }
}

/* The taps of points [begin, begin + n) of an image; with `slopes` their derivatives too. */
static void NAME(fill)(const geometry *g, const T *grid, int64_t begin, int n, NAME(block) *b, bool slopes) {
    NAME(side) *s = b->side;
    if (g->axes == 2) {
        s[0].n = 1;
        for (int p = 0; p < n; p++) {
            s[0].at[0][p] = 0;
            s[0].weight[0][p] = 1;
            s[0].slope[0][p] = 0;
        }
    }
    for (int d = 0; d < g->axes; d++)
        NAME(find_side)(g, grid + begin * g->axes + g->axes - 1 - d, g->axes, g->size[d], n, &s[3 - g->axes + d]);
    int tap = 0;
    for (int i = 0; i < s[0].n; i++)
        for (int j = 0; j < s[1].n; j++)
            for (int k = 0; k < s[2].n; k++, tap++) NAME(join_sides)(g, s, (int[]){i, j, k}, n, tap, b, slopes);
}

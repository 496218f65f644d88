/* einsum: sums of products written with index letters, lowered to views, sums and matrix products.
 *
 * Every axis of every operand carries a label: a letter (0 to 51), or a place among the axes that "..." stands for.
 * Operands are first brought to distinct labels (diagonals), then contracted pair by pair, the pair that shrinks the
 * data most first, and the last one is permuted to the output's order. */
#include <string.h>
#include "rules.h"

enum { LETTERS = 52, LABELS = LETTERS + HX_MAX_RANK, MAX_OPERANDS = 32 };

typedef struct term {
    hx_tensor *t;
    int n;                       /* axes */
    uint8_t label[HX_MAX_RANK];
} term;

typedef struct sum_of_products {
    int n, n_out;
    term term[MAX_OPERANDS];
    uint8_t out[HX_MAX_RANK];
    int64_t size[LABELS];
    const char *equation;
    int length;
} sum_of_products;

/* ---- reading the equation ---- */

static hx_status unclear(const sum_of_products *x, const char *what) {
    return hx_fail_about(FACTS("equation", .got = hx_text("%.*s", x->length, x->equation)), HX_E_VALUE, HX1403_VALUE,
                         "%s in equation '%.*s'. Write operands as letters with commas between them, '...' for "
                   "further axes, and the result after '->', as in 'bij,bjk->bik'.", what, x->length, x->equation);
}

static int label_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    return -1;
}
static char letter_of(int label) { return (char)(label < 26 ? 'A' + label : 'a' + label - 26); }

/* Letters of one operand or of the output, up to a comma, "->" or the end. `dots` is where "..." stands, or -1. */
static hx_status read_letters(const sum_of_products *x, const char **at, uint8_t *labels, int *n, int *dots) {
    const char *end = x->equation + x->length, *c = *at;
    *n = 0;
    *dots = -1;
    for (; c < end && *c != ',' && *c != '-'; c++) {
        if (*c == ' ') continue;
        if (*c == '.') {
            if (end - c < 3 || c[1] != '.' || c[2] != '.') return unclear(x, "a dot that is not part of '...'");
            if (*dots >= 0) return unclear(x, "'...' stands twice in one operand");
            *dots = *n;
            c += 2;
            continue;
        }
        if (label_of(*c) < 0) return unclear(x, "a character that is no letter");
        if (*n == HX_MAX_RANK) return unclear(x, "too many letters for one operand");
        labels[(*n)++] = (uint8_t)label_of(*c);
    }
    *at = c;
    return HX_OK;
}

static hx_status put_size(sum_of_products *x, int operand, int axis, int label) {
    int64_t size = x->term[operand].t->shape[axis], *known = &x->size[label];
    if (*known < 0 || *known == 1) *known = size;
    if (size == *known || size == 1) return HX_OK;
    char name[2] = {label < LETTERS ? letter_of(label) : '.', 0};
    return hx_fail_about(FACTS("operands", hx_text("%lld", (long long)*known), hx_text("%lld", (long long)size), true, axis),
                         HX_E_SHAPE, HX1002_INNER,
                         "index '%s' of '%.*s' has size %lld in operand %d (axis %d of %s), and %lld in an operand before it",
                         label < LETTERS ? name : "...", x->length, x->equation, (long long)size, operand, axis,
                   hx_shape_text(x->term[operand].t->shape, x->term[operand].t->ndim), (long long)*known);
}

/* Gives every axis of an operand its label; `wide` is the largest number of axes that "..." stands for. */
static hx_status label_axes(sum_of_products *x, int i, const uint8_t *letters, int n, int dots, int wide) {
    term *e = &x->term[i];
    int rest = e->t->ndim - n;
    for (int d = 0; d < e->t->ndim; d++) {
        bool in_dots = dots >= 0 && d >= dots && d < dots + rest;
        e->label[d] = in_dots ? (uint8_t)(LETTERS + wide - rest + d - dots) : letters[dots >= 0 && d >= dots + rest ? d - rest : d];
        HX_TRY(put_size(x, i, d, e->label[d]));
    }
    e->n = e->t->ndim;
    return HX_OK;
}

static bool put_out(sum_of_products *x, int label) {
    for (int i = 0; i < x->n_out; i++)
        if (x->out[i] == label) return false;
    if (x->n_out == HX_MAX_RANK) return false;
    x->out[x->n_out++] = (uint8_t)label;
    return true;
}

/* Without "->": "..." first, then the letters that stand once, in order. */
static hx_status implied_output(sum_of_products *x, int wide) {
    int count[LABELS] = {0};
    for (int i = 0; i < x->n; i++)
        for (int d = 0; d < x->term[i].n; d++) count[x->term[i].label[d]]++;
    for (int l = 0; l < wide; l++)
        if (!put_out(x, LETTERS + l)) return unclear(x, "too many axes in the result");
    for (int l = 0; l < LETTERS; l++)
        if (count[l] == 1 && !put_out(x, l)) return unclear(x, "too many axes in the result");
    return HX_OK;
}

static hx_status read_output(sum_of_products *x, const char *at, int wide) {
    uint8_t letters[HX_MAX_RANK];
    int n, dots;
    HX_TRY(read_letters(x, &at, letters, &n, &dots));
    if (at != x->equation + x->length) return unclear(x, "something stands after the result");
    for (int i = 0; i <= n; i++) {
        if (i == dots)
            for (int l = 0; l < wide; l++)
                if (!put_out(x, LETTERS + l)) return unclear(x, "too many axes in the result");
        if (i == n) break;
        if (x->size[letters[i]] < 0) return unclear(x, "the result has a letter that no operand has");
        if (!put_out(x, letters[i])) return unclear(x, "a letter stands twice in the result");
    }
    return HX_OK;
}

static hx_status read_equation(sum_of_products *x, const hx_call *c) {
    uint8_t letters[MAX_OPERANDS][HX_MAX_RANK];
    int n[MAX_OPERANDS], dots[MAX_OPERANDS], wide = 0;
    const char *at = x->equation, *end = at + x->length;
    for (int i = 0;; i++) {
        if (i == c->list_n)
            return hx_fail(HX_E_TYPE, HX1103_ARGUMENT, "equation '%.*s' names more operands than the %d that were given", x->length,
                           x->equation, c->list_n);
        HX_TRY(read_letters(x, &at, letters[i], &n[i], &dots[i]));
        hx_tensor *t = c->in[c->list_at + i];
        int rest = t->ndim - n[i];
        if (dots[i] < 0 ? rest != 0 : rest < 0)
            return hx_fail_about(FACTS("operands", hx_text("%d", n[i]), hx_text("%d", t->ndim)), HX_E_SHAPE, HX1001_RANK,
                           "operand %d has shape %s, and '%.*s' names %d axes for it%s", i,
                           hx_shape_text(t->shape, t->ndim), x->length, x->equation, n[i], dots[i] < 0 ? "" : " beside '...'");
        if (dots[i] >= 0 && rest > wide) wide = rest;
        x->term[x->n++].t = t;
        if (at == end || *at == '-') break;
        at++;
    }
    if (x->n != c->list_n)
        return hx_fail(HX_E_TYPE, HX1103_ARGUMENT, "equation '%.*s' names %d operands, got %d", x->length, x->equation, x->n, c->list_n);
    for (int i = 0; i < x->n; i++) HX_TRY(label_axes(x, i, letters[i], n[i], dots[i], wide));
    if (at == end) return implied_output(x, wide);
    if (end - at < 2 || at[1] != '>') return unclear(x, "a '-' without '>'");
    return read_output(x, at + 2, wide);
}

/* ---- operands ---- */

static int axis_of(const term *e, int label) {
    for (int d = 0; d < e->n; d++)
        if (e->label[d] == label) return d;
    return -1;
}
static void drop_axis(term *e, int axis) {
    memmove(e->label + axis, e->label + axis + 1, (size_t)(--e->n - axis));
}

/* Is the label wanted by the result or by an operand other than the two given? */
static bool wanted(const sum_of_products *x, int label, int but, int and_but) {
    for (int i = 0; i < x->n_out; i++)
        if (x->out[i] == label) return true;
    for (int i = 0; i < x->n; i++)
        if (i != but && i != and_but && axis_of(&x->term[i], label) >= 0) return true;
    return false;
}

/* A letter that stands twice in one operand: its diagonal. */
static void take_diagonals(term *e) {
    for (int d = 0; d < e->n; d++)
        for (int f = d + 1; f < e->n; f++) {
            if (e->label[f] != e->label[d]) continue;
            int label = e->label[d];
            e->t = CALL(diagonal, e->t, 0, d, f);
            drop_axis(e, f);
            drop_axis(e, d);
            e->label[e->n++] = (uint8_t)label;
            d = -1;
            break;
        }
}

/* Axes of size 1 whose index is longer elsewhere go; axes that nobody wants are summed. */
static void trim(sum_of_products *x, int i) {
    term *e = &x->term[i];
    int64_t axes[HX_MAX_RANK];
    int n = 0;
    for (int d = e->n - 1; d >= 0; d--)
        if (e->t && e->t->shape[d] == 1 && x->size[e->label[d]] != 1) {
            e->t = CALL(squeeze, e->t, d);
            drop_axis(e, d);
        }
    for (int d = e->n - 1; d >= 0; d--)
        if (!wanted(x, e->label[d], i, i)) {
            axes[n++] = d;
            drop_axis(e, d);
        }
    if (n && e->t) e->t = CALL(sum, e->t, ((hx_ints){axes, n}), false, e->t->dtype);
}

/* ---- pairs ---- */

typedef struct groups {
    uint8_t batch[HX_MAX_RANK], left[HX_MAX_RANK], right[HX_MAX_RANK], inner[HX_MAX_RANK];
    int n_batch, n_left, n_right, n_inner;
} groups;

static groups group(const sum_of_products *x, int i, int j) {
    const term *a = &x->term[i], *b = &x->term[j];
    groups g = {.n_batch = 0};
    for (int d = 0; d < a->n; d++) {
        uint8_t l = a->label[d];
        if (axis_of(b, l) < 0) g.left[g.n_left++] = l;
        else if (wanted(x, l, i, j)) g.batch[g.n_batch++] = l;
        else g.inner[g.n_inner++] = l;
    }
    for (int d = 0; d < b->n; d++)
        if (axis_of(a, b->label[d]) < 0) g.right[g.n_right++] = b->label[d];
    return g;
}

static double volume(const sum_of_products *x, const uint8_t *labels, int n) {
    double v = 1;
    for (int i = 0; i < n; i++) v *= (double)x->size[labels[i]];
    return v;
}

/* What a contraction adds to the data that is held. */
static double growth(const sum_of_products *x, int i, int j) {
    groups g = group(x, i, j);
    return volume(x, g.batch, g.n_batch) * volume(x, g.left, g.n_left) * volume(x, g.right, g.n_right) -
           volume(x, x->term[i].label, x->term[i].n) - volume(x, x->term[j].label, x->term[j].n);
}

/* Axes in the given order of labels. */
static hx_tensor *ordered(const term *e, const uint8_t *labels, int n) {
    int64_t axes[HX_MAX_RANK];
    bool same = true;
    for (int d = 0; d < n; d++) {
        axes[d] = axis_of(e, labels[d]);
        same = same && axes[d] == d;
    }
    return same ? e->t : CALL(permute, e->t, ((hx_ints){axes, n}));
}

static int append(uint8_t *to, int n, const uint8_t *labels, int count) {
    memcpy(to + n, labels, (size_t)count);
    return n + count;
}

static int64_t product(const sum_of_products *x, const uint8_t *labels, int n) {
    int64_t v = 1;
    for (int i = 0; i < n; i++) v *= x->size[labels[i]];
    return v;
}

/* Axes in the order batch, first, second, each group merged into one axis; no batch axis when there is no batch. */
static hx_tensor *as_matrix(const sum_of_products *x, const term *e, const groups *g, const uint8_t *first, int n_first,
                            const uint8_t *second, int n_second) {
    uint8_t order[2 * HX_MAX_RANK];
    int n = append(order, 0, g->batch, g->n_batch);
    n = append(order, n, first, n_first);
    n = append(order, n, second, n_second);
    int64_t shape[3] = {product(x, g->batch, g->n_batch), product(x, first, n_first), product(x, second, n_second)};
    int skip = g->n_batch == 0;
    return CALL(reshape, ordered(e, order, n), ((hx_ints){shape + skip, 3 - skip}));
}

/* Without a common index that is summed: axes lined up, and multiplied. */
static hx_tensor *multiplied(const term *a, const term *b, const groups *g) {
    uint8_t order[2 * HX_MAX_RANK];
    int n = append(order, append(order, 0, g->batch, g->n_batch), g->left, g->n_left);
    hx_tensor *l = ordered(a, order, n);
    for (int i = 0; i < g->n_right; i++) l = CALL(unsqueeze, l, -1);
    n = append(order, append(order, 0, g->batch, g->n_batch), g->right, g->n_right);
    hx_tensor *r = ordered(b, order, n);
    for (int i = 0; i < g->n_left; i++) r = CALL(unsqueeze, r, g->n_batch);
    return CALL(mul, l, r);
}

static hx_status contract(sum_of_products *x, int i, int j) {
    term *a = &x->term[i], *b = &x->term[j], joined = {.n = 0};
    groups g = group(x, i, j);
    if (g.n_batch + g.n_left + g.n_right > HX_MAX_RANK) return unclear(x, "a product of two operands would have too many axes");
    joined.n = append(joined.label, 0, g.batch, g.n_batch);
    joined.n = append(joined.label, joined.n, g.left, g.n_left);
    joined.n = append(joined.label, joined.n, g.right, g.n_right);
    if (!g.n_inner) {
        joined.t = multiplied(a, b, &g);
    } else {
        int64_t shape[HX_MAX_RANK];
        for (int d = 0; d < joined.n; d++) shape[d] = x->size[joined.label[d]];
        hx_tensor *l = as_matrix(x, a, &g, g.left, g.n_left, g.inner, g.n_inner);
        hx_tensor *r = as_matrix(x, b, &g, g.inner, g.n_inner, g.right, g.n_right);
        joined.t = CALL(reshape, CALL(matmul, l, r), ((hx_ints){shape, joined.n}));
    }
    *a = joined;
    *b = x->term[--x->n];
    return joined.t ? HX_OK : hx_error_last()->code;
}

static hx_status einsum_parts(hx_call *c) {
    sum_of_products x = {.equation = c->attr[0].v.str, .length = (int)c->attr[0].count};
    if (c->list_n == 0 || c->list_n > MAX_OPERANDS)
        return hx_fail(HX_E_TYPE, HX1103_ARGUMENT, "takes 1 to %d operands, got %d", MAX_OPERANDS, c->list_n);
    for (int l = 0; l < LABELS; l++) x.size[l] = -1;
    HX_TRY(read_equation(&x, c));
    for (int i = 0; i < x.n; i++) take_diagonals(&x.term[i]);
    if (hx_error_pending()) return hx_error_last()->code;
    for (int i = 0; i < x.n; i++) trim(&x, i);
    while (x.n > 1 && !hx_error_pending()) {
        int best_i = 0, best_j = 1;
        double best = growth(&x, 0, 1);
        for (int i = 0; i < x.n; i++)
            for (int j = i + 1; j < x.n; j++) {
                double now = growth(&x, i, j);
                if (now < best) best = now, best_i = i, best_j = j;
            }
        HX_TRY(contract(&x, best_i, best_j));
    }
    hx_tensor *t = hx_error_pending() ? NULL : ordered(&x.term[0], x.out, x.n_out);
    RESULT(0, t == c->in[c->list_at] ? CALL(clone, t) : t);
    return HX_OK;
}

const hx_op hx_ops_einsum[] = {
    {.name = "einsum", .decompose = einsum_parts, .flags = HX_FUNCTION,
     .params = PARAMS(STRING("equation", NULL, NULL, .required = true), TENSORS("operands")),
     .doc = "Sums of products, written with one letter an axis (Einstein's convention).\n\n"
            "'ij,jk->ik' is a matrix product: letters of the result stay, all others are summed. A letter that stands twice in\n"
            "one operand takes its diagonal; '...' stands for further axes, which are stretched to one another. Without '->'\n"
            "the result has '...' and the letters that stand once, in alphabetical order, capitals first.\n"
            "More than two operands are contracted pair by pair, the pair that shrinks the data most first.\n"
            "Raises ValueError (HX1403) for an equation that cannot be read, ShapeError (HX1001, HX1002) for operands that\n"
            "do not fit it.\n\n"
            "Example:\n    >>> helix.einsum('ij,j->i', helix.tensor([[1, 2], [3, 4]]), helix.tensor([1, 1])).tolist()\n    [3, 7]"},
    {0}};

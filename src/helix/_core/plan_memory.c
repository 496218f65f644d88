/* Offsets of blocks that live for some steps, in one piece of memory: one after the other, each into the smallest gap between
 * those that live at the same time. The order is what counts: by size, by size and life, by time; and where none of these
 * reaches what must live at one time, blocks are moved ahead for as long as that is worth its time. */
#include <stdlib.h>
#include <string.h>
#include "plan.h"
#include "shape.h"

enum { ALIGNMENT = 64, WORK = 1 << 22 /* comparisons, for further orders */ };

typedef struct block {
    int64_t bytes, offset;
    int32_t first, last, number;
} block;

static int by_size(const void *a, const void *b) {
    const block *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->number - y->number;
}

static int by_life(const void *a, const void *b) {
    const block *x = a, *y = b;
    double left = (double)x->bytes * (x->last - x->first + 1), right = (double)y->bytes * (y->last - y->first + 1);
    if (left != right) return left < right ? 1 : -1;
    return x->number - y->number;
}

static int by_time(const void *a, const void *b) {
    const block *x = a, *y = b;
    if (x->first != y->first) return x->first - y->first;
    return x->bytes < y->bytes ? 1 : x->bytes > y->bytes ? -1 : x->number - y->number;
}

/* Those placed so far, by offset. */
typedef struct placed {
    const block **at;
    int n;
} placed;

static int64_t end_of(const block *b) { return b->offset + b->bytes; }

static int64_t smallest_gap(const placed *p, const block *b) {
    int64_t free_from = 0, best = -1, best_gap = INT64_MAX;
    for (int i = 0; i < p->n; i++) {
        const block *other = p->at[i];
        if (other->last < b->first || other->first > b->last) continue;
        int64_t gap = other->offset - free_from;
        if (gap >= b->bytes && gap < best_gap) {
            best = free_from;
            best_gap = gap;
        }
        if (end_of(other) > free_from) free_from = end_of(other);
    }
    return best < 0 ? free_from : best;
}

static void enter(placed *p, const block *b) {
    int i = p->n++;
    for (; i > 0 && p->at[i - 1]->offset > b->offset; i--) p->at[i] = p->at[i - 1];
    p->at[i] = b;
}

static int64_t place_all(block *blocks, int n, const block **room) {
    placed p = {room, 0};
    int64_t whole = 0;
    for (int i = 0; i < n; i++) {
        blocks[i].offset = smallest_gap(&p, &blocks[i]);
        enter(&p, &blocks[i]);
        if (end_of(&blocks[i]) > whole) whole = end_of(&blocks[i]);
    }
    return whole;
}

/* The most bytes that live at one step: no arrangement needs less. */
static int64_t bound_of(const block *blocks, int n) {
    int64_t most = 0;
    for (int i = 0; i < n; i++) { /* it is reached where some block begins */
        int64_t live = 0;
        for (int k = 0; k < n; k++)
            if (blocks[k].first <= blocks[i].first && blocks[i].first <= blocks[k].last) live += blocks[k].bytes;
        if (live > most) most = live;
    }
    return most;
}

/* Blocks of whole cache lines, of which no sum overflows. */
static bool fill(block *blocks, int n, const int64_t *bytes, const int32_t *first, const int32_t *last) {
    int64_t sum = 0, rounded;
    for (int i = 0; i < n; i++) {
        if (!hx_add_ok(bytes[i], ALIGNMENT - 1, &rounded)) return false;
        rounded -= rounded % ALIGNMENT;
        if (!hx_add_ok(sum, rounded, &sum)) return false;
        blocks[i] = (block){rounded, 0, first[i], last[i], i};
    }
    return true;
}

static void keep_offsets(const block *blocks, int n, int64_t *offset) {
    for (int i = 0; i < n; i++) offset[blocks[i].number] = blocks[i].offset;
}

static void move_ahead(block *blocks, int from, int to) {
    block moved = blocks[from];
    memmove(blocks + to + 1, blocks + to, (size_t)(from - to) * sizeof *blocks);
    blocks[to] = moved;
}

static void move_back(block *blocks, int from, int to) {
    block moved = blocks[to];
    memmove(blocks + to, blocks + to + 1, (size_t)(from - to) * sizeof *blocks);
    blocks[from] = moved;
}

/* Moves one block ahead in the order, and keeps what is no worse; always in the same way. */
static int64_t improve(block *blocks, int n, const block **room, int64_t best, int64_t bound, int64_t *offset) {
    uint64_t random = 1;
    for (int64_t left = WORK, each = (int64_t)n * n / 2 + 64; n > 1 && best > bound && left > 0; left -= each) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        int from = 1 + (int)((random >> 33) % (uint64_t)(n - 1)), to = (int)((random >> 13) % (uint64_t)from);
        move_ahead(blocks, from, to);
        int64_t whole = place_all(blocks, n, room);
        if (whole > best)
            move_back(blocks, from, to);
        else
            keep_offsets(blocks, n, offset);
        if (whole < best) best = whole;
    }
    return best;
}

static int64_t arrange(block *blocks, int n, const block **room, int64_t *offset) {
    static int (*const orders[])(const void *, const void *) = {by_size, by_life, by_time};
    int64_t bound = bound_of(blocks, n), best = INT64_MAX;
    int way_taken = 0;
    for (int way = 0; way < 3 && best > bound; way++) {
        qsort(blocks, (size_t)n, sizeof *blocks, orders[way]);
        int64_t whole = place_all(blocks, n, room);
        if (whole >= best) continue;
        best = whole;
        way_taken = way;
        keep_offsets(blocks, n, offset);
    }
    if (best > bound) {
        qsort(blocks, (size_t)n, sizeof *blocks, orders[way_taken]);
        best = improve(blocks, n, room, best, bound, offset);
    }
    return n ? best : 0;
}

int64_t hx_plan_offsets(int n, const int64_t *bytes, const int32_t *first, const int32_t *last, int64_t *offset) {
    size_t count = (size_t)n + 1, each = sizeof(block) + sizeof(block *);
    block *blocks = hx_alloc(count * each);
    if (!blocks) return -1;
    int64_t whole = -1;
    if (fill(blocks, n, bytes, first, last))
        whole = arrange(blocks, n, (const block **)(void *)(blocks + count), offset);
    else
        hx_fail(HX_E_OVERFLOW, HX1401_OVERFLOW, "the values of a plan do not fit in 64 bits of bytes");
    hx_free(blocks, count * each);
    return whole;
}

/* Checked size arithmetic, broadcasting, views, and the corner values that must not wrap. */
#include "shape.h"
#include "check.h"

#define SHAPE(...) ((const int64_t[]){__VA_ARGS__}), COUNT_OF(((const int64_t[]){__VA_ARGS__}))
#define LIST(...) ((const int64_t[]){__VA_ARGS__})

static void test_numel(void) {
    int64_t n = -1;
    CHECK_INT(hx_numel(NULL, 0, &n), HX_OK);
    CHECK_INT(n, 1);
    CHECK_INT(hx_numel(SHAPE(2, 3, 4), &n), HX_OK);
    CHECK_INT(n, 24);
    CHECK_INT(hx_numel(SHAPE(1ll << 62, 0, 1ll << 62), &n), HX_OK);
    CHECK_INT(n, 0);
    CHECK_INT(hx_numel(SHAPE(INT64_MAX), &n), HX_OK);
    CHECK_INT(n, INT64_MAX);
    CHECK_FAILS(hx_numel(SHAPE(2147483648, 4294967296), &n), HX_E_OVERFLOW, 1401, "(2147483648, 4294967296)");
    CHECK_FAILS(hx_numel(SHAPE(1ll << 32, 1ll << 32, 1ll << 32), &n), HX_E_OVERFLOW, 1401, "64 bits");
    CHECK_FAILS(hx_numel(SHAPE(2, -1), &n), HX_E_SHAPE, 1403, "-1 at axis 1");
    CHECK_FAILS(hx_numel(SHAPE(0, INT64_MIN), &n), HX_E_SHAPE, 1403, "negative");
}

static void test_row_major(void) {
    int64_t s[4];
    hx_row_major(SHAPE(2, 3, 4), s);
    CHECK(s[0] == 12 && s[1] == 4 && s[2] == 1);
    hx_row_major(SHAPE(2, 0, 4), s);
    CHECK(s[0] == 4 && s[1] == 4 && s[2] == 1);
    hx_row_major(SHAPE(0, 1ll << 40, 1ll << 40), s); /* wraps nowhere */
    CHECK(s[2] == 1);
}

static void test_contiguous(void) {
    CHECK(hx_is_contiguous(LIST(2, 3), LIST(3, 1), 2));
    CHECK(!hx_is_contiguous(LIST(2, 3), LIST(1, 2), 2));
    CHECK(hx_is_contiguous(LIST(1, 3), LIST(77, 1), 2));
    CHECK(hx_is_contiguous(LIST(5, 0), LIST(9, 9), 2));
    CHECK(hx_is_contiguous(NULL, NULL, 0));
    CHECK(!hx_is_contiguous(LIST(4), LIST(2), 1));
    CHECK(!hx_is_contiguous(LIST(4), LIST(0), 1));
    CHECK(!hx_is_contiguous(LIST(4), LIST(-1), 1));
    CHECK(hx_is_contiguous(LIST(3, 4, 0), LIST(7, 7, 7), 3));
}

static void test_extent(void) {
    int64_t low, high;
    CHECK_INT(hx_extent(LIST(2, 3), LIST(3, 1), 2, &low, &high), HX_OK);
    CHECK(low == 0 && high == 6);
    CHECK_INT(hx_extent(LIST(2, 3), LIST(10, -1), 2, &low, &high), HX_OK);
    CHECK(low == -2 && high == 11);
    CHECK_INT(hx_extent(LIST(2, 0), LIST(INT64_MAX, 1), 2, &low, &high), HX_OK);
    CHECK(low == 0 && high == 0);
    CHECK_INT(hx_extent(NULL, NULL, 0, &low, &high), HX_OK);
    CHECK(low == 0 && high == 1);
    CHECK_FAILS(hx_extent(LIST(4), LIST(1ll << 62), 1, &low, &high), HX_E_OVERFLOW, 1401, "64 bits");
    CHECK_FAILS(hx_extent(LIST(2, 2), LIST(INT64_MAX, 1), 2, &low, &high), HX_E_OVERFLOW, 1401, "strides");
    CHECK_FAILS(hx_extent(LIST(2), LIST(INT64_MAX), 1, &low, &high), HX_E_OVERFLOW, 1401, "strides");
    CHECK_FAILS(hx_extent(LIST(3), LIST(INT64_MIN), 1, &low, &high), HX_E_OVERFLOW, 1401, "strides");
}

static void test_axis(void) {
    int axis = 99;
    CHECK_INT(hx_axis(-1, 3, &axis), HX_OK);
    CHECK_INT(axis, 2);
    CHECK_INT(hx_axis(-1, 0, &axis), HX_OK);
    CHECK_INT(axis, 0);
    CHECK_FAILS(hx_axis(3, 3, &axis), HX_E_INDEX, 1302, "axis 3");
    CHECK_FAILS(hx_axis(-4, 3, &axis), HX_E_INDEX, 1302, "-3..2");
    CHECK_FAILS(hx_axis(1, 0, &axis), HX_E_INDEX, 1302, "0 dimensions");
    CHECK_FAILS(hx_axis(INT64_MIN, 3, &axis), HX_E_INDEX, 1302, "axis");
    uint32_t mask;
    CHECK_INT(hx_axes(NULL, 0, 3, &mask), HX_OK);
    CHECK_INT(mask, 7);
    CHECK_INT(hx_axes(LIST(0, -1), 2, 3, &mask), HX_OK);
    CHECK_INT(mask, 5);
    CHECK_INT(hx_axes(LIST(0), 1, 0, &mask), HX_OK);
    CHECK_INT(mask, 0);
    CHECK_FAILS(hx_axes(LIST(0, -3), 2, 3, &mask), HX_E_INDEX, 1302, "twice");
}

static void test_broadcast(void) {
    int64_t r[HX_MAX_RANK];
    int ndim = 0;
    CHECK_INT(hx_broadcast_into(r, &ndim, SHAPE(3, 1)), HX_OK);
    CHECK_INT(hx_broadcast_into(r, &ndim, SHAPE(2, 1, 4)), HX_OK);
    CHECK_TEXT(hx_shape_text(r, ndim), "(2, 3, 4)");
    CHECK_INT(hx_broadcast_into(r, &ndim, SHAPE(1)), HX_OK);
    CHECK_INT(hx_broadcast_into(r, &ndim, NULL, 0), HX_OK);
    CHECK_TEXT(hx_shape_text(r, ndim), "(2, 3, 4)");
    CHECK_FAILS(hx_broadcast_into(r, &ndim, SHAPE(3, 5)), HX_E_SHAPE, 1003, "axis -1 has 4 and 5");
    CHECK_TEXT(hx_shape_text(r, ndim), "(2, 3, 4)"); /* unchanged by the failure */
    CHECK_FAILS(hx_broadcast_into(r, &ndim, SHAPE(7, 9, 2, 3, 0)), HX_E_SHAPE, 1003, "(7, 9, 2, 3, 0)");
    CHECK_INT(ndim, 3);
    ndim = 0;
    CHECK_INT(hx_broadcast_into(r, &ndim, SHAPE(1)), HX_OK);
    CHECK_INT(hx_broadcast_into(r, &ndim, SHAPE(0)), HX_OK);
    CHECK_INT(r[0], 0);
    CHECK_FAILS(hx_broadcast_into(r, &ndim, SHAPE(2)), HX_E_SHAPE, 1003, "0 and 2");

    int64_t s[4];
    CHECK_INT(hx_broadcast_strides(LIST(3, 1), LIST(1, 1), 2, SHAPE(2, 3, 4), s), HX_OK);
    CHECK(s[0] == 0 && s[1] == 1 && s[2] == 0);
    CHECK_INT(hx_broadcast_strides(LIST(1), LIST(5), 1, SHAPE(1), s), HX_OK);
    CHECK_INT(s[0], 5);
    CHECK_FAILS(hx_broadcast_strides(LIST(3), LIST(1), 1, SHAPE(4), s), HX_E_SHAPE, 1003, "must be 4 or 1");
    CHECK_FAILS(hx_broadcast_strides(LIST(1, 1), LIST(1, 1), 2, SHAPE(4), s), HX_E_SHAPE, 1003, "fewer");
}

static bool views_as(const int64_t *shape, const int64_t *strides, int ndim, const int64_t *to, int to_ndim,
                     const char *wanted) {
    int64_t result[HX_MAX_RANK];
    if (!hx_view_strides(shape, strides, ndim, to, to_ndim, result)) return wanted == NULL;
    return wanted && strcmp(hx_shape_text(result, to_ndim), wanted) == 0;
}

static void test_views(void) {
    CHECK(views_as(LIST(2, 6), LIST(6, 1), 2, SHAPE(3, 4), "(4, 1)"));
    CHECK(views_as(LIST(6, 2), LIST(1, 6), 2, SHAPE(2, 3, 2), "(3, 1, 6)"));
    CHECK(views_as(LIST(6, 2), LIST(1, 6), 2, SHAPE(12), NULL));
    CHECK(views_as(LIST(4), LIST(-2), 1, SHAPE(2, 2), "(-4, -2)"));
    CHECK(views_as(LIST(2, 3), LIST(3, 1), 2, SHAPE(1, 6, 1), "(6, 1, 1)"));
    CHECK(views_as(LIST(5, 1), LIST(1, 7), 2, SHAPE(5), "(1,)"));
    CHECK(views_as(LIST(3, 4), LIST(0, 0), 2, SHAPE(12), "(0,)"));
    CHECK(views_as(NULL, NULL, 0, SHAPE(1, 1), "(1, 1)"));
    CHECK(views_as(LIST(1, 1), LIST(1, 1), 2, NULL, 0, "()"));
    CHECK(views_as(LIST(0, 3), LIST(3, 1), 2, SHAPE(7, 0), "(1, 1)"));
    CHECK(views_as(LIST(4, 6), LIST(12, 1), 2, SHAPE(2, 2, 3, 2), "(24, 12, 2, 1)"));
    CHECK(views_as(LIST(4, 6), LIST(12, 1), 2, SHAPE(8, 3), NULL));
}

static void test_text(void) {
    CHECK_TEXT(hx_shape_text(NULL, 0), "()");
    CHECK_TEXT(hx_shape_text(SHAPE(5)), "(5,)");
    int64_t widest[HX_MAX_RANK];
    for (int i = 0; i < HX_MAX_RANK; i++) widest[i] = INT64_MIN;
    CHECK_INT(strlen(hx_shape_text(widest, HX_MAX_RANK)), HX_MAX_RANK * 22);
    const char *live[8];
    for (int64_t i = 0; i < 8; i++) live[i] = hx_shape_text(&i, 1);
    CHECK_TEXT(live[0], "(0,)");
    CHECK_TEXT(live[7], "(7,)");
}

int main(void) {
    test_numel();
    test_row_major();
    test_contiguous();
    test_extent();
    test_axis();
    test_broadcast();
    test_views();
    test_text();
    return 0;
}

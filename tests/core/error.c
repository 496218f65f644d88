/* The pending error: first one wins, per thread, with the op that was entered. */
#include "check.h"

#include <pthread.h>

static void *another_thread(void *unused) {
    CHECK(!hx_error_pending());
    hx_fail(HX_E_VALUE, HX1403_VALUE, "elsewhere");
    return unused;
}

static void test_first_error_wins(void) {
    CHECK_INT(hx_fail(HX_E_SHAPE, HX1002_INNER, "sizes %d and %d", 3, 4), HX_E_SHAPE);
    CHECK_INT(hx_fail(HX_E_MEMORY, HX1402_MEMORY, "later"), HX_E_SHAPE);
    CHECK_TEXT(hx_error_last()->text, "sizes 3 and 4");
    CHECK_INT(hx_error_last()->number, 1002);
    hx_error saved = *hx_error_last();
    hx_error_clear();
    CHECK(!hx_error_pending());
    CHECK_INT(hx_error_last()->code, HX_OK);
    hx_error_restore(&saved);
    CHECK_TEXT(hx_error_last()->text, "sizes 3 and 4");
    hx_error_clear();
}

static void test_op_name(void) {
    CHECK(hx_error_enter_op("outer") == NULL);
    CHECK_TEXT(hx_error_enter_op("inner"), "outer");
    hx_fail(HX_E_VALUE, HX1403_VALUE, "x");
    CHECK_TEXT(hx_error_enter_op(NULL), "inner");
    CHECK_TEXT(hx_error_last()->op, "inner");
    hx_error_clear();
    hx_fail(HX_E_VALUE, HX1403_VALUE, "x");
    CHECK_TEXT(hx_error_last()->op, "");
    hx_error_clear();
    CHECK(hx_error_outermost_op("called"));
    CHECK(!hx_error_outermost_op("part of it"));
    CHECK_TEXT(hx_error_enter_op(NULL), "called");
}

static void test_facts(void) {
    hx_fail_about(FACTS("dim", "-2..1", hx_text("%d", 5), true, 5), HX_E_INDEX, HX1302_AXIS, "axis %d", 5);
    const hx_kept_facts *facts = &hx_error_last()->facts;
    CHECK_TEXT(facts->argument, "dim");
    CHECK_TEXT(facts->expected, "-2..1");
    CHECK_TEXT(facts->got, "5");
    CHECK(facts->on_axis && facts->axis == 5);
    hx_error saved = *hx_error_last();
    hx_error_clear();
    hx_fail(HX_E_VALUE, HX1403_VALUE, "nothing known");
    CHECK(!facts->argument[0] && !facts->expected[0] && !facts->got[0] && !facts->on_axis);
    hx_error_clear();
    hx_error_restore(&saved);
    CHECK_TEXT(facts->got, "5");
    hx_error_clear();
    CHECK_INT(hx_refuse(HX_E_VALUE, HX1403_VALUE, "p", "lie in [0, 1]", "%g", 1.5), HX_E_VALUE);
    CHECK_TEXT(hx_error_last()->text, "p must lie in [0, 1], got 1.5");
    CHECK_TEXT(facts->got, "1.5");
    hx_error_argument("another op", "other");
    CHECK_TEXT(facts->argument, "p");
    hx_error_clear();
}

static void test_long_texts_are_cut(void) {
    char name[200], text[3000];
    memset(name, 'n', sizeof name - 1);
    memset(text, 't', sizeof text - 1);
    name[sizeof name - 1] = text[sizeof text - 1] = '\0';
    hx_error_enter_op(name);
    hx_fail(HX_E_VALUE, HX1403_VALUE, "%s", text);
    hx_error_enter_op(NULL);
    CHECK_INT(strlen(hx_error_last()->op), sizeof hx_error_last()->op - 1);
    CHECK_INT(strlen(hx_error_last()->text), sizeof hx_error_last()->text - 1);
    hx_error_clear();
}

static void test_threads_are_apart(void) {
    pthread_t thread;
    hx_fail(HX_E_SHAPE, HX1001_RANK, "here");
    CHECK(pthread_create(&thread, NULL, another_thread, NULL) == 0);
    pthread_join(thread, NULL);
    CHECK_TEXT(hx_error_last()->text, "here");
    hx_error_clear();
}

static void test_every_number_is_explained(void) {
    int count = 0, last = 0;
    for (int number; (number = hx_error_number_at(count)) != 0; count++) {
        CHECK(number > last);
        last = number;
        CHECK(strlen(hx_error_explain(number)) > 80);
    }
    CHECK_INT(count, 35);
    CHECK(hx_error_explain(HX1002_INNER) != NULL && hx_error_explain(HX1901_INTERNAL) != NULL);
    CHECK(hx_error_explain(999) == NULL);
    CHECK_INT(hx_error_number_at(-1), 0);
}

int main(void) {
    test_first_error_wins();
    test_op_name();
    test_facts();
    test_long_texts_are_cut();
    test_threads_are_apart();
    test_every_number_is_explained();
    return 0;
}

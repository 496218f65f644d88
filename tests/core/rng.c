/* Philox 4x32-10 against the known answers published with Random123, and the generator. */
#include "rng.h"
#include "check.h"

static void known_answer(const uint32_t counter[4], const uint32_t key[2], const uint32_t wanted[4]) {
    uint32_t got[4];
    hx_philox((uint64_t)key[1] << 32 | key[0], (uint64_t)counter[3] << 32 | counter[2],
              (uint64_t)counter[1] << 32 | counter[0], got);
    for (int i = 0; i < 4; i++) CHECK_INT(got[i], wanted[i]);
}

static void test_known_answers(void) {
    known_answer((uint32_t[]){0, 0, 0, 0}, (uint32_t[]){0, 0},
                 (uint32_t[]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    known_answer((uint32_t[]){~0u, ~0u, ~0u, ~0u}, (uint32_t[]){~0u, ~0u},
                 (uint32_t[]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    known_answer((uint32_t[]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, (uint32_t[]){0xa4093822, 0x299f31d0},
                 (uint32_t[]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

static void test_uniform_stays_below_one(void) {
    CHECK(hx_uniform_f32(~0u) < 1.0f && hx_uniform_f32(0) == 0.0f);
    CHECK(hx_uniform_f64(~0u, ~0u) < 1.0 && hx_uniform_f64(0, 0) == 0.0);
}

static void test_generator(void) {
    hx_generator *g = hx_default_generator();
    CHECK(g == hx_default_generator());
    CHECK_INT(g->seed, 12345);
    hx_generator_seed(g, 7);
    CHECK_INT(g->seed, 7);
    CHECK_INT(hx_generator_draw(g), 0);
    CHECK_INT(hx_generator_draw(g), 1);
    hx_generator_seed(g, 7);
    CHECK_INT(hx_generator_draw(g), 0);
}

int main(void) {
    setenv("HELIX_SEED", "12345", 1);
    test_known_answers();
    test_uniform_stays_below_one();
    test_generator();
    return 0;
}

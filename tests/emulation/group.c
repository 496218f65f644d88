/* Runs launches: groups one after another, the items of a group as fibers.
 *
 * A barrier is strict: every item of the group must come to it, and to the same one. Items that returned before, or wait
 * elsewhere, are an error that names the lines. Shared memory holds poison when a group starts. */
#define _GNU_SOURCE
#include "group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { POISON = 0xFF, STACK = 256 << 10, MAX_ITEMS = 1024 };

emulation_now emulation_state;

typedef struct fiber {
    void *stack_pointer;
    emulation_index item;
    int line; /* of the barrier that it waits at; 0: ready */
    int with_lanes; /* it waits for its SIMD group alone */
    int returned;
} fiber;

static fiber fibers[MAX_ITEMS];
static emulation_lanes lanes[MAX_ITEMS / EMULATION_LANES];
static fiber *running;
static void *scheduler_stack;
static const emulation_launch *current;
static char *stacks;

/* ---- switching: the registers that a call keeps go to the stack, and the stack pointer is exchanged ---- */

void emulation_switch(void **keep, void *go);

#if defined(__x86_64__)
enum { KEPT_REGISTERS = 6 };
__asm__(".text\n"
        ".globl emulation_switch\n"
        ".type emulation_switch, @function\n"
        "emulation_switch:\n"
        "  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"
        "  mov %rsp, (%rdi)\n"
        "  mov %rsi, %rsp\n"
        "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbp\n  pop %rbx\n"
        "  ret\n");
#else
#error "the emulation switches fibers on x86-64 only"
#endif

static void fiber_main(void) {
    current->kernel(current->arguments);
    running->returned = 1;
    emulation_switch(&running->stack_pointer, scheduler_stack);
    abort(); /* nobody resumes an item that has returned */
}

static void wait_at_barrier(int line) {
    running->line = line;
    emulation_switch(&running->stack_pointer, scheduler_stack);
}

static void wait_at_lane_barrier(int line) {
    running->with_lanes = 1;
    wait_at_barrier(line);
}

static void prepare(fiber *f, char *stack, emulation_index item) {
    void **top = (void **)(stack + STACK) - 2; /* as after a call: 8 bytes beside a multiple of 16 */
    *top = (void *)fiber_main;
    memset(top - KEPT_REGISTERS, 0, KEPT_REGISTERS * sizeof *top);
    *f = (fiber){.stack_pointer = top - KEPT_REGISTERS, .item = item};
}

static void resume(fiber *f) {
    running = f;
    emulation_state.item = f->item;
    emulation_state.number = (unsigned)(f - fibers);
    emulation_switch(&scheduler_stack, f->stack_pointer);
}

/* ---- order ---- */

static uint64_t random_state;

static uint64_t random_next(void) { /* splitmix64 */
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void put_in_order(uint32_t *numbers, uint32_t n, int64_t order) {
    for (uint32_t i = 0; i < n; i++) numbers[i] = order == EMULATION_REVERSED ? n - 1 - i : i;
    if (order < 0) return;
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = (uint32_t)(random_next() % i), kept = numbers[j];
        numbers[j] = numbers[i - 1];
        numbers[i - 1] = kept;
    }
}

static emulation_index index_of(uint32_t number, emulation_index sizes) {
    return (emulation_index){number % sizes.x, number / sizes.x % sizes.y, number / sizes.x / sizes.y};
}

/* ---- a group ---- */

static int check_barrier(uint32_t n, char *error, size_t room) {
    uint32_t waiting = 0, returned = 0;
    int line = 0, other = 0;
    for (uint32_t i = 0; i < n; i++) {
        returned += (uint32_t)fibers[i].returned;
        if (fibers[i].returned) continue;
        waiting++;
        if (!line) line = fibers[i].line;
        if (fibers[i].line != line) other = fibers[i].line;
    }
    if (waiting && returned)
        return snprintf(error, room, "%u of %u work items returned without the barrier in line %d", returned, n, line), -1;
    if (other)
        return snprintf(error, room, "the work items of a group wait at different barriers, in lines %d and %d", line,
                        other), -1;
    for (uint32_t i = 0; i < n; i++) fibers[i].line = 0;
    return waiting != 0;
}

/* SIMD groups whose lanes, except those that returned, are all at one place go on. 1: there was one; -1: lanes are at
 * several places. */
static int release_lanes(uint32_t n, char *error, size_t room) {
    int released = 0;
    for (uint32_t first = 0; first < n; first += EMULATION_LANES) {
        uint32_t end = first + EMULATION_LANES < n ? first + EMULATION_LANES : n;
        int line = 0, other = 0;
        for (uint32_t i = first; i < end; i++)
            if (fibers[i].with_lanes) line = fibers[i].line;
        for (uint32_t i = first; i < end && line; i++)
            if (!fibers[i].returned && (!fibers[i].with_lanes || fibers[i].line != line)) other = fibers[i].line;
        if (other)
            return snprintf(error, room, "the lanes of a SIMD group are in lines %d and %d", line, other), -1;
        for (uint32_t i = first; i < end && line; i++) fibers[i].line = fibers[i].with_lanes = 0;
        released |= line != 0;
    }
    return released;
}

static int run_fibers(uint32_t n, uint32_t *order, char *error, size_t room) {
    for (uint32_t i = 0; i < n; i++) prepare(&fibers[i], stacks + (size_t)i * STACK, index_of(i, current->items));
    for (int more = 1; more;) {
        put_in_order(order, n, current->order);
        for (uint32_t i = 0; i < n; i++)
            if (!fibers[order[i]].returned && !fibers[order[i]].line) resume(&fibers[order[i]]);
        more = release_lanes(n, error, room);
        if (more == 0) more = check_barrier(n, error, room);
        if (more < 0) return -1;
    }
    return 0;
}

static int run_group(uint32_t n, uint32_t *order, char *error, size_t room) {
    if (current->shared) memset(current->shared, POISON, (size_t)(current->shared_end - current->shared));
    memset(emulation_state.dynamic, POISON, current->dynamic_bytes);
    if (current->has_barriers) return run_fibers(n, order, error, room);
    put_in_order(order, n, current->order);
    for (uint32_t i = 0; i < n; i++) {
        emulation_state.item = index_of(order[i], current->items);
        emulation_state.number = order[i];
        current->kernel(current->arguments);
    }
    return 0;
}

int emulation_run(const emulation_launch *launch, char *error, size_t room) {
    uint64_t items = (uint64_t)launch->items.x * launch->items.y * launch->items.z;
    uint64_t groups = (uint64_t)launch->groups.x * launch->groups.y * launch->groups.z;
    if (items < 1 || items > MAX_ITEMS || groups < 1 || groups > UINT32_MAX)
        return snprintf(error, room, "a grid of %llu groups of %llu items", (unsigned long long)groups,
                        (unsigned long long)items), -1;
    if (!stacks)
        stacks = mmap(NULL, (size_t)STACK * MAX_ITEMS, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint32_t *order = malloc((groups + items) * sizeof *order);
    void *dynamic = malloc(launch->dynamic_bytes + 1u);
    int failed = stacks == MAP_FAILED || !order || !dynamic;
    if (failed) snprintf(error, room, "no memory for the emulation");
    current = launch;
    random_state = (uint64_t)launch->order;
    emulation_state = (emulation_now){
        .items = launch->items, .groups = launch->groups, .dynamic = dynamic, .barrier = wait_at_barrier,
        .lane_barrier = wait_at_lane_barrier, .lanes = lanes};
    memset(lanes, 0, sizeof lanes);
    if (!failed) put_in_order(order, (uint32_t)groups, launch->order);
    for (uint64_t g = 0; g < groups && !failed; g++) {
        emulation_state.group = index_of(order[g], launch->groups);
        failed = run_group((uint32_t)items, order + groups, error, room) != 0;
    }
    free(order);
    free(dynamic);
    return failed ? -1 : 0;
}

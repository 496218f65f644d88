/* Counters, limit, fault injection, reuse by the pool, and memory that crosses threads. */
#include "storage.h"
#include "check.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static hx_device cpu = {.host_addressable = true, .name = "cpu"};

static hx_memory_stats stats(void) {
    hx_memory_stats s;
    hx_memory_get(&s);
    return s;
}

static hx_storage *new_storage(int64_t nbytes) {
    hx_storage *s = NULL;
    CHECK_INT(hx_storage_new(&cpu, nbytes, &s), HX_OK);
    return s;
}

static void test_counters_are_exact(void) {
    static const size_t sizes[] = {0, 1, 63, 64, 65, 2048, 4096, 4097, 100000};
    hx_memory_stats before = stats();
    void *blocks[COUNT_OF(sizes)];
    hx_storage *storages[COUNT_OF(sizes)];
    int64_t total = 0;
    for (int i = 0; i < COUNT_OF(sizes); i++) {
        CHECK((blocks[i] = hx_alloc(sizes[i])) != NULL);
        memset(blocks[i], 1, sizes[i]);
        storages[i] = new_storage((int64_t)sizes[i]);
        CHECK((uintptr_t)storages[i]->mem.host_ptr % 64 == 0);
        memset(storages[i]->mem.host_ptr, 2, sizes[i]);
        total += 2 * (int64_t)sizes[i];
    }
    hx_memory_stats full = stats();
    CHECK_INT(full.live_bytes - before.live_bytes, total);
    CHECK_INT(full.live_blocks - before.live_blocks, 2 * COUNT_OF(sizes));
    CHECK_INT(full.allocations - before.allocations, 2 * COUNT_OF(sizes));
    CHECK(full.peak_bytes >= full.live_bytes);
    for (int i = 0; i < COUNT_OF(sizes); i++) {
        hx_free(blocks[i], sizes[i]);
        hx_storage_release(storages[i]);
    }
    CHECK_INT(stats().live_bytes, before.live_bytes);
    CHECK_INT(stats().live_blocks, before.live_blocks);
}

static void test_peak(void) {
    hx_memory_reset_peak();
    int64_t base = stats().live_bytes;
    hx_storage_release(new_storage(1 << 20));
    CHECK_INT(stats().peak_bytes, base + (1 << 20));
    hx_memory_reset_peak();
    CHECK_INT(stats().peak_bytes, base);
}

static void test_references(void) {
    int64_t base = stats().live_bytes;
    hx_storage *s = new_storage(100);
    hx_storage_retain(s);
    hx_storage_release(s);
    CHECK_INT(stats().live_bytes, base + 100);
    hx_storage_release(s);
    CHECK_INT(stats().live_bytes, base);
}

static int released;
static void on_release(void *owner) { released += *(int *)owner; }

static void test_wrap(void) {
    int owner = 3, data[4];
    hx_memory_stats before = stats();
    hx_storage *s;
    CHECK_INT(hx_storage_wrap(&cpu, data, sizeof data, true, on_release, &owner, &s), HX_OK);
    CHECK(s->read_only && s->mem.host_ptr == data && s->mem.nbytes == sizeof data);
    hx_storage_release(s);
    CHECK_INT(released, 3);
    CHECK_INT(hx_storage_wrap(&cpu, data, sizeof data, false, NULL, NULL, &s), HX_OK);
    hx_storage_release(s);
    CHECK_INT(stats().live_bytes, before.live_bytes);
    CHECK_INT(stats().live_blocks, before.live_blocks);
}

static void test_limit(void) {
    int64_t base = stats().live_bytes;
    hx_storage *s = NULL;
    hx_memory_set_limit(base + (3 << 20));
    hx_storage *held = new_storage(2 << 20);
    CHECK_FAILS(hx_storage_new(&cpu, 2 << 20, &s), HX_E_MEMORY, 1402, "2.0 MiB needed; limit is");
    CHECK_FAILS(hx_storage_new(&cpu, 1 << 30, &s), HX_E_MEMORY, 1402, "(helix.set_memory_limit), 2.0 MiB in use");
    CHECK(s == NULL);
    hx_storage *fits = new_storage(1 << 20);
    CHECK_FAILS(hx_storage_new(&cpu, 1, &s), HX_E_MEMORY, 1402, "1 bytes needed");
    CHECK(hx_alloc(1) == NULL && hx_pool_alloc(1) == NULL);
    hx_error_clear();
    hx_memory_set_limit(0);
    hx_storage_release(fits);
    hx_storage_release(held);
    CHECK_INT(stats().live_bytes, base);
}

static void test_impossible_sizes(void) {
    hx_storage *s = NULL;
    hx_memory_stats before = stats();
    CHECK_FAILS(hx_storage_new(&cpu, 100000ll * 100000 * 8, &s), HX_E_MEMORY, 1402, "74.5 GiB needed; the machine has");
    CHECK_FAILS(hx_storage_new(&cpu, INT64_MAX, &s), HX_E_MEMORY, 1402, "8.0 EiB needed");
    CHECK_FAILS(hx_storage_new(&cpu, -1, &s), HX_E_VALUE, 1403, "-1 bytes");
    CHECK(hx_alloc(SIZE_MAX) == NULL && hx_error_last()->code == HX_E_MEMORY);
    hx_error_clear();
    CHECK(hx_pool_alloc(SIZE_MAX) == NULL);
    hx_error_clear();
    CHECK_INT(stats().live_bytes, before.live_bytes);
    CHECK_INT(stats().live_blocks, before.live_blocks);
}

static int failures(int of) {
    int count = 0;
    for (int i = 0; i < of; i++) {
        hx_storage *s = NULL;
        void *block = NULL;
        bool failed;
        if (i % 3 == 0) failed = hx_storage_new(&cpu, 8, &s) != HX_OK;
        else failed = (block = i % 3 == 1 ? hx_alloc(8) : hx_pool_alloc(8)) == NULL;
        if (failed) CHECK_INT(hx_error_last()->number, 1402);
        hx_error_clear();
        count += failed;
        if (s) hx_storage_release(s);
        if (i % 3 == 1) hx_free(block, 8);
        else hx_pool_free(block, 8);
    }
    return count;
}

static void test_fault_injection(void) {
    int64_t base = stats().live_bytes;
    CHECK_INT(failures(9), 0);
    for (int n = 1; n <= 9; n++) {
        hx_memory_fail_at(n, false);
        CHECK_INT(failures(9), 1);
        hx_memory_fail_at(n, true);
        CHECK_INT(failures(9), 10 - n);
    }
    hx_memory_fail_at(10, false);
    CHECK_INT(failures(9), 0);
    hx_memory_fail_at(0, false);
    CHECK_INT(failures(9), 0);
    CHECK_INT(stats().live_bytes, base);
    int64_t count = hx_memory_allocation_count();
    failures(9);
    CHECK_INT(hx_memory_allocation_count(), count + 9);
}

static long page_faults(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

static void test_pool_keeps_memory_warm(void) {
#ifndef __SANITIZE_ADDRESS__
    static const size_t sizes[] = {5000, 70000, 1 << 20, 3 << 20, 64 << 20};
    hx_memory_empty_cache();
    for (int i = 0; i < COUNT_OF(sizes); i++) {
        void *first = hx_pool_alloc(sizes[i]);
        memset(first, 1, sizes[i]);
        hx_pool_free(first, sizes[i]);
        int64_t cached = stats().cached_bytes;
        CHECK(cached >= (int64_t)sizes[i]);
        long faults = page_faults();
        char *again = hx_pool_alloc(sizes[i]);
        CHECK(again == first);
        memset(again, 2, sizes[i]);
        CHECK(page_faults() - faults < 4);
        CHECK(stats().cached_bytes <= cached - (int64_t)sizes[i]);
        hx_pool_free(again, sizes[i]);
    }
    hx_memory_empty_cache();
    CHECK_INT(stats().cached_bytes, 0);
#endif
}

/* Many sizes in a random order: blocks never overlap, and nothing is lost. */
static void test_pool_at_random(void) {
    enum { HELD = 64, ROUNDS = 4000 };
    unsigned char *block[HELD] = {0};
    size_t size[HELD] = {0};
    int64_t base = stats().live_bytes;
    uint32_t state = 1;
    for (int i = 0; i < ROUNDS; i++) {
        state = state * 1664525u + 1013904223u;
        int at = state >> 8 & (HELD - 1);
        if (block[at]) {
            CHECK(block[at][0] == at && block[at][size[at] - 1] == at && block[at][size[at] / 2] == at);
            hx_pool_free(block[at], size[at]);
            block[at] = NULL;
        } else {
            size[at] = 1 + (state >> 14) % ((size_t)1 << (10 + state % 13));
            CHECK((block[at] = hx_pool_alloc(size[at])) != NULL && (uintptr_t)block[at] % 64 == 0);
            block[at][0] = block[at][size[at] - 1] = block[at][size[at] / 2] = (unsigned char)at;
        }
    }
    for (int at = 0; at < HELD; at++) hx_pool_free(block[at], size[at]);
    CHECK_INT(stats().live_bytes, base);
    hx_memory_empty_cache();
    CHECK_INT(stats().cached_bytes, 0);
}

enum { CROSSING = 3000 };

static void *take_many(void *argument) {
    hx_storage **s = argument;
    for (int i = 0; i < CROSSING; i++) s[i] = new_storage(i * 5);
    return NULL;
}

static void *give_many(void *argument) {
    hx_storage **s = argument;
    for (int i = 0; i < CROSSING; i++) hx_storage_release(s[i]);
    return NULL;
}

static void in_a_thread(void *(*body)(void *), void *argument) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, argument) == 0);
    pthread_join(thread, NULL);
}

static void test_memory_crosses_threads(void) {
    static hx_storage *s[CROSSING];
    hx_memory_stats before = stats();
    for (int round = 0; round < 3; round++) {
        in_a_thread(take_many, s);
        in_a_thread(give_many, s);
        take_many(s);
        in_a_thread(give_many, s);
        in_a_thread(take_many, s);
        give_many(s);
    }
    hx_memory_stats after = stats();
    CHECK_INT(after.live_bytes, before.live_bytes);
    CHECK_INT(after.live_blocks, before.live_blocks);
    CHECK_INT(after.allocations - before.allocations, 9 * CROSSING);
}

static void test_fork(void) {
    hx_storage *s = new_storage(1 << 20);
    pid_t child = fork();
    if (child == 0) {
        hx_storage_release(s);
        hx_storage_release(new_storage(3 << 20));
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    hx_storage_release(s);
}

static int device_blocks;
static hx_code device_alloc(void *dev, uint64_t nbytes, uint32_t kind, hx_mem *mem, hx_err *err) {
    (void)dev, (void)kind;
    if (nbytes > 1000) {
        snprintf(err->msg, sizeof err->msg, "card is full");
        return HX_E_MEMORY;
    }
    *mem = (hx_mem){.handle = 77, .nbytes = nbytes};
    device_blocks++;
    return HX_OK;
}
static void device_free(void *dev, hx_mem *mem) {
    (void)dev;
    CHECK_INT(mem->handle, 77);
    device_blocks--;
}

static void test_other_device(void) {
    static const hx_backend backend = {.mem_alloc = device_alloc, .mem_free = device_free};
    hx_device card = {.backend = &backend, .id = 1, .thread_safe = true, .name = "card:0"};
    card.info.caps = HX_CAP_STREAM_ORDERED_ALLOC; /* no pool keeps its blocks */
    CHECK_INT(hx_device_pool_new(&card), HX_OK);
    int64_t base = stats().live_bytes;
    hx_storage *s;
    CHECK_INT(hx_storage_new(&card, 10, &s), HX_OK);
    CHECK(s->mem.host_ptr == NULL && device_blocks == 1);
    hx_device_memory memory;
    hx_device_memory_get(&card, &memory);
    CHECK_INT(memory.live_bytes, 10); /* counted with the device, not with the host */
    CHECK_INT(stats().live_bytes, base);
    hx_storage_release(s);
    CHECK_INT(device_blocks, 0);
    CHECK_FAILS(hx_storage_new(&card, 2000, &s), HX_E_MEMORY, 1402,
                "2000 bytes needed on card:0; 0 in use: card is full");
    CHECK_INT(stats().live_bytes, base);
}

int main(void) {
    test_counters_are_exact();
    test_peak();
    test_references();
    test_wrap();
    test_limit();
    test_impossible_sizes();
    test_fault_injection();
    test_pool_keeps_memory_warm();
    test_pool_at_random();
    test_memory_crosses_threads();
    test_fork();
    test_other_device();
    return 0;
}

#include "profile.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "dispatch.h"

atomic_bool hx_profile_on;
_Thread_local hx_profile_state hx_profile;

static hx_status (*place_of_call)(int32_t *number);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    hx_profile_event *events; /* outside of the counters of memory, which it may be there to watch */
    int64_t n, room, lost;
} list;

void hx_profile_set(bool on, hx_status (*place)(int32_t *number)) {
    place_of_call = place;
    atomic_store(&hx_profile_on, on);
}

hx_status hx_profile_enter_call(void) { return place_of_call ? place_of_call(&hx_profile.place) : HX_OK; }

int64_t hx_profile_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int32_t this_thread(void) {
    static atomic_int next;
    static _Thread_local int32_t mine;
    if (!mine) mine = atomic_fetch_add(&next, 1) + 1;
    return mine;
}

static void note_shape(hx_profile_shape *s, const hx_tensor *t) {
    s->ndim = HX_PROFILE_RANK + 1;
    if (!t || t->ndim > HX_PROFILE_RANK) return;
    s->dtype = (uint8_t)t->dtype;
    s->ndim = (uint8_t)t->ndim;
    memcpy(s->size, t->shape, t->ndim * sizeof *t->shape);
}

static int64_t bytes_of(const hx_tensor *t) { return t ? t->numel * (int64_t)hx_dtype_size((hx_dtype)t->dtype) : 0; }

static bool grow(void) {
    if (list.n < list.room) return true;
    int64_t room = list.room ? 2 * list.room : 4096;
    hx_profile_event *more = realloc(list.events, (size_t)room * sizeof *more);
    if (!more) return false;
    list.events = more;
    list.room = room;
    return true;
}

void hx_profile_kernel(const hx_kernel_call *l, int64_t start) {
    hx_profile_event e = {.op = l->op, .device = l->device, .start = start, .nanoseconds = hx_profile_now() - start,
                          .place = hx_profile.place, .thread = this_thread(), .backward = hx_profile.backward > 0};
    for (int i = 0; i < l->n_in; i++) e.bytes_read += bytes_of(l->in[i]);
    for (int i = 0; i < l->n_out; i++) e.bytes_written += bytes_of(l->out[i]);
    for (int i = 0; i < HX_PROFILE_INPUTS; i++) note_shape(&e.in[i], i < l->n_in ? l->in[i] : NULL);
    note_shape(&e.out, l->n_out ? l->out[0] : NULL);
    pthread_mutex_lock(&lock);
    if (grow())
        list.events[list.n++] = e;
    else
        list.lost++;
    pthread_mutex_unlock(&lock);
}

int64_t hx_profile_count(void) {
    pthread_mutex_lock(&lock);
    int64_t n = list.n;
    pthread_mutex_unlock(&lock);
    return n;
}

int64_t hx_profile_lost(void) {
    pthread_mutex_lock(&lock);
    int64_t n = list.lost;
    pthread_mutex_unlock(&lock);
    return n;
}

bool hx_profile_at(int64_t i, hx_profile_event *out) {
    pthread_mutex_lock(&lock);
    bool there = i >= 0 && i < list.n;
    if (there) *out = list.events[i];
    pthread_mutex_unlock(&lock);
    return there;
}

void hx_profile_clear(void) {
    pthread_mutex_lock(&lock);
    free(list.events);
    memset(&list, 0, sizeof list);
    pthread_mutex_unlock(&lock);
}

/* Where a process spends its processor time: the instruction pointer at every tick of the profiling clock, which a signal
 * brings. Loaded by asv_benchmarks/profile.py. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>

enum { MOST = 1 << 18 };
static uintptr_t at[MOST];
static atomic_int count;

static void tick(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    const ucontext_t *c = context;
    int i = atomic_fetch_add(&count, 1);
    if (i >= MOST) return;
#if defined(__x86_64__)
    at[i] = (uintptr_t)c->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    at[i] = (uintptr_t)c->uc_mcontext.pc;
#endif
}

static void every(long microseconds) {
    struct itimerval timer = {.it_interval.tv_usec = microseconds, .it_value.tv_usec = microseconds};
    setitimer(ITIMER_PROF, &timer, NULL);
}

void sampler_start(void) {
    struct sigaction action = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGPROF, &action, NULL);
    atomic_store(&count, 0);
    every(1000);
}

/* How many samples there are; they are read from sampler_samples. */
int sampler_stop(void) {
    every(0);
    int n = atomic_load(&count);
    return n < MOST ? n : MOST;
}

const uintptr_t *sampler_samples(void) { return at; }

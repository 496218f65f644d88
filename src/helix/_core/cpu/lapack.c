/* Finding and loading OpenBLAS. */
#define _GNU_SOURCE /* dladdr */
#include "lapack.h"
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__APPLE__)
#define LIBRARY "libscipy_openblas.dylib"
#else
#define LIBRARY "libscipy_openblas.so"
#endif

/* What a routine is called for real and for complex numbers; NULL: there is none. */
static const struct routine {
    const char *real, *complex;
} routines[] = {
    {"gemm", "gemm"},   {"trsm", "trsm"},   {"trsv", "trsv"},   {"getrf", "getrf"}, {"getrs", "getrs"}, {"getri", "getri"},
    {"potrf", "potrf"},
    {"geqrf", "geqrf"}, {"orgqr", "ungqr"}, {"sytrf", "sytrf"}, {NULL, "hetrf"},    {"sytrs", "sytrs"}, {NULL, "hetrs"},
    {"gels", "gels"},   {"syevd", NULL},    {NULL, "heevd"},    {"geev", NULL},     {NULL, "geev"},     {"gesdd", NULL},
    {NULL, "gesdd"},    {"gesvd", NULL},    {NULL, "gesvd"},    {"gelsy", NULL},    {NULL, "gelsy"},    {"gelss", NULL},
    {NULL, "gelss"},    {"gelsd", NULL},    {NULL, "gelsd"},
};
enum { ROUTINES = sizeof routines / sizeof *routines };
_Static_assert(sizeof(hx_lapack) == ROUTINES * HX_LAPACK_TYPES * sizeof(void *), "hx_lapack has other routines");

static hx_lapack table;
static bool loaded;
static char reason[600]; /* why nothing is loaded */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- variables that OpenBLAS reads while it is loaded ---- */

typedef struct variable {
    const char *name, *value;
    char before[64];
    bool was_set;
} variable;

static void set(variable *v) {
    const char *before = getenv(v->name);
    v->was_set = before != NULL;
    if (before) snprintf(v->before, sizeof v->before, "%s", before);
    if (v->value) setenv(v->name, v->value, 1);
}
static void restore(const variable *v) {
    if (!v->value) return;
    if (v->was_set) setenv(v->name, v->before, 1);
    else unsetenv(v->name);
}

/* OpenBLAS tells processors apart by maker and model, and takes AVX2 kernels on some that have AVX-512. helix's copy holds
 * the kernels of these three alone (tools/openblas.py). */
static const char *core_type(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return "SKYLAKEX";
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? "HASWELL" : "PRESCOTT";
#else
    return NULL;
#endif
}

/* helix's own threads share the work; the library is to start none. What the user set holds for the user's own library. */
static void *open_library(const char *path, bool own) {
    variable type = {.name = "OPENBLAS_CORETYPE", .value = own || !getenv("OPENBLAS_CORETYPE") ? core_type() : NULL};
    variable threads = {.name = "OPENBLAS_NUM_THREADS", .value = "1"};
    set(&type);
    set(&threads);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    restore(&threads);
    restore(&type);
    if (!library) snprintf(reason, sizeof reason, "%s", dlerror());
    return library;
}

/* ---- where it lies ---- */

static void cut_file_name(char *path) {
    char *slash = strrchr(path, '/');
    if (slash) *slash = '\0';
}

/* Beside the module as it was installed, or in the folder it was built in. */
static void *open_own(void) {
    static const int here;
    Dl_info module;
    char real[PATH_MAX], path[PATH_MAX + 64];
    if (!dladdr(&here, &module) || !module.dli_fname || !realpath(module.dli_fname, real)) {
        snprintf(reason, sizeof reason, "the folder of helix could not be found");
        return NULL;
    }
    cut_file_name(real);
    for (int built = 0; built < 2; built++) {
        snprintf(path, sizeof path, "%s/%s" LIBRARY, real, built ? "" : "_core/lib/");
        FILE *file = fopen(path, "rb");
        if (!file) continue;
        fclose(file);
        return open_library(path, true);
    }
    snprintf(reason, sizeof reason, "this build of helix holds no " LIBRARY);
    return NULL;
}

/* ---- the table ---- */

static void *find(void *library, const char *prefix, char type, const char *name) {
    char symbol[64];
    snprintf(symbol, sizeof symbol, "%s%c%s_", prefix, type, name);
    return dlsym(library, symbol);
}

static bool fill(void *library, const char *prefix) {
    void **slot = (void **)&table;
    for (int i = 0; i < ROUTINES; i++)
        for (int type = 0; type < HX_LAPACK_TYPES; type++, slot++) {
            const char *name = type < 2 ? routines[i].real : routines[i].complex;
            if (name && !(*slot = find(library, prefix, "sdcz"[type], name))) {
                snprintf(reason, sizeof reason, "it has no %s%c%s_", prefix, "sdcz"[type], name);
                return false;
            }
        }
    return true;
}

static void load(void) {
    const char *other = getenv("HELIX_BLAS");
    void *library = other && *other ? open_library(other, false) : open_own();
    if (!library) return;
    const char *prefix = find(library, "scipy_", 'd', "gemm") ? "scipy_" : "";
    void (*set_threads)(int);
    *(void **)&set_threads = dlsym(library, *prefix ? "scipy_openblas_set_num_threads" : "openblas_set_num_threads");
    if (set_threads) set_threads(1);
    loaded = fill(library, prefix);
}

const hx_lapack *hx_lapack_get(void) {
    pthread_once(&once, load);
    return loaded ? &table : NULL;
}

hx_code hx_lapack_missing(hx_err *err) {
    return hx_kernel_fail(err, HX_E_UNSUPPORTED, HX1703_LAPACK,
                          "needs LAPACK, and none could be loaded: %s. Install scipy-openblas32 and build helix again, or "
                          "set HELIX_BLAS to the path of an OpenBLAS or LAPACK library.", reason);
}

/* From MSL to a shared library: address spaces are dropped, arrays of a group put where they can be found, and each
 * kernel gets an entry that takes its arguments from their places. Programs are kept in HELIX_CACHE_DIR, as macOS keeps what
 * it has compiled. */
#define _GNU_SOURCE
#include "msl.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_name(char c) { return isalnum((unsigned char)c) || c == '_'; }

static const char *word_at(const char *text, const char *word) {
    for (const char *at = text; (at = strstr(at, word)); at++)
        if ((at == text || !is_name(at[-1])) && !is_name(at[strlen(word)])) return at;
    return NULL;
}

/* ---- the text ---- */

/* `threadgroup T x[n];` declares memory of the group; `threadgroup T *x` only points there. */
static int declares(const char *after) {
    for (; *after && !strchr(";,)=", *after); after++)
        if (*after == '*' || *after == '&') return 0;
    return *after != ')' && *after != ',';
}

static void write_text(FILE *file, const char *text) {
    while (*text) {
        const char *include = strstr(text, "#include <metal"), *space = word_at(text, "threadgroup");
        const char *next = include && (!space || include < space) ? include : space;
        if (!next) break;
        fwrite(text, 1, (size_t)(next - text), file);
        if (next == include) text = strchr(next, '\n') ? strchr(next, '\n') : next + strlen(next);
        else {
            text = next + strlen("threadgroup");
            if (*text == '(') fputs("threadgroup", file); /* the attribute of a parameter */
            else if (declares(text)) fputs("EMULATED_SHARED", file);
        }
    }
    fputs(text, file);
}

/* ---- the entries ---- */

static const struct {
    const char *attribute, *value;
} places[] = {
    {"thread_position_in_threadgroup", "emulated_place{emulation_here->item}"},
    {"threadgroup_position_in_grid", "emulated_place{emulation_here->group}"},
    {"threads_per_threadgroup", "emulated_place{emulation_here->items}"},
    {"threadgroups_per_grid", "emulated_place{emulation_here->groups}"},
    {"thread_position_in_grid", "emulated_in_grid(emulation_here->group, emulation_here->items, emulation_here->item)"},
    {"threads_per_grid", "emulated_times(emulation_here->groups, emulation_here->items)"},
    {"thread_index_in_threadgroup", "emulated_one(emulation_here->number)"},
    {"thread_index_in_simdgroup", "emulated_one(emulation_here->number % EMULATION_LANES)"},
    {"simdgroup_index_in_threadgroup", "emulated_one(emulation_here->number / EMULATION_LANES)"},
    {"simdgroups_per_threadgroup", "emulated_one((emulated_items() + EMULATION_LANES - 1) / EMULATION_LANES)"},
    {"threads_per_simdgroup", "emulated_one(EMULATION_LANES)"},
};

/* One parameter, in the words of the entry; adds a buffer's bit to `buffers`. Without an attribute: an error of C++. */
static void write_argument(FILE *file, const char *from, const char *end, unsigned *buffers) {
    char text[512], attribute[64] = "";
    int number = 0;
    snprintf(text, sizeof text, "%.*s", (int)(end - from), from);
    const char *bracket = strstr(text, "[[");
    if (bracket) sscanf(bracket, "[[ %63[a-z_] ( %d )", attribute, &number);
    if (!strcmp(attribute, "buffer")) {
        *buffers |= 1u << (number & 31);
        fprintf(file, "%s{a[%d]}", strchr(text, '&') ? "emulated_reference" : "emulated_pointer", number);
        return;
    }
    if (!strcmp(attribute, "threadgroup")) {
        fprintf(file, "emulated_pointer{(char *)emulation_here->dynamic + (long)a[%d]}", MSL_BUFFERS + number);
        return;
    }
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (!strcmp(attribute, places[i].attribute)) {
            fputs(places[i].value, file);
            return;
        }
    fprintf(file, "no_attribute_that_is_known(\"%s\")", attribute);
}

static void write_entry(FILE *file, const char *name, int length, const char *open) {
    unsigned buffers = 0;
    int depth = 0;
    fprintf(file, "extern \"C\" void emulated_entry_%.*s(void *const *a) { (void)a; %.*s(", length, name, length, name);
    const char *from = open + 1, *at = from;
    for (;; at++) {
        if (*at == '(' || *at == '[') depth++;
        int last = *at == ')' && depth == 0;
        if (last || (*at == ',' && depth == 0)) {
            if (at > from) write_argument(file, from, at, &buffers);
            if (last) break;
            fputs(", ", file);
            from = at + 1;
        } else if (*at == ')' || *at == ']') depth--;
        else if (!*at) break;
    }
    fprintf(file, "); }\nextern \"C\" const unsigned emulated_buffers_%.*s = %uu;\n", length, name, buffers);
}

static void write_entries(FILE *file, const char *text) {
    for (const char *at = text; (at = word_at(at, "kernel")); at++) {
        const char *open = strchr(at, '('), *end = open;
        if (!open) return;
        while (end > at && isspace((unsigned char)end[-1])) end--;
        const char *name = end;
        while (name > at && is_name(name[-1])) name--;
        write_entry(file, name, (int)(end - name), open);
    }
}

static int write_source(const char *text, const char *path) {
    FILE *file = fopen(path, "w");
    if (!file) return -1;
    fputs("#include \"metal.h\"\n#line 1 \"program_source\"\n", file);
    write_text(file, text);
    fputs("\n#line 1 \"entries\"\n", file);
    write_entries(file, text);
    int waits = strstr(text, "threadgroup_barrier") || strstr(text, "simd_") || strstr(text, "simdgroup_barrier");
    fprintf(file, "extern \"C\" const int emulated_has_barriers = %d;\n", waits);
    return fclose(file);
}

/* ---- compilation ---- */

static char *read_whole(const char *path) {
    FILE *file = fopen(path, "r");
    char *text = NULL;
    size_t room = 0;
    if (!file) return NULL;
    if (getdelim(&text, &room, 0, file) < 0) {
        free(text);
        text = strdup("");
    }
    fclose(file);
    return text;
}

static const char *folder(void) {
    static char path[256];
    const char *cache = getenv("HELIX_CACHE_DIR");
    if (*path) return path;
    snprintf(path, sizeof path, "%s", cache && *cache ? cache : "/tmp/helix-msl-XXXXXX");
    if (!cache || !*cache) return mkdtemp(path) ? path : NULL;
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/metal-emulated", cache);
    mkdir(path, 0700);
    return path;
}

static uint64_t hash_of(const char *text) { /* FNV-1a */
    uint64_t h = 0xCBF29CE484222325u;
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 0x100000001B3u;
    return h;
}

/* A library of this name is there and was made from this text. */
static int is_there(const char *library, const char *kept, const char *text) {
    char *before = access(library, R_OK) ? NULL : read_whole(kept);
    int same = before && !strcmp(before, text);
    free(before);
    return same;
}

static int keep(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    if (!file) return -1;
    fputs(text, file);
    return fclose(file);
}

void *msl_compile(const char *text, char **error) {
    char base[300], library[320], source[340], built[340], kept[320], log[340], command[2000];
    snprintf(base, sizeof base, "%s/%016llx", folder(), (unsigned long long)hash_of(text));
    snprintf(library, sizeof library, "%s.so", base);
    snprintf(kept, sizeof kept, "%s.metal", base);
    snprintf(source, sizeof source, "%s.%d.cpp", base, getpid());
    snprintf(built, sizeof built, "%s.%d.so", base, getpid());
    snprintf(log, sizeof log, "%s.%d.log", base, getpid());
    *error = NULL;
    if (!is_there(library, kept, text)) {
        if (write_source(text, source)) return *error = strdup("no room for the program"), NULL;
        snprintf(command, sizeof command,
                 "g++ -std=c++17 -O1 -w -shared -fPIC -fno-exceptions -fno-rtti -fno-math-errno -ffp-contract=off "
                 "-I '%s' -o %s %s -lm > %s 2>&1",
                 EMULATION_HEADERS, built, source, log);
        int failed = system(command) != 0;
        if (failed) *error = read_whole(log);
        unlink(source);
        unlink(log);
        if (failed || keep(kept, text) || rename(built, library)) return NULL;
    }
    void *made = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!made) *error = strdup(dlerror());
    return made;
}

int msl_find(void *library, const char *name, msl_kernel *found) {
    char symbol[300];
    snprintf(symbol, sizeof symbol, "emulated_entry_%.200s", name);
    found->run = (emulation_kernel)dlsym(library, symbol);
    snprintf(symbol, sizeof symbol, "emulated_buffers_%.200s", name);
    const unsigned *buffers = dlsym(library, symbol);
    if (!found->run || !buffers) return 0;
    found->buffers = *buffers;
    found->has_barriers = *(const int *)dlsym(library, "emulated_has_barriers");
    ((void (*)(emulation_now *))dlsym(library, "emulation_bind"))(&emulation_state);
    ((void (*)(unsigned char **, unsigned char **))dlsym(library, "emulation_shared"))(&found->shared, &found->shared_end);
    return 1;
}

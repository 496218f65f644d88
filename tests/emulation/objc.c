/* Messages, reference counts, autorelease pools, strings and errors. One thread at a time, as helix locks a device. */
#define _GNU_SOURCE
#include "objc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- faults ---- */

static char faults[8192];

const char *emulation_faults(void) { return faults; }
void emulation_forget_faults(void) { faults[0] = 0; }

void emulation_fault(const char *format, ...) {
    char text[1000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "emulated Metal: %s\n", text);
    size_t used = strlen(faults);
    snprintf(faults + used, sizeof faults - used, "%s\n", text);
    if (getenv("EMULATION_STRICT")) abort();
}

/* ---- selectors and methods ---- */

enum { MAX_SELECTORS = 512, MAX_TABLES = 8 };

static char *selectors[MAX_SELECTORS];
static struct {
    method *first;
    size_t n;
} tables[MAX_TABLES];

selector sel_registerName(const char *name) {
    int i = 0;
    for (; i < MAX_SELECTORS && selectors[i]; i++)
        if (!strcmp(selectors[i], name)) return selectors[i];
    if (i == MAX_SELECTORS) abort();
    return selectors[i] = strdup(name);
}

void emulation_methods(method *table, size_t n) {
    int i = 0;
    while (tables[i].first) i++;
    tables[i].first = table;
    tables[i].n = n;
    for (size_t k = 0; k < n; k++) table[k].registered = sel_registerName(table[k].name);
}

typedef struct system_version {
    int64_t major, minor, patch;
} system_version;

static system_version version(void) { /* EMULATION_MACOS: 14.5 */
    system_version told = {14, 5, 0};
    const char *text = getenv("EMULATION_MACOS");
    if (text) sscanf(text, "%ld.%ld", &told.major, &told.minor);
    return told;
}

static const method *method_of(const object *self, selector name) {
    const object_class *c = self->is_class ? (const object_class *)self : self->isa;
    for (int i = 0; i < MAX_TABLES && tables[i].first; i++)
        for (const method *m = tables[i].first; m < tables[i].first + tables[i].n; m++)
            if (m->registered == name && (!m->owner || m->owner == c) && m->of_class == self->is_class &&
                m->since <= (m->since ? version().major : 0))
                return m;
    return NULL;
}

/* The types of a method of whatever class, for tests of what a program declares; NULL without one. */
const char *emulation_types(const char *name) {
    selector registered = sel_registerName(name);
    for (int i = 0; i < MAX_TABLES && tables[i].first; i++)
        for (const method *m = tables[i].first; m < tables[i].first + tables[i].n; m++)
            if (m->registered == registered) return m->types;
    return NULL;
}

static const char *name_of(const object *o) { return o->is_class ? ((const object_class *)o)->name : o->isa->name; }
static void *no_method(void) { return NULL; }

/* Where a message goes; the entries below jump there with the arguments as they came. */
__attribute__((used)) void *emulation_method(const object *self, selector name, int aside) {
    if (!self) return (void *)no_method;
    if (self->gone) return emulation_fault("%s sent to a %s that is deallocated", name, name_of(self)), (void *)no_method;
    const method *m = method_of(self, name);
    if (!m) return emulation_fault("unrecognized selector %s sent to %s", name, name_of(self)), (void *)no_method;
    int large = m->types[0] == '{';
    if (large == aside) return m->run;
    emulation_fault("%s must be sent by %s", name, large ? "objc_msgSend_stret" : "objc_msgSend");
    return (void *)no_method;
}

#define ENTRY(name, aside, first, second)                                                                            \
    __asm__(".text\n.globl " name "\n.type " name ", @function\n" name ":\n"                                         \
            "  push %rbp\n  push %rdi\n  push %rsi\n  push %rdx\n  push %rcx\n  push %r8\n  push %r9\n"              \
            "  mov " first ", %r10\n  mov " second ", %rsi\n  mov %r10, %rdi\n  mov $" aside ", %edx\n"              \
            "  call emulation_method\n  mov %rax, %r11\n"                                                            \
            "  pop %r9\n  pop %r8\n  pop %rcx\n  pop %rdx\n  pop %rsi\n  pop %rdi\n  pop %rbp\n  jmp *%r11\n")

#if defined(__x86_64__)
ENTRY("objc_msgSend", "0", "%rdi", "%rsi");
ENTRY("objc_msgSend_stret", "1", "%rsi", "%rdx"); /* the place of the result is the first argument */
#else
#error "the emulation sends messages on x86-64 only"
#endif

/* ---- objects ---- */

static object *objects;

object *object_new(const object_class *c) {
    object *o = calloc(1, c->size);
    if (!o) abort();
    *o = (object){.isa = c, .next = objects, .retained = 1};
    return objects = o;
}

object *object_retain(object *o) {
    if (o && !o->is_class) o->retained++;
    return o;
}

void object_release(object *o) {
    if (!o || o->is_class) return;
    if (o->gone) {
        emulation_fault("release sent to a %s that is deallocated", name_of(o));
        return;
    }
    if (--o->retained) return;
    if (o->isa->dealloc) o->isa->dealloc(o);
    o->gone = 1;
}

/* How many objects of each class there are: "MTLBuffer 2 ". */
const char *emulation_objects(void) {
    enum { CLASSES = 32 };
    static char text[2000];
    const object_class *seen[CLASSES] = {0};
    int counts[CLASSES] = {0}, i;
    for (object *o = objects; o; o = o->next) {
        for (i = 0; i < CLASSES - 1 && seen[i] && seen[i] != o->isa; i++) {}
        seen[i] = o->isa;
        counts[i] += !o->gone;
    }
    text[0] = 0;
    for (i = 0; i < CLASSES && seen[i]; i++) {
        size_t used = strlen(text);
        if (counts[i]) snprintf(text + used, sizeof text - used, "%s %d ", seen[i]->name, counts[i]);
    }
    return text;
}

/* ---- autorelease pools ---- */

static __thread object **waiting; /* NULL stands where a pool begins */
static __thread size_t n_waiting, room_waiting;

static void wait_for_pool(object *o) {
    if (n_waiting == room_waiting) {
        room_waiting = 2 * room_waiting + 64;
        waiting = realloc(waiting, room_waiting * sizeof *waiting);
        if (!waiting) abort();
    }
    waiting[n_waiting++] = o;
}

void *objc_autoreleasePoolPush(void) {
    wait_for_pool(NULL);
    return (void *)n_waiting;
}

void objc_autoreleasePoolPop(void *pool) {
    size_t place = (size_t)pool;
    if (!place || place > n_waiting || waiting[place - 1]) {
        emulation_fault("an autorelease pool that is not there is popped");
        return;
    }
    while (n_waiting >= place) object_release(waiting[--n_waiting]);
}

object *object_autorelease(object *o) {
    if (!n_waiting) emulation_fault("a %s is autoreleased without a pool: it leaks", name_of(o));
    else wait_for_pool(o);
    return o;
}

/* ---- Foundation ---- */

typedef struct string {
    object head;
    char *text;
} string;

typedef struct error {
    object head;
    long code;
    object *description;
} error;

static void string_dealloc(object *self) { free(((string *)self)->text); }
static void error_dealloc(object *self) { object_release(((error *)self)->description); }

CLASS(string_class, "NSString", string, string_dealloc);
CLASS(error_class, "NSError", error, error_dealloc);
CLASS(process_class, "NSProcessInfo", object, NULL);

const char *string_text(const object *self) { return ((const string *)self)->text; }

object *string_new(const char *text) {
    string *made = (string *)object_new(&string_class);
    made->text = strdup(text);
    return object_autorelease(&made->head);
}
static object *string_with(object *self, selector name, const char *text) { return (void)self, (void)name, string_new(text); }
static const char *utf8(object *self) { return string_text(self); }

object *error_new(long code, const char *text) {
    error *made = (error *)object_new(&error_class);
    made->code = code;
    made->description = object_retain(string_new(text));
    return &made->head;
}
static long error_code(object *self) { return ((error *)self)->code; }
static object *error_text(object *self) { return ((error *)self)->description; }

static object *process_info(void) {
    static object process = {.isa = &process_class, .retained = 1};
    return &process;
}
static object *make(const object_class *c) { return object_new(c); }
static object *same(object *self) { return self; }
static signed char responds(object *self, selector name, selector asked) {
    (void)name;
    return method_of(self, asked) != NULL;
}

static method methods[] = {
    {NULL, "alloc", "@@:", make, 1, 0, NULL},
    {NULL, "init", "@@:", same, 0, 0, NULL},
    {NULL, "retain", "@@:", object_retain, 0, 0, NULL},
    {NULL, "release", "v@:", object_release, 0, 0, NULL},
    {NULL, "respondsToSelector:", "c@::", responds, 0, 0, NULL},
    {&string_class, "stringWithUTF8String:", "@@:r*", string_with, 1, 0, NULL},
    {&string_class, "UTF8String", "r*@:", utf8, 0, 0, NULL},
    {&error_class, "code", "q@:", error_code, 0, 0, NULL},
    {&error_class, "localizedDescription", "@@:", error_text, 0, 0, NULL},
    {&process_class, "processInfo", "@@:", process_info, 1, 0, NULL},
    {&process_class, "operatingSystemVersion", "{?=qqq}@:", version, 0, 0, NULL},
};

__attribute__((constructor)) static void begin(void) { emulation_methods(methods, sizeof methods / sizeof *methods); }

const object_class *objc_getClass(const char *name) {
    for (int i = 0; i < MAX_TABLES && tables[i].first; i++)
        for (const method *m = tables[i].first; m < tables[i].first + tables[i].n; m++)
            if (m->owner && !strcmp(m->owner->name, name)) return m->owner;
    return NULL;
}

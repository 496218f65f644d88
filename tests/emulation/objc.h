/* An Objective-C runtime small enough to watch: classes are tables of methods in C, every object is known until the end
 * of the process, and what the real runtime lets pass, or what makes it abort, is a fault with a text. */
#ifndef EMULATION_OBJC_H
#define EMULATION_OBJC_H

#include <stddef.h>
#include <stdint.h>

typedef struct object_class object_class;

typedef struct object {
    const object_class *isa;
    struct object *next; /* of all objects */
    long retained;
    int is_class, gone;
} object;

struct object_class {
    object head;
    const char *name;
    size_t size;
    void (*dealloc)(object *self); /* NULL: nothing to do */
};

typedef const char *selector; /* equal names are one pointer */

typedef struct method {
    const object_class *owner; /* NULL: every object has it */
    const char *name;
    const char *types; /* as the compiler encodes them: the result, then @: and the arguments */
    void *run;
    int of_class;
    int since; /* the first macOS that has it; 0: all */
    selector registered;
} method;

void emulation_methods(method *table, size_t n);
void emulation_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));

object *object_new(const object_class *c); /* owned by the caller */
object *object_retain(object *o);
void object_release(object *o);
object *object_autorelease(object *o);

object *string_new(const char *text); /* autoreleased, as all that stringWith... gives */
const char *string_text(const object *string);
object *error_new(long code, const char *text);

selector sel_registerName(const char *name);

#define CLASS(variable, name, type, dealloc) \
    static const object_class variable = {{.is_class = 1}, name, sizeof(type), dealloc}

#endif

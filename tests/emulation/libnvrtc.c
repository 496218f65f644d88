/* A libnvrtc.so without a GPU: compiles CUDA C with the system's C++ compiler into a shared library, which libcuda.c
 * takes as a cubin. The headers beside this file stand at EMULATION_HEADERS; EMULATION_BUILD tells their state. Both are
 * set when it is compiled. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int nvrtcResult;
enum { OK = 0, OUT_OF_MEMORY = 1, INVALID_INPUT = 3, INVALID_PROGRAM = 4, INVALID_OPTION = 5, COMPILATION = 6 };

typedef struct program {
    char *text, *log, *binary;
    size_t log_bytes, binary_bytes;
} program;

nvrtcResult nvrtcVersion(int *major, int *minor) { return *major = 13, *minor = EMULATION_BUILD, OK; }

const char *nvrtcGetErrorString(nvrtcResult code) {
    static const char *const names[] = {
        "NVRTC_SUCCESS", "NVRTC_ERROR_OUT_OF_MEMORY", "NVRTC_ERROR_PROGRAM_CREATION_FAILURE", "NVRTC_ERROR_INVALID_INPUT",
        "NVRTC_ERROR_INVALID_PROGRAM", "NVRTC_ERROR_INVALID_OPTION", "NVRTC_ERROR_COMPILATION"};
    return code >= 0 && code <= COMPILATION ? names[code] : "NVRTC_ERROR unknown";
}

static const int architectures[] = {75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121};

nvrtcResult nvrtcGetNumSupportedArchs(int *n) { return *n = sizeof architectures / sizeof *architectures, OK; }
nvrtcResult nvrtcGetSupportedArchs(int *list) { return memcpy(list, architectures, sizeof architectures), OK; }

nvrtcResult nvrtcCreateProgram(program **made, const char *text, const char *name, int n_headers, const char **headers,
                               const char **names) {
    (void)name, (void)headers, (void)names;
    if (!text || n_headers) return INVALID_INPUT;
    program *p = calloc(1, sizeof *p);
    if (!p || !(p->text = strdup(text))) return free(p), OUT_OF_MEMORY;
    *made = p;
    return OK;
}
nvrtcResult nvrtcDestroyProgram(program **p) {
    free((*p)->text);
    free((*p)->log);
    free((*p)->binary);
    free(*p);
    *p = NULL;
    return OK;
}

/* ---- from device code to C++ ---- */

/* `extern __shared__ T name[];` is no C++: it becomes a pointer to the memory that the launch asked for. */
static void write_text(FILE *file, const char *text) {
    static const char mark[] = "extern __shared__ ";
    for (const char *at; (at = strstr(text, mark)); ) {
        const char *type = at + strlen(mark), *end = strchr(type, ';'), *bracket = memchr(type, '[', (size_t)(end - type));
        const char *name = bracket;
        while (name > type && name[-1] != ' ') name--;
        fwrite(text, 1, (size_t)(at - text), file);
        fprintf(file, "%.*s*%.*s = (%.*s*)emulation_here->dynamic;", (int)(name - type), type, (int)(bracket - name), name,
                (int)(name - type), type);
        text = end + 1;
    }
    fputs(text, file);
}

/* The name of a kernel is the word before the first parenthesis that does not belong to __launch_bounds__. */
static void write_entries(FILE *file, const char *text) {
    for (const char *at = text; (at = strstr(at, "__global__")); at++) {
        const char *from = strstr(at, "__launch_bounds__"), *open = strchr(at, '(');
        if (from && from < open) open = strchr(strchr(from, ')'), '(');
        const char *end = open;
        while (end[-1] == ' ') end--;
        const char *name = end;
        while (name > text && name[-1] != ' ') name--;
        fprintf(file, "EMULATED(%.*s)\n", (int)(end - name), name);
    }
}

static int write_source(const program *p, const char *path) {
    FILE *file = fopen(path, "w");
    if (!file) return -1;
    fputs("#include \"cuda.h\"\n#line 1 \"kernel.cu\"\n", file);
    write_text(file, p->text);
    fputs("\n", file);
    write_entries(file, p->text);
    fprintf(file, "extern \"C\" const int emulated_has_barriers = %d;\n", strstr(p->text, "__syncthreads") != NULL);
    return fclose(file);
}

static char *read_whole(const char *path, size_t *nbytes) {
    struct stat facts;
    FILE *file = fopen(path, "r");
    if (!file || fstat(fileno(file), &facts)) return NULL;
    char *data = calloc(1, (size_t)facts.st_size + 1);
    *nbytes = data ? fread(data, 1, (size_t)facts.st_size, file) : 0;
    fclose(file);
    return data;
}

static nvrtcResult compile(program *p, const char *folder, int exact) {
    char source[128], target[128], log[128], command[1024];
    snprintf(source, sizeof source, "%s/kernel.cpp", folder);
    snprintf(target, sizeof target, "%s/kernel.so", folder);
    snprintf(log, sizeof log, "%s/log", folder);
    if (write_source(p, source)) return OUT_OF_MEMORY;
    snprintf(command, sizeof command,
             "g++ -std=c++17 -O1 -w -shared -fPIC -fno-exceptions -fno-rtti -fno-math-errno %s -I '%s' -o %s %s -lm > %s 2>&1",
             exact ? "-ffp-contract=off" : "", EMULATION_HEADERS, target, source, log);
    int status = system(command);
    free(p->log);
    p->log = read_whole(log, &p->log_bytes);
    if (status == 0) p->binary = read_whole(target, &p->binary_bytes);
    unlink(source);
    unlink(target);
    unlink(log);
    return status ? COMPILATION : p->binary ? OK : OUT_OF_MEMORY;
}

nvrtcResult nvrtcCompileProgram(program *p, int n, const char *const *options) {
    char folder[] = "/tmp/helix-nvrtc-XXXXXX";
    int exact = 0, known = 0;
    for (int i = 0; i < n; i++) {
        int architecture = 0;
        if (!strcmp(options[i], "--fmad=false")) exact = 1;
        else if (sscanf(options[i], "--gpu-architecture=sm_%d", &architecture) == 1 ||
                 sscanf(options[i], "--gpu-architecture=compute_%d", &architecture) == 1)
            for (size_t k = 0; k < sizeof architectures / sizeof *architectures; k++) known |= architectures[k] == architecture;
        else if (strncmp(options[i], "--", 2)) return INVALID_OPTION;
    }
    if (!known) return INVALID_OPTION;
    if (!mkdtemp(folder)) return OUT_OF_MEMORY;
    nvrtcResult result = compile(p, folder, exact);
    rmdir(folder);
    return result;
}

nvrtcResult nvrtcGetProgramLogSize(program *p, size_t *nbytes) { return *nbytes = p->log_bytes + 1, OK; }
nvrtcResult nvrtcGetProgramLog(program *p, char *log) {
    return memcpy(log, p->log ? p->log : "", p->log_bytes + 1), OK;
}
nvrtcResult nvrtcGetCUBINSize(program *p, size_t *nbytes) { return *nbytes = p->binary_bytes, p->binary ? OK : INVALID_PROGRAM; }
nvrtcResult nvrtcGetCUBIN(program *p, char *binary) { return memcpy(binary, p->binary, p->binary_bytes), OK; }
/* What the driver would translate is here what it runs. */
nvrtcResult nvrtcGetPTXSize(program *p, size_t *nbytes) { return nvrtcGetCUBINSize(p, nbytes); }
nvrtcResult nvrtcGetPTX(program *p, char *text) { return nvrtcGetCUBIN(p, text); }

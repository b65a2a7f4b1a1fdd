/* See object.h. Everything is made in a folder of its own beside the result and renamed at the end,
 * the header after the object. */
#include "compiler/object/object.h"

#include "compiler/codegen/build.h"
#include "compiler/object/internal.h"
#include "runtime/atomic_file.h"

#include <llvm-c/Core.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The linker's inputs while they are collected. */
typedef struct Pieces {
    const CvmObject *object;
    const char *folder;
    CvmArena *arena;
    CvmDiag *diag;
    const char **paths, **symbols; /* of the kernels; other pieces have no symbol */
    int count;
} Pieces;

bool cvm_object_fail(CvmDiag *diag, int code, const char *hint, const char *format, ...) {
    va_list arguments;
    char message[1024];
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    diag->machine_at_fault = true;
    return cvm_diag_error(diag, code, (CvmSpan){0}, NULL, hint, "%s", message);
}

bool cvm_plans_call_blas(const CvmObjectPlan *plans, int count) {
    for (int i = 0; i < count; i++) {
        const CvmKernelList *list = cvm_executable_kernels(plans[i].executable);
        for (int k = 0; k < list->count; k++)
            if (list->kernels[k]->form == CVM_KERNEL_BLAS)
                return true;
    }
    return false;
}

const char *cvm_object_prefix(const char *name, CvmArena *arena) {
    char *prefix =
        cvm_arena_format(arena, "%s%s", isdigit((unsigned char)name[0]) ? "_" : "", name);
    for (char *c = prefix; *c; c++)
        if (!isalnum((unsigned char)*c) || (unsigned char)*c > 0x7F)
            *c = '_';
    return prefix;
}

const char *const *cvm_object_functions(const CvmObject *object, int *count) {
    static const char *const names[] = {
#define INFERENCE(name) #name,
#define TRAINING(name)
#include "runtime/net/functions.def"
#undef INFERENCE
#undef TRAINING
#define INFERENCE(name)
#define TRAINING(name) #name,
#include "runtime/net/functions.def"
#undef INFERENCE
#undef TRAINING
    };
    enum {
        TRAINING_COUNT = 0
#define INFERENCE(name)
#define TRAINING(name) +1
#include "runtime/net/functions.def"
#undef INFERENCE
#undef TRAINING
    };
    *count = sizeof names / sizeof *names - (object->about->train_batch ? 0 : TRAINING_COUNT);
    return names;
}

const char *cvm_object_put(const char *folder, const char *name, const void *bytes, size_t size,
                           CvmArena *arena, CvmDiag *diag) {
    const char *path = cvm_arena_format(arena, "%s/%s", folder, name);
    FILE *stream = fopen(path, "wbe");
    bool written = stream && fwrite(bytes, 1, size, stream) == size;
    if (stream)
        written &= fclose(stream) == 0;
    if (written)
        return path;
    cvm_object_fail(diag, 1804, NULL, "cannot write %s: %s", path, strerror(errno));
    return NULL;
}

/* --- pieces --- */

static bool add_piece(Pieces *pieces, const char *symbol, const char *name, const void *bytes,
                      size_t size) {
    const char *path =
        cvm_object_put(pieces->folder, name, bytes, size, pieces->arena, pieces->diag);
    pieces->symbols[pieces->count] = symbol;
    pieces->paths[pieces->count++] = path;
    return path != NULL;
}

static bool has_symbol(const Pieces *pieces, const char *symbol) {
    for (int i = 0; i < pieces->count; i++)
        if (pieces->symbols[i] && strcmp(pieces->symbols[i], symbol) == 0)
            return true;
    return false;
}

/* Kernels that several plans share are taken once. */
static bool add_kernels(Pieces *pieces, const CvmExecutable *executable) {
    const CvmCode *code = cvm_executable_code(executable);
    for (int i = 0; i < cvm_code_kernels(code); i++) {
        size_t size;
        const char *symbol = cvm_code_symbol(code, i);
        const void *bytes = cvm_code_object(code, i, &size);
        if (!has_symbol(pieces, symbol) &&
            !add_piece(pieces, symbol, cvm_arena_format(pieces->arena, "%s.o", symbol), bytes,
                       size))
            return false;
    }
    return true;
}

static bool add_module(Pieces *pieces, bool with_kernels) {
    LLVMMemoryBufferRef buffer = cvm_object_module(pieces->object, with_kernels, CVM_CODE_OBJECT,
                                                   pieces->arena, pieces->diag);
    if (!buffer)
        return false;
    bool done = add_piece(pieces, NULL, "description.o", LLVMGetBufferStart(buffer),
                          LLVMGetBufferSize(buffer));
    LLVMDisposeMemoryBuffer(buffer);
    return done;
}

static bool add_runtime(Pieces *pieces) {
    CvmEmbedded runtime = cvm_embedded_runtime();
    return add_piece(pieces, NULL, "runtime.o", runtime.bytes, runtime.size);
}

static bool collect(Pieces *pieces) {
    const CvmObject *object = pieces->object;
    size_t room = 3;
    for (int i = 0; i < object->plan_count; i++)
        room += (size_t)cvm_code_kernels(cvm_executable_code(object->plans[i].executable));
    pieces->paths = cvm_arena_array(pieces->arena, room, sizeof *pieces->paths);
    pieces->symbols = cvm_arena_array(pieces->arena, room, sizeof *pieces->symbols);
    if (!add_module(pieces, false) || !add_runtime(pieces))
        return false;
    for (int i = 0; i < object->plan_count; i++)
        if (!add_kernels(pieces, object->plans[i].executable))
            return false;
    return true;
}

/* --- results --- */

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool put_in_place(const char *from, const char *to, CvmDiag *diag) {
    return rename(from, to) == 0 ||
           cvm_object_fail(diag, 1804, NULL, "cannot write %s: %s", to, strerror(errno));
}

static bool write_file(const char *path, const void *bytes, size_t size, CvmDiag *diag) {
    CvmAtomicFile file;
    CvmError error;
    if (!cvm_atomic_file_open(path, &file, &error))
        return cvm_object_fail(diag, 1804, NULL, "%s", error.message);
    cvm_atomic_file_write(&file, bytes, size);
    return cvm_atomic_file_commit(&file, &error) ||
           cvm_object_fail(diag, 1804, NULL, "%s", error.message);
}

static bool write_header(const CvmObject *object, CvmObjectForm form, CvmArena *arena,
                         CvmDiag *diag) {
    const char *text = cvm_object_header(object, form, arena);
    return write_file(cvm_arena_format(arena, "%s.h", object->path), text, strlen(text), diag);
}

static bool link_pieces(Pieces *pieces, CvmObjectForm form) {
    const CvmObject *object = pieces->object;
    CvmArena *arena = pieces->arena;
    bool shared = form == CVM_OBJECT_SHARED;
    const char *result = cvm_arena_format(arena, shared ? "%s.so" : "%s.a", object->path);
    CvmLinking linking = {.folder = pieces->folder,
                          .inputs = pieces->paths,
                          .input_count = pieces->count,
                          .output = cvm_arena_format(arena, "%s/result", pieces->folder),
                          .name = base_name(result),
                          .prefix = object->prefix,
                          .blas = cvm_plans_call_blas(object->plans, object->plan_count),
                          .symbols = object->symbols};
    linking.functions = cvm_object_functions(object, &linking.function_count);
    return (shared ? cvm_object_link : cvm_object_archive)(&linking, arena, pieces->diag) &&
           put_in_place(linking.output, result, pieces->diag);
}

/* What needs no linker: the code in one file, and the runtime beside it. */
static bool write_code(const CvmObject *object, CvmObjectForm form, CvmArena *arena,
                       CvmDiag *diag) {
    static const struct {
        CvmCodeForm form;
        const char *ending;
    } rows[] = {
        [CVM_OBJECT_OBJECT] = {CVM_CODE_OBJECT, "o"},
        [CVM_OBJECT_ASM] = {CVM_CODE_ASSEMBLY, "s"},
        [CVM_OBJECT_LLVM] = {CVM_CODE_LLVM, "ll"},
    };
    LLVMMemoryBufferRef buffer = cvm_object_module(object, true, rows[form].form, arena, diag);
    CvmEmbedded runtime = cvm_embedded_runtime();
    if (!buffer)
        return false;
    bool done = write_file(cvm_arena_format(arena, "%s.%s", object->path, rows[form].ending),
                           LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer), diag);
    LLVMDisposeMemoryBuffer(buffer);
    return done && write_file(cvm_arena_format(arena, "%s-runtime.o", object->path), runtime.bytes,
                              runtime.size, diag);
}

static void remove_folder(const char *folder, CvmArena *arena) {
    DIR *stream = opendir(folder);
    for (struct dirent *entry; stream && (entry = readdir(stream));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlink(cvm_arena_format(arena, "%s/%s", folder, entry->d_name));
    if (stream)
        closedir(stream);
    rmdir(folder);
}

bool cvm_object_write(const CvmObject *object, CvmObjectForm form, CvmArena *arena, CvmDiag *diag) {
    char *folder = cvm_arena_format(arena, "%s.XXXXXX", object->path);
    if (form >= CVM_OBJECT_OBJECT)
        return write_code(object, form, arena, diag) && write_header(object, form, arena, diag);
    if (!mkdtemp(folder))
        return cvm_object_fail(diag, 1804, NULL, "cannot write %s: %s", object->path,
                               strerror(errno));
    Pieces pieces = {.object = object, .folder = folder, .arena = arena, .diag = diag};
    bool done =
        collect(&pieces) && link_pieces(&pieces, form) && write_header(object, form, arena, diag);
    remove_folder(folder, arena);
    return done;
}

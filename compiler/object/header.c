/* See object.h: the model's header is runtime/net/net.h with the model's prefix for the runtime's,
 * and with what is known of the model written into its marked places. */
#include "compiler/object/internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* A word of the text and what stands for it. */
typedef struct Change {
    const char *from, *to;
} Change;

static char *upper(const char *text, CvmArena *arena) {
    char *copy = cvm_arena_copy(arena, text, strlen(text));
    for (char *c = copy; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    return copy;
}

static char *constants(const CvmObject *object, CvmArena *arena) {
    const CvmNetDescription *about = object->about;
    const int64_t *sizes = about->input.sizes;
    return cvm_arena_format(arena,
                            "\n/* Of one image, the input \"%s\": f32 [channels, height, width] in "
                            "row-major order; and how "
                            "many\n * classes there are. */\n"
                            "#define CVM_NET_CHANNELS %" PRId64 "\n#define CVM_NET_HEIGHT %" PRId64
                            "\n#define CVM_NET_WIDTH %" PRId64
                            "\n#define CVM_NET_INPUT_ELEMENTS %" PRId64
                            "\n#define CVM_NET_CLASSES %d\n",
                            about->codes[0].inferences[0]->inputs[0].name, sizes[0], sizes[1],
                            sizes[2], sizes[0] * sizes[1] * sizes[2], about->classes);
}

/* How a program is linked with what was written. */
static char *linking(const CvmObject *object, CvmObjectForm form, CvmArena *arena) {
    static const char *const endings[] = {
        [CVM_OBJECT_SHARED] = "so", [CVM_OBJECT_STATIC] = "a", [CVM_OBJECT_OBJECT] = "o",
        [CVM_OBJECT_ASM] = "s",     [CVM_OBJECT_LLVM] = "ll",
    };
    const char *slash = strrchr(object->path, '/');
    const char *name = slash ? slash + 1 : object->path;
    const char *with = cvm_plans_call_blas(object->plans, object->plan_count)
                           ? " -lopenblas -lm -lpthread"
                           : " -lm -lpthread";
    if (form == CVM_OBJECT_SHARED)
        with = " -Wl,-rpath,'$ORIGIN'"; /* found beside the program */
    else if (form != CVM_OBJECT_STATIC)
        with = cvm_arena_format(arena, " %s-runtime.o%s", name, with);
    return cvm_arena_format(arena, "\n * To link it: %s main.c ./%s.%s%s -o main\n *",
                            form == CVM_OBJECT_LLVM ? "clang" : "cc", name, endings[form], with);
}

static char *batches(const CvmObject *object, CvmArena *arena) {
    const CvmNetCode *code = &object->about->codes[0];
    char *text = cvm_arena_copy(arena, "", 0);
    for (int i = 0; i < code->inference_count; i++)
        text = cvm_arena_format(arena, "%s%s%" PRId64, text, i ? " and then of " : "",
                                code->inferences[i]->inputs[0].shape.sizes[0]);
    const char *blas = cvm_plans_call_blas(object->plans, object->plan_count)
                           ? "\n * A run sets OpenBLAS to one thread, for the whole program: its "
                             "own share the work."
                           : "";
    return cvm_arena_format(
        arena, "%s.%s\n * BAD_ARGUMENT, BAD_ORDER: it runs on another thread. */", text, blas);
}

static const char *packed(const CvmObject *object) {
    return object->about->packed ? "\n * What the code makes of the weights is kept beside them, "
                                   "in path.packed, as by\n"
                                   " * cvm_net_open_packed(path, NULL, ...)."
                                 : "";
}

static char *preparation(const CvmObject *object, CvmArena *arena) {
    const CvmPreparation *how = &object->about->preparation;
    char *text = cvm_arena_copy(arena, "", 0);
    if (how->short_side)
        text = cvm_arena_format(arena, "scaled until its short\n * side has %d pixels, ",
                                how->short_side);
    else if (how->resize_height)
        text = cvm_arena_format(arena, "scaled to %d x %d pixels,\n * ", how->resize_width,
                                how->resize_height);
    if (how->crop_height)
        text = cvm_arena_format(arena, "%sits middle of %d x %d pixels cut out,\n * ", text,
                                how->crop_width, how->crop_height);
    if (!*text)
        text = cvm_arena_format(arena, "it must have its size;\n * its pixels are ");
    return cvm_arena_format(arena, "%snormalized.", text);
}

/* The marked part of train.h. */
static char *training(const CvmObject *object, CvmArena *arena) {
    CvmEmbedded text = cvm_embedded_training_header();
    static const char begin[] = "/* @BEGIN@ */", end[] = "/* @END@ */";
    const char *from = strstr(text.bytes, begin) + sizeof begin - 1;
    return cvm_arena_format(arena, "\n#define CVM_NET_TRAIN_BATCH %" PRId64 "\n%.*s",
                            object->about->train_batch, (int)(strstr(from, end) - from), from);
}

static char *about_text(const CvmObject *object, CvmArena *arena) {
    return cvm_arena_format(arena, "%s, compiled by cvm %s: an image classifier of %d classes.",
                            object->about->name, CVM_VERSION, object->about->classes);
}

/* The change whose word begins at the text; NULL where none does. */
static const Change *find(const Change *changes, int count, const char *at, const char *end) {
    for (int i = 0; i < count; i++) {
        size_t length = strlen(changes[i].from);
        if ((size_t)(end - at) >= length && memcmp(at, changes[i].from, length) == 0)
            return &changes[i];
    }
    return NULL;
}

/* Writes the changed text to `to` unless that is NULL; its length. */
static size_t expand(const char *text, size_t size, const Change *changes, int count, char *to) {
    size_t used = 0;
    for (const char *at = text, *end = text + size; at < end;) {
        const Change *change = find(changes, count, at, end);
        const char *piece = change ? change->to : at;
        size_t length = change ? strlen(change->to) : 1;
        if (to)
            memcpy(to + used, piece, length);
        used += length;
        at += change ? strlen(change->from) : 1;
    }
    return used;
}

static char *replace(const char *text, size_t size, const Change *changes, int count,
                     CvmArena *arena) {
    size_t length = expand(text, size, changes, count, NULL);
    char *result = cvm_arena_alloc(arena, length + 1);
    expand(text, size, changes, count, result);
    result[length] = '\0';
    return result;
}

char *cvm_object_header(const CvmObject *object, CvmObjectForm form, CvmArena *arena) {
    const CvmNetDescription *about = object->about;
    CvmEmbedded template = cvm_embedded_header();
    const Change places[] = {
        {"@ABOUT@", about_text(object, arena)},
        {"/* @CONSTANTS@ */", constants(object, arena)},
        {"@LINKING@", linking(object, form, arena)},
        {"@PACKED@", packed(object)},
        {"@PREPARATION@", preparation(object, arena)},
        {"@BATCHES@ */", batches(object, arena)},
        {"/* @TRAINING@ */", about->train_batch ? training(object, arena) : ""},
    };
    const Change names[] = {
        {"cvm_net_", cvm_arena_format(arena, "%s_", object->prefix)},
        {"CVM_NET_", cvm_arena_format(arena, "%s_", upper(object->prefix, arena))},
    };
    char *text =
        replace(template.bytes, template.size, places, sizeof places / sizeof *places, arena);
    return replace(text, strlen(text), names, sizeof names / sizeof *names, arena);
}

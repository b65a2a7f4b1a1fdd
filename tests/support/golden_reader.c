/* See golden_reader.h, and golden.h for the folder. */
#include "tests/support/golden_reader.h"

#include <ctype.h>
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char ending[] = ".safetensors";

static bool ends_well(const char *name) {
    size_t length = strlen(name), tail = sizeof ending - 1;
    return length > tail && !strcmp(name + length - tail, ending);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *folder_path(CvmArena *arena) {
    const char *given = getenv("CVM_GOLDEN"), *sources = getenv("CVM_SOURCE_DIR");
    if (given && *given)
        return given;
    return cvm_arena_format(arena, "%s/../shared/golden", sources ? sources : ".");
}

CvmGoldenFolder cvm_golden_folder(CvmArena *arena) {
    enum { MOST = 1024 };
    CvmGoldenFolder folder = {.path = folder_path(arena),
                              .paths = cvm_arena_array(arena, MOST, sizeof(char *))};
    DIR *stream = opendir(folder.path);
    if (!stream)
        fail_msg("the reference values are missing: there is no folder %s; name one by "
                 "CVM_GOLDEN",
                 folder.path);
    for (const struct dirent *entry; (entry = readdir(stream)) && folder.count < MOST;)
        if (ends_well(entry->d_name))
            folder.paths[folder.count++] =
                cvm_arena_format(arena, "%s/%s", folder.path, entry->d_name);
    closedir(stream);
    if (folder.count == 0)
        fail_msg("the reference values are missing: no *%s in %s", ending, folder.path);
    qsort(folder.paths, (size_t)folder.count, sizeof *folder.paths, by_name);
    return folder;
}

static char *copy(CvmArena *arena, const char *text) {
    return cvm_arena_copy(arena, text, strlen(text));
}

/* Whole numbers become i32, all else f32. */
static CvmGoldenTensor read_tensor(const CvmFileTensor *from, CvmArena *arena) {
    bool whole = from->dtype == CVM_FILE_I64 || from->dtype == CVM_FILE_I32;
    CvmGoldenTensor tensor = {
        .name = copy(arena, from->name),
        .dtype = whole ? CVM_I32 : CVM_F32,
        .shape = from->shape,
    };
    cvm_shape_count(&from->shape, &tensor.count); /* checked by the reader */
    void *elements = cvm_arena_array(arena, (size_t)tensor.count, 4);
    CvmError error;
    if (whole ? !cvm_file_tensor_read_i32(from, elements, &error)
              : !cvm_file_tensor_read_f32(from, elements, &error))
        fail_msg("%s: %s", from->name, error.message);
    tensor.elements = elements;
    return tensor;
}

static char *base_name(const char *path, CvmArena *arena) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t length = strlen(name) - (ends_well(name) ? sizeof ending - 1 : 0);
    return cvm_arena_copy(arena, name, length);
}

CvmGoldenInput cvm_golden_input(const char *path, CvmArena *arena) {
    CvmTensorFile file;
    CvmError error;
    if (!cvm_tensor_file_open(path, &file, &error))
        fail_msg("%s", error.message);
    CvmGoldenInput input = {
        .name = base_name(path, arena),
        .tensors = cvm_arena_array(arena, (size_t)file.count + 1, sizeof *input.tensors),
        .metadata = cvm_arena_array(arena, (size_t)file.metadata_count + 1, sizeof(CvmFileText)),
        .tensor_count = file.count,
        .metadata_count = file.metadata_count,
    };
    for (int i = 0; i < file.count; i++)
        input.tensors[i] = read_tensor(&file.tensors[i], arena);
    for (int i = 0; i < file.metadata_count; i++)
        input.metadata[i] =
            (CvmFileText){copy(arena, file.metadata[i].key), copy(arena, file.metadata[i].value)};
    cvm_tensor_file_close(&file);
    return input;
}

const CvmGoldenTensor *cvm_golden_tensor(const CvmGoldenInput *input, const char *name) {
    for (int i = 0; i < input->tensor_count; i++)
        if (!strcmp(input->tensors[i].name, name))
            return &input->tensors[i];
    return NULL;
}

const char *cvm_golden_text(const CvmGoldenInput *input, const char *key) {
    for (int i = 0; i < input->metadata_count; i++)
        if (!strcmp(input->metadata[i].key, key))
            return input->metadata[i].value;
    return NULL;
}

double cvm_golden_number(const CvmGoldenInput *input, const char *key) {
    const char *text = cvm_golden_text(input, key);
    char *end = NULL;
    double number = text ? strtod(text, &end) : 0;
    if (!text || end == text || *end)
        fail_msg("%s: its metadata gives no number '%s'", input->name, key);
    return number;
}

int cvm_golden_integers(const char *text, int64_t *numbers) {
    int count = 0;
    for (const char *at = text; *at;) {
        if (strchr("[](), x", *at)) {
            at++;
            continue;
        }
        char *end;
        if (!isdigit((unsigned char)*at) || count == 4)
            return 0;
        numbers[count++] = strtoll(at, &end, 10);
        at = end;
    }
    return count;
}

/* See safetensors.h: writing. The header is padded with spaces so that the data begins at a
 * multiple of 64 bytes. */
#include "runtime/safetensors.h"

#include "runtime/atomic_file.h"
#include "runtime/filters.h"
#include "runtime/text.h"

#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, DATA_ALIGNMENT = 64 };

static void print_string(FILE *stream, const char *text) {
    fputc('"', stream);
    for (const unsigned char *byte = (const unsigned char *)text; *byte; byte++) {
        if (*byte == '"' || *byte == '\\')
            fprintf(stream, "\\%c", *byte);
        else if (*byte < 0x20)
            fprintf(stream, "\\u%04x", *byte);
        else
            fputc(*byte, stream);
    }
    fputc('"', stream);
}

static void print_metadata(FILE *stream, const CvmFileText *metadata, int count) {
    fputs("\"__metadata__\":{", stream);
    for (int i = 0; i < count; i++) {
        fputs(i ? "," : "", stream);
        print_string(stream, metadata[i].key);
        fputc(':', stream);
        print_string(stream, metadata[i].value);
    }
    fputc('}', stream);
}

static void print_tensor(FILE *stream, const CvmFileTensor *tensor, int64_t offset) {
    print_string(stream, tensor->name);
    fprintf(stream, ":{\"dtype\":\"%s\",\"shape\":[", cvm_file_dtype_name(tensor->dtype));
    for (int i = 0; i < tensor->shape.rank; i++)
        fprintf(stream, "%s%lld", i ? "," : "", (long long)tensor->shape.sizes[i]);
    fprintf(stream, "],\"data_offsets\":[%lld,%lld]}", (long long)offset,
            (long long)(offset + tensor->bytes));
}

/* The header's text, padded; NULL without memory. The caller frees it. */
static char *make_header(const CvmFileTensor *tensors, int count, const CvmFileText *metadata,
                         int metadata_count, size_t *size) {
    char *text = NULL;
    FILE *stream = open_memstream(&text, size);
    if (!stream)
        return NULL;
    fputc('{', stream);
    if (metadata_count > 0)
        print_metadata(stream, metadata, metadata_count);
    int64_t offset = 0;
    for (int i = 0; i < count; i++) {
        fputs(i > 0 || metadata_count > 0 ? "," : "", stream);
        print_tensor(stream, &tensors[i], offset);
        offset += tensors[i].bytes;
    }
    fputc('}', stream);
    while ((ftell(stream) + LENGTH_BYTES) % DATA_ALIGNMENT != 0)
        fputc(' ', stream);
    if (fclose(stream) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static bool check_tensors(const CvmFileTensor *tensors, int count, CvmError *error) {
    for (int i = 0; i < count; i++) {
        int64_t elements, bytes;
        if (!cvm_shape_count(&tensors[i].shape, &elements) ||
            __builtin_mul_overflow(elements, cvm_file_dtype_bytes(tensors[i].dtype), &bytes) ||
            bytes != tensors[i].bytes)
            return cvm_error_set(error, CVM_ERROR_INPUT,
                                 "tensor '%s' has a shape that does not fit its data",
                                 cvm_shown(tensors[i].name).text);
    }
    return true;
}

static int64_t largest_packed(const CvmFileTensor *tensors, int count) {
    int64_t largest = 0;
    for (int i = 0; i < count; i++)
        if (tensors[i].lanes && tensors[i].bytes > largest)
            largest = tensors[i].bytes;
    return largest;
}

/* plain: room for any of those that are packed. */
static void write_tensors(CvmAtomicFile *file, const CvmFileTensor *tensors, int count,
                          float *plain) {
    for (int i = 0; i < count; i++) {
        const CvmFileTensor *tensor = &tensors[i];
        if (tensor->lanes)
            cvm_filters_unpack(&tensor->shape, tensor->lanes, tensor->data, plain);
        cvm_atomic_file_write(file, tensor->lanes ? plain : tensor->data, (size_t)tensor->bytes);
    }
}

bool cvm_tensor_file_write(const char *path, const CvmFileTensor *tensors, int count,
                           const CvmFileText *metadata, int metadata_count, CvmError *error) {
    CvmAtomicFile file;
    size_t size;
    if (!check_tensors(tensors, count, error))
        return false;
    char *header = make_header(tensors, count, metadata, metadata_count, &size);
    float *plain = malloc((size_t)largest_packed(tensors, count) + 1);
    bool done = header && plain;
    if (!done)
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to write %.800s", path);
    else
        done = cvm_atomic_file_open(path, &file, error);
    if (done) {
        uint64_t length = size;
        cvm_atomic_file_write(&file, &length, sizeof length);
        cvm_atomic_file_write(&file, header, size);
        write_tensors(&file, tensors, count, plain);
        done = cvm_atomic_file_commit(&file, error);
    }
    free(plain);
    free(header);
    return done;
}

/* See dataset.h: reading IDX files. An IDX file is a big-endian magic number whose last byte is the
 * number of dimensions, the dimensions' sizes, and the bytes. zlib reads plain and gzip files
 * alike.
 *
 * The sizes in a header are claims: memory for the bytes grows as they really arrive, so that a
 * small file that claims to be huge costs nothing. */
#include "runtime/dataset.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    IMAGES_MAGIC = 0x803,
    LABELS_MAGIC = 0x801,
    MAX_DIMENSIONS = 3,
    FIRST_BYTES = 1 << 20, /* the first allocation; doubled as bytes arrive */
    BUFFER_BYTES = 1 << 17,
};

static const int64_t MAX_BYTES = (int64_t)1 << 32; /* of pictures in one file */

/* An IDX file's content. */
typedef struct Idx {
    uint32_t sizes[MAX_DIMENSIONS];
    uint8_t *bytes;
    int64_t size;
} Idx;

/* An open file and its name for messages. */
typedef struct Source {
    char *path;
    gzFile stream;
} Source;

static bool read_error(const char *path, int reason, CvmError *error) {
    return cvm_error_set(error, CVM_ERROR_MACHINE, "cannot read %.800s: %s", path,
                         strerror(reason));
}

static bool wrong(const Source *source, const char *what, CvmError *error) {
    return cvm_error_set(error, CVM_ERROR_INPUT, "%.800s %s", source->path, what);
}

/* The descriptor of a regular file, or -1 with errno set. */
static int open_regular(const char *path) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status = {0};
    if (descriptor < 0)
        return -1;
    if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode))
        return descriptor;
    close(descriptor);
    errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    return -1;
}

/* Opens path, or path.gz where only that exists. */
static bool source_open(const char *path, Source *source, CvmError *error) {
    size_t size = strlen(path) + sizeof ".gz";
    *source = (Source){.path = malloc(size)};
    if (!source->path)
        return read_error(path, ENOMEM, error);
    strcpy(source->path, path);
    int descriptor = open_regular(source->path);
    if (descriptor < 0 && errno == ENOENT) {
        strcat(source->path, ".gz");
        descriptor = open_regular(source->path);
        if (descriptor < 0 && errno == ENOENT)
            source->path[strlen(path)] = '\0';
    }
    if (descriptor >= 0) {
        source->stream = gzdopen(descriptor, "rb");
        if (source->stream) {
            gzbuffer(source->stream, BUFFER_BYTES);
            return true;
        }
        close(descriptor);
        errno = ENOMEM;
    }
    read_error(source->path, errno, error);
    free(source->path);
    return false;
}

static void source_close(Source *source) {
    gzclose_r(source->stream);
    free(source->path);
}

/* Why less arrived than was asked for. */
static bool short_read(const Source *source, CvmError *error) {
    int code = Z_OK;
    gzerror(source->stream, &code);
    if (code == Z_ERRNO)
        return read_error(source->path, errno, error);
    if (code == Z_MEM_ERROR)
        return read_error(source->path, ENOMEM, error);
    if (code == Z_DATA_ERROR)
        return wrong(source, "is damaged: its gzip data is not valid", error);
    return wrong(source, "is truncated: it ends before its header says", error);
}

/* Exactly `size` bytes, at most 2^30. */
static bool read_bytes(const Source *source, void *bytes, int64_t size, CvmError *error) {
    int got = gzread(source->stream, bytes, (unsigned)size);
    return got == size || short_read(source, error);
}

static uint32_t big_endian(const uint8_t bytes[4]) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Reads magic and sizes; the number of bytes that must follow goes to idx->size. */
static bool read_header(const Source *source, uint32_t magic, Idx *idx, CvmError *error) {
    int dimensions = magic & 0xFF;
    uint8_t header[4 + 4 * MAX_DIMENSIONS];
    if (!read_bytes(source, header, 4, error))
        return false;
    if (big_endian(header) != magic)
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "%.800s is not an IDX file of %s: it begins with 0x%08x, not 0x%08x",
                             source->path, magic == IMAGES_MAGIC ? "pictures" : "labels",
                             big_endian(header), magic);
    if (!read_bytes(source, header + 4, 4 * dimensions, error))
        return false;
    idx->size = 1;
    for (int i = 0; i < dimensions; i++) {
        idx->sizes[i] = big_endian(header + 4 + 4 * i);
        if (__builtin_mul_overflow(idx->size, (int64_t)idx->sizes[i], &idx->size) ||
            idx->size > MAX_BYTES)
            return wrong(source, "claims to hold more than 4 GiB", error);
    }
    if (idx->sizes[0] == 0)
        return wrong(source, "holds no samples", error);
    if (idx->sizes[0] > INT32_MAX)
        return wrong(source, "claims to hold more than 2^31 samples", error);
    return true;
}

static bool read_body(const Source *source, Idx *idx, CvmError *error) {
    for (int64_t done = 0, room = FIRST_BYTES; done < idx->size; room *= 2) {
        int64_t end = room < idx->size ? room : idx->size;
        uint8_t *grown = realloc(idx->bytes, (size_t)end);
        if (!grown)
            return read_error(source->path, ENOMEM, error);
        idx->bytes = grown;
        while (done < end) {
            int64_t part = end - done < 1 << 30 ? end - done : 1 << 30;
            if (!read_bytes(source, idx->bytes + done, part, error))
                return false;
            done += part;
        }
    }
    return true;
}

/* Reading on to the end also makes zlib look for the checksum and compare it. */
static bool check_end(const Source *source, CvmError *error) {
    uint8_t byte;
    int code = Z_OK;
    if (gzread(source->stream, &byte, 1) > 0)
        return wrong(source, "is longer than its header says", error);
    gzerror(source->stream, &code);
    return code == Z_OK || short_read(source, error);
}

static bool read_idx(const Source *source, uint32_t magic, Idx *idx, CvmError *error) {
    *idx = (Idx){0};
    if (read_header(source, magic, idx, error) && read_body(source, idx, error) &&
        check_end(source, error))
        return true;
    free(idx->bytes);
    idx->bytes = NULL;
    return false;
}

/* Reads the pictures into *dataset. */
static bool read_images(const Source *source, CvmShape image, CvmDataset *dataset,
                        CvmError *error) {
    Idx idx;
    if (!read_idx(source, IMAGES_MAGIC, &idx, error))
        return false;
    if (image.rank != 3 || image.sizes[0] != 1 || image.sizes[1] != idx.sizes[1] ||
        image.sizes[2] != idx.sizes[2]) {
        char wanted[128];
        free(idx.bytes);
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "%.600s holds pictures of [1, %u, %u], where %s are needed",
                             source->path, idx.sizes[1], idx.sizes[2],
                             cvm_shape_text(&image, wanted, sizeof wanted));
    }
    dataset->count = idx.sizes[0];
    dataset->channels = 1;
    dataset->height = (int)idx.sizes[1];
    dataset->width = (int)idx.sizes[2];
    dataset->pixels = idx.bytes;
    return true;
}

/* Reads the labels of the pictures that *dataset has. */
static bool read_labels(const Source *source, int classes, CvmDataset *dataset, CvmError *error) {
    Idx idx;
    if (!read_idx(source, LABELS_MAGIC, &idx, error))
        return false;
    dataset->labels = idx.bytes;
    dataset->classes = classes;
    if (idx.sizes[0] != dataset->count)
        return cvm_error_set(error, CVM_ERROR_INPUT, "%.800s holds %u labels for %lld pictures",
                             source->path, idx.sizes[0], (long long)dataset->count);
    for (int64_t i = 0; i < idx.size; i++)
        if (idx.bytes[i] >= classes)
            return cvm_error_set(error, CVM_ERROR_INPUT,
                                 "%.800s: label %d of sample %lld is outside of 0 to %d",
                                 source->path, idx.bytes[i], (long long)i, classes - 1);
    return true;
}

bool cvm_dataset_read_idx(const char *images, const char *labels, CvmShape image, int classes,
                          CvmDataset *dataset, CvmError *error) {
    Source source;
    *dataset = (CvmDataset){0};
    if (!source_open(images, &source, error))
        return false;
    bool done = read_images(&source, image, dataset, error);
    source_close(&source);
    if (!done)
        return false;
    done = source_open(labels, &source, error);
    if (done) {
        done = read_labels(&source, classes, dataset, error);
        source_close(&source);
    }
    if (!done)
        cvm_dataset_free(dataset);
    return done;
}

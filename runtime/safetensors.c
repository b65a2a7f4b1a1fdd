/* See safetensors.h. Reading: the header is parsed as JSON of bounded
 * depth and size, then every entry is checked by itself, then all of them together: sorted by where
 * their data begins, the tensors must cover the data exactly, one after the other. Writing is in
 * safetensors_write.c, conversion of elements in safetensors_read.c. */
#include "runtime/safetensors.h"

#include "runtime/json.h"
#include "runtime/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian");

enum {
    LENGTH_BYTES = 8,
    MAX_HEADER_BYTES = 100000000, /* the format's own limit */
    MAX_DEPTH = 4,                /* {"name": {"shape": [..]}} needs 3 */
    MAX_VALUES = 1 << 20,         /* JSON values: some 56 bytes of memory each */
};

typedef struct DtypeRow {
    const char *name;
    int64_t bytes;
} DtypeRow;

static const DtypeRow DTYPES[] = {
    [CVM_FILE_F32] = {"F32", 4}, [CVM_FILE_F16] = {"F16", 2}, [CVM_FILE_BF16] = {"BF16", 2},
    [CVM_FILE_F64] = {"F64", 8}, [CVM_FILE_I64] = {"I64", 8}, [CVM_FILE_I32] = {"I32", 4},
    [CVM_FILE_U8] = {"U8", 1},
};
enum { DTYPE_COUNT = sizeof DTYPES / sizeof DTYPES[0] };

const char *cvm_file_dtype_name(CvmFileDtype dtype) {
    return DTYPES[dtype].name;
}

int64_t cvm_file_dtype_bytes(CvmFileDtype dtype) {
    return DTYPES[dtype].bytes;
}

/* The file while it is being checked. */
typedef struct Reader {
    CvmTensorFile *file;
    const uint8_t *data; /* after the header */
    int64_t data_bytes;
    CvmError *error;
} Reader;

static bool wrong(CvmError *error, const char *what) {
    return cvm_error_set(error, CVM_ERROR_INPUT, "not a valid safetensors file: %s", what);
}

static bool wrong_tensor(const Reader *reader, const char *name, const char *what) {
    return cvm_error_set(reader->error, CVM_ERROR_INPUT,
                         "not a valid safetensors file: tensor '%s' %s", cvm_shown(name).text,
                         what);
}

/* The header's tree; NULL when it is not an object. */
static CvmJson *parse_header(const char *text, int64_t size, CvmError *error) {
    CvmError inner;
    if (size == 0 || text[0] != '{') {
        wrong(error, "the header does not begin with '{'");
        return NULL;
    }
    CvmJson *header = cvm_json_parse(text, size, MAX_DEPTH, MAX_VALUES, "the header", &inner);
    if (header)
        return header;
    if (inner.kind == CVM_ERROR_INPUT)
        wrong(error, inner.message);
    else
        *error = inner;
    return NULL;
}

static bool read_whole(const CvmJson *item, int64_t *value) {
    *value = item->kind == CVM_JSON_NUMBER ? item->whole : -1;
    return *value >= 0;
}

static bool read_dtype(const Reader *reader, const CvmJson *item, CvmFileTensor *tensor) {
    if (item->kind != CVM_JSON_STRING)
        return wrong_tensor(reader, tensor->name, "has a dtype that is not a string");
    for (int i = 0; i < DTYPE_COUNT; i++) {
        if (strcmp(item->text, DTYPES[i].name) == 0) {
            tensor->dtype = (CvmFileDtype)i;
            return true;
        }
    }
    return cvm_error_set(reader->error, CVM_ERROR_INPUT,
                         "tensor '%s' has the element type '%s', which cvm cannot read",
                         cvm_shown(tensor->name).text, cvm_shown(item->text).text);
}

static bool read_shape(const Reader *reader, const CvmJson *item, CvmFileTensor *tensor) {
    if (item->kind != CVM_JSON_ARRAY)
        return wrong_tensor(reader, tensor->name, "has a shape that is not a list");
    for (const CvmJson *size = item->child; size; size = size->next) {
        if (tensor->shape.rank == CVM_MAX_RANK)
            return wrong_tensor(reader, tensor->name, "has more than 4 dimensions");
        if (!read_whole(size, &tensor->shape.sizes[tensor->shape.rank++]))
            return wrong_tensor(reader, tensor->name, "has a size that is not a whole number");
    }
    return true;
}

static bool read_offsets(const Reader *reader, const CvmJson *item, CvmFileTensor *tensor) {
    const CvmJson *first = item->kind == CVM_JSON_ARRAY ? item->child : NULL;
    const CvmJson *second = first ? first->next : NULL;
    int64_t begin, end;
    if (!second || second->next || !read_whole(first, &begin) || !read_whole(second, &end))
        return wrong_tensor(reader, tensor->name,
                            "has data_offsets that are not two whole numbers");
    if (begin > end || end > reader->data_bytes)
        return wrong_tensor(reader, tensor->name, "has data that ends beyond the file's end");
    tensor->data = reader->data + begin;
    tensor->bytes = end - begin;
    return true;
}

typedef bool ReadField(const Reader *reader, const CvmJson *item, CvmFileTensor *tensor);

static const struct FieldRow {
    const char *key;
    ReadField *read;
} FIELDS[] = {{"dtype", read_dtype}, {"shape", read_shape}, {"data_offsets", read_offsets}};
enum { FIELD_COUNT = sizeof FIELDS / sizeof FIELDS[0] };

static int find_field(const char *key) {
    for (int i = 0; i < FIELD_COUNT; i++)
        if (strcmp(key, FIELDS[i].key) == 0)
            return i;
    return -1;
}

/* The three fields, each once, in any order, and nothing else. */
static bool read_fields(const Reader *reader, const CvmJson *entry, CvmFileTensor *tensor) {
    unsigned seen = 0;
    if (entry->kind != CVM_JSON_OBJECT)
        return wrong_tensor(reader, tensor->name, "is not described by an object");
    for (const CvmJson *item = entry->child; item; item = item->next) {
        int field = find_field(item->key);
        if (field < 0 || (seen & 1u << field))
            return wrong_tensor(reader, tensor->name, "has an unknown or repeated field");
        seen |= 1u << field;
        if (!FIELDS[field].read(reader, item, tensor))
            return false;
    }
    if (seen != (1u << FIELD_COUNT) - 1)
        return wrong_tensor(reader, tensor->name, "lacks dtype, shape or data_offsets");
    return true;
}

static bool read_tensor(const Reader *reader, const CvmJson *entry, CvmFileTensor *tensor) {
    int64_t count, bytes;
    *tensor = (CvmFileTensor){.name = entry->key};
    if (!read_fields(reader, entry, tensor))
        return false;
    if (!cvm_shape_count(&tensor->shape, &count) ||
        __builtin_mul_overflow(count, DTYPES[tensor->dtype].bytes, &bytes) ||
        bytes != tensor->bytes)
        return wrong_tensor(reader, tensor->name, "has a shape that does not fit its data");
    return true;
}

static bool read_metadata(const Reader *reader, const CvmJson *entry) {
    CvmTensorFile *file = reader->file;
    if (file->metadata)
        return wrong(reader->error, "it has __metadata__ twice");
    if (entry->kind != CVM_JSON_OBJECT)
        return wrong(reader->error, "__metadata__ is not an object");
    file->metadata = calloc((size_t)entry->count + 1, sizeof *file->metadata);
    if (!file->metadata)
        return cvm_error_set(reader->error, CVM_ERROR_MACHINE, "no memory for the file's header");
    for (const CvmJson *item = entry->child; item; item = item->next) {
        if (item->kind != CVM_JSON_STRING)
            return wrong(reader->error, "__metadata__ holds something that is not a string");
        file->metadata[file->metadata_count++] = (CvmFileText){item->key, item->text};
    }
    return true;
}

static bool read_entries(const Reader *reader, const CvmJson *header) {
    CvmTensorFile *file = reader->file;
    file->tensors = calloc((size_t)header->count + 1, sizeof *file->tensors);
    if (!file->tensors)
        return cvm_error_set(reader->error, CVM_ERROR_MACHINE, "no memory for the file's header");
    for (const CvmJson *entry = header->child; entry; entry = entry->next) {
        bool done = strcmp(entry->key, "__metadata__") == 0
                        ? read_metadata(reader, entry)
                        : read_tensor(reader, entry, &file->tensors[file->count++]);
        if (!done)
            return false;
    }
    return true;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A name that occurs twice among names[0..count), which are sorted by this; or NULL. */
static const char *find_duplicate(const char **names, int count) {
    qsort(names, (size_t)count, sizeof *names, compare_texts);
    for (int i = 1; i < count; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            return names[i];
    return NULL;
}

static bool check_names(const Reader *reader) {
    const CvmTensorFile *file = reader->file;
    int room = file->count > file->metadata_count ? file->count : file->metadata_count;
    const char **names = calloc((size_t)room + 1, sizeof *names);
    if (!names)
        return cvm_error_set(reader->error, CVM_ERROR_MACHINE, "no memory for the file's header");
    for (int i = 0; i < file->count; i++)
        names[i] = file->tensors[i].name;
    const char *twice = find_duplicate(names, file->count);
    if (!twice) {
        for (int i = 0; i < file->metadata_count; i++)
            names[i] = file->metadata[i].key;
        twice = find_duplicate(names, file->metadata_count);
    }
    free(names);
    if (twice)
        return cvm_error_set(reader->error, CVM_ERROR_INPUT,
                             "not a valid safetensors file: the name '%s' occurs twice",
                             cvm_shown(twice).text);
    return true;
}

/* By begin, then by end: an empty tensor stands before the one that begins where it does. Then by
 * name, so that the order is one whatever the sort. */
static int compare_positions(const void *a, const void *b) {
    const CvmFileTensor *x = a, *y = b;
    if (x->data != y->data)
        return (const char *)x->data < (const char *)y->data ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

static bool check_cover(const Reader *reader) {
    CvmTensorFile *file = reader->file;
    qsort(file->tensors, (size_t)file->count, sizeof *file->tensors, compare_positions);
    const uint8_t *end = reader->data;
    for (int i = 0; i < file->count; i++) {
        const uint8_t *begin = file->tensors[i].data;
        if (begin < end)
            return wrong_tensor(reader, file->tensors[i].name, "shares its data with another one");
        if (begin > end)
            return wrong_tensor(reader, file->tensors[i].name, "comes after a hole in the data");
        end = begin + file->tensors[i].bytes;
    }
    if (end != reader->data + reader->data_bytes)
        return wrong(reader->error, "it has data that belongs to no tensor");
    return true;
}

static bool check_length(const uint8_t *bytes, int64_t size, int64_t *header_bytes,
                         CvmError *error) {
    uint64_t length;
    if (size < LENGTH_BYTES)
        return wrong(error, "it is shorter than its header's length");
    memcpy(&length, bytes, sizeof length);
    if (length > MAX_HEADER_BYTES)
        return wrong(error, "its header would be longer than 100 MB");
    if (length > (uint64_t)(size - LENGTH_BYTES))
        return wrong(error, "it ends within its header");
    *header_bytes = (int64_t)length;
    return true;
}

bool cvm_tensor_file_parse(const void *bytes, int64_t size, CvmTensorFile *file, CvmError *error) {
    int64_t header_bytes = 0;
    *file = (CvmTensorFile){0};
    if (!check_length(bytes, size, &header_bytes, error))
        return false;
    const char *text = (const char *)bytes + LENGTH_BYTES;
    CvmJson *header = parse_header(text, header_bytes, error);
    if (!header)
        return false;
    file->header = header;
    Reader reader = {file, (const uint8_t *)text + header_bytes, size - LENGTH_BYTES - header_bytes,
                     error};
    if (read_entries(&reader, header) && check_names(&reader) && check_cover(&reader))
        return true;
    cvm_tensor_file_close(file);
    return false;
}

bool cvm_tensor_file_open(const char *path, CvmTensorFile *file, CvmError *error) {
    CvmMappedFile mapping;
    CvmError inner;
    *file = (CvmTensorFile){0};
    if (!cvm_mapped_file_open(path, &mapping, error))
        return false;
    if (!cvm_tensor_file_parse(mapping.bytes, mapping.size, file, &inner)) {
        cvm_mapped_file_close(&mapping);
        return cvm_error_set(error, inner.kind, "%.500s: %.500s", path, inner.message);
    }
    file->mapping = mapping;
    return true;
}

void cvm_tensor_file_release(const CvmTensorFile *file, const CvmFileTensor *tensor) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)tensor->data + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)tensor->data + (uintptr_t)tensor->bytes) / page * page;
    if (file->mapping.bytes && begin < end)
        madvise((void *)begin, end - begin, MADV_DONTNEED); /* advice: failing is harmless */
}

void cvm_tensor_file_close(CvmTensorFile *file) {
    cvm_mapped_file_close(&file->mapping);
    free(file->header);
    free(file->tensors);
    free(file->metadata);
    *file = (CvmTensorFile){0};
}

const CvmFileTensor *cvm_tensor_file_find(const CvmTensorFile *file, const char *name) {
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}

const char *cvm_tensor_file_metadata(const CvmTensorFile *file, const char *key) {
    for (int i = 0; i < file->metadata_count; i++)
        if (strcmp(file->metadata[i].key, key) == 0)
            return file->metadata[i].value;
    return NULL;
}

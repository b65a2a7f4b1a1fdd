/* See feature_file.h. Layout: the header in the first page; `count` checksums of 8 bytes, up to a
 * page's end; then the records, `numbers` floats each. Host byte order, which the magic number
 * tells. */
#include "runtime/feature_file.h"

#include "runtime/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096 };
static const uint64_t MAGIC = 0x3130544145464d43u; /* "CMFEAT01" */

typedef struct Header {
    uint64_t magic;
    CvmFeatureKey key;
    uint64_t checksum; /* of what stands before it */
} Header;

struct CvmFeatureFile {
    char *path;
    int descriptor;
    bool writable, replaced;
    int failure;
    Header header;
    int64_t room, record_bytes, records_at;
    const char *mapping;
    int64_t mapped;
    bool *checked; /* [room]: its checksum was found to fit, or it was written here */
    int64_t damaged;
};

static uint64_t header_checksum(const Header *header) {
    return cvm_hash(1, header, offsetof(Header, checksum));
}

/* Never 0, which says that there is no record. */
static uint64_t record_checksum(const CvmFeatureFile *file, int64_t index, const void *record) {
    uint64_t hash = cvm_hash((uint64_t)index, record, (size_t)file->record_bytes);
    return hash ? hash : 1;
}

static int64_t checksum_at(int64_t index) {
    return PAGE + index * (int64_t)sizeof(uint64_t);
}

static int64_t record_at(const CvmFeatureFile *file, int64_t index) {
    return file->records_at + index * file->record_bytes;
}

static bool fail(const CvmFeatureFile *file, const char *what, int reason, CvmError *error) {
    return cvm_error_set(error, CVM_ERROR_MACHINE, "cannot %s the features in %.700s: %s", what,
                         file->path, strerror(reason));
}

static bool set_layout(CvmFeatureFile *file, const CvmFeatureKey *key, CvmError *error) {
    int64_t bytes, end;
    bool fits =
        !__builtin_mul_overflow(key->numbers, (int64_t)sizeof(float), &file->record_bytes) &&
        !__builtin_mul_overflow(key->count, file->record_bytes, &bytes) &&
        !__builtin_add_overflow(bytes, checksum_at(key->count) + PAGE, &end);
    if (!fits)
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "the features of all pictures are too many "
                             "bytes for a file");
    file->records_at = (checksum_at(key->count) + PAGE - 1) / PAGE * PAGE;
    return true;
}

/* --- making one --- */

static bool write_all(int descriptor, const void *bytes, int64_t size, int64_t at) {
    const char *next = bytes;
    while (size > 0) {
        ssize_t written = pwrite(descriptor, next, (size_t)size, at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        next += written;
        at += written;
        size -= written;
    }
    return true;
}

/* A whole file under another name, which takes the path only then: nobody sees a half one. Where
 * another run was faster, its file is the one (unless it is to be replaced). */
static bool make(CvmFeatureFile *file, bool replace, CvmError *error) {
    size_t size = strlen(file->path) + 32;
    char *temporary = malloc(size);
    if (!temporary)
        return fail(file, "make", ENOMEM, error);
    snprintf(temporary, size, "%s.%ld.partial", file->path, (long)getpid());
    int descriptor = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool done = descriptor >= 0 && write_all(descriptor, &file->header, sizeof file->header, 0) &&
                ftruncate(descriptor, file->records_at) == 0;
    if (done)
        done = replace ? rename(temporary, file->path) == 0
                       : link(temporary, file->path) == 0 || errno == EEXIST;
    int reason = errno;
    if (descriptor >= 0)
        close(descriptor);
    unlink(temporary);
    free(temporary);
    return done || fail(file, "make", reason, error);
}

/* --- opening one --- */

static bool open_descriptor(CvmFeatureFile *file) {
    file->writable = true;
    file->descriptor = open(file->path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (file->descriptor < 0 && (errno == EACCES || errno == EROFS)) {
        file->writable = false;
        file->descriptor = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    }
    return file->descriptor >= 0;
}

typedef enum State { GOOD, DAMAGED, FOREIGN } State;

static State read_header(const CvmFeatureFile *file, Header *header) {
    struct stat status;
    ssize_t got = pread(file->descriptor, header, sizeof *header, 0);
    if (fstat(file->descriptor, &status) != 0 || !S_ISREG(status.st_mode))
        return FOREIGN;
    if (got == 0)
        return DAMAGED; /* empty */
    if (got < (ssize_t)sizeof header->magic || header->magic != MAGIC)
        return FOREIGN;
    return got == sizeof *header && header->checksum == header_checksum(header) ? GOOD : DAMAGED;
}

static bool refuse_key(const CvmFeatureFile *file, const CvmFeatureKey *have, CvmError *error) {
    const CvmFeatureKey *want = &file->header.key;
    const char *what = have->prefix != want->prefix || have->numbers != want->numbers
                           ? "by another frozen part (or another cvmc)"
                       : have->weights != want->weights ? "by other weights"
                       : have->pictures != want->pictures || have->count != want->count
                           ? "of other pictures"
                           : "of pictures normalized otherwise";
    return cvm_error_set(error, CVM_ERROR_INPUT, "the features in %.700s were made %s", file->path,
                         what);
}

static bool replace(CvmFeatureFile *file, CvmError *error) {
    close(file->descriptor);
    file->descriptor = -1;
    file->replaced = true;
    if (!make(file, true, error))
        return false;
    return open_descriptor(file) || fail(file, "read", errno, error);
}

static bool check_header(CvmFeatureFile *file, CvmFeatureOther other, CvmError *error) {
    Header found;
    State state = read_header(file, &found);
    if (state == FOREIGN)
        return cvm_error_set(error, CVM_ERROR_INPUT, "%.700s holds no features of cvm", file->path);
    if (state == GOOD && memcmp(&found.key, &file->header.key, sizeof found.key) == 0)
        return true;
    if (state == GOOD && other == CVM_FEATURE_REFUSE)
        return refuse_key(file, &found.key, error);
    return replace(file, error);
}

static bool map(CvmFeatureFile *file, CvmError *error) {
    struct stat status;
    int64_t end = record_at(file, file->room);
    if (fstat(file->descriptor, &status) != 0)
        return fail(file, "read", errno, error);
    if (status.st_size < end && file->writable && ftruncate(file->descriptor, end) != 0)
        return fail(file, "make room for", errno, error);
    if (status.st_size < end && !file->writable) {
        file->room = status.st_size < file->records_at
                         ? 0
                         : (status.st_size - file->records_at) / file->record_bytes;
        end = file->room ? record_at(file, file->room) : 0;
    }
    file->checked = calloc((size_t)file->room + 1, sizeof *file->checked);
    if (!file->checked)
        return fail(file, "read", ENOMEM, error);
    if (file->room == 0)
        return true;
    void *mapping = mmap(NULL, (size_t)end, PROT_READ, MAP_SHARED, file->descriptor, 0);
    if (mapping == MAP_FAILED)
        return fail(file, "map", errno, error);
    file->mapping = mapping;
    file->mapped = end;
    return true;
}

static bool open_or_make(CvmFeatureFile *file, CvmFeatureOther other, CvmError *error) {
    if (!open_descriptor(file)) {
        if (errno != ENOENT)
            return fail(file, "read", errno, error);
        if (!make(file, false, error))
            return false;
        if (!open_descriptor(file))
            return fail(file, "read", errno, error);
    }
    return check_header(file, other, error) && map(file, error);
}

CvmFeatureFile *cvm_feature_file_open(const char *path, const CvmFeatureKey *key, int64_t room,
                                      CvmFeatureOther other, CvmError *error) {
    CvmFeatureFile *file = calloc(1, sizeof *file);
    if (file) {
        file->descriptor = -1;
        file->path = strdup(path);
        file->room = room;
        file->header = (Header){.magic = MAGIC, .key = *key};
        file->header.checksum = header_checksum(&file->header);
    }
    if (!file || !file->path)
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to open %.700s", path);
    else if (set_layout(file, key, error) && open_or_make(file, other, error))
        return file;
    cvm_feature_file_close(file);
    return NULL;
}

void cvm_feature_file_close(CvmFeatureFile *file) {
    if (!file)
        return;
    if (file->mapping)
        munmap((void *)file->mapping, (size_t)file->mapped);
    if (file->descriptor >= 0)
        close(file->descriptor);
    free(file->checked);
    free(file->path);
    free(file);
}

/* --- records --- */

const float *cvm_feature_file_find(CvmFeatureFile *file, int64_t index) {
    if (index >= file->room)
        return NULL;
    const char *record = file->mapping + record_at(file, index);
    if (file->checked[index])
        return (const float *)record;
    uint64_t checksum;
    memcpy(&checksum, file->mapping + checksum_at(index), sizeof checksum);
    if (checksum == 0)
        return NULL;
    if (checksum != record_checksum(file, index, record)) {
        file->damaged++;
        return NULL;
    }
    file->checked[index] = true;
    return (const float *)record;
}

void cvm_feature_file_keep(CvmFeatureFile *file, int64_t index, const float *record) {
    if (index >= file->room || !file->writable || file->failure)
        return;
    uint64_t checksum = record_checksum(file, index, record);
    if (!write_all(file->descriptor, record, file->record_bytes, record_at(file, index)) ||
        !write_all(file->descriptor, &checksum, sizeof checksum, checksum_at(index)))
        file->failure = errno ? errno : EIO;
    else
        file->checked[index] = true;
}

int64_t cvm_feature_file_damaged(const CvmFeatureFile *file) {
    return file->damaged;
}

bool cvm_feature_file_replaced(const CvmFeatureFile *file) {
    return file->replaced;
}

int cvm_feature_file_failure(const CvmFeatureFile *file) {
    return file->failure;
}

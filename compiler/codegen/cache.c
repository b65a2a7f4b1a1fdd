/* See cache.h. An entry is one file: a header (magic, lengths, CRC-32 of what follows), the whole
 * key, the object. The file's name is a hash of the key; since the key itself is compared, two keys
 * with one hash only cost a compilation. */
#include "compiler/codegen/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { PATH_SIZE = 4096, MAX_ENTRIES = 1 << 16 };
static const char magic[8] = "cvmobj1";
static const char suffix[] = ".cvmo";

typedef struct Header {
    char magic[8];
    uint64_t key_size, object_size;
    uint64_t checksum; /* of key and object */
} Header;

bool cvm_cache_folder(char *path, size_t size) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int length = -1;
    if (cache && cache[0] == '/')
        length = snprintf(path, size, "%s/cvm", cache);
    else if (home && home[0] == '/')
        length = snprintf(path, size, "%s/.cache/cvm", home);
    return length > 0 && (size_t)length < size;
}

static uint64_t key_hash(const char *key, uint64_t start) {
    uint64_t hash = start;
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 1099511628211u;
    return hash;
}

static bool entry_path(const char *folder, const char *key, char path[PATH_SIZE]) {
    int length = snprintf(path, PATH_SIZE, "%s/%016llx%016llx%s", folder,
                          (unsigned long long)key_hash(key, 14695981039346656037u),
                          (unsigned long long)key_hash(key, 0x9e3779b97f4a7c15u), suffix);
    return length > 0 && length < PATH_SIZE;
}

static uint64_t checksum(const void *key, size_t key_size, const void *object, size_t size) {
    uLong crc = crc32_z(crc32_z(0, NULL, 0), key, key_size);
    return crc32_z(crc, object, size);
}

/* The whole file; NULL when it can't be read or is larger than any object should be. */
static char *read_file(const char *path, size_t *size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return NULL;
    struct stat status;
    char *bytes = NULL;
    if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size < CVM_CACHE_LIMIT &&
        (bytes = malloc((size_t)status.st_size + 1))) {
        size_t got = 0;
        ssize_t count = 1;
        while (got < (size_t)status.st_size &&
               (count = read(file, bytes + got, (size_t)status.st_size - got)) > 0)
            got += (size_t)count;
        *size = got;
        futimens(file, NULL); /* used now: trimming looks at this */
    }
    close(file);
    return bytes;
}

void *cvm_cache_read(const char *folder, const char *key, size_t *size) {
    char path[PATH_SIZE];
    size_t file_size = 0, key_size = strlen(key);
    char *bytes = entry_path(folder, key, path) ? read_file(path, &file_size) : NULL;
    Header header;
    if (!bytes)
        return NULL;
    bool whole = file_size >= sizeof header;
    if (whole) {
        memcpy(&header, bytes, sizeof header);
        whole = !memcmp(header.magic, magic, sizeof magic) && header.key_size == key_size &&
                header.object_size < CVM_CACHE_LIMIT &&
                file_size == sizeof header + key_size + header.object_size &&
                !memcmp(bytes + sizeof header, key, key_size) &&
                header.checksum == checksum(bytes + sizeof header, key_size,
                                            bytes + sizeof header + key_size, header.object_size);
    }
    if (!whole) {
        free(bytes);
        return NULL;
    }
    memmove(bytes, bytes + sizeof header + key_size, header.object_size);
    *size = header.object_size;
    return bytes;
}

static bool make_folder(const char *folder) {
    char path[PATH_SIZE];
    if (strlen(folder) >= sizeof path)
        return false;
    strcpy(path, folder);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(path, 0777) && errno != EEXIST)
            return false;
        *slash = '/';
    }
    return mkdir(path, 0777) == 0 || errno == EEXIST;
}

static bool write_all(int file, const void *bytes, size_t size) {
    const char *at = bytes;
    while (size > 0) {
        ssize_t count = write(file, at, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        at += count;
        size -= (size_t)count;
    }
    return true;
}

/* Not runtime/atomic_file: an entry lost in a power cut is only a compilation, so nothing is
 * synced. */
void cvm_cache_write(const char *folder, const char *key, const void *object, size_t size) {
    char path[PATH_SIZE], temporary[PATH_SIZE + 16];
    if (!entry_path(folder, key, path) || !make_folder(folder))
        return;
    snprintf(temporary, sizeof temporary, "%s.XXXXXX", path);
    int file = mkostemp(temporary, O_CLOEXEC);
    if (file < 0)
        return;
    size_t key_size = strlen(key);
    Header header = {.key_size = key_size,
                     .object_size = size,
                     .checksum = checksum(key, key_size, object, size)};
    memcpy(header.magic, magic, sizeof magic);
    bool done = write_all(file, &header, sizeof header) && write_all(file, key, key_size) &&
                write_all(file, object, size);
    done &= close(file) == 0;
    if (!done || rename(temporary, path))
        unlink(temporary);
}

typedef struct Entry {
    char *name;
    long long bytes;
    struct timespec used;
} Entry;

static int by_use(const void *left, const void *right) {
    const struct timespec *a = &((const Entry *)left)->used, *b = &((const Entry *)right)->used;
    if (a->tv_sec != b->tv_sec)
        return a->tv_sec < b->tv_sec ? -1 : 1;
    return (a->tv_nsec > b->tv_nsec) - (a->tv_nsec < b->tv_nsec);
}

/* Entries, and temporaries that a killed process left behind. */
static int list_entries(DIR *folder, Entry *entries, long long *total) {
    int count = 0;
    struct dirent *item;
    *total = 0;
    while (count < MAX_ENTRIES && (item = readdir(folder))) {
        struct stat status;
        if (!strstr(item->d_name, suffix) ||
            fstatat(dirfd(folder), item->d_name, &status, AT_SYMLINK_NOFOLLOW) ||
            !S_ISREG(status.st_mode))
            continue;
        char *name = strdup(item->d_name);
        if (!name)
            break;
        entries[count++] = (Entry){name, status.st_size, status.st_mtim};
        *total += status.st_size;
    }
    return count;
}

void cvm_cache_trim(const char *path, long long limit) {
    DIR *folder = opendir(path);
    Entry *entries = folder ? malloc(sizeof(Entry) * MAX_ENTRIES) : NULL;
    long long total = 0;
    int count = entries ? list_entries(folder, entries, &total) : 0;
    if (total > limit)
        qsort(entries, (size_t)count, sizeof *entries, by_use);
    for (int i = 0; i < count; i++) {
        if (total > limit && unlinkat(dirfd(folder), entries[i].name, 0) == 0)
            total -= entries[i].bytes;
        free(entries[i].name);
    }
    free(entries);
    if (folder)
        closedir(folder);
}

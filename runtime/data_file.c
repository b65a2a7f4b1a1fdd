/* See data_file.h. zlib reads plain and gzip files alike. */
#include "runtime/data_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum {
    FIRST_BYTES = 1 << 20, /* the first allocation; doubled as bytes arrive */
    BUFFER_BYTES = 1 << 17,
};

static const int64_t MAX_READ = 1 << 30;

static bool read_error(const char *path, int reason, CvmError *error) {
    return cvm_error_set(error, CVM_ERROR_MACHINE, "cannot read %.800s: %s", path,
                         strerror(reason));
}

bool cvm_data_file_wrong(const CvmDataFile *file, const char *what, CvmError *error) {
    return cvm_error_set(error, CVM_ERROR_INPUT, "%.800s %s", file->path, what);
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

bool cvm_data_file_open(const char *path, CvmDataFile *file, CvmError *error) {
    size_t size = strlen(path) + sizeof ".gz";
    *file = (CvmDataFile){.path = malloc(size)};
    if (!file->path)
        return read_error(path, ENOMEM, error);
    strcpy(file->path, path);
    int descriptor = open_regular(file->path);
    if (descriptor < 0 && errno == ENOENT) {
        strcat(file->path, ".gz");
        descriptor = open_regular(file->path);
        if (descriptor < 0 && errno == ENOENT)
            file->path[strlen(path)] = '\0';
    }
    if (descriptor >= 0) {
        gzFile stream = gzdopen(descriptor, "rb");
        if (stream) {
            gzbuffer(stream, BUFFER_BYTES);
            file->stream = stream;
            return true;
        }
        close(descriptor);
        errno = ENOMEM;
    }
    read_error(file->path, errno, error);
    free(file->path);
    return false;
}

void cvm_data_file_close(CvmDataFile *file) {
    gzclose_r(file->stream);
    free(file->path);
}

/* Whether reading has failed, and not just come to the end. */
static bool failed(const CvmDataFile *file, CvmError *error) {
    int code = Z_OK;
    gzerror(file->stream, &code);
    if (code == Z_ERRNO)
        read_error(file->path, errno, error);
    else if (code == Z_MEM_ERROR)
        read_error(file->path, ENOMEM, error);
    else if (code == Z_DATA_ERROR)
        cvm_data_file_wrong(file, "is damaged: its gzip data is not valid", error);
    else if (code == Z_BUF_ERROR)
        cvm_data_file_wrong(file, "is truncated: its gzip data has no end", error);
    else
        return false;
    return true;
}

bool cvm_data_file_read(const CvmDataFile *file, void *bytes, int64_t size, CvmError *error) {
    if (gzread(file->stream, bytes, (unsigned)size) == size)
        return true;
    if (!failed(file, error))
        cvm_data_file_wrong(file, "is truncated: it ends before its header says", error);
    return false;
}

bool cvm_data_file_read_body(const CvmDataFile *file, int64_t size, uint8_t **bytes,
                             CvmError *error) {
    uint8_t *read = NULL;
    *bytes = NULL;
    for (int64_t done = 0, room = FIRST_BYTES; done < size; room *= 2) {
        int64_t end = room < size ? room : size;
        uint8_t *grown = realloc(read, (size_t)end);
        bool more = grown || read_error(file->path, ENOMEM, error);
        read = grown ? grown : read;
        while (more && done < end) {
            int64_t part = end - done < MAX_READ ? end - done : MAX_READ;
            more = cvm_data_file_read(file, read + done, part, error);
            done += part;
        }
        if (!more) {
            free(read);
            return false;
        }
    }
    *bytes = read;
    return true;
}

bool cvm_data_file_read_rest(const CvmDataFile *file, int64_t most, uint8_t **bytes, int64_t *size,
                             CvmError *error) {
    int64_t done = 0, room = 0;
    uint8_t *read = NULL;
    bool ended = false, sound = true;
    *bytes = NULL;
    while (sound && !ended) {
        if (done == room) {
            room = room ? room * 2 : FIRST_BYTES;
            uint8_t *grown = realloc(read, (size_t)room);
            sound = grown || read_error(file->path, ENOMEM, error);
            read = grown ? grown : read;
            continue;
        }
        int64_t part = room - done < MAX_READ ? room - done : MAX_READ;
        int got = gzread(file->stream, read + done, (unsigned)part);
        done += got > 0 ? got : 0;
        ended = got < part;
        if (ended)
            sound = !failed(file, error);
        if (done > most)
            sound = cvm_data_file_wrong(file, "holds more bytes than a file of its kind", error);
    }
    if (!sound) {
        free(read);
        return false;
    }
    *bytes = read;
    *size = done;
    return true;
}

bool cvm_data_file_check_end(const CvmDataFile *file, CvmError *error) {
    uint8_t byte;
    if (gzread(file->stream, &byte, 1) > 0)
        return cvm_data_file_wrong(file, "is longer than its header says", error);
    return !failed(file, error);
}

/* See internal.h: what kernels want of the weights, kept in a file beside them. It is known by a
 * key of all that it depends on; a file of another key, or damaged, counts as none. Its bytes are
 * only numbers: wrong ones give wrong answers, and no more. */
#include "runtime/net/internal.h"

#include "runtime/atomic_file.h"
#include "runtime/hash.h"

#include <string.h>
#include <sys/stat.h>

/* The blocks begin on a page of their own. */
enum { HEADER_BYTES = 4096 };

typedef struct Header {
    char magic[8];
    uint64_t key;
    int64_t bytes; /* of all blocks */
} Header;

static const char MAGIC[8] = "cvmpack1";

/* A kernel's name tells its code. */
static uint64_t hash_plan(uint64_t hash, const CvmPlan *plan) {
    hash = cvm_hash_whole(hash, plan->prepared_bytes);
    for (int i = 0; i < plan->call_count; i++) {
        const CvmCall *call = &plan->calls[i];
        if (!call->prepares)
            continue;
        hash = cvm_hash_text(hash, call->kernel);
        for (int b = 0; b < call->buffer_count; b++)
            hash = cvm_hash_whole(cvm_hash_whole(hash, call->buffers[b].space),
                                  call->buffers[b].position);
    }
    return hash;
}

static bool find_key(const cvm_net_model *model, const char *weights, uint64_t *key) {
    struct stat status;
    if (stat(weights, &status) != 0)
        return false;
    *key = cvm_hash_text(0, model->code->cpu);
    *key = cvm_hash_whole(*key, (int64_t)model->about->model_hash);
    *key = cvm_hash_whole(cvm_hash_whole(*key, status.st_size), status.st_mtim.tv_sec);
    *key = cvm_hash_whole(cvm_hash_whole(*key, status.st_mtim.tv_nsec), (int64_t)status.st_ino);
    for (int i = 0; i < model->code->inference_count; i++)
        *key = hash_plan(*key, model->code->inferences[i]);
    return true;
}

int64_t cvm_net_prepared_bytes(const CvmNetCode *code) {
    int64_t bytes = 0;
    for (int i = 0; i < code->inference_count; i++)
        bytes += code->inferences[i]->prepared_bytes;
    return bytes;
}

bool cvm_net_map_packed(cvm_net_model *model, const char *weights, const char *path) {
    const CvmNetCode *code = model->code;
    int64_t bytes = cvm_net_prepared_bytes(code);
    CvmError error;
    Header header = {.key = 0};
    uint64_t key;
    if (!find_key(model, weights, &key) || !cvm_mapped_file_open(path, &model->packed, &error))
        return false;
    memcpy(&header, model->packed.bytes, model->packed.size < HEADER_BYTES ? 0 : sizeof header);
    if (model->packed.size != HEADER_BYTES + bytes || header.key != key || header.bytes != bytes ||
        memcmp(header.magic, MAGIC, sizeof MAGIC) != 0) {
        cvm_mapped_file_close(&model->packed);
        return false;
    }
    char *next = (char *)model->packed.bytes + HEADER_BYTES;
    for (int i = 0; i < code->inference_count; i++) {
        model->prepared[i] = next;
        next += code->inferences[i]->prepared_bytes;
    }
    return true;
}

bool cvm_net_write_packed(const cvm_net_model *model, const char *weights, const char *path,
                          CvmError *error) {
    char page[HEADER_BYTES] = {0};
    Header header = {.bytes = cvm_net_prepared_bytes(model->code)};
    CvmAtomicFile file;
    if (!find_key(model, weights, &header.key))
        return cvm_error_set(error, CVM_ERROR_MACHINE, "cannot look at %.800s any more", weights);
    memcpy(header.magic, MAGIC, sizeof MAGIC);
    memcpy(page, &header, sizeof header);
    if (!cvm_atomic_file_open(path, &file, error))
        return false;
    cvm_atomic_file_write(&file, page, sizeof page);
    for (int i = 0; i < model->code->inference_count; i++)
        cvm_atomic_file_write(&file, model->prepared[i],
                              (size_t)model->code->inferences[i]->prepared_bytes);
    return cvm_atomic_file_commit(&file, error);
}

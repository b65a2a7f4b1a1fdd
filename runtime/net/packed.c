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

static uint64_t find_key(const cvm_net_model *model, uint64_t weights) {
    uint64_t key = cvm_hash_text(weights, model->code->cpu);
    key = cvm_hash_whole(key, (int64_t)model->about->model_hash);
    for (int i = 0; i < model->code->inference_count; i++)
        key = hash_plan(key, model->code->inferences[i]);
    return key;
}

CvmNetPacked cvm_net_packed_of(const char *weights, const char *path) {
    CvmNetPacked packed = {.path = path};
    struct stat status;
    if (stat(weights, &status) != 0) /* opening it will say so */
        return packed;
    packed.weights = cvm_hash_whole(cvm_hash_whole(0, status.st_size), (int64_t)status.st_ino);
    packed.weights = cvm_hash_whole(packed.weights, status.st_mtim.tv_sec);
    packed.weights = cvm_hash_whole(packed.weights, status.st_mtim.tv_nsec);
    return packed;
}

static Header make_header(const cvm_net_model *model, CvmNetPacked packed) {
    Header header = {.key = find_key(model, packed.weights),
                     .bytes = cvm_net_prepared_bytes(model->code)};
    memcpy(header.magic, MAGIC, sizeof MAGIC);
    return header;
}

static bool find(cvm_net_model *model, const char *path, const Header *header) {
    CvmError error;
    if (!cvm_mapped_file_open(path, &model->packed, &error))
        return false;
    if (model->packed.size == HEADER_BYTES + header->bytes &&
        memcmp(model->packed.bytes, header, sizeof *header) == 0)
        return true;
    cvm_mapped_file_close(&model->packed);
    return false;
}

/* Weights are packed right into the file's memory, which the system may write out and drop at any
 * time: they are never in memory twice. */
static cvm_net_status make(cvm_net_model *model, const char *path, const Header *header) {
    CvmAtomicFile file;
    CvmError error;
    if (!cvm_atomic_file_open(path, &file, &error))
        return cvm_net_fail_with(&error, CVM_NET_BAD_ARGUMENT, CVM_NET_NO_FILE);
    if (!cvm_atomic_file_map(&file, HEADER_BYTES + header->bytes, &model->packed, &error)) {
        cvm_atomic_file_abandon(&file);
        return cvm_net_fail_with(&error, CVM_NET_BAD_ARGUMENT, CVM_NET_NO_FILE);
    }
    memcpy(model->packed.bytes, header, sizeof *header);
    cvm_net_status status =
        cvm_net_fill_prepared(model, (char *)model->packed.bytes + HEADER_BYTES);
    if (status)
        cvm_atomic_file_abandon(&file);
    else if (!cvm_atomic_file_commit(&file, &error))
        status = cvm_net_fail_with(&error, CVM_NET_BAD_ARGUMENT, CVM_NET_NO_FILE);
    return status;
}

cvm_net_status cvm_net_take_packed(cvm_net_model *model, CvmNetPacked packed) {
    const Header header = make_header(model, packed);
    cvm_net_status status = CVM_NET_OK;
    if (!find(model, packed.path, &header))
        status = make(model, packed.path, &header);
    if (!status)
        model->prepared = (char *)model->packed.bytes + HEADER_BYTES;
    return status;
}

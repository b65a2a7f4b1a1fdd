/* The functions of net.h that need no handle, for the one model of a shared object. */
#include "runtime/net/internal.h"
#include "runtime/net/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Written by the compiler. */
extern const CvmNetDescription cvm_net_description;

const char *cvm_net_facts(void) {
    return cvm_net_description.facts;
}

const char *cvm_net_class_name(int label) {
    const CvmNetDescription *about = &cvm_net_description;
    bool named = about->class_names && label >= 0 && label < about->classes;
    return named ? about->class_names[label] : NULL;
}

cvm_net_status cvm_net_check_cpu(void) {
    const CvmNetCode *code;
    return cvm_net_choose_code(&cvm_net_description, &code);
}

int cvm_net_parameter_count(void) {
    return cvm_net_description.parameter_count;
}

cvm_net_status cvm_net_parameter_at(int index, cvm_net_parameter *parameter) {
    return cvm_net_describe_parameter(&cvm_net_description, index, parameter);
}

size_t cvm_net_context_bytes(void) {
    return cvm_net_working_memory(&cvm_net_description);
}

static cvm_net_status open_parsed(const void *bytes, int64_t size, cvm_net_model **model) {
    CvmTensorFile file;
    CvmError error;
    if (!cvm_tensor_file_parse(bytes, size, &file, &error))
        return cvm_net_fail_with(&error, CVM_NET_BAD_WEIGHTS, CVM_NET_NO_MEMORY);
    return cvm_net_open_file(&cvm_net_description, &file, (CvmNetPacked){NULL, 0}, model);
}

/* packed_path: NULL for none. */
static cvm_net_status open_with(const char *path, const char *packed_path, cvm_net_model **model) {
    CvmNetPacked packed = cvm_net_packed_of(path, packed_path);
    CvmTensorFile file;
    CvmError error;
    if (!cvm_tensor_file_open(path, &file, &error))
        return cvm_net_fail_with(&error, CVM_NET_BAD_WEIGHTS, CVM_NET_NO_FILE);
    return cvm_net_open_file(&cvm_net_description, &file, packed, model);
}

cvm_net_status cvm_net_open(const char *path, cvm_net_model **model) {
    const CvmNetDescription *about = &cvm_net_description;
    if (!model)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "model must not be null");
    if (!path && !about->weights)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT,
                            "the path is null, and no weights are embedded in the object of %s",
                            about->name);
    if (!path)
        return open_parsed(about->weights, about->weights_bytes, model);
    return about->packed ? cvm_net_open_packed(path, NULL, model) : open_with(path, NULL, model);
}

cvm_net_status cvm_net_open_packed(const char *path, const char *packed, cvm_net_model **model) {
    static const char ending[] = ".packed";
    if (!path || !model)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "path and model must not be null");
    if (packed)
        return open_with(path, packed, model);
    size_t size = strlen(path) + sizeof ending;
    char *beside = malloc(size);
    if (!beside)
        return cvm_net_fail(CVM_NET_NO_MEMORY, "no memory for a model");
    snprintf(beside, size, "%s%s", path, ending);
    cvm_net_status status = open_with(path, beside, model);
    free(beside);
    return status;
}

cvm_net_status cvm_net_open_memory(const void *bytes, size_t size, cvm_net_model **model) {
    if (!bytes || !model)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "bytes and model must not be null");
    return open_parsed(bytes, size > INT64_MAX ? INT64_MAX : (int64_t)size, model);
}

size_t cvm_net_trainer_bytes(void) {
    return cvm_net_training_memory(&cvm_net_description);
}

cvm_net_status cvm_net_trainer_create(cvm_net_model *model, const cvm_net_options *options,
                                      cvm_net_trainer **trainer) {
    return cvm_net_make_trainer(&cvm_net_description, model, options, trainer);
}

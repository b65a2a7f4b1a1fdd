/* What the files of this folder share: the handles of net.h, and how a failure is told. */
#ifndef CVM_RUNTIME_NET_INTERNAL_H
#define CVM_RUNTIME_NET_INTERNAL_H

#include "runtime/instance.h"
#include "runtime/net/description.h"
#include "runtime/net/net.h"
#include "runtime/safetensors.h"

#include <stdatomic.h>

struct cvm_net_model {
    const CvmNetDescription *about;
    const CvmNetCode *code;
    CvmTensorFile file; /* parameters in the store may lie in it */
    CvmStore store;
    CvmNormalization normalization; /* of no channels: unknown */
    void *prepared;                 /* of all inferences */
    CvmMappedFile packed; /* where it lies; nothing mapped: in memory of the model's own */
    atomic_int users;     /* contexts and trainers */
};

/* --- status.c --- */

/* Keeps the sentence for cvm_net_message and returns the status. */
cvm_net_status cvm_net_fail(cvm_net_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same of an error of the runtime: one of the status by who is at fault. */
cvm_net_status cvm_net_fail_with(const CvmError *error, cvm_net_status input,
                                 cvm_net_status machine);

/* --- cpu.c --- */

/* The first code that this processor can run. */
cvm_net_status cvm_net_choose_code(const CvmNetDescription *about, const CvmNetCode **code);

/* --- weights.c --- */

/* Puts every parameter of the open file into the store, in place where that is possible. A
 * checkpoint of another model is refused; what it knows of the pictures replaces *normalization. */
cvm_net_status cvm_net_take_weights(const CvmNetDescription *about, const CvmTensorFile *file,
                                    CvmStore *store, CvmNormalization *normalization);

/* Copies `elements` floats of the store's tensor called name. */
cvm_net_status cvm_net_copy_tensor(const CvmStore *store, const char *name, float *values,
                                   size_t elements);

/* FNV-1a 64 of all names and shapes in the order of the names. */
uint64_t cvm_net_parameters_hash(const CvmSlot *parameters, int count);

/* --- model.c --- */

/* A file for packed weights, and which weights they are made of. No path: none is wanted. */
typedef struct CvmNetPacked {
    const char *path;
    uint64_t weights; /* tells their file from others and from what it was before */
} CvmNetPacked;

/* Opens the weights of `file`, which the model takes over (closed on error, too). */
cvm_net_status cvm_net_open_file(const CvmNetDescription *about, CvmTensorFile *file,
                                 CvmNetPacked packed, cvm_net_model **model);

/* Of the block that inferences share. */
int64_t cvm_net_prepared_bytes(const CvmNetCode *code);
/* Fills that block. */
cvm_net_status cvm_net_fill_prepared(const cvm_net_model *model, void *block);

/* Fills *parameter; cvm_net_parameter_at. */
cvm_net_status cvm_net_describe_parameter(const CvmNetDescription *about, int index,
                                          cvm_net_parameter *parameter);

/* --- packed.c --- */

/* For weights that are opened afterwards. */
CvmNetPacked cvm_net_packed_of(const char *weights, const char *path);

/* Finds the model's prepared memory in the file; packs the weights into a new one where it is
 * missing, damaged, or was made of other weights or for other code. */
cvm_net_status cvm_net_take_packed(cvm_net_model *model, CvmNetPacked packed);

/* --- context.c --- */

size_t cvm_net_working_memory(const CvmNetDescription *about);

/* Of a context or a trainer that needs so many bytes of working memory. */
cvm_net_status cvm_net_check_options(const cvm_net_options *options, size_t bytes);

/* --- trainer.c --- */

struct cvm_net_trainer;

size_t cvm_net_training_memory(const CvmNetDescription *about);

/* cvm_net_trainer_create. */
cvm_net_status cvm_net_make_trainer(const CvmNetDescription *about, cvm_net_model *model,
                                    const cvm_net_options *options,
                                    struct cvm_net_trainer **trainer);

#endif

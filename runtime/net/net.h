/* @ABOUT@
 *
 * How to use it: open the weights, make a context, run it.
 *
 *     cvm_net_model *model = NULL;
 *     cvm_net_context *context = NULL;
 *     if (cvm_net_open("weights.safetensors", &model) ||
 *         cvm_net_context_create(model, NULL, &context) ||
 *         cvm_net_run(context, images, 1, NULL, probabilities))
 *         fprintf(stderr, "%s\n", cvm_net_message());
 *     cvm_net_context_destroy(context);
 *     cvm_net_close(model);
 *@LINKING@
 * A model never changes and is shared by any number of threads. A context belongs to one thread at
 * a time: each thread that classifies makes one. Every function that can fail returns a status, and
 * cvm_net_message() then says in a sentence what was wrong. A function that fails changes nothing
 * and leaves what its out-parameters point to alone. */
#ifndef CVM_NET_H
#define CVM_NET_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a program built with an older header could not use the object. Structs that may
 * grow begin with their own size, which the caller sets: `cvm_net_options options = {sizeof
 * options};` leaves every other member at its default. */
#define CVM_NET_ABI 1
/* @CONSTANTS@ */
typedef enum cvm_net_status {
    CVM_NET_OK = 0,
    CVM_NET_BAD_ARGUMENT = 1, /* a null pointer, a number out of range, a name that is not known */
    CVM_NET_BAD_ORDER = 2,    /* the call is not possible now: closing a model with contexts, … */
    CVM_NET_NO_MEMORY = 3,
    CVM_NET_NO_FILE = 4,     /* a file cannot be read or written */
    CVM_NET_BAD_WEIGHTS = 5, /* no safetensors file, damaged, or of another model: the message lists
                                the differences */
    CVM_NET_BAD_CPU = 6,     /* this processor lacks a feature, which the message names */
    CVM_NET_NO_THREADS = 7,  /* the system refuses to start threads */
    CVM_NET_NOT_A_NUMBER = 8 /* training went astray: the loss is infinite or not a number */
} cvm_net_status;

typedef struct cvm_net_model cvm_net_model;
typedef struct cvm_net_context cvm_net_context;

/* --- what it is: these need no model --- */

/* CVM_NET_ABI of the object, to be compared with the header's. */
int cvm_net_abi(void);

/* A JSON object that lives as long as the library: how it was built, its inputs and outputs, its
 * parameters, its classes. */
const char *cvm_net_facts(void);

/* What the last call of this thread that failed complains of; "" before any did. It stays until the
 * next one fails. */
const char *cvm_net_message(void);

/* "bad weights"; NULL for a number that is no status. */
const char *cvm_net_status_name(cvm_net_status status);

/* The name of a class, or NULL: the classes have none, or there is no such class. */
const char *cvm_net_class_name(int label);

/* Whether this processor can run the code. Opening a model asks the same. BAD_CPU: it cannot. */
cvm_net_status cvm_net_check_cpu(void);

/* A tensor of the model. */
typedef struct cvm_net_parameter {
    size_t size;      /* sizeof(cvm_net_parameter), set by the caller */
    const char *name; /* "body.conv1.weight"; lives as long as the library */
    int rank;
    int64_t shape[4];
    int64_t elements;  /* f32 */
    int learned;       /* 1: weights; 0: statistics of batch normalization */
    double multiplier; /* of the rate in training; 0: frozen, or nothing to train with */
} cvm_net_parameter;

int cvm_net_parameter_count(void);

/* Fills *parameter for the index, from 0. BAD_ARGUMENT: no such index. */
cvm_net_status cvm_net_parameter_at(int index, cvm_net_parameter *parameter);

/* --- models --- */

/* Opens the weights: a safetensors file with every parameter by its name, as F32, F16, BF16 or F64
 * (what `cvmc train` writes). NULL: the weights embedded in the object, if there are any. The file
 * is mapped, so that F32 weights are in memory once, and must not be overwritten while the model is
 * open. NO_FILE, BAD_WEIGHTS, BAD_CPU, NO_MEMORY.@PACKED@ */
cvm_net_status cvm_net_open(const char *path, cvm_net_model **model);

/* The same, with what the code makes of the weights (packed for vectors) kept in a file of its own,
 * `packed` (NULL: beside the weights, path.packed): written the first time, and again when weights
 * or code are others, and mapped from then on, so that opening takes no time and large weights are
 * never twice in memory, while they are packed neither. A model that is open keeps its own when the
 * file is replaced. NO_FILE, too, when `packed` cannot be written: the folder refuses, the disk is
 * full. */
cvm_net_status cvm_net_open_packed(const char *path, const char *packed, cvm_net_model **model);

/* The same of a safetensors file in memory, which must outlive the model. */
cvm_net_status cvm_net_open_memory(const void *bytes, size_t size, cvm_net_model **model);

/* NULL is allowed. BAD_ORDER: a context of the model is still there. */
cvm_net_status cvm_net_close(cvm_net_model *model);

/* Copies a parameter's elements, in row-major order. elements: how many `values` has room for,
 * which must be the parameter's own number. */
cvm_net_status cvm_net_get_parameter(const cvm_net_model *model, const char *name, float *values,
                                     size_t elements);

/* --- pictures --- */

/* A decoded picture: rows of pixels from the top, the channels of a pixel side by side. */
typedef struct cvm_net_picture {
    size_t size; /* sizeof(cvm_net_picture), set by the caller */
    const uint8_t *pixels;
    int width, height;
    int channels;     /* 1 grey, 3 RGB, 4 RGBA (alpha is laid over black) */
    ptrdiff_t stride; /* bytes from one row to the next; 0: width * channels */
} cvm_net_picture;

/* Makes a picture into one image of the input: @PREPARATION@
 * image: CVM_NET_INPUT_ELEMENTS floats. BAD_ARGUMENT: the picture cannot become an
 * image of the model's size. BAD_ORDER: how to normalize depends on the pictures
 * that were learned from; open a checkpoint, which remembers it. NO_MEMORY. Any thread. */
cvm_net_status cvm_net_prepare(const cvm_net_model *model, const cvm_net_picture *picture,
                               float *image);

/* --- contexts --- */

typedef struct cvm_net_options {
    size_t size;  /* sizeof(cvm_net_options), set by the caller */
    int threads;  /* that a run uses, the caller's included; 0: $CVM_THREADS, else one for each
                     processor. The results do not depend on it */
    void *memory; /* the context's working memory, aligned to 64 bytes, which must outlive it;
                     NULL: the context allocates it */
    size_t memory_bytes; /* of it: at least what cvm_net_context_bytes tells */
} cvm_net_options;

/* How much working memory a context needs. */
size_t cvm_net_context_bytes(void);

/* options: NULL for the defaults. After this nothing is allocated any more. NO_MEMORY, NO_THREADS.
 */
cvm_net_status cvm_net_context_create(cvm_net_model *model, const cvm_net_options *options,
                                      cvm_net_context **context);
/* NULL is allowed. */
void cvm_net_context_destroy(cvm_net_context *context);

/* Classifies `count` images. images: f32 [count, CVM_NET_CHANNELS, CVM_NET_HEIGHT, CVM_NET_WIDTH],
 * normalized. logits, probabilities: f32 [count, CVM_NET_CLASSES]; either may be NULL. All of them
 * are the caller's memory and used in place. Images are run in batches of @BATCHES@ */
cvm_net_status cvm_net_run(cvm_net_context *context, const float *images, size_t count,
                           float *logits, float *probabilities);
/* @TRAINING@ */
#ifdef __cplusplus
}
#endif

#endif

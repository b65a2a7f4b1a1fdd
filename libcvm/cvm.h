/* libcvm: the compiler as a library. A program hands over the text of a .cvm file and gets a
 * network that runs, differentiates and learns in its own process, as native code.
 *
 *     cvm_network *network;
 *     if (cvm_network_compile(text, NULL, &network) ||
 *         cvm_network_load(network, "lenet5.safetensors") ||
 *         cvm_network_run(network, images, 1, NULL, probabilities))
 *         fputs(cvm_message(), stderr);
 *     cvm_network_free(network);
 *
 * A network belongs to one thread at a time; different networks run side by side. Every function
 * that can fail returns a status, and cvm_message() then says what was wrong: of a text that is
 * wrong, every mistake with its place and mend. A function that fails changes nothing but what it
 * says it does.
 *
 * Versions: this header is stable from CVM_API on. Structs begin with their own size, which the
 * caller sets; later versions add members behind the others, and functions, and take away neither.
 */
#ifndef CVM_H
#define CVM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CVM_API 1

typedef enum cvm_status {
    CVM_OK = 0,
    CVM_BAD_ARGUMENT = 1, /* a null pointer, a number out of range, a name that is not known */
    CVM_BAD_ORDER = 2,    /* the call is not possible now */
    CVM_NO_MEMORY = 3,
    CVM_NO_FILE = 4,      /* a file cannot be read or written */
    CVM_BAD_WEIGHTS = 5,  /* no safetensors file, damaged, or of another model */
    CVM_NO_THREADS = 7,   /* the system refuses to start threads */
    CVM_NOT_A_NUMBER = 8, /* the loss is infinite or not a number */
    CVM_BAD_TEXT = 9,     /* the text is wrong */
    CVM_NO_CODE = 10      /* code could not be generated */
} cvm_status;

typedef struct cvm_network cvm_network;

/* CVM_API of the library, and its version as text: "0.1.0". */
int cvm_api(void);
const char *cvm_version(void);

/* What the last call of this thread that failed complains of; "" before any did. */
const char *cvm_message(void);

typedef struct cvm_options {
    size_t size;      /* sizeof(cvm_options), set by the caller */
    const char *name; /* of the text, in messages; NULL: "text" */
    const char
        *model; /* which one, with its default arguments; NULL: the train's, or the only one */
    const char *train;  /* which one; NULL: the only one */
    int64_t batch;      /* that gradients are taken of; 0: the train's, or 1 */
    int threads;        /* 0: $CVM_THREADS, else one for each processor */
    const char *passes; /* as --passes; NULL: the default ones */
    const char *cache;  /* folder of compiled kernels; NULL: none is kept */
    int imports;        /* 1: imports may be read: of "std/…", and of files in the current folder */
} cvm_options;

/* Compiles the model of a text, with the parameters it would begin training with. Data, weights and
 * label files that it names are not read. What learns, with which loss and optimizer, is what its
 * train says; without one, everything, with cross-entropy and plain gradient descent of rate 0.01.
 * options: NULL for the defaults. BAD_TEXT, NO_CODE, NO_MEMORY, NO_THREADS. */
cvm_status cvm_network_compile(const char *text, const cvm_options *options, cvm_network **network);
/* NULL is allowed. */
void cvm_network_free(cvm_network *network);

/* A JSON object that lives as long as the network: input, outputs, parameters, plans. */
const char *cvm_network_facts(const cvm_network *network);

/* Of one image and one answer. */
typedef struct cvm_shape {
    size_t size; /* sizeof(cvm_shape), set by the caller */
    int64_t channels, height, width, classes;
    int64_t batch; /* that gradients are taken of */
} cvm_shape;
cvm_status cvm_network_shape(const cvm_network *network, cvm_shape *shape);

/* With the averages of the parameters where the train keeps some (`average`), as save writes them.
 * Classifies `count` images, f32 [count, channels, height, width], to f32 [count, classes]; one of
 * logits and probabilities may be NULL. */
cvm_status cvm_network_run(cvm_network *network, const float *images, size_t count, float *logits,
                           float *probabilities);

/* --- parameters --- */

typedef struct cvm_parameter {
    size_t size;      /* sizeof(cvm_parameter), set by the caller */
    const char *name; /* "body.conv1.weight"; lives as long as the network */
    int rank;
    int64_t shape[4];
    int64_t elements;  /* f32 */
    double multiplier; /* of the rate; 0: it does not learn and has no gradient */
} cvm_parameter;

int cvm_network_parameter_count(const cvm_network *network);
cvm_status cvm_network_parameter_at(const cvm_network *network, int index,
                                    cvm_parameter *parameter);

/* elements: the parameter's own number of them, in row-major order. */
cvm_status cvm_network_get(const cvm_network *network, const char *name, float *values,
                           size_t elements);
cvm_status cvm_network_set(cvm_network *network, const char *name, const float *values,
                           size_t elements);

/* Every parameter from a safetensors file, by name; and to one, which cvmc takes as a checkpoint.
 */
cvm_status cvm_network_load(cvm_network *network, const char *path);
cvm_status cvm_network_save(const cvm_network *network, const char *path);

/* The same with the optimizer's memory, the rate and the number of steps: a network of the same
 * text that resumes from it goes on to the same bits. BAD_ORDER: gradients wait. On error resume
 * changes nothing. */
cvm_status cvm_network_save_checkpoint(const cvm_network *network, const char *path);
cvm_status cvm_network_resume(cvm_network *network, const char *path);

/* --- derivatives --- */

/* Adds the gradients of the mean loss over one batch to those that wait. images, labels (i32, each
 * from 0 to classes - 1): as many as `batch` of the shape. *loss (or NULL): before any step. */
cvm_status cvm_network_differentiate(cvm_network *network, const float *images,
                                     const int32_t *labels, float *loss);

/* The sum of a parameter's gradients so far. BAD_ARGUMENT: it does not learn. */
cvm_status cvm_network_gradient(const cvm_network *network, const char *name, float *values,
                                size_t elements);

/* Differentiates one batch and takes the optimizer's step at once, to the same bits as both calls
 * with a scale of 1, but faster: each gradient goes into its parameter as soon as it is there.
 * BAD_ORDER: gradients wait. */
cvm_status cvm_network_learn(cvm_network *network, const float *images, const int32_t *labels,
                             float rate, float *loss);

/* The optimizer's step from the gradients times `scale`, at a rate; then none wait any more.
 * BAD_ORDER: there are none. discard: without a step. */
cvm_status cvm_network_step(cvm_network *network, float rate, float scale);
cvm_status cvm_network_discard(cvm_network *network);

#ifdef __cplusplus
}
#endif

#endif

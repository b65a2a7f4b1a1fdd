/* A compiled computation: kernel calls in order, where each of their buffers lies, and how far each
 * call splits over threads. The compiler builds it (JIT or ahead of time); instance.h runs it.
 *
 * Buffers live in one of several spaces. The *arena* is one block of memory private to an instance;
 * every intermediate tensor has a fixed offset in it. *Inputs* and *outputs* have one, too, where
 * they lie unless the caller binds them to memory of its own. *Prepared* memory holds what is
 * computed once from slots alone (packed weights, say); instances may share it. *Slots* are tensors
 * that outlive a step - parameters, optimizer state, running statistics - and are bound by name to
 * a CvmStore, so that a training plan and an evaluation plan share them. *Scratch* memory is each
 * thread's own, for what a kernel keeps while it works on an item. */
#ifndef CVM_RUNTIME_PLAN_H
#define CVM_RUNTIME_PLAN_H

#include "runtime/tensor.h"

#define CVM_ALIGNMENT 64 /* bytes; every buffer starts at a multiple of it */

/* A generated kernel. buffers: the call's tensors in the kernel's own order. It does the work items
 * [begin, end) of the call's extent; different items write different memory, and what one item
 * computes does not depend on how the items are split, so any split gives the same bits. */
typedef void (*CvmKernelFunction)(void *const *buffers, int64_t begin, int64_t end);

typedef enum CvmSpace {
    CVM_SPACE_ARENA,
    CVM_SPACE_SLOT,
    CVM_SPACE_PREPARED,
    CVM_SPACE_INPUT,
    CVM_SPACE_OUTPUT,
    CVM_SPACE_SCRATCH,
} CvmSpace;

typedef struct CvmBuffer {
    CvmSpace space;
    int64_t position; /* arena, prepared, scratch: offset in bytes; else index into the plan's
                         slots, inputs or outputs */
} CvmBuffer;

typedef struct CvmCall {
    const char *kernel; /* symbol of the kernel, for profiles and messages */
    const char *layer;  /* name path of the layer it serves: "body.conv1" */
    CvmKernelFunction function;
    const CvmBuffer *buffers;
    int buffer_count;
    int64_t extent; /* number of work items */
    double flops;   /* floating-point operations, a multiply-add being two */
    double bytes;   /* of its tensors, each read or written once */
    bool prepares;  /* depends on slots alone that the plan does not write, and stores prepared
                       memory: an instance does it at its first run, and again after
                       cvm_instance_forget */
    /* of the whole call, estimated; their sum is what the runtime looks at to keep small work on
     * one thread */
} CvmCall;

/* A tensor that lives in the arena and that the caller fills or reads. Always in plain row-major
 * layout. */
typedef struct CvmPort {
    const char *name; /* "image", "target", "rate"; "logits", "loss" */
    CvmDtype dtype;
    CvmShape shape;
    int64_t offset; /* bytes into the arena */
} CvmPort;

typedef enum CvmSlotKind {
    CVM_SLOT_PARAMETER, /* learned (or frozen) weights */
    CVM_SLOT_STATISTIC, /* batch-norm running statistics */
    CVM_SLOT_OPTIMIZER, /* momentum and the like */
    CVM_SLOT_GRADIENT,  /* sums of gradients, until they are applied; in no checkpoint */
} CvmSlotKind;

/* A tensor that outlives a step. All plans over a store have it in one order. How it starts when no
 * file gives it: uniform in
 * [-bound, bound) when bound > 0, else every element `fill`. */
typedef struct CvmSlot {
    const char *name; /* "body.conv1.weight", "optimizer.body.conv1.weight.momentum" */
    CvmSlotKind kind;
    CvmDtype dtype;
    CvmShape shape;
    double bound;
    double fill;
    int lanes; /* kept as filters of so many lanes (filters.h); 0: in plain, row-major order */
} CvmSlot;

typedef struct CvmPlan {
    const char *name;
    const CvmCall *calls;
    int call_count;
    const CvmPort *inputs;
    int input_count;
    const CvmPort *outputs;
    int output_count;
    const CvmSlot *slots;
    int slot_count;
    int64_t arena_bytes, prepared_bytes;
    int64_t scratch_bytes; /* that each thread needs */
    int64_t live_bytes;    /* most that is alive at once: no arena could be smaller; 0: not told */
} CvmPlan;

#endif

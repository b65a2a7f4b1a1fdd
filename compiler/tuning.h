/* Measured choices. Where a kernel can be made in several correct ways, a model of the costs
 * chooses and names the alternatives; what `cvmc bench --tune` has measured on this processor
 * overrules it. Choice points are a few lines each: a convolution's algorithm (passes/winograd.c),
 * a linear layer's form (ops/linear.c), tiles and work items (kernels/schedule*.c).
 *
 * A choice is told by its question, a text that says all that matters to it ("conv f32[1, 64, …",
 * or the hash of a kernel's text), and answered by the name of a candidate ("F(4x4)", "6 x 2"), so
 * that a record may outlive changes of the models: an answer that is no candidate any more is not
 * taken. Different answers give different last bits. */
#ifndef CVM_COMPILER_TUNING_H
#define CVM_COMPILER_TUNING_H

#include "compiler/arena.h"
#include "runtime/error.h"

#include <stdint.h>

enum { CVM_TUNING_CANDIDATES = 8, CVM_TUNING_NAME = 32 };

/* Ways are algorithms, cuts how one is cut: which cuts there are may depend on the way. */
typedef enum CvmTuningLevel { CVM_TUNING_WAY, CVM_TUNING_CUT } CvmTuningLevel;

/* The candidates, that of the model first. */
typedef struct CvmTuningChoice {
    CvmTuningLevel level;
    const char *layer; /* that asks, for people and for who measures; any of those that share it */
    int count;
    char names[CVM_TUNING_CANDIDATES][CVM_TUNING_NAME];
} CvmTuningChoice;

typedef struct CvmTuningEntry {
    const char *question;
    const char *answer; /* NULL: none was measured */
    double seconds;     /* of the answer, and of what the model had chosen */
    const char *model;  /* what that was */
    double model_seconds;

    /* While choices are collected: who asked, and which candidate was taken last (-1: none yet). */
    CvmTuningChoice choice;
    int taken;
    const char *best; /* of those tried so far */
    const char **layers;
    int layer_count, layer_capacity;
    struct CvmTuningEntry *next;
} CvmTuningEntry;

typedef struct CvmTuning {
    CvmArena *arena;
    CvmTuningEntry *first, *last; /* in the order in which they were added */
    bool collects;                /* unknown questions are added, to be measured */
} CvmTuning;

/* NULL: no such question. */
CvmTuningEntry *cvm_tuning_find(const CvmTuning *tuning, const char *question);

/* A new entry. */
CvmTuningEntry *cvm_tuning_add(CvmTuning *tuning, const char *question);

/* Which candidate to take: 0, the model's, unless another one is recorded. tuning may be NULL. */
int cvm_tuning_choose(CvmTuning *tuning, const char *question, const CvmTuningChoice *choice);

/* "measured: 1.2 ms, direct has 1.5 ms" where `chosen` is what was measured; else NULL. In the
 * tuning's arena. */
const char *cvm_tuning_reason(const CvmTuning *tuning, const char *question,
                              const CvmTuningChoice *choice, int chosen);

/* Adds a candidate, where there is room and it is not there yet. */
void cvm_tuning_offer(CvmTuningChoice *choice, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- the record on disk: a file for each kind of processor, in the user's cache --- */

/* Reads what was measured for `identity`, a text that tells processor, compiler and generators
 * apart, in the folder `tuning` of `cache`. NULL: nothing. *ignored: the path of a file that is
 * damaged or of another processor, else NULL. In the arena. */
CvmTuning *cvm_tuning_load(const char *cache, const char *identity, CvmArena *arena,
                           const char **ignored);

/* Adds the answered entries to those on disk, in place of what was answered before; *path, in the
 * tuning's arena, is where. Error (machine): the file cannot be written. */
bool cvm_tuning_save(const CvmTuning *tuning, const char *cache, const char *identity,
                     const char **path, CvmError *error);

#endif

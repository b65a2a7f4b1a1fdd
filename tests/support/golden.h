/* The reference values of another implementation (safetensors files: one operator, one loss or one
 * small model each; their README says what a file holds), as graphs with the tensors to feed and to
 * expect. The same runs serve the slow references (tests/unit/reference_golden.c) and compiled
 * code.
 *
 * Every file of the folder is a case. Whatever the operator table has, with attributes named as in
 * the file, is built from the table alone; a new operator needs nothing here, unless it appears
 * among a model's layers. What the table lacks is named in `missing`, never passed over in silence.
 *
 *   CvmGoldenFolder folder = cvm_golden_folder(arena);
 *   for (int i = 0; i < folder.count; i++) {
 *       CvmGoldenValues values = cvm_golden_values(folder.paths[i], arena);
 *       if (values.missing) …                                 print "not yet: …"
 *       for (int k = 0; k < values.run_count; k++)
 *           …                                   execute values.runs[k], then cvm_golden_compare
 *   } */
#ifndef CVM_TEST_GOLDEN_H
#define CVM_TEST_GOLDEN_H

#include "compiler/graph/graph.h"

typedef struct CvmGoldenFolder {
    const char *path;
    const char **paths; /* of its *.safetensors, sorted by name */
    int count;
} CvmGoldenFolder;

typedef struct CvmGoldenTensor {
    const char *name; /* of the source to fill, or of the output to compare */
    CvmDtype dtype;
    CvmShape shape;
    int64_t count;
    const void *elements; /* f32 or i32, plain row-major, aligned; in the arena */
} CvmGoldenTensor;

/* A graph, and what to do with it: fill the sources (those not listed are optimizer state, which
 * starts at 0), run it `steps` times with its updates in between, compare the outputs of the first
 * step with `expected`, and the output "loss" of step i with losses[i] where there are losses. */
typedef struct CvmGoldenRun {
    const char *name; /* "model_lenet5: 10 steps of SGD" */
    CvmGraph *graph;
    const CvmGoldenTensor *sources;
    int source_count;
    const CvmGoldenTensor *expected;
    int expected_count;
    int steps;
    const float *losses; /* of `steps`, or NULL */
    double tolerance;    /* a agrees with b where |a - b| <= tolerance (1 + |b|) */
} CvmGoldenRun;

typedef struct CvmGoldenValues {
    const char *name;    /* "op_conv3x3" */
    const char *missing; /* "lrn": why there are no runs; else NULL */
    const CvmGoldenRun *runs;
    int run_count;
} CvmGoldenValues;

/* The files of $CVM_GOLDEN, else of ../shared/golden beside the sources. Fails the test when the
 * folder is missing or empty. */
CvmGoldenFolder cvm_golden_folder(CvmArena *arena);

/* Reads a file and builds its runs. Fails the test when the file cannot be read or is in no known
 * form. Everything lies in `arena`. */
CvmGoldenValues cvm_golden_values(const char *path, CvmArena *arena);

/* The tensor to fill source `name` with; NULL for one that starts at 0. */
const CvmGoldenTensor *cvm_golden_source(const CvmGoldenRun *run, const char *name);

/* Fails the test, saying which element differs most, unless all `count` elements agree. */
void cvm_golden_compare(const CvmGoldenRun *run, const char *what, const float *actual,
                        const float *expected, int64_t count);

#endif

/* Generated code against the references of compiler/ops: for tests that run a graph both ways. */
#ifndef CVM_TESTS_CHECKED_H
#define CVM_TESTS_CHECKED_H

#include "compiler/graph/graph.h"
#include "tests/support/compiled.h"

/* Of the test that runs: cmocka's fixtures, and the arena and diagnostics that they make for it. */
extern CvmArena *checked_arena;
extern CvmDiag checked_diag;
int checked_set_up(void **state);
int checked_tear_down(void **state);

/* Nodes of a test's graph, all of an origin named "x"; the test fails where one does not hold.
 * checked_add: `count` operands, at most CHECKED_OPERANDS, follow; more are left alone.
 * checked_relayout: to a layout by its name in text form, as "channel8". */
enum { CHECKED_OPERANDS = 3 };
CvmNode *checked_input(CvmGraph *graph, const char *name, CvmShape shape);
CvmNode *checked_add(CvmGraph *graph, CvmOp op, const CvmAttribute *attributes, int count, ...);
CvmNode *checked_relayout(CvmGraph *graph, CvmNode *x, const char *to);

/* Gives every input and parameter of the graph values in [-1, 1] that depend on its name alone. */
void checked_fill(Compiled *compiled, const CvmGraph *graph, CvmArena *arena);

/* Compiles a copy of the graph with the named passes for every CPU that this machine can run (in
 * sanitizer builds for one of them, each in turn: nearly all time there is LLVM's), and fails the
 * test where an output differs from the reference's: by more than tolerance, and tolerance of its
 * size. Inputs and parameters are values in [-1, 1], the same on every machine. */
void checked_run(CvmGraph *graph, CvmArena *arena, const char *what, const char *passes,
                 float tolerance);

#endif

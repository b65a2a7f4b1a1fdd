/* A name map at work: what a foreign file calls its tensors becomes what the model calls them. */
#ifndef CVM_FRONT_NAME_MAP_H
#define CVM_FRONT_NAME_MAP_H

#include "compiler/front/program.h"

enum { CVM_MAX_STARS = 8 }; /* in one line of a map */

/* Called with each problem, a phrase without a full stop. */
typedef void CvmTellProblem(void *context, const char *problem);

typedef struct CvmRenaming {
    const CvmNameMap *map;
    const char *const *parameters; /* names of the model's, in its order */
    int parameter_count;
    const char *
        *names; /* of the file's tensors, renamed in place; NULL where the map ignores one */
    int count;
    CvmArena *arena; /* holds new names and problems */
    CvmTellProblem *tell;
    void *context;
} CvmRenaming;

/* Applies the map's lines one after another, each to every name that is no parameter's yet. A name
 * that no line leads to a parameter keeps what the lines made of it. Problems told: a line without
 * '*' that finds nothing to do, although some name needed the map; `in order` where file and model
 * have different numbers of layers (as many as both have are paired all the same). */
void cvm_rename_tensors(const CvmRenaming *renaming);

#endif

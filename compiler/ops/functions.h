/* Declares the functions that the rows of compiler/ops.def name, column by column; each is defined
 * in its op's file. NONE becomes a name of the column's own type that nothing defines or uses. */
#ifndef CVM_OPS_FUNCTIONS_H
#define CVM_OPS_FUNCTIONS_H

#include "compiler/graph/layer.h"
#include "compiler/kernels/lower.h"

#define NONE cvm_no_build
#define OP(id, name, class, operands, count, arguments, attributes, build, ...)                    \
    CvmNode *build(CvmLayer *layer);
#include "compiler/ops.def"
#undef OP
#undef NONE

#define NONE cvm_no_infer
#define OP(id, name, class, operands, count, arguments, attributes, build, infer, ...)             \
    bool infer(CvmNode *node, CvmDiag *diag);
#include "compiler/ops.def"
#undef OP
#undef NONE

#define NONE cvm_no_gradient
#define OP(id, name, class, operands, count, arguments, attributes, build, infer, gradient, ...)   \
    void gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *output_gradient);
#include "compiler/ops.def"
#undef OP
#undef NONE

#define NONE cvm_no_cost
#define OP(id, name, class, operands, count, arguments, attributes, build, infer, gradient, cost,  \
           ...)                                                                                    \
    CvmCost cost(const CvmNode *node);
#include "compiler/ops.def"
#undef OP
#undef NONE

#define NONE cvm_no_lower
#define OP(id, name, class, operands, count, arguments, attributes, build, infer, gradient, cost,  \
           lower, ...)                                                                             \
    void lower(CvmLowering *lowering, const CvmNode *node);
#include "compiler/ops.def"
#undef OP
#undef NONE

#define NONE cvm_no_reference
#define OP(id, name, class, operands, count, arguments, attributes, build, infer, gradient, cost,  \
           lower, reference, doc)                                                                  \
    void reference(const CvmNode *node, const void *const *values, void *output);
#include "compiler/ops.def"
#undef OP
#undef NONE

#endif

/* What names stand for while a model is expanded, and the evaluation of expressions over them. */
#ifndef CVM_FRONT_SCOPE_H
#define CVM_FRONT_SCOPE_H

#include "compiler/front/signature.h"

typedef struct CvmBinding {
    const char *name;
    int64_t value;   /* of an integer */
    CvmNode *tensor; /* bound by let; NULL for an integer */
    const struct CvmBinding *outer;
} CvmBinding;

/* The innermost binding of a name, or NULL. */
const CvmBinding *cvm_binding_find(const CvmBinding *scope, const char *name);

typedef struct CvmEval {
    const CvmBinding *scope;
    CvmNode *it; /* the tensor that flows */
    const CvmUse *uses;
    CvmDiag *diag;
} CvmEval;

/* A whole number; operators are checked for overflow and division by zero (1210-1213). */
bool cvm_eval_integer(const CvmEval *eval, const CvmAstExpr *expr, int64_t *value);

/* The same, within [least, most] (1214); `what` names it in the message. */
bool cvm_eval_in_range(const CvmEval *eval, const CvmAstExpr *expr, const char *what, int64_t least,
                       int64_t most, int64_t *value);

/* A number, whole or not. */
bool cvm_eval_real(const CvmEval *eval, const CvmAstExpr *expr, double *value);

/* An argument of a layer, by its parameter's kind (1207 when it is of another). */
bool cvm_eval_argument(const CvmEval *eval, const CvmParameterInfo *parameter,
                       const CvmAstArgument *written, CvmArgument *argument);

#endif

/* The argument signatures of layers, read from the strings in compiler/ops.def (see
 * compiler/graph/layer.h for their form), and the matching of written arguments to them. */
#ifndef CVM_FRONT_SIGNATURE_H
#define CVM_FRONT_SIGNATURE_H

#include "compiler/front/ast.h"
#include "compiler/graph/layer.h"

typedef enum CvmParameterKind {
    CVM_PARAMETER_INT,
    CVM_PARAMETER_REAL,
    CVM_PARAMETER_BOOL,
    CVM_PARAMETER_SIZE,
    CVM_PARAMETER_PAD,
    CVM_PARAMETER_TENSOR,
} CvmParameterKind;

typedef struct CvmParameterInfo {
    const char *name;
    CvmParameterKind kind;
    bool optional;    /* has a default, or may be left out */
    bool repeats;     /* tensor*: one or more of them, the only parameter */
    double otherwise; /* the default; 0 when left out */
} CvmParameterInfo;

typedef struct CvmSignature {
    CvmParameterInfo parameters[CVM_MAX_ARGUMENTS];
    int count;
} CvmSignature;

/* The signature of an op's layer; the op must have one. */
CvmSignature cvm_signature(CvmOp op, CvmArena *arena);

/* A model's or block's parameters as a signature of ints; defaults are marked, not evaluated. */
CvmSignature cvm_signature_of_parameters(const CvmAstParameter *parameters);

/* Which written argument each parameter gets: matched[i] for parameter i, NULL where none was
 * given; where a parameter repeats, that is the first of its arguments, and the rest follow it.
 * Reports 1203 unknown, 1204 given twice, 1205 missing, 1206 too many, at `span`; false
 * then. */
bool cvm_match_arguments(const CvmSignature *signature, const char *callee,
                         const CvmAstArgument *arguments, CvmSpan span, const CvmUse *uses,
                         const CvmAstArgument *matched[CVM_MAX_ARGUMENTS], CvmDiag *diag);

#endif

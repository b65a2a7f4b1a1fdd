/* The table of operators as data: compiler/ops.def, one entry a row. */
#include "compiler/ops/functions.h"

#include <string.h>

#define NONE NULL
#define NO_ATTRIBUTES {NULL, CVM_ATTRIBUTE_END, 0}
#define INT(name, otherwise) {name, CVM_ATTRIBUTE_INT, otherwise}
#define SIZE(name, otherwise) {name, CVM_ATTRIBUTE_SIZE, otherwise}
#define PAD(name, otherwise) {name, CVM_ATTRIBUTE_PAD, otherwise}
#define REAL(name, otherwise) {name, CVM_ATTRIBUTE_REAL, otherwise}
#define TEXT(name) {name, CVM_ATTRIBUTE_TEXT, 0}
#define LIST(...) {__VA_ARGS__}

static const CvmOpInfo table[CVM_OP_COUNT] = {
#define OP(id, name_, class_, operands_, count, arguments_, attributes_, build_, infer_,           \
           gradient_, cost_, lower_, reference_, doc_)                                             \
    {.name = name_,                                                                                \
     .class = CVM_CLASS_##class_,                                                                  \
     .operands = operands_,                                                                        \
     .operand_count = count,                                                                       \
     .arguments = arguments_,                                                                      \
     .attributes = LIST attributes_,                                                               \
     .build = build_,                                                                              \
     .infer = infer_,                                                                              \
     .gradient = gradient_,                                                                        \
     .cost = cost_,                                                                                \
     .lower = lower_,                                                                              \
     .reference = reference_,                                                                      \
     .doc = doc_},
#include "compiler/ops.def"
#undef OP
};

const CvmOpInfo *cvm_op_info(CvmOp op) {
    return &table[op];
}

bool cvm_op_is_gradient(CvmOp op) {
    return strstr(table[op].name, "_grad") != NULL;
}

bool cvm_reads_channels(const CvmNode *node) {
    for (int i = 0; i < node->input_count; i++)
        if (node->inputs[i]->type.shape.rank == 1 && node->type.shape.rank >= 2 &&
            node->inputs[i]->type.dtype == node->type.dtype)
            return true;
    return false;
}

CvmOp cvm_op_find(const char *name) {
    int op = 0;
    while (op < CVM_OP_COUNT && strcmp(table[op].name, name))
        op++;
    return (CvmOp)op;
}

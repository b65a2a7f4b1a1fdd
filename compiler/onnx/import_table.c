/* The table of operators.def as data. */
#include "compiler/onnx/import.h"

#include <string.h>

static const CvmOnnxOperator operators[] = {
#define OPERATOR(name, least, most, function, attributes, layer)                                   \
    {name, least, most, cvm_onnx_read_##function, attributes, layer},
#include "compiler/onnx/operators.def"
#undef OPERATOR
};

const CvmOnnxOperator *cvm_onnx_operator(const char *name) {
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (!strcmp(operators[i].name, name))
            return &operators[i];
    return NULL;
}

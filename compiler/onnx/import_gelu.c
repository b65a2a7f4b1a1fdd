/* See import.h: GELU as exporters wrote it before there was an operator of that name (opset 20):
 *
 *   x * 0.5 * (1 + erf(x / sqrt 2))     in any order of the products
 *
 * Each node on the way gives a part, factor x^power e; once the parts make 0.5 x (1 + erf), the
 * result is the layer. A part that anything else reads is an error at the node that gives it. */
#include "compiler/onnx/import.h"

#include <math.h>
#include <string.h>

static bool near(double a, double b) {
    return fabs(a - b) < 1e-4 * fabs(b); /* exporters round to float16, too */
}

/* A tensor is the part 1 x; false for what is neither tensor nor part. */
static bool part_of(const CvmOnnxValue *value, CvmOnnxPart *part) {
    bool given = value->kind == CVM_ONNX_PART && value->part.formula == CVM_ONNX_GELU;
    *part = given ? value->part : (CvmOnnxPart){.factor = 1, .power = 1};
    return given || value->kind == CVM_ONNX_TENSOR;
}

static bool give_part(CvmOnnxImport *import, int tensor, CvmOnnxPart part) {
    if (part.power == 1 && part.erf == CVM_ONNX_ONE_PLUS_ERF && near(part.factor, 0.5)) {
        CvmOnnxLayer *layer = cvm_onnx_begin_layer(import, "gelu", &tensor, 1);
        return layer && cvm_onnx_finish_layer(import, layer);
    }
    return cvm_onnx_give_part(import, tensor, &part);
}

bool cvm_onnx_read_erf(CvmOnnxImport *import) {
    CvmOnnxPart part;
    const CvmOnnxValue *x = cvm_onnx_has_input(import, 0) ? import->inputs[0] : NULL;
    if (!x || !part_of(x, &part) || part.power != 1 || part.erf != CVM_ONNX_NO_ERF ||
        !near(part.factor, M_SQRT1_2))
        return cvm_onnx_refuse(import, 1701, NULL, "is not part of GELU's formula");
    return give_part(import, x->tensor, (CvmOnnxPart){.factor = 1, .erf = CVM_ONNX_ERF});
}

/* A part and a single number. */
static bool join_number(CvmOnnxImport *import, int tensor, CvmOnnxPart part, double number) {
    switch (import->operator->name[0]) {
    case 'M':
        part.factor *= number;
        break;
    case 'D':
        part.factor /= number;
        break;
    default:
        if (part.erf != CVM_ONNX_ERF || part.power != 0 || !near(part.factor, number))
            return cvm_onnx_refuse(import, 1701, NULL, "adds a constant, as no layer does");
        part.erf = CVM_ONNX_ONE_PLUS_ERF;
        break;
    }
    return give_part(import, tensor, part);
}

bool cvm_onnx_join_gelu(CvmOnnxImport *import, bool *failed) {
    CvmOnnxPart parts[2];
    double number;
    if (!cvm_onnx_has_input(import, 0) || !cvm_onnx_has_input(import, 1))
        return false;
    bool divides = !strcmp(import->operator->name, "Div");
    for (int i = 0; i < 2 - divides; i++)
        if (part_of(import->inputs[i], &parts[0]) &&
            cvm_onnx_single(import->inputs[1 - i], &number)) {
            *failed = !join_number(import, import->inputs[i]->tensor, parts[0], number);
            return true;
        }
    const CvmOnnxValue *a = import->inputs[0], *b = import->inputs[1];
    bool any = a->kind == CVM_ONNX_PART || b->kind == CVM_ONNX_PART;
    if (!any || !part_of(a, &parts[0]) || !part_of(b, &parts[1]))
        return false;
    bool fits = !strcmp(import->operator->name, "Mul") && a->tensor == b->tensor &&
                parts[0].power + parts[1].power <= 1 &&
                (parts[0].erf == CVM_ONNX_NO_ERF || parts[1].erf == CVM_ONNX_NO_ERF);
    CvmOnnxPart product = {.factor = parts[0].factor * parts[1].factor,
                           .power = parts[0].power + parts[1].power,
                           .erf = parts[0].erf > parts[1].erf ? parts[0].erf : parts[1].erf};
    *failed = !(fits ? give_part(import, a->tensor, product)
                     : cvm_onnx_refuse(import, 1701, NULL, "computes what is not GELU's formula"));
    return true;
}

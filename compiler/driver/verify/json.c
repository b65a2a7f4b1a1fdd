/* See print.h: for programs. */
#include "compiler/driver/verify/print.h"

#include <math.h>

/* JSON has no infinity. */
static void add_number(cJSON *object, const char *name, double number) {
    if (isfinite(number))
        cJSON_AddNumberToObject(object, name, number);
    else
        cJSON_AddNullToObject(object, name);
}

static void add_place(cJSON *object, const CvmNode *node) {
    const CvmSpan *span = &node->origin.span;
    if (!span->source)
        return;
    cJSON_AddStringToObject(object, "file", span->source->path);
    cJSON_AddNumberToObject(object, "line", span->first_line);
    cJSON_AddNumberToObject(object, "column", span->first_column);
}

static cJSON *position_json(const CvmShape *shape, int64_t index) {
    int at[CVM_MAX_RANK];
    for (int d = shape->rank - 1; d >= 0; d--) {
        at[d] = (int)(index % shape->sizes[d]);
        index /= shape->sizes[d];
    }
    return cJSON_CreateIntArray(at, shape->rank);
}

static cJSON *row_json(const CvmVerifyCase *found, const CvmVerifyRow *row) {
    const CvmDeviation *deviation = &row->deviation;
    cJSON *object = cJSON_CreateObject(), *shape = cJSON_AddArrayToObject(object, "shape");
    cJSON_AddStringToObject(object, "tensor", row->node->origin.name ? row->node->origin.name : "");
    cJSON_AddStringToObject(object, "operator", cvm_op_info(row->node->op)->name);
    cJSON_AddStringToObject(object, "compiled_as", cvm_op_info(row->as->op)->name);
    cJSON_AddStringToObject(
        object, "kernel",
        cvm_executable_kernels(found->trial.executable)->kernels[row->call]->symbol);
    add_place(object, row->node);
    for (int d = 0; d < row->node->type.shape.rank; d++)
        cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)row->node->type.shape.sizes[d]));
    cJSON_AddBoolToObject(object, "checked", row->checked);
    if (!row->checked)
        return object;
    cJSON_AddBoolToObject(object, "agrees", deviation->agrees);
    cJSON_AddBoolToObject(object, "blurred", row->blurred);
    cJSON_AddItemToObject(object, "worst", position_json(&row->node->type.shape, deviation->worst));
    add_number(object, "reference", deviation->expected);
    add_number(object, "compiled", deviation->actual);
    add_number(object, "norm", deviation->norm);
    add_number(object, "error", deviation->error);
    add_number(object, "allowed", deviation->allowed);
    return object;
}

cJSON *cvm_verify_case_json(const CvmVerifyCase *found) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "mode", cvm_verify_mode(&found->trial));
    cJSON_AddNumberToObject(object, "batch", (double)found->trial.batch);
    cJSON_AddStringToObject(object, "cpu", cvm_verify_cpu(&found->trial));
    cJSON_AddStringToObject(object, "passes", cvm_verify_passes(&found->trial));
    cJSON_AddBoolToObject(object, "done", found->done);
    if (!found->done)
        return object;
    cJSON_AddBoolToObject(object, "agrees", cvm_verify_case_holds(found));
    cJSON_AddNumberToObject(object, "checked", found->walk.checked);
    cJSON_AddNumberToObject(object, "different", found->walk.different);
    cJSON_AddNumberToObject(object, "left_out", found->walk.count - found->walk.checked);
    cJSON_AddNumberToObject(object, "inside_kernels", found->walk.inside);
    cJSON_AddNumberToObject(object, "seconds", found->walk.seconds);
    const CvmVerifyRow *first = cvm_verify_first(&found->walk);
    cJSON_AddItemToObject(object, "first_different",
                          first ? row_json(found, first) : cJSON_CreateNull());
    cJSON *bits = cJSON_AddObjectToObject(object, "bits");
    cJSON_AddBoolToObject(bits, "same", found->bits.same);
    cJSON_AddNumberToObject(bits, "threads", found->bits.threads);
    if (!found->bits.same) {
        cJSON_AddStringToObject(bits, "run", found->bits.run);
        cJSON_AddStringToObject(bits, "tensor", found->bits.tensor);
    }
    cJSON *tensors = cJSON_AddArrayToObject(object, "tensors");
    for (int i = 0; i < found->walk.count; i++)
        cJSON_AddItemToArray(tensors, row_json(found, &found->walk.rows[i]));
    return object;
}

static cJSON *gradient_json(const CvmVerifyGradient *row) {
    static const char *const verdicts[] = {"agrees", "differs", "flat", "kink"};
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "parameter", row->parameter->origin.name);
    add_place(object, row->parameter);
    cJSON_AddBoolToObject(object, "checked", row->checked);
    if (!row->checked)
        return object;
    cJSON_AddStringToObject(object, "verdict", verdicts[row->verdict]);
    cJSON *derivatives = cJSON_AddArrayToObject(object, "derivatives");
    for (int i = 0; i < row->count; i++) {
        cJSON *one = cJSON_CreateObject();
        add_number(one, "gradient", row->derivatives[i].expected);
        add_number(one, "differences", row->derivatives[i].measured);
        add_number(one, "step", row->derivatives[i].step);
        cJSON_AddStringToObject(one, "verdict", verdicts[row->derivatives[i].verdict]);
        cJSON_AddItemToArray(derivatives, one);
    }
    return object;
}

cJSON *cvm_verify_gradients_json(const CvmVerifyGradients *gradients) {
    cJSON *object = cJSON_CreateObject();
    add_number(object, "loss", gradients->loss);
    cJSON_AddBoolToObject(object, "agrees", gradients->different == 0);
    cJSON_AddNumberToObject(object, "left_out", gradients->count - gradients->checked);
    cJSON_AddNumberToObject(object, "seconds", gradients->seconds);
    cJSON *parameters = cJSON_AddArrayToObject(object, "parameters");
    for (int i = 0; i < gradients->count; i++)
        cJSON_AddItemToArray(parameters, gradient_json(&gradients->rows[i]));
    return object;
}

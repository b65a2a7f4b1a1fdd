/* See convert.h. The parameters' names follow from sections and counts, as the checker makes them;
 * so they are not worked out a second time here, but read off the model that the text gives. */
#include "compiler/onnx/convert.h"

#include "compiler/front/program.h"

#include <string.h>

enum { LARGEST_TEXT = 1 << 20 }; /* of a file that cvm reads */

static bool mismatch(CvmDiag *diag) {
    return cvm_diag_error(
        diag, 1708, (CvmSpan){0}, NULL, NULL,
        "the text does not have the parameters of the graph, which is a mistake of "
        "cvm's");
}

static const CvmFileTensor *find_parameter(const CvmOnnxLayer *layer, const char *name) {
    const char *dot = strrchr(name, '.');
    for (int i = 0; dot && i < layer->parameter_count; i++)
        if (!strcmp(layer->parameters[i].name, dot + 1))
            return &layer->parameters[i];
    return NULL;
}

/* Gives the layers' parameters, in the order of the text, the names of the model's. */
static bool name_parameters(const CvmGraph *graph, const int *order, int written,
                            CvmOnnxConverted *converted, CvmDiag *diag) {
    int at = 0, taken = 0;
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        if (node->op != CVM_OP_PARAMETER)
            continue;
        while (at < written && taken == converted->net.layers[order[at]].parameter_count) {
            at++;
            taken = 0;
        }
        const CvmFileTensor *tensor =
            at < written ? find_parameter(&converted->net.layers[order[at]], node->origin.name)
                         : NULL;
        if (!tensor || !cvm_shape_equal(&tensor->shape, &node->type.shape))
            return mismatch(diag);
        taken++;
        CvmFileTensor *named = &converted->tensors[converted->tensor_count++];
        *named = *tensor;
        named->name = node->origin.name;
    }
    for (at += taken > 0; at < written; at++)
        if (converted->net.layers[order[at]].parameter_count)
            return mismatch(diag);
    return true;
}

bool cvm_onnx_convert(CvmOnnxModel *model, const CvmOnnxNames *names, CvmArena *arena,
                      CvmOnnxConverted *converted, CvmDiag *diag) {
    int written;
    *converted = (CvmOnnxConverted){0};
    if (!cvm_onnx_read_net(model, arena, &converted->net, diag))
        return false;
    size_t layers = (size_t)converted->net.count + 1;
    int *order = cvm_arena_array(arena, layers, sizeof *order);
    converted->tensors =
        cvm_arena_array(arena, CVM_ONNX_MAX_PARAMETERS * layers, sizeof *converted->tensors);
    converted->text = cvm_onnx_net_text(&converted->net, names, arena, order, &written);
    converted->length = strlen(converted->text);
    converted->layer_count = written;
    if (converted->length > LARGEST_TEXT)
        return cvm_diag_error(diag, 1708, (CvmSpan){.source = model->nodes}, NULL, NULL,
                              "the net would be a text of more than 1 MiB");
    CvmSource *source = CVM_NEW(arena, CvmSource);
    *source =
        (CvmSource){.path = names->file, .text = converted->text, .length = converted->length};
    CvmProgram *program = cvm_program_from_source(arena, source, NULL, false, diag);
    if (!program)
        return false;
    CvmGraph *graph = cvm_model_build(cvm_program_model(program, 0), 1, arena, diag);
    return graph && name_parameters(graph, order, written, converted, diag);
}

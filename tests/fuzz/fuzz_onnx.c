/* Any bytes as an ONNX model: refused with a sentence or a diagnostic, or a text that holds and
 * weights that go with it. No other file is read. */
#include "compiler/onnx/convert.h"

#include <stdlib.h>
#include <string.h>

/* The tensors' elements lie in the model or the arena: AddressSanitizer checks it. */
static void read_tensors(const CvmOnnxConverted *converted) {
    static volatile uint8_t seen;
    for (int i = 0; i < converted->tensor_count; i++) {
        const CvmFileTensor *tensor = &converted->tensors[i];
        int64_t count;
        if (!cvm_shape_count(&tensor->shape, &count) || 4 * count != tensor->bytes)
            abort();
        for (int64_t k = 0; k < tensor->bytes; k++)
            seen ^= ((const uint8_t *)tensor->data)[k];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    CvmOnnxModel model;
    CvmOnnxConverted converted;
    CvmError error = {0};
    CvmOnnxNames names = {"Fuzz", "fuzz.onnx", "fuzz.cvm", "fuzz.safetensors"};
    cvm_diag_init(&diag, arena);
    if (!cvm_onnx_model_parse(bytes, (int64_t)size, "fuzz.onnx", arena, &model, &error)) {
        if (error.kind == CVM_ERROR_NONE || strlen(error.message) == 0)
            abort(); /* refused without a word */
    } else if (cvm_onnx_convert(&model, &names, arena, &converted, &diag)) {
        read_tensors(&converted);
    } else if (diag.error_count == 0) {
        abort();
    }
    FILE *nowhere = fopen("/dev/null", "w");
    if (nowhere) {
        cvm_diag_print(&diag, nowhere);
        fclose(nowhere);
    }
    cvm_onnx_model_close(&model);
    cvm_arena_free(arena);
    return 0;
}

/* What kernels of minimal filtering do with finished results: the epilogue, perhaps a pooling, the
 * stores. A vector holds a pixel of several channels, or of several pictures. */
#ifndef CVM_CODEGEN_EMIT_WINDOW_H
#define CVM_CODEGEN_EMIT_WINDOW_H

#include "compiler/codegen/emit_tiles.h"

/* A pixel of the result: its indices along the kernel's axes n, output, y, x (a fifth is the
 * vector's), and how far from them it lies. */
typedef struct CvmPixel {
    CvmEmitter *emitter;
    const CvmLanes *lanes;
    LLVMValueRef index[4];
    int64_t down, right;
    LLVMValueRef place; /* of a window: of its largest value */
} CvmPixel;

/* Pixels along an axis (0: down, 1: right) of the windows that the kernel pools; else 1. */
int64_t cvm_window_together(const CvmKernel *kernel, int axis);

/* Stores what becomes of the values of a window, of which `pixel` is the first corner; of a single
 * pixel where nothing is pooled. */
void cvm_emit_window(CvmPixel pixel, CvmTile values);

#endif

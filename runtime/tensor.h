/* The description of a dense tensor that compiler, plan and files share: element type and shape.
 * Shapes are written [n, c, h, w] for pictures, [n, features] for vectors, [] for scalars. */
#ifndef CVM_RUNTIME_TENSOR_H
#define CVM_RUNTIME_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CVM_MAX_RANK 4

typedef enum CvmDtype {
    CVM_F32,
    CVM_I32,  /* class labels */
    CVM_BF16, /* the upper half of an f32: results of kernels, never in files or ports */
} CvmDtype;

typedef struct CvmShape {
    int rank; /* 0 (scalar) to CVM_MAX_RANK */
    int64_t sizes[CVM_MAX_RANK];
} CvmShape;

/* Number of elements (1 for a scalar) in *count; false when it overflows or a size is negative. */
bool cvm_shape_count(const CvmShape *shape, int64_t *count);

bool cvm_shape_equal(const CvmShape *a, const CvmShape *b);

/* Writes "[64, 1, 28, 28]" into text (always terminated); returns text. */
char *cvm_shape_text(const CvmShape *shape, char *text, size_t size);

/* Bytes of one element. */
size_t cvm_dtype_bytes(CvmDtype dtype);

/* "f32", "i32", "bf16". */
const char *cvm_dtype_name(CvmDtype dtype);

#endif

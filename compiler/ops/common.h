/* Checks and small sums that several ops share. Types may come from a hostile graph text, so every
 * infer function begins by asking for the ranks and types it is going to index. */
#ifndef CVM_OPS_COMMON_H
#define CVM_OPS_COMMON_H

#include "compiler/ops/functions.h"

/* Whether operand i is f32 of that rank (rank -1: any); reports 1430 otherwise. */
bool cvm_check_operand(const CvmNode *node, int operand, int rank, CvmDiag *diag);

/* The same for an operand that is of one of two element types. */
bool cvm_check_numbers(const CvmNode *node, int operand, int rank, CvmDtype a, CvmDtype b,
                       CvmDiag *diag);

/* For references whose operands are f32 or bf16: an operand's elements, and element i as f32. */
typedef struct CvmNumbers {
    const void *data;
    CvmDtype dtype;
} CvmNumbers;
CvmNumbers cvm_numbers(const CvmNode *node, const void *const *operands, int operand);
float cvm_number(CvmNumbers numbers, int64_t i);

/* Whether two operands lie in the same layout; reports 1431 otherwise. */
bool cvm_check_layouts(const CvmNode *node, int a, int b, CvmDiag *diag);

/* Whether an operand is plain; reports 1432 otherwise. */
bool cvm_check_plain(const CvmNode *node, int operand, CvmDiag *diag);

/* Whether operand x is [n, c, h, w] or [n, c] and `channels` a plain [c]; reports 1430, 1432 or
 * 1433 otherwise. */
bool cvm_check_channels(const CvmNode *node, int x, int channels, CvmDiag *diag);

/* Reports `rule` at the node (code 1433) and returns false. */
bool cvm_refuse_operands(const CvmNode *node, CvmDiag *diag, const char *rule);

/* Sets the node's type: f32 of that shape, in `like`'s layout or plain when NULL. Sizes below 1 or
 * more than 2^40 elements are refused (1249). */
bool cvm_set_type(CvmNode *node, CvmShape shape, const CvmType *like, CvmDiag *diag);

/* height or width of what a window of `kernel` with `dilation` gives over `size` padded pixels; 0
 * or less where it does not fit. All arguments are checked against absurd sizes: -1 then. */
int64_t cvm_window_count(int64_t size, int64_t kernel, int64_t stride, int64_t pad_before,
                         int64_t pad_after, int64_t dilation);

/* Elements of a value (its shape was checked), and bytes of operands and result together. */
int64_t cvm_count(const CvmNode *node);
/* Of one channel: h w, and 1 for vectors. */
int64_t cvm_pixels(const CvmShape *shape);
double cvm_traffic(const CvmNode *node);

/* For references that run along channels: the channels of one pixel (or of one vector [n, c]) are
 * the plain elements first, first + step, … below end.
 *
 *   for (CvmRow row = cvm_first_row(node); cvm_row_exists(&row); cvm_next_row(&row)) */
typedef struct CvmRow {
    int64_t first, end, step;
    int64_t size, count; /* elements of a picture, of all pictures */
} CvmRow;
CvmRow cvm_first_row(const CvmNode *node);
bool cvm_row_exists(const CvmRow *row);
void cvm_next_row(CvmRow *row);

/* "[16, 5, 5]": the shape without the batch axis, as users think of it. */
char *cvm_picture_text(const CvmNode *node, char *text, size_t size);

/* Reports a user's error at the layer (12xx) and returns NULL. */
CvmNode *cvm_layer_refuse(const CvmLayer *layer, int code, const char *mend, const char *format,
                          ...) __attribute__((format(printf, 4, 5)));

/* Whether a tensor flows into the layer; reports 1220 otherwise. */
bool cvm_layer_has_input(const CvmLayer *layer);

/* Whether that tensor is [n, c, h, w]; reports 1221 otherwise. */
bool cvm_layer_needs_picture(const CvmLayer *layer);

/* Reports that the layer needs a vector and gets a picture (1222); returns NULL. */
CvmNode *cvm_layer_needs_vector(const CvmLayer *layer);

/* Pads of the layer's `pad` argument; `same` spreads what keeps ceil(size / stride), the odd pixel
 * at the bottom and right. */
void cvm_layer_pads(const CvmLayer *layer, const int64_t kernel[2], const int64_t stride[2],
                    const int64_t dilation[2], int64_t pads[4]);

/* Adds the parameter "bias" of the layer and the node that adds it to `value`. */
CvmNode *cvm_layer_bias(CvmLayer *layer, CvmNode *value, int64_t channels, double bound);

/* The loops of a kernel that sums over every axis but the channels (reduce.c): adds the axes for
 * operands of type x, and the result per channel. Then each operand, of x's type or [c], gets its
 * buffer. */
typedef struct CvmChannelSum {
    CvmType x;
    int n, c, pixel, lane; /* axes; -1: none */
} CvmChannelSum;
CvmChannelSum cvm_lower_channel_sum(CvmLowering *lowering, const CvmType *x);
int cvm_lower_channel_operand(CvmLowering *lowering, const CvmChannelSum *sum,
                              const CvmNode *value);

#endif

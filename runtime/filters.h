/* Weights of a convolution as filters: the order in which training keeps them (plan.h), so that
 * kernels read them and update them as they lie. Of [o, c, h, w] blocks of `lanes` outputs are
 * innermost, and of k inputs next: [o/lanes][c/k][h][w][k of c][lanes of o], where k is `lanes` if
 * that divides c, else c. `lanes` divides o; nothing is padded. */
#ifndef CVM_RUNTIME_FILTERS_H
#define CVM_RUNTIME_FILTERS_H

#include "runtime/tensor.h"

/* Whether a tensor can be kept as filters of so many lanes. */
bool cvm_filters_fit(const CvmShape *shape, int lanes);

/* From plain, row-major order to filters, and back: as many floats as the shape has elements. */
void cvm_filters_pack(const CvmShape *shape, int lanes, const float *plain, float *filters);
void cvm_filters_unpack(const CvmShape *shape, int lanes, const float *filters, float *plain);

#endif

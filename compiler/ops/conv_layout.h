/* When a convolution can give pictures in channel blocks, which the layout pass, the type rule and
 * the kernels have to agree on. */
#ifndef CVM_OPS_CONV_LAYOUT_H
#define CVM_OPS_CONV_LAYOUT_H

#include "compiler/ops/common.h"

/* Whether the result can be channel-blocked by `lanes`, the weights being filters then: a vector of
 * outputs must belong to one group, or each of its lanes to one of a depthwise convolution. *x: the
 * layout its pictures must have; plain where a group's inputs fill no whole blocks, as in first
 * layers: they are read as they are, nothing is padded. */
bool cvm_conv_in_channels(const CvmNode *conv, int lanes, CvmLayoutKind *x);

/* One input and one output channel per group. */
bool cvm_conv_is_depthwise(const CvmNode *conv);

#endif

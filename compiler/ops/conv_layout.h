/* When a convolution can give pictures in channel blocks, which the layout pass, the type rule and
 * the kernels have to agree on. */
#ifndef CVM_OPS_CONV_LAYOUT_H
#define CVM_OPS_CONV_LAYOUT_H

#include "compiler/ops/common.h"

/* Whether the result of a convolution with these weights [o, i/groups, kh, kw] can be
 * channel-blocked by `lanes`, the weights being filters then: a vector of outputs must belong to
 * one group, or to a run of groups that shares vectors (cvm_conv_run). *x: the layout its pictures
 * must have; plain where inputs fill no whole blocks, as in first layers: they are read as they
 * are, nothing is padded. */
bool cvm_conv_in_channels(const CvmShape *weight, int64_t groups, int lanes, CvmLayoutKind *x);

/* The same for a node that leads from pictures through weights to pictures: conv, or the gradient
 * of its input where its weights are turned, or are depthwise with several outputs for each input
 * (cvm_conv_multiplier): such a gradient is summed up in vectors of dy, which are folded. */
bool cvm_node_in_channels(const CvmNode *node, int lanes, CvmLayoutKind *x);

/* The same for conv_grad_weight, of whose operands dy is channel-blocked, and x as *x says; the
 * gradient is a filter. Pictures whose edges take many pixels apart are left to the plain layout.
 */
bool cvm_weight_grad_in_channels(const CvmNode *node, int lanes, CvmLayoutKind *x);

/* Output pixels of a row at its two ends for which some tap lies outside of the picture. */
void cvm_conv_edges(const CvmNode *node, int64_t columns, int64_t outputs, int64_t taps,
                    int64_t *left, int64_t *right);

/* Where blocks of channels do not begin and end with groups: the fewest groups that together fill
 * whole blocks of inputs and of outputs, and how many. groups 0: each does by itself, or channels
 * fill no whole blocks at all, or too many vectors would share groups. */
typedef struct CvmGroupRun {
    int64_t groups, inputs, outputs;
} CvmGroupRun;
CvmGroupRun cvm_conv_run(const CvmShape *weight, int64_t groups, int lanes);

bool cvm_conv_is_depthwise(const CvmShape *weight, int64_t groups);

/* Outputs for each input channel where groups have one input, and gradients of pictures in channel
 * blocks are folded: 2 to 8; else 0. */
int64_t cvm_conv_multiplier(const CvmShape *weight, int64_t groups, int lanes);

/* Whether the plain layout is the faster one for a convolution with these weights, or one of its
 * gradients, whose groups share vectors: where results fill rows of vectors, with no stride, and in
 * channel blocks one load would not do for a vector. width: of the results. */
bool cvm_conv_prefers_rows(const CvmNode *node, const CvmShape *weight, int64_t width, int lanes);

/* [o, i/groups, kh, kw] to [i, o/groups, kh, kw]. */
CvmShape cvm_turned_shape(const CvmShape *weight, int64_t groups);

/* Whether weights of this type are filters that turn_weight takes and gives as such: of whole
 * blocks of channels both ways, or depthwise. */
bool cvm_filters_turn(const CvmType *weight, int64_t groups);

/* Weights of this shape turned (see turn_weight), in C; turning twice changes nothing. */
void cvm_turn_weights(const float *from, const CvmShape *shape, int64_t groups, float *to);

#endif

/* When a convolution can give pictures in channel blocks, which the layout pass, the type rule and
 * the kernels have to agree on. */
#ifndef CVM_OPS_CONV_LAYOUT_H
#define CVM_OPS_CONV_LAYOUT_H

#include "compiler/ops/common.h"

/* Whether the result of a convolution with these weights [o, i/groups, kh, kw] can be
 * channel-blocked by `lanes`, the weights being filters then: a vector of outputs must belong to
 * one group, or to several whole ones (cvm_conv_narrow). *x: the layout its pictures
 * must have; plain where a group's inputs fill no whole blocks, as in first layers: they are read
 * as they are, nothing is padded. */
bool cvm_conv_in_channels(const CvmShape *weight, int64_t groups, int lanes, CvmLayoutKind *x);

/* The same for a node that leads from pictures through weights to pictures: conv, or the gradient
 * of its input where its weights are turned. */
bool cvm_node_in_channels(const CvmNode *node, int lanes, CvmLayoutKind *x);

/* The same for conv_grad_weight, of whose operands dy is channel-blocked, and x as *x says; the
 * gradient is a filter. Pictures whose edges take many pixels apart are left to the plain layout.
 */
bool cvm_weight_grad_in_channels(const CvmNode *node, int lanes, CvmLayoutKind *x);

/* Output pixels of a row at its two ends for which some tap lies outside of the picture. */
void cvm_conv_edges(const CvmNode *node, int64_t columns, int64_t outputs, int64_t taps,
                    int64_t *left, int64_t *right);

/* Channels of a group, where groups have as many outputs as inputs and several fill a vector of
 * `lanes`; 0: they are not so narrow. 1: the convolution is depthwise. */
int64_t cvm_conv_narrow(const CvmShape *weight, int64_t groups, int lanes);

/* [o, i/groups, kh, kw] to [i, o/groups, kh, kw]. */
CvmShape cvm_turned_shape(const CvmShape *weight, int64_t groups);

/* Whether weights of this type are filters that turn_weight takes and gives as such: of whole
 * blocks of channels both ways, or depthwise. */
bool cvm_filters_turn(const CvmType *weight, int64_t groups);

/* Weights of this shape turned (see turn_weight), in C; turning twice changes nothing. */
void cvm_turn_weights(const float *from, const CvmShape *shape, int64_t groups, float *to);

#endif

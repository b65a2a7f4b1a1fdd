/* Moving averages of weights. A step that keeps them has the average of the weight NAME in the slot
 * "optimizer.NAME.average", and beside it "optimizer.NAME.average_weight", the average of ones that
 * takes the bias towards the start away: 0 before the first step, whose weights the average then
 * is. Evaluation takes the averages. In a checkpoint they have the weights' own names, so that
 * whoever reads it takes them, and the weights that training goes on with are called
 * "optimizer.NAME.raw". */
#ifndef CVM_RUNTIME_AVERAGES_H
#define CVM_RUNTIME_AVERAGES_H

#include "runtime/safetensors.h"
#include "runtime/store.h"

/* The average of a weight; NULL where the store has none. */
CvmStored *cvm_average_of(const CvmStore *store, const char *weight);

/* The weight whose average a tensor of the store is; NULL for any other tensor. */
CvmStored *cvm_averaged_weight(const CvmStore *store, const char *average);

/* Makes an empty store one of the same tensors, where the averages stand for the weights that have
 * one. They are borrowed. Error: no memory. */
bool cvm_averages_view(const CvmStore *store, CvmStore *view, CvmError *error);

/* Every weight that has an average becomes it: at the end of a training. */
void cvm_averages_settle(CvmStore *store);

/* The average begins anew with what the weight is now. Nothing where there is none. */
void cvm_average_restart(CvmStore *store, const char *weight);

/* The raw weight in a checkpoint; NULL where it has no averages. */
const CvmFileTensor *cvm_raw_weight(const CvmTensorFile *file, const char *weight);

/* "optimizer.WEIGHT.raw", to be freed; NULL: no memory. */
char *cvm_raw_weight_name(const char *weight);

#endif

/* The pictures of a data set on their way through a plan, part by part, in an order: filled into
 * the plan's own inputs when they are asked for, or ahead of that by a thread of its own. The bits
 * are the same. */
#ifndef CVM_RUNTIME_FEEDER_H
#define CVM_RUNTIME_FEEDER_H

#include "runtime/batch.h"

typedef struct CvmFeeder CvmFeeder;

/* order[count]: indices into the data set; the last part is smaller where `part` does not divide
 * the count. Feed, order and pool are the caller's and outlive the feeder. NULL on error (machine).
 */
CvmFeeder *cvm_feeder_open(const CvmFeed *feed, const int32_t *order, int64_t count, int64_t part,
                           CvmPool *pool, CvmError *error);

/* The next part, for the instance that the ports are of, until the next call: its pictures are
 * where its kernels look for them (zeros where there are fewer than the plan takes), its labels
 * in `labels`; as many as there are left, up to the ports' batch. Error: a picture that cannot be
 * read any more (machine). */
bool cvm_feeder_next(CvmFeeder *feeder, CvmInstance *instance, const CvmFeedPorts *ports,
                     int32_t *labels, CvmError *error);

/* Seconds that its caller has spent in cvm_feeder_next. */
double cvm_feeder_waited(const CvmFeeder *feeder);

/* The instances' inputs are in their arenas again. NULL is allowed. */
void cvm_feeder_close(CvmFeeder *feeder);

#endif

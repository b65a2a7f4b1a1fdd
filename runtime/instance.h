/* A plan made ready to run: its arena is allocated, its slots are bound to a store, every pointer is
 * resolved. Running allocates nothing. */
#ifndef CVM_RUNTIME_INSTANCE_H
#define CVM_RUNTIME_INSTANCE_H

#include "runtime/error.h"
#include "runtime/plan.h"
#include "runtime/pool.h"
#include "runtime/store.h"

typedef struct CvmInstance CvmInstance;

/* Takes neither plan nor store, both must outlive the instance. NULL on error: a slot missing from
 * the store or of another shape (CVM_ERROR_INPUT), no memory (CVM_ERROR_MACHINE). */
CvmInstance *cvm_instance_create(const CvmPlan *plan, const CvmStore *store, CvmError *error);
void cvm_instance_free(CvmInstance *instance);

/* Memory of the input or output called name, in the arena; NULL when the plan has none. */
void *cvm_instance_input(CvmInstance *instance, const char *name);
const void *cvm_instance_output(const CvmInstance *instance, const char *name);

/* Runs every call of the plan once, split over the pool's threads. The result's bits do not depend
 * on the number of threads. */
void cvm_instance_run(CvmInstance *instance, CvmPool *pool);

#endif

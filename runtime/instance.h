/* A plan made ready to run: its arena is allocated, its slots are bound to a store, every pointer
 * is resolved. Running allocates nothing. */
#ifndef CVM_RUNTIME_INSTANCE_H
#define CVM_RUNTIME_INSTANCE_H

#include "runtime/error.h"
#include "runtime/plan.h"
#include "runtime/pool.h"
#include "runtime/store.h"

typedef struct CvmInstance CvmInstance;

/* A call whose cost (floating-point operations plus bytes) is below this runs on one thread. A core
 * does 25 to 100 such units a nanosecond, so that this is 5 to 20 microseconds of work: what
 * splitting it could win is not more than what waking and meeting the other threads may cost. But
 * right before or after a call that is split, down to a sixteenth of it: there each thread goes on
 * with what it has in its caches, where one thread would fetch what the others made. */
#define CVM_SMALL_COST 524288.0
#define CVM_TINY_COST (CVM_SMALL_COST / 16)

/* Where an instance's memory lies; what is NULL it allocates itself. Both must outlive it, aligned
 * to CVM_ALIGNMENT and zeroed. */
typedef struct CvmPlace {
    void *arena;    /* plan->arena_bytes; what is in it between two runs does not matter */
    void *prepared; /* plan->prepared_bytes, filled already: by an instance of the same plan and
                       store */
} CvmPlace;

/* Takes neither plan nor store: the plan and the memory of the store's tensors must outlive the
 * instance. NULL on error: a slot missing from
 * the store or of another shape (CVM_ERROR_INPUT), no memory (CVM_ERROR_MACHINE). */
CvmInstance *cvm_instance_create(const CvmPlan *plan, const CvmStore *store, CvmError *error);
CvmInstance *cvm_instance_create_in(const CvmPlan *plan, const CvmStore *store,
                                    const CvmPlace *place, CvmError *error);
void cvm_instance_free(CvmInstance *instance);

/* The plan it was made of. */
const CvmPlan *cvm_instance_plan(const CvmInstance *instance);

/* Memory of the input or output called name, in the arena; NULL when the plan has none. */
void *cvm_instance_input(CvmInstance *instance, const char *name);
const void *cvm_instance_output(const CvmInstance *instance, const char *name);

/* Has the runs from now on read input number `index` (write the output) in the caller's memory,
 * aligned to its elements; NULL: in the arena again. Not while a run goes on. */
void cvm_instance_bind_input(CvmInstance *instance, int index, const void *memory);
void cvm_instance_bind_output(CvmInstance *instance, int index, void *memory);

/* Does what depends on slots alone now, unless it is done: a run then finds it. What inputs hold in
 * the arena may be overwritten. */
void cvm_instance_prepare(CvmInstance *instance, CvmPool *pool);

/* Says that the store's contents changed: what calls prepared from them (packed weights, say) is
 * prepared again at the next run. Needed after a run alone: the first run prepares everything. */
void cvm_instance_forget(CvmInstance *instance);

/* Runs every call of the plan once, those that prepare at the first run only, split over the pool's
 * threads. The result's bits do not depend on the number of threads. */
void cvm_instance_run(CvmInstance *instance, CvmPool *pool);

/* When a thread worked on a call, in seconds of cvm_seconds(); both 0 where it had no part in it.
 */
typedef struct CvmCallTime {
    double begin, end;
} CvmCallTime;

/* The same, filling times[call * threads + thread] for every call of the plan and every thread of
 * the pool. Takes about 50 ns longer per call. */
void cvm_instance_run_timed(CvmInstance *instance, CvmPool *pool, CvmCallTime *times);

/* Runs one call of the plan, whether it prepares or not: who runs all of them in order can look at
 * what each one stored before others overwrite it. */
void cvm_instance_run_call(CvmInstance *instance, CvmPool *pool, int call);

/* Where a buffer of a call lies; scratch memory is the first thread's. */
void *cvm_instance_buffer(const CvmInstance *instance, int call, int buffer);

#endif

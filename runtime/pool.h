/* Persistent worker threads. All of them run one function together (single program, many threads);
 * between dependent pieces of work they meet at a barrier. Workers spin briefly, then sleep, so a
 * step of a small network costs no wake-up per kernel. */
#ifndef CVM_RUNTIME_POOL_H
#define CVM_RUNTIME_POOL_H

#include "runtime/error.h"

typedef struct CvmPool CvmPool;

/* thread: 0 is the caller's own thread, up to cvm_pool_threads() - 1. */
typedef void (*CvmPoolFunction)(void *context, int thread, int threads);

/* A pool of `threads` threads, the caller's included (1 starts none); 0 asks for CVM_THREADS from
 * the environment, else one per processor this process may use. At most 256. NULL on error: a
 * number outside of 1 to 256, by whoever (input), no memory or threads (machine). */
CvmPool *cvm_pool_create(int threads, CvmError *error);
void cvm_pool_free(CvmPool *pool);
int cvm_pool_threads(const CvmPool *pool);

/* How many processors this process may use, at least 1. */
int cvm_pool_processors(void);

/* Runs function(context, t, threads) on every thread t at once; returns when all have returned. */
void cvm_pool_run(CvmPool *pool, CvmPoolFunction function, void *context);

/* Within a function run by cvm_pool_run: waits until every thread of the pool has come here. */
void cvm_pool_barrier(CvmPool *pool);

#endif

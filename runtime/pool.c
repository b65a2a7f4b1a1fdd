/* See pool.h. Threads meet through *events*: a counter that only grows, which some thread advances
 * and others wait to see changed. Waiting first spins - the usual wait in a step is well under a
 * microsecond - and after SPIN_NANOSECONDS sleeps on a futex, so that an idle pool costs no
 * processor time. With more threads than processors spinning would keep the very thread that is
 * waited for from running, so the spin is skipped.
 *
 * Three events: `start` (a run began, or the pool ends), `phase` (all have come to a barrier; the
 * counter's low bit is the classic sense that reverses), `done` (the workers have left the run). */
#include "runtime/pool.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MAX_THREADS = 256, SPIN_NANOSECONDS = 50000, PAUSES_PER_CLOCK = 64, CACHE_LINE = 64 };

typedef struct Event {
    alignas(CACHE_LINE) atomic_uint value;
    atomic_uint sleepers; /* waiters that stopped spinning */
} Event;

struct CvmPool {
    Event start, phase, done;
    alignas(CACHE_LINE) atomic_int arrived;       /* at the barrier of the current phase */
    alignas(CACHE_LINE) atomic_int running;       /* workers still inside the current run */
    alignas(CACHE_LINE) CvmPoolFunction function; /* NULL: the workers end */
    void *context;
    int threads;
    int started; /* worker threads that exist */
    bool spin;
    pthread_t *workers;
    struct Worker *seats;
};

typedef struct Worker {
    CvmPool *pool;
    int thread;
} Worker;

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t nanoseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static unsigned event_seen(const Event *event) {
    return atomic_load_explicit(&event->value, memory_order_acquire);
}

/* Whether the event moved on from `seen` while we spun. */
static bool event_spin(const Event *event, unsigned seen) {
    int64_t deadline = 0;
    do {
        for (int i = 0; i < PAUSES_PER_CLOCK; i++) {
            if (event_seen(event) != seen)
                return true;
            pause_briefly();
        }
        if (deadline == 0)
            deadline = nanoseconds_now() + SPIN_NANOSECONDS;
    } while (nanoseconds_now() < deadline);
    return false;
}

/* The sleeper announces itself before its last look at the value, the waker changes the value
 * before it looks for sleepers; both in the one order of sequentially consistent operations, so
 * that one of the two always sees the other. The futex itself rechecks the value. */
static void event_sleep(Event *event, unsigned seen) {
    atomic_fetch_add(&event->sleepers, 1);
    while (atomic_load(&event->value) == seen)
        syscall(SYS_futex, &event->value, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub(&event->sleepers, 1);
}

static void event_wait(Event *event, unsigned seen, bool spin) {
    if (event_seen(event) != seen || (spin && event_spin(event, seen)))
        return;
    event_sleep(event, seen);
}

static void event_advance(Event *event) {
    atomic_fetch_add(&event->value, 1);
    if (atomic_load(&event->sleepers) > 0)
        syscall(SYS_futex, &event->value, FUTEX_WAKE_PRIVATE, MAX_THREADS, NULL, NULL, 0);
}

static void *worker_main(void *argument) {
    const Worker *worker = argument;
    CvmPool *pool = worker->pool;
    for (unsigned seen = 0;; seen++) { /* a run begins only when the one before is done */
        event_wait(&pool->start, seen, pool->spin);
        if (!pool->function)
            return NULL;
        pool->function(pool->context, worker->thread, pool->threads);
        if (atomic_fetch_sub_explicit(&pool->running, 1, memory_order_acq_rel) == 1)
            event_advance(&pool->done);
    }
}

int cvm_pool_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

/* The number of threads that was asked for: by the caller, by CVM_THREADS, or by nobody. */
static bool choose_threads(int *threads, CvmError *error) {
    if (*threads < 0 || *threads > MAX_THREADS)
        return cvm_error_set(error, CVM_ERROR_INPUT, "cannot use %d threads: 1 to %d are possible",
                             *threads, MAX_THREADS);
    if (*threads > 0)
        return true;
    const char *text = getenv("CVM_THREADS");
    if (!text) {
        int count = cvm_pool_processors();
        *threads = count < MAX_THREADS ? count : MAX_THREADS;
        return true;
    }
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    bool digits = text[0] >= '0' && text[0] <= '9' && *end == '\0';
    if (!digits || errno || value < 1 || value > MAX_THREADS)
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "CVM_THREADS is '%.40s': give a whole number from 1 to %d", text,
                             MAX_THREADS);
    *threads = (int)value;
    return true;
}

/* Workers take no signals: a handler runs on a thread of the program's own. */
static bool start_workers(CvmPool *pool, CvmError *error) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = 0;
    while (!failed && pool->started < pool->threads - 1) {
        Worker *seat = &pool->seats[pool->started];
        *seat = (Worker){pool, pool->started + 1};
        failed = pthread_create(&pool->workers[pool->started], NULL, worker_main, seat);
        if (!failed)
            pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return cvm_error_set(error, CVM_ERROR_MACHINE, "cannot start thread %d of %d: %s",
                             pool->started + 2, pool->threads, strerror(failed));
    return true;
}

CvmPool *cvm_pool_create(int threads, CvmError *error) {
    if (!choose_threads(&threads, error))
        return NULL;
    CvmPool *pool = aligned_alloc(CACHE_LINE, sizeof *pool);
    if (!pool) {
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory for a pool of %d threads", threads);
        return NULL;
    }
    memset(pool, 0, sizeof *pool);
    pool->threads = threads;
    pool->spin = threads <= cvm_pool_processors();
    pool->workers = calloc((size_t)threads, sizeof *pool->workers);
    pool->seats = calloc((size_t)threads, sizeof *pool->seats);
    bool ready = pool->workers && pool->seats;
    if (!ready)
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory for a pool of %d threads", threads);
    if (!ready || !start_workers(pool, error)) {
        cvm_pool_free(pool);
        return NULL;
    }
    return pool;
}

void cvm_pool_free(CvmPool *pool) {
    if (!pool)
        return;
    pool->function = NULL;
    event_advance(&pool->start);
    for (int i = 0; i < pool->started; i++)
        pthread_join(pool->workers[i], NULL);
    free(pool->workers);
    free(pool->seats);
    free(pool);
}

int cvm_pool_threads(const CvmPool *pool) {
    return pool->threads;
}

void cvm_pool_run(CvmPool *pool, CvmPoolFunction function, void *context) {
    if (pool->threads == 1) {
        function(context, 0, 1);
        return;
    }
    pool->function = function;
    pool->context = context;
    atomic_store_explicit(&pool->running, pool->threads - 1, memory_order_relaxed);
    unsigned seen = event_seen(&pool->done);
    event_advance(&pool->start);
    function(context, 0, pool->threads);
    event_wait(&pool->done, seen, pool->spin);
}

void cvm_pool_barrier(CvmPool *pool) {
    if (pool->threads == 1)
        return;
    unsigned seen = event_seen(&pool->phase); /* cannot move on before we have arrived */
    int before = atomic_fetch_add_explicit(&pool->arrived, 1, memory_order_acq_rel);
    if (before + 1 < pool->threads) {
        event_wait(&pool->phase, seen, pool->spin);
        return;
    }
    atomic_store_explicit(&pool->arrived, 0, memory_order_relaxed);
    event_advance(&pool->phase);
}

/* See counters.h. Counters are shared out in turn where the processor has fewer than are wanted;
 * the kernel tells for how long each one ran, and the values are scaled up. */
#include "compiler/driver/counters.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct Kind {
    const char *name;
    uint64_t config; /* of PERF_TYPE_HARDWARE */
} Kind;

static const Kind kinds[CVM_COUNTERS] = {
    {"cycles", PERF_COUNT_HW_CPU_CYCLES},
    {"instructions", PERF_COUNT_HW_INSTRUCTIONS},
    {"cache references", PERF_COUNT_HW_CACHE_REFERENCES},
    {"cache misses", PERF_COUNT_HW_CACHE_MISSES},
    {"branch misses", PERF_COUNT_HW_BRANCH_MISSES},
};

const char *cvm_counter_name(int counter) {
    return kinds[counter].name;
}

static int open_counter(const Kind *kind) {
    struct perf_event_attr attributes = {
        .type = PERF_TYPE_HARDWARE,
        .size = sizeof attributes,
        .config = kind->config,
        .disabled = 1,
        .inherit = 1,
        .exclude_kernel = 1,
        .exclude_hv = 1,
        .read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
    };
    return (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static const char *refusal_of(int error, CvmArena *arena) {
    if (error == ENOENT || error == ENODEV || error == EOPNOTSUPP)
        return "this machine shows none (virtual machines often do not)";
    if (error != EACCES && error != EPERM)
        return cvm_arena_format(arena, "%s", strerror(error));
    int level = 0;
    FILE *file = fopen("/proc/sys/kernel/perf_event_paranoid", "r");
    bool known = file && fscanf(file, "%d", &level) == 1;
    if (file)
        fclose(file);
    if (known && level > 2)
        return cvm_arena_format(arena,
                                "the system allows none to programs: "
                                "/proc/sys/kernel/perf_event_paranoid is %d, 2 would do",
                                level);
    return "the system does not allow it here (a container's rules may forbid perf_event_open)";
}

CvmCounters cvm_counters_open(CvmArena *arena) {
    CvmCounters counters = {.refusal = NULL};
    bool any = false;
    int error = 0;
    for (int i = 0; i < CVM_COUNTERS; i++) {
        counters.files[i] = open_counter(&kinds[i]);
        counters.values[i] = -1;
        if (counters.files[i] < 0 && !error)
            error = errno;
        any |= counters.files[i] >= 0;
    }
    if (!any)
        counters.refusal = refusal_of(error, arena);
    return counters;
}

static void control(const CvmCounters *counters, unsigned long request) {
    for (int i = 0; i < CVM_COUNTERS; i++)
        if (counters->files[i] >= 0)
            ioctl(counters->files[i], request, 0);
}

void cvm_counters_start(CvmCounters *counters) {
    control(counters, PERF_EVENT_IOC_ENABLE);
}

/* What a counter read so far, as if it had counted all the time; -1 when it never did. */
static double read_counter(int file) {
    struct {
        uint64_t value, enabled, running;
    } reading;
    if (file < 0 || read(file, &reading, sizeof reading) != sizeof reading || !reading.running)
        return -1;
    return (double)reading.value * ((double)reading.enabled / (double)reading.running);
}

void cvm_counters_stop(CvmCounters *counters) {
    control(counters, PERF_EVENT_IOC_DISABLE);
    for (int i = 0; i < CVM_COUNTERS; i++)
        counters->values[i] = read_counter(counters->files[i]);
}

void cvm_counters_close(CvmCounters *counters) {
    for (int i = 0; i < CVM_COUNTERS; i++)
        if (counters->files[i] >= 0)
            close(counters->files[i]);
}

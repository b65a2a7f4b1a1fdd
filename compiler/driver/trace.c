/* See trace.h. The format: "Trace Event Format" of the Chromium project, complete events ("X") and
 * thread names ("M"), microseconds. */
#include "compiler/driver/trace.h"

#include "runtime/atomic_file.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

static cJSON *add_event(cJSON *events, const char *phase, const char *name, int thread) {
    cJSON *event = cJSON_CreateObject();
    cJSON_AddItemToArray(events, event);
    cJSON_AddStringToObject(event, "ph", phase);
    cJSON_AddStringToObject(event, "name", name);
    cJSON_AddNumberToObject(event, "pid", 1);
    cJSON_AddNumberToObject(event, "tid", thread);
    return event;
}

/* Names the process ("process_name") or the thread ("thread_name"). */
static void add_name(cJSON *events, const char *what, int thread, const char *name) {
    cJSON *event = add_event(events, "M", what, thread);
    cJSON_AddStringToObject(cJSON_AddObjectToObject(event, "args"), "name", name);
}

static void add_thread(cJSON *events, int thread) {
    char name[32];
    snprintf(name, sizeof name, "thread %d", thread);
    add_name(events, "thread_name", thread, name);
}

static void add_call(cJSON *events, const CvmCall *call, const CvmCallTime *time, int thread,
                     double start) {
    cJSON *event = add_event(events, "X", *call->layer ? call->layer : call->kernel, thread);
    cJSON_AddStringToObject(event, "cat", call->prepares ? "preparation" : "kernel");
    cJSON_AddNumberToObject(event, "ts", (time->begin - start) * 1e6);
    cJSON_AddNumberToObject(event, "dur", (time->end - time->begin) * 1e6);
    cJSON *details = cJSON_AddObjectToObject(event, "args");
    cJSON_AddStringToObject(details, "kernel", call->kernel);
    cJSON_AddNumberToObject(details, "flops of the whole call", call->flops);
    cJSON_AddNumberToObject(details, "bytes of the whole call", call->bytes);
}

static double first_begin(const CvmCallTime *times, int count) {
    double first = 0;
    for (int i = 0; i < count; i++)
        if (times[i].end > 0 && (first == 0 || times[i].begin < first))
            first = times[i].begin;
    return first;
}

static cJSON *make_trace(const CvmPlan *plan, const CvmCallTime *times, int threads) {
    cJSON *trace = cJSON_CreateObject();
    cJSON_AddStringToObject(trace, "displayTimeUnit", "ns");
    cJSON *events = cJSON_AddArrayToObject(trace, "traceEvents");
    add_name(events, "process_name", 0, plan->name);
    double start = first_begin(times, plan->call_count * threads);
    for (int thread = 0; thread < threads; thread++)
        add_thread(events, thread);
    for (int call = 0; call < plan->call_count; call++)
        for (int thread = 0; thread < threads; thread++) {
            const CvmCallTime *time = &times[call * threads + thread];
            if (time->end > 0)
                add_call(events, &plan->calls[call], time, thread, start);
        }
    return trace;
}

bool cvm_trace_write(const char *path, const CvmPlan *plan, const CvmCallTime *times, int threads,
                     CvmError *error) {
    cJSON *trace = make_trace(plan, times, threads);
    char *text = cJSON_PrintUnformatted(trace);
    cJSON_Delete(trace);
    if (!text)
        return cvm_error_set(error, CVM_ERROR_MACHINE, "no memory for the trace");
    CvmAtomicFile file;
    bool done = cvm_atomic_file_open(path, &file, error);
    if (done) {
        cvm_atomic_file_write(&file, text, strlen(text));
        done = cvm_atomic_file_commit(&file, error);
    }
    cJSON_free(text);
    return done;
}

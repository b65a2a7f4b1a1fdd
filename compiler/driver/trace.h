/* One run of a plan as a trace for ui.perfetto.dev or chrome://tracing: a row a thread, a box a
 * kernel call. */
#ifndef CVM_DRIVER_TRACE_H
#define CVM_DRIVER_TRACE_H

#include "runtime/instance.h"

/* Writes it in Chrome's trace event format (JSON). times: [call][thread] of a timed run. The file
 * is whole or not there. */
bool cvm_trace_write(const char *path, const CvmPlan *plan, const CvmCallTime *times, int threads,
                     CvmError *error);

#endif

/* What the processor can do, by the names that LLVM has for it. */
#ifndef CVM_RUNTIME_CPU_FEATURES_H
#define CVM_RUNTIME_CPU_FEATURES_H

#include <stdbool.h>

/* Whether code that is generated from plain arithmetic can need the feature: "avx2", but not "sgx",
 * which only its own instructions need. */
bool cvm_cpu_feature_matters(const char *name);

/* Whether the processor has a feature that matters, and the system keeps its registers. */
bool cvm_cpu_has(const char *name);

#endif

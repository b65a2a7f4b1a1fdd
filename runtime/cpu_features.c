/* See cpu_features.h. The bits are those of the CPUID instruction (Intel's Software Developer's
 * Manual, volume 2A; AMD's Architecture Programmer's Manual, volume 3, appendix E). That the system
 * saves wide registers when it switches threads is told by XGETBV. */
#include "runtime/cpu_features.h"

#include <stddef.h>
#include <string.h>

#if defined(__x86_64__)

#include <cpuid.h>

typedef enum Register { EAX, EBX, ECX, EDX } Register;

/* XCR0 bits: SSE and AVX state; with the masks and upper halves of AVX-512. */
enum { NONE = 0, WIDE = 0x6, WIDEST = 0xE6 };

typedef struct Feature {
    const char *name;
    unsigned leaf, subleaf;
    Register place;
    int bit;
    unsigned state; /* that the system must save */
} Feature;

static const Feature features[] = {
    {"sse2", 1, 0, EDX, 26, NONE},
    {"sse3", 1, 0, ECX, 0, NONE},
    {"pclmul", 1, 0, ECX, 1, NONE},
    {"ssse3", 1, 0, ECX, 9, NONE},
    {"fma", 1, 0, ECX, 12, WIDE},
    {"cx16", 1, 0, ECX, 13, NONE},
    {"sse4.1", 1, 0, ECX, 19, NONE},
    {"sse4.2", 1, 0, ECX, 20, NONE},
    {"movbe", 1, 0, ECX, 22, NONE},
    {"popcnt", 1, 0, ECX, 23, NONE},
    {"aes", 1, 0, ECX, 25, NONE},
    {"avx", 1, 0, ECX, 28, WIDE},
    {"f16c", 1, 0, ECX, 29, WIDE},
    {"bmi", 7, 0, EBX, 3, NONE},
    {"avx2", 7, 0, EBX, 5, WIDE},
    {"bmi2", 7, 0, EBX, 8, NONE},
    {"avx512f", 7, 0, EBX, 16, WIDEST},
    {"avx512dq", 7, 0, EBX, 17, WIDEST},
    {"adx", 7, 0, EBX, 19, NONE},
    {"avx512ifma", 7, 0, EBX, 21, WIDEST},
    {"avx512cd", 7, 0, EBX, 28, WIDEST},
    {"sha", 7, 0, EBX, 29, NONE},
    {"avx512bw", 7, 0, EBX, 30, WIDEST},
    {"avx512vl", 7, 0, EBX, 31, WIDEST},
    {"avx512vbmi", 7, 0, ECX, 1, WIDEST},
    {"avx512vbmi2", 7, 0, ECX, 6, WIDEST},
    {"gfni", 7, 0, ECX, 8, NONE},
    {"vaes", 7, 0, ECX, 9, WIDE},
    {"vpclmulqdq", 7, 0, ECX, 10, WIDE},
    {"avx512vnni", 7, 0, ECX, 11, WIDEST},
    {"avx512bitalg", 7, 0, ECX, 12, WIDEST},
    {"avx512vpopcntdq", 7, 0, ECX, 14, WIDEST},
    {"avx512vp2intersect", 7, 0, EDX, 8, WIDEST},
    {"avx512fp16", 7, 0, EDX, 23, WIDEST},
    {"avxvnni", 7, 1, EAX, 4, WIDE},
    {"avx512bf16", 7, 1, EAX, 5, WIDEST},
    {"avxifma", 7, 1, EAX, 23, WIDE},
    {"lzcnt", 0x80000001, 0, ECX, 5, NONE},
    {"sse4a", 0x80000001, 0, ECX, 6, NONE},
    {"xop", 0x80000001, 0, ECX, 11, WIDE},
    {"fma4", 0x80000001, 0, ECX, 16, WIDE},
    {"tbm", 0x80000001, 0, ECX, 21, NONE},
};
enum { FEATURE_COUNT = sizeof features / sizeof *features };

static const Feature *find(const char *name) {
    for (int i = 0; i < FEATURE_COUNT; i++)
        if (strcmp(features[i].name, name) == 0)
            return &features[i];
    return NULL;
}

/* The registers that the system saves; 0 where it does not tell. */
static unsigned saved_state(void) {
    unsigned eax, ebx, ecx, edx;
    const unsigned os_uses_xsave = 1u << 27;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & os_uses_xsave))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return eax;
}

bool cvm_cpu_has(const char *name) {
    const Feature *feature = find(name);
    unsigned registers[4];
    if (!feature || !__get_cpuid_count(feature->leaf, feature->subleaf, &registers[EAX],
                                       &registers[EBX], &registers[ECX], &registers[EDX]))
        return false;
    return (registers[feature->place] >> feature->bit & 1) &&
           (saved_state() & feature->state) == feature->state;
}

bool cvm_cpu_feature_matters(const char *name) {
    return find(name) != NULL;
}

#else

bool cvm_cpu_has(const char *name) {
    (void)name;
    return true;
}

bool cvm_cpu_feature_matters(const char *name) {
    (void)name;
    return false;
}

#endif

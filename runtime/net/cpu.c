/* See internal.h: code that the processor can run, found before any of it is called. */
#include "runtime/net/internal.h"

#include "runtime/cpu_features.h"

#include <string.h>

/* The features that are missing, "avx512f, avx512vl", into text; how many they are. */
static int list_missing(const CvmNetCode *code, char *text, size_t size) {
    int count = 0;
    text[0] = '\0';
    for (const char *const *feature = code->features; *feature; feature++) {
        if (cvm_cpu_has(*feature))
            continue;
        size_t used = strlen(text);
        if (used + strlen(*feature) + 3 < size) {
            strcat(text, count ? ", " : "");
            strcat(text, *feature);
        }
        count++;
    }
    return count;
}

cvm_net_status cvm_net_choose_code(const CvmNetDescription *about, const CvmNetCode **code) {
    char missing[256];
    for (int i = 0; i < about->code_count; i++)
        if (list_missing(&about->codes[i], missing, sizeof missing) == 0) {
            *code = &about->codes[i];
            return CVM_NET_OK;
        }
    return cvm_net_fail(CVM_NET_BAD_CPU,
                        "this processor lacks %s, which the code of %s for %s needs; build it with "
                        "another --cpu",
                        missing, about->name, about->codes[about->code_count - 1].cpu);
}

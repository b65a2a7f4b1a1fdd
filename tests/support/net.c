/* See net.h. */
#include "tests/support/net.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void find(void *library, const char *prefix, const char *name, void *function) {
    char symbol[256];
    snprintf(symbol, sizeof symbol, "%s_%s", prefix, name);
    void *address = dlsym(library, symbol);
    if (!address)
        fail_msg("%s", dlerror());
    memcpy(function, &address, sizeof address);
}

void cvm_test_net_load(const CvmTestPlace *place, const char *prefix, bool trains,
                       CvmTestNet *net) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s.so", place->folder, prefix);
    net->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!net->library)
        fail_msg("%s", dlerror());
#define INFERENCE(name) find(net->library, prefix, #name, &net->name);
#define TRAINING(name)                                                                             \
    if (trains)                                                                                    \
        find(net->library, prefix, #name, &net->name);
#include "runtime/net/functions.def"
#undef INFERENCE
#undef TRAINING
}

void cvm_test_net_unload(CvmTestNet *net) {
    dlclose(net->library);
}

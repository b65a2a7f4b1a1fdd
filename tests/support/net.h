/* A shared object that cvmc built, with its functions found. They have the names and types of
 * runtime/net/net.h, where the object's have the model's prefix for cvm_net. */
#ifndef CVM_TEST_NET_H
#define CVM_TEST_NET_H

#include "runtime/net/train.h"
#include "tests/support/command.h"

typedef struct CvmTestNet {
    void *library;
#define INFERENCE(name) __typeof__(&cvm_net_##name) name;
#define TRAINING(name) __typeof__(&cvm_net_##name) name;
#include "runtime/net/functions.def"
#undef INFERENCE
#undef TRAINING
} CvmTestNet;

/* Opens PREFIX.so of the place. Asserts that it has every function; those that train only
 * where it is built for that. */
void cvm_test_net_load(const CvmTestPlace *place, const char *prefix, bool trains, CvmTestNet *net);
void cvm_test_net_unload(CvmTestNet *net);

#endif

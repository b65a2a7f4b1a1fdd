/* Classifying the pictures that a command line names, for predict and run: any number of them, in
 * batches, with the results printed one by one in the order of the names. */
#ifndef CVM_DRIVER_PICTURES_H
#define CVM_DRIVER_PICTURES_H

#include "compiler/driver/session.h"
#include "runtime/dataset.h"

/* Those of `arguments` and of options->list, options->batch at once. Where that is not given, eight
 * at once, or one by one where there are fewer. `trained` is as for cvm_classifier_open. A picture
 * that cannot be read is reported, and the others go on: false then, and exit code 1. */
bool cvm_classify_pictures(CvmSession *session, const CvmNormalization *trained,
                           const char *const *arguments, int count);

#endif

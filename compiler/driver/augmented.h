/* What augmentation makes of the pictures to learn from. */
#ifndef CVM_DRIVER_AUGMENTED_H
#define CVM_DRIVER_AUGMENTED_H

#include "compiler/driver/session.h"

/* samples --augmented: shows --count pictures of the training set, a row for each: as an evaluation
 * would see it, and as the first epochs of the train do. */
bool cvm_show_augmented(CvmSession *session);

#endif

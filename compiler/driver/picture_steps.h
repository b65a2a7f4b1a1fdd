/* What happens to a data set's pictures on their way into a network, in order. */
#ifndef CVM_DRIVER_PICTURE_STEPS_H
#define CVM_DRIVER_PICTURE_STEPS_H

#include "compiler/driver/session.h"

#include <cjson/cJSON.h>

/* Two lines, of the pictures to learn from and of those to test with, as their text has them:
 * "resize 256, crop random to [224, 224], flip horizontal 0.5, normalize imagenet". */
void cvm_picture_steps_print(const CvmTrain *train);

/* {"learn": ["resize 256", …], "test": […]} */
cJSON *cvm_picture_steps_json(const CvmTrain *train);

#endif

/* What commands that measure or compare feed to compiled code: any numbers do, and the same ones
 * come every time. */
#ifndef CVM_DRIVER_INPUTS_H
#define CVM_DRIVER_INPUTS_H

#include "compiler/driver/session.h"

/* Fills an input of a plan: pictures with noise in [-1, 1) that seed and name draw, labels with the
 * classes in turn, from 0 up to classes - 1; a single number is the learning rate. to: room for the
 * port's elements. */
void cvm_fill_input(const CvmPort *port, int64_t classes, float rate, uint64_t seed, void *to);

/* The same for all inputs of an instance of the session's model or train, where they lie. At a rate
 * of 0 a training step does all its work, and the weights stay. */
void cvm_fill_inputs(const CvmSession *session, CvmInstance *instance, float rate);

#endif

/* The names of a model's classes, from a text file: one name a line. */
#ifndef CVM_DRIVER_LABELS_H
#define CVM_DRIVER_LABELS_H

#include "compiler/driver/session.h"

/* Reads the labels file of the session's predict block, which has as many names as there are
 * classes, for cvm_session_class_name. Does nothing without one, or where the classes have names
 * already. The file lies beside the .cvm file or in the current folder; where it is in neither,
 * a note says so and classes have numbers: everything else works without it. */
bool cvm_session_read_labels(CvmSession *session, int classes);

#endif

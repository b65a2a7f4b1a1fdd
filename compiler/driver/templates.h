/* The weights of a single linear layer, seen as pictures: what the classifier compares a picture
 * with, one template a class. */
#ifndef CVM_DRIVER_TEMPLATES_H
#define CVM_DRIVER_TEMPLATES_H

#include "compiler/driver/session.h"

/* Where the model is one linear layer on the picture, writes the templates in the store to
 * <stem>-templates.png in the current folder and says so; else does nothing. */
bool cvm_write_templates(CvmSession *session);

#endif

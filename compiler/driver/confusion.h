/* What a network takes for what: counts by true class (rows) and predicted class (columns). */
#ifndef CVM_DRIVER_CONFUSION_H
#define CVM_DRIVER_CONFUSION_H

#include "compiler/driver/session.h"
#include "runtime/train.h"

enum { CVM_DRAWN_CLASSES = 100 };

/* Writes the matrix where --confusion says: as CSV or SVG by the path's ending, else as text; "-":
 * as text on stdout. Does nothing without the option. */
bool cvm_write_confusion(CvmSession *session, const CvmEvaluation *evaluation);

/* As an SVG element; of more than CVM_DRAWN_CLASSES classes the first so many. */
void cvm_draw_confusion(const CvmSession *session, const CvmEvaluation *evaluation, FILE *stream);

/* Text within an element or attribute of XML or HTML. */
void cvm_print_escaped(const char *text, FILE *stream);

#endif

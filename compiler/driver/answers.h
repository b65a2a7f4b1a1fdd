/* What a classifier answers, printed: as text, CSV (RFC 4180) or JSON lines, as the options say.
 * Each answer is printed when it is there. Names are those of files: what a terminal, a line of CSV
 * or JSON cannot hold is replaced or escaped (runtime/text.h). */
#ifndef CVM_DRIVER_ANSWERS_H
#define CVM_DRIVER_ANSWERS_H

#include "compiler/driver/classify.h"

/* The line of headings that CSV begins with. */
void cvm_print_answers_head(const CvmClassifier *classifier);

/* Of the picture `index` of those classified last. */
void cvm_print_answer(const CvmClassifier *classifier, const char *path, int index);

/* Of one that could not be read: on stderr, and as an object of JSON lines. */
void cvm_print_failure(const CvmClassifier *classifier, const char *path, const char *message);

#endif

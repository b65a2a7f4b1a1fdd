/* What the classes are called. The first of these that is known counts: the list in the train's
 * data set, the checkpoint's, the folder's sub-folders, the predict block's labels file; else they
 * have numbers. */
#ifndef CVM_DRIVER_CLASS_NAMES_H
#define CVM_DRIVER_CLASS_NAMES_H

#include "compiler/driver/session.h"

/* Gives the classes these names, made fit to be shown (cvm_clean_text); does nothing where they
 * have names already. */
void cvm_session_name_classes(CvmSession *session, const char *const *names, int count);

/* "Ankle boot", or "class 9" where nothing names it; into text of size bytes when made. */
const char *cvm_session_class_name(const CvmSession *session, int index, char *text, size_t size);

/* The names one a line, as a checkpoint keeps them; NULL where there are none. */
char *cvm_session_class_lines(const CvmSession *session);

/* Takes the names from a checkpoint's lines (NULL: it has none). Where the classes are the folders
 * of a data set that was read, both must be the same in the same order; else a label would mean
 * another class than the one that was learned: refused. */
bool cvm_session_take_class_lines(CvmSession *session, const char *path, const char *lines);

#endif

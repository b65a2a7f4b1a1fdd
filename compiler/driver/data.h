/* Finding a data set's files on this machine and reading them. Looked for, in this order: --data
 * DIR and nowhere else when it is given; $CVM_DATA; the folder of Debian's dataset packages; the
 * .cvm file's own folder. In each place with and without the data set's sub-folder, plain or .gz.
 */
#ifndef CVM_DRIVER_DATA_H
#define CVM_DRIVER_DATA_H

#include "compiler/driver/session.h"
#include "runtime/dataset.h"

/* A folder of pictures keeps them in memory when they need no more than this. */
enum { CVM_KEPT_PICTURE_BYTES = 1 << 30 };

/* Whether a part of the train's data set is on this machine. Reports nothing. */
bool cvm_session_has_data(const CvmSession *session, CvmDataPart part);

/* Reads a part of the train's data set. A missing one: exit code 3, and a message with every place
 * looked at. A folder's pictures that cannot be read are reported and left out. Where the classes
 * have no names yet, the folder's are the session's. On success the caller frees it. */
bool cvm_session_read_data(CvmSession *session, CvmDataPart part, CvmDataset *dataset);

/* The train's normalization. `pictures` are those it learns from, whose mean it may need; NULL:
 * they are read if so. */
bool cvm_session_normalization(CvmSession *session, const CvmDataset *pictures,
                               CvmNormalization *normalization);

#endif

/* Pictures with two lines of text under each, for whoever looks at them: in the terminal, and with
 * --png as one picture. */
#ifndef CVM_DRIVER_GALLERY_H
#define CVM_DRIVER_GALLERY_H

#include "compiler/driver/session.h"
#include "compiler/driver/sketch.h"

enum { CVM_GALLERY_ROW = 5 };

/* All pictures have one size. Rows of the PNG have CVM_GALLERY_ROW of them; so have those of the
 * terminal where each row is a series (and it is wide enough), else as many as fit. */
bool cvm_gallery_show(CvmSession *session, const CvmSketchCell *cells, int count, bool series);

#endif

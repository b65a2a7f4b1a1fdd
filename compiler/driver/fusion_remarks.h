/* cvmc explain --fusion. */
#ifndef CVM_DRIVER_FUSION_REMARKS_H
#define CVM_DRIVER_FUSION_REMARKS_H

#include "compiler/driver/session.h"

/* Prints what the fusing passes did to the session's graph and what they refused, by line of the
 * source, as text or JSON. */
bool cvm_explain_fusion(CvmSession *session);

#endif

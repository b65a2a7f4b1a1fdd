/* cvmc explain --kernels. */
#ifndef CVM_DRIVER_KERNEL_TABLE_H
#define CVM_DRIVER_KERNEL_TABLE_H

#include "compiler/driver/session.h"

/* Prints the kernels that the session's graph becomes, in the order in which they run: algorithm,
 * how it is cut, the time that the cost model expects, and why this algorithm; as text or JSON. */
bool cvm_explain_kernels(CvmSession *session);

#endif

/* cvmc eval: accuracy and loss of trained weights on the test set. */
#include "compiler/driver/command.h"
#include "compiler/driver/evaluation.h"
#include "compiler/driver/report.h"
#include "compiler/driver/weights.h"

int cvm_command_eval(const CvmOptions *options) {
    if (!cvm_weights_are_named("eval", options))
        return CVM_EXIT_USAGE;
    CvmSession session;
    if (cvm_session_open(&session, options))
        cvm_session_evaluate_weights(&session);
    return cvm_session_close(&session);
}

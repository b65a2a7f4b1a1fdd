/* Evaluating a model on its test set, for train, run and eval. */
#ifndef CVM_DRIVER_EVALUATION_H
#define CVM_DRIVER_EVALUATION_H

#include "compiler/driver/session.h"
#include "runtime/train.h"

#include <cjson/cJSON.h>

/* An inference instance at the train's batch size (or `count` pictures, if that is less). */
CvmInstance *cvm_session_evaluator(CvmSession *session, int64_t count, int64_t *batch);

/* Runs the feed's data set through it. evaluation->classes is taken from the session's arena where
 * it is NULL. */
bool cvm_session_evaluate(CvmSession *session, CvmInstance *evaluator, int64_t batch,
                          const CvmFeed *feed, CvmEvaluation *evaluation);

double cvm_accuracy(const CvmEvaluation *evaluation); /* 0…1 */

/* Prints it on stdout, class by class; or as one JSON object with "event": "evaluation". */
void cvm_session_print_evaluation(const CvmSession *session, const CvmEvaluation *evaluation);

/* eval: loads the test set and options->checkpoint or options->weights, evaluates and prints. */
bool cvm_session_evaluate_weights(CvmSession *session);

#endif

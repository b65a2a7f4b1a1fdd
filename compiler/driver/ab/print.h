/* What comes of a trial, for people, for programs, and as a page to look at. */
#ifndef CVM_DRIVER_AB_PRINT_H
#define CVM_DRIVER_AB_PRINT_H

#include "compiler/driver/ab/trial.h"

#include <cjson/cJSON.h>

/* "A faster", "B faster", "no difference seen" */
const char *cvm_ab_verdict_text(CvmAbVerdict verdict);

/* "12.3 us", "4.56 ms", "7.89 s" */
char *cvm_ab_time_text(double seconds, char text[32]);

/* "a step of training", "a forward pass" */
const char *cvm_ab_what(const CvmAbSide sides[2]);

/* The command that makes the trial again, in the session's arena. */
const char *cvm_ab_command_text(const CvmSession *session, const CvmAbSide sides[2],
                                const CvmAbOptions *options);

/* The ratio of the times that one picture takes. */
CvmAbRatio cvm_ab_per_picture(const CvmAbSide sides[2], const CvmAbRatio *ratio);

/* On stdout. */
void cvm_ab_print(CvmSession *session, const CvmAbSide sides[2], const CvmAbOptions *options,
                  const CvmAbResult *result);

cJSON *cvm_ab_json(CvmSession *session, const CvmAbSide sides[2], const CvmAbOptions *options,
                   const CvmAbResult *result);

/* One self-contained HTML page. False on errors (reported). */
bool cvm_ab_page(CvmSession *session, const char *path, const CvmAbSide sides[2],
                 const CvmAbOptions *options, const CvmAbResult *result);

#endif

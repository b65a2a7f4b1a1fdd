/* Settings that are calls with numbers: cross_entropy(smoothing=0.1), sgd(rate=0.05, momentum=0.9),
 * step(epochs=10, factor=0.1). */
#ifndef CVM_FRONT_SETTINGS_H
#define CVM_FRONT_SETTINGS_H

#include "compiler/front/check.h"

/* A named number, within [least, most]; or (flag given) true or false. */
typedef struct CvmNamedNumber {
    const char *name;
    double *value;
    double least, most;
    bool needed, whole;
    bool *flag;
} CvmNamedNumber;

/* Index of the word that an expression begins with in a list of names, or -1 (1320, with the
 * nearest). what: "optimizer". */
int cvm_choose_word(CvmProgram *program, const CvmAstExpr *expr, const char *const *names,
                    int count, const char *what);

/* Fills the numbers that the call gives; the others keep their values. False when something is
 * wrong (reported: 1203 to 1206 as in any call, 1207, 1211, 1322). */
bool cvm_read_numbers(CvmProgram *program, const CvmAstExpr *call, const CvmNamedNumber *numbers,
                      int count);

/* What `optimizer` says, and the base rate it gives. False when it does not hold (reported). */
bool cvm_read_optimizer(CvmProgram *program, const CvmAstExpr *expr, CvmOptimizer *optimizer,
                        double *rate);

/* What `schedule` says; the rate's base and epochs are left alone. False when it does not hold
 * (reported). */
bool cvm_read_schedule(CvmProgram *program, const CvmAstExpr *expr, CvmRate *rate);

#endif

/* What the epochs of a training came to. A checkpoint carries it, so that a resumed training knows
 * its best epoch and a report has whole curves. */
#ifndef CVM_DRIVER_HISTORY_H
#define CVM_DRIVER_HISTORY_H

#include "compiler/arena.h"

#include <stdbool.h>

typedef struct CvmEpochRecord {
    double loss, test_loss, accuracy; /* accuracy: on the test set, 0…1 */
} CvmEpochRecord;

typedef struct CvmHistory {
    CvmEpochRecord *epochs; /* in the arena */
    int count;
} CvmHistory;

void cvm_history_add(CvmHistory *history, CvmArena *arena, CvmEpochRecord record);

/* The first epoch (from 0) with the highest accuracy; -1 where there is none. */
int cvm_history_best(const CvmHistory *history);

/* A line an epoch; reads back to the same bits. To be freed; NULL without memory. */
char *cvm_history_text(const CvmHistory *history);

/* False, and an empty history, when the text is none. */
bool cvm_history_read(const char *text, CvmArena *arena, CvmHistory *history);

#endif

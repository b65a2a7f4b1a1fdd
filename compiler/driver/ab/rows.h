/* What A makes one kernel of and B several, or the other way round, side by side: kernels of both
 * sides are brought together by the nodes of the graph before the passes that they compute. A row
 * is the smallest set of kernels on either side that computes the same nodes. */
#ifndef CVM_DRIVER_AB_ROWS_H
#define CVM_DRIVER_AB_ROWS_H

#include "compiler/driver/ab/side.h"
#include "compiler/driver/ab/statistics.h"

/* The kernels of one side in a row. */
typedef struct CvmAbPart {
    int *calls; /* of the side's plan, in order */
    int count;
    const char *text;    /* "conv+bias+relu, maxpool"; "" when there is none */
    double flops, bytes; /* of them together, estimated */
    double *times;       /* seconds, by block */
    double seconds;      /* their median */
} CvmAbPart;

typedef struct CvmAbRow {
    const char *layer; /* of the first node */
    CvmAbPart parts[2];
    CvmAbRatio ratio; /* of times, B / A; zeros where a side has no kernel here */
    CvmAbVerdict verdict;
} CvmAbRow;

typedef struct CvmAbRows {
    CvmAbRow *rows; /* in the arena */
    int count;
} CvmAbRows;

/* Lines up two compiled sides of one mode, without what is prepared once. Empty when the modes
 * differ. */
CvmAbRows cvm_ab_line_up(const CvmAbSide sides[2], CvmArena *arena);

/* Keeps a block's time of each call of one side. */
void cvm_ab_rows_add(CvmAbRows *rows, int side, int block, const double *call_seconds);

/* From the times of so many blocks to medians, ratios and verdicts; sorts by the largest change
 * first. One row in twenty would differ from itself by chance; so the intervals are as wide as it
 * takes for one trial in twenty to have any such row. */
void cvm_ab_rows_judge(CvmAbRows *rows, int blocks, uint64_t seed);

#endif

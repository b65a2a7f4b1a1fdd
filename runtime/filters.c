/* See filters.h. */
#include "runtime/filters.h"

bool cvm_filters_fit(const CvmShape *shape, int lanes) {
    return lanes > 0 && shape->rank == 4 && shape->sizes[0] % lanes == 0;
}

/* What is walked through in the order of the filters, and how far apart its elements are in plain
 * order. */
typedef struct Walk {
    int64_t blocks, runs, taps, run, lanes; /* o/lanes, c/k, h w, k, lanes */
    int64_t output, input;                  /* plain elements between neighbours */
} Walk;

static Walk walk_of(const CvmShape *shape, int lanes) {
    const int64_t *sizes = shape->sizes;
    int64_t run = sizes[1] % lanes ? sizes[1] : lanes, taps = sizes[2] * sizes[3];
    return (Walk){.blocks = sizes[0] / lanes,
                  .runs = sizes[1] / run,
                  .taps = taps,
                  .run = run,
                  .lanes = lanes,
                  .output = sizes[1] * taps,
                  .input = taps};
}

/* Copies to the filters, or from them, a vector of outputs after the other. */
static void copy(const CvmShape *shape, int lanes, float *plain, float *filters, bool pack) {
    const Walk walk = walk_of(shape, lanes);
    for (int64_t block = 0; block < walk.blocks; block++)
        for (int64_t run = 0; run < walk.runs; run++)
            for (int64_t tap = 0; tap < walk.taps; tap++)
                for (int64_t c = 0; c < walk.run; c++, filters += walk.lanes) {
                    float *at = plain + block * walk.lanes * walk.output +
                                (run * walk.run + c) * walk.input + tap;
                    for (int64_t o = 0; pack && o < walk.lanes; o++)
                        filters[o] = at[o * walk.output];
                    for (int64_t o = 0; !pack && o < walk.lanes; o++)
                        at[o * walk.output] = filters[o];
                }
}

void cvm_filters_pack(const CvmShape *shape, int lanes, const float *plain, float *filters) {
    copy(shape, lanes, (float *)plain, filters, true);
}

void cvm_filters_unpack(const CvmShape *shape, int lanes, const float *filters, float *plain) {
    copy(shape, lanes, plain, (float *)filters, false);
}
